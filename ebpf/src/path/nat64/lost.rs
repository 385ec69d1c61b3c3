//! 4. From the LAN: of an established flow that its uplink has lost, as `path/lost.rs` has it of IPv4.

use super::opening::choose;
use super::outbound::mark;
use super::send;
use crate::abi::{Flow, OnFailure, Opener, Port, SharedU64};
use crate::path::ipv6::reset;
use crate::path::{FlowTable, Note, Packet6, Stage, Stop, Tables6, flow, lost};
use crate::verdict::{DropReason, Verdict};
use crate::wire::{Frame, Protocol};

/// The stage. What goes over to another uplink goes on.
#[inline(always)]
pub(super) fn run<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    port: &Port,
    packet: &Packet6,
    _note: Note,
) -> Result<Verdict, Stop> {
    let goes_over = Stop::Next(Stage::Opening64, Note::GOES_OVER);
    let key = packet.key.nat64();
    let flow = tables.flow(FlowTable::Established, &key).ok_or(goes_over)?;
    let policy = lost::on_failure(tables, flow.group);
    if policy == OnFailure::Hold as u8 && flow::current(tables, flow).is_some() {
        return Err(DropReason::Held.into());
    }
    if policy != OnFailure::Reset as u8
        || packet.key.protocol() != Protocol::TCP
        || flow.opener != Opener::Lan as u8
    {
        return Err(goes_over);
    }
    if packet.is_reset() {
        // The other side is told by the only uplink that it knows the connection by, if that still sends.
        let uplink = flow::current(tables, flow).ok_or(goes_over)?;
        send::check_outward(frame, packet, uplink.mtu)?;
        mark(frame, tables, packet, flow);
        return send::outward(frame, tables, packet, flow, uplink);
    }
    if packet.starts || !goes_elsewhere(tables, packet, flow) {
        return Err(goes_over);
    }
    let verdict = reset::answer(frame, port, packet)?;
    lost::mark_over(tables, &flow.mark);
    Ok(verdict)
}

/// Whether the flow would go on by an uplink that it has no address of.
#[inline(always)]
fn goes_elsewhere<T: Tables6>(tables: &T, packet: &Packet6, flow: &Flow<SharedU64>) -> bool {
    let Some(settings) = tables.settings() else { return false };
    let Ok(next) = choose(tables, settings, packet) else { return false };
    next.0 != flow.uplink || !lost::has_address(tables, next, flow)
}
