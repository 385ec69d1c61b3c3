use super::{Ipv4, L4Port, LanSide, assert_layout};
use crate::wire::Protocol;

/// One side of a mapping between a LAN host's address and port and a public one of an uplink (RFC
/// 4787 section 4). 40 bytes.
///
/// A mapping is two entries: that of the public side ([`FlowKey::external`]) says whose it is, that
/// of the LAN side ([`FlowKey::internal`]) says what it is translated to. The first is inserted
/// only where there is none: that insertion is the reservation of the port.
///
/// `M` is as for [`Flow`](super::Flow).
///
/// [`FlowKey::external`]: super::FlowKey::external
/// [`FlowKey::internal`]: super::FlowKey::internal
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Binding<M = u64> {
    /// When a flow was last made by it, in [`ticks`](super::ticks).
    pub used: M,
    /// The generation of the uplink that it was made for.
    pub generation: u32,
    /// Of the public side: the LAN host's address, or of one of IPv6, its
    /// [`HostDigest::account`](super::HostDigest::account). Of the LAN side: the public one.
    pub address: Ipv4,
    /// Of the public side: the LAN host's port or echo identifier. Of the LAN side: the public one.
    pub port: L4Port,
    /// Always zero.
    pub reserved: u16,
    /// Of the public side, if the LAN host is one of IPv6: its
    /// [`HostDigest::rest`](super::HostDigest::rest). Zero elsewhere.
    pub rest: Ipv4,
    /// How the LAN host is reached; of one of IPv6, its address: [`LanSide::of_ipv6`].
    pub lan: LanSide,
}

assert_layout!(Binding, size 40, align 8,
    used: 8, generation: 4, address: 4, port: 2, reserved: 2, rest: 4, lan: 16);
const _: () = assert!(size_of::<Binding<super::SharedU64>>() == 40);

/// Whether mappings of this protocol are by ports, or by identifiers of echo, which tell the LAN's
/// hosts apart. Those of others are by pairs of addresses.
#[inline(always)]
pub const fn has_mapped_ports(protocol: u8) -> bool {
    matches!(protocol, Protocol::TCP | Protocol::UDP | Protocol::ICMP)
}

/// What of the remote end's address a mapping of this protocol depends on, as its keys have it:
/// nothing where there are ports.
#[inline(always)]
pub fn mapping_remote(protocol: u8, address: Ipv4) -> Ipv4 {
    if has_mapped_ports(protocol) { Ipv4::default() } else { address }
}

impl<M> Binding<M> {
    /// The same entry with another word for what the data plane writes: `with` of it.
    pub fn map<N>(&self, with: impl Fn(&M) -> N) -> Binding<N> {
        Binding {
            used: with(&self.used),
            generation: self.generation,
            address: self.address,
            port: self.port,
            reserved: 0,
            rest: self.rest,
            lan: self.lan,
        }
    }
}

/// What a LAN host takes of the tables, and by which uplink its flows leave. 24 bytes, by its address. The
/// data plane counts up, and down where a flow is answered; the daemon's sweep sets what it has counted,
/// which also mends what two CPUs have lost to each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Host<M = u64> {
    /// Its mappings.
    pub mappings: M,
    /// Its flows that nobody has answered.
    pub unreplied: M,
    /// A [`Placement`]: where the flow that it opened last leaves. The data plane writes it, and the sweep
    /// takes it back when no flow is left there.
    pub placement: M,
}

assert_layout!(Host, size 24, align 8, mappings: 8, unreplied: 8, placement: 8);
const _: () = assert!(size_of::<Host<super::SharedU64>>() == 24);

impl<M> Host<M> {
    /// The same entry with other words for what the data plane writes: `with` of each.
    pub fn map<N>(&self, with: impl Fn(&M) -> N) -> Host<N> {
        Host {
            mappings: with(&self.mappings),
            unreplied: with(&self.unreplied),
            placement: with(&self.placement),
        }
    }
}

/// By which uplink the flows of a LAN host leave, and since when, in one word: the identifier plus one in
/// the lowest 8 bits, [`ticks`](super::ticks) in the upper 32. Zero is nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Placement(pub u64);

impl Placement {
    /// By no uplink.
    pub const NONE: Self = Self(0);

    /// By the uplink of this identifier, since `now`.
    #[inline(always)]
    pub const fn new(uplink: u8, now: u32) -> Self {
        Self((now as u64) << 32 | (uplink as u64 + 1))
    }

    /// The uplink's identifier.
    #[inline(always)]
    pub const fn uplink(self) -> Option<u8> {
        match self.0 as u8 {
            0 => None,
            uplink => Some(uplink - 1),
        }
    }

    /// When a flow was last opened there, in ticks.
    #[inline(always)]
    pub const fn since(self) -> u32 {
        (self.0 >> 32) as u32
    }
}
