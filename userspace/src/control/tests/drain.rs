//! Uplinks that are drained.

use pointsman_ebpf::abi::Inbound;

use super::ipv6::{CABLE_NPTV6, running};
use super::sla::probed;
use super::*;
use crate::bfd::{Diagnostic, Event};
use crate::uplink::Bfd;

const BFD: &str = "health.bfd = {}\n";
const ECHO: &str = "health.bfd = { mode = \"echo\" }\n";
const FIBER_BIT: u64 = 0b01;
const CABLE_BIT: u64 = 0b10;
const MINUTE: Duration = Duration::from_secs(60);

impl Gateway {
    fn drain(&mut self, uplink: &str, time: Option<Duration>) -> Result<(), DrainError> {
        let done = self.controller.drain(uplink, time, false, self.now);
        assert!(self.install().is_empty());
        done.map(drop)
    }

    fn drain_by_force(&mut self, uplink: &str) {
        self.controller.drain(uplink, None, true, self.now).unwrap();
        assert!(self.install().is_empty());
    }

    fn undrain(&mut self, uplink: &str) {
        self.controller.undrain(uplink, self.now).unwrap();
        assert!(self.install().is_empty());
    }

    /// Lets time pass as the daemon does: to each deadline.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(deadline) = self.controller.deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.controller.tick(self.now);
            assert!(self.install().is_empty());
            assert!(self.controller.deadline().is_none_or(|next| next > self.now), "it would spin");
        }
        self.now = end;
    }

    /// Who takes new flows, and who of them comes first, as far as the group says.
    fn usable(&self) -> (u64, u64) {
        let group = self.dataplane.groups[&0];
        (group.usable, group.preferred)
    }

    fn in_use(&self) -> Vec<&str> {
        self.controller.drained_in_use().map(|uplink| &*uplink.config().name).collect()
    }

    fn told(&mut self, uplink: &str, event: Event) {
        self.controller.bfd(uplink, event, self.now);
        assert!(self.install().is_empty());
    }

    /// Whether the session of fiber is held down, and what it says of the uplink.
    fn session_of_fiber(&self) -> (bool, Bfd) {
        let is_held = self.controller.bfd_sessions()["fiber"].is_held;
        let session = self.controller.uplinks()[0].session();
        assert_eq!(session.is_held(), is_held);
        (is_held, session.evidence())
    }
}

fn with_health(fiber: &str) -> Gateway {
    let fiber = format!("{FIBER_CONFIG}{fiber}");
    let mut gateway = Gateway::bare(&[&fiber, CABLE_CONFIG], Fake::default());
    assert!(gateway.update(Update::Resync(host())).is_empty());
    gateway
}

#[test]
fn a_drained_uplink_takes_no_new_flows_and_keeps_its_own() {
    let mut gateway = Gateway::running();
    assert_eq!(gateway.usable(), (BOTH, BOTH));
    gateway.drain("fiber", None).unwrap();
    assert_eq!(gateway.usable(), (CABLE_BIT, CABLE_BIT));
    assert_eq!((gateway.dataplane.alive, gateway.dataplane.settings.closed), (BOTH, FIBER_BIT));
    assert_eq!(gateway.dataplane.bucket_writes, 0);
    assert_eq!(gateway.controller.deadline(), None);
    gateway.pass(100 * MINUTE);
    assert_eq!(gateway.usable(), (CABLE_BIT, CABLE_BIT));
    gateway.undrain("fiber");
    assert_eq!(gateway.usable(), (BOTH, BOTH));
    gateway.undrain("fiber");
    assert_eq!(gateway.usable(), (BOTH, BOTH));
}

