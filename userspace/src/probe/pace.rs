use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::sleep_until;

use super::Path;

/// How much more often an uplink is probed that is suspected to be dead.
const SHARPENED: u32 = 4;

/// The shortest interval that is made of a longer one by that.
const SHORTEST: Duration = Duration::from_millis(50);

/// When the next probe is due.
pub(super) struct Pace {
    interval: Duration,
    /// When the last one was.
    last: Option<Instant>,
}

impl Pace {
    /// The first one is due at once.
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval: interval.max(Duration::from_millis(1)), last: None }
    }

    /// Waits until the next one is due: sooner where the uplink becomes suspect meanwhile. Those that a stall has
    /// prevented are not made up for. What is not waited for to its end is waited for the next time.
    pub(super) async fn due(&mut self, path: &mut watch::Receiver<Path>) {
        loop {
            let is_suspect = path.borrow_and_update().is_suspect;
            let Some(due) = self.next(is_suspect) else { break };
            tokio::select! {
                biased;
                changed = path.changed() => if changed.is_err() {
                    // Who told has gone, and so is who listens.
                    sleep_until(due.into()).await;
                    break;
                },
                () = sleep_until(due.into()) => break,
            }
        }
        self.last = Some(Instant::now());
    }

    fn next(&self, is_suspect: bool) -> Option<Instant> {
        let sharpened = (self.interval / SHARPENED).max(SHORTEST).min(self.interval);
        self.last.map(|last| last + if is_suspect { sharpened } else { self.interval })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(is_suspect: bool) -> Path {
        Path { is_suspect, ..Path::default() }
    }

    fn pace(interval: Duration) -> (Pace, Instant) {
        let last = Instant::now();
        (Pace { last: Some(last), ..Pace::new(interval) }, last)
    }

    #[test]
    fn suspects_are_probed_more_often() {
        let second = Duration::from_secs(1);
        for (interval, sharpened) in [
            (2 * second, second / 2),
            (second, second / 4),
            (second / 10, second / 20),
            (second / 20, second / 20),
            (second / 100, second / 100),
        ] {
            let (pace, last) = pace(interval);
            assert_eq!(pace.next(false), Some(last + interval));
            assert_eq!(pace.next(true), Some(last + sharpened));
        }
        assert_eq!(Pace::new(second).next(false), None, "the first one is due at once");
    }

    /// An hour would be too long for a test.
    #[tokio::test]
    async fn who_becomes_suspect_is_probed_soon() {
        let (sender, mut receiver) = watch::channel(path(false));
        let hour = Duration::from_secs(3600);
        let mut pace = Pace::new(hour);
        pace.due(&mut receiver).await;
        // A quarter of an hour ago.
        pace.last = pace.last.and_then(|last| last.checked_sub(hour / SHARPENED));
        {
            let due = pace.due(&mut receiver);
            tokio::pin!(due);
            tokio::select! {
                biased;
                () = &mut due => panic!("it is not suspect"),
                () = std::future::ready(()) => {}
            }
            sender.send_replace(path(true));
            due.await;
        }
        assert!(pace.last.is_some_and(|last| last.elapsed() < hour / SHARPENED));
    }
}
