use std::time::{Duration, Instant};

/// What a flap adds to the penalty.
const FLAP: f64 = 1000.0;

/// When something that flaps is no longer believed: route flap damping (RFC 2439) for uplinks. Each flap
/// adds 1000 to a penalty, which decays with time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dampening {
    /// How long the penalty takes to become half of what it was; not zero.
    pub half_life: Duration,
    /// Above this penalty, what flaps is suppressed: the "cutoff threshold". More than `reuse`.
    pub suppress: u32,
    /// Once it is no more than this, it is believed again; at least one.
    pub reuse: u32,
    /// How long it is suppressed at most after the last flap.
    pub max_suppress: Duration,
}

impl Dampening {
    /// What the penalty can rise to: it would be `reuse` after `max_suppress` (RFC 2439 section 4.5). Only
    /// if that is more than `suppress`, anything is ever suppressed.
    pub fn ceiling(&self) -> f64 {
        f64::from(self.reuse)
            * (self.max_suppress.as_secs_f64() / self.half_life.as_secs_f64()).exp2()
    }

    /// How long a penalty takes to decay to another.
    pub fn decay_time(&self, from: f64, to: f64) -> Duration {
        self.half_life.mul_f64((from / to).log2().max(0.0))
    }
}

/// What is remembered of something that flaps.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flaps {
    /// As of the last flap.
    penalty: f64,
    last: Option<Instant>,
    count: u32,
    suppressed_until: Option<Instant>,
}

impl Flaps {
    /// Notes a flap.
    pub(super) fn record(&mut self, rules: &Dampening, now: Instant) {
        let (penalty, count) = self.remembered(rules, now);
        let was_suppressed = self.suppressed_until(now).is_some();
        self.penalty = (penalty + FLAP).min(rules.ceiling());
        self.count = count.saturating_add(1);
        self.last = Some(now);
        if was_suppressed || self.penalty > f64::from(rules.suppress) {
            self.suppress(rules, now);
        }
    }

    /// Goes over to other rules, or none.
    pub(super) fn reconfigure(
        &mut self,
        old: Option<&Dampening>,
        new: Option<&Dampening>,
        now: Instant,
    ) {
        let (Some(old), Some(new)) = (old, new) else {
            *self = Self::default();
            return;
        };
        let was_suppressed = self.suppressed_until(now).is_some();
        let (penalty, count) = self.remembered(old, now);
        *self = Self {
            penalty: penalty.min(new.ceiling()),
            last: self.last.map(|_| now),
            count,
            suppressed_until: None,
        };
        if was_suppressed {
            self.suppress(new, now);
        }
    }

    /// Until when it is suppressed, if it is.
    pub(super) fn suppressed_until(&self, now: Instant) -> Option<Instant> {
        self.suppressed_until.filter(|until| *until > now)
    }

    /// The penalty, and how many flaps have made it. They are forgotten once it is below half of what it
    /// is believed again at.
    pub(super) fn remembered(&self, rules: &Dampening, now: Instant) -> (f64, u32) {
        let Some(last) = self.last else {
            return (0.0, 0);
        };
        let half_lives =
            now.saturating_duration_since(last).as_secs_f64() / rules.half_life.as_secs_f64();
        let penalty = self.penalty * (-half_lives).exp2();
        if penalty < f64::from(rules.reuse) / 2.0 { (0.0, 0) } else { (penalty, self.count) }
    }

    fn suppress(&mut self, rules: &Dampening, now: Instant) {
        let left = rules.decay_time(self.penalty, f64::from(rules.reuse));
        self.suppressed_until = now.checked_add(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Dampening = Dampening {
        half_life: Duration::from_secs(10),
        suppress: 2500,
        reuse: 750,
        max_suppress: Duration::from_secs(40),
    };
    const MS: Duration = Duration::from_millis(1);

    /// So many flaps, at the same time.
    fn flapped(count: u32, now: Instant) -> Flaps {
        let mut flaps = Flaps::default();
        (0..count).for_each(|_| flaps.record(&RULES, now));
        flaps
    }

    /// How long it is suppressed from `now` on, in milliseconds.
    fn left(flaps: &Flaps, now: Instant) -> Option<u128> {
        flaps.suppressed_until(now).map(|until| (until - now).as_millis())
    }

    #[test]
    fn the_penalty_halves_in_a_half_life() {
        let start = Instant::now();
        let flaps = flapped(2, start);
        for (seconds, penalty) in [(0, 2000.0), (10, 1000.0), (20, 500.0), (25, 0.0)] {
            let (found, _) = flaps.remembered(&RULES, start + Duration::from_secs(seconds));
            assert!((found - penalty).abs() < 1e-9, "{seconds} s: {found}");
        }
        // 375, half of what it is believed again at, is reached after 24.15 s.
        let at = |milliseconds| flaps.remembered(&RULES, start + milliseconds * MS).1;
        assert_eq!((at(24_150), at(24_151)), (2, 0));
    }

    #[test]
    fn too_many_flaps_are_suppressed_until_the_penalty_has_decayed() {
        let start = Instant::now();
        assert_eq!(left(&flapped(2, start), start), None);
        let flaps = flapped(3, start);
        // From 3000 to 750 is two half-lives.
        assert_eq!(left(&flaps, start), Some(20_000));
        assert_eq!(left(&flaps, start + 19_999 * MS), Some(1));
        assert_eq!(left(&flaps, start + 20_000 * MS), None);
    }

    #[test]
    fn flaps_that_are_far_apart_are_not() {
        let (mut flaps, start) = (Flaps::default(), Instant::now());
        for number in 0..100 {
            let now = start + number * RULES.half_life;
            flaps.record(&RULES, now);
            assert_eq!(left(&flaps, now), None, "{flaps:?}");
        }
    }

    #[test]
    fn a_flap_while_suppressed_makes_it_longer_even_below_the_threshold() {
        let start = Instant::now();
        let mut flaps = flapped(3, start);
        // The penalty is 750 then, and 1750 after the flap, which alone would not suppress it.
        let later = start + 19_999 * MS;
        flaps.record(&RULES, later);
        let expected = 10_000.0 * (1750.0_f64 / 750.0).log2();
        let found = left(&flaps, later).expect("it is suppressed") as f64;
        assert!((found - expected).abs() < 2.0, "{found}");
    }

    #[test]
    fn it_is_suppressed_no_longer_than_is_allowed() {
        let start = Instant::now();
        let flaps = flapped(1000, start);
        assert_eq!(flaps.penalty, RULES.ceiling());
        assert_eq!(left(&flaps, start), Some(40_000));
    }

    #[test]
    fn other_rules_hold_from_now_on() {
        let start = Instant::now();
        let slower = Dampening { half_life: Duration::from_secs(20), ..RULES };
        let later = start + 10_000 * MS;
        let reconfigured = |old: Option<&Dampening>, new: Option<&Dampening>| {
            let mut flaps = flapped(3, start);
            flaps.reconfigure(old, new, later);
            left(&flaps, later)
        };
        // From 1500 to 750.
        assert_eq!(reconfigured(Some(&RULES), Some(&RULES)), Some(10_000));
        assert_eq!(reconfigured(Some(&RULES), Some(&slower)), Some(20_000));
        assert_eq!(reconfigured(Some(&RULES), None), None);
        assert_eq!(reconfigured(None, Some(&RULES)), None);
    }
}
