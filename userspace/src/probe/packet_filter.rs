//! Programs of classic BPF that say what a socket receives.

use socket2::SockFilter;

/// How a value is loaded, from where, and what it is to be.
pub(crate) type Condition = (Load, u32, u32);

/// An instruction that loads what stands at this offset.
pub(crate) type Load = fn(u32) -> SockFilter;

/// Lets in what has each of these values in its place; no more than a hundred. What ends before does not get in.
pub(crate) fn all(conditions: &[Condition]) -> Vec<SockFilter> {
    let mut filter = Vec::new();
    for (number, (load, offset, value)) in conditions.iter().enumerate() {
        // Beyond the conditions that are left, and the verdict that lets in.
        let to_reject = 2 * (conditions.len() - number - 1) + 1;
        filter.extend([load(*offset), if_equal(*value, 0, to_reject as u8)]);
    }
    filter.extend([verdict(u32::MAX), verdict(0)]);
    filter
}

pub(crate) fn load_u8(offset: u32) -> SockFilter {
    SockFilter::new((libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16, 0, 0, offset)
}

pub(crate) fn load_u16(offset: u32) -> SockFilter {
    SockFilter::new((libc::BPF_LD | libc::BPF_H | libc::BPF_ABS) as u16, 0, 0, offset)
}

pub(crate) fn load_u32(offset: u32) -> SockFilter {
    SockFilter::new((libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16, 0, 0, offset)
}

/// Skips so many instructions if what is loaded is the value, or so many if it is not.
pub(crate) fn if_equal(value: u32, then: u8, otherwise: u8) -> SockFilter {
    SockFilter::new((libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16, then, otherwise, value)
}

/// How many bytes of the packet are let in.
pub(crate) fn verdict(bytes: u32) -> SockFilter {
    SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, bytes)
}
