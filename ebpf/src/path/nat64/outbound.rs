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
    let Some(flow) = tables.flow(FlowTable::Established, &packet.key.nat64()) else {
        return Err(Stop::to(Stage::Known64));
    };
    // What else a packet may need, only the other stages do.
    let Some(uplink) = sending(tables, flow)
        .filter(|_| packet.is_from(frame, port, flow.lan) && !packet.is_first_fragment())
    else {
        return Err(Stop::to(Stage::Known64));
    };
    send::check_outward(frame, packet, uplink.mtu)?;
    mark(frame, tables, packet, flow);
    send::outward(frame, packet, flow, uplink)
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
    send::outward(frame, packet, first, uplink)
}
