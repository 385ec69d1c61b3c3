//! 4. From the LAN: an unanswered flow, or the answer to one from outside.

use super::admission::{self, Site};
use super::parse::Packet6;
use super::pin::{self, Place};
use super::send;
use crate::abi::{Pin, Port, SharedU64, Uplink6};
use crate::path::parse::Kind;
use crate::path::{FlowTable, Note, Stage, Stop, Tables6};
use crate::verdict::{DropReason, Verdict};
use crate::wire::Frame;

/// The stage.
#[inline(always)]
pub(super) fn run<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    _port: &Port,
    packet: &Packet6,
    note: Note,
) -> Result<Verdict, Stop> {
    let of_flow = matches!(packet.kind, Kind::Opens | Kind::Continues);
    let established = if of_flow && !note.is_missed() {
        pin::find(tables, FlowTable::Established, packet)
    } else {
        None
    };
    let mut known = established;
    if known.is_none() && of_flow {
        known = pin::find(tables, FlowTable::Unreplied, packet);
    }
    if let Some(pin) = known
        && let Some(uplink) = pin::sending(tables, pin)
    {
        return send_known(frame, tables, packet, pin, uplink);
    }
    if let Site::Hairpin = admission::of_lan(tables, packet)? {
        return Err(Stop::to(Stage::Hairpin6));
    }
    if let Some(pin) = pin::find(tables, FlowTable::Invited, packet)
        && let Some(uplink) = pin::sending(tables, pin)
    {
        return accept(frame, tables, packet, pin, uplink);
    }
    if packet.kind == Kind::Continues && established.is_none() {
        return Err(DropReason::Unsolicited.into());
    }
    Err(Stop::Next(Stage::Opening6, note))
}

/// Sends a packet of a known flow.
#[inline(always)]
fn send_known<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    packet: &Packet6,
    pin: &Pin<SharedU64>,
    uplink: &Uplink6,
) -> Result<Verdict, Stop> {
    let source = send::check_outward(frame, packet, uplink)?;
    pin::mark(frame, tables, pin, packet);
    let by = (pin.uplink, uplink);
    send::prepare_first(frame, tables, packet, by, pin.lan)?;
    send::write_outward(frame, packet, by, source)
}

/// The LAN's answer to a flow from outside: it becomes an established one, unless it refuses it.
#[inline(always)]
fn accept<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    packet: &Packet6,
    pin: &Pin<SharedU64>,
    uplink: &Uplink6,
) -> Result<Verdict, Stop> {
    let (by, lan) = ((pin.uplink, uplink), pin.lan);
    let source = send::check_outward(frame, packet, uplink)?;
    if !packet.is_reset() {
        let mut place = Place::uninit();
        pin::establish(tables, FlowTable::Invited, packet, pin, &mut place)?;
    }
    send::prepare_first(frame, tables, packet, by, lan)?;
    send::write_outward(frame, packet, by, source)
}
