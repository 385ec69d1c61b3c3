//! The hash tables of flows and mappings: the path writes them, and the daemon reads and prunes
//! them in place.
//!
//! They are not the kernel's hash maps because of what those cost where a flow is new: with an
//! `LRU_HASH` for unanswered flows, new ones were set up at twice the rate of the kernel's masquerade,
//! with these tables at three times and more (`cargo xtask bench --only opening`); and the sweep of a
//! million flows, which copied them by system calls, took 1.7 s of a core and takes 0.3 s (`cargo
//! bench --package pointsman --bench sweep`).
//!
//! A table is an array of [`Set`]s: seven keys, which are two cache lines, then an entry for each. A
//! key is in one of two sets, which its hash says; it goes to the first unless that is crowded, else
//! to the emptier one. So a table with room for three quarters more than it was asked for takes all of
//! them (Azar, Broder, Karlin, Upfal: "Balanced Allocations", SIAM Journal on Computing 29, 1999).
//!
//! Beside it there is an array of [`Filter`]s, a word for each set: most keys that are not in a table
//! are known not to be by that alone, and a set notes there when a key goes elsewhere. The sets are far
//! from the processor: under a flood of random packets, three quarters of the first program's time
//! went by waiting for them, and beside one of 2 million a second, on one core, established flows kept
//! two thirds of their pace (`cargo xtask bench --only flood`). Filters cost a packet of an established
//! flow a fiftieth of its time.
//!
//! In a table of what may be forgotten a key has one set, and pushes the oldest entry of that out
//! where it is full. A second one would let entries live more alike, but every new flow of a flood
//! would wait for it: with one set, and a key hashed once for all tables, flows are set up at 1.15
//! times the rate.
//!
//! Keys and entries lie together because with many flows a look-up waits for the address
//! translation of two pages more than for their cache lines.
//!
//! Nothing is locked, and nobody waits:
//! - whoever writes an entry claims its slot by a compare-and-swap of the key's second word, the
//!   *tag*, and publishes it by another write of that word;
//! - of two that insert one key at once, into two slots, at least one sees the other, for each looks
//!   after it has published. An insertion that must be the only one then takes itself back; of two
//!   others, the one in the higher slot goes;
//! - a key is in its filter before it is in its set. Only the daemon's sweep takes keys out of filters,
//!   and only where nobody has put any in meanwhile;
//! - a slot whose key is removed may be taken by another key at once. Whoever has found it just
//!   before sees the entry of that key, or parts of it, as with a preallocated hash map of the
//!   kernel. So no bit pattern of an entry may do harm.
//!
//! Loads and stores stay in order by themselves on x86-64, which is what BPF programs rely on here.

mod filter;
mod insert;
mod keys;

pub use filter::Filter;
use filter::Seen;
pub use insert::{Existing, WhenFull, insert};
pub use keys::{Age, Keys, Survey, WAYS};

use crate::abi::{Binding, Flow, FlowKey, Pin, SharedU64};
use keys::{PRESENT, Way};

/// The length of a [`Flow`], in words.
pub const FLOW_WORDS: usize = size_of::<Flow>() / size_of::<u64>();

/// The length of a [`Binding`], in words.
pub const BINDING_WORDS: usize = size_of::<Binding>() / size_of::<u64>();

/// The length of a [`Pin`], in words.
pub const PIN_WORDS: usize = size_of::<Pin>() / size_of::<u64>();

/// Seven keys, and the entry of each, which is `N` words. Whole cache lines.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Set<const N: usize> {
    keys: Keys,
    entries: [[SharedU64; N]; WAYS as usize],
}

impl<const N: usize> Default for Set<N> {
    fn default() -> Self {
        let entry = |_| core::array::from_fn(|_| SharedU64::default());
        Self { keys: Keys::default(), entries: core::array::from_fn(entry) }
    }
}

impl<const N: usize> Set<N> {
    /// The key's entry.
    #[inline(always)]
    fn find(&self, key: &FlowKey) -> Option<&[SharedU64; N]> {
        self.entry(self.keys.find(key))
    }

    #[inline(always)]
    fn entry(&self, way: u32) -> Option<&[SharedU64; N]> {
        self.entries.get((way as usize).wrapping_sub(1))
    }
}

/// Where an entry is: its set, in the upper 29 bits, and the way of that, from one on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(u32);

