//! 4. The answer to a flow that nobody has answered, from an uplink or from the LAN: it becomes an established
//!    one, which the packet then goes on by.

use super::mapped;
use crate::abi::{FlowKey, Masquerade, Pin, Port, SharedU64, Track};
use crate::path::ipv6::pin::{self, Place};
use crate::path::{FlowTable, Note, Packet6, Stage, Stop, Tables6, flow};
use crate::verdict::{DropReason, Verdict};
use crate::wire::Frame;

/// The stage.
#[inline(always)]
pub(super) fn run<F: Frame, T: Tables6>(
    _frame: &mut F,
    tables: &T,
    port: &Port,
    packet: &Packet6,
    _note: Note,
) -> Result<Verdict, Stop> {
    if packet.from_lan {
        let opened = pin::find(tables, FlowTable::Invited, packet)
            .filter(|pin| pin.masquerade == Masquerade::Out as u8);
        establish(tables, packet, (FlowTable::Invited, &packet.key), opened)?;
        return Err(Stop::to(Stage::Outbound6));
    }
    let uplink = tables.uplink6(port.uplink).ok_or(DropReason::NotReady)?;
    let (by, key, public_port) = ((port.uplink, uplink), &packet.key, mapped::public_port(packet));
    let host = mapped::host_of(tables, (key.protocol(), public_port), by)
        .ok_or(DropReason::Unsolicited)?;
    let out_key = mapped::out_key(tables, host, (packet.outside, key));
    let ends = (host.0, packet.outside);
    let opened = mapped::unanswered(tables, FlowTable::Unreplied, &out_key, ends, public_port, by);
    establish(tables, packet, (FlowTable::Unreplied, &out_key), opened)?;
    Err(Stop::to(Stage::Inbound6))
}

/// Takes the flow of this key over from the table that it was `opened` in, in the order that
/// [`crate::path::entry::insert_pair`] does.
#[inline(always)]
fn establish<T: Tables6>(
    tables: &T,
    packet: &Packet6,
    (table, out_key): (FlowTable, &FlowKey),
    opened: Option<&Pin<SharedU64>>,
) -> Result<(), DropReason> {
    const FULL: DropReason = DropReason::FlowTableFull;
    let Some(opened) = opened else {
        // Another packet has been here meanwhile, or others have pushed it out.
        let known = tables.pin(FlowTable::Established, out_key);
        return known.map(|_| ()).ok_or(DropReason::UnrepliedTableFull);
    };
    let uplink = tables.uplink6(opened.uplink).ok_or(DropReason::NoUplink)?;
    let now = Track { mark: flow::mark_of(tables, packet.seen).0, progress: 0 };
    let noted = opened.out.map(SharedU64::load);
    let (out, into) = if packet.from_lan { (now, noted) } else { (noted, now) };
    let mut place = Place::uninit();
    let pin = place.write(opened.map(SharedU64::load));
    // A packet of a flow that had this place before may have been noted there.
    pin.into = Track::of_address(uplink.address);
    let in_key = pin.peer(tables.digest_key(), out_key);
    mapped::make_inward(pin, out_key.source_port(), into);
    tables.replace_pin(FlowTable::Established, &in_key, pin).map_err(|_| FULL)?;
    let pin = place.write(opened.map(SharedU64::load));
    pin.into = Track::of_address(uplink.address);
    pin.out = out;
    if tables.replace_pin(FlowTable::Established, out_key, pin).is_err() {
        tables.retract_pin(FlowTable::Established, &in_key);
        return Err(FULL);
    }
    tables.retract_pin(table, out_key);
    Ok(())
}
