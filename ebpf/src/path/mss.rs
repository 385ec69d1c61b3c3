//! 5. The maximum segment size of TCP: no larger than the interfaces that the flow crosses take.

use super::parse::Packet;
use crate::wire::{Frame, IPV4_LEN, Protocol, Tcp, checksum};

/// Lowers the segment size that a SYN or SYN-ACK offers to what fits into packets of `mtu` bytes.
/// Returns the transport checksum that the packet then has, not yet written. Options that are
/// malformed or cut short stay as they are.
#[inline(always)]
pub(super) fn clamp<F: Frame>(frame: &mut F, packet: &Packet, mtu: u16) -> u16 {
    let unchanged = packet.transport_checksum;
    if packet.key.protocol() != Protocol::TCP {
        return unchanged;
    }
    let Some(tcp) = frame.read::<Tcp>(packet.transport()) else {
        return unchanged;
    };
    let header_len = tcp.header_len().min(usize::from(packet.body));
    let Some(at) = frame.find_mss(packet.transport(), header_len) else {
        return unchanged;
    };
    let limit = mtu.saturating_sub((IPV4_LEN + size_of::<Tcp>()) as u16);
    let Some(old) = frame.read::<[u8; 2]>(packet.transport() + at) else {
        return unchanged;
    };
    if u16::from_be_bytes(old) <= limit {
        return unchanged;
    }
    let new = limit.to_be_bytes();
    if frame.write(packet.transport() + at, new).is_none() {
        return unchanged;
    }
    // At an odd place the two bytes belong to two words of the sum, which is then the same with all
    // bytes swapped (RFC 1071 section 2(B)).
    let (mut old, mut new) = (u16::from_ne_bytes(old), u16::from_ne_bytes(new));
    if at & 1 == 1 {
        (old, new) = (old.swap_bytes(), new.swap_bytes());
    }
    checksum::update(unchanged, checksum::Delta::NONE.word(old, new).fold())
}
