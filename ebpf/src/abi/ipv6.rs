use core::fmt;

use super::{Ipv4, assert_layout};

/// An IPv6 address, as it stands in the packet: its two halves, each as the machine loads it. 16
/// bytes.
///
/// It is two words for the reason that [`FlowKey`](super::FlowKey) is.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C)]
pub struct Ipv6 {
    /// The upper half: the first eight octets.
    pub upper: u64,
    /// The lower half, which is the interface identifier.
    pub lower: u64,
}

assert_layout!(Ipv6, size 16, align 8, upper: 8, lower: 8);

impl fmt::Debug for Ipv6 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        core::net::Ipv6Addr::from(self.octets()).fmt(formatter)
    }
}

impl From<[u8; 16]> for Ipv6 {
    #[inline(always)]
    fn from(octets: [u8; 16]) -> Self {
        Self::new(octets)
    }
}

impl Ipv6 {
    /// From the sixteen octets, most significant first.
    pub const fn new(octets: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = octets;
        let upper = u64::from_ne_bytes([a, b, c, d, e, f, g, h]);
        Self { upper, lower: u64::from_ne_bytes([i, j, k, l, m, n, o, p]) }
    }

    /// The sixteen octets, most significant first.
    pub const fn octets(self) -> [u8; 16] {
        let [a, b, c, d, e, f, g, h] = self.upper.to_ne_bytes();
        let [i, j, k, l, m, n, o, p] = self.lower.to_ne_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
    }

    /// From both halves as they stand in the packet.
    #[inline(always)]
    pub const fn from_wire([upper, lower]: [[u8; 8]; 2]) -> Self {
        Self { upper: u64::from_ne_bytes(upper), lower: u64::from_ne_bytes(lower) }
    }

    /// Both halves as they stand in the packet.
    #[inline(always)]
    pub const fn to_wire(self) -> [[u8; 8]; 2] {
        [self.upper.to_ne_bytes(), self.lower.to_ne_bytes()]
    }

    /// The IPv4 address that it stands for, if it is a mapped one (RFC 4291 section 2.5.5.2).
    #[inline(always)]
    pub const fn to_ipv4(self) -> Option<Ipv4> {
        const PREFIX: u32 = u32::from_ne_bytes([0, 0, 0xff, 0xff]);
        let [a, b, c, d, e, f, g, h] = self.lower.to_ne_bytes();
        if self.upper == 0 && u32::from_ne_bytes([a, b, c, d]) == PREFIX {
            Some(Ipv4::new([e, f, g, h]))
        } else {
            None
        }
    }

    /// The sum of its 32-bit words, for a checksum, as [`crate::wire::checksum`] has them.
    #[inline(always)]
    pub const fn sum(self) -> u64 {
        const LOW: u64 = 0xffff_ffff;
        (self.upper & LOW) + (self.upper >> 32) + (self.lower & LOW) + (self.lower >> 32)
    }

    /// The first two octets as a number.
    #[inline(always)]
    const fn head(self) -> u16 {
        u16::from_be(self.upper.to_le() as u16)
    }

    /// Whether it is in fe80::/10 (RFC 4291 section 2.5.6).
    #[inline(always)]
    pub const fn is_link_local(self) -> bool {
        self.head() & 0xffc0 == 0xfe80
    }

    /// Whether it is in ff00::/8 (RFC 4291 section 2.7).
    #[inline(always)]
    pub const fn is_multicast(self) -> bool {
        self.head() & 0xff00 == 0xff00
    }

    /// Whether a router must not forward what is from it or to it: unspecified, loopback and
    /// IPv4-mapped addresses, which have 64 bits of zero in common, link-local and multicast ones (RFC
    /// 4291 section 2.5; RFC 6890 section 2.2.3).
    #[inline(always)]
    pub const fn is_martian(self) -> bool {
        self.upper == 0 || self.is_link_local() || self.is_multicast()
    }
}
