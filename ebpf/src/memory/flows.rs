use core::cell::{Cell, OnceCell, RefCell};
use std::boxed::Box;
use std::collections::BTreeMap;
use std::vec::Vec;

use crate::abi::{Flow, FlowKey, SharedU64};
use crate::path::InsertError;

/// Flow entries by key, with room for so many and no more.
///
/// Whoever holds a reference keeps a sound one while the entry is replaced or removed: an entry is
/// never freed before the whole table is. The kernel may give a removed element to another flow at
/// once.
pub(super) struct Flows {
    index: RefCell<BTreeMap<FlowKey, usize>>,
    entries: Arena,
    capacity: Cell<usize>,
}

impl Flows {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            index: RefCell::new(BTreeMap::new()),
            entries: Arena::new(),
            capacity: Cell::new(capacity),
        }
    }

    pub(super) fn set_capacity(&self, capacity: usize) {
        self.capacity.set(capacity);
    }

    pub(super) fn len(&self) -> usize {
        self.index.borrow().len()
    }

    pub(super) fn get(&self, key: &FlowKey) -> Option<&Flow<SharedU64>> {
        self.entries.get(*self.index.borrow().get(key)?)
    }

    pub(super) fn insert(&self, key: &FlowKey, flow: &Flow) -> Result<(), InsertError> {
        if self.index.borrow().contains_key(key) {
            return Err(InsertError::Exists);
        }
        self.replace(key, flow)
    }

    /// An entry that is there can always be replaced, as in the kernel.
    pub(super) fn replace(&self, key: &FlowKey, flow: &Flow) -> Result<(), InsertError> {
        let mut index = self.index.borrow_mut();
        if !index.contains_key(key) && index.len() >= self.capacity.get() {
            return Err(InsertError::Full);
        }
        index.insert(*key, self.entries.push(shared(flow)));
        Ok(())
    }

    pub(super) fn remove(&self, key: &FlowKey) {
        self.index.borrow_mut().remove(key);
    }

    /// All entries as the daemon would read them, in order of their keys.
    pub(super) fn copies(&self) -> Vec<(FlowKey, Flow)> {
        let index = self.index.borrow();
        let entries = index.iter().filter_map(|(key, place)| {
            let entry = self.entries.get(*place)?;
            Some((*key, copied(entry)))
        });
        entries.collect()
    }
}

fn shared(flow: &Flow) -> Flow<SharedU64> {
    with_mark(flow, SharedU64::new(flow.mark))
}

fn copied(flow: &Flow<SharedU64>) -> Flow {
    with_mark(flow, flow.mark.load())
}

fn with_mark<M, N>(flow: &Flow<M>, mark: N) -> Flow<N> {
    Flow {
        mark,
        generation: flow.generation,
        address: flow.address,
        port: flow.port,
        header_delta: flow.header_delta,
        transport_delta: flow.transport_delta,
        egress: flow.egress,
        macs: flow.macs,
        created: flow.created,
        mtu: flow.mtu,
        uplink: flow.uplink,
        direction: flow.direction,
        group: flow.group,
        reserved: flow.reserved,
    }
}

/// The size of the first chunk; each is twice as large as the one before.
const FIRST_CHUNK: usize = 16;
const CHUNKS: usize = 32;

type Chunk = Box<[OnceCell<Flow<SharedU64>>]>;

/// Entries that are only ever added, and so stay where they are.
struct Arena {
    chunks: [OnceCell<Chunk>; CHUNKS],
    len: Cell<usize>,
}

impl Arena {
    fn new() -> Self {
        Self { chunks: core::array::from_fn(|_| OnceCell::new()), len: Cell::new(0) }
    }

    /// The chunk of an entry, and its place there.
    fn place(entry: usize) -> (usize, usize) {
        let number = entry + FIRST_CHUNK;
        let chunk = (number.ilog2() - FIRST_CHUNK.ilog2()) as usize;
        (chunk, number - (FIRST_CHUNK << chunk))
    }

    fn push(&self, flow: Flow<SharedU64>) -> usize {
        let entry = self.len.get();
        self.len.set(entry + 1);
        let (chunk, offset) = Self::place(entry);
        let empty = || (0..FIRST_CHUNK << chunk).map(|_| OnceCell::new()).collect();
        let chunk = self.chunks.get(chunk).map(|chunk| chunk.get_or_init(empty));
        let cell = chunk.and_then(|chunk| chunk.get(offset));
        let added = cell.is_some_and(|cell| cell.set(flow).is_ok());
        assert!(added, "the arena of flow entries is used up");
        entry
    }

    fn get(&self, entry: usize) -> Option<&Flow<SharedU64>> {
        let (chunk, offset) = Self::place(entry);
        self.chunks.get(chunk)?.get()?.get(offset)?.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::{Ipv4, L4Port};

    fn key(port: u16) -> FlowKey {
        let end = (Ipv4::default(), L4Port::from_host(port));
        FlowKey::new(end, end, 17, 0)
    }

    fn flow(generation: u32) -> Flow {
        Flow { generation, ..Flow::default() }
    }

    #[test]
    fn a_reference_outlives_its_entry() {
        let flows = Flows::new(usize::MAX);
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
        let flows = Flows::new(1);
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
    fn chunks_follow_each_other_without_a_gap() {
        let places: Vec<_> = (0..4 * FIRST_CHUNK).map(Arena::place).collect();
        let mut want = Vec::new();
        for chunk in 0..2 {
            want.extend((0..FIRST_CHUNK << chunk).map(|offset| (chunk, offset)));
        }
        want.extend((0..FIRST_CHUNK).map(|offset| (2, offset)));
        assert_eq!(places, want);
    }
}
