use super::{Ipv6, assert_layout};

/// A translation between an internal and an external prefix, by the algorithm of RFC 6296 section 3.
/// 32 bytes; prefixes are upper halves of addresses, as [`Ipv6`] has them.
///
/// Of prefixes of different length the shorter one is taken for as long as the other, its further
/// bits zero (RFC 6296 section 3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct PrefixTranslation {
    /// The internal prefix, all other bits zero.
    pub internal: u64,
    /// The external prefix, likewise.
    pub external: u64,
    /// The bits of both.
    pub mask: u64,
    /// What is added to a word of an internal address so that the sum over all its words, and with it
    /// each checksum, stays what it was; in the byte order of the packet, as the machine loads it.
    pub adjustment: u16,
    /// Whether the prefixes are longer than /48, so that it is a word of the interface identifier that
    /// is adjusted: one, or zero.
    pub is_long: u8,
    /// Always zero.
    pub reserved: [u8; 5],
}

assert_layout!(PrefixTranslation, size 32, align 8,
    internal: 8, external: 8, mask: 8, adjustment: 2, is_long: 1, reserved: 5);

/// Why an address is not translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untranslated {
    /// It is not of the prefix.
    Foreign,
    /// None of the words that may be adjusted can be: they are 0xFFFF (RFC 6296 sections 3.4 and 3.5).
    NoWord,
    /// It would have an interface identifier of zero, which stands for all routers of a subnet (RFC
    /// 6296 section 3.5; RFC 4291 section 2.6.1).
    Anycast,
}

impl PrefixTranslation {
    /// Between two prefixes, each an address and a length of up to 64 bits.
    pub const fn new(internal: (Ipv6, u8), external: (Ipv6, u8)) -> Self {
        let longer = if internal.1 > external.1 { internal.1 } else { external.1 };
        let longer = if longer > 64 { 64 } else { longer };
        let mask = if longer == 0 { 0 } else { (u64::MAX << (64 - longer as u32)).to_be() };
        let (internal, external) = (prefix(internal), prefix(external));
        let adjustment = add(fold(internal), !fold(external));
        Self {
            internal,
            external,
            mask,
            adjustment,
            is_long: (longer > 48) as u8,
            reserved: [0; 5],
        }
    }

    /// The external address of an internal one.
    ///
    /// # Errors
    /// Where there is none.
    #[inline(always)]
    pub const fn outbound(&self, address: Ipv6) -> Result<Ipv6, Untranslated> {
        self.translate(address, self.internal, self.external, self.adjustment)
    }

    /// The internal address of an external one.
    ///
    /// # Errors
    /// Where there is none.
    #[inline(always)]
    pub const fn inbound(&self, address: Ipv6) -> Result<Ipv6, Untranslated> {
        self.translate(address, self.external, self.internal, !self.adjustment)
    }

    #[inline(always)]
    const fn translate(
        &self,
        address: Ipv6,
        from: u64,
        to: u64,
        adjustment: u16,
    ) -> Result<Ipv6, Untranslated> {
        if address.upper & self.mask != from {
            return Err(Untranslated::Foreign);
        }
        let upper = address.upper & !self.mask | to;
        if self.is_long == 0 {
            return match adjust(upper, SUBNET, adjustment) {
                Some(upper) => Ok(Ipv6 { upper, ..address }),
                None => Err(Untranslated::NoWord),
            };
        }
        // The first that can be (RFC 6296 section 3.5).
        let mut place = 0;
        while place < 4 {
            if let Some(lower) = adjust(address.lower, place, adjustment) {
                return if lower == 0 {
                    Err(Untranslated::Anycast)
                } else {
                    Ok(Ipv6 { upper, lower })
                };
            }
            place += 1;
        }
        Err(Untranslated::NoWord)
    }
}

/// The place of the subnet's word in the upper half of an address: the last one.
const SUBNET: u32 = 3;

/// The half of an address with the word of this place, counted in the order of the packet, adjusted. A
/// sum of 0xFFFF becomes zero (RFC 6296 section 3.2). Nothing where the word is 0xFFFF already.
#[inline(always)]
const fn adjust(half: u64, place: u32, adjustment: u16) -> Option<u64> {
    let shift = place * 16;
    let half = half.to_le();
    let word = (half >> shift) as u16;
    if word == u16::MAX {
        return None;
    }
    // The word in the byte order of the packet, as the machine loads it.
    let sum = match add(u16::from_le(word), adjustment) {
        u16::MAX => 0,
        sum => sum,
    };
    Some(u64::from_le(half & !(0xffff << shift) | (sum.to_le() as u64) << shift))
}

/// A one's-complement sum, which does not depend on the byte order (RFC 1071 section 2(B)).
#[inline(always)]
const fn add(a: u16, b: u16) -> u16 {
    let sum = a as u32 + b as u32;
    (sum as u16).wrapping_add((sum >> 16) as u16)
}

/// The one's-complement sum of the words of half an address, as the machine loads them.
const fn fold(half: u64) -> u16 {
    let sum = (half & 0xffff) as u16;
    let sum = add(sum, (half >> 16) as u16);
    let sum = add(sum, (half >> 32) as u16);
    add(sum, (half >> 48) as u16)
}

