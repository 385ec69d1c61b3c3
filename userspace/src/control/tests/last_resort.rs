//! What carries traffic while no uplink is up.

use super::sla::probed;
use super::*;

const UNREACHABLE: &str = "[[group]]\nname = \"default\"\nlast_resort = \"unreachable\"\n";
/// Three losses in a row take it down, and it is measured over a second.
const QUICK: &str = "health.sla = { window = \"1s\", min_samples = 5, down = { loss = { enter = \
                     \"30%\", leave = \"5%\" } } }\n";
const RTT: Option<Duration> = Some(Duration::from_millis(10));

impl Gateway {
    fn last_resort(&self) -> Option<&str> {
        let mut those = self.controller.uplinks().iter().filter(|uplink| uplink.is_last_resort());
        let found = those.next().map(|uplink| &*uplink.config().name);
        assert!(those.next().is_none(), "there is one at most");
        found
    }

    /// Loses so many of the uplink's next ten probes, evenly.
    fn lose(&mut self, uplink: &str, of_ten: u32) {
        for number in 0..10 {
            let is_lost = (number + 1) * of_ten / 10 > number * of_ten / 10;
            self.probes(&[uplink], if is_lost { None } else { RTT }, 1);
        }
    }
}

#[test]
fn the_least_bad_is_kept_where_none_is_up() {
    let mut gateway = probed("", "", "");
    gateway.probes(&["fiber"], None, 3);
    assert_eq!((gateway.dataplane.alive, gateway.last_resort()), (0b10, None));
    gateway.probes(&["cable"], None, 2);
    gateway.log();
    let changes = gateway.probe("cable", None);
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert_eq!(changes[0].uplink, "cable");
    assert!(changes[0].is_last_resort && changes[0].verdict.state == State::Down);
    // It was good for longer, so it has lost less.
    assert_eq!((gateway.dataplane.alive, gateway.last_resort()), (0b10, Some("cable")));
    assert_eq!(gateway.log(), [""; 0], "its flows have not even noticed");

    // One that is up takes over, and there is no need for a last resort.
    gateway.probes(&["fiber"], RTT, 3);
    assert_eq!((gateway.dataplane.alive, gateway.last_resort()), (0b01, None));
    assert_eq!(gateway.state(1).0, State::Down);
}

#[test]
fn nothing_is_kept_where_the_configuration_says_so() {
    let mut gateway = probed("", "", UNREACHABLE);
    gateway.probes(&["fiber", "cable"], None, 3);
    assert_eq!((gateway.dataplane.alive, gateway.last_resort()), (0, None));
    // The configuration holds at once.
    let uplinks = gateway.controller.config().clone();
    let group = config::Group { last_resort: config::LastResort::LeastBad, ..uplinks.group };
    let changes = gateway.controller.configure(config::Config { group, ..uplinks }, gateway.now);
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert!(gateway.install().is_empty());
    assert_eq!((gateway.dataplane.alive, gateway.last_resort()), (0b01, Some("fiber")));
}

#[test]
fn one_that_nothing_can_be_sent_by_is_never_kept() {
    let silent = neighbour(FIBER, FIBER_GATEWAY, None, NeighbourState::Failed);
    let asked = Fact::NeighbourGone { index: FIBER, address: FIBER_GATEWAY.into() };
    let no_address = Fact::AddressGone(address(FIBER, [203, 0, 113, 2]));
    for obstacle in [link(FIBER, "wan0", false), no_address, silent, asked] {
        let mut gateway = probed("", "", "");
        gateway.probes(&["fiber", "cable"], None, 3);
        assert_eq!(gateway.last_resort(), Some("fiber"), "the first of the group");
        gateway.log();
        gateway.fact(obstacle.clone());
        assert_eq!(gateway.last_resort(), Some("cable"), "{obstacle:?}");
        assert_eq!(gateway.log()[0], "alive 0", "first of all, it is left");
        assert_eq!(gateway.dataplane.alive, 0b10);
        gateway.fact(link(CABLE, "wan1", false));
        assert_eq!((gateway.dataplane.alive, gateway.last_resort()), (0, None));
    }
}

