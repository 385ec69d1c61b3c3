//! 4. From the LAN, of no flow, by an uplink whose address LAN hosts share: its mapping and its pin.

use super::mapped;
use crate::abi::{HostDigest, Ipv6Mode, MAX_UPLINKS, Port, Track, Uplink6, ticks, to_ipv4};
use crate::path::entry::Inside;
use crate::path::ipv6::pin::{self, Place};
use crate::path::ipv6::send;
use crate::path::mapping::{self, Wanted};
use crate::path::opening::refused;
use crate::path::{FlowTable, Note, Packet6, Stage, Stop, Tables6};
use crate::verdict::{DropReason, Verdict};
use crate::wire::{Frame, Protocol};

/// The stage: notes the flow, which its packet then goes on by. The one before has chosen the uplink.
#[inline(always)]
pub(super) fn run<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    port: &Port,
    packet: &Packet6,
    note: Note,
) -> Result<Verdict, Stop> {
    let (id, uplink) = chosen(tables, note)?;
    if !matches!(packet.key.protocol(), Protocol::TCP | Protocol::UDP | Protocol::ICMPV6) {
        return Err(refused(DropReason::Nat66Protocol));
    }
    send::check_outward(frame, packet, uplink)?;
    let settings = tables.settings().ok_or(DropReason::NotReady)?;
    let remote = HostDigest::new(tables.digest_key(), packet.outside).sender();
    let (_, public_port) = wanted(tables, packet, (id, uplink))
        .find_permitting(tables, settings, remote)
        .map_err(refused)?
        .ok_or(Stop::Next(Stage::Mapping66, note))?;
    let moves = pin::find(tables, FlowTable::Established, packet).is_some();
    let lan = packet.sender(frame, port)?;
    let host = (packet.inside, packet.key.source_port());
    let mut place = Place::uninit();
    let pin = pin::new(tables, packet, (id, uplink.generation), lan, &mut place);
    mapped::make_outward(pin, host, (uplink.address, public_port));
    if !moves {
        let full = |_| refused(DropReason::UnrepliedTableFull);
        tables.replace_pin(FlowTable::Unreplied, &packet.key, pin).map_err(full)?;
        return Err(Stop::Next(Stage::Outbound6, Note::OPENED));
    }
    // What comes in first, so that nothing leaves whose answer would not get in.
    let full = |_| refused(DropReason::FlowTableFull);
    let in_key = pin.peer(tables.digest_key(), &packet.key);
    mapped::make_inward(pin, host.1, Track::default());
    tables.replace_pin(FlowTable::Established, &in_key, pin).map_err(full)?;
    let pin = pin::new(tables, packet, (id, uplink.generation), lan, &mut place);
    mapped::make_outward(pin, host, (uplink.address, public_port));
    if let Err(error) = tables.replace_pin(FlowTable::Established, &packet.key, pin) {
        tables.retract_pin(FlowTable::Established, &in_key);
        return Err(full(error));
    }
    Err(Stop::Next(Stage::Outbound6, Note::OPENED))
}

/// The stage that makes the mapping that the packet's flow wants on its uplink, and goes back.
#[inline(always)]
pub(super) fn map<F: Frame, T: Tables6>(
    _frame: &mut F,
    tables: &T,
    _port: &Port,
    packet: &Packet6,
    note: Note,
) -> Result<Verdict, Stop> {
    let by = chosen(tables, note)?;
    mapping::make(tables, &wanted(tables, packet, by)).map_err(refused)?;
    Err(Stop::Next(Stage::Opening66, note))
}

/// The uplink that the stage before has chosen.
#[inline(always)]
fn chosen<T: Tables6>(tables: &T, note: Note) -> Result<(u8, &Uplink6), DropReason> {
    // The compiler would ask whether it is one before it takes the rest off, which the verifier does not follow.
    let id = note.wanted_mapping().0 & (MAX_UPLINKS as u8 - 1);
    // The daemon may have given it another mode since.
    let is_shared =
        |uplink: &&Uplink6| uplink.mode == Ipv6Mode::Nat66 as u8 && uplink.generation != 0;
    Ok((id, tables.uplink6(id).filter(is_shared).ok_or(DropReason::NoUplink)?))
}

/// The sender's mapping.
#[inline(always)]
fn wanted<T: Tables6>(tables: &T, packet: &Packet6, by: (u8, &Uplink6)) -> Wanted {
    let (inside, digest) =
        Inside::of_ipv6(tables.digest_key(), (packet.inside, packet.key.source_port()));
    let protocol = to_ipv4(packet.key.protocol());
    Wanted::of_nat66(&inside, digest, protocol, by, ticks(tables.now()))
}
