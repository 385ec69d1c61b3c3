//! From an uplink, for a prefix that it routes: more of a flow, or the answer to one.

use super::{establish, find_unanswered, out_key};
use crate::abi::{Direction, Flow, FlowKey, Port, Track};
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
    let key = &packet.key;
    // Whatever has become of the uplink that it was made for.
    if !note.is_missed()
        && let Some(flow) = tables.flow(FlowTable::Established, key)
    {
        let way = Way::to_lan(flow.lan, Direction::In);
        way.check(frame, packet)?;
        flow::mark(frame, tables, flow, packet);
        return forward::send_first(frame, tables, packet, flow, port.mtu, way);
    }
    let out_key = out_key(key);
    let mut table = FlowTable::Unreplied;
    let mut known = find_unanswered(tables, table, &out_key);
    if known.is_none() {
        table = FlowTable::Invited;
        known = find_unanswered(tables, table, &out_key);
    }
    let Some(flow) = known else {
        return Err(Stop::to(Stage::RoutedInvitation));
    };
    let way = Way::to_lan(flow.lan, Direction::In);
    way.check(frame, packet)?;
    let mut place = Place::uninit();
    let entry = entry::copy(flow, &mut place);
    if table == FlowTable::Unreplied {
        answer(tables, packet, &out_key, entry)?;
    } else {
        flow::mark(frame, tables, flow, packet);
    }
    entry.direction = Direction::In as u8;
    forward::send_first(frame, tables, packet, entry, port.mtu, way)
}

/// Makes the flow that a packet answers an established one, unless the packet refuses it.
#[inline(always)]
fn answer<T: Tables>(
    tables: &T,
    packet: &Packet,
    out_key: &FlowKey,
    out: &mut Flow,
) -> Result<(), DropReason> {
    if packet.is_reset() {
        return Ok(());
    }
    let came = Track { mark: flow::first_mark(tables, packet).0, progress: 0 };
    establish(tables, FlowTable::Unreplied, out_key, out, came)
}
