mod property;
mod scenarios;

use std::net::Ipv4Addr;

use super::super::{Dampening, Interface, Limit, Metric, NextHop, Percentile, Quorum};
use super::*;

const GATEWAY: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
const TARGET: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 53);
/// From one probe to the next.
const INTERVAL: Duration = Duration::from_millis(100);
const THRESHOLDS: Thresholds = Thresholds { down_after: 3, up_after: 3, quorum: Quorum::Any };
const DAMPENING: Dampening = Dampening {
    half_life: Duration::from_secs(15),
    suppress: 2500,
    reuse: 750,
    max_suppress: Duration::from_secs(60),
};
const LOSS: Limit = Limit { metric: Metric::Loss, enter: 200_000, leave: 50_000 };

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// An uplink with all that it needs, probed every [`INTERVAL`], and how its state changes.
struct Lab {
    monitor: Monitor,
    start: Instant,
    now: Instant,
    changes: Vec<State>,
    /// How long an answer may take.
    timeout: Duration,
    /// Outcomes of probes that are not known yet, by the time when they will be.
    pending: Vec<(Instant, Instant, Option<Duration>)>,
}

impl Lab {
    /// An uplink that has answered a probe.
    fn new(thresholds: Thresholds, requirements: Requirements) -> Self {
        let now = Instant::now();
        let monitor = Monitor::new("wan0", &[ProbeId::icmp(TARGET)], thresholds, requirements, now);
        let mut lab = Self {
            monitor,
            start: now,
            now,
            changes: Vec::new(),
            timeout: INTERVAL,
            pending: Vec::new(),
        };
        lab.apply(&[
            Event::Interface(Interface::Running),
            Event::Address(true),
            Event::NextHop(NextHop::Resolved(GATEWAY)),
        ]);
        lab.monitor.probed(&ProbeId::icmp(TARGET), (now, true), Some(ms(20)), now);
        lab.changes.clear();
        assert_eq!(lab.state(), State::Up);
        lab
    }

    fn apply(&mut self, events: &[Event]) {
        self.watch(|monitor, now| monitor.apply(events.iter().cloned(), now));
    }

    /// Lets something happen, and notes what state that leads to.
    fn watch(&mut self, happening: impl FnOnce(&mut Monitor, Instant)) {
        let before = self.monitor.verdict().clone();
        happening(&mut self.monitor, self.now);
        let after = self.monitor.verdict();
        if before.state == after.state {
            assert_eq!(before.since, after.since);
        } else {
            assert_eq!(after.since, self.now);
            self.changes.push(after.state);
        }
    }

    /// Probes the target for so long over a path on which a probe that is sent so many milliseconds after
    /// the beginning has this round trip, or is lost.
    fn probe(&mut self, duration: Duration, mut path: impl FnMut(u64) -> Option<Duration>) {
        let from = self.now;
        let mut sent_at = from;
        while sent_at < from + duration {
            self.run_until(sent_at);
            let rtt = path((sent_at - from).as_millis() as u64).filter(|rtt| *rtt <= self.timeout);
            self.pending.push((sent_at + rtt.unwrap_or(self.timeout), sent_at, rtt));
            sent_at += INTERVAL;
        }
        self.run_until(from + duration);
    }

    /// Lets time pass, with the outcomes and the deadlines that come.
    fn run_until(&mut self, end: Instant) {
        loop {
            let due = { self.pending.iter().enumerate() }.min_by_key(|(_, (at, ..))| *at);
            let due = due.map(|(index, (at, ..))| (*at, Some(index)));
            let deadline = self.monitor.deadline().map(|at| (at, None));
            let next = [due, deadline].into_iter().flatten().min();
            let Some((at, index)) = next.filter(|(at, _)| *at <= end) else { break };
            self.now = at;
            match index.map(|index| self.pending.swap_remove(index)) {
                Some((_, sent_at, rtt)) => {
                    self.watch(|monitor, now| {
                        monitor.probed(&ProbeId::icmp(TARGET), (sent_at, true), rtt, now);
                    });
                }
                None => {
                    self.apply(&[]);
                    assert_ne!(self.monitor.deadline(), Some(at), "it would never end");
                }
            }
        }
        self.now = end;
    }

    /// As [`Self::probe`], over a path without fault.
    fn probe_well(&mut self, duration: Duration) {
        self.probe(duration, |_| Some(ms(20)));
    }

    fn state(&self) -> State {
        self.monitor.verdict().state
    }

