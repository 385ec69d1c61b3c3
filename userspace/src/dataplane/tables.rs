use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;

use aya::EbpfLoader;
use pointsman_ebpf::abi::{DigestKey, Flow, FlowKey, Host, Ipv4};
use pointsman_ebpf::table::{BINDING_WORDS, FLOW_WORDS, Filter, HashKey, PIN_WORDS, Set, sets_for};

use crate::config::TableSizes;

/// What the kernel keeps of an element of a hash map beside key and value, in bytes (`struct
/// htab_elem`).
const ELEMENT_HEADER: u64 = 48;

/// A bucket of a hash map, in bytes (`struct bucket`).
const BUCKET: u64 = 16;

/// A table of the data plane whose size is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// The map's name in the object.
    pub map: &'static str,
    /// The key of the configuration that sizes it.
    pub key: &'static str,
    /// How many entries it has room for.
    pub entries: u32,
    kind: Kind,
}

/// What a table is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A hash map of the kernel, with key and value of so many bytes.
    Hash(usize),
    /// A [`pointsman_ebpf::table`].
    Sets {
        /// How many sets it has.
        sets: u32,
        /// The global that says so.
        count: &'static str,
        /// How many bytes a set is, with its filter.
        size: usize,
        /// The map of its filters, if it has any.
        filters: Option<&'static str>,
    },
}

impl Table {
    const fn hash<K, V>(map: &'static str, key: &'static str, entries: u32) -> Self {
        let kind = Kind::Hash(size_of::<K>() + size_of::<V>());
        Self { map, key, entries, kind }
    }

    const fn sets<const N: usize>(
        map: &'static str,
        count: &'static str,
        filters: Option<&'static str>,
        key: &'static str,
        entries: u32,
    ) -> Self {
        let filter = if filters.is_some() { size_of::<Filter>() } else { 0 };
        let size = size_of::<Set<N>>() + filter;
        let kind = Kind::Sets { sets: sets_for(entries), count, size, filters };
        Self { map, key, entries, kind }
    }

    /// The kernel's memory that it takes, full or empty, in bytes.
    pub fn memory(&self) -> u64 {
        let entries = u64::from(self.entries);
        match self.kind {
            Kind::Hash(entry) => {
                let element = ELEMENT_HEADER + (entry as u64).next_multiple_of(8);
                entries * element + entries.next_power_of_two() * BUCKET
            }
            Kind::Sets { sets, size, .. } => u64::from(sets) * size as u64,
        }
    }
}

/// How many tables there are.
const TABLES: usize = 9;

/// The tables of a data plane of these sizes.
pub fn tables(sizes: &TableSizes) -> [Table; TABLES] {
    let TableSizes { flows, unreplied, invited, mappings, hosts, fragments, .. } = *sizes;
    let TableSizes { pins, unreplied_pins, invited_pins, .. } = *sizes;
    // A mapping has two sides.
    let sides = mappings.saturating_mul(2);
    let flow_sets = Table::sets::<FLOW_WORDS>;
    let binding_sets = Table::sets::<BINDING_WORDS>;
    let pin_sets = Table::sets::<PIN_WORDS>;
    let filters = Some("BINDINGS_FILTER");
    [
        flow_sets("FLOWS", "FLOWS_SET_COUNT", Some("FLOWS_FILTER"), "flows.max", flows),
        flow_sets("UNREPLIED", "UNREPLIED_SET_COUNT", None, "flows.unreplied", unreplied),
        flow_sets("INVITED", "INVITED_SET_COUNT", None, "flows.invited", invited),
        binding_sets("BINDINGS", "BINDINGS_SET_COUNT", filters, "flows.mappings", sides),
        Table::hash::<Ipv4, Host>("HOSTS", "flows.hosts", hosts),
        Table::hash::<FlowKey, Flow>("FRAGMENTS", "flows.fragments", fragments),
        pin_sets("PINS", "PINS_SET_COUNT", Some("PINS_FILTER"), "flows.ipv6", pins),
        pin_sets(
            "UNREPLIED_PINS",
            "UNREPLIED_PINS_SET_COUNT",
            None,
            "flows.unreplied, IPv6",
            unreplied_pins,
        ),
        pin_sets(
            "INVITED_PINS",
            "INVITED_PINS_SET_COUNT",
            None,
            "flows.invited, IPv6",
            invited_pins,
        ),
    ]
}

/// What the object is loaded with.
pub struct Layout {
    tables: [Table; TABLES],
    /// What the tables are hashed by.
    pub hash_key: HashKey,
    /// What the addresses in the keys of IPv6 flows are hashed by.
    pub digest_key: DigestKey,
}

impl Layout {
    /// Tables of these sizes, hashed by a key that is drawn at random.
    pub fn new(sizes: &TableSizes) -> Self {
        // The hasher's keys are drawn at random, and are other ones each time.
        let random = |number: usize| RandomState::new().hash_one(number);
        Self::with_keys(sizes, std::array::from_fn(random), std::array::from_fn(random))
    }

    /// Tables of these sizes that are hashed by these keys.
    pub(super) fn with_keys(sizes: &TableSizes, hash_key: HashKey, digest_key: DigestKey) -> Self {
        Self { tables: tables(sizes), hash_key, digest_key }
    }

    /// Makes a loader load the object so.
    pub fn apply<'a>(&'a self, loader: &mut EbpfLoader<'a>) {
        loader.override_global("TABLE_HASH_KEY", &self.hash_key, true);
        loader.override_global("PIN_DIGEST_KEY", &self.digest_key, true);
        for table in &self.tables {
            match &table.kind {
                Kind::Hash(_) => {
                    loader.map_max_entries(table.map, table.entries);
                }
                Kind::Sets { sets, count, filters, .. } => {
                    loader.map_max_entries(table.map, *sets).override_global(count, sets, true);
                    if let Some(filters) = filters {
                        loader.map_max_entries(filters, *sets);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_that_of_elements_buckets_and_sets() {
        let sizes = TableSizes {
            flows: 262_144,
            unreplied: 65_536,
            invited: 16_384,
            mappings: 100_000,
            hosts: 4096,
            fragments: 1000,
            pins: 100_000,
            unreplied_pins: 4096,
            invited_pins: 1024,
        };
        let memory = tables(&sizes).map(|table| (table.map, table.entries, table.memory()));
        assert_eq!(
            memory,
            [
                // Sets of seven, a quarter as many as entries.
                ("FLOWS", 262_144, 65_536 * (128 + 7 * 64 + 8)),
                ("UNREPLIED", 65_536, 16_384 * (128 + 7 * 64)),
                ("INVITED", 16_384, 4096 * (128 + 7 * 64)),
                ("BINDINGS", 200_000, 50_000 * (448 + 8)),
                // The key of four bytes stands in eight.
                ("HOSTS", 4096, 4096 * (48 + 32) + 4096 * 16),
                ("FRAGMENTS", 1000, 1000 * 128 + 1024 * 16),
                // A set is whole cache lines.
                ("PINS", 100_000, 25_000 * (832 + 8)),
                ("UNREPLIED_PINS", 4096, 1024 * 832),
                ("INVITED_PINS", 1024, 256 * 832),
            ]
        );
    }
}
