use core::cell::{Cell, OnceCell, RefCell};
use std::boxed::Box;
use std::collections::BTreeMap;
use std::vec::Vec;

use crate::abi::{Attempt, Binding, Flow, Host, Pin, SharedU64};
use crate::path::InsertError;

/// A type of entry as the path sees it, with words that others write meanwhile.
pub(super) trait Entry: Sized {
    /// As the daemon reads and writes it.
    type Copy;

    fn from_copy(copy: &Self::Copy) -> Self;

    fn to_copy(&self) -> Self::Copy;
}

macro_rules! impl_entry {
    ($($type:ident),+) => {$(
        impl Entry for $type<SharedU64> {
            type Copy = $type;

            fn from_copy(copy: &$type) -> Self {
                copy.map(|word| SharedU64::new(*word))
            }

            fn to_copy(&self) -> $type {
                self.map(SharedU64::load)
            }
        }
    )+};
}
impl_entry!(Flow, Binding, Host, Pin, Attempt);

impl Entry for SharedU64 {
    type Copy = u64;

    fn from_copy(copy: &u64) -> Self {
        Self::new(*copy)
    }

    fn to_copy(&self) -> u64 {
        self.load()
    }
}

/// What a table does when there is no more room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WhenFull {
    /// It refuses.
    Refuses,
    /// It removes the entry that was written longest ago.
    Evicts,
}

/// A table of entries by key, with room for so many and no more.
///
/// Whoever holds a reference keeps a sound one while the entry is replaced or removed: an entry is
/// never freed before the whole table is. The kernel may give a removed element to another key at
/// once.
pub(super) struct Entries<K, E> {
    index: RefCell<BTreeMap<K, usize>>,
    entries: Arena<E>,
    capacity: Cell<usize>,
    when_full: WhenFull,
}

impl<K: Copy + Ord, E: Entry> Entries<K, E> {
    /// An empty table that takes as many entries as it is given.
    pub(super) fn new(when_full: WhenFull) -> Self {
        Self {
            index: RefCell::new(BTreeMap::new()),
            entries: Arena::new(),
            capacity: Cell::new(usize::MAX),
            when_full,
        }
    }

    pub(super) fn set_capacity(&self, capacity: usize) {
        self.capacity.set(capacity);
    }

    pub(super) fn len(&self) -> usize {
        self.index.borrow().len()
    }

    pub(super) fn get(&self, key: &K) -> Option<&E> {
        self.entries.get(*self.index.borrow().get(key)?)
    }

    pub(super) fn insert(&self, key: &K, entry: &E::Copy) -> Result<(), InsertError> {
        if self.index.borrow().contains_key(key) {
            return Err(InsertError::Exists);
        }
        self.replace(key, entry)
    }

    /// An entry that is there can always be replaced, as in the kernel.
    pub(super) fn replace(&self, key: &K, entry: &E::Copy) -> Result<(), InsertError> {
        let mut index = self.index.borrow_mut();
        if !index.contains_key(key) && index.len() >= self.capacity.get() {
            let oldest = index.iter().min_by_key(|(_, place)| **place).map(|(key, _)| *key);
            match (self.when_full, oldest) {
                (WhenFull::Evicts, Some(oldest)) => index.remove(&oldest),
                _ => return Err(InsertError::Full),
            };
        }
        index.insert(*key, self.entries.push(E::from_copy(entry)));
        Ok(())
    }

    pub(super) fn remove(&self, key: &K) {
        self.index.borrow_mut().remove(key);
    }

    /// All entries as the daemon would read them, in order of their keys.
    pub(super) fn copies(&self) -> Vec<(K, E::Copy)> {
        let index = self.index.borrow();
        let entries = index
            .iter()
            .filter_map(|(key, place)| Some((*key, self.entries.get(*place)?.to_copy())));
        entries.collect()
    }
}

/// The size of the first chunk; each is twice as large as the one before.
const FIRST_CHUNK: usize = 16;
const CHUNKS: usize = 32;

type Chunk<E> = Box<[OnceCell<E>]>;

