use pointsman_ebpf::abi::{Binding, Flow, FlowKey, Host, Ipv4};

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
    /// Key and value, in bytes.
    entry: usize,
}

impl Table {
    const fn new<K, V>(map: &'static str, key: &'static str, entries: u32) -> Self {
        Self { map, key, entries, entry: size_of::<K>() + size_of::<V>() }
    }

    /// The kernel's memory that it takes, full or empty, in bytes.
    pub fn memory(&self) -> u64 {
        let element = ELEMENT_HEADER + (self.entry as u64).next_multiple_of(8);
        let entries = u64::from(self.entries);
        entries * element + entries.next_power_of_two() * BUCKET
    }
}

/// The tables of a data plane of these sizes.
pub fn tables(sizes: &TableSizes) -> [Table; 6] {
    let TableSizes { flows, unreplied, invited, mappings, hosts, fragments } = *sizes;
    // A mapping has two sides.
    let sides = mappings.saturating_mul(2);
    [
        Table::new::<FlowKey, Flow>("FLOWS", "flows.max", flows),
        Table::new::<FlowKey, Flow>("UNREPLIED", "flows.unreplied", unreplied),
        Table::new::<FlowKey, Flow>("INVITED", "flows.invited", invited),
        Table::new::<FlowKey, Binding>("BINDINGS", "flows.mappings", sides),
        Table::new::<Ipv4, Host>("HOSTS", "flows.hosts", hosts),
        Table::new::<FlowKey, Flow>("FRAGMENTS", "flows.fragments", fragments),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_that_of_elements_and_buckets() {
        let sizes = TableSizes {
            flows: 262_144,
            unreplied: 65_536,
            invited: 16_384,
            mappings: 100_000,
            hosts: 4096,
            fragments: 1000,
        };
        let memory = tables(&sizes).map(|table| (table.map, table.entries, table.memory()));
        assert_eq!(
            memory,
            [
                ("FLOWS", 262_144, 262_144 * (48 + 16 + 64) + 262_144 * 16),
                ("UNREPLIED", 65_536, 65_536 * 128 + 65_536 * 16),
                ("INVITED", 16_384, 16_384 * 128 + 16_384 * 16),
                ("BINDINGS", 200_000, 200_000 * (48 + 16 + 40) + 262_144 * 16),
                // The key of four bytes stands in eight.
                ("HOSTS", 4096, 4096 * (48 + 24) + 4096 * 16),
                ("FRAGMENTS", 1000, 1000 * 128 + 1024 * 16),
            ]
        );
    }
}
