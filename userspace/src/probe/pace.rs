use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::sleep_until;

use super::{Path, Probe};

/// How much more often an uplink is probed that is suspected to be dead.
const SHARPENED: u32 = 4;

/// The shortest interval that is made of a longer one by that.
const SHORTEST: Duration = Duration::from_millis(50);

/// How many times a probe may be under way at once, as the configuration has it for the interval that it gives.
const UNDER_WAY: u32 = 10;

/// By how much one may be late without those after it being late too.
const PUNCTUAL: Duration = Duration::from_millis(5);

/// When the next probe is due.
pub(super) struct Pace {
    interval: Duration,
    /// From one to the next of an uplink that is suspect.
    sharpened: Duration,
    /// When the last one was due.
    last: Option<Instant>,
    /// When the last one was that was no extra one.
    regular: Option<Instant>,
}

impl Pace {
    /// The first one is due at once.
    pub(super) fn new(probe: &Probe) -> Self {
        let interval = probe.interval.max(Duration::from_millis(1));
        let sharpened = (interval / SHARPENED).max(SHORTEST).max(probe.timeout / UNDER_WAY);
        Self { interval, sharpened: sharpened.min(interval), last: None, regular: None }
    }

    /// Waits until the next one is due: sooner where the uplink becomes suspect meanwhile. Those that a stall has
    /// prevented are not made up for. What is not waited for to its end is waited for the next time. Returns whether
    /// it is an extra one.
    pub(super) async fn due(&mut self, path: &mut watch::Receiver<Path>) -> bool {
        let due = loop {
            let is_suspect = path.borrow_and_update().is_suspect;
            let Some(due) = self.next(is_suspect) else { break Instant::now() };
            tokio::select! {
                biased;
                changed = path.changed() => if changed.is_err() {
                    // Who told has gone, and so is who listens.
                    sleep_until(due.into()).await;
                    break due;
                },
                () = sleep_until(due.into()) => break due,
            }
        };
        let now = Instant::now();
        let at = if now.saturating_duration_since(due) < PUNCTUAL { due } else { now };
        self.last = Some(at);
        let is_extra = self.regular.is_some_and(|regular| at < regular + self.interval);
        if !is_extra {
            self.regular = Some(at);
        }
        is_extra
    }

    fn next(&self, is_suspect: bool) -> Option<Instant> {
        self.last.map(|last| last + if is_suspect { self.sharpened } else { self.interval })
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;
    use crate::probe::ProbeKind;

    fn path(is_suspect: bool) -> Path {
        Path { is_suspect, ..Path::default() }
    }

    fn pace(interval: Duration, timeout: Duration) -> Pace {
        Pace::new(&Probe { kind: ProbeKind::Arp, interval, timeout })
    }

    #[test]
    fn suspects_are_probed_more_often() {
        let second = Duration::from_secs(1);
        for (interval, timeout, sharpened) in [
            (2 * second, second, second / 2),
            (second, second, second / 4),
            (second / 10, second / 10, second / 20),
            (second / 20, second / 20, second / 20),
            (second / 100, second / 100, second / 100),
            // No more of them are under way at a time.
            (second, 5 * second, second / 2),
            (second, 10 * second, second),
        ] {
            let last = Instant::now();
            let pace = Pace { last: Some(last), ..pace(interval, timeout) };
            assert_eq!(pace.next(false), Some(last + interval));
            assert_eq!(pace.next(true), Some(last + sharpened));
        }
        assert_eq!(pace(second, second).next(false), None, "the first one is due at once");
    }

    /// An hour would be too long for a test.
    #[tokio::test]
    async fn who_becomes_suspect_is_probed_soon() {
        let (sender, mut receiver) = watch::channel(path(false));
        let hour = Duration::from_secs(3600);
        let mut pace = pace(hour, Duration::from_secs(1));
        assert!(!pace.due(&mut receiver).await);
        // A quarter of an hour ago.
        pace.last = pace.last.and_then(|last| last.checked_sub(hour / SHARPENED));
        {
            let due = pace.due(&mut receiver);
            tokio::pin!(due);
            tokio::select! {
                biased;
                _ = &mut due => panic!("it is not suspect"),
                () = std::future::ready(()) => {}
            }
            sender.send_replace(path(true));
            let bound = Duration::from_secs(20);
            assert!(timeout(bound, due).await.expect("it is probed"), "besides");
        }
        // Once it is due by itself, it is none besides.
        pace.regular = pace.regular.and_then(|regular| regular.checked_sub(hour));
        pace.last = pace.last.and_then(|last| last.checked_sub(hour));
        assert!(!pace.due(&mut receiver).await);
        assert!(pace.next(true) > Some(Instant::now() + hour / SHARPENED / 2));
    }
}
