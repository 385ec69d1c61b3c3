//! Uplinks that work and are not good, or not for long.

use proptest::prelude::*;

use super::*;
use crate::probe::{Outcome, ProbeEvent, ProbeId};

pub(super) const TARGET: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 53);
const INTERVAL: Duration = Duration::from_millis(100);
const PROBES: &str = "health.probes = [{ kind = \"icmp\", target = \"192.0.2.53\" }]\n";
const LOSS: &str = "health.sla.degraded.loss = { enter = \"20%\", leave = \"5%\" }\n\
                    health.down_after = 100\n";
const RTT: Option<Duration> = Some(Duration::from_millis(10));

/// A gateway whose uplinks are probed, and have answered once, with these more lines of each.
pub(super) fn probed(fiber: &str, cable: &str, group: &str) -> Gateway {
    let uplinks =
        [format!("{FIBER_CONFIG}{PROBES}{fiber}"), format!("{CABLE_CONFIG}{PROBES}{cable}")];
    let mut gateway = Gateway::bare(&[&uplinks[0], &uplinks[1], group], Fake::default());
    assert!(gateway.update(Update::Resync(host())).is_empty());
    gateway.probe("fiber", RTT);
    gateway.probe("cable", RTT);
    assert_eq!(gateway.dataplane.alive, BOTH);
    gateway.log();
    gateway.dataplane.bucket_writes = 0;
    gateway
}

fn event(rtt: Option<Duration>, now: Instant) -> ProbeEvent {
    let outcome = rtt.map_or(Outcome::Lost, |rtt| Outcome::Answered { rtt });
    ProbeEvent { probe: ProbeId::icmp(TARGET), sent_at: now, is_extra: false, outcome }
}

impl Gateway {
    /// Has a probe answered after so long, or lost, and writes what follows. Returns who has changed.
    pub(super) fn probe(&mut self, uplink: &str, rtt: Option<Duration>) -> Vec<Change> {
        let changes = self.controller.probed(uplink, event(rtt, self.now), self.now);
        if !changes.is_empty() {
            assert!(self.install().is_empty());
        }
        changes
    }

    /// The same of many, from one to the next an interval.
    pub(super) fn probes(&mut self, uplinks: &[&str], rtt: Option<Duration>, count: u32) {
        for _ in 0..count {
            self.now += INTERVAL;
            for uplink in uplinks {
                self.probe(uplink, rtt);
            }
        }
    }

    fn preferred(&self) -> u64 {
        self.dataplane.groups[&0].preferred
    }
}

#[test]
fn a_path_that_is_not_good_loses_its_preference_and_no_flow() {
    let mut gateway = probed(LOSS, "", "");
    gateway.probes(&["fiber"], RTT, 50);
    gateway.probes(&["fiber"], None, 15);
    assert_eq!(gateway.log(), ["group 0"], "one write, and it is alive all the time");
    assert_eq!((gateway.preferred(), gateway.dataplane.alive), (0b10, BOTH));
    assert_eq!(gateway.dataplane.groups[&0].usable, BOTH);
    let (state, reason) = gateway.state(0);
    assert_eq!(state, State::Degraded);
    assert!(reason.starts_with("service level: loss "), "{reason}");
    gateway.probes(&["fiber"], RTT, 100);
    assert_eq!(gateway.log(), ["group 0"]);
    assert_eq!(gateway.preferred(), BOTH);
    assert_eq!(gateway.dataplane.bucket_writes, 0);
}

#[test]
fn one_that_returns_and_is_not_good_is_not_preferred_before_it_is_alive() {
    let mut gateway = probed(LOSS, "", "");
    gateway.probes(&["fiber"], None, 15);
    gateway.fact(link(FIBER, "wan0", false));
    assert_eq!(gateway.log(), ["group 0", "alive 10", "group 0"]);
    gateway.fact(link(FIBER, "wan0", true));
    gateway.probes(&["fiber"], RTT, 3);
    assert_eq!(gateway.state(0).0, State::Degraded);
    assert_eq!(gateway.log(), ["group 0", "alive 11"]);
    assert_eq!(gateway.preferred(), 0b10);
}

