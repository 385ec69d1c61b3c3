//! 4. From the LAN: an unanswered flow, or the answer to one from outside.

use super::admission::{self, Site};
use super::parse::Packet6;
use super::pin::{self, Place};
use super::send;
use crate::abi::{LanSide, Masquerade, Pin, Port, SharedU64, Uplink6};
use crate::path::parse::Kind;
use crate::path::{FlowTable, Note, Stage, Stop, Tables6};
use crate::verdict::{DropReason, Verdict};
use crate::wire::Frame;

/// The stage.
#[inline(always)]
pub(super) fn run<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    port: &Port,
    packet: &Packet6,
    note: Note,
) -> Result<Verdict, Stop> {
    let of_flow = matches!(packet.kind, Kind::Opens | Kind::Continues);
    let established = if of_flow && !note.is_missed() {
        pin::find(tables, FlowTable::Established, packet)
    } else {
        None
    };
    let (mut known, mut table) = (established, FlowTable::Established);
    if known.is_none() && of_flow {
        (known, table) = (pin::find(tables, FlowTable::Unreplied, packet), FlowTable::Unreplied);
    }
    if let Some(pin) = known
        && let Some(uplink) = pin::sending(tables, pin)
    {
        if !packet.is_from(frame, port, pin.lan) && note != Note::OPENED {
            if pin.masquerade != Masquerade::None as u8 {
                return Err(Stop::to(Stage::Moved66));
            }
            follow(tables, table, packet, pin, packet.sender(frame, port)?);
            // The entry may be another one now.
            let moved = pin::find(tables, table, packet).unwrap_or(pin);
            return send_known(frame, tables, packet, moved, uplink);
        }
        return send_known(frame, tables, packet, pin, uplink);
    }
    if note == Note::OPENED {
        // What the stage before has made, others have pushed out already.
        return Err(DropReason::UnrepliedTableFull.into());
    }
    if let Site::Lan = admission::of_lan(tables, packet)? {
        return Err(Stop::to(Stage::Hairpin6));
    }
    if let Some(pin) = pin::find(tables, FlowTable::Invited, packet)
        && let Some(uplink) = pin::sending(tables, pin)
    {
        return accept(frame, tables, packet, pin, uplink);
    }
    if established.is_some() {
        return Err(Stop::to(Stage::Lost6));
    }
    if packet.kind == Kind::Continues {
        return Err(DropReason::Unsolicited.into());
    }
    Err(Stop::Next(Stage::Opening6, note))
}

/// The host is elsewhere than when its flow was opened: what comes for it follows it.
#[inline(always)]
fn follow<T: Tables6>(
    tables: &T,
    table: FlowTable,
    packet: &Packet6,
    pin: &Pin<SharedU64>,
    lan: LanSide,
) {
    let mut place = Place::uninit();
    let moved = place.write(pin.map(SharedU64::load));
    moved.lan = lan;
    // It takes the place that it has.
    let _ = tables.replace_pin(table, &packet.key, moved);
}

/// Sends a packet of a known flow.
#[inline(always)]
pub(super) fn send_known<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    packet: &Packet6,
    pin: &Pin<SharedU64>,
    uplink: &Uplink6,
) -> Result<Verdict, Stop> {
    let source = send::check_outward(frame, packet, uplink)?;
    pin::mark(frame, tables, pin, packet);
    let by = (pin.uplink, uplink);
    send::prepare_first(frame, tables, packet, by, (packet.inside, pin.lan))?;
    send::write_pinned(frame, packet, pin, uplink, source)
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
        if pin.masquerade != Masquerade::None as u8 {
            return Err(Stop::to(Stage::Promotion66));
        }
        let mut place = Place::uninit();
        pin::establish(tables, FlowTable::Invited, packet, pin, &mut place)?;
    }
    send::prepare_first(frame, tables, packet, by, (packet.inside, lan))?;
    send::write_pinned(frame, packet, pin, uplink, source)
}
