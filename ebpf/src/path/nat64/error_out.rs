//! ICMPv6 errors from the LAN about what came from IPv4: they become ICMP errors, and what they quote
//! becomes what the sender has sent (RFC 7915 sections 5.2 and 5.3).
//!
//! Whoever in the LAN sends the error appears as the flow's public address, as in NAT44 (RFC 5508 section
//! 4.2, REQ-5).

use super::icmp::{self, Message, Mtus};
use super::{admission, entry, send};
use crate::abi::{Direction, Flow, FlowKey, Port, SharedU64, Uplink, to_ipv4};
use crate::path::ipv6::error::{self, Quote};
use crate::path::{FlowTable, Note, Packet6, Stop, Tables6};
use crate::verdict::{DropReason, Verdict};
use crate::wire::{
    ETHERNET_LEN, EtherType, Frame, ICMP_LEN, IPV4_LEN, Ipv4Header, Ipv6Header, Protocol, checksum,
    checksum::Delta, icmp_type, icmpv6_type, offset,
};

/// Where the quoted packet's upper layer starts in the frame.
const QUOTED: usize = ETHERNET_LEN + IPV4_LEN + ICMP_LEN + IPV4_LEN;

/// The stage.
#[inline(always)]
pub(super) fn run<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    port: &Port,
    packet: &Packet6,
    _note: Note,
) -> Result<Verdict, Stop> {
    let body = packet.body(frame).ok_or(DropReason::Truncated)?;
    error::check_sum(frame, packet, body)?;
    let quote = Quote::read(frame, packet)?;
    // An error goes back to who sent what it quotes.
    if quote.source.0 != packet.outside {
        return Err(DropReason::IcmpMismatch.into());
    }
    let ends = (quote.destination, quote.source);
    let key = FlowKey::pinned(tables.digest_key(), ends.0, ends.1, quote.protocol).nat64();
    let (flow, uplink) = find(tables, &key).ok_or(DropReason::IcmpMismatch)?;
    admission::of_sender(tables, &packet.inside)?;
    send::check_hops(packet)?;
    if packet.segments_left != 0 {
        return Err(DropReason::SourceRoute.into());
    }
    // No fragment of ICMP is translated (RFC 7915 section 1.2).
    if packet.fragment != 0 {
        return Err(DropReason::Nat64Untranslatable.into());
    }
    let mtus = Mtus { ipv4: uplink.mtu, ipv6: port.mtu };
    let message = icmp::to_v4(read(frame, packet)?, mtus).ok_or(DropReason::Icmp)?;
    let len = quoted_len(frame, packet, &quote).ok_or(DropReason::IcmpMismatch)?;
    write(frame, packet, (&quote, len), (flow, uplink), message).ok_or(DropReason::Truncated)?;
    Ok(Verdict::Forward { egress: uplink.egress, uplink: flow.uplink, direction: Direction::Out })
}

/// The entry from the LAN of the flow of this key, and its uplink.
#[inline(always)]
fn find<'a, T: Tables6>(tables: &'a T, key: &FlowKey) -> Option<(&'a Flow<SharedU64>, &'a Uplink)> {
    [FlowTable::Established, FlowTable::Unreplied, FlowTable::Invited].into_iter().find_map(
        |table| {
            let flow = tables.flow(table, key)?;
            Some((flow, entry::sending(tables, flow)?))
        },
    )
}

/// The error's own header.
#[inline(always)]
fn read<F: Frame>(frame: &F, packet: &Packet6) -> Result<Message, DropReason> {
    let header: [[u8; 4]; 2] = frame.read(packet.transport()).ok_or(DropReason::Truncated)?;
    let [[icmp_type, code, ..], word] = header;
    Ok(Message { icmp_type, code, word: u32::from_be_bytes(word) })
}

