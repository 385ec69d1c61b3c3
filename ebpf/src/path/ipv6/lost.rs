//! 4. From the LAN: of an established flow that its uplink has lost, as `path/lost.rs` has it of IPv4.

use super::opening::choose;
use super::parse::Packet6;
use super::{outbound, pin, reset, translate};
use crate::abi::{Ipv6, Ipv6Mode, Masquerade, OnFailure, Opener, Pin, Port, SharedU64, Uplink6};
use crate::path::parse::Kind;
use crate::path::{FlowTable, Note, Stage, Stop, Tables6, lost};
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
    let goes_over = Stop::to(Stage::Opening6);
    let Some(pin) = pin::find(tables, FlowTable::Established, packet) else {
        // It has been swept since.
        let refused = packet.kind == Kind::Continues;
        return Err(if refused { DropReason::Unsolicited.into() } else { goes_over });
    };
    let policy = lost::on_failure(tables, pin.group);
    let uplink = tables.uplink6(pin.uplink).filter(|uplink| uplink.generation == pin.generation);
    if policy == OnFailure::Hold as u8 && uplink.is_some_and(translates) {
        return Err(DropReason::Held.into());
    }
    if policy != OnFailure::Reset as u8
        || packet.key.protocol() != Protocol::TCP
        || pin.opener != Opener::Lan as u8
    {
        return Err(goes_over);
    }
    if packet.is_reset() {
        // The other side is told by the only uplink that it knows the connection by, if that still sends.
        let uplink = uplink.filter(|uplink| translates(uplink)).ok_or(goes_over)?;
        return outbound::send_known(frame, tables, packet, pin, uplink);
    }
    if packet.starts || !goes_elsewhere(tables, packet, pin, uplink) {
        return Err(goes_over);
    }
    let verdict = reset::answer(frame, port, packet)?;
    lost::mark_over(tables, &pin.out.mark);
    Ok(verdict)
}

/// Whether an uplink shows another address than the host's own.
#[inline(always)]
fn translates(uplink: &Uplink6) -> bool {
    uplink.mode == Ipv6Mode::Nptv6 as u8 || uplink.mode == Ipv6Mode::Nat66 as u8
}

/// Whether the flow would go on with another address than it has by its uplink, which is this one, if that has
/// the address still.
#[inline(always)]
fn goes_elsewhere<T: Tables6>(
    tables: &T,
    packet: &Packet6,
    pin: &Pin<SharedU64>,
    uplink: Option<&Uplink6>,
) -> bool {
    let Ok((_, next)) = choose(tables, packet, Some(pin)) else { return false };
    let Ok(shown) = translate::external(next, packet.inside) else { return false };
    match address(packet, pin, uplink) {
        Some(known) => shown != known,
        // It is not known any more, unless it can only have been the host's own.
        None => translates(next),
    }
}

/// The address that the flow has outside.
#[inline(always)]
fn address(packet: &Packet6, pin: &Pin<SharedU64>, uplink: Option<&Uplink6>) -> Option<Ipv6> {
    if pin.masquerade == Masquerade::Out as u8 {
        return Some(pin.into.map(SharedU64::load).to_address());
    }
    translate::external(uplink?, packet.inside).ok()
}
