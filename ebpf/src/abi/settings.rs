use super::{Ipv4, L4Port, assert_layout};

/// How many IPv4 prefixes the LAN may have.
pub const LAN_PREFIXES: usize = 16;

/// An IPv4 prefix. 8 bytes, in the machine's own byte order; no address is in the default value's
/// prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct LanPrefix {
    /// The prefix, its host bits zero.
    pub network: u32,
    /// The netmask.
    pub mask: u32,
}

assert_layout!(LanPrefix, size 8, align 4, network: 4, mask: 4);

impl Default for LanPrefix {
    fn default() -> Self {
        Self { network: u32::MAX, mask: 0 }
    }
}

impl LanPrefix {
    /// Whether the address is in the prefix.
    #[inline(always)]
    pub fn contains(&self, address: Ipv4) -> bool {
        address.to_host() & self.mask == self.network
    }
}

/// A range of ports, both ends included, in the machine's own byte order. 4 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct PortRange {
    /// The lowest port.
    pub first: u16,
    /// The highest port, not below `first`.
    pub last: u16,
}

assert_layout!(PortRange, size 4, align 2, first: 2, last: 2);

impl PortRange {
    /// Whether the port is in the range.
    #[inline(always)]
    pub fn contains(&self, port: L4Port) -> bool {
        (self.first..=self.last).contains(&port.to_host())
    }

    /// The port of the range that a random number falls on.
    #[inline(always)]
    pub fn pick(&self, random: u32) -> L4Port {
        let size = u64::from(self.last.wrapping_sub(self.first)) + 1;
        // Scales instead of dividing: BPF programs that divide by a variable may not load.
        let offset = (u64::from(random) * size) >> 32;
        L4Port::from_host(self.first.wrapping_add(offset as u16))
    }
}

/// What holds for the whole gateway. 152 bytes, the only element of its map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Settings {
    /// The key of the hash that chooses a bucket, drawn at random at start.
    pub hash_key: [u64; 2],
    /// [`super::ABI_VERSION`] of who wrote the maps.
    pub abi_version: u32,
    /// The ports and echo identifiers that translation hands out.
    pub nat_ports: PortRange,
    /// The LAN's own prefixes: a packet from one to another is no transit. Unused ones hold the
    /// default.
    pub lan_prefixes: [LanPrefix; LAN_PREFIXES],
}

assert_layout!(Settings, size 152, align 8,
    hash_key: 16, abi_version: 4, nat_ports: 4, lan_prefixes: 128);

/// One of the gateway's own addresses: IPv6 as it is, IPv4 mapped (RFC 4291 section 2.5.5.2). 16
/// bytes, big-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct LocalAddress(pub [u8; 16]);

impl From<Ipv4> for LocalAddress {
    #[inline(always)]
    fn from(address: Ipv4) -> Self {
        let [a, b, c, d] = address.octets();
        Self([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d])
    }
}
