use std::time::{Duration, Instant};

use super::Reason;
use super::dampening::{Dampening, Flaps};

/// What an uplink that was lost has to do to be believed again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stability {
    /// How long it has to be good without a break.
    pub hold_down: Duration,
    /// What becomes of it if it is lost again and again.
    pub dampening: Option<Dampening>,
}

/// Lets through at once that something has become bad, and that it is good again once it is stable.
#[derive(Clone, Debug, Default)]
pub(super) struct Gate {
    is_good: bool,
    is_open: bool,
    /// Since when it has been good, where that is not to be believed at once.
    held_since: Option<Instant>,
    flaps: Flaps,
}

impl Gate {
    /// Takes in whether it is good now. What was not lost before is believed at once.
    pub(super) fn update(
        &mut self,
        is_good: bool,
        was_lost: bool,
        rules: &Stability,
        now: Instant,
    ) {
        if is_good && !self.is_good {
            self.held_since = was_lost.then_some(now);
        }
        if self.is_good
            && !is_good
            && let Some(dampening) = &rules.dampening
        {
            self.flaps.record(dampening, now);
        }
        self.is_good = is_good;
        self.is_open = is_good && self.opens_at(rules, now).is_none();
    }

    /// Goes over from the `old` rules to others.
    pub(super) fn reconfigure(&mut self, old: &Stability, new: &Stability, now: Instant) {
        self.flaps.reconfigure(old.dampening.as_ref(), new.dampening.as_ref(), now);
    }

    /// Whether it is good and believed.
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// When it will be open if it stays as it is: where it is good and not yet believed.
    pub(super) fn opens_at(&self, rules: &Stability, now: Instant) -> Option<Instant> {
        let opens_at = self.held_until(rules, now).max(self.flaps.suppressed_until(now));
        opens_at.filter(|_| self.is_good && !self.is_open)
    }

    /// Why it is not open although it is good.
    pub(super) fn reason(&self, rules: &Stability, now: Instant) -> Reason {
        let suppressed_until = self.flaps.suppressed_until(now);
        if suppressed_until >= self.held_until(rules, now) && suppressed_until.is_some() {
            Reason::Dampened { flaps: self.flaps_remembered(rules, now).1 }
        } else {
            Reason::HeldDown { hold_down: rules.hold_down }
        }
    }

    /// Whether it has been lost so often that it is not believed.
    pub(super) fn is_suppressed(&self, now: Instant) -> bool {
        self.flaps.suppressed_until(now).is_some()
    }

    /// The penalty, and how often it has been lost to have that.
    pub(super) fn flaps_remembered(&self, rules: &Stability, now: Instant) -> (f64, u32) {
        let dampening = rules.dampening.as_ref();
        dampening.map_or((0.0, 0), |dampening| self.flaps.remembered(dampening, now))
    }

