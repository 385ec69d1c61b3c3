//! 4. From an uplink, for the address that LAN hosts share, and of no established flow: the answer to an
//!    unanswered one, more of one that the LAN has yet to answer, or something for the gateway itself.

use super::mapped;
use super::rewrite::Rewrite;
use crate::abi::{Ipv6Mode, Port, Uplink6, to_ipv4};
use crate::path::ipv6::send::{self, Delivery};
use crate::path::ipv6::{inbound, pin};
use crate::path::parse::Kind;
use crate::path::{FlowTable, Note, Packet6, Stage, Stop, Tables6, mapping};
use crate::verdict::{DropReason, Verdict};
use crate::wire::{Frame, Protocol};

/// Whether a packet from an uplink that is of no established flow may be for a mapping.
#[inline(always)]
pub(in crate::path::ipv6) fn may_be_mapped<T: Tables6>(
    tables: &T,
    packet: &Packet6,
    port: &Port,
) -> bool {
    let is_shared =
        |uplink: &Uplink6| uplink.mode == Ipv6Mode::Nat66 as u8 && uplink.address == packet.inside;
    matches!(packet.kind, Kind::Opens | Kind::Continues)
        && tables.uplink6(port.uplink).is_some_and(is_shared)
}

/// The stage.
#[inline(always)]
pub(super) fn run<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    port: &Port,
    packet: &Packet6,
    note: Note,
) -> Result<Verdict, Stop> {
    let uplink = tables.uplink6(port.uplink).ok_or(DropReason::NotReady)?;
    let by = (port.uplink, uplink);
    let (key, public_port) = (&packet.key, mapped::public_port(packet));
    let Some(host) = mapped::host_of(tables, (key.protocol(), public_port), by) else {
        return Err(not_ours(tables, packet));
    };
    let out_key = mapped::out_key(tables, host, (packet.outside, key));
    let ends = (host.0, packet.outside);
    let of = |table| mapped::unanswered(tables, table, &out_key, ends, public_port, by);
    let known = [FlowTable::Unreplied, FlowTable::Invited]
        .into_iter()
        .find_map(|table| Some((table, of(table)?)));
    let Some((table, pin)) = known else {
        return Err(Stop::Next(Stage::Invitation66, note));
    };
    send::check_inward(frame, packet, pin.lan)?;
    // Whoever refuses a flow does not make it an established one.
    if table == FlowTable::Unreplied && !packet.is_reset() {
        return Err(Stop::to(Stage::Promotion66));
    }
    if table == FlowTable::Invited {
        pin::mark(frame, tables, pin, packet);
    }
    let rewrite = Rewrite::back(pin, host.1);
    let to = Delivery { address: host.0, lan: pin.lan, rewrite };
    inbound::deliver(frame, tables, packet, by, to)
}

/// What becomes of a packet for no LAN host: to a port that mappings may have, nobody's, for the reason that
/// it is in IPv4; or else the kernel's, whose address it is.
#[inline(always)]
fn not_ours<T: Tables6>(tables: &T, packet: &Packet6) -> Stop {
    let protocol = packet.key.protocol();
    let is_handed_out = matches!(protocol, Protocol::TCP | Protocol::UDP)
        && mapping::is_handed_out(tables, to_ipv4(protocol), mapped::public_port(packet));
    if is_handed_out { DropReason::Unsolicited.into() } else { Stop::to(Stage::Invitation6) }
}
