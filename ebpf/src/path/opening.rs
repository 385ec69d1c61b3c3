//! 4. From the LAN, and of no flow: a new one, or one that leaves an uplink.

use super::entry::{self, Common, Inside, Place};
use super::forward::Way;
use super::mapping::Wanted;
use super::parse::Packet;
use super::{FlowTable, InsertError, Note, Stop, Tables, flow, forward, select};
use crate::abi::{
    Filtering, Flow, FlowKey, Host, Ipv4, Opener, Port, Settings, SharedU64, Uplink, ticks,
};
use crate::verdict::{DropReason, Verdict};
use crate::wire::{ETHERNET_LEN, Frame};

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
    check_addresses(key, settings)?;
    let moves = !note.is_missed() && may_move(tables, key)?;
    let id = select::uplink(tables, settings, entry::DEFAULT_GROUP, key)
        .ok_or(Stop::Answer(DropReason::NoUplink, 0))?;
    let uplink = tables.uplink(id).ok_or(DropReason::NoUplink)?;
    if uplink.generation == 0 {
        return Err(Stop::Answer(DropReason::NoUplink, 0));
    }
    if frame.len() > ETHERNET_LEN + usize::from(uplink.mtu) {
        return Err(Stop::Answer(DropReason::TooBig, uplink.mtu));
    }
    let mut out = Place::uninit();
    let out = open(tables, settings, packet, port, (id, uplink), moves, &mut out)?;
    let way = Way::out(uplink).check(frame, packet)?;
    forward::send_first(frame, tables, packet, out, uplink, way)
}

/// Opens the flow of a packet, or moves it to the uplink. What is left is the entry by which it
/// leaves.
#[inline(always)]
fn open<'p, T: Tables>(
    tables: &T,
    settings: &Settings,
    packet: &Packet,
    port: &Port,
    (id, uplink): (u8, &Uplink),
    moves: bool,
    place: &'p mut Place,
) -> Result<&'p Flow, Stop> {
    let key = &packet.key;
    let host = tables.host(key.source()).ok_or(DropReason::UnrepliedTableFull)?;
    if !moves && host.unreplied.load() >= u64::from(settings.host_unreplied_max) {
        return Err(refused(DropReason::HostUnreplied));
    }
    let (inside, now) = (Inside::sender(packet, port), ticks(tables.now()));
    let wanted = Wanted::new(&inside, key, (id, uplink), now);
    let Some(public) = wanted.find(tables) else {
        return Err(Stop::Map { uplink: id, hairpin: false, missed: !moves });
    };
    if settings.filtering == Filtering::Address as u8 {
        wanted.permit(tables, public, key.destination()).map_err(refused)?;
    }
    let common = Common {
        protocol: key.protocol(),
        uplink: id,
        generation: uplink.generation,
        opener: Opener::Lan,
        now,
    };
    let out = common.outward(&inside, public, place);
    out.mark = flow::first_mark(tables, packet).0;
    if moves {
        let mut into = Place::uninit();
        let into = entry::opposite(key, out, Opener::Lan, &mut into);
        entry::insert_pair(tables, key, out, into).map_err(refused)?;
    } else {
        wait_for_answer(tables, key, out, host).map_err(refused)?;
    }
    Ok(out)
}

/// The sender is told that there is no room for the flow (RFC 5508 section 7.1, REQ-8).
#[inline(always)]
fn refused(reason: DropReason) -> Stop {
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

/// Addresses that must not cross a router, and those of the LAN itself.
#[inline(always)]
fn check_addresses(key: &FlowKey, settings: &Settings) -> Result<(), DropReason> {
    if is_martian(key.source()) || is_martian(key.destination()) {
        return Err(DropReason::Martian);
    }
    for prefix in &settings.lan_prefixes {
        if prefix.contains(key.destination()) {
            return Err(DropReason::LanToLan);
        }
    }
    Ok(())
}

/// This network, loopback, link-local, multicast, reserved and broadcast (RFC 6890 section 2.2.2).
#[inline(always)]
pub(super) fn is_martian(address: Ipv4) -> bool {
    let [a, b, ..] = address.octets();
    a == 0 || a == 127 || a >= 224 || (a == 169 && b == 254)
}
