use crate::wire::EtherType;

/// The bits of a tag that name the VLAN (IEEE 802.1Q section 9.6).
pub(crate) const VLAN_ID: u16 = 0x0fff;

/// The types of tags, as they stand in the lower half of a tag's little-endian word.
const CUSTOMER: u32 = u16::from_le_bytes(EtherType::VLAN) as u32;
const SERVICE: u32 = u16::from_le_bytes(EtherType::SERVICE_VLAN) as u32;

/// The bits of a tag's little-endian word that say which VLAN it is, and of what type. The others are its
/// priority.
const NAMES: u32 = 0xff0f_ffff;

/// The bit of a tag's half that says that it is a service tag.
const IS_SERVICE: u16 = 0x1000;

/// What says of the lower half of a word that it is one of two tags, and the bits that do.
const STACKED: u32 = 0x8000;
const IS_STACKED: u32 = 0xe000;

/// Which tags the frames of a [`Port`](super::Port) have: none, one, or one within another. 4 bytes.
///
/// One tag is the four bytes that stand in the frame, in a little-endian word: the type, `0x88a8` of a service
/// tag (IEEE 802.1ad) or `0x8100` of a customer tag (IEEE 802.1Q), and the VLAN's identifier, with the
/// priority zero. Two are a half each, the inner one in the upper half, in network byte order: the identifier
/// in the lower 12 bits, and above them whether it is a service tag; the outer one in the lower half, and
/// above that `0b100`, as no type has it. Zero is no tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Vlan(u32);

impl Vlan {
    /// No tag.
    pub const NONE: Self = Self(0);

    /// One customer tag (IEEE 802.1Q), of type `0x8100`. Nothing where no VLAN has this identifier:
    /// there are those from 1 to 4094.
    pub const fn customer(id: u16) -> Option<Self> {
        Self::single(id, CUSTOMER)
    }

    /// One service tag (IEEE 802.1ad), of type `0x88a8`. Nothing as for [`Self::customer`].
    pub const fn service(id: u16) -> Option<Self> {
        Self::single(id, SERVICE)
    }

    const fn single(id: u16, kind: u32) -> Option<Self> {
        match id {
            1..0x0fff => Some(Self(kind | (id.swap_bytes() as u32) << 16)),
            _ => None,
        }
    }

    /// This tag within another (QinQ). Nothing unless both are one tag.
    pub const fn within(self, outer: Self) -> Option<Self> {
        match (self.count(), outer.count()) {
            (1, 1) => Some(Self::of_tags(outer.0, self.0)),
            _ => None,
        }
    }

    /// What the little-endian word of a tag says. It is nobody's VLAN where that is a priority only.
    #[inline(always)]
    pub(crate) const fn of_tag(tag: u32) -> Self {
        Self(tag & NAMES)
    }

    /// What those of two tags say, likewise.
    #[inline(always)]
    pub(crate) const fn of_tags(outer: u32, inner: u32) -> Self {
        Self(STACKED | half(outer) as u32 | (half(inner).swap_bytes() as u32) << 16)
    }

    /// How many tags there are.
    pub const fn count(self) -> usize {
        match self.0 {
            0 => 0,
            word if word & IS_STACKED == STACKED => 2,
            _ => 1,
        }
    }

    /// The outer tag: its VLAN's identifier, and whether it is a service tag.
    pub const fn outer(self) -> Option<(u16, bool)> {
        match self.count() {
            0 => None,
            1 => Some(named(half(self.0))),
            _ => Some(named(self.0 as u16)),
        }
    }

    /// The inner one of two tags, likewise.
    pub const fn inner(self) -> Option<(u16, bool)> {
        match self.count() {
            2 => Some(named(((self.0 >> 16) as u16).swap_bytes())),
            _ => None,
        }
    }

    /// The word itself.
    #[inline(always)]
    pub const fn to_bits(self) -> u32 {
        self.0
    }

    /// The same from [`Self::to_bits`]. Of other words, no frame has the tags.
    #[inline(always)]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }
}

/// The half of a tag's little-endian word.
///
/// The types differ in the fourth bit of their first byte, `0x88` or `0x81`. On BPF a condition is a jump, and
/// the verifier would go through all that follows once with either type.
#[inline(always)]
const fn half(tag: u32) -> u16 {
    ((tag >> 16) as u16).swap_bytes() & VLAN_ID | ((tag >> 3 & 1) as u16 * IS_SERVICE)
}

/// What a half says: the identifier, and whether it is a service tag.
const fn named(half: u16) -> (u16, bool) {
    (half & VLAN_ID, half & IS_SERVICE != 0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::vec::Vec;

    use super::*;

    #[test]
    fn tags_are_what_they_were_made_of() {
        let [one, other] = [Vlan::customer(35).unwrap(), Vlan::service(4094).unwrap()];
        assert_eq!((one.count(), one.outer(), one.inner()), (1, Some((35, false)), None));
        assert_eq!((other.count(), other.outer(), other.inner()), (1, Some((4094, true)), None));
        let both = one.within(other).unwrap();
        assert_eq!((both.outer(), both.inner()), (Some((4094, true)), Some((35, false))));
        assert_eq!((both.count(), Vlan::NONE.count()), (2, 0));
        assert_eq!((Vlan::NONE.outer(), Vlan::NONE.inner()), (None, None));
        assert_ne!(both, other.within(one).unwrap());
    }

    /// Frames whose tag is a priority only are looked up as others are.
    #[test]
    fn a_priority_is_nobody_s_vlan() {
        for kind in [CUSTOMER, SERVICE] {
            for priority in 0..16 {
                let vlan = Vlan::of_tag(kind | priority << 20);
                assert_eq!((vlan.count(), vlan.outer().map(|(id, _)| id)), (1, Some(0)));
                assert_ne!(vlan, Vlan::NONE);
            }
        }
    }

    #[test]
    fn no_two_vlans_are_the_same_word() {
        let ids = [1, 2, 128, 129, 136, 255, 256, 2048, 2184, 4094];
        let singles: Vec<_> =
            (1..0x0fff).flat_map(|id| [Vlan::customer(id), Vlan::service(id)]).flatten().collect();
        let some = ids.iter().flat_map(|id| [Vlan::customer(*id), Vlan::service(*id)]).flatten();
        let some: Vec<_> = some.collect();
        let both =
            some.iter().flat_map(|outer| some.iter().filter_map(|inner| inner.within(*outer)));
        let both: Vec<_> = both.collect();
        assert!(both.iter().all(|vlan| vlan.count() == 2));
        assert!(singles.iter().all(|vlan| vlan.count() == 1));
        let words: BTreeSet<_> = singles.iter().chain(&both).collect();
        assert_eq!(words.len(), singles.len() + both.len());
    }

    #[test]
    fn what_names_no_vlan_is_no_tag() {
        for id in [0, 4095, 4096, u16::MAX] {
            assert_eq!((Vlan::customer(id), Vlan::service(id)), (None, None), "{id}");
        }
        let one = Vlan::customer(1).unwrap();
        let both = one.within(one).unwrap();
        for (inner, outer) in [(Vlan::NONE, one), (one, Vlan::NONE), (both, one), (one, both)] {
            assert_eq!(inner.within(outer), None);
        }
    }
}
