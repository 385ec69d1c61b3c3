//! How an entry is made.

use super::keys::{AGE_SHIFT, BUSY, PRESENT};
use super::{Filter, Places, Slot, Storage, free, way};
use crate::abi::FlowKey;
use crate::path::InsertError;

/// A set with fewer free ways is crowded: a key goes to its second one, if that has more.
const CROWDED: u32 = 4;

/// How often an insertion is tried that others come before.
const ATTEMPTS: u32 = 3;

/// What an insertion does where there is an entry of the key already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It fails: of any number of insertions at once, at most one succeeds.
    Stays,
    /// It replaces it.
    Goes,
}

/// What an insertion does where there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// It fails.
    Refuse,
    /// It pushes the oldest entry of its set out.
    Evict,
}

/// Makes an entry.
///
/// # Errors
/// Where there is one, and it is to stay; or no room.
#[inline(always)]
pub fn insert<S: Storage<N>, const N: usize>(
    storage: &S,
    key: &FlowKey,
    entry: &[u64; N],
    existing: Existing,
    when_full: WhenFull,
) -> Result<(), InsertError> {
    let places = Places::of(storage, key);
    for _ in 0..ATTEMPTS {
        if let Some(slot) = claim(storage, places, key, existing, when_full)? {
            write(storage, slot, key, entry, when_full);
            return match when_full {
                WhenFull::Refuse => settle(storage, places, slot, key, existing),
                // Of two entries that are made at once, either will do.
                WhenFull::Evict => Ok(()),
            };
        }
    }
    Err(InsertError::Full)
}

/// Claims a slot for the key's entry: that of the one that there is, or a free one, or the oldest.
/// Nothing where somebody else has come before.
///
/// # Errors
/// As for [`insert`].
#[inline(always)]
fn claim<S: Storage<N>, const N: usize>(
    storage: &S,
    places: Places,
    key: &FlowKey,
    existing: Existing,
    when_full: WhenFull,
) -> Result<Option<Slot>, InsertError> {
    let keys = &storage.set(places.first(storage)).ok_or(InsertError::Full)?.keys;
    let first = storage.survey(keys, key, storage.now());
    let is_crowded = first.free() < CROWDED;
    let (mut index, mut chosen) = (places.first(storage), first);
    // What may be forgotten does not go elsewhere.
    let filter = storage.filter(places.first(storage));
    let has_overflowed = filter.is_some_and(|filter| filter.load().has_overflowed());
    let has_second = when_full == WhenFull::Refuse && (is_crowded || has_overflowed);
    if has_second && first.way_of_key() == 0 {
        let other = &storage.set(places.second(storage)).ok_or(InsertError::Full)?.keys;
        let second = storage.survey(other, key, storage.now());
        if second.way_of_key() != 0 || (is_crowded && second.free() > first.free()) {
            // Before the entry is there, so that nobody who looks for it stops short.
            if !filter.is_some_and(Filter::overflow) {
                return Ok(None);
            }
            (index, chosen) = (places.second(storage), second);
        }
    }
    let way_of_key = chosen.way_of_key();
    let way = if way_of_key != 0 {
        if existing == Existing::Stays {
            return Err(InsertError::Exists);
        }
        way_of_key
    } else if chosen.free() > 0 {
        chosen.first_free()
    } else if when_full == WhenFull::Evict && chosen.age() > 0 {
        chosen.oldest()
    } else {
        return Err(InsertError::Full);
    };
    let slot = Slot::new(index, way);
    let claimed = self::way(storage, slot).is_some_and(|way| {
        let tag = way.tag.load();
        let is_expected = match when_full {
            _ if way_of_key != 0 => way.is_taken_by(key, tag) && tag & BUSY == 0,
            WhenFull::Refuse => tag == 0,
            // What has come there meanwhile may go as well.
            WhenFull::Evict => tag & BUSY == 0,
        };
        is_expected && way.tag.replace(tag, key.words()[1].to_le() | BUSY)
    });
    // Before the entry is there, as above.
    let is_new = claimed && way_of_key == 0;
    if is_new && storage.filter(index).is_some_and(|filter| !filter.note(places.0)) {
        if let Some(way) = self::way(storage, slot) {
            way.tag.release(0);
        }
        return Ok(None);
    }
    Ok(claimed.then_some(slot))
}

/// Writes an entry into a slot that was claimed for it, and publishes it.
#[inline(always)]
fn write<S: Storage<N>, const N: usize>(
    storage: &S,
    slot: Slot,
    key: &FlowKey,
    entry: &[u64; N],
    when_full: WhenFull,
) {
    let Some(set) = storage.set(slot.set()) else { return };
    let (Some(way), Some(words)) = (set.keys.way(slot.way()), set.entry(slot.way())) else {
        return;
    };
    let [addresses, transport] = key.words();
    // Whoever reads any of this sees that the slot is claimed.
    way.addresses.release(addresses);
    for (word, value) in words.iter().zip(entry) {
        word.release(*value);
    }
    let tag = transport.to_le() | PRESENT;
    match when_full {
        WhenFull::Refuse => way.tag.publish(tag),
        // Nothing is looked for afterwards.
        WhenFull::Evict => way.tag.release(tag | storage.now().0 << AGE_SHIFT),
    }
}

/// Leaves one of several entries of a key that were made at once.
///
/// # Errors
/// Where the insertion must be the only one, and there may be another.
#[inline(always)]
fn settle<S: Storage<N>, const N: usize>(
    storage: &S,
    places: Places,
    own: Slot,
    key: &FlowKey,
    existing: Existing,
) -> Result<(), InsertError> {
    let mut is_alone = true;
    for index in [places.first(storage), places.second(storage)] {
        let keys = &storage.set(index).ok_or(InsertError::Full)?.keys;
        let except = if index == own.set() { own.way() } else { 0 };
        let way = storage.find_other(keys, key, except);
        if way != 0 {
            let other = Slot::new(index, way);
            if existing == Existing::Goes && other > own {
                free(storage, other, key);
            } else {
                is_alone = false;
            }
        }
    }
    if is_alone {
        return Ok(());
    }
    free(storage, own, key);
    match existing {
        Existing::Stays => Err(InsertError::Exists),
        Existing::Goes => Ok(()),
    }
}
