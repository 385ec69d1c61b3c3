//! 4. From an uplink: the answer to an unanswered flow, or something for a mapping or a forward.

use super::entry::{self, Common, Inside, Place};
use super::forward::Way;
use super::opening::is_martian;
use super::parse::{Kind, Packet};
use super::{FlowTable, Note, Stage, Stop, Tables, flow, forward, mapping};
use crate::abi::{
    AddressOwner, Direction, Filtering, Flow, FlowKey, Forward, Ipv4, L4Port, MAX_FORWARDS, Opener,
    Port, SharedU64, Uplink, has_mapped_ports, mapping_remote,
};
use crate::verdict::{DropReason, PassReason, Verdict};
use crate::wire::{Frame, Protocol};

/// The ports of DHCP (RFC 2131 section 4.1).
const DHCP_SERVER: L4Port = L4Port::from_host(67);
const DHCP_CLIENT: L4Port = L4Port::from_host(68);

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
    if !matches!(packet.kind, Kind::Opens | Kind::Continues) {
        return Err(not_ours(tables, packet));
    }
    if !note.is_missed()
        && let Some(route) = flow::find(tables, FlowTable::Established, key)
    {
        if route.flow.direction == Direction::In64 as u8 {
            return Err(Stop::to(Stage::Inbound64));
        }
        return forward::send_known(frame, tables, packet, route);
    }
    let uplink = tables.uplink(port.uplink).ok_or(DropReason::NoUplink)?;
    let (origin, inside) = match target(tables, key, port.uplink, uplink) {
        Ok(target) => target,
        Err(NoTarget::Ipv6) => return Err(Stop::to(Stage::Reply64)),
        Err(NoTarget::Refused) => return Err(DropReason::Filtered.into()),
        Err(NoTarget::Nobody) => return Err(not_ours(tables, packet)),
    };
    let common = Common::new(tables, key, (port.uplink, uplink), Opener::Remote);
    let mut into = Place::uninit();
    let into = common.inward(key.to(), &inside, &mut into);
    let admission = admit(tables, packet, origin, &inside, into, &common)?;
    // Where the flow's own packets come from: the mapping may be older.
    if let Some(flow) = admission.answers.or(admission.invited) {
        into.lan = flow.lan;
    }
    let way = Way::to_lan(into.lan, Direction::In);
    way.check(frame, packet)?;
    record(frame, tables, packet, admission, &inside, into, &common)?;
    forward::send_first(frame, tables, packet, into, uplink.mtu, way)
}

/// By what an inbound packet finds its LAN host.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Mapping,
    Forward,
    /// One that no other uplink has, of those that are alive and not closed.
    OnlyForward,
}

/// Whose a public address and port is, that a packet of this key comes to.
#[inline(always)]
pub(super) fn target<T: Tables>(
    tables: &T,
    key: &FlowKey,
    id: u8,
    uplink: &Uplink,
) -> Result<(Origin, Inside), NoTarget> {
    let remote = mapping_remote(key.protocol(), key.source());
    let outer = FlowKey::external(remote, key.to(), key.protocol(), id);
    if let Some(binding) = tables.binding(&outer)
        && binding.generation == uplink.generation
    {
        if binding.address.is_account() {
            return Err(NoTarget::Ipv6);
        }
        return Ok((Origin::Mapping, Inside::of_binding(binding)));
    }
    if !matches!(key.protocol(), Protocol::TCP | Protocol::UDP) {
        return Err(NoTarget::Nobody);
    }
    let owner = tables.local(&key.destination().into());
    if owner.and_then(AddressOwner::uplink) != Some(id) {
        return Err(NoTarget::Nobody);
    }
    let index = tables.find_forward(key, id).ok_or(NoTarget::Nobody)?;
    // A place beyond the last is that of a forward that does not take the sender's packets.
    let forward = tables.forward(index).ok_or(NoTarget::Refused)?;
    let origin = if is_only_way(tables, forward) { Origin::OnlyForward } else { Origin::Forward };
    Ok((origin, Inside::of_forward(forward, key.destination_port())))
}

