//! ICMPv6 errors from the LAN about what has come in for the address that LAN hosts share: whoever sends one
//! appears as that address (RFC 5508 section 4.2, REQ-5).

use super::quoted::{self, End};
use crate::abi::{Masquerade, Pin, Port, SharedU64};
use crate::path::ipv6::error::Quote;
use crate::path::ipv6::{admission, pin, send};
use crate::path::{FlowTable, Note, Packet6, Stop, Tables6};
use crate::verdict::{DropReason, Verdict};
use crate::wire::Frame;
use crate::wire::checksum::Delta;

/// The stage. The one before has found the flow, and that the error goes to its sender.
#[inline(always)]
pub(super) fn run<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    _port: &Port,
    packet: &Packet6,
    _note: Note,
) -> Result<Verdict, Stop> {
    let quote = Quote::read(frame, packet)?;
    let pin = find(tables, packet, &quote).ok_or(DropReason::IcmpMismatch)?;
    quoted::check_sum(frame, packet)?;
    let uplink = pin::sending(tables, pin).ok_or(DropReason::NoUplink)?;
    admission::of_lan_error(tables, &packet.inside, pin.uplink)?;
    let source = send::check_outward(frame, packet, uplink)?;
    let end = End {
        is_source: false,
        old: quote.destination,
        new: (source, pin.port),
        delta: pin.transport_delta,
    };
    let outer = Delta::NONE.without(packet.inside).with(source);
    quoted::rewrite(frame, packet, &quote, end, outer).ok_or(DropReason::Truncated)?;
    send::write_outward(frame, packet, (pin.uplink, uplink), source)
}

/// The pin of the flow that the quoted packet has come in by.
#[inline(always)]
fn find<'a, T: Tables6>(
    tables: &'a T,
    packet: &Packet6,
    quote: &Quote,
) -> Option<&'a Pin<SharedU64>> {
    let key = quote.flow(tables, quote.destination, quote.source);
    let ends = (quote.destination.0, packet.outside);
    let of = |table| {
        pin::of_key(tables, table, &key, true, ends)
            .filter(|pin| pin.masquerade == Masquerade::Out as u8)
    };
    of(FlowTable::Established)
        .or_else(|| of(FlowTable::Unreplied))
        .or_else(|| of(FlowTable::Invited))
}
