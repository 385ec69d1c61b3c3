//! Another configuration in the place of the one that holds.

use super::*;
use crate::control::successor::{Successor, replace};

const GROUP: &str = "[[group]]\nname = \"default\"\nuplinks = [[\"lte\"], [\"fiber\"]]\n";
const FORWARD: &str = "[[forward]]\nprotocol = \"tcp\"\nport = 443\nto = \"10.1.0.10:8443\"\n";
const NAT: &str = "[nat]\nreserved_ports = [\"5060/udp\"]\nfiltering = \"address\"\n[nat64]\n";
const LTE: u32 = 9;
const LTE_GATEWAY: Ipv4Addr = Ipv4Addr::new(100, 64, 0, 1);

/// The fiber by other addresses, another weight, and IPv6 too.
fn other_fiber() -> String {
    FIBER_CONFIG.replace("weight = 3", "weight = 5")
        + "ipv4 = { addresses = [\"203.0.113.2\", \"203.0.113.7\"] }\n\
           ipv6 = { mode = \"nptv6\", prefix = \"2001:db8:1::/48\", internal = \"fd00:1::/48\", gateway = \"fe80::1\" }\n"
}

impl Gateway {
    /// With a third uplink's interface on the host.
    fn with_lte() -> Self {
        let mut gateway = Self::running();
        gateway.fact(link(LTE, "wwan0", true));
        gateway.fact(has_address(LTE, [100, 64, 0, 2]));
        gateway.fact(resolved(LTE, LTE_GATEWAY));
        let fe80 = IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, 1]);
        gateway.fact(Fact::Neighbour {
            index: FIBER,
            address: fe80,
            neighbour: Neighbour { mac: Some([6; 6]), state: NeighbourState::Reachable },
        });
        gateway.log();
        gateway
    }

    /// As a reload does it.
    fn go_over(&mut self, uplinks: &[&str]) -> Result<(), InstallError> {
        let standing = self.install();
        let successor = Successor::new(&self.controller, config(uplinks), self.now);
        let of = |controller: &Controller| (controller.policy(), controller.alive());
        let (old, new) = (of(&self.controller), of(&successor.controller));
        let plane = (&mut self.installer, &mut self.dataplane);
        let replaced = replace(plane, &old, &new, &standing);
        if replaced.is_ok() {
            self.controller = successor.controller;
        } else {
            self.controller.pass_over_generations(&successor.controller);
        }
        replaced
    }

    fn refusal(&self, uplinks: &[&str]) -> Option<String> {
        let successor = Successor::new(&self.controller, config(uplinks), self.now);
        successor.refusal(&self.controller).map(|unfit| unfit.to_string())
    }
}

/// Cable is gone, LTE new and preferred, fiber has other addresses, and all the tables have other entries.
fn everything() -> String {
    [&other_fiber(), LTE_CONFIG, GROUP, FORWARD, NAT].concat()
}

/// How many writes and attachments it takes to go over to [`everything`].
fn writes() -> usize {
    let mut gateway = Gateway::with_lte();
    gateway.dataplane.refuses_after = Some(usize::MAX);
    gateway.go_over(&[&everything()]).unwrap();
    usize::MAX - gateway.dataplane.refuses_after.unwrap()
}

#[test]
fn a_refusal_at_any_write_leaves_all_as_it_was() {
    let writes = writes();
    assert!(writes > BUCKETS_PER_GROUP + 20, "{writes}");
    // One bucket is like another.
    let is_tried = |write: &usize| *write < 60 || write + 60 > writes || write.is_multiple_of(4099);
    for refused in (0..writes).filter(is_tried) {
        let mut gateway = Gateway::with_lte();
        let before = gateway.dataplane.content();
        gateway.dataplane.refuses_after = Some(refused);
        let error = gateway.go_over(&[&everything()]).expect_err("a write was refused");
        assert!(error.to_string().contains("memory"), "{error}");
        assert_eq!(gateway.dataplane.refuses_after, None);
        assert_eq!(gateway.dataplane.content(), before, "after {refused} writes: {error}");
        let log = gateway.log();
        assert!(!log.contains(&format!("detach {CABLE}")), "after {refused} writes: {log:?}");
        assert!(gateway.install().is_empty());
        assert_eq!(gateway.log(), [""; 0], "nothing is left to do");
        gateway.go_over(&[&everything()]).unwrap();
        assert_ne!(gateway.dataplane.content(), before);
    }
}

#[test]
fn generations_of_what_was_given_up_are_not_given_again() {
    let mut gateway = Gateway::with_lte();
    let addresses = |last| format!("{FIBER_CONFIG}ipv4 = {{ address = \"203.0.113.{last}\" }}\n");
    gateway.dataplane.refuses_after = Some(0);
    assert!(gateway.go_over(&[&addresses(7), CABLE_CONFIG]).is_err());
    assert_eq!(gateway.dataplane.uplinks[&0].generation, 100);
    gateway.go_over(&[&addresses(8), CABLE_CONFIG]).unwrap();
    assert_eq!(gateway.dataplane.uplinks[&0].generation, 103, "102 was that of 203.0.113.7");
}

