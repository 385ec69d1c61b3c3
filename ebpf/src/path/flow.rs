//! 3. The flow of a packet, by one look-up, and what it notes of the packet.

use super::parse::Packet;
use super::{FlowTable, Tables};
use crate::abi::{Direction, Flow, FlowKey, Mark, Progress, SharedU64, Uplink, ticks};
use crate::wire::{Frame, Protocol};

/// What a packet is rewritten by.
#[derive(Clone, Copy)]
pub(super) struct Route<'a> {
    pub(super) flow: &'a Flow<SharedU64>,
    pub(super) uplink: &'a Uplink,
}

/// The flow of this key, unless its uplink has another address by now or cannot send.
///
/// What comes in by an uplink is taken also when the uplink is held for dead: the flow may have
/// moved, but what is still on its way is good. A hairpin does not need the uplink, only its
/// address.
#[inline(always)]
pub(super) fn find<'a, T: Tables>(
    tables: &'a T,
    table: FlowTable,
    key: &FlowKey,
) -> Option<Route<'a>> {
    usable(tables, tables.flow(table, key)?)
}

/// As [`find`], of an entry that was looked up.
#[inline(always)]
pub(super) fn usable<'a, T: Tables>(tables: &'a T, flow: &'a Flow<SharedU64>) -> Option<Route<'a>> {
    let uplink = current(tables, flow)?;
    let can_go_on = flow.direction != Direction::Out as u8 || can_send(tables, flow);
    can_go_on.then_some(Route { flow, uplink })
}

/// The uplink of an entry, unless it has another address by now.
#[inline(always)]
pub(super) fn current<'a, T: Tables>(tables: &'a T, flow: &Flow<SharedU64>) -> Option<&'a Uplink> {
    tables.uplink(flow.uplink).filter(|uplink| flow.generation == uplink.generation)
}

/// Whether the uplink of an entry can send.
#[inline(always)]
pub(super) fn can_send<T: Tables>(tables: &T, flow: &Flow<SharedU64>) -> bool {
    tables.alive() >> (flow.uplink & 63) & 1 == 1
}

/// The unanswered flow of this key, if `answer` is to its translated address and port by its
/// uplink.
#[inline(always)]
pub(super) fn find_translated<'a, T: Tables>(
    tables: &'a T,
    table: FlowTable,
    key: &FlowKey,
    answer: &FlowKey,
) -> Option<Route<'a>> {
    let flow = tables.flow(table, key)?;
    let uplink = tables.uplink(flow.uplink)?;
    let is_answered = (flow.address, flow.port) == answer.to()
        && flow.uplink + 1 == answer.realm()
        && flow.generation == uplink.generation
        && flow.direction == Direction::Out as u8;
    is_answered.then_some(Route { flow, uplink })
}

/// Marks the entry for the daemon's sweep: [`mark_words`].
#[inline(always)]
pub(super) fn mark<F: Frame, T: Tables>(
    frame: &F,
    tables: &T,
    flow: &Flow<SharedU64>,
    packet: &Packet,
) {
    let (seen, protocol) = ((packet.seen, packet.starts), packet.key.protocol());
    let sequence = || packet.sequence(frame);
    mark_words(tables, (&flow.mark, &flow.progress), seen, protocol, sequence);
}

/// Writes what an entry notes of a direction: the mark, and the progress, where a packet that sets
/// these bits, and starts a connection or not, makes a difference. `sequence` is asked for the sequence
/// number of a TCP segment; nothing where it is cut short.
///
/// A plain store, and only of what is new: two CPUs may lose a bit to each other, which the next packet
/// sets again. The epoch stands in for the clock, which is only read where an epoch has passed.
///
/// A reset whose sequence number cannot be of the connection leaves no mark: whoever made it up
/// does not end the connection (RFC 5382 section 5; the receiver judges by itself, RFC 5961).
#[inline(always)]
pub(super) fn mark_words<T: Tables>(
    tables: &T,
    (mark, progress): (&SharedU64, &SharedU64),
    (bits, starts): (u32, bool),
    protocol: u8,
    sequence: impl FnOnce() -> Option<u32>,
) {
    let old = Mark(mark.load());
    let before = if starts && is_over(old.seen()) { 0 } else { old.seen() };
    let (epoch, seen) = (tables.epoch(), before | bits);
    if old.epoch() == epoch && old.seen() == seen {
        return;
    }
    if protocol == Protocol::TCP {
        let Some(sequence) = sequence() else { return };
        if bits & Mark::RST == 0 {
            progress.store(Progress::new(sequence).0);
        } else if !Progress(progress.load()).is_plausible(sequence) {
            return;
        }
    }
    mark.store(Mark::new(ticks(tables.now()), epoch, seen).0);
}

/// Whether what a direction has seen so far is not of a connection that still stands: a SYN in the
/// middle of one starts nothing (RFC 5961 section 4).
#[inline(always)]
fn is_over(seen: u32) -> bool {
    seen & Mark::ACK == 0 || seen & (Mark::FIN | Mark::RST) != 0
}

/// The mark of an entry that this packet makes.
#[inline(always)]
pub(super) fn first_mark<T: Tables>(tables: &T, packet: &Packet) -> Mark {
    mark_of(tables, packet.seen)
}

/// The mark of a packet that sets these bits, now.
#[inline(always)]
pub(super) fn mark_of<T: Tables>(tables: &T, seen: u32) -> Mark {
    Mark::new(ticks(tables.now()), tables.epoch(), seen)
}