/// Why there is no LAN host for a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum NoTarget {
    /// Neither a mapping nor a forward is there.
    Nobody,
    /// The mapping is of a host of IPv6.
    Ipv6,
    /// A forward is there, but takes nothing from the sender.
    Refused,
}

/// The index of the first forward that holds for a packet of this key to the uplink's address, or
/// [`MAX_FORWARDS`], which is none's, where those that would hold take nothing from the sender.
/// Called through [`Tables::find_forward`].
#[inline(always)]
pub fn find_forward<T: Tables>(tables: &T, key: &FlowKey, uplink: u8) -> Option<u32> {
    let count = tables.settings()?.forwards;
    let mut found = None;
    for index in 0..MAX_FORWARDS as u32 {
        if index >= count {
            break;
        }
        let forward = tables.forward(index)?;
        if forward.protocol == key.protocol()
            && forward.uplinks >> (uplink & 63) & 1 == 1
            && forward.ports.contains(key.destination_port())
        {
            if admits(forward, key.source()) {
                return Some(index);
            }
            found = Some(MAX_FORWARDS as u32);
        }
    }
    found
}

/// Whether the forward takes packets from this sender.
#[inline(always)]
fn admits(forward: &Forward, source: Ipv4) -> bool {
    // Prefixes beyond the count hold no address.
    forward.source_count == 0 || forward.sources.iter().any(|prefix| prefix.contains(source))
}

/// Why a packet is let in: the entry from the LAN that says so. There is none where it is the first
/// of a flow that the LAN has yet to answer.
#[derive(Clone, Copy)]
struct Admission<'a> {
    /// Of the flow that it answers.
    answers: Option<&'a Flow<SharedU64>>,
    /// Of the flow that the LAN has yet to answer.
    invited: Option<&'a Flow<SharedU64>>,
}

/// Whether a packet is let in that came for `inside`, whose entry is `into`.
#[inline(always)]
fn admit<'a, T: Tables>(
    tables: &'a T,
    packet: &Packet,
    origin: Origin,
    inside: &Inside,
    into: &Flow,
    common: &Common,
) -> Result<Admission<'a>, DropReason> {
    let key = &packet.key;
    if origin != Origin::Mapping && !inside.lan.is_resolved() {
        return Err(DropReason::ForwardUnresolved);
    }
    let out_key = key.peer(into);
    if let Some(route) = flow::find_translated(tables, FlowTable::Unreplied, &out_key, key) {
        return Ok(Admission { answers: Some(route.flow), invited: None });
    }
    if let Some(route) = flow::find_translated(tables, FlowTable::Invited, &out_key, key) {
        return Ok(Admission { answers: None, invited: Some(route.flow) });
    }
    if is_spoofed(tables, key.source()) {
        return Err(DropReason::Martian);
    }
    let is_let_in = match origin {
        Origin::Forward => !is_closed(tables, common.uplink) && !packet.is_reset(),
        Origin::OnlyForward => !packet.is_reset(),
        Origin::Mapping => is_let_in(tables, packet, inside, common),
    };
    if is_let_in {
        Ok(Admission { answers: None, invited: None })
    } else {
        Err(DropReason::Filtered)
    }
}

/// Whether whoever wants to the forward's host has no other way: where no uplink of the forward is both
/// alive and open.
#[inline(always)]
fn is_only_way<T: Tables>(tables: &T, forward: &Forward) -> bool {
    let closed = tables.settings().map_or(0, |settings| settings.closed);
    forward.uplinks & tables.alive() & !closed == 0
}

/// Whether nobody beyond the uplink opens a flow by it.
#[inline(always)]
fn is_closed<T: Tables>(tables: &T, uplink: u8) -> bool {
    tables.settings().is_none_or(|settings| settings.is_closed(uplink))
}

