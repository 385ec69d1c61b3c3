//! 4. From the LAN: an unanswered flow, or the answer to one from beyond an uplink.

use super::entry::{self, Inside, Place};
use super::forward::Way;
use super::parse::{Kind, Packet};
use super::{FlowTable, Note, Stage, Stop, Tables, flow, forward, lan, routed};
use crate::abi::{Direction, Flow, FlowKey, LanSide, Opener, Port, SharedU64, ticks};
use crate::verdict::{DropReason, PassReason, Verdict};
use crate::wire::Frame;

/// The stage.
#[inline(always)]
pub(super) fn run<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    port: &Port,
    packet: &Packet,
    note: Note,
) -> Result<Verdict, Stop> {
    let key = &packet.key;
    let (mut known, mut table) = (None, FlowTable::Established);
    let mut is_established = false;
    if matches!(packet.kind, Kind::Opens | Kind::Continues) {
        if !note.is_missed()
            && let Some(flow) = tables.flow(FlowTable::Established, key)
        {
            is_established = true;
            known = flow::usable(tables, flow);
        }
        if known.is_none() {
            (known, table) = (flow::find(tables, FlowTable::Unreplied, key), FlowTable::Unreplied);
        }
    }
    if let Some(route) = known {
        // Whether it is let through is for the stage that knows both ends.
        if route.flow.direction == Direction::Hairpin as u8 {
            return Err(Stop::to(Stage::HairpinOpening));
        }
        if !packet.is_from(frame, port, route.flow.lan) {
            let lan = Inside::sender(frame, packet, port)?.lan;
            follow(tables, table, key, route.flow, lan);
            // The entry may be another one now.
            let moved = flow::find(tables, table, key).unwrap_or(route);
            return forward::send_known(frame, tables, packet, moved);
        }
        return forward::send_known(frame, tables, packet, route);
    }
    admit(tables, port, packet)?;
    let invited = tables.flow(FlowTable::Invited, key);
    if let Some(route) = invited.and_then(|flow| flow::usable(tables, flow)) {
        Way::of(route.flow, route.uplink).check(frame, packet)?;
        if !packet.is_reset() {
            accept(tables, packet, route.flow)?;
        }
        // Read once more, and not kept on the stack meanwhile.
        let way = Way::of(route.flow, route.uplink);
        return forward::send_first(frame, tables, packet, route.flow, route.uplink.mtu, way);
    }
    if routed::uplinks(tables, key.source()).is_some() {
        return Err(Stop::Next(Stage::RoutedOpening, note));
    }
    if is_established && invited.is_none() {
        return Err(Stop::to(Stage::Lost));
    }
    if packet.kind == Kind::Continues {
        return Err(DropReason::Unsolicited.into());
    }
    if invited.is_some() {
        // Beyond another uplink, nobody knows it by another address.
        return Err(Stop::Answer(DropReason::NoUplink, 0));
    }
    Err(Stop::Next(Stage::Opening, note))
}

/// The host is elsewhere than when its flow was opened: what comes for it follows it.
#[inline(always)]
fn follow<T: Tables>(
    tables: &T,
    table: FlowTable,
    key: &FlowKey,
    flow: &Flow<SharedU64>,
    lan: LanSide,
) {
    let mut place = Place::uninit();
    let moved = entry::copy(flow, &mut place);
    moved.lan = lan;
    let peer_key = key.peer(moved);
    // An entry takes the place that it has.
    let _ = tables.replace_flow(table, key, moved);
    // What a mapping was another host's for is not this one's.
    if table == FlowTable::Established
        && let Some(peer) = tables.flow(table, &peer_key)
        && peer_key.peer(peer) == *key
    {
        let moved = entry::copy(peer, &mut place);
        moved.lan = lan;
        let _ = tables.replace_flow(table, &peer_key, moved);
    }
}

/// Whether a packet that is of no flow yet may be of one.
#[inline(always)]
fn admit<T: Tables>(tables: &T, port: &Port, packet: &Packet) -> Result<(), Stop> {
    if let Some(owner) = tables.local(&packet.key.destination().into()) {
        let opens = matches!(packet.kind, Kind::Opens | Kind::Continues);
        return Err(if owner.uplink().is_some() && opens {
            Stop::to(Stage::HairpinOpening)
        } else {
            PassReason::Local.into()
        });
    }
    lan::check(tables, port, packet)?;
    // Nobody else speaks for the gateway (RFC 1812 section 5.3.7).
    if tables.local(&packet.key.source().into()).is_some() {
        return Err(DropReason::Martian.into());
    }
    match packet.kind {
        Kind::Untranslatable => Err(DropReason::Icmp.into()),
        _ if packet.ttl <= 1 => Err(Stop::Answer(DropReason::TtlExceeded, 0)),
        _ => Ok(()),
    }
}

/// The LAN's answer to a flow from beyond an uplink: it becomes an established one.
#[inline(always)]
fn accept<T: Tables>(
    tables: &T,
    packet: &Packet,
    invited: &Flow<SharedU64>,
) -> Result<(), DropReason> {
    let (mut out, mut into) = (Place::uninit(), Place::uninit());
    let out = entry::copy(invited, &mut out);
    out.created = ticks(tables.now());
    let into = entry::opposite(&packet.key, out, Opener::Remote, &mut into);
    into.mark = out.mark;
    into.progress = out.progress;
    out.mark = flow::first_mark(tables, packet).0;
    out.progress = 0;
    entry::establish(tables, FlowTable::Invited, &packet.key, out, into)
}
