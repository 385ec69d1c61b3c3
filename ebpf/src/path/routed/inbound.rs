//! From an uplink, for a prefix that it routes: more of a flow, or the answer to one.

use super::{establish, find_unanswered, out_key};
use crate::abi::{Direction, Flow, FlowKey, Port, SharedU64, Track};
use crate::path::entry::{self, Place};
use crate::path::forward::{self, Way};
use crate::path::parse::{Kind, Packet};
use crate::path::{FlowTable, Note, Stage, Stop, Tables, flow};
use crate::verdict::{DropReason, Verdict};
use crate::wire::Frame;

/// The stage.
#[inline(always)]
pub(in crate::path) fn run<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    port: &Port,
    packet: &Packet,
    note: Note,
) -> Result<Verdict, Stop> {
    if !matches!(packet.kind, Kind::Opens | Kind::Continues) {
        return Err(Stop::to(Stage::RoutedInvitation));
    }
    let out_key = out_key(&packet.key);
    let Some((table, flow)) = find(tables, packet, &out_key, note) else {
        return Err(Stop::to(Stage::RoutedInvitation));
    };
    let way = Way::to_lan(flow.lan, Direction::In);
    way.check(frame, packet)?;
    // Whoever refuses a flow does not make it an established one.
    if table == FlowTable::Unreplied && !packet.is_reset() {
        answer(tables, packet, &out_key, flow)?;
        // As which it is found now.
        return Err(Stop::to(Stage::RoutedInbound));
    }
    if table != FlowTable::Unreplied {
        flow::mark(frame, tables, flow, packet);
    }
    let mut place = Place::uninit();
    let entry = entry::copy(flow, &mut place);
    entry.direction = Direction::In as u8;
    forward::send_first(frame, tables, packet, entry, port.mtu, way)
}

/// The packet's flow, whatever has become of the uplink that it was made for, and the table that it is in.
#[inline(always)]
fn find<'a, T: Tables>(
    tables: &'a T,
    packet: &Packet,
    out_key: &FlowKey,
    note: Note,
) -> Option<(FlowTable, &'a Flow<SharedU64>)> {
    if !note.is_missed()
        && let Some(flow) = tables.flow(FlowTable::Established, &packet.key)
    {
        return Some((FlowTable::Established, flow));
    }
    if let Some(flow) = find_unanswered(tables, FlowTable::Unreplied, out_key) {
        return Some((FlowTable::Unreplied, flow));
    }
    let flow = find_unanswered(tables, FlowTable::Invited, out_key)?;
    Some((FlowTable::Invited, flow))
}

/// Makes the flow that a packet answers an established one.
#[inline(always)]
fn answer<T: Tables>(
    tables: &T,
    packet: &Packet,
    out_key: &FlowKey,
    unanswered: &Flow<SharedU64>,
) -> Result<(), DropReason> {
    let mut place = Place::uninit();
    let out = entry::copy(unanswered, &mut place);
    let came = Track { mark: flow::first_mark(tables, packet).0, progress: 0 };
    establish(tables, FlowTable::Unreplied, out_key, out, came)
}
