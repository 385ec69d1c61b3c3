//! 5. The maximum segment size of TCP: no larger than the interfaces that the flow crosses take.

use super::parse::Packet;
use crate::wire::{Frame, IPV4_LEN, Protocol, Tcp, checksum, offset};

/// Lowers the segment size that a SYN or SYN-ACK offers to what fits into packets of `mtu` bytes.
/// Options that are malformed or cut short stay as they are. Nothing where there is nothing to lower.
#[inline(always)]
pub(super) fn clamp<F: Frame>(frame: &mut F, packet: &Packet, mtu: u16) -> Option<()> {
    if packet.key.protocol() != Protocol::TCP {
        return None;
    }
    let tcp: Tcp = frame.read(packet.transport())?;
    let header_len = tcp.header_len().min(usize::from(packet.body(frame)?));
    let at = frame.find_mss(packet.transport(), header_len)?;
    let limit = mtu.saturating_sub((IPV4_LEN + size_of::<Tcp>()) as u16);
    let old: [u8; 2] = frame.read(packet.transport() + at)?;
    if u16::from_be_bytes(old) <= limit {
        return None;
    }
    let new = limit.to_be_bytes();
    frame.write(packet.transport() + at, new)?;
    // At an odd place the two bytes belong to two words of the sum, which is then the same with all
    // bytes swapped (RFC 1071 section 2(B)).
    let (mut old, mut new) = (u16::from_ne_bytes(old), u16::from_ne_bytes(new));
    if at & 1 == 1 {
        (old, new) = (old.swap_bytes(), new.swap_bytes());
    }
    let delta = checksum::Delta::NONE.word(old, new).fold();
    let checksum = checksum::update(u16::from_ne_bytes(tcp.checksum), delta);
    frame.write(packet.transport() + offset::TCP_CHECKSUM, checksum.to_ne_bytes())
}
