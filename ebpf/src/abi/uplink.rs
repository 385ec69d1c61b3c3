use super::{Ipv4, MAX_UPLINKS, MacPair, assert_layout};

/// How many public addresses an uplink can have. The pool holds those of uplink `u` from index `u *
/// POOL_ADDRESSES` on.
pub const POOL_ADDRESSES: usize = 16;

/// What tells the two sides of an uplink apart: that by which it translates, at the uplink's identifier
/// in the table of [`Uplink`]s, and that by which it routes the site's own prefixes as they are, at the
/// identifier plus this. So a flow knows by one number which it goes by, and neither side's changes
/// concern the flows of the other.
pub const ROUTED_SIDE: u8 = MAX_UPLINKS as u8;

/// How many sides there are.
pub const UPLINK_SIDES: usize = 2 * MAX_UPLINKS;

/// The identifier of the uplink that a side is of.
#[inline(always)]
pub const fn uplink_of(side: u8) -> u8 {
    side & (ROUTED_SIDE - 1)
}

/// What the data plane knows of one side of an uplink for IPv4. 32 bytes, indexed by the side.
///
/// Whether it is alive is not here: that is a bit of the switch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Uplink {
    /// Raised when the uplink's address changes, or what it routes: flow entries of another generation
    /// are stale. Zero: the uplink has no such side.
    pub generation: u32,
    /// The public address, or the first of several, that flows are translated to; none where they are
    /// routed.
    pub address: Ipv4,
    /// The next hop's MAC, then the interface's own: the first 12 bytes of every frame sent.
    pub macs: MacPair,
    /// The interface's index in the device map.
    pub egress: u16,
    /// The largest IPv4 packet that the uplink takes, in bytes.
    pub mtu: u16,
    /// How many public addresses it has: they are in the pool, this one first.
    pub pool: u8,
    /// Of the routed side: an [`Inbound`](super::Inbound).
    pub inbound: u8,
    /// Always zero.
    pub reserved: [u8; 6],
}

assert_layout!(Uplink, size 32, align 4,
    generation: 4, address: 4, macs: 12, egress: 2, mtu: 2, pool: 1, inbound: 1, reserved: 6);
