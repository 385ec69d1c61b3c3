//! 4. From the LAN, and of no flow: a new one that is translated, or one that leaves an uplink.

use super::entry::{self, Common, Inside, Place};
use super::forward::Way;
use super::mapping::Wanted;
use super::parse::Packet;
use super::{FlowTable, InsertError, Note, Stage, Stop, Tables, flow, forward, select};
use crate::abi::{Flow, FlowKey, Host, Ipv4, Opener, Port, Settings, SharedU64, Uplink};
use crate::verdict::{DropReason, Verdict};
use crate::wire::Frame;

/// The stage.
#[inline(always)]
pub(super) fn run<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    port: &Port,
    packet: &Packet,
    note: Note,
) -> Result<Verdict, Stop> {
    let key = &packet.key;
    let settings = tables.settings().ok_or(DropReason::NotReady)?;
    check_addresses(key)?;
    let moves = !note.is_missed() && may_move(tables, key)?;
    let host = tables.host(key.source()).ok_or(DropReason::UnrepliedTableFull)?;
    let of = (key, host);
    let id = select::uplink(tables, settings, entry::DEFAULT_GROUP, of, settings.nat44)
        .ok_or(Stop::Answer(DropReason::NoUplink, 0))?;
    let uplink = tables.uplink(id).ok_or(DropReason::NoUplink)?;
    if uplink.generation == 0 {
        return Err(Stop::Answer(DropReason::NoUplink, 0));
    }
    forward::check(frame, packet.ttl, uplink.mtu)?;
    let mut out = Place::uninit();
    let inside = Inside::sender(frame, packet, port)?;
    let by = (id, uplink);
    let out = open(tables, settings, packet, &inside, by, (host, moves), &mut out)?;
    forward::send_first(frame, tables, packet, out, uplink.mtu, Way::out(uplink))
}

/// Opens the flow of a packet of `inside`, or moves it to the uplink. What is left is the entry by
/// which it leaves.
#[inline(always)]
fn open<'p, T: Tables>(
    tables: &T,
    settings: &Settings,
    packet: &Packet,
    inside: &Inside,
    uplink: (u8, &Uplink),
    (host, moves): (&Host<SharedU64>, bool),
    place: &'p mut Place,
) -> Result<&'p Flow, Stop> {
    let key = &packet.key;
    check_room(host, settings, moves)?;
    let common = Common::new(tables, key, uplink, Opener::Lan);
    let note = if moves { Note::NOTHING } else { Note::MISSED };
    let wanted = Wanted::new(inside, key, uplink, common.now);
    let public = wanted
        .find_permitting(tables, settings, key.destination())
        .map_err(refused)?
        .ok_or(Stop::Next(Stage::Mapping, note.with_mapping(uplink.0, false)))?;
    let out = common.outward(inside, public, place);
    out.mark = flow::first_mark(tables, packet).0;
    if moves {
        let mut into = Place::uninit();
        let into = entry::opposite(key, out, Opener::Lan, &mut into);
        entry::insert_pair(tables, key, out, into).map_err(refused)?;
    } else {
        wait_for_answer(tables, key, out, host).map_err(refused)?;
    }
    select::place(host, out.uplink, out.created);
    Ok(out)
}

/// What the host takes of the tables, if it may have another unanswered flow, or the flow is none.
#[inline(always)]
pub(super) fn host_with_room<'a, T: Tables>(
    tables: &'a T,
    settings: &Settings,
    address: Ipv4,
    is_answered: bool,
) -> Result<&'a Host<SharedU64>, Stop> {
    let host = tables.host(address).ok_or(DropReason::UnrepliedTableFull)?;
    check_room(host, settings, is_answered)?;
    Ok(host)
}

/// Whether the host may have another unanswered flow, or the flow is none.
///
/// # Errors
/// Where it has too many.
#[inline(always)]
pub(super) fn check_room(
    host: &Host<SharedU64>,
    settings: &Settings,
    is_answered: bool,
) -> Result<(), Stop> {
    if !is_answered && host.unreplied.load() >= u64::from(settings.host_unreplied_max) {
        return Err(refused(DropReason::HostUnreplied));
    }
    Ok(())
}

/// The sender is told that there is no room for the flow (RFC 5508 section 7.1, REQ-8).
#[inline(always)]
pub(super) fn refused(reason: DropReason) -> Stop {
    Stop::Answer(reason, 0)
}

/// Whether the flow is an established one that its uplink has lost, and that may go over to another
/// one.
///
/// # Errors
/// Where it came from beyond that uplink: there, nobody knows it by another address.
#[inline(always)]
fn may_move<T: Tables>(tables: &T, key: &FlowKey) -> Result<bool, Stop> {
    match tables.flow(FlowTable::Established, key) {
        Some(old) if old.opener == Opener::Remote as u8 => {
            Err(Stop::Answer(DropReason::NoUplink, 0))
        }
        old => Ok(old.is_some()),
    }
}

/// Notes an unanswered flow, and counts it where it is a new one.
#[inline(always)]
pub(super) fn wait_for_answer<T: Tables>(
    tables: &T,
    key: &FlowKey,
    flow: &Flow,
    host: &Host<SharedU64>,
) -> Result<(), DropReason> {
    let inserted = match tables.insert_flow(FlowTable::Unreplied, key, flow) {
        Ok(()) => {
            host.unreplied.count_up();
            Ok(())
        }
        Err(InsertError::Exists) => tables.replace_flow(FlowTable::Unreplied, key, flow),
        full => full,
    };
    inserted.map_err(|_| DropReason::UnrepliedTableFull)
}

/// Addresses that must not cross a router.
#[inline(always)]
pub(super) fn check_addresses(key: &FlowKey) -> Result<(), DropReason> {
    if is_martian(key.source()) || is_martian(key.destination()) {
        return Err(DropReason::Martian);
    }
    Ok(())
}

/// This network, loopback, link-local, multicast, reserved and broadcast (RFC 6890 section 2.2.2).
#[inline(always)]
pub(super) fn is_martian(address: Ipv4) -> bool {
    let [a, b, ..] = address.octets();
    a == 0 || a == 127 || a >= 224 || (a == 169 && b == 254)
}
