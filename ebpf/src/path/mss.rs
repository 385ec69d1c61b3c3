//! 5. The maximum segment size of TCP: no larger than the interfaces that the flow crosses take.

use crate::wire::{Frame, Tcp, checksum, offset};

/// Lowers the segment size that a SYN or SYN-ACK offers to `limit`. The TCP header is at `transport`, and
/// the packet has `len` bytes from there on. Options that are malformed or cut short stay as they are.
/// Nothing where there is nothing to lower.
#[inline(always)]
pub(super) fn clamp<F: Frame>(
    frame: &mut F,
    transport: usize,
    len: impl FnOnce(&F) -> Option<usize>,
    limit: u16,
) -> Option<()> {
    let tcp: Tcp = frame.read(transport)?;
    let header_len = tcp.header_len().min(len(frame)?);
    let at = frame.find_mss(transport, header_len)?;
    let old: [u8; 2] = frame.read(transport + at)?;
    if u16::from_be_bytes(old) <= limit {
        return None;
    }
    let new = limit.to_be_bytes();
    frame.write(transport + at, new)?;
    // At an odd place the two bytes belong to two words of the sum, which is then the same with all
    // bytes swapped (RFC 1071 section 2(B)).
    let (mut old, mut new) = (u16::from_ne_bytes(old), u16::from_ne_bytes(new));
    if at & 1 == 1 {
        (old, new) = (old.swap_bytes(), new.swap_bytes());
    }
    let delta = checksum::Delta::NONE.word(old, new).fold();
    let checksum = checksum::update(u16::from_ne_bytes(tcp.checksum), delta);
    frame.write(transport + offset::TCP_CHECKSUM, checksum.to_ne_bytes())
}

/// The largest segment that fits into packets of `mtu` bytes, behind an IP header of so many.
#[inline(always)]
pub(super) fn limit(mtu: u16, ip_header: usize) -> u16 {
    mtu.saturating_sub((ip_header + size_of::<Tcp>()) as u16)
}
