//! Flows and mappings on their way from the tables of a daemon before to others, of other sizes.

use aya::maps::{MapData, PerCpuArray};
use pointsman_ebpf::abi::{COUNTERS, Counter};

use super::error::{LoadError, TableError, innermost};
use super::memo::Memo;
use super::pins::{Pins, Tables};
use super::sweep::{PinTable, SweptTable, SweptTables};
use super::swept::SweptMaps;

/// The tables that are left, and those that take their place.
pub(super) struct CarryOver {
    old: SweptMaps,
    new: SweptMaps,
}

impl CarryOver {
    /// Of tables that are both kept there, and are both hashed as the daemon before has left word of.
    ///
    /// # Errors
    /// Where a table is missing, or cannot be mapped into memory.
    pub(super) fn new(pins: &Pins, memo: &Memo) -> Result<Self, LoadError> {
        let open = |tables| SweptMaps::kept(pins, tables, memo.hash_key, memo.digest_key);
        Ok(Self { old: open(Tables::Current)?, new: open(Tables::Next)? })
    }

    /// Carries over what the new tables do not have. What there is no room for is lost, and said.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub(super) fn run(&mut self) -> Result<(), TableError> {
        let Self { old, new } = self;
        let mut lost = copy(old.bindings(), new.bindings())?;
        copy(old.hosts(), new.hosts())?;
        lost += copy(old.established(), new.established())?;
        lost += copy(old.unreplied(), new.unreplied())?;
        lost += copy(old.invited(), new.invited())?;
        for table in [PinTable::Established, PinTable::Unreplied, PinTable::Invited] {
            lost += copy(old.pins(table), new.pins(table))?;
        }
        if lost > 0 {
            log::warn!("{lost} entries of flows are lost: [flows] has no room for them any more");
        }
        Ok(())
    }
}

/// How many entries found no room.
fn copy<K: Copy, V: Copy>(
    from: &mut dyn SweptTable<K, V>,
    to: &mut dyn SweptTable<K, V>,
) -> Result<usize, TableError> {
    let mut entries = Vec::new();
    from.read(&mut |keys, values| {
        entries.extend(keys.iter().copied().zip(values.iter().copied()));
    })?;
    let mut lost = 0;
    for (key, value) in entries {
        if to.get(&key)?.is_none()
            && let Err(error) = to.write(&[key], &[value])
        {
            log::debug!("{}", innermost(&error));
            lost += 1;
        }
    }
    Ok(lost)
}

/// Has the counters go on, of tables that no packet is counted in yet.
///
/// # Errors
/// Where the kernel refuses.
pub(super) fn carry_counters(
    pins: &Pins,
    new: &mut PerCpuArray<MapData, Counter>,
) -> Result<(), TableError> {
    const NAME: &str = "COUNTER";
    let old = pins.map(Tables::Current, NAME).and_then(PerCpuArray::<_, Counter>::try_from);
    let old = old.map_err(TableError::reading(NAME))?;
    for index in 0..COUNTERS.min(old.len()) {
        let values = old.get(&index, 0).map_err(TableError::reading(NAME))?;
        new.set(index, values, 0).map_err(TableError::writing(NAME))?;
    }
    Ok(())
}
