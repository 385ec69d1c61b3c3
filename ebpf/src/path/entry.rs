//! 4. The entries of a flow, and how an answer makes it an established one.

use core::hint::black_box;
use core::mem::MaybeUninit;

use super::parse::Packet;
use super::{FlowTable, InsertError, Tables};
use crate::abi::{
    Binding, DigestKey, Direction, Flow, FlowKey, Forward, HostDigest, Ipv4, Ipv6, L4Port, LanSide,
    MacPair, Opener, Port, SharedU64, Uplink, ticks,
};
use crate::verdict::DropReason;
use crate::wire::{Frame, Protocol, checksum::Delta};

/// The only group there is without policy rules.
pub(super) const DEFAULT_GROUP: u8 = 0;

/// A LAN host's end of a flow, and how it is reached.
///
/// The end is a word, taken apart by shifts, for the reason that [`FlowKey`] is two.
#[derive(Clone, Copy)]
pub(super) struct Inside {
    /// The address, and the port.
    end: u64,
    pub(super) lan: LanSide,
}

impl Inside {
    #[inline(always)]
    pub(super) fn new((address, port): (Ipv4, L4Port), lan: LanSide) -> Self {
        let address = u64::from(u32::from_ne_bytes(address.octets()));
        Self { end: address | u64::from(port.to_host()) << 32, lan }
    }

    /// The sender of a packet that came in by `port`.
    #[inline(always)]
    pub(super) fn sender<F: Frame>(
        frame: &F,
        packet: &Packet,
        port: &Port,
    ) -> Result<Self, DropReason> {
        let source = packet.source_mac(frame).ok_or(DropReason::Truncated)?;
        let lan = LanSide::new(MacPair::new(source, port.mac), port.egress, port.mtu);
        Ok(Self::new(packet.key.from(), lan))
    }

    /// Whose the public side of a mapping is.
    #[inline(always)]
    pub(super) fn of_binding(binding: &Binding<SharedU64>) -> Self {
        Self::new((binding.address, binding.port), binding.lan)
    }

    /// A host of IPv6: what stands for its address, and how its neighbours are asked for it; and the digest
    /// of that.
    #[inline(always)]
    pub(super) fn of_ipv6(key: &DigestKey, (address, port): (Ipv6, L4Port)) -> (Self, HostDigest) {
        let digest = HostDigest::new(key, address);
        (Self::new((digest.account(), port), LanSide::of_ipv6(address)), digest)
    }

    /// Who is behind a public port that is forwarded.
    #[inline(always)]
    pub(super) fn of_forward(forward: &Forward, public: L4Port) -> Self {
        Self::new((forward.address, forward.target(public)), forward.lan)
    }

    /// The address and port.
    #[inline(always)]
    pub(super) fn end(&self) -> (Ipv4, L4Port) {
        let address = Ipv4::new((self.end as u32).to_ne_bytes());
        (address, L4Port::from_host((self.end >> 32) as u16))
    }
}

/// What both directions of a flow have in common.
#[derive(Clone, Copy)]
pub(super) struct Common {
    pub(super) protocol: u8,
    pub(super) uplink: u8,
    pub(super) generation: u32,
    pub(super) opener: Opener,
    /// In ticks.
    pub(super) now: u32,
}

impl Common {
    /// Of a flow of this key, by this uplink, from now on.
    #[inline(always)]
    pub(super) fn new<T: Tables>(
        tables: &T,
        key: &FlowKey,
        (id, uplink): (u8, &Uplink),
        opener: Opener,
    ) -> Self {
        let (protocol, now) = (key.protocol(), ticks(tables.now()));
        Self { protocol, uplink: id, generation: uplink.generation, opener, now }
    }

