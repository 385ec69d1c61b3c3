use std::time::Duration;

use proptest::prelude::*;

use super::*;

mod inheritance;
mod quorum;

const GATEWAY: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
const TARGET: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 53);
const OTHER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 54);
const THRESHOLDS: Thresholds = Thresholds { down_after: 3, up_after: 2, quorum: Quorum::Any };

fn ids(targets: &[Ipv4Addr]) -> Vec<ProbeId> {
    targets.iter().map(|target| ProbeId::icmp(*target)).collect()
}

/// An uplink, and a clock that goes on by a second with every event.
struct Lab {
    health: Health,
    now: Instant,
}

impl Lab {
    /// Nothing is known of the uplink.
    fn new(targets: &[Ipv4Addr]) -> Self {
        let now = Instant::now();
        Self { health: Health::new("wan0", &ids(targets), THRESHOLDS, now), now }
    }

    /// Carrier, address and next hop are there.
    fn ready(targets: &[Ipv4Addr]) -> Self {
        let mut lab = Self::new(targets);
        lab.apply(Event::Interface(Interface::Running));
        lab.apply(Event::Address(true));
        lab.apply(Event::NextHop(NextHop::Resolved(GATEWAY)));
        lab
    }

    /// As [`Lab::ready`], and a probe has been answered.
    fn up(targets: &[Ipv4Addr]) -> Self {
        let mut lab = Self::ready(targets);
        lab.probe(targets[0], true);
        assert_eq!(lab.state(), State::Up);
        lab
    }

    fn apply(&mut self, event: Event) -> State {
        self.now += Duration::from_secs(1);
        let before = self.health.verdict().clone();
        let changed = self.health.apply(event, self.now);
        let after = self.health.verdict();
        assert_eq!(changed, before.state != after.state);
        assert_eq!(after.since, if changed { self.now } else { before.since });
        after.state
    }

    fn probe(&mut self, target: Ipv4Addr, answered: bool) -> State {
        let sent_at = self.now;
        self.apply(Event::Probe { probe: ProbeId::icmp(target), sent_at, answered })
    }

    fn probes(&mut self, target: Ipv4Addr, answered: bool, count: u32) {
        for _ in 0..count {
            self.probe(target, answered);
        }
    }

    fn state(&self) -> State {
        self.health.verdict().state
    }

    fn reason(&self) -> String {
        self.health.verdict().reason.to_string()
    }
}

#[test]
fn it_says_what_is_missing_until_nothing_is() {
    let mut lab = Lab::new(&[]);
    assert_eq!(lab.reason(), "there is no interface wan0");
    for (event, state, reason) in [
        (Event::Interface(Interface::Down), State::Down, "wan0 is set down"),
        (Event::Interface(Interface::NoCarrier), State::Down, "no carrier on wan0"),
        (Event::Interface(Interface::Running), State::Down, "no address on wan0"),
        (Event::Address(true), State::Down, "no next hop is known on wan0"),
        (
            Event::NextHop(NextHop::Resolving(GATEWAY)),
            State::Testing,
            "asking next hop 203.0.113.1 for its MAC",
        ),
        (
            Event::NextHop(NextHop::Resolved(GATEWAY)),
            State::Up,
            "carrier, address and next hop are there",
        ),
    ] {
        assert_eq!(lab.apply(event.clone()), state, "{event:?}");
        assert_eq!(lab.reason(), reason);
    }
}

#[test]
fn the_first_answer_brings_an_uplink_up_that_never_failed() {
    let mut lab = Lab::ready(&[TARGET]);
    assert_eq!(lab.state(), State::Testing);
    assert_eq!(lab.reason(), "0 of 1 probes answered so far");
    assert_eq!(lab.probe(TARGET, true), State::Up);
    assert_eq!(lab.reason(), "probes answered");
}

#[test]
fn an_uplink_that_never_answers_goes_down() {
    let mut lab = Lab::ready(&[TARGET]);
    lab.probe(TARGET, false);
    assert_eq!(lab.probe(TARGET, false), State::Testing);
    assert_eq!(lab.probe(TARGET, false), State::Down);
    assert_eq!(lab.reason(), "3 probes of icmp 192.0.2.53 failed");
}

#[test]
fn losses_count_only_one_after_the_other() {
    let mut lab = Lab::up(&[TARGET]);
    for _ in 0..10 {
        lab.probe(TARGET, false);
        lab.probe(TARGET, false);
        assert_eq!(lab.probe(TARGET, true), State::Up);
    }
}

