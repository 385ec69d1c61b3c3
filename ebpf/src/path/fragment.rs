//! Fragments. The first one of a datagram has the ports, takes the way of its flow, and leaves word
//! for the others.
//!
//! A later fragment that comes before the first is dropped. XDP cannot hold a packet; to hold it
//! elsewhere would take a copy of every one, and a flood of such fragments would decide whose are
//! held.

use super::entry::Place;
use super::parse::Packet;
use super::{FlowTable, Note, Stop, Tables, flow, forward, translate};
use crate::abi::{Flow, FlowKey, L4Port, Port};
use crate::verdict::{DropReason, PassReason, Verdict};
use crate::wire::Frame;

/// The stage: later fragments.
#[inline(always)]
pub(super) fn run<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    _port: &Port,
    packet: &Packet,
    _note: Note,
) -> Result<Verdict, Stop> {
    let Some(route) = flow::find(tables, FlowTable::Fragments, &key(packet)) else {
        let owner = tables.local(&packet.key.destination().into());
        let is_kernel = owner.is_some_and(|owner| owner.is_kernel());
        let reason = DropReason::FragmentWithoutFirst.into();
        return Err(if is_kernel { PassReason::Local.into() } else { reason });
    };
    // It would replace what the first one was let through for (RFC 3128).
    if u64::from(packet.fragment & !1) < route.flow.progress.load() {
        return Err(DropReason::FragmentOverlap.into());
    }
    let way = forward::way(frame, packet, route.flow, route.uplink)?;
    translate::header(frame, packet, route.flow, &way).ok_or(DropReason::Truncated)?;
    let (egress, uplink) = (way.egress, route.flow.uplink);
    Ok(Verdict::Forward { egress, uplink, direction: way.direction })
}

/// What a first fragment leaves for the others: its flow entry.
#[inline(always)]
pub(super) fn record<T: Tables, M>(
    tables: &T,
    packet: &Packet,
    flow: &Flow<M>,
) -> Result<(), DropReason> {
    let mut entry = Place::uninit();
    let entry = entry.write(flow.map(|_| 0));
    entry.progress = u64::from(packet.body);
    tables
        .replace_flow(FlowTable::Fragments, &key(packet), entry)
        .map_err(|_| DropReason::UnrepliedTableFull)
}

/// What the fragments of a datagram have in common (RFC 791 section 3.2), the identification in the
/// place of a port.
#[inline(always)]
fn key(packet: &Packet) -> FlowKey {
    let key = &packet.key;
    FlowKey::new(
        (key.source(), L4Port::new(packet.identification.to_ne_bytes())),
        (key.destination(), L4Port::default()),
        key.protocol(),
        key.realm(),
    )
}
