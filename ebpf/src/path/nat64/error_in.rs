//! ICMP errors from an uplink about what came from IPv6: they become ICMPv6 errors, and what they quote
//! becomes what the host has sent (RFC 7915 sections 4.2 and 4.3).

use super::icmp::{self, Message, Mtus};
use super::reply::{into_of, opened, out_key, target};
use crate::abi::{Direction, Flow, FlowKey, Ipv6, Port, Uplink, to_ipv6};
use crate::path::entry::{Place, copy};
use crate::path::error::{Quote, check_sum};
use crate::path::{FlowTable, Note, Packet, Stop, Tables6, flow};
use crate::verdict::{DropReason, Verdict};
use crate::wire::{
    ETHERNET_LEN, EtherType, Frame, ICMP_LEN, IPV6_LEN, Ipv4Header, Ipv6Header, Protocol, checksum,
    checksum::Delta, icmp_type, icmpv6_type, offset,
};

/// The most bytes that an ICMPv6 error has (RFC 4443 section 2.4(c)).
const MESSAGE_MAX: usize = 1280;

/// Where the quoted packet's upper layer starts in the frame.
const QUOTED: usize = ETHERNET_LEN + IPV6_LEN + ICMP_LEN + IPV6_LEN;

/// The stage.
#[inline(always)]
pub(super) fn run<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    port: &Port,
    packet: &Packet,
    _note: Note,
) -> Result<Verdict, Stop> {
    check_sum(frame, packet)?;
    let quote = Quote::read(frame, packet)?;
    let key = FlowKey::new(quote.destination, quote.source, quote.protocol, packet.key.realm());
    let mut place = Place::uninit();
    let (flow, uplink) = find(tables, &key, port, &mut place).ok_or(DropReason::IcmpMismatch)?;
    if packet.ttl <= 1 {
        return Err(Stop::Answer(DropReason::TtlExceeded, 0));
    }
    let outer: Ipv4Header = frame.read(ETHERNET_LEN).ok_or(DropReason::Truncated)?;
    if outer.is_source_routed(frame, ETHERNET_LEN) {
        return Err(DropReason::SourceRoute.into());
    }
    // No fragment of ICMP is translated (RFC 7915 section 1.2).
    if packet.fragment != 0 {
        return Err(DropReason::Nat64Untranslatable.into());
    }
    let quoted: Ipv4Header = frame.read(quote.at).ok_or(DropReason::Truncated)?;
    let mtus = Mtus { ipv4: uplink.mtu, ipv6: flow.lan.mtu() };
    let message = icmp::to_v6(read(frame, packet)?, quoted.total_len() as u16, mtus)
        .ok_or(DropReason::Icmp)?;
    let len = quoted_len(frame, packet, &quote).ok_or(DropReason::IcmpMismatch)?;
    let nat64 = tables.nat64();
    let remote = nat64.embed(quote.destination.0);
    let ends = [nat64.embed(packet.key.source()), flow.inside(), remote];
    write(frame, packet, (&quote, len), &quoted, flow, message, ends)
        .ok_or(DropReason::Truncated)?;
    Ok(Verdict::Forward {
        egress: flow.lan.egress(),
        uplink: port.uplink,
        direction: Direction::In,
    })
}

/// The entry by which the answers to the quoted packet go, and its uplink.
#[inline(always)]
fn find<'a, 'p, T: Tables6>(
    tables: &'a T,
    key: &FlowKey,
    port: &Port,
    place: &'p mut Place,
) -> Option<(&'p mut Flow, &'a Uplink)> {
    if !tables.nat64().is_set() {
        return None;
    }
    if let Some(flow) = tables.flow(FlowTable::Established, key)
        && let Some(uplink) = flow::current(tables, flow)
    {
        return (flow.direction == Direction::In64 as u8).then(|| (copy(flow, place), uplink));
    }
    let uplink = tables.uplink(port.uplink)?;
    let by = (port.uplink, uplink);
    let inside = target(tables, key, by)?;
    let out_key = out_key(tables, key, inside);
    let out = opened(tables, FlowTable::Unreplied, &out_key, key, uplink)
        .or_else(|| opened(tables, FlowTable::Invited, &out_key, key, uplink))?;
    let lan = out.lan;
    let into = into_of(tables, key, by, inside, place);
    into.lan = lan;
    Some((into, uplink))
}

/// The error's own header.
#[inline(always)]
fn read<F: Frame>(frame: &F, packet: &Packet) -> Result<Message, DropReason> {
    let header: [[u8; 4]; 2] = frame.read(packet.transport()).ok_or(DropReason::Truncated)?;
    let [[icmp_type, code, ..], word] = header;
    Ok(Message { icmp_type, code, word: u32::from_be_bytes(word) })
}