#[test]
fn an_uplink_that_failed_needs_several_answers_one_after_the_other() {
    let mut lab = Lab::up(&[TARGET]);
    lab.probes(TARGET, false, 3);
    assert_eq!(lab.state(), State::Down);
    assert_eq!(lab.probe(TARGET, true), State::Down);
    assert_eq!(lab.reason(), "1 of 2 probes answered so far");
    lab.probe(TARGET, false);
    assert_eq!(lab.probe(TARGET, true), State::Down);
    assert_eq!(lab.probe(TARGET, true), State::Up);
}

#[test]
fn one_target_that_answers_is_enough() {
    let mut lab = Lab::up(&[TARGET, OTHER]);
    for _ in 0..10 {
        lab.probe(TARGET, false);
        assert_eq!(lab.probe(OTHER, true), State::Up);
    }
    lab.probe(OTHER, false);
    assert_eq!(lab.probe(OTHER, false), State::Up);
    assert_eq!(lab.probe(OTHER, false), State::Down);
    assert_eq!(lab.reason(), "3 probes of each of icmp 192.0.2.53, icmp 192.0.2.54 failed");
}

#[test]
fn a_loss_that_becomes_known_after_a_later_answer_does_not_count() {
    let mut lab = Lab::up(&[TARGET]);
    let sent_at = lab.now;
    lab.probe(TARGET, true);
    let loss = Event::Probe { probe: ProbeId::icmp(TARGET), sent_at, answered: false };
    for _ in 0..10 {
        assert_eq!(lab.apply(loss.clone()), State::Up);
    }
}

#[test]
fn a_target_that_is_not_asked_for_does_not_count() {
    let mut lab = Lab::ready(&[TARGET]);
    assert_eq!(lab.probe(OTHER, true), State::Testing);
}

#[test]
fn every_obstacle_takes_it_down_at_once() {
    for (event, reason) in [
        (Event::Interface(Interface::NoCarrier), "no carrier on wan0"),
        (Event::Interface(Interface::Down), "wan0 is set down"),
        (Event::Interface(Interface::Missing), "there is no interface wan0"),
        (Event::Address(false), "no address on wan0"),
        (Event::NextHop(NextHop::Unknown), "no next hop is known on wan0"),
        (Event::NextHop(NextHop::Silent(GATEWAY)), "next hop 203.0.113.1 does not answer ARP"),
    ] {
        let mut lab = Lab::up(&[TARGET]);
        assert_eq!(lab.apply(event.clone()), State::Down, "{event:?}");
        assert_eq!(lab.reason(), reason);
    }
}

#[test]
fn after_a_carrier_loss_probes_have_to_be_answered_anew() {
    let mut lab = Lab::up(&[TARGET]);
    lab.probes(TARGET, true, 5);
    let sent_before = lab.now;
    lab.apply(Event::Interface(Interface::NoCarrier));
    lab.probe(TARGET, true);
    assert_eq!(lab.apply(Event::Interface(Interface::Running)), State::Down);
    assert_eq!(lab.reason(), "0 of 2 probes answered so far");
    let probe = ProbeId::icmp(TARGET);
    let stale = Event::Probe { probe, sent_at: sent_before, answered: true };
    lab.apply(stale.clone());
    assert_eq!(lab.apply(stale), State::Down, "sent before the carrier came back");
    lab.probe(TARGET, true);
    assert_eq!(lab.probe(TARGET, true), State::Up);
}

#[test]
fn without_probes_it_is_up_again_when_the_carrier_is() {
    let mut lab = Lab::ready(&[]);
    assert_eq!(lab.state(), State::Up);
    assert_eq!(lab.apply(Event::Interface(Interface::NoCarrier)), State::Down);
    assert_eq!(lab.apply(Event::Interface(Interface::Running)), State::Up);
}

#[test]
fn an_uplink_that_is_up_stays_so_while_its_next_hop_is_confirmed() {
    let mut lab = Lab::up(&[TARGET]);
    assert_eq!(lab.apply(Event::NextHop(NextHop::Resolving(GATEWAY))), State::Up);
    lab.probes(TARGET, false, 2);
    assert_eq!(lab.probe(TARGET, false), State::Down, "but its probes still count");
}

#[test]
fn probes_that_fail_while_the_next_hop_is_looked_for_do_not_count() {
    let mut lab = Lab::ready(&[TARGET]);
    lab.apply(Event::NextHop(NextHop::Resolving(GATEWAY)));
    for _ in 0..10 {
        assert_eq!(lab.probe(TARGET, false), State::Testing);
    }
    let sent_before = lab.now;
    lab.apply(Event::NextHop(NextHop::Resolved(GATEWAY)));
    for _ in 0..3 {
        let probe = ProbeId::icmp(TARGET);
        lab.apply(Event::Probe { probe, sent_at: sent_before, answered: false });
    }
    assert_eq!(lab.probe(TARGET, true), State::Up, "trusted at the first answer all the same");
}

