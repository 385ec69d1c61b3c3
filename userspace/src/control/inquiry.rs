use std::time::{Duration, Instant};

/// How often the kernel is asked for a MAC that it does not have.
const INTERVAL: Duration = Duration::from_secs(1);

/// Whether and when the kernel is to be asked for a neighbour's MAC.
#[derive(Clone, Debug, Default)]
pub(super) struct Inquiry {
    wanted: bool,
    asked_at: Option<Instant>,
}

impl Inquiry {
    /// Says whether asking would make things better.
    pub(super) fn want(&mut self, wanted: bool) {
        self.wanted = wanted;
    }

    /// Lets the next question be asked at once.
    pub(super) fn forget(&mut self) {
        self.asked_at = None;
    }

    /// Whether the kernel is to be asked now; if so, it is taken as asked.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let asked_lately =
            self.asked_at.is_some_and(|asked| now.saturating_duration_since(asked) < INTERVAL);
        let due = self.wanted && !asked_lately;
        if due {
            self.asked_at = Some(now);
        }
        due
    }
}
