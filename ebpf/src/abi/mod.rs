//! Every type that the XDP program and the daemon share through BPF maps.
//!
//! Each type is `repr(C)` without padding, and its size is asserted. Addresses and ports are kept
//! in network byte order (as they stand in the packet), behind constructors that say so; every
//! other integer is in the machine's own order.

use core::fmt;

mod binding;
mod counters;
mod flow;
mod forward;
mod group;
mod handshake;
mod ipv6;
mod lan;
mod mac;
mod monitor;
mod nat64;
mod nptv6;
mod pin;
mod port;
mod prefix;
mod settings;
mod shared;
mod switch;
mod uplink;
mod uplink6;
mod vlan;

pub use binding::{Binding, Host, Placement, has_mapped_ports, mapping_remote};
pub use counters::{COUNTERS, Counter, CounterId};
pub use flow::{
    Direction, Epoch, Flow, FlowKey, LAN_REALM, Mark, NAT64_REALM, Opener, Progress, ROUTED_REALM,
    seconds_to_ticks, ticks, to_ipv4, to_ipv6,
};
pub use forward::{FORWARD_SOURCES, Forward, MAX_FORWARDS};
pub use group::{BUCKETS_PER_GROUP, Bucket, Group, OnFailure, RANKS, Sticky};
pub use handshake::{
    ATTEMPT_PATIENCE, ATTEMPTS, Attempt, AttemptKey, HANDSHAKE_WORDS, HandshakeCount,
    HandshakeCounts,
};
pub use ipv6::Ipv6;
pub use lan::{LAN_NETWORKS, LanNetwork};
pub use mac::{LanSide, Mac, MacPair};
pub use monitor::{Monitor, Sequence, Watch};
pub use nat64::{HostDigest, Nat64};
pub use nptv6::{PrefixTranslation, Untranslated};
pub use pin::{DigestKey, Masquerade, Pin, Track};
pub use port::{PORT_PROBES, PORT_SLOTS, Port, PortKey, PortRole, ROUTED_PREFIXES};
pub use prefix::Ipv4Prefix;
pub use settings::{
    AddressOwner, Filtering, LOCAL_FILTER_WORDS, LocalAddress, LocalFilter, OWN_PORT_WORDS,
    OwnPorts, PortRange, Settings, TokenBucket,
};
pub use shared::SharedU64;
pub use switch::{NO_DEADLINE, Switch};
pub use uplink::{POOL_ADDRESSES, ROUTED_SIDE, UPLINK_SIDES, Uplink, uplink_of};
pub use uplink6::{
    Inbound, Ipv6Mode, NAT66_SIDE, SITE_PREFIXES, SitePrefix, Uplink6, WantedNeighbour,
};
pub(crate) use vlan::VLAN_ID;
pub use vlan::Vlan;

/// The shape of the maps. Raised with every change of a type in this module or of a map in the
/// object; a daemon does not write into maps of another version.
pub const ABI_VERSION: u32 = 12;

/// How long what one daemon leaves for the next may be, in bytes.
pub const MEMO_LEN: usize = 1 << 16;

/// How many uplinks there can be: one bit each in a mask of 64.
pub const MAX_UPLINKS: usize = 64;

/// How many groups there can be.
pub const MAX_GROUPS: usize = 64;

/// An IPv4 address in network byte order: `Ipv4Addr::octets`, as it stands in the packet.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Ipv4(u32);

impl fmt::Debug for Ipv4 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        core::net::Ipv4Addr::from(self.octets()).fmt(formatter)
    }
}

impl Ipv4 {
    /// From the four octets, most significant first.
    pub const fn new(octets: [u8; 4]) -> Self {
        Self(u32::from_ne_bytes(octets))
    }

    /// The four octets, most significant first.
    pub const fn octets(self) -> [u8; 4] {
        self.0.to_ne_bytes()
    }

    /// The octets as a number, the first one least significant.
    #[inline(always)]
    const fn to_le(self) -> u32 {
        self.0.to_le()
    }

    #[inline(always)]
    const fn from_le(octets: u32) -> Self {
        Self(u32::from_le(octets))
    }

    /// The address as a number in the machine's own order, for masks and comparisons.
    pub const fn to_host(self) -> u32 {
        u32::from_be(self.0)
    }
}

/// A TCP or UDP port, or an ICMP identifier, in network byte order.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct L4Port(u16);

impl fmt::Debug for L4Port {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_host().fmt(formatter)
    }
}

impl L4Port {
    /// From the number in the machine's own order.
    pub const fn from_host(port: u16) -> Self {
        Self(port.to_be())
    }

    /// The octets as a number, the first one least significant.
    #[inline(always)]
    const fn to_le(self) -> u16 {
        self.0.to_le()
    }

    #[inline(always)]
    const fn from_le(octets: u16) -> Self {
        Self(u16::from_le(octets))
    }

    /// From the two octets as they stand in the packet.
    pub const fn new(octets: [u8; 2]) -> Self {
        Self(u16::from_ne_bytes(octets))
    }

    /// The two octets as they stand in the packet.
    pub const fn octets(self) -> [u8; 2] {
        self.0.to_ne_bytes()
    }

    /// The number in the machine's own order.
    pub const fn to_host(self) -> u16 {
        u16::from_be(self.0)
    }

    /// This port or its neighbour, whichever is even where `other` is, or odd.
    #[inline(always)]
    #[must_use]
    pub const fn with_parity_of(self, other: Self) -> Self {
        Self::from_host(self.to_host() & !1 | other.to_host() & 1)
    }
}

/// Asserts a type's size and that its fields, listed with their sizes, leave no padding.
macro_rules! assert_layout {
    ($type:ty, size $size:expr, align $align:expr, $($field:ident: $width:expr),+ $(,)?) => {
        const _: () = {
            assert!(size_of::<$type>() == $size);
            assert!(align_of::<$type>() == $align);
            let mut end = 0;
            $(
                assert!(core::mem::offset_of!($type, $field) == end);
                end += $width;
            )+
            assert!(end == $size);
        };
    };
}
pub(crate) use assert_layout;

/// Lets aya's typed maps hold a type of this module.
#[cfg(feature = "userspace")]
macro_rules! impl_pod {
    ($($type:ty),+ $(,)?) => {$(
        // SAFETY: `repr(C)` or `repr(transparent)` over plain integers without padding (asserted
        // beside its definition), so every bit pattern is a value and every byte is initialised.
        unsafe impl aya::Pod for $type {}
    )+};
}
#[cfg(feature = "userspace")]
impl_pod!(
    AddressOwner,
    Attempt,
    Binding,
    Bucket,
    Counter,
    Monitor,
    Switch,
    Flow,
    FlowKey,
    Forward,
    Group,
    Host,
    Ipv4,
    Ipv6,
    LanNetwork,
    Nat64,
    Pin,
    Port,
    Settings,
    SitePrefix,
    crate::wire::Tags,
    TokenBucket,
    Uplink,
    Uplink6,
    Vlan,
    WantedNeighbour,
);
