//! Uplinks that have BFD sessions.

use super::sla::TARGET;
use super::*;
use crate::bfd::{Diagnostic, Event};
use crate::probe::{Outcome, ProbeEvent, ProbeId};

const BFD: &str = "health.bfd = {}\n";
const PROBES: &str = "health.probes = [{ kind = \"icmp\", target = \"192.0.2.53\" }]\n";

impl Gateway {
    /// A gateway whose uplinks have these lines more.
    fn with_health(fiber: &str, cable: &str) -> Self {
        let uplinks = [format!("{FIBER_CONFIG}{fiber}"), format!("{CABLE_CONFIG}{cable}")];
        let mut gateway = Self::bare(&[&uplinks[0], &uplinks[1]], Fake::default());
        assert!(gateway.update(Update::Resync(host())).is_empty());
        gateway
    }

    fn session(&mut self, uplink: &str, event: Event) -> Vec<Change> {
        let changes = self.controller.bfd(uplink, event, self.now);
        assert!(self.install().is_empty());
        changes
    }

    fn wants_session(&self, uplink: &str) -> bool {
        self.controller.bfd_sessions().contains_key(uplink)
    }
}

#[test]
fn an_uplink_is_what_its_session_is() {
    let mut gateway = Gateway::with_health(BFD, "");
    assert_eq!(gateway.dataplane.alive, 0b10);
    assert_eq!(gateway.state(0).1, "waiting for the BFD session to come up");
    for (event, alive) in [
        (Event::Started, 0b10),
        (Event::Up, BOTH),
        (Event::Agreed { transmit: Duration::ZERO, detection: Duration::ZERO }, BOTH),
        (Event::Down(Diagnostic::DETECTION_TIME_EXPIRED), 0b10),
        (Event::HeldDown, BOTH),
        (Event::Failed(std::io::ErrorKind::AddrInUse.into()), 0b10),
        (Event::Started, 0b10),
        (Event::HeldDown, BOTH),
        (Event::Ended, 0b10),
    ] {
        let what = format!("{event:?}");
        gateway.session("fiber", event);
        assert_eq!(gateway.dataplane.alive, alive, "{what}");
    }
    // Nobody else's, nor one that is not configured.
    assert_eq!(gateway.session("cable", Event::Down(Diagnostic::NONE)), []);
    assert_eq!(gateway.dataplane.alive, 0b10);
}

/// Its router may run no BFD at all.
#[test]
fn one_that_waits_for_a_session_is_a_last_resort() {
    let mut gateway = Gateway::with_health(BFD, BFD);
    assert_eq!(gateway.dataplane.alive.count_ones(), 1);
    gateway.session("cable", Event::Up);
    assert_eq!(gateway.dataplane.alive, 0b10);
    gateway.session("cable", Event::Down(Diagnostic::DETECTION_TIME_EXPIRED));
    assert_eq!(gateway.dataplane.alive.count_ones(), 1);
}

#[test]
fn there_is_a_session_as_long_as_there_is_a_way() {
    let mut gateway = Gateway::with_health(BFD, "");
    assert!(gateway.wants_session("fiber") && !gateway.wants_session("cable"));
    gateway.fact(Fact::AddressGone(address(FIBER, [203, 0, 113, 2])));
    assert!(!gateway.wants_session("fiber"));
    gateway.fact(has_address(FIBER, [203, 0, 113, 2]));
    assert!(gateway.wants_session("fiber"));
}

/// From a session to probes, and back: neither is taken for granted.
#[test]
fn a_reload_makes_nothing_fit_that_is_not() {
    let mut gateway = Gateway::with_health(BFD, "");
    gateway.session("fiber", Event::Up);
    gateway.session("fiber", Event::Down(Diagnostic::DETECTION_TIME_EXPIRED));
    let [bfd, probed] = [BFD, PROBES].map(|health| format!("{FIBER_CONFIG}{health}"));
    gateway.reload(&[&probed, CABLE_CONFIG]);
    assert_eq!(gateway.dataplane.alive, 0b10, "{:?}", gateway.state(0));
    for _ in 0..3 {
        let outcome = Outcome::Answered { rtt: Duration::from_millis(10) };
        let event = ProbeEvent { probe: ProbeId::icmp(TARGET), sent_at: gateway.now, outcome };
        gateway.controller.probed("fiber", event, gateway.now);
    }
    assert!(gateway.install().is_empty());
    assert_eq!(gateway.dataplane.alive, BOTH);
    let changes = gateway.controller.configure(config(&[&bfd, CABLE_CONFIG]), gateway.now);
    assert_eq!(changes.len(), 1, "it is told: {changes:?}");
    assert!(gateway.install().is_empty());
    assert_eq!(gateway.dataplane.alive, 0b10);
}
