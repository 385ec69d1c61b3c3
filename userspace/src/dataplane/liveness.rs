//! The memory by which the data plane, the daemon and its BFD sessions tell each other who is alive.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};

use aya::maps::MapData;
use memmap2::{MmapOptions, MmapRaw};
use pointsman_ebpf::abi::{MAX_UPLINKS, Monitor, NO_DEADLINE, SharedU64, Switch};

/// Which uplinks may send, and what is known of their BFD sessions: elements of the loaded program's maps.
pub struct Liveness {
    switch: MmapRaw,
    monitors: MmapRaw,
}

impl Liveness {
    /// Maps both. The mappings keep the maps alive.
    ///
    /// # Errors
    /// Where the kernel does not map them.
    pub(super) fn new(switch: &MapData, monitors: &MapData) -> io::Result<Self> {
        let map =
            |map: &MapData, len| MmapOptions::new().len(len).map_raw(map.fd().as_fd().as_raw_fd());
        Ok(Self {
            switch: map(switch, size_of::<Switch>())?,
            monitors: map(monitors, size_of::<[Monitor; MAX_UPLINKS]>())?,
        })
    }

    /// Takes away all deadlines, which in new maps are zeros, and has the data plane listen to no session: those
    /// of a daemon before have ended with it.
    pub(super) fn forget_sessions(&self) {
        for monitor in self.monitors() {
            monitor.watch.release(0);
        }
        for deadline in (0..).map_while(|uplink| self.switch().deadline(uplink)) {
            deadline.release(NO_DEADLINE);
        }
    }

    /// Of no program.
    #[cfg(test)]
    pub(crate) fn anonymous() -> io::Result<Self> {
        let map = |len| MmapOptions::new().len(len).map_anon().map(MmapRaw::from);
        Ok(Self {
            switch: map(size_of::<Switch>())?,
            monitors: map(size_of::<[Monitor; MAX_UPLINKS]>())?,
        })
    }

    /// The switch.
    pub fn switch(&self) -> &Switch<SharedU64> {
        // SAFETY: a mapping starts on a page, so the words are aligned; there are as many as were asked for,
        // mapped as long as `self` lives; and everyone accesses each of them atomically.
        unsafe { &*self.switch.as_ptr().cast() }
    }

    /// The monitors, by uplink.
    pub fn monitors(&self) -> &[Monitor<SharedU64>; MAX_UPLINKS] {
        // SAFETY: as above. Elements of 128 bytes stand in an array without gaps.
        unsafe { &*self.monitors.as_ptr().cast() }
    }
}
