//! 4. From the LAN: of a flow whose host is elsewhere than when it was opened.

use crate::abi::{FlowKey, LanSide, Pin, Port, SharedU64};
use crate::path::ipv6::pin::{self, Place};
use crate::path::{FlowTable, Note, Packet6, Stage, Stop, Tables6};
use crate::verdict::{DropReason, Verdict};
use crate::wire::Frame;

/// The stage: what comes for the host follows it.
#[inline(always)]
pub(super) fn run<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    port: &Port,
    packet: &Packet6,
    _note: Note,
) -> Result<Verdict, Stop> {
    let lan = packet.sender(frame, port)?;
    let key = &packet.key;
    if let Some(pin) = pin::find(tables, FlowTable::Established, packet) {
        let peer = pin.map(SharedU64::load).peer(tables.digest_key(), key);
        move_to(tables, (FlowTable::Established, &peer), packet, lan);
        move_to(tables, (FlowTable::Established, key), packet, lan);
    } else if pin::find(tables, FlowTable::Unreplied, packet).is_some() {
        move_to(tables, (FlowTable::Unreplied, key), packet, lan);
    } else {
        return Err(DropReason::NoUplink.into());
    }
    Err(Stop::Next(Stage::Outbound6, Note::OPENED))
}

/// Writes a pin of the packet's sender anew, in the place that it has.
#[inline(always)]
fn move_to<T: Tables6>(
    tables: &T,
    (table, key): (FlowTable, &FlowKey),
    packet: &Packet6,
    lan: LanSide,
) {
    let is_senders = |pin: &&Pin<SharedU64>| pin.inside == packet.inside;
    let Some(pin) = tables.pin(table, key).filter(is_senders) else { return };
    let mut place = Place::uninit();
    let moved = place.write(pin.map(SharedU64::load));
    moved.lan = lan;
    let _ = tables.replace_pin(table, key, moved);
}
