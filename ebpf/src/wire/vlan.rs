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

/// What a tag names: a VLAN, or zero where it is a priority only.
#[inline(always)]
const fn identifier(tag: u32) -> u16 {
    ((tag >> 16) as u16).swap_bytes() & VLAN_ID
}

impl Tags {
    /// No tag.
    pub const NONE: Self = Self(0);

    /// Reads the first tags of a frame, of which none is hidden: one, or two where `STACKED` says so.
    /// Nothing where there are not as many, or the frame ends before they do.
    #[inline(always)]
    pub fn read<const STACKED: bool>(frame: &impl Frame) -> Option<Self> {
        let outer = Self::read_at(frame, Ethernet::TYPE)?;
        let inner = if STACKED { Self::read_at(frame, Ethernet::TYPE + TAG_LEN)? } else { 0 };
        Some(Self::new(outer, inner))
    }

    #[inline(always)]
    fn read_at(frame: &impl Frame, offset: usize) -> Option<u32> {
        let [high, low, ..]: [u8; TAG_LEN] = frame.read(offset)?;
        EtherType::is_tag([high, low]).then_some(())?;
        frame.read(offset).map(u32::from_le_bytes)
    }

    /// Those of a VLAN, of priority zero.
    pub fn of(vlan: Vlan) -> Self {
        Self::new(Self::tag(vlan.outer()), Self::tag(vlan.inner()))
    }

    /// The tag with this identifier, a service tag or not.
    fn tag(named: Option<(u16, bool)>) -> u32 {
        let Some((identifier, is_service)) = named else { return 0 };
        let kind = if is_service { EtherType::SERVICE_VLAN } else { EtherType::VLAN };
        u32::from(u16::from_le_bytes(kind)) | u32::from(identifier.swap_bytes()) << 16
    }

    /// What a frame leaves with that came in with the tags `came`, and goes to the VLAN of these: each has
    /// the priority of the one whose place it takes, or of the outer one, and where there was none, zero.
    #[must_use]
    #[inline(always)]
    pub fn with_priority_of(self, came: Self) -> Self {
        let of = |tag: u32, like: u32| if tag == 0 { 0 } else { tag | like & PRIORITY };
        let inner = if came.inner() == 0 { came.outer() } else { came.inner() };
        Self::new(of(self.outer(), came.outer()), of(self.inner(), inner))
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

    /// Which VLAN they name, if each names one.
    #[inline(always)]
    pub fn vlan(self) -> Vlan {
        if self.is_stacked() { self.known_vlan::<true>() } else { self.known_vlan::<false>() }
    }

    /// The same where it is known whether there are two.
    #[inline(always)]
    pub fn known_vlan<const STACKED: bool>(self) -> Vlan {
        if STACKED { Vlan::of_tags(self.outer(), self.inner()) } else { Vlan::of_tag(self.outer()) }
    }

    /// What the outer one names: a VLAN, or zero where it is a priority only.
    #[inline(always)]
    pub const fn outer_identifier(self) -> Option<u16> {
        match self.outer() {
            0 => None,
            outer => Some(identifier(outer)),
        }
    }

    /// Whether there is one.
    #[inline(always)]
    pub const fn is_single(self) -> bool {
        self.outer() != 0 && self.inner() == 0
    }

    /// Whether there are two.
    #[inline(always)]
    pub const fn is_stacked(self) -> bool {
        self.inner() != 0
    }

    /// How many bytes they take.
    #[inline(always)]
    pub const fn len(self) -> usize {
        ((self.outer() != 0) as usize + (self.inner() != 0) as usize) * TAG_LEN
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

    /// Puts them behind the MACs of a frame: [`Frame::insert_tags`] does it.
    #[must_use]
    #[inline(always)]
    pub fn insert<F: Frame>(self, frame: &mut F) -> Option<()> {
        let macs = frame.macs()?;
        frame.grow_front(self.len())?;
        frame.write_macs(macs)?;
        if !self.is_empty() {
            frame.write(Ethernet::TYPE, self.outer().to_le_bytes())?;
        }
        if self.is_stacked() {
            frame.write(Ethernet::TYPE + TAG_LEN, self.inner().to_le_bytes())?;
        }
        Some(())
    }

    /// The same of one tag that takes the place of the only one that is hidden: nothing moves.
    #[must_use]
    #[inline(always)]
    pub fn replace<F: Frame>(self, frame: &mut F) -> Option<()> {
        frame.grow_front(TAG_LEN)?;
        frame.write(Ethernet::TYPE, self.outer().to_le_bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::wire::MemoryFrame;

    fn read<const STACKED: bool>(words: &[u16]) -> Option<Tags> {
        let bytes = words.iter().flat_map(|word| word.to_be_bytes());
        let mut frame: Vec<u8> = [0; 12].into_iter().chain(bytes).collect();
        Tags::read::<STACKED>(&MemoryFrame::new(&mut frame))
    }

    /// Every tag within another.
    #[test]
    fn tags_are_written_as_they_were_read() {
        for kind in [0x8100, 0x88a8] {
            let stride = if cfg!(miri) { 7919 } else { 1 };
            for tag in (1..=u16::MAX).step_by(stride).filter(|tag| tag & 0xfff != 0) {
                let tags = read::<true>(&[0x8100, 35, kind, tag]).unwrap();
                let vlan = tags.vlan();
                assert_eq!((vlan.outer(), tags.len()), (Some((35, false)), 8));
                assert_eq!(vlan.inner(), Some((tag & 0xfff, kind == 0x88a8)), "{kind:x} {tag:x}");
                assert_eq!(Tags::of(vlan).with_priority_of(tags), tags, "{kind:x} {tag:x}");
                let alone = read::<false>(&[kind, tag]).unwrap();
                assert_eq!((alone.vlan().outer(), alone.len()), (vlan.inner(), 4));
                assert_eq!(
                    Tags::of(alone.vlan()).with_priority_of(alone),
                    alone,
                    "{kind:x} {tag:x}"
                );
            }
        }
    }

    #[test]
    fn what_is_cut_short_is_none() {
        assert_eq!(read::<false>(&[0x8100]), None);
        assert_eq!(read::<true>(&[0x8100, 35, 0x8100]), None);
    }

    #[test]
    fn a_priority_names_no_vlan() {
        for kind in [0x8100, 0x88a8] {
            let tags = read::<false>(&[kind, 0xf000]).unwrap();
            assert_eq!(tags.outer_identifier(), Some(0));
        }
        assert_eq!(Tags::NONE.outer_identifier(), None);
    }
}