#[test]
fn the_one_that_loses_less_is_kept() {
    let mut gateway = probed(QUICK, QUICK, "");
    gateway.lose("fiber", 8);
    gateway.lose("cable", 4);
    assert_eq!(gateway.state(0).0, State::Down);
    assert_eq!(gateway.state(1).0, State::Down);
    assert_eq!(gateway.last_resort(), Some("cable"));
}

#[test]
fn it_stays_until_another_is_better_by_a_margin() {
    let mut gateway = probed(QUICK, QUICK, "");
    // Both are measured in the same second.
    for number in 0..10 {
        let bad = |is_lost: bool| if is_lost { None } else { RTT };
        gateway.probes(&["fiber"], bad(number % 2 == 0), 1);
        gateway.probe("cable", bad(number != 5));
    }
    assert_eq!(gateway.last_resort(), Some("fiber"));
    let mut lose = |fiber: [bool; 10], cable: [bool; 10]| {
        for (fiber, cable) in fiber.into_iter().zip(cable) {
            gateway.probes(&["fiber"], if fiber { None } else { RTT }, 1);
            gateway.probe("cable", if cable { None } else { RTT });
        }
        gateway.last_resort().map(str::to_owned)
    };
    let (t, f) = (true, false);
    let half = [t, f, t, f, t, f, t, f, t, f];
    // A tenth less is no reason.
    assert_eq!(lose(half, [t, f, t, f, t, f, t, f, f, f]).as_deref(), Some("fiber"));
    // Nearly all against half is.
    assert_eq!(lose([t, t, t, t, t, t, t, t, t, f], half).as_deref(), Some("cable"));
}

#[test]
fn one_that_works_and_is_not_believed_yet_comes_first() {
    let dampening = "health.dampening = {}\n";
    let mut gateway = probed(dampening, "", "");
    for _ in 0..3 {
        gateway.fact(link(FIBER, "wan0", false));
        gateway.fact(link(FIBER, "wan0", true));
        gateway.probes(&["fiber"], RTT, 3);
    }
    assert_eq!(gateway.state(0), (State::Down, "dampened: flapped 3 times".into()));
    assert_eq!(gateway.dataplane.alive, 0b10);
    gateway.probes(&["fiber"], None, 1);
    gateway.probes(&["cable"], None, 3);
    assert_eq!((gateway.dataplane.alive, gateway.last_resort()), (0b01, Some("fiber")));
    // Where it works no more, the other one is as good.
    gateway.probes(&["fiber"], None, 3);
    assert_eq!(gateway.last_resort(), Some("fiber"));
    gateway.probes(&["fiber"], None, 60);
    gateway.probes(&["cable"], RTT, 2);
    assert_eq!(gateway.last_resort(), Some("cable"));
}

#[test]
fn one_that_works_again_comes_before_one_that_has_lost_less_and_fails_now() {
    let mut gateway = probed("health.hold_down = \"1h\"\n", "", "");
    gateway.probes(&["cable"], RTT, 30);
    gateway.probes(&["fiber"], None, 30);
    gateway.probes(&["cable"], None, 3);
    assert_eq!(gateway.last_resort(), Some("cable"));
    gateway.probes(&["fiber"], RTT, 3);
    assert_eq!(gateway.last_resort(), Some("fiber"));
}

#[test]
fn only_uplinks_of_the_group_count() {
    let fiber_only = "[[group]]\nname = \"default\"\nuplinks = [\"fiber\"]\n";
    let mut gateway = probed("", "", fiber_only);
    gateway.probes(&["fiber"], None, 3);
    assert_eq!(gateway.state(1).0, State::Up);
    assert_eq!((gateway.dataplane.alive, gateway.last_resort()), (BOTH, Some("fiber")));
    gateway.fact(link(FIBER, "wan0", false));
    gateway.probes(&["cable"], None, 3);
    assert_eq!((gateway.dataplane.alive, gateway.last_resort()), (0, None));
}

#[test]
fn one_that_is_not_judged_yet_is_not_kept() {
    let uplink = format!(
        "{FIBER_CONFIG}health.probes = [{{ kind = \"icmp\", target = \"{}\" }}]\n",
        sla::TARGET
    );
    let mut gateway = Gateway::bare(&[&uplink], Fake::default());
    gateway.update(Update::Resync(host()));
    assert_eq!(gateway.state(0).0, State::Testing);
    assert_eq!((gateway.dataplane.alive, gateway.last_resort()), (0, None));
}
