//! The two entries of a flow.

use core::hint::black_box;

use crate::abi::{
    Direction, Flow, FlowKey, HostDigest, Ipv4, Ipv6, L4Port, LanSide, Nat64, SharedU64, Uplink,
};
use crate::path::entry::{DEFAULT_GROUP, Place};
use crate::path::{FlowTable, InsertError, Tables6, flow};
use crate::verdict::DropReason;
use crate::wire::{Protocol, checksum::Delta};

/// What both entries of a flow follow from.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    pub(super) inside: (Ipv6, L4Port),
    /// What the LAN host appears as.
    pub(super) public: (Ipv4, L4Port),
    /// Who is beyond the uplink.
    pub(super) remote: Ipv4,
    /// The protocol of IPv4.
    pub(super) protocol: u8,
}

/// What both entries have in common.
#[derive(Clone, Copy)]
pub(super) struct Common {
    lan: LanSide,
    generation: u32,
    /// In ticks.
    now: u32,
    uplink: u8,
    opener: u8,
}

impl Common {
    /// Of a flow by this uplink, from now on.
    #[inline(always)]
    pub(super) fn new((id, uplink): (u8, &Uplink), lan: LanSide, opener: u8, now: u32) -> Self {
        Self { lan, generation: uplink.generation, now, uplink: id, opener }
    }

    /// As of another entry of the flow.
    #[inline(always)]
    pub(super) fn of<M>(flow: &Flow<M>) -> Self {
        Self {
            lan: flow.lan,
            generation: flow.generation,
            now: flow.created,
            uplink: flow.uplink,
            opener: flow.opener,
        }
    }
}

/// The entry from the LAN, with nothing noted yet.
#[inline(always)]
pub(super) fn outward<'p>(
    ends: &Ends,
    digest: HostDigest,
    nat64: &Nat64,
    common: Common,
    place: &'p mut Place,
) -> &'p mut Flow {
    let change = Delta::NONE
        .without(ends.inside.0)
        .without(nat64.embed(ends.remote))
        .port(ends.inside.1, ends.public.1);
    let transport_delta = if ends.protocol == Protocol::ICMP {
        // The checksum of ICMP has no pseudo-header (RFC 792).
        change.word(u16::from_ne_bytes([0, Protocol::ICMPV6]), 0)
    } else {
        let none = Ipv4::default();
        change.address(none, ends.public.0).address(none, ends.remote)
    };
    let [a, b, c, d] = digest.rest().octets();
    let zero = black_box(0);
    place.write(Flow {
        mark: zero,
        progress: zero,
        generation: common.generation,
        address: ends.public.0,
        port: ends.public.1,
        header_delta: u16::from_ne_bytes([a, b]),
        transport_delta: transport_delta.fold(),
        other_port: L4Port::new([c, d]),
        lan: common.lan,
        other_address: ends.remote,
        created: common.now,
        rest: digest.account(),
        direction: Direction::Out64 as u8,
        group: black_box(DEFAULT_GROUP),
        opener: common.opener,
        uplink: common.uplink,
    })
}

/// The entry from the uplink, with nothing noted yet.
#[inline(always)]
pub(super) fn inward<'p>(
    ends: &Ends,
    nat64: &Nat64,
    common: Common,
    place: &'p mut Place,
) -> &'p mut Flow {
    let change = Delta::NONE
        .with(ends.inside.0)
        .with(nat64.embed(ends.remote))
        .port(ends.public.1, ends.inside.1);
    let transport_delta = if ends.protocol == Protocol::ICMP {
        change.word(0, u16::from_ne_bytes([0, Protocol::ICMPV6]))
    } else {
        let none = Ipv4::default();
        change.address(ends.public.0, none).address(ends.remote, none)
    };
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = ends.inside.0.octets();
    let zero = black_box(0);
    place.write(Flow {
        mark: zero,
        progress: zero,
        generation: common.generation,
        address: Ipv4::new([a, b, c, d]),
        port: ends.inside.1,
        header_delta: u16::from_ne_bytes([e, f]),
        transport_delta: transport_delta.fold(),
        other_port: L4Port::new([g, h]),
        lan: common.lan,
        other_address: Ipv4::new([i, j, k, l]),
        created: common.now,
        rest: Ipv4::new([m, n, o, p]),
        direction: Direction::In64 as u8,
        group: black_box(DEFAULT_GROUP),
        opener: common.opener,
        uplink: common.uplink,
    })
}

/// Puts both entries into the table of established flows, in the order that
/// [`crate::path::entry::insert_pair`] does.
///
/// # Errors
/// Where there is no room for both. Then there is neither.
#[inline(always)]
pub(super) fn insert_pair<T: Tables6>(
    tables: &T,
    (out_key, out): (&FlowKey, &Flow),
    (in_key, into): (&FlowKey, &Flow),
) -> Result<(), DropReason> {
    let full = |_: InsertError| DropReason::FlowTableFull;
    tables.replace_flow(FlowTable::Established, in_key, into).map_err(full)?;
    tables.replace_flow(FlowTable::Established, out_key, out).map_err(|error| {
        tables.retract_flow(FlowTable::Established, in_key);
        full(error)
    })
}

/// The uplink of an entry from the LAN, if it can send, and has the address that it had.
#[inline(always)]
pub(super) fn sending<'a, T: Tables6>(
    tables: &'a T,
    entry: &Flow<SharedU64>,
) -> Option<&'a Uplink> {
    flow::current(tables, entry).filter(|_| flow::can_send(tables, entry))
}
