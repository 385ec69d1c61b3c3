use super::{Ipv4, MacPair, assert_layout};

/// What the data plane knows of one uplink. 32 bytes, indexed by the uplink's identifier.
///
/// Whether it is alive is not here: that is a bit of the switch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Uplink {
    /// Raised when the uplink's address changes: flow entries of another generation are stale.
    /// Zero: there is no such uplink.
    pub generation: u32,
    /// The public address that flows are translated to.
    pub address: Ipv4,
    /// The next hop's MAC, then the interface's own: the first 12 bytes of every frame sent.
    pub macs: MacPair,
    /// The interface's index in the device map.
    pub egress: u16,
    /// The largest IPv4 packet that the uplink takes, in bytes.
    pub mtu: u16,
    /// Always zero.
    pub reserved: [u8; 8],
}

assert_layout!(Uplink, size 32, align 4,
    generation: 4, address: 4, macs: 12, egress: 2, mtu: 2, reserved: 8);
