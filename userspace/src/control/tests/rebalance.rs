//! When flows are given back, by what the kernel tells of the uplinks.

use super::*;
use crate::control::rebalance::Selections;
use crate::dataplane::Terms;

const GROUP: &str = "[[group]]\nname = \"default\"\nfailback = { after = \"10m\" }\n";
const AFTER: Duration = Duration::from_secs(600);

/// Where fiber is lost, and is back, all at once.
fn with_fiber_back(uplinks: &[&str]) -> Gateway {
    let mut gateway = Gateway::running();
    gateway.reload(uplinks);
    gateway.fact(link(FIBER, "wan0", false));
    gateway.fact(link(FIBER, "wan0", true));
    gateway
}

#[test]
fn flows_are_given_back_when_an_uplink_has_stayed() {
    let mut gateway = with_fiber_back(&[FIBER_CONFIG, CABLE_CONFIG, GROUP]);
    let due = gateway.now + AFTER;
    assert_eq!(gateway.controller.deadline(), Some(due));
    assert_eq!(gateway.controller.take_due_rebalance(due - Duration::from_secs(1)), None);
    assert_eq!(gateway.controller.take_due_rebalance(due), Some(Terms::GENTLE));
    assert_eq!(gateway.controller.deadline(), None);
}

#[test]
fn nothing_is_given_back_where_nobody_asks_for_it() {
    let mut gateway = with_fiber_back(&[FIBER_CONFIG, CABLE_CONFIG]);
    assert_eq!(gateway.controller.deadline(), None);
    assert_eq!(gateway.controller.take_due_rebalance(gateway.now + AFTER), None);
}

#[test]
fn a_metered_uplink_gives_back_without_a_group() {
    let metered = format!("{CABLE_CONFIG}metered = true\n");
    let mut gateway = with_fiber_back(&[FIBER_CONFIG, &metered]);
    let due = gateway.now + Duration::from_secs(30);
    assert_eq!(gateway.controller.deadline(), Some(due));
    let entirely = Terms { gently: 0, entirely: 0b10 };
    assert_eq!(gateway.controller.take_due_rebalance(due), Some(entirely));
}

/// The sweeper is told what has changed, once.
#[test]
fn a_selection_follows_the_policy_and_the_switch() {
    let gateway = Gateway::running();
    let policy = gateway.controller.policy();
    let mut selections = Selections::default();
    let first = selections.update(&policy, BOTH).expect("it is the first");
    assert_eq!((first.alive, first.group, first.nat44), (BOTH, policy.groups[&0].0, BOTH));
    let buckets: Vec<_> = policy.groups[&0].1.buckets().collect();
    assert_eq!(*first.buckets, *buckets);
    assert_eq!(first.generations, [(0, 100), (1, 101)].into());
    assert_eq!(selections.update(&policy, BOTH), None);
    assert_eq!(selections.update(&policy, 0b10).expect("fiber is down").alive, 0b10);
}