/// Writes the error anew.
#[inline(always)]
fn write<F: Frame>(
    frame: &mut F,
    packet: &Packet6,
    (quote, len): (&Quote, usize),
    (flow, uplink): (&Flow<SharedU64>, &Uplink),
    message: Message,
) -> Option<()> {
    let outer: Ipv6Header = frame.read(ETHERNET_LEN)?;
    // As header::to_v4 has it.
    let checksum = frame.read(packet.transport() + offset::ICMP_CHECKSUM)?;
    let identification = u16::from_be_bytes(checksum);
    let quoted: Ipv6Header = frame.read(quote.at)?;
    // As much as the uplink takes: an error is not answered by one that it is too big.
    let len = len.min(usize::from(uplink.mtu).saturating_sub(QUOTED - ETHERNET_LEN));
    frame.truncate(quote.transport + len)?;
    let protocol = to_ipv4(quote.protocol);
    // The quoted packet's own length, which may be more than is quoted.
    let extensions = (quote.transport - quote.at).saturating_sub(size_of::<Ipv6Header>());
    let whole = quoted.payload_len().saturating_sub(extensions) as u16;
    let inner = Ipv4Header::new(
        quoted.traffic_class(),
        whole.wrapping_add(IPV4_LEN as u16),
        (0, Ipv4Header::DONT_FRAGMENT),
        (quoted.hop_limit, protocol),
        [flow.other_address, flow.address],
    );
    frame.replace_front(quote.transport, QUOTED)?;
    frame.write_macs(uplink.macs.words())?;
    frame.write(ETHERNET_LEN - size_of_val(&EtherType::IPV4), EtherType::IPV4)?;
    let body = ICMP_LEN + IPV4_LEN + len;
    let header = Ipv4Header::new(
        outer.traffic_class(),
        (IPV4_LEN + body) as u16,
        (identification, 0),
        (packet.hop_limit - 1, Protocol::ICMP),
        [flow.address, flow.other_address],
    );
    frame.write(ETHERNET_LEN, header)?;
    frame.write(QUOTED - IPV4_LEN, inner)?;
    write_quoted(frame, protocol, len, whole, flow)?;
    let at = ETHERNET_LEN + IPV4_LEN;
    frame.write(at, [message.icmp_type, message.code, 0, 0])?;
    frame.write(at + 4, message.word.to_be_bytes())?;
    let sum = frame.sum(at, body)?;
    frame.write(at + offset::ICMP_CHECKSUM, (!checksum::fold(sum)).to_ne_bytes())
}

/// How many bytes of the quoted packet's upper layer are kept: what the error says that its quote has, or
/// all. What comes behind them would be elsewhere in IPv4, and is left out (RFC 4884 sections 4 and 5).
/// Nothing where it says that there is less than it takes to know the flow.
#[inline(always)]
fn quoted_len<F: Frame>(frame: &F, packet: &Packet6, quote: &Quote) -> Option<usize> {
    let [icmp_type, _, _, _, words] = frame.read::<[u8; 5]>(packet.transport())?;
    let has_length = matches!(icmp_type, icmpv6_type::UNREACHABLE | icmpv6_type::TIME_EXCEEDED);
    if !has_length || words == 0 {
        return Some(quote.len);
    }
    let headers = quote.transport - quote.at;
    icmp::enough(quote.protocol, (usize::from(words) * 8).saturating_sub(headers).min(quote.len))
}

/// Writes port, or identifier and type, and checksum of the quoted packet, of which `len` bytes of the
/// upper layer's `whole` are there, as its sender had them.
#[inline(always)]
fn write_quoted<F: Frame>(
    frame: &mut F,
    protocol: u8,
    len: usize,
    whole: u16,
    flow: &Flow<SharedU64>,
) -> Option<()> {
    let (port, at) = (offset::port(protocol, false), offset::checksum(protocol));
    let mut delta = Delta::NONE.word(0, flow.transport_delta);
    if protocol == Protocol::ICMP {
        let old: u8 = frame.read(QUOTED)?;
        let new = match old {
            icmpv6_type::ECHO_REQUEST => icmp_type::ECHO_REQUEST,
            _ => icmp_type::ECHO_REPLY,
        };
        frame.write(QUOTED, new)?;
        let types = [old, new].map(|icmp_type| u16::from_ne_bytes([icmp_type, 0]));
        delta = delta.word(types[0], types[1]).word(u16::from_ne_bytes(whole.to_be_bytes()), 0);
    }
    frame.write(QUOTED + port, flow.port.octets())?;
    if at + 2 > len {
        return Some(());
    }
    let old = u16::from_ne_bytes(frame.read(QUOTED + at)?);
    let new = checksum::update_of(protocol, old, delta.fold());
    frame.write(QUOTED + at, new.to_ne_bytes())
}
