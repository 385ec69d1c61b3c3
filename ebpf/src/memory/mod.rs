//! The tables of the path in ordinary memory, and packets to run through them: for tests, fuzzers
//! and simulators.
//!
//! Everything is deterministic: the clock stands still until it is set, and random numbers follow
//! from a seed.

mod checks;
mod counts;
mod flows;
mod packet;
mod random;
pub mod site;
mod state;

pub use checks::{repair_checksums, verify, verify_header, verify_transport};
pub use counts::Counts;
pub use packet::{PacketBuilder, answer_to};
pub use random::Random;

use core::cell::Cell;
use std::boxed::Box;
use std::collections::{BTreeMap, BTreeSet};
use std::vec::Vec;

use crate::abi::{
    Bucket, Epoch, Flow, FlowKey, Group, LocalAddress, MAX_UPLINKS, Port, Settings, SharedU64,
    Uplink,
};
use crate::path::{self, InsertError, Tables};
use crate::verdict::Verdict;
use crate::wire::SliceFrame;
use counts::Counting;
use flows::Flows;

/// [`Tables`] of ordinary collections.
///
/// What the daemon writes in operation is a public field. What the path writes, and the switch and
/// the clock, which change under it, are behind methods of a shared reference.
pub struct MemoryTables {
    /// The only group, if it was made.
    pub group: Option<Group>,
    /// The bucket of an index, below [`crate::abi::BUCKETS_PER_GROUP`].
    pub bucket: Box<dyn Fn(u32) -> Bucket>,
    /// The gateway's own addresses.
    pub local: BTreeSet<LocalAddress>,
    /// Ports by interface index.
    pub ports: BTreeMap<u32, Port>,
    /// The settings, if they were written.
    pub settings: Option<Settings>,
    /// Uplinks by identifier. One that was not written has generation zero.
    pub uplinks: [Uplink; MAX_UPLINKS],
    alive: Cell<u64>,
    clock: Cell<u64>,
    counts: Counting,
    flows: Flows,
    random: Cell<Random>,
}

impl MemoryTables {
    /// Empty tables, as they are before the daemon writes the first one. `seed` is where random
    /// numbers start.
    pub fn new(seed: u64) -> Self {
        Self {
            group: None,
            bucket: Box::new(|_| Bucket::EMPTY),
            local: BTreeSet::new(),
            ports: BTreeMap::new(),
            settings: None,
            uplinks: [Uplink::default(); MAX_UPLINKS],
            alive: Cell::new(0),
            clock: Cell::new(0),
            counts: Counting::default(),
            flows: Flows::new(usize::MAX),
            random: Cell::new(Random::new(seed)),
        }
    }

    /// Throws the switch: the uplinks that are alive from now on, a bit each.
    pub fn set_alive(&self, alive: u64) {
        self.alive.set(alive);
    }

    /// Sets the monotonic clock, in nanoseconds.
    pub fn set_now(&self, nanoseconds: u64) {
        self.clock.set(nanoseconds);
    }

    /// How many flow entries there may be. Those beyond that are kept.
    pub fn set_flow_capacity(&self, entries: usize) {
        self.flows.set_capacity(entries);
    }

    /// How many flow entries there are: two a flow.
    pub fn flow_count(&self) -> usize {
        self.flows.len()
    }

    /// A copy of every flow entry, in order of the keys.
    pub fn flows(&self) -> Vec<(FlowKey, Flow)> {
        self.flows.copies()
    }

    /// Removes a flow entry, as the daemon's sweep does.
    pub fn remove_flow(&self, key: &FlowKey) {
        self.flows.remove(key);
    }

    /// A copy of the counters.
    pub fn counts(&self) -> Counts {
        self.counts.copy()
    }

    /// Counts a packet of `len` bytes, as the XDP program does.
    pub fn count(&self, verdict: Verdict, len: usize) {
        self.counts.add(verdict, len);
    }

    /// Runs a frame that came in on an interface through the path, and counts it.
    pub fn run(&self, frame: &mut [u8], ifindex: u32) -> Verdict {
        let len = frame.len();
        let verdict = path::process(&mut SliceFrame(frame), self, ifindex);
        self.count(verdict, len);
        verdict
    }
}

impl Tables for MemoryTables {
    fn now(&self) -> u64 {
        self.clock.get()
    }

    /// As of a kernel whose tick is 2^22 ns, so that an epoch is one of
    /// [`ticks`](crate::abi::ticks).
    fn epoch(&self) -> Epoch {
        Epoch::of_jiffies(self.clock.get() >> 22)
    }

    fn random(&self) -> u32 {
        let mut random = self.random.get();
        let word = random.word();
        self.random.set(random);
        (word >> 32) as u32
    }

    fn port(&self, ifindex: u32) -> Option<&Port> {
        self.ports.get(&ifindex)
    }

    fn alive(&self) -> u64 {
        self.alive.get()
    }

    fn uplink(&self, uplink: u8) -> Option<&Uplink> {
        self.uplinks.get(usize::from(uplink))
    }

    fn flow(&self, key: &FlowKey) -> Option<&Flow<SharedU64>> {
        self.flows.get(key)
    }

    fn insert_flow(&self, key: &FlowKey, flow: &Flow) -> Result<(), InsertError> {
        self.flows.insert(key, flow)
    }

    fn replace_flow(&self, key: &FlowKey, flow: &Flow) -> Result<(), InsertError> {
        self.flows.replace(key, flow)
    }

    fn retract_flow(&self, key: &FlowKey) {
        self.flows.remove(key);
    }

    fn is_local(&self, address: &LocalAddress) -> bool {
        self.local.contains(address)
    }

    fn settings(&self) -> Option<&Settings> {
        self.settings.as_ref()
    }

    fn group(&self, group: u8) -> Option<&Group> {
        self.group.as_ref().filter(|_| group == 0)
    }

    fn bucket(&self, index: u32) -> Option<Bucket> {
        Some((self.bucket)(index))
    }
}
