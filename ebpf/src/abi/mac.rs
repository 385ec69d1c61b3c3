use super::{Ipv6, assert_layout};

/// A MAC: its six octets, first to last, in the lower bytes of a little-endian word; the upper two
/// are zero. 8 bytes.
///
/// It is a word and not an array because the path compares and moves MACs in registers: arrays of
/// bytes on the BPF stack are copied in pieces that its verifier calls misaligned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Mac(u64);

impl Mac {
    /// From the six octets as they stand in a frame.
    #[inline(always)]
    pub const fn new(octets: [u8; 6]) -> Self {
        let [a, b, c, d, e, f] = octets;
        Self(u64::from_le_bytes([a, b, c, d, e, f, 0, 0]))
    }

    /// From the first four and the last two octets.
    #[inline(always)]
    pub const fn from_head_tail(head: [u8; 4], tail: [u8; 2]) -> Self {
        Self(u32::from_le_bytes(head) as u64 | (u16::from_le_bytes(tail) as u64) << 32)
    }

    /// The word itself.
    #[inline(always)]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// From what [`Self::to_bits`] gave.
    #[inline(always)]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The six octets as they stand in a frame.
    pub const fn octets(self) -> [u8; 6] {
        let [a, b, c, d, e, f, ..] = self.0.to_le_bytes();
        [a, b, c, d, e, f]
    }
}

/// Destination MAC, then source MAC: the first 12 bytes of a frame, as three little-endian words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct MacPair([u32; 3]);

impl MacPair {
    /// Of a frame from `source` to `destination`.
    #[inline(always)]
    pub const fn new(destination: Mac, source: Mac) -> Self {
        let middle = destination.0 >> 32 | source.0 << 16;
        Self([destination.0 as u32, middle as u32, (source.0 >> 16) as u32])
    }

    /// The three words as they stand in a frame.
    #[inline(always)]
    pub const fn words(self) -> [[u8; 4]; 3] {
        let [a, b, c] = self.0;
        [a.to_le_bytes(), b.to_le_bytes(), c.to_le_bytes()]
    }
}

/// How a LAN host is reached. 16 bytes.
///
/// It is two words, taken apart by shifts, for the reason that [`FlowKey`](super::FlowKey) is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct LanSide {
    /// The first two words of the MACs.
    head: u64,
    /// The last word of the MACs, the MTU, and the index in the device map.
    tail: u64,
}

assert_layout!(LanSide, size 16, align 8, head: 8, tail: 8);

impl LanSide {
    /// Through the LAN interface of index `egress` in the device map, which takes IPv4 packets of up
    /// to `mtu` bytes: `macs` are from there to the host.
    #[inline(always)]
    pub const fn new(macs: MacPair, egress: u16, mtu: u16) -> Self {
        let MacPair([a, b, c]) = macs;
        Self {
            head: a as u64 | (b as u64) << 32,
            tail: c as u64 | (mtu as u64) << 32 | (egress as u64) << 48,
        }
    }

    /// From the LAN interface to the host.
    #[inline(always)]
    pub const fn macs(self) -> MacPair {
        MacPair([self.head as u32, (self.head >> 32) as u32, self.tail as u32])
    }

    /// The LAN interface's index in the device map.
    #[inline(always)]
    pub const fn egress(self) -> u16 {
        (self.tail >> 48) as u16
    }

    /// The largest IPv4 packet that the LAN interface takes, in bytes.
    #[inline(always)]
    pub const fn mtu(self) -> u16 {
        (self.tail >> 32) as u16
    }

    /// Whether it is the side that a frame came from: by the interface of index `egress`, from the MAC
    /// that this word starts with, as it stands in the frame.
    #[inline(always)]
    pub const fn is_of(self, source: [u8; 8], egress: u16) -> bool {
        // Two more octets than a MAC has.
        (self.head ^ u64::from_le_bytes(source)) << 16 == 0 && self.egress() == egress
    }

    /// The address of an IPv6 host of the LAN, where a mapping says whose it is, and its neighbours say
    /// how it is reached.
    #[inline(always)]
    pub const fn of_ipv6(address: Ipv6) -> Self {
        Self { head: address.upper, tail: address.lower }
    }

    /// The address of [`Self::of_ipv6`].
    #[inline(always)]
    pub const fn to_ipv6(self) -> Ipv6 {
        Ipv6 { upper: self.head, lower: self.tail }
    }

    /// Whether the host's MAC is known.
    #[inline(always)]
    pub const fn is_resolved(self) -> bool {
        self.head != 0
    }
}
