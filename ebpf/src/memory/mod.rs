//! The tables of the path in ordinary memory, and packets to run through them: for tests, fuzzers
//! and simulators.
//!
//! Everything is deterministic: the clock stands still until it is set, and random numbers follow
//! from a seed.

mod checks;
mod checks6;
mod counts;
mod entries;
mod handshakes;
mod ipv6;
mod liveness;
mod packet;
mod packet6;
mod random;
pub mod routed;
pub mod sequence;
pub mod sequence6;
pub mod sequence64;
pub mod site;
pub mod site6;
pub mod site64;
mod state;
mod tags;

pub use checks::{repair_checksums, verify, verify_header, verify_quote, verify_transport};
pub use checks6::{repair_checksums6, verify6};
pub use counts::Counts;
pub use ipv6::{DIGEST_KEY, Ipv6Tables, PIN_TABLES};
pub use liveness::{Liveness, PutOff};
pub use packet::{PacketBuilder, answer_to};
pub use packet6::{Body6, End6, PacketBuilder6, answer_to6};
pub use random::Random;
pub use tags::{CUSTOMER_TAG, SERVICE_TAG, Tag, tagged, vlan_of};

use core::cell::Cell;
use std::boxed::Box;
use std::collections::BTreeMap;
use std::vec::Vec;

use crate::abi::{
    AddressOwner, Attempt, Binding, Bucket, Epoch, Flow, FlowKey, Forward, Group, Host, Ipv4, Ipv6,
    L4Port, LanNetwork, LocalAddress, MAX_UPLINKS, Monitor, OwnPorts, Port, PortKey, Settings,
    SharedU64, SitePrefix, Switch, TokenBucket, UPLINK_SIDES, Uplink, Vlan,
};
use crate::path::{self, FlowTable, InsertError, Tables};
use crate::verdict::Verdict;
use crate::wire::{MemoryFrame, Tags};
use counts::Counting;
use entries::{Entries, WhenFull};
use handshakes::Handshakes;

/// Every table of flows, in order of its discriminant.
pub const FLOW_TABLES: [FlowTable; 4] =
    [FlowTable::Established, FlowTable::Unreplied, FlowTable::Invited, FlowTable::Fragments];

/// The clock's bits below those that the kernel's tick counts: 2^22 ns, so that an epoch is one of
/// [`ticks`](crate::abi::ticks).
const TICK: u32 = 22;

/// [`Tables`] of ordinary collections.
///
/// What the daemon writes in operation is a public field. What the path writes, and the switch and
/// the clock, which change under it, are behind methods of a shared reference.
pub struct MemoryTables {
    /// The only group, if it was made.
    pub group: Option<Group>,
    /// The bucket of an index, below [`crate::abi::BUCKETS_PER_GROUP`].
    pub bucket: Box<dyn Fn(u32) -> Bucket>,
    /// Port forwards, in order.
    pub forwards: Vec<Forward>,
    /// The LAN's prefixes: an address and how many of its bits count.
    pub lan_networks: BTreeMap<(Ipv4, u8), LanNetwork>,
    /// The gateway's own addresses, and whose they are.
    pub local: BTreeMap<LocalAddress, AddressOwner>,
    /// Words of [`OwnPorts`] that are not zero, by index.
    pub own_ports: BTreeMap<u32, u64>,
    /// Public addresses by index, as [`Uplink::pool`] counts them.
    pub pool: BTreeMap<u32, Ipv4>,
    /// Ports, each by a number of its own: the interface's index, unless the interface has several.
    pub ports: BTreeMap<u32, Port>,
    /// The tags that frames leave with, by index in the device map.
    pub vlans: BTreeMap<u16, Vlan>,
    /// The settings, if they were written.
    pub settings: Option<Settings>,
    /// Uplinks by side. One that was not written has generation zero.
    pub uplinks: [Uplink; UPLINK_SIDES],
    /// What IPv6 is looked up in besides.
    pub ipv6: Ipv6Tables,
    /// What is known of the BFD sessions of uplinks.
    pub monitors: Box<[Monitor<SharedU64>; MAX_UPLINKS]>,
    switch: Switch<SharedU64>,
    handshakes: Handshakes,
    clock: Cell<u64>,
    counts: Counting,
    flows: [Entries<FlowKey, Flow<SharedU64>>; FLOW_TABLES.len()],
    bindings: Entries<FlowKey, Binding<SharedU64>>,
    hosts: Entries<Ipv4, Host<SharedU64>>,
    tokens: Cell<TokenBucket>,
    random: Cell<Random>,
}

