//! Uplinks that have BFD sessions.

use super::sla::TARGET;
use super::*;
use pointsman_ebpf::abi::{L4Port, OwnPorts};

use crate::bfd::{Diagnostic, ECHO_PORT, Event, Way};
use crate::probe::{Outcome, ProbeEvent, ProbeId};

const BFD: &str = "health.bfd = {}\n";
const ECHO: &str = "health.bfd = { mode = \"echo\" }\n";
const OTHER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);
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

    /// The own address and the router's MAC, where an echo is wanted.
    fn echo(&self, uplink: &str) -> Option<(IpAddr, [u8; 6])> {
        match &self.controller.bfd_sessions().get(uplink)?.way {
            Way::Echo(way) => Some((way.address, way.router)),
            Way::Peer(_) => None,
        }
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

/// What comes back is to be nobody else's, and nobody asked for the port by a socket.
#[test]
fn the_port_of_echoes_is_not_handed_out_where_there_are_some() {
    for (health, expected) in [(ECHO, 1), (BFD, 0)] {
        let gateway = Gateway::with_health(health, "");
        let (word, bit) = OwnPorts::place(true, L4Port::from_host(ECHO_PORT));
        let ports = gateway.dataplane.own_ports.get(&word).copied().unwrap_or_default();
        assert_eq!(ports >> bit & 1, expected, "{health}");
    }
}

/// The last MAC that was known is good until there is another: the session is not to begin anew by that.
#[test]
fn an_echo_goes_by_the_gateway_from_the_uplinks_own_address() {
    let mut gateway = Gateway::with_health(ECHO, "");
    let own = IpAddr::from([203, 0, 113, 2]);
    assert_eq!(gateway.echo("fiber"), Some((own, gateway_mac(FIBER))));
    assert_eq!(gateway.controller.resolutions_due(gateway.now), []);
    gateway.fact(neighbour(FIBER, FIBER_GATEWAY, None, NeighbourState::Failed));
    assert_eq!(gateway.echo("fiber"), Some((own, gateway_mac(FIBER))));
    gateway.fact(neighbour(FIBER, FIBER_GATEWAY, Some([7; 6]), NeighbourState::Reachable));
    assert_eq!(gateway.echo("fiber"), Some((own, [7; 6])));
    gateway.fact(Fact::AddressGone(address(FIBER, [203, 0, 113, 2])));
    assert_eq!(gateway.echo("fiber"), None);
}

#[test]
fn the_kernel_is_asked_for_a_router_that_is_not_the_gateway() {
    let echo = format!("health.bfd = {{ mode = \"echo\", peer = \"{OTHER}\" }}\n");
    let mut gateway = Gateway::with_health(&echo, "");
    assert_eq!(gateway.echo("fiber"), None);
    let asked = [(FIBER, IpAddr::V4(OTHER))];
    assert_eq!(gateway.controller.resolutions_due(gateway.now), asked);
    assert_eq!(gateway.controller.resolutions_due(gateway.now), [], "once a second");
    gateway.fact(neighbour(FIBER, OTHER, Some([9; 6]), NeighbourState::Reachable));
    assert_eq!(gateway.echo("fiber").map(|(_, mac)| mac), Some([9; 6]));
    gateway.reload(&[&format!("{FIBER_CONFIG}{ECHO}"), CABLE_CONFIG]);
    assert_eq!(gateway.echo("fiber").map(|(_, mac)| mac), Some(gateway_mac(FIBER)));
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
        let event = ProbeEvent {
            probe: ProbeId::icmp(TARGET),
            sent_at: gateway.now,
            is_extra: false,
            outcome,
        };
        gateway.controller.probed("fiber", event, gateway.now);
    }
    assert!(gateway.install().is_empty());
    assert_eq!(gateway.dataplane.alive, BOTH);
    let changes = gateway.controller.configure(config(&[&bfd, CABLE_CONFIG]), gateway.now);
    assert_eq!(changes.len(), 1, "it is told: {changes:?}");
    assert!(gateway.install().is_empty());
    assert_eq!(gateway.dataplane.alive, 0b10);
}
