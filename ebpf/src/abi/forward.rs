use super::{Ipv4, Ipv4Prefix, L4Port, LanSide, PortRange, assert_layout};

/// How many port forwards there can be.
pub const MAX_FORWARDS: usize = 256;

/// How many prefixes the senders of a port forward can be limited to.
pub const FORWARD_SOURCES: usize = 4;

/// A port forward: what comes to these ports of an uplink's public address goes to a LAN host. 72
/// bytes. The default value forwards nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Forward {
    /// The uplinks that it holds for, a bit each.
    pub uplinks: u64,
    /// The host's address.
    pub address: Ipv4,
    /// The public ports.
    pub ports: PortRange,
    /// The host's port that the first public port stands for; the others follow.
    pub port: u16,
    /// TCP or UDP, by IP protocol number.
    pub protocol: u8,
    /// How many of `sources` hold; anyone may send where it is zero.
    pub source_count: u8,
    /// Always zero.
    pub reserved: u32,
    /// How the host is reached: all zero as long as its MAC is not known.
    pub lan: LanSide,
    /// Who may send.
    pub sources: [Ipv4Prefix; FORWARD_SOURCES],
}

assert_layout!(Forward, size 72, align 8,
    uplinks: 8, address: 4, ports: 4, port: 2, protocol: 1, source_count: 1, reserved: 4, lan: 16,
    sources: 32);

impl Forward {
    /// The host's port that a public port of the range stands for.
    #[inline(always)]
    pub const fn target(&self, public: L4Port) -> L4Port {
        L4Port::from_host(public.to_host().wrapping_sub(self.ports.first).wrapping_add(self.port))
    }

    /// The public port that a port of the host is reached by.
    #[inline(always)]
    pub const fn public(&self, port: L4Port) -> L4Port {
        L4Port::from_host(port.to_host().wrapping_sub(self.port).wrapping_add(self.ports.first))
    }
}