/// Whether nobody beyond an uplink can have this address: it must not cross a router, or is the
/// gateway's own, or of the LAN (RFC 1812 sections 5.3.7 and 5.3.8).
#[inline(always)]
pub(super) fn is_spoofed<T: Tables>(tables: &T, source: Ipv4) -> bool {
    is_martian(source)
        || tables.local(&source.into()).is_some()
        || tables.lan_network(source).is_some()
}

/// Notes a packet that was let in: an answer makes its flow an established one.
#[inline(always)]
fn record<F: Frame, T: Tables>(
    frame: &F,
    tables: &T,
    packet: &Packet,
    admission: Admission<'_>,
    inside: &Inside,
    into: &mut Flow,
    common: &Common,
) -> Result<(), DropReason> {
    let key = &packet.key;
    let mut out = Place::uninit();
    if let Some(flow) = admission.answers {
        // Whoever refuses a flow does not make it an established one.
        if packet.is_reset() {
            return Ok(());
        }
        let out = entry::copy(flow, &mut out);
        into.mark = flow::first_mark(tables, packet).0;
        into.opener = Opener::Lan as u8;
        return entry::establish(tables, FlowTable::Unreplied, &key.peer(into), out, into);
    }
    if let Some(flow) = admission.invited {
        flow::mark(frame, tables, flow, packet);
        return Ok(());
    }
    let out = common.outward(inside, key.to(), &mut out);
    out.mark = flow::first_mark(tables, packet).0;
    tables
        .replace_flow(FlowTable::Invited, &key.peer(into), out)
        .map_err(|_| DropReason::UnrepliedTableFull)
}

/// Whether a mapping takes what nobody has asked for (RFC 4787 section 5). Never where mappings are
/// by pairs of addresses, or the uplink is closed, and never what could open no flow.
#[inline(always)]
fn is_let_in<T: Tables>(tables: &T, packet: &Packet, inside: &Inside, common: &Common) -> bool {
    let key = &packet.key;
    if packet.is_reset() || !has_mapped_ports(key.protocol()) {
        return false;
    }
    let Some(settings) = tables.settings() else {
        return false;
    };
    if settings.is_closed(common.uplink) {
        return false;
    }
    let filtering = settings.filtering;
    filtering == Filtering::Endpoint as u8
        || filtering == Filtering::Address as u8
            && is_permitted(tables, key, inside, (common.uplink, common.generation))
}

/// Whether the LAN host that has the mapping now has sent to the sender's address.
#[inline(always)]
pub(super) fn is_permitted<T: Tables>(
    tables: &T,
    key: &FlowKey,
    inside: &Inside,
    (id, generation): (u8, u32),
) -> bool {
    let permission = FlowKey::external(key.source(), key.to(), key.protocol(), id);
    tables.binding(&permission).is_some_and(|permission| {
        (permission.address, permission.port) == inside.end() && permission.generation == generation
    })
}

/// What becomes of a packet for no LAN host.
///
/// The kernel does not see what comes to a port that mappings may have: it would answer, and a
/// connection that both ends open at a time would end before the LAN host's SYN (RFC 5382 section
/// 4.3, REQ-4).
#[inline(always)]
fn not_ours<T: Tables>(tables: &T, packet: &Packet) -> Stop {
    let key = &packet.key;
    if is_lease(key) {
        return PassReason::Local.into();
    }
    let owner = tables.local(&key.destination().into());
    let is_handed_out = matches!(key.protocol(), Protocol::TCP | Protocol::UDP)
        && matches!(packet.kind, Kind::Opens | Kind::Continues)
        && mapping::is_handed_out(tables, key.protocol(), key.destination_port());
    match owner {
        Some(owner) if owner.is_kernel() && !is_handed_out => PassReason::Local.into(),
        _ => DropReason::Unsolicited.into(),
    }
}

/// Whether it is from a DHCP server to a client: a lease is sent to an address that the gateway
/// does not have yet (RFC 2131 section 4.1).
#[inline(always)]
fn is_lease(key: &FlowKey) -> bool {
    key.protocol() == Protocol::UDP
        && key.source_port() == DHCP_SERVER
        && key.destination_port() == DHCP_CLIENT
}
