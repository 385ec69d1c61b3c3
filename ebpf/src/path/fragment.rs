//! Fragments. The first one of a datagram has the ports, takes the way of its flow, and leaves word
//! for the others.
//!
//! A later fragment that comes before the first is dropped. XDP cannot hold a packet; to hold it
//! elsewhere would take a copy of every one, and a flood of such fragments would decide whose are
//! held.

use super::entry::Place;
use super::forward::Way;
use super::parse::Packet;
use super::{FlowTable, Note, Stage, Stop, Tables, flow, lan, translate};
use crate::abi::{Direction, Flow, FlowKey, L4Port, Port, SharedU64};
use crate::verdict::{DropReason, PassReason, Verdict};
use crate::wire::{ETHERNET_LEN, Frame, Ipv4Header};

/// The stage: later fragments.
#[inline(always)]
pub(super) fn run<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    port: &Port,
    packet: &Packet,
    _note: Note,
) -> Result<Verdict, Stop> {
    let fragments = key(frame, packet).ok_or(DropReason::Truncated)?;
    let Some(route) = flow::find(tables, FlowTable::Fragments, &fragments) else {
        let owner = tables.local(&packet.key.destination().into());
        if owner.is_some_and(|owner| owner.is_kernel()) {
            return Err(PassReason::Local.into());
        }
        if owner.is_none() {
            lan::check(tables, port, packet)?;
        }
        return Err(DropReason::FragmentWithoutFirst.into());
    };
    if route.flow.direction == Direction::In64 as u8 {
        return Err(Stop::to(Stage::Inbound64));
    }
    // It would replace what the first one was let through for (RFC 3128).
    if u64::from(packet.fragment & !1) < route.flow.progress.load() {
        return Err(DropReason::FragmentOverlap.into());
    }
    let way = Way::of(route.flow, route.uplink);
    way.check(frame, packet)?;
    translate::header(frame, packet, route.flow, &way).ok_or(DropReason::Truncated)?;
    Ok(way.verdict(packet, route.flow))
}

/// What a first fragment leaves for the others: its flow entry.
#[inline(always)]
pub(super) fn record<F: Frame, T: Tables, M>(
    frame: &F,
    tables: &T,
    packet: &Packet,
    flow: &Flow<M>,
) -> Result<(), DropReason> {
    let mut entry = Place::uninit();
    let entry = entry.write(flow.map(|_| 0));
    entry.progress = u64::from(packet.body(frame).ok_or(DropReason::Truncated)?);
    let key = key(frame, packet).ok_or(DropReason::Truncated)?;
    tables
        .replace_flow(FlowTable::Fragments, &key, entry)
        .map_err(|_| DropReason::UnrepliedTableFull)
}

/// What the first fragment of this one's datagram has left.
#[inline(always)]
pub(super) fn first<'a, F: Frame, T: Tables>(
    frame: &F,
    tables: &'a T,
    packet: &Packet,
) -> Option<&'a Flow<SharedU64>> {
    tables.flow(FlowTable::Fragments, &key(frame, packet)?)
}

/// What the fragments of a datagram have in common (RFC 791 section 3.2), the identification in the
/// place of a port.
#[inline(always)]
fn key<F: Frame>(frame: &F, packet: &Packet) -> Option<FlowKey> {
    let header: Ipv4Header = frame.read(ETHERNET_LEN)?;
    let key = &packet.key;
    Some(FlowKey::new(
        (key.source(), L4Port::new(header.identification)),
        (key.destination(), L4Port::default()),
        key.protocol(),
        key.realm(),
    ))
}
