use core::cell::RefCell;
use core::fmt;
use std::collections::BTreeMap;

use crate::abi::{Counter, CounterId, Direction, MAX_UPLINKS};
use crate::verdict::{DropReason, PassReason, Verdict};

/// All counters that are not zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<CounterId, Counter>);

impl Counts {
    /// What one packet of `len` bytes with this verdict adds.
    pub fn of(verdict: Verdict, len: usize) -> Self {
        let mut counts = Self::default();
        counts.add(verdict, len);
        counts
    }

    /// Counts a packet of `len` bytes.
    pub fn add(&mut self, verdict: Verdict, len: usize) {
        let counter = self.0.entry(verdict.counter()).or_default();
        counter.packets += 1;
        counter.bytes += len as u64;
    }

    /// What was counted since `earlier`, an older copy of these counters.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let delta = self.0.iter().map(|(id, now)| {
            let then = earlier.get(*id);
            let counter =
                Counter { packets: now.packets - then.packets, bytes: now.bytes - then.bytes };
            (*id, counter)
        });
        Self(delta.filter(|(_, counter)| *counter != Counter::default()).collect())
    }

    /// One counter.
    pub fn get(&self, id: CounterId) -> Counter {
        self.0.get(&id).copied().unwrap_or_default()
    }

    /// The counters that are not zero.
    pub fn iter(&self) -> impl Iterator<Item = (CounterId, Counter)> {
        self.0.iter().map(|(id, counter)| (*id, *counter))
    }

    /// Packets of all counters.
    pub fn packets(&self) -> u64 {
        self.0.values().map(|counter| counter.packets).sum()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |kind: &str, name: &dyn fmt::Display, id: CounterId| match self.0.get(&id) {
            Some(Counter { packets, bytes }) => {
                writeln!(f, "  {kind} {name}: {packets} packets, {bytes} bytes")
            }
            None => Ok(()),
        };
        for reason in DropReason::ALL {
            line("dropped", &reason.name(), CounterId::dropped(*reason))?;
            line("answered", &reason.name(), CounterId::answered(*reason))?;
        }
        for reason in PassReason::ALL {
            line("passed", &reason.name(), CounterId::passed(*reason))?;
        }
        line("across", &"the LAN", CounterId::across_lan())?;
        line("heard", &"of BFD", CounterId::heard())?;
        for uplink in 0..MAX_UPLINKS as u8 {
            line("out of uplink", &uplink, CounterId::forwarded(uplink, Direction::Out))?;
            line("in by uplink", &uplink, CounterId::forwarded(uplink, Direction::In))?;
            line("hairpin of uplink", &uplink, CounterId::forwarded(uplink, Direction::Hairpin))?;
        }
        Ok(())
    }
}

/// Counters that are written through a shared reference, as the data plane does.
#[derive(Default)]
pub(super) struct Counting(RefCell<Counts>);

impl Counting {
    pub(super) fn add(&self, verdict: Verdict, len: usize) {
        self.0.borrow_mut().add(verdict, len);
    }

    pub(super) fn copy(&self) -> Counts {
        self.0.borrow().clone()
    }
}