/// Writes the error anew: its sender, whom it goes to, and whom the quoted packet was for, are `ends`.
#[inline(always)]
fn write<F: Frame>(
    frame: &mut F,
    packet: &Packet,
    (quote, len): (&Quote, usize),
    quoted: &Ipv4Header,
    flow: &Flow,
    message: Message,
    [sender, inside, remote]: [Ipv6; 3],
) -> Option<()> {
    let outer: Ipv4Header = frame.read(ETHERNET_LEN)?;
    let len = len.min(MESSAGE_MAX - (QUOTED - ETHERNET_LEN));
    frame.truncate(quote.transport + len)?;
    let protocol = to_ipv6(quoted.protocol);
    // The quoted packet's own length, which may be more than is quoted.
    let whole = quoted.total_len().saturating_sub(quoted.header_len()) as u16;
    let ends = [inside, remote];
    let inner = Ipv6Header::translated(quoted.traffic_class, whole, protocol, quoted.ttl, ends);
    frame.replace_front(quote.transport, QUOTED)?;
    frame.write_macs(flow.lan.macs().words())?;
    frame.write(ETHERNET_LEN - size_of_val(&EtherType::IPV6), EtherType::IPV6)?;
    let body = (ICMP_LEN + IPV6_LEN + len) as u16;
    let (class, hops) = (outer.traffic_class, packet.ttl - 1);
    let header = Ipv6Header::translated(class, body, Protocol::ICMPV6, hops, [sender, inside]);
    frame.write(ETHERNET_LEN, header)?;
    frame.write(QUOTED - IPV6_LEN, inner)?;
    write_quoted(frame, quoted.protocol, len, whole, flow)?;
    let at = ETHERNET_LEN + IPV6_LEN;
    frame.write(at, [message.icmp_type, message.code, 0, 0])?;
    frame.write(at + 4, message.word.to_be_bytes())?;
    let sum = frame.sum(at, usize::from(body))?
        + Ipv6Header::pseudo_header(sender, inside, Protocol::ICMPV6, body);
    frame.write(at + offset::ICMP_CHECKSUM, (!checksum::fold(sum)).to_ne_bytes())
}

/// How many bytes of the quoted packet's upper layer are kept: what the error says that its quote has, or
/// all. What comes behind them would be elsewhere in IPv6, and is left out (RFC 4884 sections 4 and 5).
/// Nothing where it says that there is less than it takes to know the flow.
#[inline(always)]
fn quoted_len<F: Frame>(frame: &F, packet: &Packet, quote: &Quote) -> Option<usize> {
    let [icmp_type, _, _, _, _, words] = frame.read::<[u8; 6]>(packet.transport())?;
    let has_length = matches!(
        icmp_type,
        icmp_type::UNREACHABLE | icmp_type::TIME_EXCEEDED | icmp_type::PARAMETER_PROBLEM
    );
    if !has_length || words == 0 {
        return Some(quote.len);
    }
    let header = quote.transport - quote.at;
    icmp::enough(quote.protocol, (usize::from(words) * 4).saturating_sub(header).min(quote.len))
}

/// Writes port, or identifier and type, and checksum of the quoted packet, of which `len` bytes of the
/// upper layer's `whole` are there, as its sender had them.
#[inline(always)]
fn write_quoted<F: Frame>(
    frame: &mut F,
    protocol: u8,
    len: usize,
    whole: u16,
    flow: &Flow,
) -> Option<()> {
    let (port, at) = match protocol {
        Protocol::TCP => (offset::SOURCE_PORT, offset::TCP_CHECKSUM),
        Protocol::UDP => (offset::SOURCE_PORT, offset::UDP_CHECKSUM),
        _ => (offset::ICMP_IDENTIFIER, offset::ICMP_CHECKSUM),
    };
    let mut delta = Delta::NONE.word(0, flow.transport_delta);
    if protocol == Protocol::ICMP {
        let old: u8 = frame.read(QUOTED)?;
        let new = match old {
            icmp_type::ECHO_REQUEST => icmpv6_type::ECHO_REQUEST,
            _ => icmpv6_type::ECHO_REPLY,
        };
        frame.write(QUOTED, new)?;
        let types = [old, new].map(|icmp_type| u16::from_ne_bytes([icmp_type, 0]));
        delta = delta.word(types[0], types[1]).word(0, u16::from_ne_bytes(whole.to_be_bytes()));
    }
    frame.write(QUOTED + port, flow.port.octets())?;
    if at + 2 > len {
        return Some(());
    }
    let old = u16::from_ne_bytes(frame.read(QUOTED + at)?);
    let new = match protocol {
        Protocol::UDP => checksum::update_udp(old, delta.fold()),
        _ => checksum::update(old, delta.fold()),
    };
    frame.write(QUOTED + at, new.to_ne_bytes())
}
