//! 4. From an uplink: the answer to an unanswered flow, or more of one that the LAN has yet to answer.

use super::parse::Packet6;
use super::pin::{self, Place};
use super::send::{self, Delivery};
use super::{nat66, translate};
use crate::abi::{Ipv6Mode, Pin, Port, SharedU64, Uplink6};
use crate::path::parse::Kind;
use crate::path::{FlowTable, Note, Stage, Stop, Tables6};
use crate::verdict::Verdict;
use crate::wire::{ETHERNET_LEN, Frame, Ipv6Header};

/// The stage.
#[inline(always)]
pub(super) fn run<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    port: &Port,
    packet: &Packet6,
    note: Note,
) -> Result<Verdict, Stop> {
    if let Some((table, pin, uplink)) = known(frame, tables, port, packet, note) {
        send::check_inward(frame, packet, pin.lan)?;
        // Whoever refuses a flow does not make it an established one.
        if table == FlowTable::Unreplied && !packet.is_reset() {
            let mut place = Place::uninit();
            pin::establish(tables, table, packet, pin, &mut place)?;
        } else {
            pin::mark(frame, tables, pin, packet);
        }
        return deliver(frame, tables, packet, (port.uplink, uplink), Delivery::of(pin));
    }
    if nat66::may_be_mapped(tables, packet, port) {
        return Err(Stop::to(Stage::Inbound66));
    }
    Err(Stop::to(Stage::Invitation6))
}

/// The table that the packet's flow is in, its pin, and the uplink that the packet came in by. Nothing
/// where there is none, or the packet is for nobody of the LAN.
#[inline(always)]
fn known<'a, F: Frame, T: Tables6>(
    frame: &F,
    tables: &'a T,
    port: &Port,
    packet: &Packet6,
    note: Note,
) -> Option<(FlowTable, &'a Pin<SharedU64>, &'a Uplink6)> {
    if !matches!(packet.kind, Kind::Opens | Kind::Continues) {
        return None;
    }
    let uplink = tables.uplink6(port.uplink)?;
    if !note.is_missed() {
        let header: Ipv6Header = frame.read(ETHERNET_LEN)?;
        translate::internal(uplink, header.destination()).ok()?;
        if let Some(pin) = pin::find(tables, FlowTable::Established, packet)
            && pin::may_come_by(pin, port.uplink)
        {
            return Some((FlowTable::Established, pin, uplink));
        }
    }
    if uplink.mode == Ipv6Mode::Nat66 as u8 {
        // What nobody has answered is known by the LAN host's address.
        return None;
    }
    if let Some(pin) = pin::find(tables, FlowTable::Unreplied, packet) {
        return Some((FlowTable::Unreplied, pin, uplink));
    }
    let pin = pin::find(tables, FlowTable::Invited, packet)?;
    Some((FlowTable::Invited, pin, uplink))
}

/// Sends a packet that was checked to a LAN host.
#[inline(always)]
pub(super) fn deliver<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    packet: &Packet6,
    by: (u8, &Uplink6),
    to: Delivery,
) -> Result<Verdict, Stop> {
    send::prepare_first(frame, tables, packet, by, (to.address, to.lan))?;
    send::write_delivered(frame, packet, to, by.0)
}
