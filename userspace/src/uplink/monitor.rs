use std::time::{Duration, Instant};

use super::gate::{Gate, Stability};
use super::quality::{Measurements, Quality};
use super::sla::{Compliance, Sla};
use super::{Event, Health, Reason, State, Thresholds, Verdict};
use crate::probe::ProbeId;

/// What is asked of an uplink beside that it works.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requirements {
    /// What its path has to be like.
    pub sla: Sla,
    /// What it has to do to be believed again after it was lost.
    pub stability: Stability,
}

/// Judges one uplink by its health, the quality of its path, and how often both change.
///
/// **Invariant:** an uplink that is up or degraded has carrier, an address and a next hop. For the worse, it
/// changes at once; for the better, as its [`Stability`] allows.
#[derive(Clone, Debug)]
pub struct Monitor {
    requirements: Requirements,
    health: Health,
    measurements: Measurements,
    compliance: Compliance,
    /// Whether it works, and its path is not so bad that it is to be down.
    usable: Gate,
    /// Whether it keeps to its service level too.
    preferred: Gate,
    verdict: Verdict,
}

/// How often an uplink has been lost lately.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Instability {
    /// The penalty of the moment (RFC 2439).
    pub penalty: f64,
    /// How many flaps it is for.
    pub flaps: u32,
    /// Whether the uplink is not believed to be good because of them.
    pub suppressed: bool,
}

impl Monitor {
    /// An uplink over the interface of this name, of which nothing is known yet.
    pub fn new(
        interface: impl Into<String>,
        targets: &[ProbeId],
        thresholds: Thresholds,
        requirements: Requirements,
        now: Instant,
    ) -> Self {
        let health = Health::new(interface, targets, thresholds, now);
        let verdict = health.verdict().clone();
        let compliance = Compliance::new(&requirements.sla);
        let (usable, preferred) = (Gate::default(), Gate::default());
        let measurements = Measurements::new(targets);
        Self { requirements, health, measurements, compliance, usable, preferred, verdict }
    }

    /// The verdict as of the last event.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// Takes in events that came together: only what follows from all of them counts. Without any, time
    /// passes.
    pub fn apply(&mut self, events: impl IntoIterator<Item = Event>, now: Instant) {
        let (was_lost, was_hindered) = (self.health.is_judged(), self.health.is_hindered());
        for event in events {
            self.health.apply(event, now);
        }
        if was_hindered || self.health.is_hindered() {
            self.measurements.restart(now);
        }
        self.judge(was_lost, now);
    }

    /// Takes in how long the answer to a probe took, or that there was none; and whether that is to be measured.
    pub fn probed(
        &mut self,
        target: &ProbeId,
        (sent_at, is_measured): (Instant, bool),
        rtt: Option<Duration>,
        now: Instant,
    ) {
        let sla = &self.requirements.sla;
        if is_measured {
            self.measurements.record(target, sent_at, rtt, now, sla.window);
        }
        self.compliance.measure(sla, &self.measurements, now);
        let answered = rtt.is_some();
        self.apply([Event::Probe { probe: target.clone(), sent_at, answered }], now);
    }

    /// When time alone will change the verdict, if [`Self::apply`] is called then.
    pub fn deadline(&self) -> Option<Instant> {
        self.verdict.until.into_iter().chain(self.health.deadline()).min()
    }

    /// Takes in whether it was in use when another daemon had it: then it is believed to work, until something
    /// speaks against it.
    pub fn inherit(&mut self, was_alive: bool, now: Instant) {
        self.health.inherit(was_alive, now);
        self.judge(false, now);
    }

    /// Goes over to others, without forgetting what is known.
    pub fn reconfigure(
        &mut self,
        targets: &[ProbeId],
        thresholds: Thresholds,
        requirements: Requirements,
        now: Instant,
    ) {
        let was_lost = self.health.is_judged();
        self.health.reconfigure(targets, thresholds, now);
        self.measurements.retarget(targets);
        self.compliance.reconfigure(&requirements.sla);
        for gate in [&mut self.usable, &mut self.preferred] {
            gate.reconfigure(&self.requirements.stability, &requirements.stability, now);
        }
        self.requirements = requirements;
        self.judge(was_lost, now);
    }

    /// Whether it is certain that no packet would get through: it lacks carrier, address or next hop.
    pub fn is_hindered(&self) -> bool {
        self.health.is_hindered()
    }

    /// Whether it works, as far as its health tells, whatever its path is like and however often that
    /// changes.
    pub fn is_healthy(&self) -> bool {
        self.health.verdict().state == State::Up
    }

    /// What its probes show at `now`.
    pub fn quality(&self, now: Instant) -> Quality {
        self.measurements.quality(self.requirements.sla.window, 1, now)
    }

    /// How often it has been lost lately, where that matters.
    pub fn instability(&self, now: Instant) -> Option<Instability> {
        let rules = &self.requirements.stability;
        rules.dampening?;
        let of = |gate: &Gate| {
            let (penalty, flaps) = gate.flaps_remembered(rules, now);
            Instability { penalty, flaps, suppressed: gate.is_suppressed(now) }
        };
        let (usable, preferred) = (of(&self.usable), of(&self.preferred));
        Some(if usable.penalty > preferred.penalty { usable } else { preferred })
    }

    fn judge(&mut self, was_lost: bool, now: Instant) {
        let rules = self.requirements.stability;
        let (down, degraded) = (self.compliance.down(), self.compliance.degraded());
        let is_usable = self.is_healthy() && down.is_empty();
        self.usable.update(is_usable, was_lost, &rules, now);
        self.preferred.update(is_usable && degraded.is_empty(), was_lost, &rules, now);
        let health = self.health.verdict();
        let held =
            |gate: &Gate, state| (state, gate.reason(&rules, now), gate.opens_at(&rules, now));
        let (state, reason, until) = if !self.is_healthy() {
            (health.state, health.reason.clone(), None)
        } else if !down.is_empty() {
            (State::Down, Reason::ServiceLevel(down), None)
        } else if !self.usable.is_open() {
            held(&self.usable, State::Down)
        } else if !degraded.is_empty() {
            (State::Degraded, Reason::ServiceLevel(degraded), None)
        } else if !self.preferred.is_open() {
            held(&self.preferred, State::Degraded)
        } else {
            (State::Up, health.reason.clone(), None)
        };
        let since = if state == self.verdict.state { self.verdict.since } else { now };
        self.verdict = Verdict { state, since, reason, until };
    }
}

#[cfg(test)]
mod tests;
