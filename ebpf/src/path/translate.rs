//! 5. NAT44: address, port, TTL and checksums.

use super::parse::Packet;
use crate::abi::{Direction, Flow, MacPair, SharedU64};
use crate::wire::{ETHERNET_LEN, Frame, Ipv4Header, Protocol, checksum, offset};

/// Writes the frame anew by its flow entry: `macs` (destination, then source), the TTL, the address
/// and port, and both checksums. Nothing where the frame is shorter than it was parsed to be.
#[inline(always)]
pub(super) fn rewrite<F: Frame>(
    frame: &mut F,
    packet: &Packet,
    flow: &Flow<SharedU64>,
    direction: Direction,
    macs: MacPair,
) -> Option<()> {
    let (address, port) = match direction {
        Direction::Out => (Ipv4Header::SOURCE, offset::SOURCE_PORT),
        Direction::In => (Ipv4Header::DESTINATION, offset::DESTINATION_PORT),
    };
    let header_checksum = checksum::update(packet.header_checksum, flow.header_delta);
    frame.write(0, macs.words())?;
    frame.write(ETHERNET_LEN + Ipv4Header::TTL, packet.ttl - 1)?;
    frame.write(ETHERNET_LEN + Ipv4Header::CHECKSUM, header_checksum.to_ne_bytes())?;
    frame.write(ETHERNET_LEN + address, flow.address.octets())?;

    let delta = flow.transport_delta;
    let old = packet.transport_checksum;
    let (port, at, new) = match packet.key.protocol() {
        Protocol::TCP => (port, offset::TCP_CHECKSUM, checksum::update(old, delta)),
        Protocol::UDP => (port, offset::UDP_CHECKSUM, checksum::update_udp(old, delta)),
        _ => (offset::ICMP_IDENTIFIER, offset::ICMP_CHECKSUM, checksum::update(old, delta)),
    };
    frame.write(packet.transport + port, flow.port.octets())?;
    frame.write(packet.transport + at, new.to_ne_bytes())
}
