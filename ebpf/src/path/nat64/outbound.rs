//! 3. From the LAN: packets of an established flow, and later fragments.

use super::entry::sending;
use super::send;
use crate::abi::{Flow, Port, SharedU64};
use crate::path::ipv6::fragment;
use crate::path::parse::Kind;
use crate::path::{FlowTable, Note, Packet6, Stage, Stop, Tables6, flow};
use crate::verdict::{DropReason, Verdict};
use crate::wire::Frame;

/// The stage.
#[inline(always)]
pub(super) fn run<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    port: &Port,
    packet: &Packet6,
    _note: Note,
) -> Result<Verdict, Stop> {
    match packet.kind {
        Kind::Opens | Kind::Continues => {}
        Kind::Tail => return send_tail(frame, tables, packet),
        Kind::Error => return Err(Stop::to(Stage::ErrorOut64)),
        Kind::OfLink | Kind::Untranslatable => return Err(Stop::to(Stage::Opening64)),
    }
    send_established(frame, tables, port, packet).unwrap_or(Err(Stop::to(Stage::Known64)))
}

/// Sends a packet of an established flow without a stage of its own. Nothing where it is of none, or needs
/// more, or its frame has tags that are hidden: those go another way when the packet gets shorter.
#[inline(always)]
pub(in crate::path) fn established<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    port: &Port,
    packet: &Packet6,
) -> Option<Result<Verdict, Stop>> {
    if !frame.is_whole() || !matches!(packet.kind, Kind::Opens | Kind::Continues) || packet.starts {
        return None;
    }
    send_established(frame, tables, port, packet)
}

/// Sends a packet of an established flow. Nothing where it is of none, or needs what only other stages do.
#[inline(always)]
fn send_established<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    port: &Port,
    packet: &Packet6,
) -> Option<Result<Verdict, Stop>> {
    let flow = tables.flow(FlowTable::Established, &packet.key.nat64())?;
    let uplink = sending(tables, flow)
        .filter(|_| packet.is_from(frame, port, flow.lan) && !packet.is_first_fragment())?;
    if let Err(stop) = send::check_outward(frame, packet, uplink.mtu) {
        return Some(Err(stop));
    }
    mark(frame, tables, packet, flow);
    Some(send::outward(frame, tables, packet, flow, uplink))
}

/// Marks the entry for the daemon's sweep.
#[inline(always)]
pub(super) fn mark<F: Frame, T: Tables6>(
    frame: &F,
    tables: &T,
    packet: &Packet6,
    flow: &Flow<SharedU64>,
) {
    let (seen, protocol) = ((packet.seen, packet.starts), packet.key.protocol());
    let sequence = || packet.sequence(frame);
    flow::mark_words(tables, (&flow.mark, &flow.progress), seen, protocol, sequence);
}

/// Sends a later fragment the way of the first.
#[inline(always)]
fn send_tail<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    packet: &Packet6,
) -> Result<Verdict, Stop> {
    let key = fragment::key(frame, tables, packet).ok_or(DropReason::Truncated)?;
    let first =
        tables.flow(FlowTable::Fragments, &key.nat64()).ok_or(DropReason::FragmentWithoutFirst)?;
    // It would replace what the first one was let through for (RFC 5722).
    if u64::from(packet.fragment & !1) < first.progress.load() {
        return Err(DropReason::FragmentOverlap.into());
    }
    let uplink = sending(tables, first).ok_or(DropReason::NoUplink)?;
    send::check_outward(frame, packet, uplink.mtu)?;
    send::outward(frame, tables, packet, first, uplink)
}