impl MemoryTables {
    /// Empty tables, as they are before the daemon writes the first one. `seed` is where random
    /// numbers start.
    pub fn new(seed: u64) -> Self {
        Self {
            group: None,
            bucket: Box::new(|_| Bucket::EMPTY),
            forwards: Vec::new(),
            lan_networks: BTreeMap::new(),
            local: BTreeMap::new(),
            own_ports: BTreeMap::new(),
            pool: BTreeMap::new(),
            ports: BTreeMap::new(),
            vlans: BTreeMap::new(),
            settings: None,
            uplinks: [Uplink::default(); UPLINK_SIDES],
            ipv6: Ipv6Tables::new(),
            monitors: Box::new([const { Monitor::new() }; MAX_UPLINKS]),
            switch: Switch::new(),
            handshakes: Handshakes::new(),
            clock: Cell::new(0),
            counts: Counting::default(),
            flows: FLOW_TABLES.map(|table| {
                Entries::new(match table {
                    FlowTable::Established => WhenFull::Refuses,
                    _ => WhenFull::Evicts,
                })
            }),
            bindings: Entries::new(WhenFull::Refuses),
            hosts: Entries::new(WhenFull::Evicts),
            tokens: Cell::new(TokenBucket::default()),
            random: Cell::new(Random::new(seed)),
        }
    }

    /// Throws the switch: the uplinks that are alive from now on, a bit each.
    pub fn set_alive(&self, alive: u64) {
        self.switch.set_alive(alive);
    }

    /// Sets when an uplink is dead unless somebody is heard before, in nanoseconds.
    pub fn put_off(&self, uplink: u8, deadline: u64) {
        if let Some(word) = self.switch.deadline(uplink) {
            word.store(deadline);
        }
    }

    /// The switch as it is now.
    pub fn switch(&self) -> Switch {
        self.switch.copy()
    }

    /// Sets the monotonic clock, in nanoseconds.
    pub fn set_now(&self, nanoseconds: u64) {
        self.clock.set(nanoseconds);
    }

    /// How many entries a table of flows may have. Those beyond that are kept.
    pub fn set_flow_capacity(&self, table: FlowTable, entries: usize) {
        self.table(table).set_capacity(entries);
    }

    /// How many sides of mappings there may be: two a mapping. Those beyond that are kept.
    pub fn set_binding_capacity(&self, entries: usize) {
        self.bindings.set_capacity(entries);
    }

    /// How many entries a table of flows has.
    pub fn flow_count(&self, table: FlowTable) -> usize {
        self.table(table).len()
    }

    /// A copy of every entry of a table of flows, in order of the keys.
    pub fn flows(&self, table: FlowTable) -> Vec<(FlowKey, Flow)> {
        self.table(table).copies()
    }

    /// A copy of every side of a mapping, in order of the keys.
    pub fn bindings(&self) -> Vec<(FlowKey, Binding)> {
        self.bindings.copies()
    }

    /// A copy of what every LAN host takes, in order of the addresses.
    pub fn hosts(&self) -> Vec<(Ipv4, Host)> {
        self.hosts.copies()
    }

    /// Writes a flow entry, as the daemon does to have a flow choose its uplink anew.
    pub fn set_flow(&self, table: FlowTable, key: &FlowKey, flow: &Flow) {
        // An entry takes the place that it has.
        let _ = self.table(table).replace(key, flow);
    }

    /// Removes a flow entry, as the daemon's sweep does.
    pub fn remove_flow(&self, table: FlowTable, key: &FlowKey) {
        self.table(table).remove(key);
    }

    /// Removes a side of a mapping, as the daemon's sweep does.
    pub fn remove_binding(&self, key: &FlowKey) {
        self.bindings.remove(key);
    }

    /// Sets what a LAN host takes, as the daemon's sweep does.
    pub fn set_host(&self, address: Ipv4, host: &Host) {
        // There is always room: what is full evicts.
        let _ = self.hosts.replace(&address, host);
    }

    /// Keeps a port from being handed out.
    pub fn keep_port(&mut self, udp: bool, port: L4Port) {
        let (word, bit) = OwnPorts::place(udp, port);
        *self.own_ports.entry(word).or_default() |= 1 << bit;
    }

    fn table(&self, table: FlowTable) -> &Entries<FlowKey, Flow<SharedU64>> {
        let [established, unreplied, invited, fragments] = &self.flows;
        match table {
            FlowTable::Established => established,
            FlowTable::Unreplied => unreplied,
            FlowTable::Invited => invited,
            FlowTable::Fragments => fragments,
        }
    }

    /// How far the random numbers have come: the same after a packet that drew none.
    pub fn random_state(&self) -> Random {
        self.random.get()
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
    pub fn run(&self, frame: &mut Vec<u8>, ifindex: u32) -> Verdict {
        let len = frame.len();
        let verdict = path::process(&mut MemoryFrame::new(frame), self, ifindex);
        self.count(verdict, len);
        verdict
    }
}

impl Tables for MemoryTables {
    fn now(&self) -> u64 {
        self.clock.get()
    }

