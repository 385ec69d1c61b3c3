use super::{Ipv6, MacPair, PrefixTranslation, assert_layout};

/// What is added to an uplink's identifier in the keys of mappings between IPv6 and IPv6, so that they are
/// none of IPv4's: [`FlowKey::external`](super::FlowKey::external),
/// [`FlowKey::internal`](super::FlowKey::internal). In the place of the public address there is 0.0.0.0, for
/// there is one only.
pub const NAT66_SIDE: u8 = 0x80;

/// How an uplink carries IPv6, as [`Uplink6::mode`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Ipv6Mode {
    /// Not at all.
    #[default]
    None = 0,
    /// With the prefix of the LAN translated to the provider's (RFC 6296).
    Nptv6 = 1,
    /// As it is: the prefix is the site's own, whichever uplink it crosses.
    Routed = 2,
    /// As it is, if it is from the provider's own prefix, of which the hosts have an address (RFC 8678).
    Source = 3,
    /// By one address of the uplink's, with ports that tell the LAN's hosts apart.
    Nat66 = 4,
}

/// What comes in by an uplink, as [`Uplink6::inbound`], or to prefixes of IPv4 that it routes, as
/// [`Uplink::inbound`](super::Uplink::inbound).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Inbound {
    /// Answers to what the LAN has opened (RFC 6092 section 3.1).
    #[default]
    Answers = 0,
    /// Anything for a LAN host.
    All = 1,
}

/// What the data plane knows of one uplink for IPv6. 80 bytes, indexed by the uplink's identifier.
///
/// Whether it is alive is not here: that is a bit of the switch, for IPv4 and IPv6 alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Uplink6 {
    /// Raised when the prefix changes: what was pinned to the uplink before is so no more. Zero: the
    /// uplink carries no IPv6.
    pub generation: u32,
    /// The interface's index in the device map.
    pub egress: u16,
    /// The largest IPv6 packet that the uplink takes, in bytes.
    pub mtu: u16,
    /// The next hop's MAC, then the interface's own.
    pub macs: MacPair,
    /// An [`Ipv6Mode`].
    pub mode: u8,
    /// An [`Inbound`].
    pub inbound: u8,
    /// Always zero.
    pub reserved: [u8; 10],
    /// Between the LAN's prefix and the provider's, of [`Ipv6Mode::Nptv6`].
    pub translation: PrefixTranslation,
    /// The public address, of [`Ipv6Mode::Nat66`].
    pub address: Ipv6,
}

assert_layout!(Uplink6, size 80, align 8,
    generation: 4, egress: 2, mtu: 2, macs: 12, mode: 1, inbound: 1, reserved: 10, translation: 32,
    address: 16);

/// What is known of an IPv6 prefix, or of an IPv4 one that is routed, mapped (RFC 4291 section
/// 2.5.5.2), as the value of a map of prefixes of which the longest counts. 16 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct SitePrefix {
    /// The uplinks that packets from it may leave by, a bit each.
    pub uplinks: u64,
    /// The uplink that translates it to the LAN's prefix, by its identifier plus one; zero for one that
    /// is the LAN's.
    pub translated_by: u8,
    /// Whether it is a provider's own, so that packets from it have no other way: one, or zero.
    pub is_bound: u8,
    /// Whether no uplink takes packets from it, though it is the LAN's: one, or zero.
    pub is_foreign: u8,
    /// Always zero.
    pub reserved: [u8; 5],
}

assert_layout!(SitePrefix, size 16, align 8, uplinks: 8, translated_by: 1, is_bound: 1, is_foreign: 1, reserved: 5);

/// How many [`SitePrefix`]es there can be.
pub const SITE_PREFIXES: usize = 1024;

/// A neighbour that the kernel is asked to find the MAC of. 24 bytes, an element of a ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct WantedNeighbour {
    /// Its address.
    pub address: Ipv6,
    /// The kernel's index of the interface that it is behind.
    pub interface: u32,
    /// Always zero.
    pub reserved: u32,
}

assert_layout!(WantedNeighbour, size 24, align 8, address: 16, interface: 4, reserved: 4);
