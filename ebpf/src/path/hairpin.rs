//! 4. From the LAN to a public address: to another LAN host, by its mapping or by a forward, which
//!    sees the sender's own mapping (RFC 4787 section 6).
//!
//! Both entries of an unanswered hairpin flow are made at once, for the answer is a packet of the
//! LAN like any other, and nothing in it tells which mapping is its own.

use super::entry::{self, Common, Inside, Place};
use super::flow::Route;
use super::forward::Way;
use super::inbound::{self, NoTarget, Origin};
use super::mapping::Wanted;
use super::opening::{host_with_room, is_martian, refused, wait_for_answer};
use super::parse::{Kind, Packet};
use super::{FlowTable, Note, Stage, Stop, Tables, flow, forward, routed};
use crate::abi::{
    Direction, Filtering, Flow, FlowKey, Ipv4, L4Port, LAN_REALM, Opener, Port, Settings,
    SharedU64, Uplink, ticks,
};
use crate::verdict::{DropReason, PassReason, Verdict};
use crate::wire::Frame;

/// The stage of packets that are of a flow.
#[inline(always)]
pub(super) fn run<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    port: &Port,
    packet: &Packet,
    _note: Note,
) -> Result<Verdict, Stop> {
    let key = &packet.key;
    if let Some(route) = flow::find(tables, FlowTable::Established, key) {
        return forward::send_known(frame, tables, packet, route);
    }
    if let Some(route) = find_unreplied(tables, key) {
        let way = Way::of(route.flow, route.uplink);
        way.check(frame, packet)?;
        if route.flow.opener == Opener::Lan as u8 {
            flow::mark(frame, tables, route.flow, packet);
        } else if !packet.is_reset() {
            accept(frame, tables, packet, port, route.flow)?;
        }
        return forward::send_first(frame, tables, packet, route.flow, route.uplink.mtu, way);
    }
    // What the stage before has made, others have pushed out already.
    Err(DropReason::UnrepliedTableFull.into())
}

/// The stage of packets that may be of no flow yet: they are, then.
#[inline(always)]
pub(super) fn open<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    port: &Port,
    packet: &Packet,
    _note: Note,
) -> Result<Verdict, Stop> {
    let key = &packet.key;
    let known = flow::find(tables, FlowTable::Established, key);
    if known.or_else(|| find_unreplied(tables, key)).is_some() {
        return Err(Stop::to(Stage::Hairpin));
    }
    let owner = tables.local(&key.destination().into()).ok_or(DropReason::Unsolicited)?;
    let id = owner.uplink().ok_or(PassReason::Local)?;
    let uplink = tables.uplink(id).ok_or(DropReason::NoUplink)?;
    let (origin, inside) = match inbound::target(tables, key, id, uplink) {
        Ok(target) => target,
        Err(NoTarget::Ipv6) => return Err(DropReason::Nat64Untranslatable.into()),
        Err(NoTarget::Refused) => return Err(DropReason::Filtered.into()),
        Err(NoTarget::Nobody) if owner.is_kernel() => return Err(PassReason::Local.into()),
        Err(NoTarget::Nobody) => return Err(DropReason::Unsolicited.into()),
    };
    check(frame, tables, packet, origin, &inside)?;
    open_flow(frame, tables, packet, port, origin, &inside, (id, uplink))?;
    Err(Stop::to(Stage::Hairpin))
}

/// The unanswered flow of this key. It has both its entries only if the other end's mapping takes
/// packets from this one.
#[inline(always)]
fn find_unreplied<'a, T: Tables>(tables: &'a T, key: &FlowKey) -> Option<Route<'a>> {
    let route = flow::find(tables, FlowTable::Unreplied, key)?;
    let other = tables.flow(FlowTable::Unreplied, &key.peer(route.flow));
    (route.flow.direction == Direction::Hairpin as u8 && other.is_some()).then_some(route)
}

/// Whether a packet may open a flow to `inside`.
#[inline(always)]
fn check<F: Frame, T: Tables>(
    frame: &F,
    tables: &T,
    packet: &Packet,
    origin: Origin,
    inside: &Inside,
) -> Result<(), Stop> {
    let source = packet.key.source();
    if is_martian(source) || tables.local(&source.into()).is_some() {
        return Err(DropReason::Martian.into());
    }
    if packet.kind == Kind::Continues {
        return Err(DropReason::Unsolicited.into());
    }
    if origin != Origin::Mapping && !inside.lan.is_resolved() {
        return Err(DropReason::ForwardUnresolved.into());
    }
    Way::to_lan(inside.lan, Direction::Hairpin).check(frame, packet)
}

