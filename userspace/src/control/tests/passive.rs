use std::time::Duration;

use super::*;
use crate::probe::{Outcome, ProbeEvent, ProbeId};
use crate::uplink::Carried;

const SAMPLE: Duration = Duration::from_millis(100);

const LISTENING: &str = "[[uplink]]\nname = \"fiber\"\ninterface = \"wan0\"\ngateway = \"203.0.113.1\"\n\
                         health = { passive = { action = \"down\", retry = \"5s\" } }\n";

/// A gateway whose first uplink has rules for its silence, and what both have carried.
struct Lab {
    gateway: Gateway,
    carried: [Carried; 2],
}

impl Lab {
    fn new(fiber: &str) -> Self {
        let mut gateway = Gateway::bare(&[fiber, CABLE_CONFIG], Fake::default());
        gateway.update(Update::Resync(host()));
        let mut lab = Self { gateway, carried: [Carried::default(); 2] };
        lab.pass([(0, 0); 2]);
        lab
    }

    /// So many packets out and in by each uplink. Returns who is in another state then.
    fn pass(&mut self, packets: [(u64, u64); 2]) -> Option<Vec<State>> {
        for (carried, (sent, received)) in self.carried.iter_mut().zip(packets) {
            carried.sent += sent;
            carried.received += received;
        }
        self.gateway.now += SAMPLE;
        let (carried, now) = (self.carried, self.gateway.now);
        let of = |uplink: u8| carried.get(usize::from(uplink)).copied();
        let changes = self.gateway.controller.carried(of, now)?;
        Some(changes.into_iter().map(|change| change.verdict.state).collect())
    }

    fn fiber(&self) -> &ControlledUplink {
        &self.gateway.controller.uplinks()[0]
    }
}

#[test]
fn an_uplink_that_gets_nothing_back_is_down_and_on_trial_again() {
    let mut lab = Lab::new(LISTENING);
    let ids = lab.gateway.controller.uplinks().iter().map(ControlledUplink::id);
    assert!(ids.eq([0, 1]));
    for _ in 0..20 {
        assert_eq!(lab.pass([(1, 0), (100, 100)]), None);
    }
    assert_eq!(lab.pass([(1, 0), (100, 100)]), Some(vec![State::Down]));
    let reason = lab.fiber().verdict().reason.to_string();
    assert_eq!(reason, "21 packets sent in 2s, and none received");
    assert_eq!(lab.gateway.controller.alive(), 0b10, "the other one carries on");
    assert!(lab.fiber().path().is_suspect);
    for _ in 0..49 {
        assert_eq!(lab.pass([(0, 0), (101, 101)]).unwrap_or_default(), []);
        assert_eq!(lab.fiber().verdict().state, State::Down);
    }
    assert_eq!(lab.pass([(0, 0), (101, 101)]), Some(vec![State::Up]));
    assert_eq!(lab.gateway.controller.alive(), 0b11);
}

/// By default it is probed more often, and nothing else.
#[test]
fn a_suspect_uplink_is_probed_more_often() {
    let mut lab = Lab::new(
        &LISTENING.replace("passive = { action = \"down\", retry = \"5s\" }", "hold_down = \"0s\""),
    );
    for _ in 0..20 {
        assert_eq!(lab.pass([(1, 0), (0, 0)]), None);
    }
    assert!(!lab.fiber().path().is_suspect);
    assert_eq!(lab.pass([(1, 0), (0, 0)]), Some(vec![]));
    assert!(lab.fiber().path().is_suspect);
    assert_eq!(lab.fiber().suspicion(lab.gateway.now).map(|silent| silent.packets), Some(21));
    assert_eq!(lab.fiber().verdict().state, State::Up);
    assert_eq!(lab.pass([(1, 1), (0, 0)]), Some(vec![]));
    assert!(!lab.fiber().path().is_suspect);
}

/// What was sent while there was no carrier says nothing, nor what was believed before.
#[test]
fn an_obstacle_excuses() {
    for silent in [15, 20, 21] {
        let mut lab = Lab::new(LISTENING);
        for number in 1..=silent {
            let changes = lab.pass([(1, 0), (0, 0)]);
            assert_eq!(changes, (number == 21).then(|| vec![State::Down]));
        }
        lab.gateway.update(Update::Fact(link(FIBER, "wan0", false)));
        lab.pass([(1, 0), (0, 0)]);
        lab.gateway.update(Update::Fact(link(FIBER, "wan0", true)));
        assert_eq!(lab.fiber().verdict().state, State::Up, "after {silent} samples");
        for _ in 0..20 {
            assert_eq!(lab.pass([(1, 0), (0, 0)]), None);
        }
        assert_eq!(lab.pass([(1, 0), (0, 0)]), Some(vec![State::Down]));
    }
}

