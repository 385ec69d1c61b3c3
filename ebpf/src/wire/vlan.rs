use core::hint::black_box;

use super::{EtherType, Ethernet, Frame};
use crate::abi::{VLAN_ID, Vlan};

/// The length of a VLAN tag, in bytes.
pub const TAG_LEN: usize = 4;

/// Priority and drop eligibility in a tag's little-endian word (IEEE 802.1Q section 9.6).
const PRIORITY: u32 = 0x00f0_0000;

/// The VLAN tags of a frame, two at most, as they stand in it: the outer one in the lower half of a
/// little-endian word, the inner one in the upper half, zero where there is none. 8 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Tags(u64);

/// The word, if it is a tag that names a VLAN, and zero if not.
///
/// There is no condition in it: on BPF one is a jump, and the verifier would go through all that follows
/// once with one tag and once with two.
#[inline(always)]
fn if_tag(word: u32) -> u32 {
    let kind = |ether_type| u64::from(word as u16 ^ u16::from_le_bytes(ether_type));
    let is_other = kind(EtherType::VLAN) * kind(EtherType::SERVICE_VLAN);
    // One less than zero has all bits set, and than any other identifier, none of those above it.
    let identifier = u64::from(identifier(word));
    let is_none = identifier.wrapping_sub(1) & u64::from(VLAN_ID + 1);
    let is_tag = black_box(is_other << 16 | is_none).wrapping_sub(1) >> 63;
    word & (is_tag as u32).wrapping_neg()
}

/// What a tag names: a VLAN, or zero where it is a priority only.
#[inline(always)]
const fn identifier(tag: u32) -> u16 {
    ((tag >> 16) as u16).swap_bytes() & VLAN_ID
}

impl Tags {
    /// No tag.
    pub const NONE: Self = Self(0);

    /// Reads the tags of a frame that has at least one, of which none is hidden. Nothing where the frame
    /// ends before the first tag does.
    ///
    /// An inner tag that names no VLAN, only a priority, is none of those, nor is what is within two.
    #[inline(always)]
    pub fn read<F: Frame>(frame: &F) -> Option<Self> {
        let outer = u32::from_le_bytes(frame.read(Ethernet::TYPE)?);
        let inner = u32::from_le_bytes(frame.read(Ethernet::TYPE + TAG_LEN).unwrap_or_default());
        Some(Self::new(outer, if_tag(inner)))
    }

    /// What a frame leaves with that came in with the tags `came`, and goes to this VLAN: each tag has
    /// the priority of the one whose place it takes, or of the outer one, and where there was none, zero.
    #[inline(always)]
    pub fn to_vlan(vlan: Vlan, came: Self) -> Self {
        let outer = came.outer();
        let inner = if came.inner() == 0 { outer } else { came.inner() };
        let bits = vlan.to_bits();
        Self::new(Self::tag(bits as u16, outer), Self::tag((bits >> 16) as u16, inner))
    }

    /// The tag of a half of a [`Vlan`], with the priority of another.
    #[inline(always)]
    fn tag(half: u16, like: u32) -> u32 {
        if half == 0 {
            return 0;
        }
        let kind = if half > VLAN_ID { EtherType::SERVICE_VLAN } else { EtherType::VLAN };
        let kind = u32::from(u16::from_le_bytes(kind));
        let identifier = u32::from((half & VLAN_ID).swap_bytes());
        kind | identifier << 16 | like & PRIORITY
    }

    #[inline(always)]
    const fn new(outer: u32, inner: u32) -> Self {
        Self(outer as u64 | (inner as u64) << 32)
    }

    #[inline(always)]
    const fn outer(self) -> u32 {
        self.0 as u32
    }

    #[inline(always)]
    const fn inner(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Which VLAN they name.
    #[inline(always)]
    pub fn vlan(self) -> Vlan {
        let half = |tag: u32| {
            let is_service = tag as u16 == u16::from_le_bytes(EtherType::SERVICE_VLAN);
            Vlan::half_of(identifier(tag), is_service)
        };
        Vlan::from_bits(half(self.outer()) | half(self.inner()) << 16)
    }

    /// What the outer one names: a VLAN, or zero where it is a priority only.
    #[inline(always)]
    pub const fn outer_identifier(self) -> Option<u16> {
        match self.outer() {
            0 => None,
            outer => Some(identifier(outer)),
        }
    }

    /// How many bytes they take.
    #[inline(always)]
    pub const fn len(self) -> usize {
        // Both types of tags start with a bit that is set. On BPF a condition is a jump, and the verifier
        // would go on with either length by itself.
        (self.outer() as usize >> 7 & 1) * TAG_LEN + (self.inner() as usize >> 7 & 1) * TAG_LEN
    }

    /// Whether there is no tag.
    #[inline(always)]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
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

    /// Puts them behind the MACs that were written to a frame: [`Frame::insert_tags`] does it.
    #[must_use]
    #[inline(always)]
    pub fn insert<F: Frame>(self, frame: &mut F) -> Option<()> {
        let len = self.len();
        frame.grow_front(len)?;
        if self.is_empty() {
            return Some(());
        }
        // Word by word: the compiler has a function for what overlaps otherwise.
        for at in [0, 4, 8] {
            let word: [u8; 4] = frame.read(len + at)?;
            frame.write(at, word)?;
        }
        frame.write(Ethernet::TYPE, self.outer().to_le_bytes())?;
        if self.inner() != 0 {
            frame.write(Ethernet::TYPE + TAG_LEN, self.inner().to_le_bytes())?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::wire::MemoryFrame;

    const KINDS: [u16; 6] = [0x8100, 0x88a8, 0x0800, 0x88a9, 0x9100, 0x0081];

    fn read(words: &[u16]) -> Option<Tags> {
        let bytes = words.iter().flat_map(|word| word.to_be_bytes());
        let mut frame: Vec<u8> = [0; 12].into_iter().chain(bytes).collect();
        Tags::read(&MemoryFrame::new(&mut frame))
    }

    fn half(kind: u16, tag: u16) -> Option<(u16, bool)> {
        Some((tag & 0xfff, kind == 0x88a8))
    }

    /// Of every type and every tag within another, those are tags that name a VLAN.
    #[test]
    fn what_is_within_a_tag() {
        for kind in KINDS {
            for tag in 0..=u16::MAX {
                let tags = read(&[0x8100, 35, kind, tag]).unwrap();
                let is_tag = matches!(kind, 0x8100 | 0x88a8) && tag & 0xfff != 0;
                let inner = if is_tag { half(kind, tag) } else { None };
                let vlan = tags.vlan();
                let got = (vlan.outer(), vlan.inner(), tags.len());
                assert_eq!(got, (half(0x8100, 35), inner, 4 * vlan.count()), "{kind:x} {tag:x}");
                assert_eq!(Tags::to_vlan(vlan, tags), tags, "{kind:x} {tag:x}");
            }
        }
    }

    #[test]
    fn what_is_cut_short_does_not_count() {
        assert_eq!(read(&[0x8100]), None);
        for words in [&[0x8100, 35][..], &[0x8100, 35, 0x8100]] {
            let tags = read(words).unwrap();
            assert_eq!((tags.vlan().count(), tags.outer_identifier()), (1, Some(35)));
        }
    }

    #[test]
    fn a_priority_names_no_vlan() {
        for kind in [0x8100, 0x88a8] {
            let tags = read(&[kind, 0xf000, 0x0800, 0]).unwrap();
            assert_eq!((tags.outer_identifier(), tags.vlan()), (Some(0), Vlan::NONE));
        }
        assert_eq!(Tags::NONE.outer_identifier(), None);
    }
}