/// Opens the flow of a packet to `inside`, who is known by its destination.
#[inline(always)]
fn open_flow<F: Frame, T: Tables>(
    frame: &F,
    tables: &T,
    packet: &Packet,
    port: &Port,
    origin: Origin,
    inside: &Inside,
    uplink: (u8, &Uplink),
) -> Result<(), Stop> {
    let key = &packet.key;
    let settings = tables.settings().ok_or(DropReason::NotReady)?;
    let host = host_with_room(tables, settings, key.source(), false)?;
    let sender = Inside::sender(frame, packet, port)?;
    let common = Common::new(tables, key, uplink, Opener::Lan);
    let source = if routed::uplinks(tables, key.source()).is_some() {
        // Whom it asks knows it as it is.
        sender.end()
    } else {
        let wanted = Wanted::new(&sender, key, uplink, common.now);
        wanted
            .find_permitting(tables, settings, key.destination())
            .map_err(refused)?
            .ok_or(Stop::Next(Stage::Mapping, Note::NOTHING.with_mapping(uplink.0, true)))?
    };
    let (mut flow, mut answer) = (Place::uninit(), Place::uninit());
    let flow = common.hairpin(sender.end(), source, key.to(), inside, &mut flow);
    flow.mark = flow::first_mark(tables, packet).0;
    wait_for_answer(tables, key, flow, host).map_err(refused)?;
    if origin == Origin::Mapping && !is_let_in(tables, settings, key, source, inside, flow) {
        return Err(DropReason::Filtered.into());
    }
    let answering = Common { opener: Opener::Remote, ..common };
    let answer = answering.hairpin(inside.end(), key.to(), source, &sender, &mut answer);
    tables
        .replace_flow(FlowTable::Unreplied, &key.peer(flow), answer)
        .map_err(|_| refused(DropReason::UnrepliedTableFull))
}

/// Whether the mapping of the host that `flow` goes to takes packets from `source`.
#[inline(always)]
fn is_let_in<T: Tables>(
    tables: &T,
    settings: &Settings,
    key: &FlowKey,
    source: (Ipv4, L4Port),
    inside: &Inside,
    flow: &Flow,
) -> bool {
    if settings.filtering == Filtering::Endpoint as u8 {
        return true;
    }
    let seen = FlowKey::new(source, key.to(), key.protocol(), LAN_REALM);
    settings.filtering == Filtering::Address as u8
        && inbound::is_permitted(tables, &seen, inside, (flow.uplink, flow.generation))
        || tables.flow(FlowTable::Unreplied, &key.peer(flow)).is_some()
}

/// The answer to an unanswered hairpin flow, by its entry: it becomes an established one.
#[inline(always)]
fn accept<F: Frame, T: Tables>(
    frame: &F,
    tables: &T,
    packet: &Packet,
    port: &Port,
    answer: &Flow<SharedU64>,
) -> Result<(), DropReason> {
    let key = &packet.key;
    let (mut copy, mut opening) = (Place::uninit(), Place::uninit());
    let answer = entry::copy(answer, &mut copy);
    answer.mark = flow::first_mark(tables, packet).0;
    let opening_key = key.peer(answer);
    let common = Common {
        protocol: key.protocol(),
        uplink: answer.uplink,
        generation: answer.generation,
        opener: Opener::Lan,
        now: ticks(tables.now()),
    };
    let (from, to) = ((answer.address, answer.port), (answer.other_address, answer.other_port));
    let sender = Inside::sender(frame, packet, port)?;
    let opening = common.hairpin(to, key.to(), from, &sender, &mut opening);
    // What the opener's packets were is forgotten, but that there were some.
    opening.mark = answer.mark;
    entry::insert_pair(tables, key, answer, opening)?;
    tables.retract_flow(FlowTable::Unreplied, key);
    tables.retract_flow(FlowTable::Unreplied, &opening_key);
    if let Some(host) = tables.host(to.0) {
        host.unreplied.count_down();
    }
    Ok(())
}