    fn held_until(&self, rules: &Stability, now: Instant) -> Option<Instant> {
        self.held_since.map(|since| since + rules.hold_down).filter(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const HOLD_DOWN: Stability = Stability { hold_down: SECOND, dampening: None };
    const DAMPENING: Stability = Stability {
        hold_down: Duration::ZERO,
        dampening: Some(Dampening {
            half_life: Duration::from_secs(10),
            suppress: 2500,
            reuse: 750,
            max_suppress: Duration::from_secs(40),
        }),
    };

    /// A gate that has been open, and is bad now.
    fn lost(rules: &Stability, now: Instant) -> Gate {
        let mut gate = Gate::default();
        gate.update(true, false, rules, now);
        assert!(gate.is_open());
        gate.update(false, true, rules, now);
        assert!(!gate.is_open());
        gate
    }

    #[test]
    fn what_was_never_lost_is_believed_at_once() {
        let (mut gate, now) = (Gate::default(), Instant::now());
        gate.update(true, false, &HOLD_DOWN, now);
        assert!(gate.is_open());
        assert_eq!(gate.opens_at(&HOLD_DOWN, now), None);
    }

    #[test]
    fn what_was_lost_is_held_down_until_it_is_stable() {
        let now = Instant::now();
        let mut gate = lost(&HOLD_DOWN, now);
        assert_eq!(gate.opens_at(&HOLD_DOWN, now), None, "while it is bad, time changes nothing");
        gate.update(true, true, &HOLD_DOWN, now);
        assert_eq!(gate.opens_at(&HOLD_DOWN, now), Some(now + SECOND));
        // A break in between, and it starts anew.
        let later = now + SECOND / 2;
        gate.update(false, true, &HOLD_DOWN, later);
        gate.update(true, true, &HOLD_DOWN, later);
        gate.update(true, true, &HOLD_DOWN, now + SECOND);
        assert!(!gate.is_open());
        assert_eq!(gate.reason(&HOLD_DOWN, now + SECOND), Reason::HeldDown { hold_down: SECOND });
        let opens_at = gate.opens_at(&HOLD_DOWN, now + SECOND).expect("it is held down");
        assert_eq!(opens_at, later + SECOND);
        gate.update(true, true, &HOLD_DOWN, opens_at);
        assert!(gate.is_open());
    }

    #[test]
    fn without_rules_it_opens_at_once() {
        let (now, rules) = (Instant::now(), Stability::default());
        let mut gate = lost(&rules, now);
        gate.update(true, true, &rules, now);
        assert!(gate.is_open());
    }

    #[test]
    fn what_flaps_is_dampened() {
        let now = Instant::now();
        let mut gate = lost(&DAMPENING, now);
        for flaps in 2..=3 {
            gate.update(true, true, &DAMPENING, now);
            assert!(gate.is_open());
            gate.update(false, true, &DAMPENING, now);
            assert_eq!(gate.flaps_remembered(&DAMPENING, now).1, flaps);
        }
        gate.update(true, true, &DAMPENING, now);
        assert!(!gate.is_open() && gate.is_suppressed(now));
        assert_eq!(gate.reason(&DAMPENING, now), Reason::Dampened { flaps: 3 });
        // Nobody sees this one, and it counts.
        gate.update(false, true, &DAMPENING, now);
        gate.update(true, true, &DAMPENING, now);
        assert_eq!(gate.reason(&DAMPENING, now), Reason::Dampened { flaps: 4 });
        let opens_at = gate.opens_at(&DAMPENING, now).expect("it is suppressed");
        gate.update(true, true, &DAMPENING, opens_at);
        assert!(gate.is_open());
    }

    #[test]
    fn the_longer_of_both_counts() {
        let now = Instant::now();
        for (hold_down, reason, seconds) in [
            (Duration::from_secs(19), Reason::Dampened { flaps: 3 }, 20),
            (Duration::from_secs(21), Reason::HeldDown { hold_down: 21 * SECOND }, 21),
        ] {
            let rules = Stability { hold_down, ..DAMPENING };
            let mut gate = Gate::default();
            for _ in 0..3 {
                gate.update(true, true, &rules, now);
                gate.update(false, true, &rules, now);
            }
            gate.update(true, true, &rules, now);
            assert_eq!(gate.reason(&rules, now), reason);
            assert_eq!(gate.opens_at(&rules, now), Some(now + Duration::from_secs(seconds)));
        }
    }

    #[test]
    fn rules_that_are_gone_hold_nothing() {
        let now = Instant::now();
        let both = Stability { hold_down: 60 * SECOND, ..DAMPENING };
        let mut gate = Gate::default();
        for _ in 0..3 {
            gate.update(true, true, &both, now);
            gate.update(false, true, &both, now);
        }
        gate.update(true, true, &both, now);
        gate.reconfigure(&both, &Stability::default(), now);
        gate.update(true, true, &Stability::default(), now);
        assert!(gate.is_open());
    }
}
