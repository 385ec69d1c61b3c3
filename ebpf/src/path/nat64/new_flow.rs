//! 4. From the LAN, and of no flow, by an uplink that is chosen: its mapping and its entries.

use super::entry::{self, Common, Ends};
use crate::abi::{FlowKey, HostDigest, Opener, Port, Uplink, ticks, to_ipv4};
use crate::path::entry::{Inside, Place};
use crate::path::mapping::{self, Wanted};
use crate::path::opening::{host_with_room, refused, wait_for_answer};
use crate::path::{FlowTable, Note, Packet6, Stage, Stop, Tables6, flow};
use crate::verdict::{DropReason, Verdict};
use crate::wire::Frame;

/// Why a flow cannot go over to another uplink.
const FULL: DropReason = DropReason::FlowTableFull;

/// The stage: notes the flow, which its packet then goes on by.
#[inline(always)]
pub(super) fn run<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    port: &Port,
    packet: &Packet6,
    note: Note,
) -> Result<Verdict, Stop> {
    let (id, uplink) = chosen(tables, note)?;
    let settings = tables.settings().ok_or(DropReason::NotReady)?;
    let key = packet.key.nat64();
    let remote = tables.nat64().extract(&packet.outside).ok_or(DropReason::Nat64Destination)?;
    let moves = tables.flow(FlowTable::Established, &key).is_some();
    let (inside, digest) = sender(tables, packet);
    let host = host_with_room(tables, settings, digest.account(), moves)?;
    let (protocol, now) = (to_ipv4(key.protocol()), ticks(tables.now()));
    let wanted = Wanted::of_ipv6(&inside, digest, protocol, (id, uplink), now);
    let public = wanted
        .find_permitting(tables, settings, remote)
        .map_err(refused)?
        .ok_or(Stop::Next(Stage::Mapping64, note))?;
    let ends = Ends { inside: (packet.inside, key.source_port()), public, remote, protocol };
    let common = Common::new((id, uplink), packet.sender(frame, port)?, Opener::Lan as u8, now);
    let mut place = Place::uninit();
    // In the order that entry::insert_pair does, and one after the other in one place.
    if moves {
        let in_key = FlowKey::new((remote, key.destination_port()), public, protocol, id + 1);
        let into = entry::inward(&ends, tables.nat64(), common, &mut place);
        tables.replace_flow(FlowTable::Established, &in_key, into).map_err(|_| refused(FULL))?;
    }
    let out = entry::outward(&ends, digest, tables.nat64(), common, &mut place);
    out.mark = flow::mark_of(tables, packet.seen).0;
    if moves {
        // It takes the place that it has.
        tables.replace_flow(FlowTable::Established, &key, out).map_err(|_| refused(FULL))?;
    } else {
        wait_for_answer(tables, &key, out, host).map_err(refused)?;
    }
    Err(Stop::Next(Stage::Known64, Note::OPENED))
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
    let uplink = chosen(tables, note)?;
    let (inside, digest) = sender(tables, packet);
    let protocol = to_ipv4(packet.key.protocol());
    let wanted = Wanted::of_ipv6(&inside, digest, protocol, uplink, ticks(tables.now()));
    mapping::make(tables, &wanted).map_err(refused)?;
    Err(Stop::Next(Stage::Entry64, note))
}

/// The uplink that the stage before has chosen.
#[inline(always)]
fn chosen<T: Tables6>(tables: &T, note: Note) -> Result<(u8, &Uplink), DropReason> {
    let (id, _) = note.wanted_mapping();
    Ok((id, tables.uplink(id).ok_or(DropReason::NoUplink)?))
}

/// The sender as mappings have it.
#[inline(always)]
fn sender<T: Tables6>(tables: &T, packet: &Packet6) -> (Inside, HostDigest) {
    Inside::of_ipv6(tables.digest_key(), (packet.inside, packet.key.source_port()))
}