#[test]
fn what_did_not_work_before_is_no_reason_to_refuse_something_else() {
    let busy = Fake { busy: [CABLE].into(), ..Fake::default() };
    let mut gateway = Gateway::bare(&[FIBER_CONFIG, CABLE_CONFIG], busy);
    assert_eq!(gateway.update(Update::Resync(host())).len(), 1);
    let heavier = FIBER_CONFIG.replace("weight = 3", "weight = 9");
    gateway.go_over(&[&heavier, CABLE_CONFIG]).unwrap();
    assert_eq!(gateway.controller.config().uplinks[0].weight, 9);
}

#[test]
fn an_interface_that_another_program_has_is_a_reason() {
    let mut gateway = Gateway::with_lte();
    gateway.dataplane.busy.insert(LTE);
    let before = gateway.dataplane.content();
    let error = gateway.go_over(&[FIBER_CONFIG, LTE_CONFIG]).unwrap_err().to_string();
    assert!(error.contains("already attached to wwan0"), "{error}");
    assert_eq!(gateway.dataplane.content(), before);
    let log = gateway.log();
    assert!(!log.iter().any(|done| *done == format!("detach {CABLE}")), "{log:?}");
}

#[test]
fn networks_that_are_not_the_lans_after_all_keep_their_flows() {
    let mut gateway = Gateway::with_lte();
    gateway.installer.take_joined();
    let routed =
        format!("{CABLE_CONFIG}ipv4 = {{ mode = \"routed\", prefix = \"192.0.2.0/24\" }}\n");
    let mut writes = 0;
    loop {
        gateway.dataplane.refuses_after = Some(writes);
        if gateway.go_over(&[FIBER_CONFIG, &routed]).is_ok() {
            break;
        }
        assert_eq!(gateway.installer.take_joined(), [], "after {writes} writes");
        writes += 1;
    }
    assert_eq!(gateway.installer.take_joined(), ["192.0.2.0/24".parse().unwrap()]);
}

#[test]
fn only_what_is_unfit_because_of_the_file_is_refused() {
    let mut gateway = Gateway::running();
    assert_eq!(
        gateway.refusal(&[FIBER_CONFIG, CABLE_CONFIG, LTE_CONFIG]).as_deref(),
        Some("uplink \"lte\" is to use the interface wwan0, which does not exist; see `ip link`")
    );
    gateway.fact(Fact::LinkGone { index: CABLE });
    let heavier = FIBER_CONFIG.replace("weight = 3", "weight = 9");
    assert_eq!(gateway.refusal(&[&heavier, CABLE_CONFIG]), None, "it was pulled out before");
    let mistaken = CABLE_CONFIG.replace("wan1", "wan7");
    assert_eq!(
        gateway.refusal(&[FIBER_CONFIG, &mistaken]).as_deref(),
        Some("uplink \"cable\" is to use the interface wan7, which does not exist; see `ip link`")
    );
}

#[test]
fn an_uplink_with_another_name_goes_on() {
    let mut gateway = Gateway::running();
    let before = gateway.dataplane.content();
    let renamed = CABLE_CONFIG.replace("cable", "coax");
    gateway.go_over(&[FIBER_CONFIG, &renamed]).unwrap();
    let log = gateway.log();
    assert_eq!(log, [""; 0]);
    assert_eq!(gateway.controller.uplinks()[1].id(), 1);
    assert_eq!(gateway.state(1).0, State::Up);
    gateway.go_over(&[FIBER_CONFIG, CABLE_CONFIG]).unwrap();
    assert_eq!(gateway.dataplane.content(), before);
}

#[test]
fn a_reload_touches_no_interface_that_stays() {
    let mut gateway = Gateway::with_lte();
    gateway.go_over(&[&everything()]).unwrap();
    let log = gateway.log();
    let touched = |done: &&String| done.starts_with("attach") || done.starts_with("detach");
    let touched: Vec<_> = log.iter().filter(touched).collect();
    assert_eq!(touched, ["attach wwan0", &format!("detach {CABLE}")]);
}

#[test]
fn what_takes_a_restart_stays() {
    let gateway = Gateway::running();
    let more = "[flows]\nmax = 1024\n[api]\nsocket = \"/run/other.sock\"\n";
    let wanted = config(&[FIBER_CONFIG, CABLE_CONFIG, more]);
    let successor = Successor::new(&gateway.controller, wanted, gateway.now);
    let said: Vec<_> = successor.differences.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "flows.max: 262144 -> 1024; takes a restart",
            "api.socket: \"/run/pointsman/pointsman.sock\" -> \"/run/other.sock\"; takes a restart",
        ]
    );
    assert_eq!(successor.controller.config(), gateway.controller.config());
}
