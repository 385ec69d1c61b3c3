//! What IPv6 is looked up in besides.

use std::collections::BTreeMap;
use std::vec::Vec;

use super::MemoryTables;
use super::entries::{Entries, WhenFull};
use crate::abi::{
    DigestKey, FlowKey, Ipv6, LanSide, MAX_UPLINKS, Nat64, Pin, SharedU64, SitePrefix, Uplink6,
};
use crate::path::{FlowTable, InsertError, NextHop, Tables6};

/// What digests of addresses are keyed by.
pub const DIGEST_KEY: DigestKey = [
    0x243f_6a88_85a3_08d3,
    0x1319_8a2e_0370_7344,
    0xa409_3822_299f_31d0,
    0x082e_fa98_ec4e_6c89,
    0x4528_21e6_38d0_1377,
    0xbe54_66cf_34e9_0c6c,
    0xc0ac_29b7_c97c_50dd,
    0x3f84_d5b5_b547_0917,
    0x9216_d5d9_8979_fb1b,
    0xd131_0ba6_98df_b5ac,
    0x2ffd_72db_d01a_dfb7,
    0xb8e1_afed_6a26_7e96,
];

/// Every table of pinned flows.
pub const PIN_TABLES: [FlowTable; 3] =
    [FlowTable::Established, FlowTable::Unreplied, FlowTable::Invited];

/// The part of [`MemoryTables`] that only IPv6 has. What the daemon writes in operation is a public
/// field, as there.
pub struct Ipv6Tables {
    /// Uplinks by identifier. One that was not written has generation zero.
    pub uplinks: [Uplink6; MAX_UPLINKS],
    /// The prefix of NAT64.
    pub nat64: Nat64,
    /// The gateway's own addresses, by an interface's index in the device map.
    pub addresses: BTreeMap<u16, Ipv6>,
    /// Prefixes: an address and how many of its bits count.
    pub prefixes: BTreeMap<(Ipv6, u8), SitePrefix>,
    /// How LAN hosts are reached; none: nobody knows their MAC.
    pub neighbours: BTreeMap<Ipv6, Option<LanSide>>,
    pins: [Entries<FlowKey, Pin<SharedU64>>; PIN_TABLES.len()],
}

impl Ipv6Tables {
    pub(super) fn new() -> Self {
        Self {
            uplinks: [Uplink6::default(); MAX_UPLINKS],
            nat64: Nat64::default(),
            addresses: BTreeMap::new(),
            prefixes: BTreeMap::new(),
            neighbours: BTreeMap::new(),
            pins: PIN_TABLES.map(|table| {
                Entries::new(match table {
                    FlowTable::Established => WhenFull::Refuses,
                    _ => WhenFull::Evicts,
                })
            }),
        }
    }

    fn table(&self, table: FlowTable) -> Option<&Entries<FlowKey, Pin<SharedU64>>> {
        self.pins.get(PIN_TABLES.iter().position(|known| *known == table)?)
    }

    /// How many entries a table of pinned flows may have. Those beyond that are kept.
    pub fn set_pin_capacity(&self, table: FlowTable, entries: usize) {
        if let Some(table) = self.table(table) {
            table.set_capacity(entries);
        }
    }

    /// A copy of every entry of a table of pinned flows, in order of the keys.
    pub fn pins(&self, table: FlowTable) -> Vec<(FlowKey, Pin)> {
        self.table(table).map_or_else(Vec::new, Entries::copies)
    }

    /// Removes an entry, as the daemon's sweep does.
    pub fn remove_pin(&self, table: FlowTable, key: &FlowKey) {
        if let Some(table) = self.table(table) {
            table.remove(key);
        }
    }
}

impl Tables6 for MemoryTables {
    fn digest_key(&self) -> &DigestKey {
        &DIGEST_KEY
    }

    fn uplink6(&self, uplink: u8) -> Option<&Uplink6> {
        self.ipv6.uplinks.get(usize::from(uplink))
    }

    fn nat64(&self) -> &Nat64 {
        &self.ipv6.nat64
    }

    fn address6(&self, egress: u16) -> Option<Ipv6> {
        self.ipv6.addresses.get(&egress).copied()
    }

    fn lan_next_hop(&self, address: &Ipv6) -> NextHop {
        match self.ipv6.neighbours.get(address) {
            Some(Some(lan)) => NextHop::Lan(*lan),
            Some(None) => NextHop::Unknown,
            None => NextHop::Nowhere,
        }
    }

    fn pin(&self, table: FlowTable, key: &FlowKey) -> Option<&Pin<SharedU64>> {
        self.ipv6.table(table)?.get(key)
    }

    fn replace_pin(&self, table: FlowTable, key: &FlowKey, pin: &Pin) -> Result<(), InsertError> {
        self.ipv6.table(table).ok_or(InsertError::Full)?.replace(key, pin)
    }

    fn retract_pin(&self, table: FlowTable, key: &FlowKey) {
        self.ipv6.remove_pin(table, key);
    }
}
