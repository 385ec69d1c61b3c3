//! 4. From an uplink, and of no established flow: the answer to an unanswered one, or more of one that the
//!    LAN has yet to answer.

use super::entry::{self, Common, Ends};
use super::send;
use crate::abi::{
    Flow, FlowKey, Ipv4, Ipv6, L4Port, Opener, Port, SharedU64, Uplink, ticks, to_ipv6,
};
use crate::path::entry::{Place, copy};
use crate::path::{FlowTable, Note, Packet, Stage, Stop, Tables6, flow, fragment};
use crate::verdict::{DropReason, Verdict};
use crate::wire::Frame;

/// The stage.
#[inline(always)]
pub(super) fn run<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    port: &Port,
    packet: &Packet,
    note: Note,
) -> Result<Verdict, Stop> {
    let uplink = tables.uplink(port.uplink).ok_or(DropReason::NoUplink)?;
    let by = (port.uplink, uplink);
    let inside = target(tables, &packet.key, by).ok_or(DropReason::Unsolicited)?;
    let out_key = out_key(tables, &packet.key, inside);
    let known = [FlowTable::Unreplied, FlowTable::Invited]
        .into_iter()
        .find_map(|table| Some((table, opened(tables, table, &out_key, &packet.key, uplink)?)));
    let Some((table, out)) = known else {
        return Err(Stop::Next(Stage::Invitation64, note));
    };
    send::check_inward(frame, packet, out.lan)?;
    // Whoever refuses a flow does not make it an established one.
    if table == FlowTable::Unreplied && !packet.is_reset() {
        return Err(Stop::to(Stage::Promotion64));
    }
    let mut into = Place::uninit();
    let into = into_of(tables, &packet.key, by, inside, &mut into);
    into.lan = out.lan;
    if table == FlowTable::Invited {
        flow::mark(frame, tables, out, packet);
    }
    if packet.is_first_fragment() {
        // Were it an error, the compiler would go on with a register that nothing was put into.
        if let Err(reason) = fragment::record(frame, tables, packet, into) {
            return Ok(Verdict::Drop(reason));
        }
    }
    send::inward(frame, tables, packet, into, tables.nat64(), uplink)
}

/// The stage of an answer to an unanswered flow: it becomes an established one, which the packet then goes
/// on by.
#[inline(always)]
pub(super) fn promote<F: Frame, T: Tables6>(
    _frame: &mut F,
    tables: &T,
    port: &Port,
    packet: &Packet,
    _note: Note,
) -> Result<Verdict, Stop> {
    let uplink = tables.uplink(port.uplink).ok_or(DropReason::NoUplink)?;
    let by = (port.uplink, uplink);
    let inside = target(tables, &packet.key, by).ok_or(DropReason::Unsolicited)?;
    let out_key = out_key(tables, &packet.key, inside);
    let opened = opened(tables, FlowTable::Unreplied, &out_key, &packet.key, uplink)
        .ok_or(DropReason::UnrepliedTableFull)?;
    let (mut out, mut into) = (Place::uninit(), Place::uninit());
    let out = copy(opened, &mut out);
    let into = into_of(tables, &packet.key, by, inside, &mut into);
    into.lan = out.lan;
    into.mark = flow::first_mark(tables, packet).0;
    into.opener = Opener::Lan as u8;
    entry::insert_pair(tables, (&out_key, out), (&packet.key, into))?;
    tables.retract_flow(FlowTable::Unreplied, &out_key);
    if let Some(host) = tables.host(out.host_digest().account()) {
        host.unreplied.count_down();
    }
    Err(Stop::to(Stage::Inbound64))
}

/// Whose the public address and port is that a packet of this key comes to.
#[inline(always)]
pub(super) fn target<T: Tables6>(
    tables: &T,
    key: &FlowKey,
    (id, uplink): (u8, &Uplink),
) -> Option<(Ipv6, L4Port)> {
    if !tables.nat64().is_set() {
        return None;
    }
    let outer = FlowKey::external(Ipv4::default(), key.to(), key.protocol(), id);
    let binding = tables.binding(&outer)?;
    let is_current = binding.generation == uplink.generation && binding.address.is_account();
    is_current.then(|| (binding.lan.to_ipv6(), binding.port))
}

/// The key of what the LAN host sends to whom a packet of this key is from.
#[inline(always)]
pub(super) fn out_key<T: Tables6>(tables: &T, key: &FlowKey, inside: (Ipv6, L4Port)) -> FlowKey {
    let outside = (tables.nat64().embed(key.source()), key.source_port());
    FlowKey::pinned(tables.digest_key(), inside, outside, to_ipv6(key.protocol())).nat64()
}

/// The entry of a flow that nobody has answered, if it appears as what a packet of the key `answer` comes
/// to.
#[inline(always)]
pub(super) fn opened<'a, T: Tables6>(
    tables: &'a T,
    table: FlowTable,
    out_key: &FlowKey,
    answer: &FlowKey,
    uplink: &Uplink,
) -> Option<&'a Flow<SharedU64>> {
    let flow = tables.flow(table, out_key)?;
    let is_answered = (flow.address, flow.port) == answer.to()
        && flow.uplink + 1 == answer.realm()
        && flow.generation == uplink.generation;
    is_answered.then_some(flow)
}

/// The entry by which a packet of this key goes to `inside`; how that is reached is not known yet.
#[inline(always)]
pub(super) fn into_of<'p, T: Tables6>(
    tables: &T,
    key: &FlowKey,
    by: (u8, &Uplink),
    inside: (Ipv6, L4Port),
    place: &'p mut Place,
) -> &'p mut Flow {
    let common = Common::new(by, Default::default(), Opener::Remote as u8, ticks(tables.now()));
    entry::inward(&ends(key, inside), tables.nat64(), common, place)
}

/// The ends of the flow of a packet of this key that goes to `inside`.
#[inline(always)]
pub(super) fn ends(key: &FlowKey, inside: (Ipv6, L4Port)) -> Ends {
    Ends { inside, public: key.to(), remote: key.source(), protocol: key.protocol() }
}
