//! 3. The flow of a packet, by one look-up.

use super::Tables;
use super::parse::{Kind, Packet};
use crate::abi::{Direction, Flow, Mark, SharedU64, Uplink, ticks};

/// What an established packet is rewritten by.
#[derive(Clone, Copy)]
pub(super) struct Route<'a> {
    pub(super) flow: &'a Flow<SharedU64>,
    pub(super) uplink: &'a Uplink,
}

/// The packet's flow, unless its uplink has another address by now or cannot send.
///
/// What comes in by an uplink is taken also when the uplink is held for dead: the flow may have
/// moved, but what is still on its way is good.
#[inline(always)]
pub(super) fn find<'a, T: Tables>(tables: &'a T, packet: &Packet) -> Option<Route<'a>> {
    if matches!(packet.kind, Kind::Fragment | Kind::Untranslatable) {
        return None;
    }
    let flow = tables.flow(&packet.key)?;
    let uplink = tables.uplink(flow.uplink)?;
    let can_send = flow.direction != Direction::Out as u8 || tables.alive() >> flow.uplink & 1 == 1;
    (flow.generation == uplink.generation && can_send).then_some(Route { flow, uplink })
}

/// Marks the entry for the daemon's sweep. A plain store, and only of what is new: two CPUs may
/// lose a bit to each other, which the next packet sets again.
///
/// The epoch stands in for the clock, which is only read where an epoch has passed.
#[inline(always)]
pub(super) fn mark<T: Tables>(tables: &T, flow: &Flow<SharedU64>, packet: &Packet) {
    let old = Mark(flow.mark.load());
    let before = if packet.starts { 0 } else { old.seen() };
    let (epoch, seen) = (tables.epoch(), before | packet.seen);
    if old.epoch() != epoch || old.seen() != seen {
        flow.mark.store(Mark::new(ticks(tables.now()), epoch, seen).0);
    }
}
