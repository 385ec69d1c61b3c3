//! What only IPv6 has of the tables of the path on the host, written into the maps of the loaded
//! object, and compared with them.

use std::collections::BTreeMap;

use pointsman::dataplane::{PinTable, SweptTables as _};
use pointsman_ebpf::abi::{
    FlowKey, Ipv6, MAX_UPLINKS, Mark, Masquerade, Nat64, Pin, SitePrefix, Track, Uplink6,
};
use pointsman_ebpf::memory::MemoryTables;
use pointsman_ebpf::path::FlowTable;

use crate::kernel::Kernel;
use crate::tables::{Written, assert_same, read, replace};

/// The tables of pins, as the host and as the sweep call them.
const TABLES: [(FlowTable, PinTable); 3] = [
    (FlowTable::Established, PinTable::Established),
    (FlowTable::Unreplied, PinTable::Unreplied),
    (FlowTable::Invited, PinTable::Invited),
];

impl Kernel {
    /// Makes the maps hold what the tables hold.
    pub(crate) fn write6(&mut self, tables: &MemoryTables, written: &mut Written) {
        self.set::<[Uplink6; MAX_UPLINKS]>(".data.uplinks6", 0, tables.ipv6.uplinks);
        self.set::<[Nat64; 1]>(".data.nat64", 0, [tables.ipv6.nat64]);
        let slot = |(slot, address): (&u16, &Ipv6)| (u32::from(*slot), *address);
        let addresses = tables.ipv6.addresses.iter().map(slot).collect();
        self.update("ADDRESSES6", &written.addresses6, &addresses);
        written.addresses6 = addresses;
        self.write_prefixes(&tables.ipv6.prefixes);
        for (table, map) in TABLES {
            replace(self.tables.pins(map), &tables.ipv6.pins(table).into_iter().collect());
        }
    }

    fn write_prefixes(&mut self, prefixes: &BTreeMap<(Ipv6, u8), SitePrefix>) {
        let wanted =
            prefixes.iter().map(|((prefix, len), it)| (u32::from(*len), prefix.octets(), it));
        self.replace_prefixes("SITE_PREFIXES", wanted);
    }

    /// Asserts that the tables of pins hold what the host's hold, as [`Self::assert_holds`] does of
    /// flows.
    pub(crate) fn assert_pins(&mut self, tables: &MemoryTables, before: &Pins) {
        for (table, map) in TABLES {
            let host: BTreeMap<FlowKey, Pin> = tables.ipv6.pins(table).into_iter().collect();
            let mut kernel = read(self.tables.pins(map));
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
        let entries = |(table, _)| (table, tables.ipv6.pins(table).into_iter().collect());
        Self(TABLES.map(entries).into())
    }
}

/// The entries without the times that they were made and seen.
fn timeless(pins: &BTreeMap<FlowKey, Pin>) -> BTreeMap<FlowKey, Pin> {
    let track = |track: Track| Track { mark: u64::from(Mark(track.mark).seen()), ..track };
    let without = |pin: &Pin| {
        // Of what leaves with another port, it is an address.
        let is_address = pin.masquerade == Masquerade::Out as u8;
        let into = if is_address { pin.into } else { track(pin.into) };
        Pin { created: 0, out: track(pin.out), into, ..*pin }
    };
    pins.iter().map(|(key, pin)| (*key, without(pin))).collect()
}
