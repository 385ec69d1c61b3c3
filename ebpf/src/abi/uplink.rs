use super::{Ipv4, MacPair, assert_layout};

/// How many public addresses an uplink can have. The pool holds those of uplink `u` from index `u *
/// POOL_ADDRESSES` on.
pub const POOL_ADDRESSES: usize = 16;

/// What the data plane knows of one uplink. 32 bytes, indexed by the uplink's identifier.
///
/// Whether it is alive is not here: that is a bit of the switch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Uplink {
    /// Raised when the uplink's address changes: flow entries of another generation are stale.
    /// Zero: there is no such uplink.
    pub generation: u32,
    /// The public address, or the first of several, that flows are translated to.
    pub address: Ipv4,
    /// The next hop's MAC, then the interface's own: the first 12 bytes of every frame sent.
    pub macs: MacPair,
    /// The interface's index in the device map.
    pub egress: u16,
    /// The largest IPv4 packet that the uplink takes, in bytes.
    pub mtu: u16,
    /// How many public addresses it has: they are in the pool, this one first.
    pub pool: u8,
    /// Always zero.
    pub reserved: [u8; 7],
}

assert_layout!(Uplink, size 32, align 4,
    generation: 4, address: 4, macs: 12, egress: 2, mtu: 2, pool: 1, reserved: 7);