impl Slot {
    #[inline(always)]
    const fn new(set: u32, way: u32) -> Self {
        Self(set << 3 | way)
    }

    #[inline(always)]
    const fn set(self) -> u32 {
        self.0 >> 3
    }

    #[inline(always)]
    const fn way(self) -> u32 {
        self.0 & 7
    }

    /// The slot as a number that is not zero.
    #[inline(always)]
    pub const fn to_bits(self) -> u32 {
        self.0
    }

    /// The slot of [`Self::to_bits`]; of zero, none.
    #[inline(always)]
    pub const fn from_bits(bits: u32) -> Option<Self> {
        if bits == 0 { None } else { Some(Self(bits)) }
    }

    /// All slots of so many sets.
    pub fn all(sets: u32) -> impl Iterator<Item = Self> {
        (0..sets).flat_map(|set| (1..=WAYS).map(move |way| Self::new(set, way)))
    }
}

/// What a table's hash is keyed by, so that nobody outside can aim keys at a set.
pub type HashKey = [u64; 5];

/// The memory of a table. `N` is the length of an entry, in words.
pub trait Storage<const N: usize> {
    /// Drawn at random before the first entry, and the same ever after.
    fn hash_key(&self) -> HashKey;

    /// How many sets there are.
    fn sets(&self) -> u32;

    /// The present time, for the age of entries.
    #[inline(always)]
    fn now(&self) -> Age {
        Age::default()
    }

    /// The set of this index.
    fn set(&self, index: u32) -> Option<&Set<N>>;

    /// The filter of the set of this index, in a table that has filters: one that refuses when it is
    /// full.
    #[inline(always)]
    fn filter(&self, _index: u32) -> Option<&Filter> {
        None
    }

    /// [`Keys::survey`]. It is here, as the next one is, so that the kernel can put a call in its
    /// place.
    #[inline(always)]
    fn survey(&self, keys: &Keys, key: &FlowKey, now: Age) -> Survey {
        keys.survey(key, now)
    }

    /// [`Keys::find_other`].
    #[inline(always)]
    fn find_other(&self, keys: &Keys, key: &FlowKey, own: u32) -> u32 {
        keys.find_other(key, own)
    }
}

/// How many sets hold this many entries: with room for three quarters as many again. Beyond the 2^29
/// that a [`Slot`] can tell apart, no more.
pub const fn sets_for(entries: u32) -> u32 {
    let sets = (entries as u64 * 7 / 4).div_ceil(WAYS as u64);
    if sets >> 29 == 0 { sets as u32 } else { (1 << 29) - 1 }
}

/// The key's entry.
#[inline(always)]
pub fn find<'a, S: Storage<N>, const N: usize>(
    storage: &'a S,
    key: &FlowKey,
) -> Option<&'a [SharedU64; N]> {
    let places = Places::of(storage, key);
    let first = places.first(storage);
    let seen = storage.filter(first).map_or(Seen::NO_FILTER, Filter::load);
    if seen.may_hold(places.0)
        && let Some(entry) = storage.set(first)?.find(key)
    {
        return Some(entry);
    }
    if !seen.has_overflowed() {
        return None;
    }
    storage.set(places.second(storage))?.find(key)
}

/// The entry of a slot.
#[inline(always)]
pub fn at<S: Storage<N>, const N: usize>(storage: &S, slot: Slot) -> Option<&[SharedU64; N]> {
    storage.set(slot.set())?.entry(slot.way())
}

/// The slot of the key's entry.
#[inline(always)]
pub fn locate<S: Storage<N>, const N: usize>(storage: &S, key: &FlowKey) -> Option<Slot> {
    let places = Places::of(storage, key);
    let seen = storage.filter(places.first(storage)).map_or(Seen::NO_FILTER, Filter::load);
    if seen.may_hold(places.0) {
        let way = storage.set(places.first(storage))?.keys.find(key);
        if way != 0 {
            return Some(Slot::new(places.first(storage), way));
        }
    }
    if !seen.has_overflowed() {
        return None;
    }
    let way = storage.set(places.second(storage))?.keys.find(key);
    (way != 0).then_some(Slot::new(places.second(storage), way))
}

