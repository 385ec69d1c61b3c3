//! 4. From the LAN: of an established flow that its uplink has lost, because it cannot send or has another
//!    address by now. What becomes of it is for its group to say ([`OnFailure`]).

use super::flow::Route;
use super::parse::{Kind, Packet};
use super::{FlowTable, Note, Stage, Stop, Tables, flow, forward, reset, select};
use crate::abi::{
    AddressOwner, Direction, Flow, FlowKey, Mark, OnFailure, Opener, Port, SharedU64, Uplink,
};
use crate::verdict::{DropReason, Verdict};
use crate::wire::{Frame, Protocol};

/// The stage. What goes over to another uplink goes on.
#[inline(always)]
pub(super) fn run<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    port: &Port,
    packet: &Packet,
    _note: Note,
) -> Result<Verdict, Stop> {
    let key = &packet.key;
    let refused = packet.kind == Kind::Continues;
    let Some(flow) = tables.flow(FlowTable::Established, key) else {
        // It has been swept since.
        return if refused {
            Err(UNSOLICITED)
        } else {
            Err(Stop::Next(Stage::Opening, Note::MISSED))
        };
    };
    let policy = on_failure(tables, flow.group);
    if policy == OnFailure::Hold as u8 && flow::current(tables, flow).is_some() {
        return Err(DropReason::Held.into());
    }
    if policy == OnFailure::Reset as u8 && may_reset(flow, key) {
        if packet.is_reset() {
            // The other side is told by the only uplink that it knows the connection by, if that still sends.
            let uplink = flow::current(tables, flow).ok_or(UNSOLICITED)?;
            return forward::send_known(frame, tables, packet, Route { flow, uplink });
        }
        if !packet.starts && goes_elsewhere(tables, key, flow) {
            let verdict = reset::answer(frame, port, packet)?;
            mark_over(tables, &flow.mark);
            return Ok(verdict);
        }
    }
    if refused { Err(UNSOLICITED) } else { Err(Stop::to(Stage::Opening)) }
}

/// Of what opens no flow.
const UNSOLICITED: Stop = Stop::Drop(DropReason::Unsolicited);

/// What becomes of the flows of this group: an [`OnFailure`].
#[inline(always)]
pub(super) fn on_failure<T: Tables>(tables: &T, group: u8) -> u8 {
    tables.group(group).map_or(OnFailure::Rehome as u8, |group| group.on_failure)
}

/// Whether the flow is a connection that its LAN host can open anew.
#[inline(always)]
fn may_reset(flow: &Flow<SharedU64>, key: &FlowKey) -> bool {
    key.protocol() == Protocol::TCP
        && flow.opener == Opener::Lan as u8
        && flow.direction == Direction::Out as u8
}

/// Whether the flow would go on by an uplink that it has no address of: none of that is known at the other end.
#[inline(always)]
fn goes_elsewhere<T: Tables>(tables: &T, key: &FlowKey, flow: &Flow<SharedU64>) -> bool {
    let Some(settings) = tables.settings() else { return false };
    let Some(host) = tables.host(key.source()) else { return false };
    let of = (key, host);
    let Some(id) = select::uplink(tables, settings, flow.group, of, settings.nat44) else {
        return false;
    };
    match tables.uplink(id) {
        Some(uplink) if uplink.generation != 0 => {
            id != flow.uplink || !has_address(tables, (id, uplink), flow)
        }
        _ => false,
    }
}

/// Whether the address that the flow is translated to is one of the uplink's.
#[inline(always)]
pub(super) fn has_address<T: Tables>(
    tables: &T,
    (id, uplink): (u8, &Uplink),
    flow: &Flow<SharedU64>,
) -> bool {
    let owner = || tables.local(&flow.address.into()).and_then(AddressOwner::uplink);
    uplink.address == flow.address || owner() == Some(id)
}

/// Notes that a connection is over, so that its entries are soon gone.
#[inline(always)]
pub(super) fn mark_over<T: Tables>(tables: &T, mark: &SharedU64) {
    let seen = Mark(mark.load()).seen() | Mark::RST;
    mark.store(flow::mark_of(tables, seen).0);
}
