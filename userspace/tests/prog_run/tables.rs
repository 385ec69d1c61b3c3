//! The tables of the path on the host, written into the maps of the loaded object, and compared with
//! them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use aya::Pod;
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{HashMap, MapData, PerCpuArray, PerCpuValues};
use pointsman::dataplane::{SweptTable, SweptTables as _};
use pointsman_ebpf::abi::{
    AddressOwner, BUCKETS_PER_GROUP, Binding, Bucket, Flow, FlowKey, Forward, Group, Host, Ipv4,
    Ipv6, L4Port, LanNetwork, LocalAddress, LocalFilter, Mark, PORT_SLOTS, Placement, Port,
    Settings, TokenBucket, UPLINK_SIDES, Uplink, Vlan,
};
use pointsman_ebpf::memory::site::lan;
use pointsman_ebpf::memory::{FLOW_TABLES, MemoryTables};
use pointsman_ebpf::path::FlowTable;
use pointsman_ebpf::wire::Tags;

use crate::hosts::HOSTS;
use crate::ipv6::Pins;
use crate::kernel::{Kernel, LOOPBACK};

/// What was written into the large arrays last, so that only what has changed is written again. They
/// start as zeros.
#[derive(Default)]
pub(crate) struct Written {
    buckets: Vec<Bucket>,
    forwards: Vec<Forward>,
    own_ports: BTreeMap<u32, u64>,
    pool: BTreeMap<u32, Ipv4>,
    pub(crate) addresses6: BTreeMap<u32, Ipv6>,
    /// The uplinks that have a monitor. The packet changes it.
    pub(crate) monitored: BTreeSet<u32>,
    /// The places of handshakes that are timed. The packet may take another.
    pub(crate) attempts: BTreeSet<u32>,
}

impl Kernel {
    /// Makes the maps hold what the tables hold. A packet that runs next comes in by the interface.
    pub(crate) fn write(&mut self, tables: &MemoryTables, ifindex: u32, written: &mut Written) {
        self.set_ingress(tables, ifindex);
        self.write_liveness(tables, written);
        self.write_settings(tables);
        self.set::<Group>("GROUPS", 0, tables.group.unwrap_or_default());
        self.set::<[Uplink; UPLINK_SIDES]>(".data.uplinks", 0, tables.uplinks);
        self.write_large(tables, written);
        self.write_lan(&tables.lan_networks);
        self.write6(tables, written);
        self.write_hashes(tables);
        let full = PerCpuValues::try_from(vec![TokenBucket::default(); cpus()]).unwrap();
        let tokens = self.object.map_mut("TOKENS").unwrap();
        let mut tokens = PerCpuArray::<&mut MapData, TokenBucket>::try_from(tokens).unwrap();
        tokens.set(0, full, 0).unwrap();
    }

    /// The kernel's view of the LAN counts only where the host has one.
    fn write_settings(&mut self, tables: &MemoryTables) {
        let mut settings = tables.settings.unwrap_or_default();
        if !tables.ipv6.neighbours.is_empty() {
            settings.lan_interface = HOSTS.interface;
        }
        self.set::<Settings>("SETTINGS", 0, settings);
    }

    fn write_large(&mut self, tables: &MemoryTables, written: &mut Written) {
        let buckets: Vec<Bucket> = (0..BUCKETS_PER_GROUP as u32).map(&tables.bucket).collect();
        for (index, bucket) in buckets.iter().enumerate() {
            if written.buckets.get(index) != Some(bucket) {
                self.set("BUCKETS", index as u32, *bucket);
            }
        }
        let count = tables.forwards.len().max(written.forwards.len());
        for index in 0..count {
            let forward = tables.forwards.get(index).copied().unwrap_or_default();
            if written.forwards.get(index) != Some(&forward) {
                self.set("FORWARDS", index as u32, forward);
            }
        }
        self.update("OWN_PORTS", &written.own_ports, &tables.own_ports);
        self.update("POOL", &written.pool, &tables.pool);
        *written = Written {
            buckets,
            forwards: tables.forwards.clone(),
            own_ports: tables.own_ports.clone(),
            pool: tables.pool.clone(),
            ..std::mem::take(written)
        };
    }

    /// Makes an array that holds the elements `before`, and zeros, hold those of `now`.
    pub(crate) fn update<T: Pod + Default + PartialEq>(
        &mut self,
        map: &str,
        before: &BTreeMap<u32, T>,
        now: &BTreeMap<u32, T>,
    ) {
        for index in before.keys().filter(|index| !now.contains_key(index)) {
            self.set(map, *index, T::default());
        }
        for (index, value) in now {
            if before.get(index) != Some(value) {
                self.set(map, *index, *value);
            }
        }
    }