/// The chunk of an entry, and its place there.
fn place(entry: usize) -> (usize, usize) {
    let number = entry + FIRST_CHUNK;
    let chunk = (number.ilog2() - FIRST_CHUNK.ilog2()) as usize;
    (chunk, number - (FIRST_CHUNK << chunk))
}

/// Entries that are only ever added, and so stay where they are.
struct Arena<E> {
    chunks: [OnceCell<Chunk<E>>; CHUNKS],
    len: Cell<usize>,
}

impl<E> Arena<E> {
    fn new() -> Self {
        Self { chunks: core::array::from_fn(|_| OnceCell::new()), len: Cell::new(0) }
    }

    fn push(&self, new: E) -> usize {
        let entry = self.len.get();
        self.len.set(entry + 1);
        let (chunk, offset) = place(entry);
        let empty = || (0..FIRST_CHUNK << chunk).map(|_| OnceCell::new()).collect();
        let chunk = self.chunks.get(chunk).map(|chunk| chunk.get_or_init(empty));
        let cell = chunk.and_then(|chunk| chunk.get(offset));
        let added = cell.is_some_and(|cell| cell.set(new).is_ok());
        assert!(added, "the arena of entries is used up");
        entry
    }

    fn get(&self, entry: usize) -> Option<&E> {
        let (chunk, offset) = place(entry);
        self.chunks.get(chunk)?.get()?.get(offset)?.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::{FlowKey, Ipv4, L4Port};

    type Flows = Entries<FlowKey, Flow<SharedU64>>;

    fn key(port: u16) -> FlowKey {
        let end = (Ipv4::default(), L4Port::from_host(port));
        FlowKey::new(end, end, 17, 0)
    }

    fn flow(generation: u32) -> Flow {
        Flow { generation, ..Flow::default() }
    }

    #[test]
    fn a_reference_outlives_its_entry() {
        let flows = Flows::new(WhenFull::Refuses);
        assert_eq!(flows.insert(&key(1), &flow(1)), Ok(()));
        let held = flows.get(&key(1)).unwrap();
        assert_eq!(flows.replace(&key(1), &flow(2)), Ok(()));
        flows.remove(&key(1));
        for port in 2..200 {
            assert_eq!(flows.insert(&key(port), &flow(3)), Ok(()));
        }
        held.mark.store(7);
        assert_eq!((held.generation, held.mark.load()), (1, 7));
        assert!(flows.get(&key(1)).is_none());
    }

    #[test]
    fn what_is_full_still_replaces() {
        let flows = Flows::new(WhenFull::Refuses);
        flows.set_capacity(1);
        assert_eq!(flows.insert(&key(1), &flow(1)), Ok(()));
        assert_eq!(flows.insert(&key(1), &flow(2)), Err(InsertError::Exists));
        assert_eq!(flows.insert(&key(2), &flow(2)), Err(InsertError::Full));
        assert_eq!(flows.replace(&key(2), &flow(2)), Err(InsertError::Full));
        assert_eq!(flows.replace(&key(1), &flow(2)), Ok(()));
        assert_eq!(flows.copies(), [(key(1), flow(2))]);
        flows.remove(&key(1));
        assert_eq!(flows.insert(&key(2), &flow(2)), Ok(()));
    }

    #[test]
    fn what_is_full_and_evicts_loses_the_oldest() {
        let flows = Flows::new(WhenFull::Evicts);
        flows.set_capacity(2);
        assert_eq!(flows.insert(&key(1), &flow(1)), Ok(()));
        assert_eq!(flows.insert(&key(2), &flow(2)), Ok(()));
        assert_eq!(flows.replace(&key(1), &flow(3)), Ok(()));
        assert_eq!(flows.insert(&key(3), &flow(4)), Ok(()));
        assert_eq!(flows.copies(), [(key(1), flow(3)), (key(3), flow(4))]);
    }

    #[test]
    fn chunks_follow_each_other_without_a_gap() {
        let places: Vec<_> = (0..4 * FIRST_CHUNK).map(place).collect();
        let mut want = Vec::new();
        for chunk in 0..2 {
            want.extend((0..FIRST_CHUNK << chunk).map(|offset| (chunk, offset)));
        }
        want.extend((0..FIRST_CHUNK).map(|offset| (2, offset)));
        assert_eq!(places, want);
    }
}
