//! Which flows and mappings have been idle for too long, and their removal.
//!
//! A pass reads the tables in an order in which nothing is missed that moves meanwhile: a flow goes
//! from the unanswered ones to the established ones, never back, and stands in both for a moment. It
//! notes what the flows that stay need, and then judges the mappings.
//!
//! The data plane works on the tables meanwhile, and what is read is old when it is judged. So
//! nothing goes without being read and judged once more, on its own, right before.

mod flow;
mod host;
mod in_use;
mod joined;
mod mapping;
mod nat44;
mod nat64;
mod nat66;
mod pin;
mod timer;

use std::collections::HashMap;

use foldhash::fast::RandomState;
use pointsman_ebpf::abi::{Binding, DigestKey, Flow, FlowKey, Host, Ipv4, MAX_UPLINKS, Pin};

use super::TableError;
use flow::Kind;
use in_use::InUse;
pub(super) use joined::remove_flows_to;
pub use timer::IdleTicks;
pub(super) use timer::MARK_LAG;

/// How many entries are judged once more and then removed together. No entry is older than that
/// takes, about 100 microseconds, when it goes.
const REMOVED_TOGETHER: usize = 128;

/// A hash table that the data plane works on meanwhile.
pub trait SweptTable<K, V> {
    /// Calls `each` for all entries, many at a time. One that comes or goes meanwhile may be
    /// missed.
    ///
    /// # Errors
    /// Where the kernel refuses.
    fn read(&mut self, each: &mut dyn FnMut(&[K], &[V])) -> Result<(), TableError>;

    /// The entry of this key, as it is now.
    ///
    /// # Errors
    /// Where the kernel refuses.
    fn get(&self, key: &K) -> Result<Option<V>, TableError>;

    /// Removes the entries of these keys that there are, in this order.
    ///
    /// # Errors
    /// Where the kernel refuses; what was removed is removed.
    fn remove(&mut self, keys: &[K]) -> Result<(), TableError>;

    /// Makes or replaces the entries of these keys. There are as many values as keys.
    ///
    /// # Errors
    /// Where the kernel refuses; what was written is written.
    fn write(&mut self, keys: &[K], values: &[V]) -> Result<(), TableError>;
}

/// All tables that are swept.
pub trait SweptTables {
    /// Answered flows, both directions of each.
    fn established(&mut self) -> &mut dyn SweptTable<FlowKey, Flow>;

    /// Flows from the LAN that nobody has answered.
    fn unreplied(&mut self) -> &mut dyn SweptTable<FlowKey, Flow>;

    /// Flows from beyond an uplink that the LAN has not answered.
    fn invited(&mut self) -> &mut dyn SweptTable<FlowKey, Flow>;

    /// Both sides of every mapping, and what filtering by address permits.
    fn bindings(&mut self) -> &mut dyn SweptTable<FlowKey, Binding>;

    /// What LAN hosts take of the tables.
    fn hosts(&mut self) -> &mut dyn SweptTable<Ipv4, Host>;

    /// What the addresses of IPv6 hosts are hashed by.
    fn digest_key(&self) -> DigestKey;

    /// Flows of IPv6, an entry each, or, of answered ones whose ports are translated, both directions of
    /// each.
    fn pins(&mut self, table: PinTable) -> &mut dyn SweptTable<FlowKey, Pin>;
}

/// A table of flows of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinTable {
    /// Answered ones.
    Established,
    /// From the LAN, and nobody has answered.
    Unreplied,
    /// From beyond an uplink, and the LAN has not answered.
    Invited,
}

/// How many entries a pass has left in the tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Flows, whether answered or not, by uplink.
    pub flows: FlowsByUplink,
    /// Entries of established flows, two each.
    pub established: usize,
    /// Entries of flows from the LAN that nobody has answered.
    pub unreplied: usize,
    /// Entries of flows from beyond an uplink that the LAN has not answered.
    pub invited: usize,
    /// Sides of mappings, two each, and permitted senders.
    pub bindings: usize,
    /// LAN hosts that have mappings or unanswered flows, or keep to an uplink.
    pub hosts: usize,
    /// Entries of answered flows of IPv6: one each, or two where ports are translated.
    pub pins: usize,
    /// Flows of IPv6 from the LAN that nobody has answered.
    pub unreplied_pins: usize,
    /// Flows of IPv6 from beyond an uplink that the LAN has not answered.
    pub invited_pins: usize,
}

