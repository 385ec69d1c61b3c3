//! The tables of flows and mappings ([`pointsman_ebpf::table`]) in the daemon's own memory: they are
//! mapped, so nothing is asked of the kernel.

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd as _, AsRawFd as _};

use aya::Pod;
use aya::maps::MapData;
use memmap2::{MmapOptions, MmapRaw};
use pointsman_ebpf::abi::FlowKey;
use pointsman_ebpf::path::InsertError;
use pointsman_ebpf::table::{self, Existing, Filter, HashKey, Set, Slot, Storage, WhenFull};

use super::TableError;
use super::sweep::SweptTable;

/// How many entries are handed on together.
const BATCH: usize = 4096;

/// A table of entries of the type `T`, which are `N` words.
pub struct SetTable<T, const N: usize> {
    name: &'static str,
    hash_key: HashKey,
    memory: MmapRaw,
    sets: u32,
    /// Of a table that has any.
    filters: Option<MmapRaw>,
    /// So that whoever looks at the daemon's descriptors finds them.
    _maps: (MapData, Option<MapData>),
    of: PhantomData<T>,
}

impl<T: Pod, const N: usize> SetTable<T, N> {
    const IS_WORDS: () =
        assert!(size_of::<T>() == size_of::<[u64; N]>() && align_of::<T>() <= align_of::<u64>());

    /// Maps the array of a table that is hashed by this key, and that of its filters, if it has any.
    /// The name is for messages.
    ///
    /// # Errors
    /// Where the kernel does not map them, or they are of other elements, or not as many.
    pub fn new(
        name: &'static str,
        hash_key: HashKey,
        map: MapData,
        filters: Option<MapData>,
    ) -> io::Result<Self> {
        let (memory, sets) = mapped::<Set<N>>(&map)?;
        let filter_memory = match &filters {
            Some(filters) => {
                let (memory, count) = mapped::<Filter>(filters)?;
                if count != sets {
                    return Err(io::Error::other("it has not as many filters as sets"));
                }
                Some(memory)
            }
            None => None,
        };
        let _maps = (map, filters);
        Ok(Self { name, hash_key, memory, sets, filters: filter_memory, _maps, of: PhantomData })
    }

    fn value(words: [u64; N]) -> T {
        const { Self::IS_WORDS };
        // SAFETY: both are of the same size, and any bytes are a value of a `Pod`.
        unsafe { std::mem::transmute_copy(&words) }
    }

    fn words(value: &T) -> [u64; N] {
        const { Self::IS_WORDS };
        // SAFETY: both are of the same size, and a `Pod` has no padding.
        unsafe { std::mem::transmute_copy(value) }
    }
}

/// Maps an array of `E`s. Returns also how many there are.
fn mapped<E>(map: &MapData) -> io::Result<(MmapRaw, u32)> {
    let info = map.info().map_err(io::Error::other)?;
    if info.value_size() as usize != size_of::<E>() {
        return Err(io::Error::other("its elements are of another size"));
    }
    let len = info.max_entries() as usize * size_of::<E>();
    let memory = MmapOptions::new().len(len).map_raw(map.fd().as_fd().as_raw_fd())?;
    Ok((memory, info.max_entries()))
}

impl<T: Pod, const N: usize> Storage<N> for SetTable<T, N> {
    fn hash_key(&self) -> HashKey {
        self.hash_key
    }

    fn sets(&self) -> u32 {
        self.sets
    }

    fn set(&self, index: u32) -> Option<&Set<N>> {
        let sets = self.memory.as_ptr().cast::<Set<N>>();
        // SAFETY: a mapping starts on a page, so sets are aligned, and this one is within it; it is
        // mapped as long as `self` lives. A set is shared words and nothing else, any value of
        // which is one, and whoever accesses them does so atomically.
        (index < self.sets).then(|| unsafe { &*sets.add(index as usize) })
    }

    fn filter(&self, index: u32) -> Option<&Filter> {
        let filters = self.filters.as_ref()?.as_ptr().cast::<Filter>();
        // SAFETY: as for `set`; there are as many filters as sets.
        (index < self.sets).then(|| unsafe { &*filters.add(index as usize) })
    }
}

impl<T: Pod, const N: usize> SweptTable<FlowKey, T> for SetTable<T, N> {
    fn read(&mut self, each: &mut dyn FnMut(&[FlowKey], &[T])) -> Result<(), TableError> {
        let (mut keys, mut values) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
        for slot in Slot::all(self.sets()) {
            let Some((key, words)) = table::read(self, slot) else { continue };
            keys.push(key);
            values.push(Self::value(words));
            if keys.len() == BATCH {
                each(&keys, &values);
                keys.clear();
                values.clear();
            }
        }
        each(&keys, &values);
        Ok(())
    }

    fn get(&self, key: &FlowKey) -> Result<Option<T>, TableError> {
        let found = table::locate(self, key).and_then(|slot| table::read(self, slot));
        // It may have become another's meanwhile.
        Ok(found.filter(|(found, _)| found == key).map(|(_, words)| Self::value(words)))
    }

    fn remove(&mut self, keys: &[FlowKey]) -> Result<(), TableError> {
        for key in keys {
            table::remove_tidily(self, key);
        }
        Ok(())
    }

    fn write(&mut self, keys: &[FlowKey], values: &[T]) -> Result<(), TableError> {
        debug_assert_eq!(keys.len(), values.len());
        // A table that refuses is one with filters.
        let when_full = if self.filters.is_some() { WhenFull::Refuse } else { WhenFull::Evict };
        for (key, value) in keys.iter().zip(values) {
            table::insert(self, key, &Self::words(value), Existing::Goes, when_full)
                .map_err(|error| TableError::writing(self.name)(Refused(error)))?;
        }
        Ok(())
    }
}

/// Why an entry was not made.
#[derive(Debug, thiserror::Error)]
#[error("{}", match .0 {
    InsertError::Full => "it is full",
    InsertError::Exists => "others write the same entry",
})]
struct Refused(InsertError);
