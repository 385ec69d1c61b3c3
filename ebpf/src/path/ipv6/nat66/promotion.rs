//! 4. The answer to a flow that nobody has answered, from an uplink or from the LAN: it becomes an established
//!    one, which the packet then goes on by.

use super::mapped;
use crate::abi::{FlowKey, Port, SharedU64, Track};
use crate::path::ipv6::pin::Place;
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
        establish(tables, packet, FlowTable::Invited, &packet.key)?;
        return Err(Stop::to(Stage::Outbound6));
    }
    let uplink = tables.uplink6(port.uplink).ok_or(DropReason::NotReady)?;
    let (key, public_port) = (&packet.key, mapped::public_port(packet));
    let host = mapped::host_of(tables, (key.protocol(), public_port), (port.uplink, uplink))
        .ok_or(DropReason::Unsolicited)?;
    let out_key = mapped::out_key(tables, host, (packet.outside, key));
    establish(tables, packet, FlowTable::Unreplied, &out_key)?;
    Err(Stop::to(Stage::Inbound6))
}

/// Takes the flow of this key over from `table`, in the order that [`crate::path::entry::insert_pair`] does.
#[inline(always)]
fn establish<T: Tables6>(
    tables: &T,
    packet: &Packet6,
    table: FlowTable,
    out_key: &FlowKey,
) -> Result<(), DropReason> {
    const FULL: DropReason = DropReason::FlowTableFull;
    // Others may have pushed it out by now.
    let opened = tables.pin(table, out_key).ok_or(DropReason::UnrepliedTableFull)?;
    let now = Track { mark: flow::mark_of(tables, packet.seen).0, progress: 0 };
    let noted = opened.out.map(SharedU64::load);
    let (out, into) = if packet.from_lan { (now, noted) } else { (noted, now) };
    let mut place = Place::uninit();
    let pin = place.write(opened.map(SharedU64::load));
    let in_key = pin.peer(tables.digest_key(), out_key);
    mapped::make_inward(pin, out_key.source_port(), into);
    tables.replace_pin(FlowTable::Established, &in_key, pin).map_err(|_| FULL)?;
    let pin = place.write(opened.map(SharedU64::load));
    pin.out = out;
    if tables.replace_pin(FlowTable::Established, out_key, pin).is_err() {
        tables.retract_pin(FlowTable::Established, &in_key);
        return Err(FULL);
    }
    tables.retract_pin(table, out_key);
    Ok(())
}
