//! 3. From an uplink: packets of an established flow, and later fragments.

use super::send;
use crate::abi::{Direction, Port};
use crate::path::parse::Kind;
use crate::path::{FlowTable, Note, Packet, Stop, Tables6, flow, fragment};
use crate::verdict::{DropReason, Verdict};
use crate::wire::Frame;

/// The stage.
#[inline(always)]
pub(super) fn run<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    _port: &Port,
    packet: &Packet,
    _note: Note,
) -> Result<Verdict, Stop> {
    if packet.kind == Kind::Tail {
        return send_tail(frame, tables, packet);
    }
    let nat64 = tables.nat64();
    // Another CPU, or the daemon, may have changed what the stage before has found.
    let flow = tables
        .flow(FlowTable::Established, &packet.key)
        .filter(|flow| flow.direction == Direction::In64 as u8 && nat64.is_set())
        .ok_or(DropReason::Unsolicited)?;
    let uplink = flow::current(tables, flow).ok_or(DropReason::Unsolicited)?;
    send::check_inward(frame, packet, flow.lan)?;
    flow::mark(frame, tables, flow, packet);
    if packet.is_first_fragment() {
        fragment::record(frame, tables, packet, flow)?;
    }
    send::inward(frame, tables, packet, flow, nat64, uplink)
}

/// Sends a later fragment the way of the first.
#[inline(always)]
fn send_tail<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    packet: &Packet,
) -> Result<Verdict, Stop> {
    let nat64 = tables.nat64();
    let first = fragment::first(frame, tables, packet)
        .filter(|first| first.direction == Direction::In64 as u8 && nat64.is_set())
        .ok_or(DropReason::FragmentWithoutFirst)?;
    // It would replace what the first one was let through for (RFC 3128).
    if u64::from(packet.fragment & !1) < first.progress.load() {
        return Err(DropReason::FragmentOverlap.into());
    }
    let uplink = flow::current(tables, first).ok_or(DropReason::FragmentWithoutFirst)?;
    send::check_inward(frame, packet, first.lan)?;
    send::inward(frame, tables, packet, first, nat64, uplink)
}
