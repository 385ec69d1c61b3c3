//! The handshakes that are timed: written into the maps of the loaded object, and compared with those of the host.

use std::time::Duration;

use aya::maps::{Array, Map, MapData};
use nix::time::{ClockId, clock_gettime};
use pointsman::dataplane::Handshakes;
use pointsman_ebpf::abi::{Attempt, HANDSHAKE_WORDS, HandshakeCount, MAX_UPLINKS};
use pointsman_ebpf::memory::MemoryTables;
use pointsman_ebpf::path::Tables as _;

use crate::kernel::Kernel;
use crate::tables::Written;

/// What has been counted: of each uplink those that were begun, those that were repeated, those that were answered
/// late, and those that were answered in time, whatever that was, for the clocks differ.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Counted([[u64; 4]; MAX_UPLINKS]);

impl Counted {
    /// From what each word of an uplink has counted.
    fn new(words: impl IntoIterator<Item = (u8, usize, u64)>) -> Self {
        let told_apart = [HandshakeCount::BEGUN, HandshakeCount::REPEATED, HandshakeCount::LATE]
            .map(|it| it.word());
        let mut counted = [[0; 4]; MAX_UPLINKS];
        for (uplink, word, count) in words {
            let kind = told_apart.iter().position(|known| *known == word);
            counted[usize::from(uplink)][kind.unwrap_or(told_apart.len())] += count;
        }
        Self(counted)
    }

    /// On the host.
    pub(crate) fn on_host(tables: &MemoryTables) -> Self {
        let counts = tables.handshake_counts().into_iter();
        Self::new(counts.map(|(index, count)| {
            let index = index as usize;
            ((index / HANDSHAKE_WORDS) as u8, index % HANDSHAKE_WORDS, count)
        }))
    }

    /// What was counted since `before`.
    fn since(&self, before: &Self) -> [[u64; 4]; MAX_UPLINKS] {
        let of = |uplink: usize, kind: usize| self.0[uplink][kind] - before.0[uplink][kind];
        std::array::from_fn(|uplink| std::array::from_fn(|kind| of(uplink, kind)))
    }
}

impl Kernel {
    /// Makes the map hold the handshakes that are timed on the host, as old by the kernel's clock as by the
    /// host's. Returns what the kernel has counted by then.
    pub(crate) fn write_attempts(
        &mut self,
        tables: &MemoryTables,
        written: &mut Written,
    ) -> Counted {
        let now =
            Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap()).as_nanos() as u64;
        let attempts = tables.attempts();
        for (place, attempt) in &attempts {
            let age = tables.now() - attempt.sent;
            let sent = now.saturating_sub(age);
            self.set::<Attempt>("ATTEMPTS", *place, Attempt { sent, ..*attempt });
        }
        for place in written.attempts.iter().filter(|place| !attempts.contains_key(place)) {
            self.set::<Attempt>("ATTEMPTS", *place, Attempt::default());
        }
        written.attempts = attempts.into_keys().collect();
        self.counted()
    }

    fn counted(&self) -> Counted {
        let Some(Map::Array(map)) = self.object.map("HANDSHAKES") else { panic!("no handshakes") };
        let handshakes = Handshakes::new(map).unwrap();
        let uplinks = 0..MAX_UPLINKS as u8;
        Counted::new(uplinks.flat_map(|uplink| {
            let counts = (0..).zip(handshakes.of(uplink));
            counts.map(move |(word, count)| (uplink, word, count))
        }))
    }

    /// Asserts that the packet has been counted as on the host, and that the same handshakes are timed now. What
    /// either had counted before is in `host` and `kernel`.
    pub(crate) fn assert_times(
        &self,
        tables: &MemoryTables,
        written: &Written,
        host: &Counted,
        kernel: &Counted,
    ) {
        let counted = [self.counted().since(kernel), Counted::on_host(tables).since(host)];
        assert_eq!(counted[0], counted[1], "in the kernel, and on the host\n{tables}");
        let attempts = tables.attempts();
        let map = self.object.map("ATTEMPTS").unwrap();
        let map = Array::<&MapData, Attempt>::try_from(map).unwrap();
        for place in &written.attempts {
            let key = map.get(place, 0).unwrap().key;
            let host = attempts.get(place).map_or(0, |attempt| attempt.key);
            assert_eq!(key, host, "place {place} in the kernel, and on the host\n{tables}");
        }
    }
}
