//! Until when uplinks are alive, and what is known of their BFD sessions: written into the maps of the loaded
//! object, and compared with what a packet makes of it on the host.

use std::collections::BTreeSet;

use aya::Pod;
use aya::maps::{Array, MapData};
use pointsman_ebpf::abi::{MAX_UPLINKS, Monitor, Switch};
use pointsman_ebpf::memory::{Liveness, MemoryTables};

use crate::kernel::Kernel;
use crate::tables::Written;

impl Kernel {
    /// Makes the maps hold what the tables hold.
    pub(crate) fn write_liveness(&mut self, tables: &MemoryTables, written: &mut Written) {
        self.set::<Switch>("SWITCH", 0, tables.switch());
        let monitors = (0..).zip(tables.monitors.iter().map(Monitor::copy));
        let monitors: Vec<(u32, Monitor)> = monitors.collect();
        for (uplink, monitor) in &monitors {
            let is_there = *monitor != Monitor::default();
            if is_there || written.monitored.contains(uplink) {
                self.set::<Monitor>("MONITORS", *uplink, *monitor);
            }
        }
        let is_there =
            |(uplink, monitor): (u32, Monitor)| (monitor != Monitor::default()).then_some(uplink);
        written.monitored = monitors.into_iter().filter_map(is_there).collect::<BTreeSet<u32>>();
    }

    /// Asserts that the packet has put off the deadlines that it has on the host, by as much, and that nothing
    /// else is known of the sessions now. The clocks differ, so no time is compared.
    pub(crate) fn assert_hears(&self, tables: &MemoryTables, before: &Liveness) {
        let monitors = (0..MAX_UPLINKS as u32).map(|uplink| self.get("MONITORS", uplink));
        let kernel = Liveness { switch: self.get("SWITCH", 0), monitors: monitors.collect() };
        let host = Liveness::of(tables);
        let put_off = [&kernel, &host].map(|liveness| liveness.put_off_since(before));
        assert_eq!(put_off[0], put_off[1], "in the kernel, and on the host\n{tables}");
        assert_eq!(kernel.timeless(), host.timeless(), "in the kernel, and on the host\n{tables}");
    }

    /// An element of an array.
    fn get<T: Pod>(&self, map: &str, index: u32) -> T {
        let map = self.object.map(map).unwrap();
        Array::<&MapData, T>::try_from(map).unwrap().get(&index, 0).unwrap()
    }
}
