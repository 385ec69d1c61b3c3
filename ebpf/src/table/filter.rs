//! What tells that a key is not in a set, before the set is looked at.

use super::keys::{BUSY, Keys, PRESENT};
use crate::abi::{FlowKey, SharedU64};

/// Of a set, which keys are not in it. 8 bytes: in the lowest 32 bits, those of the hashes of its keys
/// are set; the next says whether a key that belongs here is in its second set; the rest is a number
/// that changes with every change of the others.
///
/// A set of a large table is far from the processor: to wait for it took most of the time of a packet
/// of no flow. Filters are so small that they stay near.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct Filter(SharedU64);

/// What a filter says, at one time.
#[derive(Clone, Copy)]
pub(super) struct Seen(u64);

impl Seen {
    /// What stands for the filter of a set that has none: any key may be in the set, and in no other.
    ///
    /// It is no `Option`, of which the compiler would keep what is not there, across calls, in a register
    /// that the verifier calls unwritten.
    pub(super) const NO_FILTER: Self = Self(Filter::OVERFLOWED - 1);

    /// Whether a key of this hash may be in the set.
    #[inline(always)]
    pub(super) const fn may_hold(self, hash: u64) -> bool {
        self.0 >> (hash & Filter::HASHES) & 1 != 0
    }

    /// Whether a key that belongs here may be in its second set.
    #[inline(always)]
    pub(super) const fn has_overflowed(self) -> bool {
        self.0 & Filter::OVERFLOWED != 0
    }
}

impl Filter {
    const HASHES: u64 = 31;
    const OVERFLOWED: u64 = 1 << 32;
    const CHANGE: u64 = 1 << 33;

    /// How often a change is tried that others come before.
    const ATTEMPTS: u32 = 4;

    #[inline(always)]
    pub(super) fn load(&self) -> Seen {
        Seen(self.0.acquire())
    }

    /// Notes that a key of this hash is about to be in the set. Says whether it is noted.
    #[inline(always)]
    pub(super) fn note(&self, hash: u64) -> bool {
        self.change(1 << (hash & Self::HASHES))
    }

    /// Notes that a key that belongs here is about to be in its second set.
    #[inline(always)]
    pub(super) fn overflow(&self) -> bool {
        self.load().has_overflowed() || self.change(Self::OVERFLOWED)
    }

    /// The number changes also where the bits are set already: whoever is about to clear them, because
    /// he has not seen the key yet, then does not.
    #[inline(always)]
    fn change(&self, bits: u64) -> bool {
        for _ in 0..Self::ATTEMPTS {
            let old = self.0.load();
            if self.0.replace(old, (old | bits).wrapping_add(Self::CHANGE)) {
                return true;
            }
        }
        false
    }

    /// Clears what no key of the set calls for. Nothing where somebody changes the set meanwhile.
    pub(super) fn tidy(&self, keys: &Keys, hash: impl Fn(&FlowKey) -> u64) {
        let old = self.0.acquire();
        let mut hashes = 0;
        for way in keys.each() {
            let tag = way.tag.acquire();
            if tag & BUSY != 0 {
                return;
            }
            if tag & PRESENT != 0 {
                hashes |= 1 << (hash(&way.key(tag)) & Self::HASHES);
            }
        }
        let new = old & !u64::from(u32::MAX) | hashes;
        if new != old {
            self.0.replace(old, new.wrapping_add(Self::CHANGE));
        }
    }
}