/// The upper half of a prefix of so many bits, all others zero.
const fn prefix((address, len): (Ipv6, u8)) -> u64 {
    match len {
        0 => 0,
        64.. => address.upper,
        _ => address.upper & (u64::MAX << (64 - len as u32)).to_be(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    fn address(text: &str) -> Ipv6 {
        Ipv6::new(text.parse::<Ipv6Addr>().unwrap().octets())
    }

    fn between(internal: &str, external: &str) -> PrefixTranslation {
        let prefix = |text: &str| {
            let (network, len) = text.split_once('/').unwrap();
            (address(network), len.parse().unwrap())
        };
        PrefixTranslation::new(prefix(internal), prefix(external))
    }

    /// The sum of all words, in which 0xFFFF and zero are the same.
    fn sum(address: Ipv6) -> u16 {
        match add(fold(address.upper), fold(address.lower)) {
            u16::MAX => 0,
            sum => sum,
        }
    }

    #[track_caller]
    fn assert_translates(translation: &PrefixTranslation, internal: &str, external: &str) {
        let (internal, external) = (address(internal), address(external));
        assert_eq!(translation.outbound(internal), Ok(external));
        assert_eq!(translation.inbound(external), Ok(internal));
        assert_eq!(sum(internal), sum(external));
    }

    #[test]
    fn the_example_of_the_rfc() {
        // RFC 6296 section 3.6: the adjustment is 0xD54F.
        let translation = between("fd01:203:405::/48", "2001:db8:1::/48");
        assert_translates(&translation, "fd01:203:405:1::1234", "2001:db8:1:d550::1234");
    }

    #[test]
    fn a_longer_prefix_adjusts_the_first_word_of_the_identifier_that_can_be() {
        let translation = between("fd01:203:405::/56", "2001:db8:1::/56");
        // 0xD54F is what the prefixes differ by.
        assert_translates(&translation, "fd01:203:405:17:1:2:3:4", "2001:db8:1:17:d550:2:3:4");
        let (a, b) = ("fd01:203:405::ffff:1:3:4", "2001:db8:1::ffff:d550:3:4");
        assert_translates(&translation, a, b);
        let (a, b) = ("fd01:203:405::ffff:ffff:1:4", "2001:db8:1::ffff:ffff:d550:4");
        assert_translates(&translation, a, b);
        let (a, b) = ("fd01:203:405::ffff:ffff:ffff:1", "2001:db8:1::ffff:ffff:ffff:d550");
        assert_translates(&translation, a, b);
    }

    #[test]
    fn a_word_of_all_ones_is_not_translated() {
        let short = between("fd01:203:405::/48", "2001:db8:1::/48");
        let no_word = Err(Untranslated::NoWord);
        assert_eq!(short.outbound(address("fd01:203:405:ffff::1")), no_word);
        assert_eq!(short.inbound(address("2001:db8:1:ffff::1")), no_word);
        let long = between("fd01:203:405::/64", "2001:db8:1::/64");
        assert_eq!(long.outbound(address("fd01:203:405::ffff:ffff:ffff:ffff")), no_word);
    }

    #[test]
    fn what_would_be_all_ones_becomes_zero() {
        let translation = between("fd01:203:405::/48", "2001:db8:1::/48");
        // 0x2AB0 + 0xD54F = 0xFFFF.
        assert_translates(&translation, "fd01:203:405:2ab0::1", "2001:db8:1::1");
    }

    #[test]
    fn no_identifier_of_zero_comes_out() {
        let translation = between("fd01:203:405::/64", "2001:db8:1::/64");
        let anycast = Err(Untranslated::Anycast);
        assert_eq!(translation.outbound(address("fd01:203:405::2ab0:0:0:0")), anycast);
        assert_eq!(translation.inbound(address("2001:db8:1::d54f:0:0:0")), anycast);
    }

    #[test]
    fn prefixes_of_different_length_are_taken_as_long_as_the_longer_one() {
        let translation = between("fd01:203:405::/48", "2001:db8:1:ab00::/56");
        let foreign = Err(Untranslated::Foreign);
        assert_eq!(translation.outbound(address("fd01:203:405:100::1")), foreign);
        let out = translation.outbound(address("fd01:203:405:17::1")).unwrap();
        assert_eq!(out.octets()[..8], [0x20, 1, 0xd, 0xb8, 0, 1, 0xab, 0x17]);
        assert_eq!(translation.inbound(out), Ok(address("fd01:203:405:17::1")));
        assert_eq!(sum(out), sum(address("fd01:203:405:17::1")));
        assert_eq!(translation.inbound(address("2001:db8:1:aa17::1")), foreign);
    }

    #[test]
    fn every_address_comes_back() {
        let mut random = crate::memory::Random::new(6296);
        let rounds = if cfg!(miri) { 200 } else { 20_000 };
        let mut translated = 0;
        for _ in 0..rounds {
            let len = |random: &mut crate::memory::Random| 16 + random.below(49) as u8;
            let (inner, outer) = (len(&mut random), len(&mut random));
            let half = |random: &mut crate::memory::Random| Ipv6 { upper: random.word(), lower: 0 };
            let prefixes = ((half(&mut random), inner), (half(&mut random), outer));
            let translation = PrefixTranslation::new(prefixes.0, prefixes.1);
            let upper = translation.internal | random.word() & !translation.mask;
            let ones = match random.below(4) {
                0 => 0,
                1 => 0xffff,
                2 => 0xffff_ffff,
                _ => 0xffff_0000,
            };
            let internal = Ipv6 { upper, lower: random.word() | ones };
            let Ok(external) = translation.outbound(internal) else { continue };
            assert_eq!(sum(internal), sum(external), "{translation:?} {internal:?}");
            assert_eq!(external.upper & translation.mask, translation.external);
            assert_eq!(translation.inbound(external), Ok(internal), "{translation:?}");
            translated += 1;
        }
        assert!(translated > rounds * 3 / 4, "{translated} of {rounds}");
    }
}