    /// The entry from a LAN host to an uplink, translated to `public`.
    #[inline(always)]
    pub(super) fn outward<'p>(
        &self,
        inside: &Inside,
        public: (Ipv4, L4Port),
        place: &'p mut Place,
    ) -> &'p mut Flow {
        let change = self.change(inside.end(), public);
        self.entry(Direction::Out, inside, public, change, Default::default(), place)
    }

    /// The entry from an uplink to a LAN host that is known as `public`.
    #[inline(always)]
    pub(super) fn inward<'p>(
        &self,
        public: (Ipv4, L4Port),
        inside: &Inside,
        place: &'p mut Place,
    ) -> &'p mut Flow {
        let change = self.change(public, inside.end());
        self.entry(Direction::In, inside, inside.end(), change, Default::default(), place)
    }

    /// The entry from one LAN host, which appears as `source`, to another, which is known as
    /// `public`.
    #[inline(always)]
    pub(super) fn hairpin<'p>(
        &self,
        sender: (Ipv4, L4Port),
        source: (Ipv4, L4Port),
        public: (Ipv4, L4Port),
        inside: &Inside,
        place: &'p mut Place,
    ) -> &'p mut Flow {
        let (address, port) = self.change(sender, source);
        let (other_address, other_port) = self.change(public, inside.end());
        let change = (address.and(other_address), port.and(other_port));
        self.entry(Direction::Hairpin, inside, source, change, inside.end(), place)
    }

    /// What checksums change by: that of the header, and what is added to it for the transport's.
    #[inline(always)]
    fn change(&self, old: (Ipv4, L4Port), new: (Ipv4, L4Port)) -> (Delta, Delta) {
        (Delta::NONE.address(old.0, new.0), Delta::NONE.port(old.1, new.1))
    }

    #[inline(always)]
    fn entry<'p>(
        &self,
        direction: Direction,
        inside: &Inside,
        new: (Ipv4, L4Port),
        (address, port): (Delta, Delta),
        other: (Ipv4, L4Port),
        place: &'p mut Place,
    ) -> &'p mut Flow {
        // The checksum of ICMP has no pseudo-header (RFC 792).
        let transport = if self.protocol == Protocol::ICMP { port } else { address.and(port) };
        // The compiler would make one call to clear several fields in a row, byte by byte.
        let zero = black_box(0);
        place.write(Flow {
            mark: zero,
            progress: zero,
            generation: self.generation,
            address: new.0,
            port: new.1,
            header_delta: address.ttl_decrement().fold(),
            transport_delta: transport.fold(),
            lan: inside.lan,
            created: self.now,
            uplink: self.uplink,
            direction: direction as u8,
            other_address: other.0,
            other_port: other.1,
            group: black_box(DEFAULT_GROUP),
            opener: self.opener as u8,
            rest: Ipv4::default(),
        })
    }
}

/// A place on the stack for an entry. Entries are made where they are to be, and not passed by
/// value: of what is copied about, the compiler keeps pieces that the verifier calls misaligned.
pub(super) type Place = MaybeUninit<Flow>;

/// A copy of an entry, as it is now.
#[inline(always)]
pub(super) fn copy<'p>(flow: &Flow<SharedU64>, place: &'p mut Place) -> &'p mut Flow {
    place.write(flow.map(SharedU64::load))
}

/// Makes an unanswered flow an established one: both its entries, `flow` under `key` and `peer`
/// under the key of that, go to the table of those, and it leaves `table`.
///
/// # Errors
/// Where there is no room for both. Then there is neither.
#[inline(always)]
pub(super) fn establish<T: Tables>(
    tables: &T,
    table: FlowTable,
    key: &FlowKey,
    flow: &Flow,
    peer: &Flow,
) -> Result<(), DropReason> {
    insert_pair(tables, key, flow, peer)?;
    take_out(tables, table, key);
    Ok(())
}

/// Takes a flow that is an established one now out of the table of those that are not.
#[inline(always)]
pub(super) fn take_out<T: Tables>(tables: &T, table: FlowTable, key: &FlowKey) {
    tables.retract_flow(table, key);
    if table == FlowTable::Unreplied
        && let Some(host) = tables.host(key.source())
    {
        host.unreplied.count_down();
    }
}

/// Puts both entries of a flow into the table of established ones. What is left there of an older
/// flow is replaced: a mapping is one host's at a time.
///
/// # Errors
/// As for [`establish`].
#[inline(always)]
pub(super) fn insert_pair<T: Tables>(
    tables: &T,
    key: &FlowKey,
    flow: &Flow,
    peer: &Flow,
) -> Result<(), DropReason> {
    let peer_key = key.peer(flow);
    let full = |_: InsertError| DropReason::FlowTableFull;
    tables.replace_flow(FlowTable::Established, &peer_key, peer).map_err(full)?;
    tables.replace_flow(FlowTable::Established, key, flow).map_err(|error| {
        tables.retract_flow(FlowTable::Established, &peer_key);
        full(error)
    })
}

/// The entry from an uplink that belongs to `out`, the entry under `key` from the LAN, with nothing
/// noted yet.
#[inline(always)]
pub(super) fn opposite<'p, M>(
    key: &FlowKey,
    out: &Flow<M>,
    opener: Opener,
    place: &'p mut Place,
) -> &'p mut Flow {
    let common = Common {
        protocol: key.protocol(),
        uplink: out.uplink,
        generation: out.generation,
        opener,
        now: out.created,
    };
    common.inward((out.address, out.port), &Inside::new(key.from(), out.lan), place)
}
