//! 4. From the LAN: packets of a flow that nobody has answered, or that need more than its entry.

use super::entry::sending;
use super::outbound::mark;
use super::send;
use crate::abi::{Flow, FlowKey, Port, SharedU64, Uplink};
use crate::path::entry::Place;
use crate::path::ipv6::fragment;
use crate::path::{FlowTable, Note, Packet6, Stage, Stop, Tables6};
use crate::verdict::{DropReason, Verdict};
use crate::wire::Frame;

/// The stage.
#[inline(always)]
pub(super) fn run<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    port: &Port,
    packet: &Packet6,
    note: Note,
) -> Result<Verdict, Stop> {
    if let Some((_, flow, uplink)) = find(tables, packet) {
        send::check_outward(frame, packet, uplink.mtu)?;
        if !packet.is_from(frame, port, flow.lan) && note != Note::OPENED {
            return Err(Stop::to(Stage::Moved64));
        }
        mark(frame, tables, packet, flow);
        record(frame, tables, packet, flow)?;
        return send::outward(frame, tables, packet, flow, uplink);
    }
    if note == Note::OPENED {
        // What the stage before has made, others have pushed out already.
        return Err(DropReason::UnrepliedTableFull.into());
    }
    Err(Stop::to(Stage::Opening64))
}

/// The packet's flow, the table that it is in, and its uplink, if that can send.
#[inline(always)]
pub(super) fn find<'a, T: Tables6>(
    tables: &'a T,
    packet: &Packet6,
) -> Option<(FlowTable, &'a Flow<SharedU64>, &'a Uplink)> {
    let key = packet.key.nat64();
    if let Some((flow, uplink)) = at(tables, FlowTable::Established, &key) {
        return Some((FlowTable::Established, flow, uplink));
    }
    if let Some((flow, uplink)) = at(tables, FlowTable::Unreplied, &key) {
        return Some((FlowTable::Unreplied, flow, uplink));
    }
    // Whoever refuses a flow from beyond an uplink does not make it an established one.
    let (flow, uplink) = at(tables, FlowTable::Invited, &key).filter(|_| packet.is_reset())?;
    Some((FlowTable::Invited, flow, uplink))
}

/// The entry of this key, and its uplink, if that can send.
#[inline(always)]
fn at<'a, T: Tables6>(
    tables: &'a T,
    table: FlowTable,
    key: &FlowKey,
) -> Option<(&'a Flow<SharedU64>, &'a Uplink)> {
    let flow = tables.flow(table, key)?;
    Some((flow, sending(tables, flow)?))
}

/// The first fragment leaves word for the others.
#[inline(always)]
fn record<F: Frame, T: Tables6>(
    frame: &F,
    tables: &T,
    packet: &Packet6,
    flow: &Flow<SharedU64>,
) -> Result<(), DropReason> {
    if !packet.is_first_fragment() {
        return Ok(());
    }
    let key = fragment::key(frame, tables, packet).ok_or(DropReason::Truncated)?;
    let mut place = Place::uninit();
    let first = place.write(flow.map(|_| 0));
    first.progress = packet.fragmented(frame).ok_or(DropReason::Truncated)? as u64;
    tables
        .replace_flow(FlowTable::Fragments, &key.nat64(), first)
        .map_err(|_| DropReason::UnrepliedTableFull)
}
