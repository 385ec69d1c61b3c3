//! From the LAN, from a prefix that is routed, and of no flow that can go on: a new one, or one that
//! leaves an uplink, whoever has opened it.

use super::{establish, uplinks};
use crate::abi::{
    Flow, FlowKey, Host, Opener, Port, ROUTED_SIDE, Settings, SharedU64, Track, Uplink,
};
use crate::path::entry::{Common, DEFAULT_GROUP, Inside, Place};
use crate::path::forward::{self, Way};
use crate::path::opening::{check_addresses, check_room, refused, wait_for_answer};
use crate::path::parse::{Kind, Packet};
use crate::path::{FlowTable, Note, Stop, Tables, flow, select};
use crate::verdict::{DropReason, Verdict};
use crate::wire::Frame;

/// The stage. The one before has admitted the packet.
#[inline(always)]
pub(in crate::path) fn run<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    port: &Port,
    packet: &Packet,
    note: Note,
) -> Result<Verdict, Stop> {
    let key = &packet.key;
    let settings = tables.settings().ok_or(DropReason::NotReady)?;
    check_addresses(key)?;
    let (old, table) = old(tables, key, note);
    if packet.kind == Kind::Continues && old.is_none() {
        return Err(DropReason::Unsolicited.into());
    }
    // By a port that is forwarded to it, nobody knows it by its own address.
    if old.is_some_and(|old| !old.is_routed() && old.opener == Opener::Remote as u8) {
        return Err(Stop::Answer(DropReason::NoUplink, 0));
    }
    let host = tables.host(key.source()).ok_or(DropReason::UnrepliedTableFull)?;
    let (side, uplink) = choose(tables, settings, (key, host))?;
    forward::check(frame, packet.ttl, uplink.mtu)?;
    let opener = match old {
        Some(old) if old.opener == Opener::Remote as u8 => Opener::Remote,
        _ => Opener::Lan,
    };
    let inside = Inside::sender(frame, packet, port)?;
    let common = Common::new(tables, key, (side, uplink), opener);
    let mut out = Place::uninit();
    let out = common.outward(&inside, inside.end(), &mut out);
    out.mark = flow::first_mark(tables, packet).0;
    match old {
        Some(old) => go_over(tables, packet, old, table, out).map_err(refused)?,
        None => {
            check_room(host, settings, false)?;
            wait_for_answer(tables, key, out, host).map_err(refused)?;
        }
    }
    if opener == Opener::Lan {
        select::place(host, side - ROUTED_SIDE, common.now);
    }
    forward::send_first(frame, tables, packet, out, uplink.mtu, Way::out(uplink))
}

/// The entry by which the flow has left so far, and its table, if it has been answered, or is to be by
/// this packet.
#[inline(always)]
fn old<'a, T: Tables>(
    tables: &'a T,
    key: &FlowKey,
    note: Note,
) -> (Option<&'a Flow<SharedU64>>, FlowTable) {
    if !note.is_missed()
        && let Some(old) = tables.flow(FlowTable::Established, key)
    {
        return (Some(old), FlowTable::Established);
    }
    (tables.flow(FlowTable::Invited, key), FlowTable::Invited)
}

/// The routed side of the uplink that the flow takes, among those that route its source.
#[inline(always)]
fn choose<'a, T: Tables>(
    tables: &'a T,
    settings: &Settings,
    of: (&FlowKey, &Host<SharedU64>),
) -> Result<(u8, &'a Uplink), Stop> {
    const NONE: Stop = Stop::Answer(DropReason::NoUplink, 0);
    let uplinks = uplinks(tables, of.0.source()).ok_or(NONE)?;
    let id = select::uplink(tables, settings, DEFAULT_GROUP, of, uplinks).ok_or(NONE)?;
    let side = ROUTED_SIDE + id;
    let uplink = tables.uplink(side).filter(|uplink| uplink.generation != 0);
    Ok((side, uplink.ok_or(NONE)?))
}

/// Has a flow leave by `out` from now on. One that the LAN had yet to answer is an established one
/// then, unless the packet refuses it.
#[inline(always)]
fn go_over<T: Tables>(
    tables: &T,
    packet: &Packet,
    old: &Flow<SharedU64>,
    table: FlowTable,
    out: &mut Flow,
) -> Result<(), DropReason> {
    if table == FlowTable::Invited && packet.is_reset() {
        return Ok(());
    }
    // What has come in so far still counts.
    let came = match table {
        FlowTable::Established => tables.flow(table, &packet.key.peer(out)),
        _ => Some(old),
    };
    let came = came.map_or_else(Track::default, |came| Track {
        mark: came.mark.load(),
        progress: came.progress.load(),
    });
    establish(tables, table, &packet.key, out, came)
}
