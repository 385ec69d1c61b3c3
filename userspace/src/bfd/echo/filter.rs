use std::net::IpAddr;

use socket2::SockFilter;

use super::packet::{ECHO_PORT, RETURNED_TTL};

/// Where the kernel says whom a packet is for, and that it is for this host: one that the host sends is for none.
const KIND: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE) as u32;
const HOST: u32 = libc::PACKET_HOST as u32;

/// The filter of a socket for packets that have come back to this address, and that start with their IP header. What
/// is more to check is cheaper to check once it has passed here.
pub(super) fn returned(address: IpAddr) -> Vec<SockFilter> {
    let (udp, ttl, port) = (libc::IPPROTO_UDP as u32, RETURNED_TTL.into(), ECHO_PORT.into());
    match address {
        // The version, and a header without options.
        IpAddr::V4(_) => all(&[
            (load_u8, KIND, HOST),
            (load_u8, 0, 0x45),
            (load_u8, 9, udp),
            (load_u8, 8, ttl),
            (load_u16, 22, port),
        ]),
        IpAddr::V6(_) => all(&[
            (load_u8, KIND, HOST),
            (load_u8, 6, udp),
            (load_u8, 7, ttl),
            (load_u16, 42, port),
        ]),
    }
}

/// How a value is loaded, from where, and what it is to be.
type Condition = (fn(u32) -> SockFilter, u32, u32);

/// Lets in what has each of these values in its place. What ends before does not get in.
fn all(conditions: &[Condition]) -> Vec<SockFilter> {
    let if_equal = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    let mut filter = Vec::new();
    for (number, (load, offset, value)) in conditions.iter().enumerate() {
        // Beyond the conditions that are left, and the verdict that lets in.
        let to_reject = 2 * (conditions.len() - number - 1) + 1;
        filter.extend([load(*offset), SockFilter::new(if_equal, 0, to_reject as u8, *value)]);
    }
    filter.extend([verdict(u32::MAX), verdict(0)]);
    filter
}

/// Lets nothing in.
pub(super) fn nothing() -> [SockFilter; 1] {
    [verdict(0)]
}

fn load_u8(offset: u32) -> SockFilter {
    SockFilter::new((libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16, 0, 0, offset)
}

fn load_u16(offset: u32) -> SockFilter {
    SockFilter::new((libc::BPF_LD | libc::BPF_H | libc::BPF_ABS) as u16, 0, 0, offset)
}

/// How many bytes of the packet are let in.
fn verdict(bytes: u32) -> SockFilter {
    SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, bytes)
}
