//! 5. NAT44: addresses, ports, TTL and checksums. Of what is routed, the TTL only.

use super::forward::Way;
use super::parse::Packet;
use crate::abi::{Direction, Flow};
use crate::wire::{ETHERNET_LEN, Frame, Ipv4Header, Protocol, checksum, offset};

/// Writes the frame anew by its flow entry: MACs, TTL, addresses, ports, and both checksums. Nothing
/// where the frame is shorter than it was parsed to be.
#[inline(always)]
pub(super) fn rewrite<F: Frame, M>(
    frame: &mut F,
    packet: &Packet,
    flow: &Flow<M>,
    way: &Way,
) -> Option<()> {
    header(frame, packet, flow, way)?;
    if flow.is_routed() {
        return Some(());
    }
    let protocol = packet.key.protocol();
    let (ports, at) = match protocol {
        Protocol::TCP => (true, offset::TCP_CHECKSUM),
        Protocol::UDP => (true, offset::UDP_CHECKSUM),
        Protocol::ICMP => (false, offset::ICMP_CHECKSUM),
        // Neither ports nor a checksum that covers the addresses.
        _ => return Some(()),
    };
    let at = packet.transport() + at;
    let old = u16::from_ne_bytes(frame.read(at)?);
    let new = match protocol {
        Protocol::UDP => checksum::update_udp(old, flow.transport_delta),
        _ => checksum::update(old, flow.transport_delta),
    };
    let port = match way.direction {
        _ if !ports => offset::ICMP_IDENTIFIER,
        Direction::In => offset::DESTINATION_PORT,
        _ => offset::SOURCE_PORT,
    };
    frame.write(packet.transport() + port, flow.port.octets())?;
    if way.direction == Direction::Hairpin && ports {
        frame.write(packet.transport() + offset::DESTINATION_PORT, flow.other_port.octets())?;
    }
    frame.write(at, new.to_ne_bytes())
}

/// As [`rewrite`], for what comes before the transport header.
#[inline(always)]
pub(super) fn header<F: Frame, M>(
    frame: &mut F,
    packet: &Packet,
    flow: &Flow<M>,
    way: &Way,
) -> Option<()> {
    let old = u16::from_ne_bytes(frame.read(ETHERNET_LEN + Ipv4Header::CHECKSUM)?);
    let checksum = checksum::update(old, flow.header_delta);
    let address = match way.direction {
        Direction::In => Ipv4Header::DESTINATION,
        _ => Ipv4Header::SOURCE,
    };
    frame.write_macs(way.macs.words())?;
    frame.write(ETHERNET_LEN + Ipv4Header::TTL, packet.ttl - 1)?;
    frame.write(ETHERNET_LEN + Ipv4Header::CHECKSUM, checksum.to_ne_bytes())?;
    frame.write(ETHERNET_LEN + address, flow.address.octets())?;
    if way.direction == Direction::Hairpin {
        frame.write(ETHERNET_LEN + Ipv4Header::DESTINATION, flow.other_address.octets())?;
    }
    Some(())
}
