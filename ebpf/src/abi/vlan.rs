/// The bits of a tag, and of a [`Vlan`]'s half, that name the VLAN (IEEE 802.1Q).
pub(crate) const VLAN_ID: u16 = 0x0fff;

/// The bit of a [`Vlan`]'s half that says that the tag is a service tag.
const SERVICE: u16 = 0x1000;

/// Which tags the frames of a [`Port`](super::Port) have: none, one, or one within another. 4 bytes.
///
/// The lower half is of the outer tag, the upper half of the inner one: its VLAN's identifier in the
/// lower 12 bits, and above them whether it is a service tag (IEEE 802.1ad, type `0x88a8`) or a customer
/// tag (IEEE 802.1Q, `0x8100`). No VLAN has the identifier zero, so a half of zero is no tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Vlan(u32);

impl Vlan {
    /// No tag.
    pub const NONE: Self = Self(0);

    /// One customer tag (IEEE 802.1Q), of type `0x8100`. Nothing where no VLAN has this identifier:
    /// there are those from 1 to 4094.
    pub const fn customer(id: u16) -> Option<Self> {
        Self::single(id, 0)
    }

    /// One service tag (IEEE 802.1ad), of type `0x88a8`. Nothing as for [`Self::customer`].
    pub const fn service(id: u16) -> Option<Self> {
        Self::single(id, SERVICE)
    }

    const fn single(id: u16, kind: u16) -> Option<Self> {
        match id {
            1..0x0fff => Some(Self((id | kind) as u32)),
            _ => None,
        }
    }

    /// This tag within another (QinQ). Nothing unless both are one tag.
    pub const fn within(self, outer: Self) -> Option<Self> {
        match (self.count(), outer.count()) {
            (1, 1) => Some(Self(outer.0 | self.0 << 16)),
            _ => None,
        }
    }

    /// How many tags there are.
    pub const fn count(self) -> usize {
        (self.0 != 0) as usize + (self.0 >> 16 != 0) as usize
    }

    /// The outer tag: its VLAN's identifier, and whether it is a service tag.
    pub const fn outer(self) -> Option<(u16, bool)> {
        Self::tag(self.0 as u16)
    }

    /// The inner one of two tags, likewise.
    pub const fn inner(self) -> Option<(u16, bool)> {
        Self::tag((self.0 >> 16) as u16)
    }

    const fn tag(half: u16) -> Option<(u16, bool)> {
        match half {
            0 => None,
            half => Some((half & VLAN_ID, half & SERVICE != 0)),
        }
    }

    /// The word itself.
    #[inline(always)]
    pub const fn to_bits(self) -> u32 {
        self.0
    }

    /// From what [`Self::to_bits`] gave.
    #[inline(always)]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// A tag's half: `service` is one for a service tag, and zero for another.
    #[inline(always)]
    pub(crate) const fn half(identifier: u16, service: u32) -> u32 {
        identifier as u32 | service << SERVICE.trailing_zeros()
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(Vlan::from_bits(both.to_bits()), both);
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