#[test]
fn a_drain_ends_when_its_time_is_over() {
    let mut gateway = Gateway::running();
    gateway.drain("fiber", Some(30 * MINUTE)).unwrap();
    gateway.pass(10 * MINUTE);
    // From now on.
    gateway.drain("fiber", Some(30 * MINUTE)).unwrap();
    let tick = Duration::from_nanos(1);
    gateway.pass(30 * MINUTE - tick);
    assert_eq!(gateway.usable(), (CABLE_BIT, CABLE_BIT));
    gateway.pass(tick);
    assert_eq!(gateway.usable(), (BOTH, BOTH));
    assert!(gateway.controller.drains().is_empty());
    // Beyond the end of the clock is for ever.
    gateway.drain("fiber", Some(Duration::MAX)).unwrap();
    assert_eq!(gateway.controller.drains()["fiber"], None);
}

#[test]
fn a_reload_keeps_it_as_long_as_there_is_the_uplink() {
    let mut gateway = Gateway::running();
    gateway.drain("cable", None).unwrap();
    gateway.reload(&[CABLE_CONFIG, FIBER_CONFIG]);
    assert_eq!(gateway.usable(), (FIBER_BIT, FIBER_BIT));
    // On another interface it is the same uplink to the operator.
    let moved = CABLE_CONFIG.replace("wan1", "wan9");
    gateway.reload(&[FIBER_CONFIG, &moved]);
    assert!(gateway.controller.uplinks()[1].is_drained);
    gateway.reload(&[FIBER_CONFIG]);
    assert!(gateway.controller.drains().is_empty());
    gateway.reload(&[FIBER_CONFIG, CABLE_CONFIG]);
    assert_eq!(gateway.usable().0.count_ones(), 2, "it is another one of that name");
}

#[test]
fn one_that_is_called_otherwise_stays_drained() {
    let mut gateway = Gateway::running();
    gateway.drain("cable", None).unwrap();
    gateway.reload(&[FIBER_CONFIG, &CABLE_CONFIG.replace("cable", "coax")]);
    assert_eq!(gateway.usable(), (FIBER_BIT, FIBER_BIT));
    assert!(gateway.controller.drains().keys().eq(["coax"]));
}

#[test]
fn what_was_drained_before_a_restart_is_so() {
    let mut gateway = Gateway::running();
    let until = gateway.now + MINUTE;
    let drains = [("cable", Some(until)), ("gone", None), ("fiber", Some(gateway.now))];
    let drains = drains.map(|(name, until)| (name.to_owned(), until));
    gateway.controller.restore_drains(drains.into(), gateway.now);
    assert!(gateway.install().is_empty());
    assert_eq!(*gateway.controller.drains(), [("cable".to_owned(), Some(until))].into());
    assert_eq!(gateway.usable(), (FIBER_BIT, FIBER_BIT));
}

#[test]
fn the_last_uplink_is_drained_by_force_only_and_carries_on() {
    let mut gateway = Gateway::running();
    gateway.drain("fiber", None).unwrap();
    let error = gateway.drain("cable", None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no other uplink that is up and not drained carries IPv4; undrain or repair one first, or drain \
         \"cable\" all the same with --force (\"force\": true)"
    );
    assert_eq!(gateway.controller.drains().len(), 1);
    gateway.drain("fiber", Some(MINUTE)).unwrap();
    gateway.drain_by_force("cable");
    assert_eq!((gateway.usable(), gateway.in_use()), ((BOTH, BOTH), vec!["fiber", "cable"]));
    assert_eq!(gateway.dataplane.settings.closed, 0, "nor is anyone kept out");
    gateway.undrain("cable");
    assert_eq!((gateway.usable(), gateway.in_use()), ((CABLE_BIT, CABLE_BIT), vec![]));
}

