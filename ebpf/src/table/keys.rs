//! The keys of a set, and what one look at them tells.

use crate::abi::{FlowKey, SharedU64};

/// How many keys a set has room for.
pub const WAYS: u32 = 7;

/// The bits of a tag that are the key's: what [`FlowKey::words`] has in its second word.
pub(super) const KEY: u64 = (1 << 49) - 1;

/// The bit of a tag that says that somebody writes the entry at present: of the key whose bits it
/// has, or, as far as the first word of that is not written yet, of any.
pub(super) const BUSY: u64 = 1 << 49;

/// Where the [`Age`] stands in a tag.
pub(super) const AGE_SHIFT: u32 = 50;

/// The bit of a tag that says that there is an entry.
pub(super) const PRESENT: u64 = 1 << 63;

/// A key in a set. 16 bytes.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Way {
    /// The first word of the key.
    pub(super) addresses: SharedU64,
    /// Zero where the way is free. Else the second word of the key, with [`BUSY`], or with the
    /// entry's [`Age`] and [`PRESENT`].
    pub(super) tag: SharedU64,
}

/// The keys of a set, from the second way on. 128 bytes.
///
/// The first one is none: its number, zero, stands for no way.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Keys([Way; 1 + WAYS as usize]);

const _: () = assert!(size_of::<Keys>() == 128);

/// When an entry was made: 13 bits of a clock that wraps around.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Age(pub(super) u64);

impl Age {
    const MASK: u64 = (1 << 13) - 1;

    /// Of this many ticks of the scheduler, in units of four of them. It wraps around after half a
    /// minute where there are most (`HZ=1000`); an entry that is older looks younger then.
    #[inline(always)]
    pub const fn of_jiffies(jiffies: u64) -> Self {
        Self(jiffies >> 2 & Self::MASK)
    }

    /// The age as a number.
    #[inline(always)]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// The age of [`Self::to_bits`].
    #[inline(always)]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits & Self::MASK)
    }

    /// How long before `self` the tag's entry was made.
    #[inline(always)]
    const fn since(self, tag: u64) -> u64 {
        self.0.wrapping_sub(tag >> AGE_SHIFT) & Self::MASK
    }
}

/// What an insertion wants to know of a set: a number of so many bits each, from the lowest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Survey(pub u64);

impl Survey {
    const WAY_OF_KEY: u32 = 0;
    const FREE: u32 = 8;
    const FIRST_FREE: u32 = 16;
    const OLDEST: u32 = 24;
    const AGE: u32 = 32;

    #[inline(always)]
    const fn byte(self, shift: u32) -> u32 {
        (self.0 >> shift) as u32 & 0xff
    }

    /// The way of the key's entry, there or busy, or zero.
    #[inline(always)]
    pub(super) const fn way_of_key(self) -> u32 {
        self.byte(Self::WAY_OF_KEY)
    }

    /// How many ways are free.
    #[inline(always)]
    pub(super) const fn free(self) -> u32 {
        self.byte(Self::FREE)
    }

    /// The first of them.
    #[inline(always)]
    pub(super) const fn first_free(self) -> u32 {
        self.byte(Self::FIRST_FREE)
    }

    /// The way of the oldest entry.
    #[inline(always)]
    pub(super) const fn oldest(self) -> u32 {
        self.byte(Self::OLDEST)
    }

    /// One more than its age; zero, where there is none.
    #[inline(always)]
    pub(super) const fn age(self) -> u32 {
        (self.0 >> Self::AGE) as u32
    }
}

impl Keys {
    /// The ways that keys are in, by number.
    #[inline(always)]
    fn ways(&self) -> impl Iterator<Item = (u32, &Way)> {
        let [_, ways @ ..] = &self.0;
        (1..).zip(ways)
    }

    /// All ways.
    pub(super) fn each(&self) -> impl Iterator<Item = &Way> {
        self.ways().map(|(_, way)| way)
    }

    #[inline(always)]
    pub(super) fn way(&self, number: u32) -> Option<&Way> {
        self.0.get(number as usize)
    }

    /// Loads a word of either cache line, and lets nothing wait for it.
    #[inline(always)]
    pub(super) fn touch(&self) {
        let [first, .., last] = &self.0;
        first.addresses.load();
        last.addresses.load();
    }

    /// The way of the key's entry, or zero.
    #[inline(always)]
    pub(super) fn find(&self, key: &FlowKey) -> u32 {
        let [addresses, transport] = key.words();
        let wanted = transport.to_le() | PRESENT;
        for (number, way) in self.ways() {
            if way.tag.acquire() & (KEY | PRESENT) == wanted && way.addresses.load() == addresses {
                return number;
            }
        }
        0
    }

    /// The way of an entry of the key, there or busy, that is not at `own`, or zero.
    #[inline(always)]
    pub fn find_other(&self, key: &FlowKey, own: u32) -> u32 {
        for (number, way) in self.ways() {
            if way.is_taken_by(key, way.tag.acquire()) && number != own {
                return number;
            }
        }
        0
    }

    /// All that an insertion wants to know.
    #[inline(always)]
    pub fn survey(&self, key: &FlowKey, now: Age) -> Survey {
        let (mut way_of_key, mut free, mut first_free, mut oldest) = (0, 0, 0, 0);
        for (number, way) in self.ways() {
            let tag = way.tag.acquire();
            if tag == 0 {
                if free == 0 {
                    first_free = number;
                }
                free += 1;
            } else if way.is_taken_by(key, tag) {
                way_of_key = number;
            } else if tag & PRESENT != 0 {
                oldest = oldest.max((now.since(tag) + 1) << 8 | u64::from(number));
            }
        }
        let small = |number: u32, shift: u32| u64::from(number) << shift;
        Survey(
            small(way_of_key, Survey::WAY_OF_KEY)
                | small(free, Survey::FREE)
                | small(first_free, Survey::FIRST_FREE)
                | oldest << Survey::OLDEST,
        )
    }
}

impl Way {
    /// The key of an entry with this tag.
    #[inline(always)]
    pub(super) fn key(&self, tag: u64) -> FlowKey {
        FlowKey::from_words([self.addresses.acquire(), u64::from_le(tag & KEY)])
    }

    /// Whether the tag says that this is an entry of the key, there or busy.
    #[inline(always)]
    pub(super) fn is_taken_by(&self, key: &FlowKey, tag: u64) -> bool {
        let [addresses, transport] = key.words();
        tag & KEY == transport.to_le()
            && tag & (PRESENT | BUSY) != 0
            && self.addresses.load() == addresses
    }
}
