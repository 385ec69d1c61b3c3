use std::time::{Duration, Instant};

/// How much later than asked a timer may fire in a process that is not held up.
const LATE: Duration = Duration::from_millis(20);
/// How often the wait is extended: a process that is always late learns of losses all the same.
const EXTENSIONS: u8 = 3;

/// How long an answer is waited for. It knows no clock: the caller tells the time.
///
/// A process that was held up when the time ended has had no chance to go on with what has arrived
/// meanwhile. It gets as long again, a few times.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    timeout: Duration,
    deadline: Instant,
    extensions: u8,
}

impl Patience {
    /// The wait starts now.
    pub(super) fn new(timeout: Duration, now: Instant) -> Self {
        Self { timeout, deadline: now + timeout, extensions: EXTENSIONS }
    }

    /// When to ask whether it [is over](Self::is_over).
    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether the wait is over; else there is another deadline.
    pub(super) fn is_over(&mut self, now: Instant) -> bool {
        if now < self.deadline {
            return false;
        }
        if self.extensions == 0 || now - self.deadline <= LATE {
            return true;
        }
        self.extensions -= 1;
        self.deadline = now + self.timeout;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(50);
    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn it_is_over_after_the_timeout() {
        let start = Instant::now();
        let mut patience = Patience::new(TIMEOUT, start);
        assert_eq!(patience.deadline(), start + TIMEOUT);
        assert!(!patience.is_over(start + TIMEOUT - MS));
        assert!(patience.is_over(start + TIMEOUT));
        assert!(patience.is_over(start + TIMEOUT + LATE));
    }

    #[test]
    fn who_was_held_up_gets_as_long_again_a_few_times() {
        let mut woken = Instant::now();
        let mut patience = Patience::new(TIMEOUT, woken);
        for _ in 0..EXTENSIONS {
            woken += TIMEOUT + LATE + MS;
            assert!(!patience.is_over(woken));
            assert_eq!(patience.deadline(), woken + TIMEOUT);
            assert!(!patience.is_over(woken + TIMEOUT - MS));
        }
        assert!(patience.is_over(woken + 100 * TIMEOUT));
    }
}
