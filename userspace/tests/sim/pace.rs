//! How often uplinks may change: a second opinion on hold-down and dampening, from what can be seen of them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use pointsman::config::Config;
use pointsman::control::ControlledUplink;
use pointsman::uplink::{Dampening, Stability, State};

/// What a flap adds to the penalty of RFC 2439.
const FLAP: f64 = 1000.0;

/// By how much two computations of a time may differ.
const ROUNDING: Duration = Duration::from_millis(1);

/// What has been seen of all uplinks.
#[derive(Default)]
pub(crate) struct Pace {
    uplinks: BTreeMap<String, Seen>,
    /// The first that has changed too early.
    pub(crate) breach: Option<String>,
}

/// What has been seen of one on one interface.
struct Seen {
    port: String,
    rules: Stability,
    usable: Losses,
    preferred: Losses,
}

/// How often something good was lost.
#[derive(Default)]
struct Losses {
    is_good: bool,
    /// When last, and the shortest hold-down since.
    last: Option<(Instant, Duration)>,
    penalty: f64,
    suppressed_until: Option<Instant>,
}

impl Pace {
    /// Takes in how the uplinks are at `now`, and what is wanted of them.
    pub(crate) fn look(&mut self, uplinks: &[ControlledUplink], wanted: &Config, now: Instant) {
        self.uplinks.retain(|name, seen| {
            let mut wanted = wanted.uplinks.iter();
            wanted.any(|uplink| uplink.name == *name && uplink.port_name() == seen.port)
        });
        for (uplink, config) in uplinks.iter().zip(&wanted.uplinks) {
            let health = config.health.as_ref();
            let rules = health.map(|it| it.requirements.stability).unwrap_or_default();
            let seen = self.uplinks.entry(config.name.clone()).or_insert_with(|| Seen {
                port: config.port_name(),
                rules,
                usable: Losses::default(),
                preferred: Losses::default(),
            });
            let changed = seen.rules.dampening != rules.dampening;
            seen.rules = rules;
            let state = uplink.verdict().state;
            let is_usable = matches!(state, State::Up | State::Degraded);
            let both = [
                (&mut seen.usable, is_usable, "usable"),
                (&mut seen.preferred, state == State::Up, "preferred"),
            ];
            for (losses, is_good, what) in both {
                if changed {
                    losses.forgive();
                }
                if let Some(early) = losses.see(is_good, &rules, now) {
                    let name = &config.name;
                    self.breach.get_or_insert(format!("{name} is {what} {early:?} too early"));
                }
                // What was lost over the reload itself, the old rules may have judged.
                if changed {
                    losses.forgive();
                }
            }
        }
    }
}

impl Losses {
    /// Other rules hold: nothing is known of how they look at what was.
    fn forgive(&mut self) {
        (self.penalty, self.suppressed_until) = (0.0, None);
    }

    /// Returns by how much it is good too early.
    fn see(&mut self, is_good: bool, rules: &Stability, now: Instant) -> Option<Duration> {
        if let Some((_, hold_down)) = &mut self.last {
            *hold_down = rules.hold_down.min(*hold_down);
        }
        let was_good = std::mem::replace(&mut self.is_good, is_good);
        if was_good && !is_good {
            self.lose(rules, now);
        } else if is_good && !was_good {
            let held = self.last.map(|(at, hold_down)| at + hold_down);
            let early = |until: Instant| until.saturating_duration_since(now);
            let early = held.max(self.suppressed_until).map(early);
            return early.filter(|early| *early > ROUNDING);
        }
        None
    }

    fn lose(&mut self, rules: &Stability, now: Instant) {
        let before = self.last.map(|(at, _)| at);
        self.last = Some((now, rules.hold_down));
        let Some(dampening) = &rules.dampening else { return };
        let decayed = before.map_or(0.0, |before| {
            let half_lives = (now - before).as_secs_f64() / dampening.half_life.as_secs_f64();
            self.penalty * (-half_lives).exp2()
        });
        let is_forgotten = decayed < f64::from(dampening.reuse) / 2.0 + 1e-6;
        let remembered = if is_forgotten { 0.0 } else { decayed };
        self.penalty = (remembered + FLAP).min(dampening.ceiling());
        if self.penalty > f64::from(dampening.suppress) + 1e-6 || self.is_suppressed(now) {
            self.suppressed_until = Some(now + decay(dampening, self.penalty));
        }
    }

    fn is_suppressed(&self, now: Instant) -> bool {
        self.suppressed_until.is_some_and(|until| until > now + ROUNDING)
    }
}

/// How long a penalty takes to decay to what is believed again (RFC 2439 section 4.5).
fn decay(rules: &Dampening, penalty: f64) -> Duration {
    rules.half_life.mul_f64((penalty / f64::from(rules.reuse)).log2().max(0.0))
}
