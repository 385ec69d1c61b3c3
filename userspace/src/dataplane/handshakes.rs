//! The memory in which the data plane counts the handshakes that it times.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};

use aya::maps::MapData;
use memmap2::{MmapOptions, MmapRaw};
use pointsman_ebpf::abi::{HANDSHAKE_WORDS, HandshakeCounts, MAX_UPLINKS, SharedU64};

/// What is counted of the handshakes of all uplinks: the elements of the loaded program's map.
pub struct Handshakes(MmapRaw);

impl Handshakes {
    /// Maps it. The mapping keeps the map alive.
    ///
    /// # Errors
    /// Where the kernel does not map it.
    pub fn new(map: &MapData) -> io::Result<Self> {
        let len = size_of::<[HandshakeCounts; MAX_UPLINKS]>();
        MmapOptions::new().len(len).map_raw_read_only(map.fd().as_fd().as_raw_fd()).map(Self)
    }

    /// Those of one uplink, as they are now. Above [`MAX_UPLINKS`], there are none.
    pub fn of(&self, uplink: u8) -> HandshakeCounts {
        // SAFETY: a mapping starts on a page, so the words are aligned; there are as many as were asked for,
        // mapped as long as `self` lives; and everyone accesses each of them atomically. Elements of 8 bytes
        // stand in an array without gaps.
        let all: &[[SharedU64; HANDSHAKE_WORDS]; MAX_UPLINKS] = unsafe { &*self.0.as_ptr().cast() };
        let words = all.get(usize::from(uplink));
        words.map_or([0; HANDSHAKE_WORDS], |words| words.each_ref().map(SharedU64::load))
    }
}