#[test]
fn time_alone_brings_back_what_is_held_down() {
    let hold_down = |seconds| format!("health.hold_down = \"{seconds}s\"\n");
    let mut gateway = probed(&hold_down(5), &hold_down(3), "");
    for (ifindex, name) in [(FIBER, "wan0"), (CABLE, "wan1")] {
        gateway.fact(link(ifindex, name, false));
        gateway.fact(link(ifindex, name, true));
    }
    assert_eq!(gateway.controller.deadline(), None, "first, they have to answer");
    gateway.probes(&["fiber", "cable"], RTT, 3);
    let well_since = gateway.now;
    for (seconds, returns) in [(3, "cable"), (5, "fiber")] {
        let deadline = gateway.controller.deadline();
        assert_eq!(deadline, Some(well_since + Duration::from_secs(seconds)));
        gateway.now = deadline.expect("one is held down") - Duration::from_millis(1);
        assert_eq!(gateway.controller.tick(gateway.now), []);
        gateway.now += Duration::from_millis(1);
        let mut changes = gateway.controller.tick(gateway.now);
        // Until one was up, the other was the last resort.
        changes.retain(|change| change.verdict.state == State::Up);
        let returned: Vec<_> = changes.iter().map(|change| &*change.uplink).collect();
        assert_eq!(returned, [returns]);
    }
    assert_eq!(gateway.controller.deadline(), None);
    assert!(gateway.install().is_empty());
    assert_eq!(gateway.dataplane.alive, BOTH);
}

#[test]
fn hold_down_and_dampening_need_no_probes() {
    let fiber = format!("{FIBER_CONFIG}health.dampening = {{}}\n");
    let mut gateway = Gateway::bare(&[&fiber, CABLE_CONFIG], Fake::default());
    gateway.update(Update::Resync(host()));
    for _ in 0..3 {
        assert_eq!(gateway.dataplane.alive, BOTH);
        gateway.fact(link(FIBER, "wan0", false));
        gateway.fact(link(FIBER, "wan0", true));
    }
    assert_eq!(gateway.dataplane.alive, 0b10);
    assert_eq!(gateway.state(0), (State::Down, "dampened: flapped 3 times".into()));
    gateway.now = gateway.controller.deadline().expect("it is dampened");
    gateway.controller.tick(gateway.now);
    assert_eq!(gateway.state(0).0, State::Up);
}

/// Something that happens to an uplink.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Probe(Option<Duration>),
    Carrier(bool),
    Address(bool),
    NextHop(bool),
}

fn trouble() -> impl Strategy<Value = Trouble> {
    prop_oneof![
        8 => proptest::option::of((1_u64..500).prop_map(Duration::from_millis)).prop_map(Trouble::Probe),
        1 => any::<bool>().prop_map(Trouble::Carrier),
        1 => any::<bool>().prop_map(Trouble::Address),
        1 => any::<bool>().prop_map(Trouble::NextHop),
    ]
}

fn suffer(controller: &mut Controller, is_fiber: bool, trouble: Trouble, now: Instant) {
    let (uplink, ifindex, interface, gateway, own) = if is_fiber {
        ("fiber", FIBER, "wan0", FIBER_GATEWAY, [203, 0, 113, 2])
    } else {
        ("cable", CABLE, "wan1", CABLE_GATEWAY, [198, 51, 100, 2])
    };
    let fact = match trouble {
        Trouble::Probe(rtt) => {
            controller.probed(uplink, event(rtt, now), now);
            return;
        }
        Trouble::Carrier(is_there) => link(ifindex, interface, is_there),
        Trouble::Address(true) => has_address(ifindex, own),
        Trouble::Address(false) => Fact::AddressGone(address(ifindex, own)),
        Trouble::NextHop(true) => resolved(ifindex, gateway),
        Trouble::NextHop(false) => neighbour(ifindex, gateway, None, NeighbourState::Failed),
    };
    controller.update(Update::Fact(fact), now);
}

/// Beside a gateway in which only the one uplink has troubles, that uplink is the same.
#[test]
fn the_trouble_of_one_uplink_is_no_other_s() {
    let keys = "health.sla = { min_samples = 2, degraded = { loss = { enter = \"20%\", leave = \"5%\" } } }\n\
                health.hold_down = \"1s\"\nhealth.dampening = { half_life = \"5s\" }\n";
    let Gateway { controller, now: start, .. } = probed(keys, keys, "");
    let troubles = proptest::collection::vec((any::<bool>(), trouble(), 0_u64..3000), 1..80);
    proptest!(|(troubles in troubles)| {
        let (mut both, mut alone, mut now) = (controller.clone(), controller.clone(), start);
        for (is_fiber, trouble, pause) in troubles {
            now += Duration::from_millis(pause);
            suffer(&mut both, is_fiber, trouble, now);
            if is_fiber {
                suffer(&mut alone, true, trouble, now);
            } else {
                alone.tick(now);
            }
            prop_assert_eq!(both.uplinks()[0].verdict(), alone.uplinks()[0].verdict());
        }
    });
}
