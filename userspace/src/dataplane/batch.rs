//! Hash maps of the kernel in batches: `BPF_MAP_LOOKUP_BATCH` and its like (Linux 5.6), which aya
//! does not have. One system call reads thousands of entries, and the kernel holds the lock of one
//! bucket at a time.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};

use aya::Pod;
use aya::maps::{HashMap, IterableMap as _, MapData, MapError};

use super::sweep::SweptTable;
use super::{TableError, error::errno};

/// How many entries one call reads: about a millisecond of work.
const BATCH: usize = 4096;

/// Commands of bpf(2), `enum bpf_cmd`.
const LOOKUP_BATCH: libc::c_long = 24;
const UPDATE_BATCH: libc::c_long = 26;
const DELETE_BATCH: libc::c_long = 27;

/// `union bpf_attr` of these commands, all of it.
#[derive(Debug, Default)]
#[repr(C)]
struct Attributes {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    /// How many entries there is room for, or are given; then how many were done.
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

const _: () = assert!(size_of::<Attributes>() == 56);

/// A hash map, plain or LRU, of these keys and values.
pub struct BatchMap<K, V> {
    name: &'static str,
    map: HashMap<MapData, K, V>,
    batch: usize,
}

impl<K: Pod, V: Pod> BatchMap<K, V> {
    /// Of a map of the kernel, which has this name in messages.
    pub fn new(name: &'static str, map: HashMap<MapData, K, V>) -> Self {
        Self { name, map, batch: BATCH }
    }

    /// Reads so many entries at a time, or as many as a bucket holds, where that is more.
    #[must_use]
    pub fn in_batches_of(self, entries: usize) -> Self {
        Self { batch: entries, ..self }
    }

    fn attributes(&self) -> Attributes {
        // A descriptor of an open file is not negative.
        let map_fd = self.map.map().fd().as_fd().as_raw_fd() as u32;
        Attributes { map_fd, ..Attributes::default() }
    }

    /// One call for the buckets from `position` on, or from the first. Fills the vectors up to
    /// their capacity at most. Returns the position that the next call goes on from, if any.
    fn read_some(
        &self,
        position: Option<u32>,
        keys: &mut Vec<K>,
        values: &mut Vec<V>,
    ) -> io::Result<Option<u32>> {
        keys.clear();
        values.clear();
        let mut next = 0_u32;
        let mut attributes = Attributes {
            in_batch: position.as_ref().map_or(0, |position| (&raw const *position).addr() as u64),
            out_batch: (&raw mut next).expose_provenance() as u64,
            keys: keys.as_mut_ptr().expose_provenance() as u64,
            values: values.as_mut_ptr().expose_provenance() as u64,
            count: keys.capacity().min(values.capacity()) as u32,
            ..self.attributes()
        };
        // SAFETY: the kernel reads a position of four bytes, which a hash map's are, and writes
        // one to `next`; it writes at most `count` keys and values, of the sizes that aya has
        // compared with the map's, where the vectors have room for as many. All outlive the call.
        let result = unsafe { call(LOOKUP_BATCH, &mut attributes) };
        let is_last = match result {
            Ok(()) => false,
            // There are no more buckets.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => true,
            Err(error) => return Err(error),
        };
        // SAFETY: the kernel has written that many, and any bytes are a value of a `Pod`.
        unsafe {
            keys.set_len(attributes.count as usize);
            values.set_len(attributes.count as usize);
        }
        Ok((!is_last).then_some(next))
    }

    /// One call for these entries, which ends at the first that the kernel refuses. Returns how
    /// many it has done.
    fn change(&self, command: libc::c_long, keys: &[K], values: &[V]) -> (usize, io::Result<()>) {
        let mut attributes = Attributes {
            keys: keys.as_ptr().expose_provenance() as u64,
            values: values.as_ptr().expose_provenance() as u64,
            count: keys.len() as u32,
            ..self.attributes()
        };
        // SAFETY: the kernel reads `count` keys, and as many values where the command is to write
        // them, of the sizes that aya has compared with the map's. Both outlive the call.
        let result = unsafe { call(command, &mut attributes) };
        (attributes.count as usize, result)
    }
}

impl<K: Pod, V: Pod> SweptTable<K, V> for BatchMap<K, V> {
    fn read(&mut self, each: &mut dyn FnMut(&[K], &[V])) -> Result<(), TableError> {
        let room = |entries| (Vec::with_capacity(entries), Vec::with_capacity(entries));
        let (mut keys, mut values) = room(self.batch);
        let mut position = None;
        loop {
            let next = match self.read_some(position, &mut keys, &mut values) {
                Ok(next) => next,
                Err(error) => match error.raw_os_error() {
                    Some(libc::EINTR) => continue,
                    // A bucket holds more than there is room for.
                    Some(libc::ENOSPC) => {
                        (keys, values) = room(2 * keys.capacity());
                        continue;
                    }
                    _ => return Err(TableError::reading(self.name)(error)),
                },
            };
            each(&keys, &values);
            match next {
                Some(_) => position = next,
                None => return Ok(()),
            }
        }
    }

    fn get(&self, key: &K) -> Result<Option<V>, TableError> {
        match self.map.get(key, 0) {
            Ok(value) => Ok(Some(value)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) if errno(&error) == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(TableError::reading(self.name)(error)),
        }
    }

    fn remove(&mut self, mut keys: &[K]) -> Result<(), TableError> {
        while !keys.is_empty() {
            let (done, result) = self.change(DELETE_BATCH, keys, &[]);
            keys = match result {
                Ok(()) => return Ok(()),
                Err(error) => match error.raw_os_error() {
                    Some(libc::EINTR) => &keys[done..],
                    // That it is gone already is what is wanted.
                    Some(libc::ENOENT) => &keys[done + 1..],
                    _ => return Err(TableError::writing(self.name)(error)),
                },
            };
        }
        Ok(())
    }

    fn write(&mut self, keys: &[K], values: &[V]) -> Result<(), TableError> {
        debug_assert_eq!(keys.len(), values.len());
        let mut written = 0;
        while written < keys.len() {
            let (done, result) = self.change(UPDATE_BATCH, &keys[written..], &values[written..]);
            match result {
                Ok(()) => return Ok(()),
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => written += done,
                Err(error) => return Err(TableError::writing(self.name)(error)),
            }
        }
        Ok(())
    }
}

/// The system call.
///
/// # Safety
/// What `attributes` points to is valid for what the command does with it.
unsafe fn call(command: libc::c_long, attributes: &mut Attributes) -> io::Result<()> {
    // SAFETY: the attributes are as long as is said, and all that the command takes; what they
    // point to, the caller answers for.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            &raw mut *attributes,
            size_of::<Attributes>() as libc::c_long,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
