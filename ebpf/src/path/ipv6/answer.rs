//! ICMPv6 errors of the gateway's own: time exceeded, packet too big, unreachable, parameter problem
//! (RFC 4443 section 3).

use super::parse::Packet6;
use crate::abi::{Ipv6, MacPair, Port};
use crate::path::parse::Kind;
use crate::path::{Note, Stop, Tables6};
use crate::verdict::{DropReason, Verdict};
use crate::wire::{
    ETHERNET_LEN, EtherType, Frame, ICMP_LEN, IPV6_LEN, Ipv6Header, Protocol, checksum,
    icmpv6_type, unreachable6_code,
};

/// How much of the packet is quoted at most, in bytes: the message has 1280 then, which every link takes
/// (RFC 4443 section 2.4(c)).
const QUOTED_MAX: usize = 1280 - IPV6_LEN - ICMP_LEN;

/// The stage: the packet, which is as it came in, becomes a message to its sender about it, if there
/// may be one.
#[inline(always)]
pub(super) fn run<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    port: &Port,
    packet: &Packet6,
    note: Note,
) -> Result<Verdict, Stop> {
    let (reason, word) = note.reason();
    let ethernet = frame.ethernet().ok_or(reason)?;
    let header: Ipv6Header = frame.read(ETHERNET_LEN).ok_or(reason)?;
    let settings = tables.settings().ok_or(reason)?;
    let own = tables.address6(port.egress).filter(|own| *own != Ipv6::default()).ok_or(reason)?;
    let may = may_be_answered(packet, &header);
    if !may || !tables.take_token(tables.now(), settings.icmp_rate, settings.icmp_burst) {
        return Err(reason.into());
    }
    let (icmp_type, code) = message(reason);
    let quoted = (IPV6_LEN + header.payload_len()).min(QUOTED_MAX);
    let macs = MacPair::new(ethernet.source(), port.mac);
    // The unused word, the MTU, or the pointer.
    let [high, low] = word.to_be_bytes();
    let icmp = [icmp_type, code, 0, 0, 0, 0, high, low];
    write(frame, quoted, macs, (own, header.source()), icmp).ok_or(reason)?;
    Ok(Verdict::Answer { egress: port.egress, reason })
}

/// Type and code of the message about a packet that was dropped for this reason.
#[inline(always)]
fn message(reason: DropReason) -> (u8, u8) {
    match reason {
        DropReason::TtlExceeded => (icmpv6_type::TIME_EXCEEDED, 0),
        DropReason::TooBig => (icmpv6_type::PACKET_TOO_BIG, 0),
        DropReason::NoUplink => (icmpv6_type::UNREACHABLE, unreachable6_code::NO_ROUTE),
        DropReason::SourceUplinkDown => {
            (icmpv6_type::UNREACHABLE, unreachable6_code::SOURCE_POLICY)
        }
        DropReason::NoTranslation | DropReason::Nat64Destination => {
            (icmpv6_type::UNREACHABLE, unreachable6_code::ADDRESS)
        }
        DropReason::AnycastTranslation | DropReason::SourceRoute => {
            (icmpv6_type::PARAMETER_PROBLEM, 0)
        }
        // Of what there are not enough resources for.
        _ => (icmpv6_type::UNREACHABLE, unreachable6_code::PROHIBITED),
    }
}

/// Whether there may be a message about this packet (RFC 4443 section 2.4(e)). Its link-layer
/// destination was the gateway's own, so it is no multicast of the link.
#[inline(always)]
fn may_be_answered(packet: &Packet6, header: &Ipv6Header) -> bool {
    let is_message = matches!(packet.kind, Kind::Error | Kind::OfLink | Kind::Untranslatable);
    !is_message && !header.source().is_martian() && !header.destination().is_multicast()
}

/// Puts the message before the first `quoted` bytes of the packet.
#[inline(always)]
fn write<F: Frame>(
    frame: &mut F,
    quoted: usize,
    macs: MacPair,
    (own, to): (Ipv6, Ipv6),
    icmp: [u8; ICMP_LEN],
) -> Option<()> {
    frame.truncate(ETHERNET_LEN + quoted)?;
    frame.grow_front(IPV6_LEN + ICMP_LEN)?;
    frame.write_macs(macs.words())?;
    frame.write(ETHERNET_LEN - size_of_val(&EtherType::IPV6), EtherType::IPV6)?;
    let len = (ICMP_LEN + quoted) as u16;
    frame.write(ETHERNET_LEN, Ipv6Header::own(len, Protocol::ICMPV6, own, to))?;
    let at = ETHERNET_LEN + IPV6_LEN;
    frame.write(at, icmp)?;
    let sum = checksum::sum_frame(frame, at, usize::from(len))?
        + Ipv6Header::pseudo_header(own, to, Protocol::ICMPV6, len);
    frame.write(at + 2, (!checksum::fold(sum)).to_ne_bytes())
}