    /// Lets packets come in by the interface: the loopback interface takes its part. That of the LAN is
    /// there too, as the way to its hosts.
    pub(crate) fn set_ingress(&mut self, tables: &MemoryTables, ifindex: u32) {
        let mut ports = [Port::default(); PORT_SLOTS];
        let ingress = tables.ports.values().filter(|port| port.ifindex == ifindex);
        let hosts = tables.ports.values().filter(|port| port.ifindex == lan::IFINDEX);
        for port in ingress
            .map(|port| Port { ifindex: LOOPBACK, ..*port })
            .chain(hosts.map(|port| Port { ifindex: HOSTS.interface, vlan: Vlan::NONE, ..*port }))
        {
            let free = port.key().slots().find(|slot| ports[*slot] == Port::default());
            ports[free.expect("a slot is free")] = port;
        }
        self.set(".data.ports", 0, ports);
        let mut tags = [Tags::NONE; PORT_SLOTS];
        for (egress, vlan) in &tables.vlans {
            tags[usize::from(*egress)] = Tags::of(*vlan);
        }
        self.set(".data.vlans", 0, tags);
    }

    fn write_lan(&mut self, networks: &BTreeMap<(Ipv4, u8), LanNetwork>) {
        let wanted = networks.iter().map(|((prefix, len), it)| (u32::from(*len), *prefix, it));
        self.replace_prefixes("LAN_NETWORKS", wanted);
    }

    /// Makes a map of prefixes hold these and no others: each a length and an address.
    pub(crate) fn replace_prefixes<'v, K: Pod, V: Pod>(
        &mut self,
        map: &str,
        wanted: impl Iterator<Item = (u32, K, &'v V)>,
    ) {
        let map = self.object.map_mut(map).unwrap();
        let mut map = LpmTrie::<&mut MapData, K, V>::try_from(map).unwrap();
        let before: Vec<_> = map.keys().collect::<Result<_, _>>().unwrap();
        for key in before {
            map.remove(&key).unwrap();
        }
        for (len, address, value) in wanted {
            map.insert(&Key::new(len, address), value, 0).unwrap();
        }
    }

    fn write_hashes(&mut self, tables: &MemoryTables) {
        self.write_local(&tables.local);
        let [flow_fillers, binding_fillers] = self.fillers;
        for table in FLOW_TABLES {
            let mut wanted: BTreeMap<FlowKey, Flow> = tables.flows(table).into_iter().collect();
            if table == FlowTable::Established {
                wanted.extend(fillers(flow_fillers));
            }
            match self.swept(table) {
                Some(swept) => replace(swept, &wanted),
                None => self.replace(map_of(table), &wanted),
            }
        }
        let mut wanted: BTreeMap<FlowKey, Binding> = tables.bindings().into_iter().collect();
        wanted.extend(fillers(binding_fillers));
        replace(self.tables.bindings(), &wanted);
        replace(self.tables.hosts(), &tables.hosts().into_iter().collect());
    }

    fn write_local(&mut self, local: &BTreeMap<LocalAddress, AddressOwner>) {
        self.replace("LOCAL", local);
        for (index, word) in (0..).zip(LocalFilter::of(local.keys()).words) {
            self.set("LOCAL_FILTER", index, word);
        }
    }

    /// A table of flows, if it is no hash map of the kernel.
    fn swept(&mut self, table: FlowTable) -> Option<&mut dyn SweptTable<FlowKey, Flow>> {
        match table {
            FlowTable::Established => Some(self.tables.established()),
            FlowTable::Unreplied => Some(self.tables.unreplied()),
            FlowTable::Invited => Some(self.tables.invited()),
            FlowTable::Fragments => None,
        }
    }

    /// Makes a hash map hold these entries and no others.
    fn replace<K: Pod + Ord, V: Pod + PartialEq>(&mut self, map: &str, wanted: &BTreeMap<K, V>) {
        let before = self.entries::<K, V>(map);
        let map = self.object.map_mut(map).unwrap();
        let mut map = HashMap::<&mut MapData, K, V>::try_from(map).unwrap();
        for key in before.keys().filter(|key| !wanted.contains_key(key)) {
            map.remove(key).unwrap();
        }
        for (key, value) in wanted {
            if before.get(key) != Some(value) {
                map.insert(key, value, 0).unwrap();
            }
        }
    }

    /// All entries of a hash map.
    fn entries<K: Pod + Ord, V: Pod>(&self, map: &str) -> BTreeMap<K, V> {
        let map = self.object.map(map).unwrap();
        let map = HashMap::<&MapData, K, V>::try_from(map).unwrap();
        map.iter().collect::<Result<_, _>>().unwrap()
    }

    /// All entries of a table of flows, but those that only fill it.
    fn flows(&mut self, table: FlowTable) -> BTreeMap<FlowKey, Flow> {
        match self.swept(table) {
            Some(swept) => without_fillers(read(swept)),
            None => self.entries(map_of(table)),
        }
    }

