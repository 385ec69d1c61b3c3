use super::{DigestKey, FlowKey, Ipv4, Ipv6, L4Port, assert_layout};

/// The IPv6 prefix in which IPv4 addresses stand for the hosts that have them (RFC 6052). 40 bytes. The
/// default, all zeros, where there is no NAT64, holds no address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Nat64 {
    /// The prefix, all other bits zero, and then every bit flipped.
    flipped: Ipv6,
    /// What of an address is the prefix.
    mask: Ipv6,
    /// The first bit of the IPv4 address, were there no octet left free in the middle.
    first_bit: u8,
    /// Whether it is the well-known prefix: one, or zero.
    is_well_known: u8,
    /// Always zero.
    reserved: [u8; 6],
}

assert_layout!(Nat64, size 40, align 8,
    flipped: 16, mask: 16, first_bit: 1, is_well_known: 1, reserved: 6);

impl Nat64 {
    /// How long the prefix may be, in bits (RFC 6052 section 2.2).
    pub const LENGTHS: [u8; 6] = [32, 40, 48, 56, 64, 96];

    /// The well-known prefix, 64:ff9b::/96 (RFC 6052 section 2.1).
    pub const WELL_KNOWN: ([u16; 8], u8) = ([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);

    /// Of a prefix of so many bits. Nothing where it may not be so long, or has something in the octet
    /// from bit 64 on, which is zero in all addresses.
    pub fn new(prefix: Ipv6, length: u8) -> Option<Self> {
        let bits = u128::MAX << (128 - u32::from(length).min(128));
        let network = u128::from_be_bytes(prefix.octets()) & bits;
        if !Self::LENGTHS.contains(&length) || network >> 56 & 0xff != 0 {
            return None;
        }
        let well_known = core::net::Ipv6Addr::from(Self::WELL_KNOWN.0);
        let is_well_known = length == Self::WELL_KNOWN.1 && network == u128::from(well_known);
        Some(Self {
            flipped: Ipv6::new((!network).to_be_bytes()),
            mask: Ipv6::new(bits.to_be_bytes()),
            first_bit: if length > 64 { length - 8 } else { length },
            is_well_known: u8::from(is_well_known),
            reserved: [0; 6],
        })
    }

    /// Whether the address is of the prefix.
    #[inline(always)]
    pub fn contains(&self, address: &Ipv6) -> bool {
        address.upper & self.mask.upper == !self.flipped.upper
            && address.lower & self.mask.lower == !self.flipped.lower
    }

    /// Whether there is NAT64.
    #[inline(always)]
    pub const fn is_set(&self) -> bool {
        self.mask.upper != 0
    }

    /// The IPv6 address that stands for an IPv4 one (RFC 6052 section 2.2).
    #[inline(always)]
    pub const fn embed(&self, address: Ipv4) -> Ipv6 {
        let bits = (address.to_host() as u64) << 32;
        let (upper, lower) = match self.first_bit {
            // Behind the octet that is left free.
            at @ 64.. => (0, bits >> (at & 31)),
            at => (bits >> (at & 63), bits << ((64 - at as u32) & 63)),
        };
        let (upper, lower) = (upper.to_be(), (lower >> 8).to_be());
        Ipv6 { upper: !self.flipped.upper | upper, lower: !self.flipped.lower | lower }
    }

    /// The IPv4 address that one of the prefix stands for (RFC 6052 section 2.3). Nothing where anything
    /// else stands in the bits that are to be zero, or where the well-known prefix stands for an address
    /// of a private network (section 3.1).
    #[inline(always)]
    pub fn extract(&self, address: &Ipv6) -> Option<Ipv4> {
        let (upper, lower) = (u64::from_be(address.upper), u64::from_be(address.lower) << 8);
        let bits = match self.first_bit {
            at @ 64.. => lower << (at & 31),
            at => upper << (at & 63) | lower >> ((64 - u32::from(at)) & 63),
        };
        let found = Ipv4::new(((bits >> 32) as u32).to_be_bytes());
        (self.embed(found) == *address && self.leads_to(found)).then_some(found)
    }

    /// Whether an IPv4 address may stand in the prefix: in the well-known one, none of a private network
    /// (RFC 6052 section 3.1).
    #[inline(always)]
    pub const fn leads_to(&self, address: Ipv4) -> bool {
        self.is_well_known == 0 || !address.is_private()
    }
}

/// What stands for an IPv6 host of the LAN where entries have room for an IPv4 address, and another
/// number beside: a digest of its address. 56 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostDigest(u64);

impl HostDigest {
    /// Of this address.
    #[inline(always)]
    pub const fn new(key: &DigestKey, address: Ipv6) -> Self {
        let none = L4Port::new([0; 2]);
        let nobody = Ipv6 { upper: 0, lower: 0 };
        let [digest, _] = FlowKey::pinned(key, (address, none), (nobody, none), 0).words();
        Self(digest >> 8)
    }

    /// From both its parts.
    #[inline(always)]
    pub const fn from_parts(account: Ipv4, rest: Ipv4) -> Self {
        Self((account.to_host() as u64) << 32 | rest.to_host() as u64)
    }

    /// What stands for the host's address: in 0.0.0.0/8, so it is nobody's in IPv4 (RFC 6890 section
    /// 2.2.2).
    #[inline(always)]
    pub const fn account(self) -> Ipv4 {
        Ipv4::new(((self.0 >> 32) as u32).to_be_bytes())
    }