#[test]
fn the_only_one_of_a_kind_is_drained_by_force_only() {
    let routed = |prefix: &str| format!("ipv4 = {{ mode = \"nat44\", routed = \"{prefix}\" }}\n");
    let [fiber, cable] = [
        format!("{FIBER_CONFIG}{}", routed("192.0.2.0/24")),
        format!("{CABLE_CONFIG}{}", routed("192.0.2.128/25")),
    ];
    let mut gateway = Gateway::bare(&[&fiber, &cable], Fake::default());
    assert!(gateway.update(Update::Resync(host())).is_empty());
    let error = gateway.drain("fiber", None).unwrap_err();
    assert!(error.to_string().contains("carries 192.0.2.0/24 as it is;"), "{error}");
    assert!(gateway.controller.drains().is_empty());
}

#[test]
fn an_uplink_that_carries_nothing_may_be_drained() {
    let mut gateway = Gateway::running();
    gateway.fact(link(CABLE, "wan1", false));
    assert!(gateway.drain("fiber", None).is_err());
    gateway.drain("cable", None).unwrap();
    assert!(gateway.in_use().is_empty());
    gateway.fact(link(FIBER, "wan0", false));
    gateway.fact(link(CABLE, "wan1", true));
    assert_eq!((gateway.usable(), gateway.in_use()), ((BOTH, BOTH), vec!["cable"]));
}