    /// Asserts that the maps hold what the tables hold, but for times, which the kernel takes from
    /// its own clock, and for what is written only where some time has passed: `before` is what the
    /// tables of flows held before the packet.
    pub(crate) fn assert_holds(&mut self, tables: &MemoryTables, before: &Flows) {
        for table in FLOW_TABLES {
            let host: BTreeMap<FlowKey, Flow> = tables.flows(table).into_iter().collect();
            let mut kernel = self.flows(table);
            for (key, flow) in &mut kernel {
                let Some(wanted) = host.get(key) else { continue };
                let unchanged = before.0[&table].get(key) == Some(wanted);
                // Of a mark that the host's clock has not made due, the kernel's may be.
                if unchanged && table != FlowTable::Fragments {
                    flow.progress = wanted.progress;
                }
            }
            assert_same(map_of(table), &timeless(&kernel), &timeless(&host));
        }
        let used = |bindings: BTreeMap<FlowKey, Binding>| -> BTreeMap<FlowKey, Binding> {
            bindings
                .into_iter()
                .map(|(key, binding)| (key, Binding { used: 0, ..binding }))
                .collect()
        };
        let host = used(tables.bindings().into_iter().collect());
        let kernel = without_fillers(read(self.tables.bindings()));
        assert_same("BINDINGS", &used(kernel), &host);
        let placed = |hosts: BTreeMap<Ipv4, Host>| -> BTreeMap<Ipv4, Host> {
            let timeless = |placement: u64| {
                Placement(placement).uplink().map_or(0, |by| Placement::new(by, 0).0)
            };
            hosts
                .into_iter()
                .map(|(key, host)| (key, Host { placement: timeless(host.placement), ..host }))
                .collect()
        };
        let host = placed(tables.hosts().into_iter().collect());
        assert_same("HOSTS", &placed(read(self.tables.hosts())), &host);
        self.assert_pins(tables, &before.1);
    }
}

/// All entries of a table, each of which is there once.
pub(crate) fn read<K: Copy + Ord + Debug, V: Copy>(
    table: &mut dyn SweptTable<K, V>,
) -> BTreeMap<K, V> {
    let mut entries = BTreeMap::new();
    let mut each = |keys: &[K], values: &[V]| {
        for (key, value) in keys.iter().zip(values) {
            assert!(entries.insert(*key, *value).is_none(), "{key:?} is there twice");
        }
    };
    table.read(&mut each).unwrap();
    entries
}

/// Makes a table hold these entries and no others.
pub(crate) fn replace<K: Copy + Ord + Debug, V: Copy + PartialEq>(
    table: &mut dyn SweptTable<K, V>,
    wanted: &BTreeMap<K, V>,
) {
    let before = read(table);
    let gone: Vec<K> = before.keys().filter(|key| !wanted.contains_key(key)).copied().collect();
    table.remove(&gone).unwrap();
    let changed = wanted.iter().filter(|(key, value)| before.get(key) != Some(value));
    let (keys, values): (Vec<K>, Vec<V>) = changed.map(|(key, value)| (*key, *value)).unzip();
    table.write(&keys, &values).unwrap();
}

/// Where entries come in that only fill a table: no interface of any case.
const FILLER_REALM: u8 = 0xff;

fn fillers<V: Default>(count: u32) -> impl Iterator<Item = (FlowKey, V)> {
    let end = |number: u32| (Ipv4::new(number.to_be_bytes()), L4Port::default());
    (0..count).map(move |number| {
        let key = FlowKey::new(end(number), end(number), 1, FILLER_REALM);
        (key, V::default())
    })
}

fn without_fillers<V>(mut entries: BTreeMap<FlowKey, V>) -> BTreeMap<FlowKey, V> {
    entries.retain(|key, _| key.realm() != FILLER_REALM);
    entries
}

/// What the tables of flows and pins hold.
pub(crate) struct Flows(BTreeMap<FlowTable, BTreeMap<FlowKey, Flow>>, Pins);

impl Flows {
    pub(crate) fn of(tables: &MemoryTables) -> Self {
        let entries = |table| (table, tables.flows(table).into_iter().collect());
        Self(FLOW_TABLES.map(entries).into(), Pins::of(tables))
    }
}

/// The entries without the times that they were made and seen.
fn timeless(flows: &BTreeMap<FlowKey, Flow>) -> BTreeMap<FlowKey, Flow> {
    let without =
        |flow: &Flow| Flow { mark: u64::from(Mark(flow.mark).seen()), created: 0, ..*flow };
    flows.iter().map(|(key, flow)| (*key, without(flow))).collect()
}

pub(crate) fn assert_same<K: Ord + Debug, V: PartialEq + Debug>(
    map: &str,
    kernel: &BTreeMap<K, V>,
    host: &BTreeMap<K, V>,
) {
    assert!(kernel == host, "{map}\n in the kernel {kernel:#?}\n on the host {host:#?}");
}

fn map_of(table: FlowTable) -> &'static str {
    match table {
        FlowTable::Established => "FLOWS",
        FlowTable::Unreplied => "UNREPLIED",
        FlowTable::Invited => "INVITED",
        FlowTable::Fragments => "FRAGMENTS",
    }
}

fn cpus() -> usize {
    aya::util::nr_cpus().unwrap()
}
