//! 4. From the LAN: of a flow whose host is elsewhere than when it was opened.

use super::known::find;
use crate::abi::{Flow, FlowKey, LanSide, Port, SharedU64};
use crate::path::entry::{Place, copy};
use crate::path::{FlowTable, Note, Packet6, Stage, Stop, Tables6};
use crate::verdict::{DropReason, Verdict};
use crate::wire::Frame;

/// The stage: what comes for the host follows it.
#[inline(always)]
pub(super) fn run<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    port: &Port,
    packet: &Packet6,
    _note: Note,
) -> Result<Verdict, Stop> {
    let (table, flow, _) = find(tables, packet).ok_or(DropReason::NoUplink)?;
    let (key, lan) = (packet.key.nat64(), packet.sender(frame, port)?);
    let in_key = (table == FlowTable::Established).then(|| key.inward64(flow));
    for key in [Some(key), in_key].into_iter().flatten() {
        if let Some(flow) = tables.flow(table, &key) {
            move_to(tables, table, &key, flow, lan);
        }
    }
    Err(Stop::Next(Stage::Known64, Note::OPENED))
}

/// Writes an entry anew, in the place that it has.
#[inline(always)]
fn move_to<T: Tables6>(
    tables: &T,
    table: FlowTable,
    key: &FlowKey,
    flow: &Flow<SharedU64>,
    lan: LanSide,
) {
    let mut place = Place::uninit();
    let moved = copy(flow, &mut place);
    moved.lan = lan;
    let _ = tables.replace_flow(table, key, moved);
}