#[test]
fn a_new_configuration_keeps_what_is_known() {
    let mut lab = Lab::up(&[TARGET]);
    lab.probe(TARGET, false);
    let strict = Thresholds { down_after: 1, up_after: 1, ..THRESHOLDS };
    assert!(!lab.health.reconfigure(&ids(&[TARGET, OTHER]), strict, lab.now));
    assert!(lab.health.reconfigure(&ids(&[TARGET]), strict, lab.now));
    assert_eq!(lab.state(), State::Down);
    assert!(lab.health.reconfigure(&[], strict, lab.now));
    assert_eq!(lab.reason(), "carrier, address and next hop are there");
}

#[test]
fn thresholds_of_zero_are_taken_as_one() {
    let mut lab = Lab::ready(&[TARGET]);
    let zero = Thresholds { down_after: 0, up_after: 0, ..THRESHOLDS };
    lab.health.reconfigure(&ids(&[TARGET]), zero, lab.now);
    assert_eq!(lab.state(), State::Testing);
    assert_eq!(lab.probe(TARGET, false), State::Down);
    assert_eq!(lab.probe(TARGET, true), State::Up);
}

fn event() -> impl Strategy<Value = (Event, bool)> {
    let next_hop = prop_oneof![
        Just(NextHop::Unknown),
        Just(NextHop::Resolving(GATEWAY)),
        Just(NextHop::Silent(GATEWAY)),
        Just(NextHop::Resolved(GATEWAY)),
    ];
    let interface = prop_oneof![
        Just(Interface::Missing),
        Just(Interface::Down),
        Just(Interface::NoCarrier),
        Just(Interface::Running),
    ];
    let sent_at = Instant::now();
    let probe = (any::<bool>(), any::<bool>()).prop_map(move |(first, answered)| {
        let probe = ProbeId::icmp(if first { TARGET } else { OTHER });
        Event::Probe { probe, sent_at, answered }
    });
    let bfd = prop_oneof![
        Just(Bfd::None),
        Just(Bfd::HeldDown),
        Just(Bfd::HeldHere),
        Just(Bfd::Waiting),
        Just(Bfd::Up),
        Just(Bfd::Down(Diagnostic::DETECTION_TIME_EXPIRED)),
        Just(Bfd::Failed("no such device".to_owned())),
    ];
    let event = prop_oneof![
        1 => bfd.prop_map(Event::Bfd),
        1 => interface.prop_map(Event::Interface),
        1 => any::<bool>().prop_map(Event::Address),
        1 => next_hop.prop_map(Event::NextHop),
        12 => probe,
    ];
    // Whether the probe was sent just now, or before all else.
    (event, any::<bool>())
}

proptest! {
    #[test]
    fn an_uplink_is_up_only_for_good_reason(
        ready in any::<bool>(),
        targets in 0usize..3,
        events in proptest::collection::vec(event(), 1..60),
    ) {
        let targets = &[TARGET, OTHER][..targets];
        let mut lab = if ready { Lab::ready(targets) } else { Lab::new(targets) };
        for (mut event, fresh) in events {
            if let Event::Probe { sent_at, .. } = &mut event && fresh {
                *sent_at = lab.now;
            }
            let before = lab.state();
            // Asserts that the state's beginning moves with the state and only then.
            let after = lab.apply(event.clone());
            let health = &lab.health;
            let usable = health.interface == Interface::Running
                && health.has_address
                && matches!(health.next_hop, NextHop::Resolved(_) | NextHop::Resolving(_));
            prop_assert!(usable || after == State::Down, "{:?}", health);
            let silent = matches!(health.bfd, Bfd::Waiting | Bfd::Down(_) | Bfd::Failed(_));
            prop_assert!(!silent || after != State::Up, "{:?}", health);
            let reason = &health.verdict().reason;
            let good = matches!(reason, Reason::Ready | Reason::ProbesAnswered);
            prop_assert_eq!(after == State::Up, good, "{:?}", health);
            if let Event::Probe { answered, .. } = event {
                let worse = before != State::Down && after == State::Down;
                let better = before != State::Up && after == State::Up;
                prop_assert!(if answered { !worse } else { !better }, "{:?}", health);
            } else {
                // To say again what is known already changes nothing.
                let verdict = health.verdict().clone();
                lab.apply(event);
                prop_assert_eq!(lab.health.verdict(), &verdict);
            }
        }
    }
}
