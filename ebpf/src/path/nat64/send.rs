//! 6. Where a packet of a flow goes, and what becomes of it.

use super::header::{self, FRAGMENT_LEN};
use crate::abi::{Direction, Flow, Ipv6, LanSide, Nat64, Uplink};
use crate::path::parse::Kind;
use crate::path::{Packet, Packet6, Stop, Tables, handshake, mss};
use crate::verdict::{DropReason, Verdict};
use crate::wire::{
    ETHERNET_LEN, Frame, IPV4_LEN, IPV6_LEN, Ipv4Header, Ipv6Header, Protocol, Udp,
    checksum::{self, Delta},
    icmp_type, icmpv6_type, offset,
};

/// The least MTU that IPv6 knows (RFC 8200 section 5).
const MTU_MIN: usize = 1280;

/// By how much a header of IPv6 is longer than one of IPv4.
const DIFFERENCE: usize = IPV6_LEN - IPV4_LEN;

/// Whether a packet from the LAN may leave by an uplink of this MTU.
///
/// # Errors
/// Why not.
#[inline(always)]
pub(super) fn check_outward<F: Frame>(frame: &F, packet: &Packet6, mtu: u16) -> Result<(), Stop> {
    check_hops(packet)?;
    if packet.segments_left != 0 {
        let pointer = packet.segments_left - ETHERNET_LEN as u16;
        return Err(Stop::Answer(DropReason::SourceRoute, pointer));
    }
    check_protocol(packet.key.protocol(), Protocol::ICMPV6, packet.fragment != 0)?;
    let body = packet.body(frame).ok_or(DropReason::Truncated)?;
    if IPV4_LEN + body > usize::from(mtu) {
        let extension = if packet.has_fragment_header() { FRAGMENT_LEN } else { 0 };
        let mtu = usize::from(mtu) + DIFFERENCE + extension;
        return Err(Stop::Answer(DropReason::TooBig, mtu.max(MTU_MIN) as u16));
    }
    Ok(())
}

/// Whether a packet from the LAN may cross a router.
#[inline(always)]
pub(super) fn check_hops(packet: &Packet6) -> Result<(), Stop> {
    if packet.hop_limit <= 1 { Err(Stop::Answer(DropReason::TtlExceeded, 0)) } else { Ok(()) }
}

/// Whether a packet from an uplink may go to the LAN host.
///
/// # Errors
/// Why not.
#[inline(always)]
pub(super) fn check_inward<F: Frame>(frame: &F, packet: &Packet, lan: LanSide) -> Result<(), Stop> {
    if packet.ttl <= 1 {
        return Err(Stop::Answer(DropReason::TtlExceeded, 0));
    }
    let header: Ipv4Header = frame.read(ETHERNET_LEN).ok_or(DropReason::Truncated)?;
    if header.is_source_routed(frame, ETHERNET_LEN) {
        return Err(Stop::Answer(DropReason::SourceRoute, 0));
    }
    check_protocol(header.protocol, Protocol::ICMP, header.is_fragment())?;
    let body = packet.body(frame).ok_or(DropReason::Truncated)?;
    let extension = if header.is_fragment() { FRAGMENT_LEN } else { 0 };
    let added = DIFFERENCE + extension;
    if IPV4_LEN + usize::from(body) + added > usize::from(lan.mtu()) {
        return Err(Stop::Answer(DropReason::TooBig, lan.mtu().saturating_sub(added as u16)));
    }
    if header.protocol == Protocol::UDP && header.fragment_offset() == 0 {
        let udp: Udp = frame.read(packet.transport()).ok_or(DropReason::Truncated)?;
        let is_summed = udp.checksum != [0; 2];
        if !is_summed && (header.is_fragment() || usize::from(body) > checksum::SUMMED_MAX) {
            return Err(DropReason::Nat64Untranslatable.into());
        }
    }
    Ok(())
}

/// Whether a protocol is translated; `icmp` is the number of ICMP in the packet's version. That of the
/// other version is nothing there.
///
/// The checksum of ICMPv6 is over the length of a whole message, which no fragment tells (RFC 7915 section
/// 1.2).
#[inline(always)]
fn check_protocol(protocol: u8, icmp: u8, is_fragment: bool) -> Result<(), DropReason> {
    match protocol {
        Protocol::TCP | Protocol::UDP => Ok(()),
        _ if protocol == icmp && !is_fragment => Ok(()),
        _ => Err(DropReason::Nat64Untranslatable),
    }
}

/// Sends a packet from the LAN that was checked, by its flow's entry.
#[inline(always)]
pub(super) fn outward<F: Frame, T: Tables, M>(
    frame: &mut F,
    tables: &T,
    packet: &Packet6,
    flow: &Flow<M>,
    uplink: &Uplink,
) -> Result<Verdict, Stop> {
    let protocol = packet.key.protocol();
    if packet.starts && protocol == Protocol::TCP {
        let way = (flow.uplink, Direction::Out);
        handshake::time(frame, tables, packet.transport(), way);
        let len = |frame: &F| packet.body(frame);
        let _ = mss::clamp(frame, packet.transport(), len, segment_limit(flow.lan, uplink));
    }
    let addresses = [flow.address, flow.other_address];
    let len = packet.body(frame).ok_or(DropReason::Truncated)?;
    header::to_v4(frame, packet, uplink.macs, addresses).ok_or(DropReason::Truncated)?;
    if packet.kind != Kind::Tail {
        let transport = ETHERNET_LEN + IPV4_LEN;
        write_transport(frame, (transport, true), protocol, flow, len)
            .ok_or(DropReason::Truncated)?;
    }
    Ok(Verdict::Forward { egress: uplink.egress, uplink: flow.uplink, direction: Direction::Out })
}

