//! 3. The pin of a flow, by one look-up, and what it notes of the packet.

use core::hint::black_box;
use core::mem::MaybeUninit;

use super::parse::Packet6;
use crate::abi::{
    FlowKey, Ipv6, L4Port, LanSide, Masquerade, Opener, Pin, SharedU64, Track, Uplink6, ticks,
};
use crate::path::entry::DEFAULT_GROUP;
use crate::path::{FlowTable, Tables6, flow};
use crate::verdict::DropReason;
use crate::wire::Frame;

/// The pin of the packet's flow in this table.
#[inline(always)]
pub(super) fn find<'a, T: Tables6>(
    tables: &'a T,
    table: FlowTable,
    packet: &Packet6,
) -> Option<&'a Pin<SharedU64>> {
    of_key(tables, table, &packet.key, packet.from_lan, (packet.inside, packet.outside))
}

/// The pin of this key between these addresses, which the key has only a digest of.
#[inline(always)]
pub(super) fn of_key<'a, T: Tables6>(
    tables: &'a T,
    table: FlowTable,
    key: &FlowKey,
    from_lan: bool,
    ends: (Ipv6, Ipv6),
) -> Option<&'a Pin<SharedU64>> {
    tables.pin(table, key).filter(|pin| {
        pin.is_of(from_lan, ends)
            && (pin.masquerade != Masquerade::In as u8 || is_current(tables, pin))
    })
}

/// Whether the uplink has the address that it had: what comes in for one that LAN hosts share is for whom
/// a mapping says, and that goes with the address.
#[inline(always)]
fn is_current<T: Tables6>(tables: &T, pin: &Pin<SharedU64>) -> bool {
    tables.uplink6(pin.uplink).is_some_and(|uplink| uplink.generation == pin.generation)
}

/// Whether what comes in by this uplink may be of the pin's flow: for an address that LAN hosts share, only
/// by the uplink whose address it is.
#[inline(always)]
pub(super) fn may_come_by<M>(pin: &Pin<M>, uplink: u8) -> bool {
    pin.masquerade != Masquerade::In as u8 || pin.uplink == uplink
}

/// The uplink that the flow is pinned to, unless it has another prefix by now, or cannot send.
#[inline(always)]
pub(super) fn sending<'a, T: Tables6>(tables: &'a T, pin: &Pin<SharedU64>) -> Option<&'a Uplink6> {
    let can_send = tables.alive() >> (pin.uplink & 63) & 1 == 1;
    let uplink = tables.uplink6(pin.uplink)?;
    (can_send && uplink.generation == pin.generation).then_some(uplink)
}

/// Marks the packet's direction for the daemon's sweep.
#[inline(always)]
pub(super) fn mark<F: Frame, T: Tables6>(
    frame: &F,
    tables: &T,
    pin: &Pin<SharedU64>,
    packet: &Packet6,
) {
    // What is not answered has one pin only, and that has no place for what comes in.
    let is_out = packet.from_lan || pin.masquerade == Masquerade::Out as u8;
    let track = if is_out { &pin.out } else { &pin.into };
    let (seen, protocol) = ((packet.seen, packet.starts), packet.key.protocol());
    let sequence = || packet.sequence(frame);
    flow::mark_words(tables, (&track.mark, &track.progress), seen, protocol, sequence);
}

/// A place on the stack for a pin, for the reason that [`crate::path::entry::Place`] is one.
pub(super) type Place = MaybeUninit<Pin>;

/// The pin of a new flow of this packet.
#[inline(always)]
pub(super) fn new<'p, T: Tables6>(
    tables: &T,
    packet: &Packet6,
    (id, generation): (u8, u32),
    lan: LanSide,
    place: &'p mut Place,
) -> &'p mut Pin {
    // The compiler would make one call to clear several fields in a row, byte by byte.
    let zero = black_box(0);
    let seen = flow::mark_of(tables, packet.seen).0;
    let (out, into) = if packet.from_lan { (seen, zero) } else { (zero, seen) };
    let opener = if packet.from_lan { Opener::Lan } else { Opener::Remote };
    place.write(Pin {
        inside: packet.inside,
        outside: packet.outside,
        lan,
        generation,
        created: ticks(tables.now()),
        uplink: id,
        group: black_box(DEFAULT_GROUP),
        opener: opener as u8,
        masquerade: Masquerade::None as u8,
        port: L4Port::default(),
        transport_delta: black_box(0),
        out: Track { mark: out, progress: zero },
        into: Track { mark: into, progress: black_box(0) },
    })
}

/// Makes an unanswered flow, which this packet answers, an established one: it leaves `table`.
///
/// # Errors
/// Where there is no room for it.
#[inline(always)]
pub(super) fn establish<T: Tables6>(
    tables: &T,
    table: FlowTable,
    packet: &Packet6,
    pin: &Pin<SharedU64>,
    place: &mut Place,
) -> Result<(), DropReason> {
    let copy = place.write(pin.map(SharedU64::load));
    let seen = flow::mark_of(tables, packet.seen).0;
    if packet.from_lan {
        copy.out.mark = seen;
    } else {
        copy.into.mark = seen;
    }
    tables
        .replace_pin(FlowTable::Established, &packet.key, copy)
        .map_err(|_| DropReason::FlowTableFull)?;
    tables.retract_pin(table, &packet.key);
    Ok(())
}
