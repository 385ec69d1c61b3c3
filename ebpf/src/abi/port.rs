use super::{Ipv4, Mac, assert_layout};

/// Slots of the table of ports, a power of two. The port of interface `i` is in one of the
/// [`PORT_PROBES`] slots from `i % PORT_SLOTS` on, modulo the table's size.
pub const PORT_SLOTS: usize = 256;

/// How many slots a look-up tries.
pub const PORT_PROBES: usize = 4;

/// What an interface is to the gateway, as [`Port::role`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PortRole {
    /// Hosts of the site.
    Lan = 1,
    /// A provider.
    Uplink = 2,
}

/// An interface that the program is attached to. 24 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Port {
    /// The kernel's index of the interface; zero in a free slot.
    pub ifindex: u32,
    /// The interface's index in the device map.
    pub egress: u16,
    /// The largest IPv4 packet that the interface takes, in bytes.
    pub mtu: u16,
    /// The interface's own MAC.
    pub mac: Mac,
    /// A [`PortRole`].
    pub role: u8,
    /// The uplink's identifier, or zero on a LAN interface.
    pub uplink: u8,
    /// Always zero.
    pub reserved: [u8; 2],
    /// The interface's own IPv4 address: the source of ICMP messages sent back by it.
    pub address: Ipv4,
}

assert_layout!(Port, size 24, align 8,
    ifindex: 4, egress: 2, mtu: 2, mac: 8, role: 1, uplink: 1, reserved: 2, address: 4);