    /// The other half, which tells most of those apart that have the first in common.
    #[inline(always)]
    pub const fn rest(self) -> Ipv4 {
        Ipv4::new((self.0 as u32).to_be_bytes())
    }

    /// What stands for a host outside that is permitted to send: [`Self::rest`], but 0.0.0.1 where that
    /// is 0.0.0.0, for zero is the remote end in the mapping's own key.
    #[inline(always)]
    pub const fn sender(self) -> Ipv4 {
        match self.0 as u32 {
            0 => Ipv4::new([0, 0, 0, 1]),
            rest => Ipv4::new(rest.to_be_bytes()),
        }
    }
}

impl Ipv4 {
    /// Whether it stands for a host of IPv6: [`HostDigest::account`].
    #[inline(always)]
    pub const fn is_account(self) -> bool {
        self.to_host() >> 24 == 0
    }

    /// Whether it is of a private network (RFC 1918 section 3).
    #[inline(always)]
    pub const fn is_private(self) -> bool {
        let address = self.to_host();
        address >> 24 == 10 || address >> 20 == 0xac1 || address >> 16 == 0xc0a8
    }
}

#[cfg(test)]
mod tests {
    use core::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    fn ipv6(text: &str) -> Ipv6 {
        Ipv6::new(text.parse::<Ipv6Addr>().unwrap().octets())
    }

    fn nat64(prefix: &str, length: u8) -> Nat64 {
        Nat64::new(ipv6(prefix), length).unwrap()
    }

    const ADDRESS: Ipv4 = Ipv4::new([192, 0, 2, 33]);

    /// RFC 6052 section 2.4, table 2.
    #[test]
    fn addresses_stand_where_the_rfc_has_them() {
        for (prefix, length, text) in [
            ("2001:db8::", 32, "2001:db8:c000:221::"),
            ("2001:db8:100::", 40, "2001:db8:1c0:2:21::"),
            ("2001:db8:122::", 48, "2001:db8:122:c000:2:2100::"),
            ("2001:db8:122:300::", 56, "2001:db8:122:3c0:0:221::"),
            ("2001:db8:122:344::", 64, "2001:db8:122:344:c0:2:2100::"),
            ("2001:db8:122:344::", 96, "2001:db8:122:344::192.0.2.33"),
            ("64:ff9b::", 96, "64:ff9b::192.0.2.33"),
        ] {
            let nat64 = nat64(prefix, length);
            assert_eq!(nat64.embed(ADDRESS), ipv6(text), "{prefix}/{length}");
            assert!(nat64.contains(&ipv6(text)), "{prefix}/{length}");
            assert_eq!(nat64.extract(&ipv6(text)), Some(ADDRESS), "{prefix}/{length}");
        }
    }

    #[test]
    fn every_bit_comes_back() {
        for length in Nat64::LENGTHS {
            let nat64 = nat64("2001:db8::", length);
            for bit in 0..32 {
                let address = Ipv4::new((1_u32 << bit).to_be_bytes());
                assert_eq!(nat64.extract(&nat64.embed(address)), Some(address), "{length} {bit}");
            }
        }
    }

    #[test]
    fn bits_that_are_no_part_of_it_are_zero() {
        assert_eq!(nat64("2001:db8::", 32).extract(&ipv6("2001:db8:c000:221::1")), None);
        assert_eq!(nat64("2001:db8::", 64).extract(&ipv6("2001:db8::1c0:2:2100:0")), None);
        assert_eq!(Nat64::new(ipv6("2001:db8:0:0:1200::"), 96), None);
        assert_eq!(Nat64::new(ipv6("2001:db8::"), 33), None);
    }

    #[test]
    fn the_well_known_prefix_is_not_for_private_networks() {
        for private in ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1"] {
            let address = Ipv4::new(private.parse::<Ipv4Addr>().unwrap().octets());
            let (well_known, own) = (nat64("64:ff9b::", 96), nat64("2001:db8::", 96));
            assert_eq!(well_known.extract(&well_known.embed(address)), None, "{private}");
            assert_eq!(own.extract(&own.embed(address)), Some(address), "{private}");
        }
        assert!(!Ipv4::new([172, 32, 0, 1]).is_private());
        assert!(!Ipv4::new([192, 169, 0, 1]).is_private());
    }

    #[test]
    fn without_a_prefix_no_address_is_of_it() {
        for address in [Ipv6::default(), ipv6("64:ff9b::1.2.3.4"), ipv6("::1")] {
            assert!(!Nat64::default().contains(&address));
        }
    }

    #[test]
    fn a_digest_is_both_its_parts() {
        let key =
            core::array::from_fn(|word| 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(word as u64 + 1));
        let digest = HostDigest::new(&key, ipv6("2001:db8::1"));
        assert!(digest.account().is_account());
        assert_ne!(digest.rest(), Ipv4::default());
        assert_eq!(HostDigest::from_parts(digest.account(), digest.rest()), digest);
        assert_ne!(digest, HostDigest::new(&key, ipv6("2001:db8::2")));
    }

    #[test]
    fn no_sender_is_zero() {
        let account = Ipv4::new([0, 7, 8, 9]);
        for (rest, sender) in
            [([0; 4], [0, 0, 0, 1]), ([0, 0, 0, 1], [0, 0, 0, 1]), ([1, 0, 0, 0], [1, 0, 0, 0])]
        {
            let digest = HostDigest::from_parts(account, Ipv4::new(rest));
            assert_eq!(digest.sender(), Ipv4::new(sender));
        }
    }
}
