//! Flows of IPv6: one entry is all there is of one.

use pointsman_ebpf::abi::{FlowKey, Mark, Pin};

use super::{Pass, REMOVED_TOGETHER, SweptTable, TableError};

impl Pass<'_> {
    /// Removes the idle flows of a table. Returns how many stay.
    pub(super) fn sweep_pins(
        &mut self,
        table: &mut dyn SweptTable<FlowKey, Pin>,
    ) -> Result<usize, TableError> {
        let (mut kept, mut idle) = (0, Vec::new());
        table.read(&mut |keys, pins| {
            for (key, pin) in keys.iter().zip(pins) {
                if self.pin_stays(key, pin) {
                    kept += 1;
                } else {
                    idle.push(*key);
                }
            }
            (self.pause)();
        })?;
        for keys in idle.chunks(REMOVED_TOGETHER) {
            let mut gone = Vec::new();
            for key in keys {
                match table.get(key)? {
                    Some(pin) if self.pin_stays(key, &pin) => kept += 1,
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
