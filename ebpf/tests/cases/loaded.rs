//! Where the cases run on the host only, there is no loaded object to compare with.

use pointsman_ebpf::memory::MemoryTables;
use pointsman_ebpf::verdict::Verdict;

use crate::cases::Room;

/// What the loaded object does with a packet: nothing is known of it.
pub(crate) struct Loaded;

impl Loaded {
    /// Whether a packet takes long.
    pub(crate) const IS_SLOW: bool = false;

    /// Before the packet runs on the host.
    pub(crate) fn run(_tables: &MemoryTables, _room: Room, _ifindex: u32, _input: &[u8]) -> Self {
        Self
    }

    /// After it has.
    pub(crate) fn check(self, _tables: &MemoryTables, _verdict: Verdict, _output: &[u8]) {}
}
