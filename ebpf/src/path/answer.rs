//! ICMP errors of the gateway's own: time exceeded, fragmentation needed, unreachable (RFC 792; RFC
//! 1812 section 4.3).

use super::opening::is_martian;
use super::parse::Packet;
use super::{Note, Stop, Tables};
use crate::abi::{Ipv4, MacPair, Port, PortRole};
use crate::verdict::{DropReason, Verdict};
use crate::wire::{
    ETHERNET_LEN, EtherType, Frame, ICMP_LEN, IPV4_LEN, Ipv4Header, Protocol, checksum, icmp_type,
    unreachable_code,
};

/// How much of the packet is quoted at most, in bytes: the message has 576 then (RFC 1812 section
/// 4.3.2.3).
const QUOTED_MAX: usize = 576 - IPV4_LEN - ICMP_LEN;

/// The stage: the packet, which is as it came in, becomes a message to its sender about it, if there
/// may be one.
#[inline(always)]
pub(super) fn run<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    port: &Port,
    _packet: &Packet,
    note: Note,
) -> Result<Verdict, Stop> {
    let (reason, mtu) = note.reason();
    let ethernet = frame.ethernet().ok_or(reason)?;
    let header: Ipv4Header = frame.read(ETHERNET_LEN).ok_or(reason)?;
    let settings = tables.settings().ok_or(reason)?;
    let may = may_be_answered(frame, tables, &header, port);
    if !may || !tables.take_token(tables.now(), settings.icmp_rate, settings.icmp_burst) {
        return Err(reason.into());
    }
    let (icmp_type, code) = message(reason);
    let quoted = header.total_len().min(QUOTED_MAX);
    let own = Ipv4Header::own(
        (IPV4_LEN + ICMP_LEN + quoted) as u16,
        Protocol::ICMP,
        port.address,
        header.source(),
    );
    let macs = MacPair::new(ethernet.source(), port.mac);
    // The unused word; the MTU in its lower half (RFC 1191 section 4).
    let [mtu_high, mtu_low] = mtu.to_be_bytes();
    let icmp = [icmp_type, code, 0, 0, 0, 0, mtu_high, mtu_low];
    write(frame, quoted, macs, own, icmp).ok_or(reason)?;
    Ok(Verdict::Answer { egress: port.egress, reason })
}

/// Type and code of the message about a packet that was dropped for this reason.
#[inline(always)]
fn message(reason: DropReason) -> (u8, u8) {
    match reason {
        DropReason::TtlExceeded => (icmp_type::TIME_EXCEEDED, 0),
        DropReason::TooBig => (icmp_type::UNREACHABLE, unreachable_code::FRAGMENTATION_NEEDED),
        DropReason::NoUplink => (icmp_type::UNREACHABLE, unreachable_code::NETWORK),
        DropReason::SourceRoute => (icmp_type::UNREACHABLE, unreachable_code::SOURCE_ROUTE_FAILED),
        // Of what there are not enough resources for (RFC 5508 section 7.1, REQ-8).
        _ => (icmp_type::UNREACHABLE, unreachable_code::PROHIBITED),
    }
}

/// Whether there may be a message about this packet (RFC 1812 section 4.3.2.7). Its link-layer
/// destination was the gateway's own, so it is no broadcast.
#[inline(always)]
fn may_be_answered<F: Frame, T: Tables>(
    frame: &F,
    tables: &T,
    header: &Ipv4Header,
    port: &Port,
) -> bool {
    if port.address == Ipv4::default()
        || is_martian(header.source())
        || is_martian(header.destination())
        || header.fragment_offset() != 0
    {
        return false;
    }
    if port.role == PortRole::Lan as u8
        && let Some(network) = tables.lan_network(header.source())
        && network.is_broadcast(header.source())
    {
        return false;
    }
    if header.protocol != Protocol::ICMP {
        return true;
    }
    let icmp_type = frame.read::<u8>(ETHERNET_LEN + header.header_len());
    matches!(icmp_type, Some(icmp_type::ECHO_REQUEST | icmp_type::ECHO_REPLY))
}

/// Puts the message before the first `quoted` bytes of the packet.
#[inline(always)]
fn write<F: Frame>(
    frame: &mut F,
    quoted: usize,
    macs: MacPair,
    own: Ipv4Header,
    icmp: [u8; ICMP_LEN],
) -> Option<()> {
    frame.truncate(ETHERNET_LEN + quoted)?;
    frame.grow_front(IPV4_LEN + ICMP_LEN)?;
    frame.write_macs(macs.words())?;
    frame.write(ETHERNET_LEN - size_of_val(&EtherType::IPV4), EtherType::IPV4)?;
    frame.write(ETHERNET_LEN, own)?;
    let at = ETHERNET_LEN + IPV4_LEN;
    frame.write(at, icmp)?;
    let sum = checksum::sum_frame(frame, at, ICMP_LEN + quoted)?;
    frame.write(at + 2, (!checksum::fold(sum)).to_ne_bytes())
}
