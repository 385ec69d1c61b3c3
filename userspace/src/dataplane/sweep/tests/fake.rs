use std::collections::BTreeMap;
use std::mem;

use super::*;

type Change<K, V> = Box<dyn FnOnce(&mut BTreeMap<K, V>)>;

/// A table in which the data plane does something at a moment of the sweep.
pub(super) struct FakeTable<K, V> {
    pub(super) entries: BTreeMap<K, V>,
    /// What happens once all has been read.
    pub(super) after_reading: Option<Change<K, V>>,
    /// What happens between the last look at an entry and its removal.
    pub(super) before_removal: Option<Change<K, V>>,
    /// The keys that were removed, in order.
    pub(super) removed: Vec<K>,
    /// The keys that were written.
    pub(super) written: Vec<K>,
    /// How many times every entry is read.
    pub(super) readings: usize,
}

impl<K, V> Default for FakeTable<K, V> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            after_reading: None,
            before_removal: None,
            removed: Vec::new(),
            written: Vec::new(),
            readings: 1,
        }
    }
}

impl<K: Copy + Ord, V: Copy> SweptTable<K, V> for FakeTable<K, V> {
    fn read(&mut self, each: &mut dyn FnMut(&[K], &[V])) -> Result<(), TableError> {
        let entries = self.entries.iter().flat_map(|entry| vec![entry; self.readings]);
        let (keys, values): (Vec<K>, Vec<V>) = entries.unzip();
        each(&keys, &values);
        if let Some(change) = self.after_reading.take() {
            change(&mut self.entries);
        }
        Ok(())
    }

    fn get(&self, key: &K) -> Result<Option<V>, TableError> {
        Ok(self.entries.get(key).copied())
    }

    fn remove(&mut self, keys: &[K]) -> Result<(), TableError> {
        if let Some(change) = self.before_removal.take() {
            change(&mut self.entries);
        }
        self.removed.extend(keys.iter().filter(|key| self.entries.remove(key).is_some()));
        Ok(())
    }

    fn write(&mut self, keys: &[K], values: &[V]) -> Result<(), TableError> {
        self.written.extend(keys);
        self.entries.extend(keys.iter().copied().zip(values.iter().copied()));
        Ok(())
    }
}

/// All tables.
#[derive(Default)]
pub(super) struct Fake {
    pub(super) established: FakeTable<FlowKey, Flow>,
    pub(super) unreplied: FakeTable<FlowKey, Flow>,
    pub(super) invited: FakeTable<FlowKey, Flow>,
    pub(super) bindings: FakeTable<FlowKey, Binding>,
    pub(super) hosts: FakeTable<Ipv4, Host>,
    pub(super) pins: FakeTable<FlowKey, Pin>,
    pub(super) unreplied_pins: FakeTable<FlowKey, Pin>,
    pub(super) invited_pins: FakeTable<FlowKey, Pin>,
}

impl Fake {
    /// With these established flows.
    pub(super) fn of_established(entries: impl IntoIterator<Item = (FlowKey, Flow)>) -> Self {
        let mut tables = Self::default();
        tables.established.entries.extend(entries);
        tables
    }

    /// With these flows that nobody has answered, whose mapping there is.
    pub(super) fn of_unreplied(entries: impl IntoIterator<Item = (FlowKey, Flow)>) -> Self {
        let mut tables = Self::default();
        tables.unreplied.entries.extend(entries);
        for (key, flow) in &tables.unreplied.entries {
            let remote = pointsman_ebpf::abi::mapping_remote(key.protocol(), key.destination());
            let sides = mapping_of(key.from(), remote, key.protocol(), flow.uplink, [0; 2]);
            tables.bindings.entries.extend(sides);
        }
        tables
    }

    /// With these flows that the LAN has not answered.
    pub(super) fn of_invited(entries: impl IntoIterator<Item = (FlowKey, Flow)>) -> Self {
        let mut tables = Self::default();
        tables.invited.entries.extend(entries);
        tables
    }

    /// With these mappings and permissions.
    pub(super) fn of_bindings(entries: impl IntoIterator<Item = (FlowKey, Binding)>) -> Self {
        let mut tables = Self::default();
        tables.bindings.entries.extend(entries);
        tables
    }

    /// A pass at [`NOW`].
    pub(super) fn sweep_amid_changes(&mut self) -> Census {
        sweep(self, NOW, &IDLE, &mut || ()).expect("the tables have no errors")
    }

    /// A pass at [`NOW`]. What it says to have left must be what there is.
    pub(super) fn sweep(&mut self) -> Census {
        let census = self.sweep_amid_changes();
        let left = Census {
            flows: census.flows,
            established: self.established.entries.len(),
            unreplied: self.unreplied.entries.len(),
            invited: self.invited.entries.len(),
            bindings: self.bindings.entries.len(),
            hosts: self.hosts.entries.len(),
            pins: self.pins.entries.len(),
            unreplied_pins: self.unreplied_pins.entries.len(),
            invited_pins: self.invited_pins.entries.len(),
        };
        assert_eq!(census, left);
        census
    }

    /// What each host is counted to have.
    pub(super) fn counts(&mut self) -> Vec<(Ipv4, u64, u64)> {
        let hosts = mem::take(&mut self.hosts.entries);
        hosts.into_iter().map(|(host, has)| (host, has.mappings, has.unreplied)).collect()
    }
}

impl SweptTables for Fake {
    fn established(&mut self) -> &mut dyn SweptTable<FlowKey, Flow> {
        &mut self.established
    }

    fn unreplied(&mut self) -> &mut dyn SweptTable<FlowKey, Flow> {
        &mut self.unreplied
    }

    fn invited(&mut self) -> &mut dyn SweptTable<FlowKey, Flow> {
        &mut self.invited
    }

    fn bindings(&mut self) -> &mut dyn SweptTable<FlowKey, Binding> {
        &mut self.bindings
    }

    fn hosts(&mut self) -> &mut dyn SweptTable<Ipv4, Host> {
        &mut self.hosts
    }

    fn digest_key(&self) -> DigestKey {
        DIGESTS
    }

    fn pins(&mut self, table: PinTable) -> &mut dyn SweptTable<FlowKey, Pin> {
        match table {
            PinTable::Established => &mut self.pins,
            PinTable::Unreplied => &mut self.unreplied_pins,
            PinTable::Invited => &mut self.invited_pins,
        }
    }
}