/// With another next hop, all may be well.
#[test]
fn another_gateway_is_another_matter() {
    let mut lab = Lab::new(LISTENING);
    for _ in 0..21 {
        lab.pass([(1, 0), (0, 0)]);
    }
    assert_eq!(lab.fiber().verdict().state, State::Down);
    let moved = Ipv4Addr::new(203, 0, 113, 9);
    lab.gateway.update(Update::Fact(resolved(FIBER, moved)));
    let text = LISTENING.replace("203.0.113.1", "203.0.113.9");
    let now = lab.gateway.now;
    lab.gateway.controller.configure(config(&[&text, CABLE_CONFIG]), now);
    assert_eq!(lab.pass([(1, 0), (0, 0)]), Some(vec![State::Up]));
}

/// A probe that is answered from beyond the provider's router says that packets get through; one of that
/// router's MAC does not.
#[test]
fn probes_have_the_last_word() {
    for (probe, id, state) in [
        ("kind = \"icmp\", target = \"192.0.2.53\"", "icmp 192.0.2.53", State::Up),
        ("kind = \"arp\"", "arp gateway", State::Down),
        // Nor does that router itself.
        ("kind = \"icmp\", target = \"203.0.113.1\"", "icmp 203.0.113.1", State::Down),
    ] {
        let probes = format!("health = {{ probes = [{{ {probe} }}], ");
        let mut lab = Lab::new(&LISTENING.replace("health = { ", &probes));
        for _ in 0..40 {
            lab.pass([(1, 0), (0, 0)]);
            let event = ProbeEvent {
                probe: ProbeId::new(id),
                sent_at: lab.gateway.now,
                is_extra: false,
                outcome: Outcome::Answered { rtt: SAMPLE / 10 },
            };
            lab.gateway.controller.probed("fiber", event, lab.gateway.now);
        }
        assert_eq!(lab.fiber().verdict().state, state, "{probe}");
    }
}

#[test]
fn a_probe_that_is_answered_takes_the_verdict_back() {
    let probe = "kind = \"icmp\", target = \"192.0.2.53\"";
    let probes = format!("health = {{ up_after = 1, probes = [{{ {probe} }}], ");
    let mut lab = Lab::new(&LISTENING.replace("health = { ", &probes));
    let answer = |lab: &mut Lab| {
        let event = ProbeEvent {
            probe: ProbeId::new("icmp 192.0.2.53"),
            sent_at: lab.gateway.now,
            is_extra: false,
            outcome: Outcome::Answered { rtt: SAMPLE / 10 },
        };
        lab.gateway.controller.probed("fiber", event, lab.gateway.now);
    };
    answer(&mut lab);
    assert_eq!(lab.fiber().verdict().state, State::Up);
    for _ in 0..30 {
        lab.pass([(1, 0), (0, 0)]);
    }
    assert_eq!(lab.fiber().verdict().state, State::Down);
    answer(&mut lab);
    assert_eq!(lab.fiber().verdict().state, State::Up);
}

/// Probes that are sent besides do not make a share of all that is measured.
#[test]
fn only_so_many_probes_are_measured() {
    let probes = "health = { interval = \"1s\", probes = [{ kind = \"icmp\", target = \"192.0.2.53\" }], \
                  down_after = 100, ";
    let mut lab = Lab::new(&LISTENING.replace("health = { ", probes));
    let probe = |lab: &mut Lab, outcome: &Outcome, is_extra: bool| {
        lab.gateway.now += Duration::from_millis(250);
        let (probe, sent_at) = (ProbeId::new("icmp 192.0.2.53"), lab.gateway.now);
        let event = ProbeEvent { probe, sent_at, is_extra, outcome: outcome.clone() };
        lab.gateway.controller.probed("fiber", event, lab.gateway.now);
    };
    let answered = Outcome::Answered { rtt: SAMPLE / 10 };
    for _ in 0..4 {
        probe(&mut lab, &answered, false);
    }
    for number in 0..16 {
        probe(&mut lab, &Outcome::Lost, number % 4 != 0);
    }
    let loss = lab.fiber().monitor().quality(lab.gateway.now).loss_ppm;
    assert_eq!(loss, Some(500_000));
}

/// Without rules, silence means nothing.
#[test]
fn without_health_nothing_is_listened_for() {
    let mut lab = Lab::new(&LISTENING[..LISTENING.find("health").unwrap()]);
    for _ in 0..100 {
        assert_eq!(lab.pass([(1, 0), (0, 0)]), None);
    }
    assert!(!lab.fiber().path().is_suspect);
}