    fn epoch(&self) -> Epoch {
        Epoch::of_jiffies(self.clock.get() >> TICK)
    }

    fn random(&self) -> u32 {
        let mut random = self.random.get();
        let word = random.word();
        self.random.set(random);
        (word >> 32) as u32
    }

    fn port(&self, key: PortKey) -> Option<&Port> {
        self.ports.values().find(|port| port.key() == key)
    }

    fn tags(&self, egress: u16) -> Tags {
        Tags::of(self.vlans.get(&egress).copied().unwrap_or_default())
    }

    fn exact_now(&self) -> u64 {
        self.clock.get()
    }

    fn alive(&self) -> u64 {
        let tick = self.clock.get() >> TICK;
        if self.switch.is_due(tick) {
            self.switch.look(tick, self.clock.get());
        }
        self.switch.alive()
    }

    fn monitor(&self, uplink: u8) -> Option<&Monitor<SharedU64>> {
        self.monitors.get(usize::from(uplink))
    }

    fn deadline(&self, uplink: u8) -> Option<&SharedU64> {
        self.switch.deadline(uplink)
    }

    fn attempt(&self, place: u32) -> Option<&Attempt<SharedU64>> {
        self.handshakes.attempt(place)
    }

    fn handshakes(&self, word: u32) -> Option<&SharedU64> {
        self.handshakes.word(word)
    }

    fn uplink(&self, side: u8) -> Option<&Uplink> {
        self.uplinks.get(usize::from(side))
    }

    fn flow(&self, table: FlowTable, key: &FlowKey) -> Option<&Flow<SharedU64>> {
        self.table(table).get(key)
    }

    fn insert_flow(&self, table: FlowTable, key: &FlowKey, flow: &Flow) -> Result<(), InsertError> {
        self.table(table).insert(key, flow)
    }

    fn replace_flow(
        &self,
        table: FlowTable,
        key: &FlowKey,
        flow: &Flow,
    ) -> Result<(), InsertError> {
        self.table(table).replace(key, flow)
    }

    fn retract_flow(&self, table: FlowTable, key: &FlowKey) {
        self.table(table).remove(key);
    }

    fn binding(&self, key: &FlowKey) -> Option<&Binding<SharedU64>> {
        self.bindings.get(key)
    }

    fn insert_binding(&self, key: &FlowKey, binding: &Binding) -> Result<(), InsertError> {
        self.bindings.insert(key, binding)
    }

    fn replace_binding(&self, key: &FlowKey, binding: &Binding) -> Result<(), InsertError> {
        self.bindings.replace(key, binding)
    }

    fn retract_binding(&self, key: &FlowKey) {
        self.bindings.remove(key);
    }

    fn host(&self, address: Ipv4) -> Option<&Host<SharedU64>> {
        // That it is there already is as good.
        let _ = self.hosts.insert(&address, &Host::default());
        self.hosts.get(&address)
    }

    fn pool(&self, index: u32) -> Option<Ipv4> {
        self.pool.get(&index).copied()
    }

    fn own_ports(&self, word: u32) -> u64 {
        self.own_ports.get(&word).copied().unwrap_or_default()
    }

    fn forward(&self, index: u32) -> Option<&Forward> {
        self.forwards.get(index as usize)
    }

    fn take_token(&self, now: u64, rate: u32, burst: u32) -> bool {
        let taken = self.tokens.get().take(now, rate, burst);
        if let Some(rest) = taken {
            self.tokens.set(rest);
        }
        taken.is_some()
    }

    fn local(&self, address: &LocalAddress) -> Option<AddressOwner> {
        self.local.get(address).copied()
    }

    fn lan_network(&self, address: Ipv4) -> Option<&LanNetwork> {
        let bits = |address: &Ipv4| u32::from_be_bytes(address.octets());
        let holds = |(prefix, len): &(Ipv4, u8)| {
            *len == 0 || (bits(prefix) ^ bits(&address)) >> (32 - u32::from(*len)) == 0
        };
        let holding = self.lan_networks.iter().filter(|(prefix, _)| holds(prefix));
        holding.max_by_key(|((_, len), _)| *len).map(|(_, network)| network)
    }

    fn site_prefix(&self, address: &Ipv6) -> Option<&SitePrefix> {
        let bits = |address: &Ipv6| u128::from_be_bytes(address.octets());
        let holds = |(prefix, len): &(Ipv6, u8)| {
            *len == 0 || (bits(prefix) ^ bits(address)) >> (128 - u32::from(*len)) == 0
        };
        let holding = self.ipv6.prefixes.iter().filter(|(prefix, _)| holds(prefix));
        holding.max_by_key(|((_, len), _)| *len).map(|(_, known)| known)
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
