//! When flows are given back by themselves: an uplink is back, and has stayed so for a while.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::dataplane::Terms;

/// How long after an uplink is back those that are metered give their flows back, where the group does not
/// say: longer than an uplink that flaps is up, and short against what a flow may cost.
const METERED_AFTER: Duration = Duration::from_secs(30);

/// Which uplinks flows come back from, a bit each by identifier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wishes {
    /// The uplinks that new flows go to before others: alive, in use, and meeting their service level.
    pub(super) fit: u64,
    /// Those that are paid for by what they carry.
    pub(super) metered: u64,
    /// How long an uplink has to be back before flows are given back to it; `None`: they are not.
    pub(super) after: Option<Duration>,
}

/// Waits for uplinks that are back to stay so.
#[derive(Clone, Debug, Default)]
pub(super) struct Failback {
    wishes: Option<Wishes>,
    /// Since when each is back that flows are yet to be given back to.
    back: BTreeMap<u8, Instant>,
}

impl Failback {
    /// Takes in how the uplinks are at `now`. What they are at first, they have been before.
    pub(super) fn observe(&mut self, wishes: Wishes, now: Instant) {
        let before = self.wishes.replace(wishes).map_or(wishes.fit, |before| before.fit);
        self.back.retain(|uplink, _| wishes.fit >> uplink & 1 == 1);
        for uplink in (0..64).filter(|uplink| (wishes.fit & !before) >> uplink & 1 == 1) {
            self.back.insert(uplink, now);
        }
        if wishes.after.is_none() {
            // To one that is metered itself, others are not given back so.
            self.back.retain(|uplink, _| wishes.metered != 0 && wishes.metered >> uplink & 1 == 0);
        }
    }

    /// When flows are to be given back.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let after = self.wishes?.after.unwrap_or(METERED_AFTER);
        self.back.values().min().map(|since| *since + after)
    }

    /// The flows that are to be given back at `now`, once.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Terms> {
        let wishes = self.wishes?;
        let after = wishes.after.unwrap_or(METERED_AFTER);
        let due: Vec<u8> = { self.back.iter() }
            .filter(|(_, since)| **since + after <= now)
            .map(|(uplink, _)| *uplink)
            .collect();
        self.back.retain(|uplink, _| !due.contains(uplink));
        let has_unmetered = due.iter().any(|uplink| wishes.metered >> uplink & 1 == 0);
        (!due.is_empty()).then_some(Terms {
            gently: if wishes.after.is_some() { u64::MAX } else { 0 },
            entirely: if has_unmetered { wishes.metered } else { 0 },
        })
    }
}

#[cfg(test)]
#[path = "tests/failback.rs"]
mod tests;
