//! What only IPv6 has of the tables of the path on the host, written into the maps of the loaded
//! object, and compared with them.

use std::collections::BTreeMap;

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Map, MapData};
use aya::{Ebpf, EbpfLoader};
use pointsman::dataplane::SetTable;
use pointsman_ebpf::abi::{FlowKey, Ipv6, MAX_UPLINKS, Mark, Pin, SitePrefix, Track, Uplink6};
use pointsman_ebpf::memory::{DIGEST_KEY, MemoryTables, PIN_TABLES};
use pointsman_ebpf::path::FlowTable;
use pointsman_ebpf::table::{HashKey, PIN_WORDS, sets_for};

use crate::kernel::{ENTRIES, Kernel};
use crate::tables::{Written, assert_same, read, replace};

/// How many sets each table of pins has.
static SETS: u32 = sets_for(ENTRIES);

type PinTable = SetTable<Pin, PIN_WORDS>;

/// The tables of pins of a loaded object, in the order of [`PIN_TABLES`].
pub(crate) struct PinMaps([PinTable; PIN_TABLES.len()]);

impl PinMaps {
    /// Has the object loaded with room for [`ENTRIES`] pins of each kind, and with the key that digests
    /// have on the host.
    pub(crate) fn prepare(loader: &mut EbpfLoader<'_>) {
        loader.override_global("PIN_DIGEST_KEY", &DIGEST_KEY, true);
        for (map, count) in [
            ("PINS", "PINS_SET_COUNT"),
            ("UNREPLIED_PINS", "UNREPLIED_PINS_SET_COUNT"),
            ("INVITED_PINS", "INVITED_PINS_SET_COUNT"),
        ] {
            loader.map_max_entries(map, SETS).override_global(count, &SETS, true);
        }
        loader.map_max_entries("PINS_FILTER", SETS);
    }

    /// Takes the tables out of the object.
    pub(crate) fn take(object: &mut Ebpf, hash_key: HashKey) -> Self {
        let mut array = |name: &str| match object.take_map(name) {
            Some(Map::Array(map)) => map,
            _ => panic!("no array {name}"),
        };
        let filters = Some(array("PINS_FILTER"));
        let mut table =
            |name, filters| SetTable::new(name, hash_key, array(name), filters).unwrap();
        Self([table("PINS", filters), table("UNREPLIED_PINS", None), table("INVITED_PINS", None)])
    }
}

impl Kernel {
    /// Makes the maps hold what the tables hold.
    pub(crate) fn write6(&mut self, tables: &MemoryTables, written: &mut Written) {
        self.set::<[Uplink6; MAX_UPLINKS]>(".data.uplinks6", 0, tables.ipv6.uplinks);
        let slot = |(slot, address): (&u16, &Ipv6)| (u32::from(*slot), *address);
        let addresses = tables.ipv6.addresses.iter().map(slot).collect();
        self.update("ADDRESSES6", &written.addresses6, &addresses);
        written.addresses6 = addresses;
        self.write_prefixes(&tables.ipv6.prefixes);
        for (map, table) in self.pins.0.iter_mut().zip(PIN_TABLES) {
            replace(map, &tables.ipv6.pins(table).into_iter().collect());
        }
    }

    fn write_prefixes(&mut self, prefixes: &BTreeMap<(Ipv6, u8), SitePrefix>) {
        let map = self.object.map_mut("SITE_PREFIXES").unwrap();
        let mut map = LpmTrie::<&mut MapData, [u32; 4], SitePrefix>::try_from(map).unwrap();
        let before: Vec<_> = map.keys().collect::<Result<_, _>>().unwrap();
        for key in before {
            map.remove(&key).unwrap();
        }
        for ((prefix, len), known) in prefixes {
            let octets = prefix.octets();
            let data = std::array::from_fn(|word| {
                u32::from_ne_bytes(octets[word * 4..word * 4 + 4].try_into().unwrap())
            });
            map.insert(&Key::new(u32::from(*len), data), known, 0).unwrap();
        }
    }

    /// Asserts that the tables of pins hold what the host's hold, as [`Self::assert_holds`] does of
    /// flows.
    pub(crate) fn assert_pins(&mut self, tables: &MemoryTables, before: &Pins) {
        for (map, table) in self.pins.0.iter_mut().zip(PIN_TABLES) {
            let host: BTreeMap<FlowKey, Pin> = tables.ipv6.pins(table).into_iter().collect();
            let mut kernel = read(map);
            for (key, pin) in &mut kernel {
                let (Some(wanted), Some(before)) = (host.get(key), before.0[&table].get(key))
                else {
                    continue;
                };
                // Of a mark that the host's clock has not made due, the kernel's may be.
                if before.out == wanted.out {
                    pin.out.progress = wanted.out.progress;
                }
                if before.into == wanted.into {
                    pin.into.progress = wanted.into.progress;
                }
            }
            assert_same(&format!("{table:?} pins"), &timeless(&kernel), &timeless(&host));
        }
    }
}

/// What the tables of pins hold.
pub(crate) struct Pins(BTreeMap<FlowTable, BTreeMap<FlowKey, Pin>>);

impl Pins {
    pub(crate) fn of(tables: &MemoryTables) -> Self {
        let entries = |table| (table, tables.ipv6.pins(table).into_iter().collect());
        Self(PIN_TABLES.map(entries).into())
    }
}

/// The entries without the times that they were made and seen.
fn timeless(pins: &BTreeMap<FlowKey, Pin>) -> BTreeMap<FlowKey, Pin> {
    let track = |track: Track| Track { mark: u64::from(Mark(track.mark).seen()), ..track };
    let without =
        |pin: &Pin| Pin { created: 0, out: track(pin.out), into: track(pin.into), ..*pin };
    pins.iter().map(|(key, pin)| (*key, without(pin))).collect()
}
