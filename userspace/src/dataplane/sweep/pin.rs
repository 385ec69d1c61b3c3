//! Flows of IPv6 whose ports stay as they are: one entry is all there is of one.

use pointsman_ebpf::abi::{FlowKey, Mark, Pin};

use super::flow::{Judged, Kind};
use super::nat66::Entry66;
use super::{Pass, REMOVED_TOGETHER, SweptTable, TableError};

impl Pass<'_> {
    /// Removes the idle flows of a table of IPv6, and notes what the others need. Returns how many
    /// entries stay.
    pub(super) fn sweep_pins(
        &mut self,
        kind: Kind,
        table: &mut dyn SweptTable<FlowKey, Pin>,
    ) -> Result<usize, TableError> {
        let (mut kept, mut idle, mut entries66) = (0, Vec::new(), Vec::new());
        table.read(&mut |keys, pins| {
            for (key, pin) in keys.iter().zip(pins) {
                if Entry66::is_of_kind(pin) {
                    entries66.push(Entry66::new(self, key, pin));
                } else if self.pin_stays(key, pin) {
                    kept += 1;
                    self.flows.add(pin.uplink);
                } else {
                    idle.push(*key);
                }
            }
            (self.pause)();
        })?;
        kept += self.remove_pins(table, &idle)?;
        Ok(kept + self.judge(kind, table, entries66)?)
    }

    /// Removes the pins of these keys that are still idle. Returns how many stay.
    fn remove_pins(
        &mut self,
        table: &mut dyn SweptTable<FlowKey, Pin>,
        idle: &[FlowKey],
    ) -> Result<usize, TableError> {
        let mut kept = 0;
        for keys in idle.chunks(REMOVED_TOGETHER) {
            let mut gone = Vec::new();
            for key in keys {
                match table.get(key)? {
                    // Where the flow has gone over to an uplink that translates ports, its marks are
                    // to be read in another way: by the next pass.
                    Some(pin) if Entry66::is_of_kind(&pin) || self.pin_stays(key, &pin) => {
                        kept += 1;
                        self.flows.add(pin.uplink);
                    }
                    Some(_) => gone.push(*key),
                    None => {}
                }
            }
            table.remove(&gone)?;
            (self.pause)();
        }
        Ok(kept)
    }

    fn pin_stays(&self, key: &FlowKey, pin: &Pin) -> bool {
        let marks = [Mark(pin.out.mark), Mark(pin.into.mark)];
        let last_seen = marks.map(Mark::last_seen).into_iter().fold(pin.created, u32::max);
        let timer = self.idle.of_flow(key.protocol(), marks.map(Mark::seen));
        // The data plane may be a tick ahead by now.
        self.now.saturating_sub(last_seen) <= timer
    }
}