impl Census {
    /// How many flows are on an uplink, each counted once. What is left of those that have moved away counts for
    /// none.
    pub fn flows_on(&self, uplink: u8) -> usize {
        self.flows.0.get(usize::from(uplink)).copied().unwrap_or_default()
    }
}

/// How many flows each uplink has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowsByUplink([usize; MAX_UPLINKS]);

impl Default for FlowsByUplink {
    fn default() -> Self {
        Self([0; MAX_UPLINKS])
    }
}

impl FlowsByUplink {
    fn add(&mut self, uplink: u8) {
        if let Some(flows) = self.0.get_mut(usize::from(uplink)) {
            *flows += 1;
        }
    }

    fn subtract(&mut self, uplink: u8, number: usize) {
        if let Some(flows) = self.0.get_mut(usize::from(uplink)) {
            *flows = flows.saturating_sub(number);
        }
    }
}

/// Removes what has been idle for longer than it may at `now`, in
/// [`ticks`](pointsman_ebpf::abi::ticks), and sets what LAN hosts are counted to have. Calls `pause`
/// after each slice of the work, about a millisecond.
///
/// # Errors
/// Where the kernel refuses; what was removed is removed.
pub fn sweep<T: SweptTables>(
    tables: &mut T,
    now: u32,
    idle: &IdleTicks,
    pause: &mut dyn FnMut(),
) -> Result<Census, TableError> {
    let mut pass = Pass {
        now,
        idle,
        pause,
        in_use: InUse::default(),
        digest_key: tables.digest_key(),
        hosts: HashMap::default(),
        placed: HashMap::default(),
        unreplied: Vec::new(),
        flows: FlowsByUplink::default(),
    };
    let unreplied = pass.sweep_flows(Kind::Unreplied, tables.unreplied())?;
    let broken = pass.find_broken(tables.bindings())?;
    tables.unreplied().remove(&broken)?;
    let unreplied = unreplied - broken.len();
    let invited = pass.sweep_flows(Kind::Invited, tables.invited())?;
    let established = pass.sweep_flows(Kind::Established, tables.established())?;
    let unreplied_pins = pass.sweep_pins(Kind::Unreplied, tables.pins(PinTable::Unreplied))?;
    let broken = pass.find_broken(tables.bindings())?;
    tables.pins(PinTable::Unreplied).remove(&broken)?;
    let unreplied_pins = unreplied_pins - broken.len();
    let invited_pins = pass.sweep_pins(Kind::Invited, tables.pins(PinTable::Invited))?;
    let pins = pass.sweep_pins(Kind::Established, tables.pins(PinTable::Established))?;
    let bindings = pass.sweep_bindings(tables.bindings())?;
    let hosts = pass.count_hosts(tables.hosts())?;
    Ok(Census {
        flows: pass.flows,
        established,
        unreplied,
        invited,
        bindings,
        hosts,
        pins,
        unreplied_pins,
        invited_pins,
    })
}

/// What one pass goes by, and what it has found so far.
struct Pass<'a> {
    /// In ticks.
    now: u32,
    idle: &'a IdleTicks,
    pause: &'a mut dyn FnMut(),
    in_use: InUse,
    digest_key: DigestKey,
    /// What each LAN host has.
    hosts: HashMap<Ipv4, Host, RandomState>,
    /// By which uplinks each has flows that were used of late, a bit each.
    placed: HashMap<Ipv4, u64, RandomState>,
    /// The unanswered flows that stay, and the mappings that their answers come by.
    unreplied: Vec<(FlowKey, mapping::Mapping)>,
    /// Those that stay.
    flows: FlowsByUplink,
}

#[cfg(test)]
mod tests;