/// Sends a packet from the uplink that was checked, by its flow's entry.
#[inline(always)]
pub(super) fn inward<F: Frame, T: Tables, M>(
    frame: &mut F,
    tables: &T,
    packet: &Packet,
    flow: &Flow<M>,
    nat64: &Nat64,
    uplink: &Uplink,
) -> Result<Verdict, Stop> {
    let protocol = packet.key.protocol();
    if packet.starts && protocol == Protocol::TCP {
        let way = (flow.uplink, Direction::In);
        handshake::time(frame, tables, packet.transport(), way);
        let len = |frame: &F| packet.body(frame).map(usize::from);
        let _ = mss::clamp(frame, packet.transport(), len, segment_limit(flow.lan, uplink));
    }
    let len = usize::from(packet.body(frame).ok_or(DropReason::Truncated)?);
    let addresses = [nat64.embed(packet.key.source()), flow.inside()];
    let transport =
        header::to_v6(frame, packet, flow.lan.macs(), addresses).ok_or(DropReason::Truncated)?;
    if packet.kind != Kind::Tail {
        write_transport(frame, (transport, false), protocol, flow, len)
            .ok_or(DropReason::Truncated)?;
        if protocol == Protocol::UDP {
            sum_udp(frame, transport, addresses, len).ok_or(DropReason::Truncated)?;
        }
    }
    Ok(Verdict::Forward {
        egress: flow.lan.egress(),
        uplink: flow.uplink,
        direction: Direction::In,
    })
}

/// The largest segment that both interfaces take, each with its own version's header.
#[inline(always)]
fn segment_limit(lan: LanSide, uplink: &Uplink) -> u16 {
    mss::limit(lan.mtu(), IPV6_LEN).min(mss::limit(uplink.mtu, IPV4_LEN))
}

/// Writes port, or identifier, and checksum of a transport header of `protocol`, which may be that of
/// either version, of a message of `len` bytes, on its way out or not.
#[inline(always)]
fn write_transport<F: Frame, M>(
    frame: &mut F,
    (transport, is_out): (usize, bool),
    protocol: u8,
    flow: &Flow<M>,
    len: usize,
) -> Option<()> {
    if protocol == Protocol::ICMP || protocol == Protocol::ICMPV6 {
        return write_echo(frame, (transport, is_out), flow, len);
    }
    let at = transport
        + if protocol == Protocol::TCP { offset::TCP_CHECKSUM } else { offset::UDP_CHECKSUM };
    let old = u16::from_ne_bytes(frame.read(at)?);
    let new = if protocol == Protocol::TCP {
        checksum::update(old, flow.transport_delta)
    } else {
        checksum::update_udp(old, flow.transport_delta)
    };
    let port = if is_out { offset::SOURCE_PORT } else { offset::DESTINATION_PORT };
    frame.write(transport + port, flow.port.octets())?;
    frame.write(at, new.to_ne_bytes())
}

/// Writes the type, the identifier and the checksum of an echo of `len` bytes (RFC 7915 sections 4.2 and
/// 5.2).
#[inline(always)]
fn write_echo<F: Frame, M>(
    frame: &mut F,
    (transport, is_out): (usize, bool),
    flow: &Flow<M>,
    len: usize,
) -> Option<()> {
    let [old_type, _] = frame.read::<[u8; 2]>(transport)?;
    let new_type = match old_type {
        icmpv6_type::ECHO_REQUEST => icmp_type::ECHO_REQUEST,
        icmpv6_type::ECHO_REPLY => icmp_type::ECHO_REPLY,
        icmp_type::ECHO_REQUEST => icmpv6_type::ECHO_REQUEST,
        _ => icmpv6_type::ECHO_REPLY,
    };
    let len = u16::from_ne_bytes((len as u16).to_be_bytes());
    let length = if is_out { Delta::NONE.word(len, 0) } else { Delta::NONE.word(0, len) };
    let types = [old_type, new_type].map(|icmp_type| u16::from_ne_bytes([icmp_type, 0]));
    let delta = length.word(types[0], types[1]).fold();
    let at = transport + offset::ICMP_CHECKSUM;
    let old = u16::from_ne_bytes(frame.read(at)?);
    let new = checksum::update(checksum::update(old, flow.transport_delta), delta);
    frame.write(transport, new_type)?;
    frame.write(transport + offset::ICMP_IDENTIFIER, flow.port.octets())?;
    frame.write(at, new.to_ne_bytes())
}

/// Gives a datagram of UDP the checksum that IPv6 wants and IPv4 did without (RFC 7915 section 4.5).
#[inline(always)]
fn sum_udp<F: Frame>(
    frame: &mut F,
    transport: usize,
    [source, destination]: [Ipv6; 2],
    len: usize,
) -> Option<()> {
    let at = transport + offset::UDP_CHECKSUM;
    if frame.read::<[u8; 2]>(at)? != [0; 2] {
        return Some(());
    }
    let sum = frame.sum(transport, len)?
        + Ipv6Header::pseudo_header(source, destination, Protocol::UDP, len as u16);
    let sum = match !checksum::fold(sum) {
        0 => u16::MAX,
        sum => sum,
    };
    frame.write(at, sum.to_ne_bytes())
}