    fn reason(&self) -> String {
        self.monitor.verdict().describe(self.now)
    }
}

fn degraded_by(limit: Limit) -> Sla {
    Sla { degraded: vec![limit], ..Sla::default() }
}

fn held_down(hold_down: Duration) -> Stability {
    Stability { hold_down, dampening: None }
}

fn dampened() -> Stability {
    Stability { hold_down: Duration::ZERO, dampening: Some(DAMPENING) }
}

#[test]
fn without_requirements_it_is_what_its_health_is() {
    let mut lab = Lab::new(THRESHOLDS, Requirements::default());
    lab.probe(ms(500), |_| None);
    assert_eq!(lab.state(), State::Down);
    lab.probe_well(ms(500));
    assert_eq!(lab.changes, [State::Down, State::Up]);
    assert_eq!(lab.reason(), "probes answered");
}

#[test]
fn it_returns_after_the_hold_down_and_says_when() {
    let stability = held_down(ms(5000));
    let requirements = Requirements { stability, ..Requirements::default() };
    let mut lab = Lab::new(THRESHOLDS, requirements);
    let running = |interface| [Event::Interface(interface)];
    lab.apply(&running(Interface::NoCarrier));
    assert_eq!(lab.reason(), "no carrier on wan0");
    lab.apply(&running(Interface::Running));
    // The third answer comes after 220 ms.
    lab.probe_well(ms(400));
    assert_eq!(lab.reason(), "held down until it has been well for 5s; back in about 5s");
    lab.probe_well(ms(4810));
    assert_eq!(lab.reason(), "held down until it has been well for 5s; back in about 1s");
    // No answer comes meanwhile: time alone brings it back.
    lab.run_until(lab.now + ms(10));
    assert_eq!(lab.changes, [State::Down, State::Up]);
}

#[test]
fn events_that_come_together_are_judged_together() {
    let requirements = Requirements { stability: dampened(), ..Requirements::default() };
    let now = Instant::now();
    let mut monitor = Monitor::new("wan0", &[], THRESHOLDS, requirements, now);
    let (known, unknown) = (NextHop::Resolved(GATEWAY), NextHop::Unknown);
    for (next_hop, interface) in [(known, Interface::NoCarrier), (unknown, Interface::Running)] {
        let events = [Event::NextHop(next_hop), Event::Address(true), Event::Interface(interface)];
        monitor.apply(events, now);
        assert_eq!(monitor.verdict().state, State::Down);
    }
    monitor.apply([Event::NextHop(known), Event::Interface(Interface::NoCarrier)], now);
    assert_eq!(monitor.instability(now).map(|known| known.flaps), Some(0), "it never was up");
}

#[test]
fn a_service_level_may_take_it_down() {
    let down = Limit { enter: 400_000, leave: 100_000, ..LOSS };
    let sla = Sla { down: vec![down], ..degraded_by(LOSS) };
    let patient = Thresholds { down_after: 100, up_after: 1, quorum: Quorum::Any };
    let mut lab = Lab::new(patient, Requirements { sla, stability: held_down(ms(1000)) });
    lab.probe_well(ms(10_000));
    lab.probe(ms(3000), |_| None);
    assert_eq!(lab.changes, [State::Degraded]);
    lab.probe(ms(1000), |_| None);
    assert_eq!(lab.changes, [State::Degraded, State::Down]);
    assert_eq!(lab.reason(), "service level: loss 40 %, good from 10 % down");
    // Ten of them are left in the window.
    lab.probe_well(ms(9050));
    assert_eq!(lab.reason(), "held down until it has been well for 1s; back in about 1s");
    lab.probe_well(ms(1000));
    assert_eq!(lab.state(), State::Degraded);
    lab.probe_well(ms(1500));
    assert_eq!(lab.changes[2..], [State::Degraded, State::Up]);
}

#[test]
fn what_was_lost_with_the_carrier_says_nothing_of_the_path() {
    let sla = degraded_by(LOSS);
    let mut lab = Lab::new(THRESHOLDS, Requirements { sla, ..Requirements::default() });
    lab.probe_well(ms(10_000));
    lab.apply(&[Event::Interface(Interface::NoCarrier)]);
    lab.probe(ms(8000), |_| None);
    lab.apply(&[Event::Interface(Interface::Running)]);
    lab.probe_well(ms(10_000));
    assert_eq!(lab.changes, [State::Down, State::Up]);
}

