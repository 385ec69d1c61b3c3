use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How many outcomes a window holds: of a longer one, the latest count.
pub const WINDOW_SAMPLES: usize = 1000;

/// The latest probes of one target.
///
/// They leave the window as long after they are judged as it is long, so that losses, which are known
/// later than answers, count for as long as these.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    samples: VecDeque<Sample>,
}

/// A probe whose outcome is known.
#[derive(Clone, Copy, Debug)]
struct Sample {
    judged_at: Instant,
    sent_at: Instant,
    /// None where it was lost.
    rtt: Option<Duration>,
}

/// Two percentiles of a sample: the least value that so many of the others do not exceed (RFC 2330
/// section 11.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percentiles {
    /// Of one half.
    pub p50: Duration,
    /// Of 95 in a hundred.
    pub p95: Duration,
}

impl Window {
    /// Takes in the round trip of a probe, or its loss, that is known at `now`, in a window of this length.
    pub(super) fn record(
        &mut self,
        sent_at: Instant,
        rtt: Option<Duration>,
        now: Instant,
        length: Duration,
    ) {
        while let Some(oldest) = self.samples.front()
            && (self.samples.len() >= WINDOW_SAMPLES || !oldest.is_within(length, now))
        {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample { judged_at: now, sent_at, rtt });
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.samples.clear();
    }

    /// What is in a window of this length at `now`, in the order of sending: the round trip of each probe,
    /// none where it was lost.
    pub(super) fn round_trips(&self, length: Duration, now: Instant) -> Vec<Option<Duration>> {
        let mut samples: Vec<&Sample> =
            self.samples.iter().filter(|sample| sample.is_within(length, now)).collect();
        samples.sort_by_key(|sample| sample.sent_at);
        samples.into_iter().map(|sample| sample.rtt).collect()
    }
}

impl Sample {
    fn is_within(&self, length: Duration, now: Instant) -> bool {
        now.saturating_duration_since(self.judged_at) < length
    }
}

impl Percentiles {
    /// Of these values, if there are any.
    pub(super) fn of(mut values: Vec<Duration>) -> Option<Self> {
        values.sort_unstable();
        let nth = |percent: usize| {
            let rank = (values.len() * percent).div_ceil(100).max(1);
            values.get(rank - 1).copied()
        };
        Some(Self { p50: nth(50)?, p95: nth(95)? })
    }

    /// The less of each.
    pub(super) fn min(self, other: Self) -> Self {
        Self { p50: self.p50.min(other.p50), p95: self.p95.min(other.p95) }
    }
}

/// How much the delays of probes that were sent one after the other differ (RFC 3393 section 4.5). Where
/// either was lost, the difference is undefined (section 4.1), and left out.
pub(super) fn delay_variations(round_trips: &[Option<Duration>]) -> Vec<Duration> {
    let pairs = round_trips.windows(2);
    pairs.filter_map(|pair| Some(pair[0]?.abs_diff(pair[1]?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_secs(10);

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn percentiles_are_values_of_the_sample() {
        let of = |values: &[u64]| {
            let percentiles = Percentiles::of(values.iter().copied().map(ms).collect())?;
            Some((percentiles.p50, percentiles.p95))
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[7]), Some((ms(7), ms(7))));
        assert_eq!(of(&[2, 1]), Some((ms(1), ms(2))));
        let hundred: Vec<u64> = (1..=100).rev().collect();
        assert_eq!(of(&hundred), Some((ms(50), ms(95))));
        assert_eq!(of(&hundred[..20]), Some((ms(90), ms(99))));
    }

    #[test]
    fn variation_is_between_neighbours_that_both_were_answered() {
        let some = |milliseconds| Some(ms(milliseconds));
        let round_trips = [some(10), some(15), None, some(99), some(20), some(20)];
        assert_eq!(delay_variations(&round_trips), [5, 79, 0].map(ms));
    }

    #[test]
    fn samples_leave_a_window_s_length_after_they_are_judged() {
        let (mut window, start) = (Window::default(), Instant::now());
        window.record(start, Some(ms(1)), start + ms(1), LENGTH);
        window.record(start, None, start + ms(100), LENGTH);
        let count = |window: &Window, at| window.round_trips(LENGTH, at).len();
        assert_eq!(count(&window, start + LENGTH), 2);
        assert_eq!(count(&window, start + LENGTH + ms(1)), 1);
        assert_eq!(count(&window, start + LENGTH + ms(100)), 0);
        window.record(start + LENGTH, None, start + LENGTH + ms(50), LENGTH);
        assert_eq!(window.samples.len(), 2, "what is no longer in it is not kept");
    }

    #[test]
    fn samples_are_in_the_order_of_sending() {
        let (mut window, start) = (Window::default(), Instant::now());
        window.record(start + ms(100), Some(ms(5)), start + ms(105), LENGTH);
        window.record(start, None, start + ms(110), LENGTH);
        window.record(start + ms(200), Some(ms(6)), start + ms(206), LENGTH);
        let round_trips = window.round_trips(LENGTH, start + ms(300));
        assert_eq!(round_trips, [None, Some(ms(5)), Some(ms(6))]);
    }

    #[test]
    fn it_does_not_grow_without_bound() {
        let (mut window, start) = (Window::default(), Instant::now());
        for _ in 0..2 * WINDOW_SAMPLES {
            window.record(start, None, start, LENGTH);
        }
        assert_eq!(window.samples.len(), WINDOW_SAMPLES);
    }
}