#[test]
fn nobody_is_drained_who_is_not_there() {
    let mut gateway = Gateway::running();
    for (name, fix) in [
        ("fibre", "did you mean \"fiber\"?"),
        ("", "`pointsman status` names them"),
        ("satellite", "`pointsman status` names them"),
    ] {
        let expected = format!("no uplink is called {name:?}; {fix}");
        assert_eq!(gateway.drain(name, None).unwrap_err().to_string(), expected);
        let error = gateway.controller.undrain(name, gateway.now).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn where_the_others_die_a_drained_one_comes_before_what_is_down() {
    let mut gateway = probed("", "", "");
    gateway.drain("fiber", None).unwrap();
    gateway.probes(&["cable"], None, 3);
    assert_eq!(gateway.dataplane.alive, FIBER_BIT, "its own flows went on, and new ones have it");
    assert_eq!((gateway.usable(), gateway.in_use()), ((BOTH, BOTH), vec!["fiber"]));
    gateway.probes(&["cable"], Some(Duration::from_millis(10)), 3);
    assert_eq!(gateway.dataplane.alive, BOTH);
    assert_eq!((gateway.usable(), gateway.in_use()), ((CABLE_BIT, CABLE_BIT), vec![]));
}

#[test]
fn of_those_that_are_down_the_drained_one_is_spared() {
    let mut gateway = probed("", "", "");
    gateway.drain("fiber", None).unwrap();
    // It was good for longer.
    gateway.probes(&["cable"], None, 3);
    gateway.probes(&["fiber"], None, 3);
    assert_eq!(gateway.dataplane.alive, CABLE_BIT);
    assert_eq!(gateway.usable().0, CABLE_BIT);
    gateway.fact(link(CABLE, "wan1", false));
    assert_eq!(gateway.dataplane.alive, FIBER_BIT);
    assert_eq!((gateway.usable().0, gateway.in_use()), (BOTH, vec!["fiber"]));
}

#[test]
fn its_session_is_held_down_and_the_uplink_is_not() {
    let mut gateway = with_health(BFD);
    gateway.told("fiber", Event::Up);
    assert_eq!((gateway.session_of_fiber(), gateway.dataplane.alive), ((false, Bfd::Up), BOTH));
    gateway.drain("fiber", None).unwrap();
    assert_eq!(gateway.session_of_fiber(), (true, Bfd::HeldHere));
    // The other end follows.
    gateway.told("fiber", Event::HeldDown);
    gateway.pass(MINUTE);
    assert_eq!(gateway.dataplane.alive, BOTH);
    gateway.fact(link(FIBER, "wan0", false));
    assert_eq!(gateway.dataplane.alive, CABLE_BIT, "it is not taken for what it is not");
}

#[test]
fn a_session_that_is_let_go_has_its_time_to_come_up() {
    for comes_up in [true, false] {
        let mut gateway = with_health(BFD);
        gateway.told("fiber", Event::Up);
        gateway.drain("fiber", Some(MINUTE)).unwrap();
        gateway.pass(MINUTE);
        assert_eq!(gateway.session_of_fiber(), (false, Bfd::HeldHere));
        gateway.pass(Duration::from_secs(9));
        assert_eq!(gateway.dataplane.alive, BOTH);
        if comes_up {
            gateway.told("fiber", Event::Up);
            assert_eq!(gateway.session_of_fiber(), (false, Bfd::Up));
        }
        gateway.pass(Duration::from_secs(2));
        assert_eq!(gateway.dataplane.alive == BOTH, comes_up, "{:?}", gateway.state(0));
        gateway.told("fiber", Event::Up);
        gateway.told("fiber", Event::Down(Diagnostic::DETECTION_TIME_EXPIRED));
        assert_eq!(gateway.dataplane.alive, CABLE_BIT, "from then on it counts");
    }
}

#[test]
fn draining_a_dead_uplink_does_not_make_it_a_good_one() {
    let mut gateway = with_health(BFD);
    gateway.told("fiber", Event::Up);
    gateway.told("fiber", Event::Down(Diagnostic::DETECTION_TIME_EXPIRED));
    gateway.drain("fiber", None).unwrap();
    assert_eq!(gateway.dataplane.alive, CABLE_BIT);
    assert!(gateway.session_of_fiber().0);
    gateway.undrain("fiber");
    assert_eq!(gateway.dataplane.alive, CABLE_BIT);
    gateway.told("fiber", Event::Up);
    assert_eq!(gateway.dataplane.alive, BOTH);
}

/// Who sends to a provider's prefix has another way by another provider's; who sends to the site's own has not
/// chosen.
#[test]
fn what_comes_in_unasked_by_ipv6_has_to_take_another_way() {
    let routed = "mode = \"routed\", prefix = \"2001:db8:77::/48\", inbound = \"all\"";
    for (ipv6, open) in [(CABLE_NPTV6, Inbound::Answers), (routed, Inbound::All)] {
        let mut gateway = running(ipv6, CABLE_NPTV6.replace("db8:2:", "db8:3:").as_str());
        let inbound = |gateway: &Gateway| gateway.dataplane.uplinks6[&0].inbound;
        assert_eq!(inbound(&gateway), Inbound::All as u8);
        gateway.drain_by_force("fiber");
        assert_eq!(inbound(&gateway), open as u8);
        gateway.undrain("fiber");
        assert_eq!(inbound(&gateway), Inbound::All as u8);
    }
}

/// After a restart the session of a drained uplink never was up.
#[test]
fn one_that_is_drained_from_the_start_goes_by_its_other_evidence() {
    let fiber = format!("{FIBER_CONFIG}{BFD}");
    let mut gateway = Gateway::bare(&[&fiber, CABLE_CONFIG], Fake::default());
    gateway.controller.restore_drains([("fiber".to_owned(), None)].into(), gateway.now);
    assert!(gateway.update(Update::Resync(host())).is_empty());
    gateway.told("fiber", Event::Started);
    assert_eq!((gateway.dataplane.alive, gateway.session_of_fiber().0), (BOTH, true));
    assert_eq!(gateway.usable().0, CABLE_BIT);
}

/// Nobody else is told by it, and it says whether the uplink is there.
#[test]
fn an_echo_session_goes_on() {
    let mut gateway = with_health(ECHO);
    gateway.told("fiber", Event::Up);
    gateway.drain("fiber", None).unwrap();
    assert_eq!((gateway.session_of_fiber(), gateway.dataplane.alive), ((false, Bfd::Up), BOTH));
    gateway.told("fiber", Event::Down(Diagnostic::ECHO_FUNCTION_FAILED));
    assert_eq!(gateway.dataplane.alive, CABLE_BIT);
}
