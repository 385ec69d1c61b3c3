use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::sync::atomic::{AtomicU64, Ordering};

use aya::maps::MapData;
use memmap2::{MmapOptions, MmapRaw};

/// The word of the uplinks that are alive, shared with the data plane.
pub(super) struct Switch {
    memory: MmapRaw,
}

impl Switch {
    /// Maps the only element of the map. The mapping keeps the map alive.
    ///
    /// # Errors
    /// Where the kernel does not map it.
    pub(super) fn new(map: &MapData) -> io::Result<Self> {
        let memory =
            MmapOptions::new().len(size_of::<AtomicU64>()).map_raw(map.fd().as_fd().as_raw_fd())?;
        Ok(Self { memory })
    }

    /// Throws the switch: one aligned store of eight bytes.
    pub(super) fn store(&self, alive: u64) {
        let word = self.memory.as_mut_ptr().cast::<u64>();
        // SAFETY: a mapping starts on a page, so the word is aligned; it is mapped as long as
        // `self` lives, and everyone accesses it atomically.
        let word = unsafe { AtomicU64::from_ptr(word) };
        // What the data plane needs to know of an uplink was written by system calls before.
        word.store(alive, Ordering::Release);
    }
}