#[test]
fn it_stays_degraded_over_a_carrier_loss_until_it_is_measured_again() {
    let sla = degraded_by(LOSS);
    let patient = Thresholds { down_after: 100, up_after: 1, quorum: Quorum::Any };
    let mut lab = Lab::new(patient, Requirements { sla, ..Requirements::default() });
    lab.probe(ms(3000), |_| None);
    assert_eq!(lab.state(), State::Degraded);
    lab.apply(&[Event::Interface(Interface::NoCarrier)]);
    lab.apply(&[Event::Interface(Interface::Running)]);
    lab.probe_well(ms(500));
    assert_eq!(lab.state(), State::Degraded);
    lab.probe_well(ms(1000));
    assert_eq!(lab.changes, [State::Degraded, State::Down, State::Degraded, State::Up]);
}

#[test]
fn a_new_configuration_holds_at_once() {
    let sla = degraded_by(LOSS);
    let patient = Thresholds { down_after: 100, up_after: 1, quorum: Quorum::Any };
    let requirements = Requirements { sla, stability: held_down(ms(60_000)) };
    let mut lab = Lab::new(patient, requirements.clone());
    lab.probe(ms(3000), |_| None);
    lab.probe_well(ms(20_000));
    assert_eq!(lab.state(), State::Degraded);
    let mut reconfigure = |requirements: Requirements| {
        lab.watch(|monitor, now| {
            monitor.reconfigure(&[ProbeId::icmp(TARGET)], patient, requirements, now);
        });
        lab.state()
    };
    assert_eq!(reconfigure(requirements.clone()), State::Degraded);
    let stability = Stability::default();
    assert_eq!(reconfigure(Requirements { stability, ..requirements }), State::Up);
}

#[test]
fn another_service_level_holds_at_once() {
    let patient = Thresholds { down_after: 100, up_after: 1, quorum: Quorum::Any };
    let limits = |limits: &[Limit]| Requirements {
        sla: Sla { degraded: limits.to_vec(), ..Sla::default() },
        ..Requirements::default()
    };
    let mut lab = Lab::new(patient, limits(&[LOSS]));
    let reconfigure = |lab: &mut Lab, requirements: Requirements| {
        lab.watch(|monitor, now| {
            monitor.reconfigure(&[ProbeId::icmp(TARGET)], patient, requirements, now);
        });
        lab.state()
    };
    lab.probe(ms(3000), |_| None);
    assert_eq!(reconfigure(&mut lab, limits(&[])), State::Up);
    let stricter = Limit { leave: 0, ..LOSS };
    assert_eq!(reconfigure(&mut lab, limits(&[stricter])), State::Up, "it has not been judged yet");
    lab.probe_well(ms(50));
    assert_eq!(lab.state(), State::Degraded);
}

#[test]
fn what_is_down_has_lost_its_preference_too() {
    let sla = Sla { window: ms(1000), min_samples: 5, ..degraded_by(LOSS) };
    let patient = Thresholds { down_after: 100, up_after: 1, quorum: Quorum::Any };
    let mut lab = Lab::new(patient, Requirements { sla, stability: dampened() });
    for _ in 0..2 {
        lab.probe(ms(1000), |_| None);
        lab.probe_well(ms(2000));
    }
    assert_eq!(lab.state(), State::Up);
    lab.apply(&[Event::Interface(Interface::NoCarrier)]);
    lab.apply(&[Event::Interface(Interface::Running)]);
    lab.probe_well(ms(2000));
    // Three losses of that, and one of being up.
    assert_eq!(lab.state(), State::Degraded);
    assert!(lab.reason().starts_with("dampened: flapped 3 times; back in "), "{}", lab.reason());
}

#[test]
fn instability_is_that_of_what_has_been_lost_more_often() {
    let requirements = Requirements { sla: degraded_by(LOSS), stability: dampened() };
    let patient = Thresholds { down_after: 100, up_after: 1, quorum: Quorum::Any };
    let mut lab = Lab::new(patient, requirements);
    let flaps = |lab: &Lab| lab.monitor.instability(lab.now).map(|known| known.flaps);
    assert_eq!(flaps(&lab), Some(0));
    lab.probe(ms(3000), |_| None);
    assert_eq!(flaps(&lab), Some(1), "its service level only");
    lab.apply(&[Event::Interface(Interface::NoCarrier)]);
    assert_eq!(flaps(&lab), Some(1), "both once");
    let none = Lab::new(THRESHOLDS, Requirements::default());
    assert_eq!(none.monitor.instability(none.now), None);
}
