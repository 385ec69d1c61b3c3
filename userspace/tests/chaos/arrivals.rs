//! What has come of a sequence of numbered packets.

use std::ops::Range;
use std::time::{Duration, Instant};

/// What has come of packets that are numbered from 0 on, in the order in which it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arrivals {
    /// By number.
    seen: Vec<bool>,
    distinct: u64,
    /// Packets whose number had come before.
    pub(crate) duplicates: u64,
    /// Packets that came after one with a higher number.
    pub(crate) reordered: u64,
    last: Option<Instant>,
    /// The longest time between two packets.
    pub(crate) longest_gap: Duration,
}

impl Arrivals {
    /// The packet of this number has come.
    pub(crate) fn take(&mut self, number: u64, now: Instant) {
        let place = number as usize;
        let overtaken = place + 1 < self.seen.len();
        if place >= self.seen.len() {
            self.seen.resize(place + 1, false);
        }
        if std::mem::replace(&mut self.seen[place], true) {
            self.duplicates += 1;
        } else {
            self.distinct += 1;
            self.reordered += u64::from(overtaken);
        }
        if let Some(last) = self.last.replace(now) {
            self.longest_gap = self.longest_gap.max(now.saturating_duration_since(last));
        }
    }

    /// How many packets have come, duplicates among them.
    pub(crate) fn count(&self) -> u64 {
        self.distinct + self.duplicates
    }

    /// How many of so many that were sent have not come.
    pub(crate) fn lost(&self, sent: u64) -> u64 {
        sent - self.distinct
    }

    /// Which of so many that were sent have not come.
    pub(crate) fn missing(&self, sent: u64) -> Vec<Range<u64>> {
        let mut missing: Vec<Range<u64>> = Vec::new();
        for number in 0..sent {
            if self.seen.get(number as usize).copied().unwrap_or_default() {
                continue;
            }
            match missing.last_mut() {
                Some(last) if last.end == number => last.end += 1,
                _ => missing.push(number..number + 1),
            }
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_twice_and_late_is_told_apart() {
        let start = Instant::now();
        let mut arrivals = Arrivals::default();
        for (number, millis) in [(0, 0), (3, 1), (1, 2), (3, 9), (6, 10)] {
            arrivals.take(number, start + Duration::from_millis(millis));
        }
        assert_eq!((arrivals.count(), arrivals.lost(9)), (5, 5));
        assert_eq!((arrivals.duplicates, arrivals.reordered), (1, 1));
        assert_eq!(arrivals.missing(9), [2..3, 4..6, 7..9]);
        assert_eq!(arrivals.longest_gap, Duration::from_millis(7));
    }

    #[test]
    fn nothing_is_missing_of_what_has_all_come() {
        let now = Instant::now();
        let mut arrivals = Arrivals::default();
        (0..100).for_each(|number| arrivals.take(number, now));
        assert_eq!((arrivals.lost(100), arrivals.missing(100)), (0, Vec::new()));
        assert_eq!((arrivals.duplicates, arrivals.reordered), (0, 0));
    }
}
