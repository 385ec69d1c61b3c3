use std::collections::BTreeMap;
use std::vec::Vec;

use super::MemoryTables;
use crate::abi::{Monitor, Switch};

/// The uplinks whose deadlines a packet has put off, and how long after it they are now, in nanoseconds.
pub type PutOff = BTreeMap<u8, u64>;

/// Until when uplinks are alive, and what is known of their BFD sessions, at one time.
#[derive(Clone, Debug)]
pub struct Liveness {
    /// The switch.
    pub switch: Switch,
    /// The monitors, by uplink.
    pub monitors: Vec<Monitor>,
}

impl Liveness {
    /// As it is now.
    pub fn of(tables: &MemoryTables) -> Self {
        let monitors = tables.monitors.iter().map(Monitor::copy).collect();
        Self { switch: tables.switch(), monitors }
    }

    /// Whose deadlines are others than they were `before`, or who was heard. By how long is counted from when that
    /// was, so that it is the same by whichever clock.
    pub fn put_off_since(&self, before: &Self) -> PutOff {
        let uplinks = (0..).zip(self.monitors.iter().zip(&before.monitors));
        let put_off = uplinks.filter_map(|(uplink, (monitor, earlier))| {
            let deadline = self.switch.deadline(uplink)?;
            let is_same = before.switch.deadline(uplink) == Some(deadline);
            let is_heard = monitor.heard != earlier.heard;
            (is_heard || !is_same).then(|| (uplink, deadline.wrapping_sub(monitor.heard)))
        });
        put_off.collect()
    }

    /// The monitors without the times that somebody was heard.
    pub fn timeless(&self) -> Vec<Monitor> {
        self.monitors.iter().map(|monitor| Monitor { heard: 0, ..*monitor }).collect()
    }
}