/// Has the processor fetch what [`find`] will want to read of the key: a packet that is of no flow is
/// looked up in several tables, and it is to wait for all of them at once.
#[inline(always)]
pub fn prefetch<S: Storage<N>, const N: usize>(storage: &S, key: &FlowKey) {
    let places = Places::of(storage, key);
    if let Some(set) = storage.set(places.first(storage)) {
        set.keys.touch();
    }
}

/// Removes the key's entry, if there is one.
#[inline(always)]
pub fn remove<S: Storage<N>, const N: usize>(storage: &S, key: &FlowKey) {
    if let Some(slot) = locate(storage, key) {
        free(storage, slot, key);
    }
}

/// Removes the key's entry, if there is one, and what only it has called for in its set's filter.
pub fn remove_tidily<S: Storage<N>, const N: usize>(storage: &S, key: &FlowKey) {
    let Some(slot) = locate(storage, key) else { return };
    free(storage, slot, key);
    if let (Some(set), Some(filter)) = (storage.set(slot.set()), storage.filter(slot.set())) {
        filter.tidy(&set.keys, |key| Places::of(storage, key).0);
    }
}

/// The key and a copy of the entry of a slot, if there is one, and nobody writes it meanwhile; of one
/// that is replaced meanwhile by another of the same key, perhaps some words of either.
pub fn read<S: Storage<N>, const N: usize>(storage: &S, slot: Slot) -> Option<(FlowKey, [u64; N])> {
    let way = way(storage, slot)?;
    let tag = way.tag.acquire();
    if tag & PRESENT == 0 {
        return None;
    }
    let key = way.key(tag);
    let words = at(storage, slot)?;
    let entry = core::array::from_fn(|word| words.get(word).map_or(0, SharedU64::acquire));
    (way.tag.load() == tag).then_some((key, entry))
}

/// The two sets that a key may be in, as its hash says.
#[derive(Clone, Copy)]
struct Places(u64);

impl Places {
    #[inline(always)]
    fn of<S: Storage<N>, const N: usize>(storage: &S, key: &FlowKey) -> Self {
        Self(hash(storage.hash_key(), key))
    }

    /// Scales instead of dividing, which is slow.
    #[inline(always)]
    fn scale<S: Storage<N>, const N: usize>(storage: &S, half: u64) -> u32 {
        ((half * u64::from(storage.sets())) >> 32) as u32
    }

    #[inline(always)]
    fn first<S: Storage<N>, const N: usize>(self, storage: &S) -> u32 {
        Self::scale(storage, self.0 >> 32)
    }

    /// Mixes once more, with the constants of MurmurHash3's finaliser: it is seldom asked for.
    #[inline(always)]
    fn second<S: Storage<N>, const N: usize>(self, storage: &S) -> u32 {
        let hash = (self.0 ^ self.0 >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        Self::scale(storage, hash >> 32)
    }
}

/// The upper half of the sum is strongly universal over random keys (Lemire and Kaser, "Strongly
/// universal string hashing is fast", The Computer Journal 57, 2014: "multilinear-HM"), so any two
/// keys have it in common once in 2^32 times. Another multiplication spreads keys that are like each
/// other: their sums may differ by the same amount all along.
///
/// The lower half of a word is not cut out of it, as it is there, which changes nothing of the proof: words
/// of which the upper halves differ are told apart by the key that is added to the other factor, and those
/// of which only the lower ones do differ by less than 2^32.
#[inline(always)]
fn hash(by: HashKey, key: &FlowKey) -> u64 {
    let [a, b, c, d, e] = by;
    let [addresses, transport] = key.words();
    let pair = |word: u64, low: u64, high: u64| {
        low.wrapping_add(word).wrapping_mul(high.wrapping_add(word >> 32))
    };
    let sum = a.wrapping_add(pair(addresses, b, c)).wrapping_add(pair(transport, d, e));
    (sum ^ sum >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd)
}

#[inline(always)]
fn way<S: Storage<N>, const N: usize>(storage: &S, slot: Slot) -> Option<&Way> {
    storage.set(slot.set())?.keys.way(slot.way())
}

/// Frees the slot of the key's entry, unless it is somebody else's already.
#[inline(always)]
fn free<S: Storage<N>, const N: usize>(storage: &S, slot: Slot, key: &FlowKey) {
    if let Some(way) = way(storage, slot) {
        let tag = way.tag.load();
        if tag & PRESENT != 0 && way.is_taken_by(key, tag) {
            way.tag.replace(tag, 0);
        }
    }
}
