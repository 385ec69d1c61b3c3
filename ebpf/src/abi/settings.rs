use super::{Ipv4, Ipv6, L4Port, assert_layout};

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

/// Which senders a mapping takes packets from (RFC 4787 section 5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Filtering {
    /// Anyone.
    #[default]
    Endpoint = 0,
    /// Whose address the LAN host has sent to.
    Address = 1,
    /// Whose address and port the LAN host has sent to.
    AddressAndPort = 2,
}

/// What holds for the whole gateway. 64 bytes, the only element of its map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Settings {
    /// The key of the hash that chooses a bucket, drawn at random at start.
    pub hash_key: [u64; 2],
    /// [`super::ABI_VERSION`] of who wrote the maps.
    pub abi_version: u32,
    /// The ports and echo identifiers that translation hands out, but for those of [`OwnPorts`].
    pub nat_ports: PortRange,
    /// How many mappings a LAN host may have.
    pub host_mappings_max: u32,
    /// How many flows that nobody has answered a LAN host may have.
    pub host_unreplied_max: u32,
    /// How many ICMP messages of its own a CPU may send in a second.
    pub icmp_rate: u32,
    /// How many of them at once.
    pub icmp_burst: u32,
    /// How many of the [`Forward`](super::Forward)s hold, from the first on.
    pub forwards: u32,
    /// The kernel's index of the LAN interface whose view of the kernel's routes holds.
    pub lan_interface: u32,
    /// A [`Filtering`].
    pub filtering: u8,
    /// Whether an uplink is configured for IPv6: one, or zero.
    pub ipv6: u8,
    /// Whether an uplink routes prefixes of IPv4 as they are: one, or zero.
    pub routed: u8,
    /// Always zero.
    pub reserved: [u8; 5],
    /// The uplinks that translate IPv4, a bit each.
    pub nat44: u64,
    /// The uplinks that nobody beyond opens a flow by, a bit each: not by a mapping, nor by a forward that
    /// another uplink has as well.
    pub closed: u64,
}

impl Settings {
    /// Whether nobody beyond this uplink opens a flow by it.
    #[inline(always)]
    pub const fn is_closed(&self, uplink: u8) -> bool {
        self.closed >> (uplink & 63) & 1 == 1
    }
}

assert_layout!(Settings, size 72, align 8,
    hash_key: 16, abi_version: 4, nat_ports: 4, host_mappings_max: 4, host_unreplied_max: 4,
    icmp_rate: 4, icmp_burst: 4, forwards: 4, lan_interface: 4, filtering: 1, ipv6: 1, routed: 1,
    reserved: 5, nat44: 8, closed: 8);

/// How many words [`OwnPorts`] are.
pub const OWN_PORT_WORDS: usize = 2 * 65536 / 64;

/// Where the ports stand that are never handed out, because the gateway's own sockets have them or
/// may take them, or because they are forwarded: a bit each, in 64-bit words, those of TCP first,
/// then those of UDP.
#[derive(Clone, Copy, Debug)]
pub struct OwnPorts;

impl OwnPorts {
    /// The word and the bit in it; `udp`, or TCP.
    #[inline(always)]
    pub const fn place(udp: bool, port: L4Port) -> (u32, u32) {
        let bit = (udp as u32) << 16 | port.to_host() as u32;
        (bit >> 6, bit & 63)
    }
}

/// Tokens that ICMP messages of the gateway's own cost, one each. 16 bytes, one for each CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct TokenBucket {
    /// When it was filled last, in nanoseconds of the monotonic clock.
    pub filled: u64,
    /// What is in it, in billionths of a token.
    pub level: u64,
}

assert_layout!(TokenBucket, size 16, align 8, filled: 8, level: 8);

impl TokenBucket {
    const TOKEN: u64 = 1_000_000_000;

    /// The bucket with one token less, or nothing where there is none. It fills at `rate` tokens a
    /// second up to `burst`; one that was never filled is full.
    #[inline(always)]
    pub const fn take(self, now: u64, rate: u32, burst: u32) -> Option<Self> {
        let full = burst as u64 * Self::TOKEN;
        let elapsed = now.wrapping_sub(self.filled);
        // An hour fills any bucket that the configuration allows, and its nanoseconds by the rates
        // that it allows, up to a million, fit the word.
        let elapsed = if elapsed > 3600 * Self::TOKEN { 3600 * Self::TOKEN } else { elapsed };
        let mut level = self.level + elapsed * rate as u64;
        if level > full || self.filled == 0 {
            level = full;
        }
        if level < Self::TOKEN {
            return None;
        }
        Some(Self { filled: now, level: level - Self::TOKEN })
    }
}

/// One of the gateway's own addresses: IPv6 as it is, IPv4 mapped (RFC 4291 section 2.5.5.2).
pub type LocalAddress = Ipv6;

impl From<Ipv4> for Ipv6 {
    #[inline(always)]
    fn from(address: Ipv4) -> Self {
        let [a, b, c, d] = address.octets();
        Self { upper: 0, lower: u64::from_ne_bytes([0, 0, 0xff, 0xff, a, b, c, d]) }
    }
}

/// Some bits of a hash of each of the gateway's own addresses: one whose bit is not set is none. So
/// hardly any packet that is for somebody else has its addresses looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocalFilter {
    /// 64 bits each.
    pub words: [u64; LOCAL_FILTER_WORDS],
}

/// How many words a [`LocalFilter`] is: a power of two.
pub const LOCAL_FILTER_WORDS: usize = 8;

impl LocalFilter {
    /// The filter of these addresses.
    pub fn of<'a>(addresses: impl IntoIterator<Item = &'a LocalAddress>) -> Self {
        let mut filter = Self::default();
        for address in addresses {
            let (word, bit) = Self::place(address);
            if let Some(word) = filter.words.get_mut(word as usize) {
                *word |= 1 << bit;
            }
        }
        filter
    }

    /// The word and the bit in it.
    #[inline(always)]
    pub const fn place(address: &LocalAddress) -> (u32, u32) {
        // Fibonacci hashing: the upper bits of the product depend on all of the lower ones.
        let hash = (address.upper ^ address.lower.swap_bytes()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((hash >> 61) as u32, (hash >> 55) as u32 & 63)
    }
}

/// Whose a [`LocalAddress`] is. 1 byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct AddressOwner(u8);

impl AddressOwner {
    /// The kernel's, and no uplink's public address.
    pub const KERNEL: Self = Self(0);

    /// A public address of this uplink, which also the kernel has.
    pub const fn shared(uplink: u8) -> Self {
        Self(uplink + 1)
    }

    /// A public address of this uplink that is for translation only: the kernel does not have it.
    pub const fn translated(uplink: u8) -> Self {
        Self((uplink + 1) | 0x80)
    }

    /// The uplink that it is a public address of.
    #[inline(always)]
    pub const fn uplink(self) -> Option<u8> {
        (self.0 & 0x7f).checked_sub(1)
    }

    /// Whether the kernel has it.
    #[inline(always)]
    pub const fn is_kernel(self) -> bool {
        self.0 & 0x80 == 0
    }
}
