//! Fragments. The first one of a packet has the ports, takes the way of its flow, and leaves word for the
//! others. One that comes before the first is dropped, for the reason that one of IPv4 is.

use core::hint::black_box;
use core::mem::MaybeUninit;

use super::parse::Packet6;
use super::{admission, send};
use crate::abi::{Flow, FlowKey, Ipv6, Ipv6Mode, LanSide, Port, SharedU64, Uplink6, ticks};
use crate::path::{FlowTable, Note, Stop, Tables6};
use crate::verdict::{DropReason, Verdict};
use crate::wire::{Frame, Protocol};

/// The stage: later fragments.
#[inline(always)]
pub(super) fn run<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    port: &Port,
    packet: &Packet6,
    _note: Note,
) -> Result<Verdict, Stop> {
    let key = key(frame, tables, packet).ok_or(DropReason::Truncated)?;
    let known = tables
        .flow(FlowTable::Fragments, &key)
        .filter(|first| packet.from_lan || may_come_by(tables, first, port.uplink));
    let Some(first) = known else {
        admission::of_no_flow(frame, tables, packet)?;
        return Err(DropReason::FragmentWithoutFirst.into());
    };
    // It would replace what the first one was let through for (RFC 5722).
    if u64::from(packet.fragment & !1) < first.progress.load() {
        return Err(DropReason::FragmentOverlap.into());
    }
    if !packet.from_lan {
        send::check_inward(frame, packet, first.lan)?;
        return send::write_inward(frame, packet, (first.inside(), first.lan), port.uplink);
    }
    let uplink = tables.uplink6(first.uplink).ok_or(DropReason::NoUplink)?;
    if !can_send(tables, first) || uplink.generation != first.generation {
        return Err(DropReason::NoUplink.into());
    }
    let source = send::check_outward(frame, packet, uplink)?;
    send::write_outward(frame, packet, (first.uplink, uplink), source)
}

/// What is for an address that LAN hosts share comes by the uplink whose it is.
#[inline(always)]
fn may_come_by<T: Tables6>(tables: &T, first: &Flow<SharedU64>, uplink: u8) -> bool {
    let is_shared = |uplink: &Uplink6| uplink.mode == Ipv6Mode::Nat66 as u8;
    first.uplink == uplink || !tables.uplink6(first.uplink).is_some_and(is_shared)
}

#[inline(always)]
fn can_send<T: Tables6>(tables: &T, first: &Flow<SharedU64>) -> bool {
    tables.alive() >> (first.uplink & 63) & 1 == 1
}

/// What a first fragment leaves for the others: the way, the LAN host, and how many bytes it carries.
#[inline(always)]
pub(super) fn record<F: Frame, T: Tables6>(
    frame: &F,
    tables: &T,
    packet: &Packet6,
    (uplink, generation): (u8, u32),
    (inside, lan): (Ipv6, LanSide),
) -> Result<(), DropReason> {
    let key = key(frame, tables, packet).ok_or(DropReason::Truncated)?;
    // What the fragment header is followed by counts (RFC 8200 section 4.5).
    let fragmented = packet.fragmented(frame).ok_or(DropReason::Truncated)?;
    let zero = black_box(0);
    let mut place = MaybeUninit::<Flow>::uninit();
    let entry = place.write(Flow {
        mark: zero,
        progress: fragmented as u64,
        generation,
        lan,
        created: ticks(tables.now()),
        uplink,
        ..Flow::default()
    });
    entry.set_inside(inside);
    tables
        .replace_flow(FlowTable::Fragments, &key, entry)
        .map_err(|_| DropReason::UnrepliedTableFull)
}

/// What the fragments of a packet have in common (RFC 8200 section 4.5), the identification in the place
/// of ports.
#[inline(always)]
pub(in crate::path) fn key<F: Frame, T: Tables6>(
    frame: &F,
    tables: &T,
    packet: &Packet6,
) -> Option<FlowKey> {
    let [upper, lower] = packet.identification(frame)?;
    // Either direction has numbers of its own.
    let ports = if packet.from_lan { [upper, lower] } else { [lower, upper] };
    let ends = ((packet.inside, ports[0]), (packet.outside, ports[1]));
    let protocol = if packet.from_lan { Protocol::FRAGMENT } else { Protocol::FRAGMENT | 0x80 };
    Some(FlowKey::pinned(tables.digest_key(), ends.0, ends.1, protocol))
}
