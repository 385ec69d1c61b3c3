//! A controller that goes on with what another has left.

use super::*;
use crate::dataplane::{Contents, Inheritance};

impl Fake {
    /// What a daemon that comes after would find.
    fn contents(&self) -> Contents {
        Contents {
            alive: self.alive,
            settings: Some(self.settings),
            egress: self.egress.clone(),
            vlans: self.vlans.clone(),
            ports: self.ports.clone(),
            uplinks: self.uplinks.clone(),
            groups: self.groups.clone(),
            pool: self.pool.clone(),
            forwards: self.forwards.clone(),
            own_ports: self.own_ports.clone(),
            local: self.local.clone(),
            uplinks6: self.uplinks6.clone(),
            nat64: self.nat64,
            addresses6: self.addresses6.clone(),
            site_prefixes: self.site_prefixes.clone(),
            lan_networks: self.lan_networks.clone(),
        }
    }
}

impl Gateway {
    /// Another daemon takes the place of this one, with its own configuration and what the kernel knows then.
    fn succeeded_by(self, uplinks: &[&str], facts: Snapshot) -> Self {
        let Self { controller, mut dataplane, now, .. } = self;
        let contents = dataplane.contents();
        let inheritance =
            Inheritance { installed: contents.clone(), contents, names: controller.names() };
        let controller =
            Controller::inheriting(config(uplinks), &inheritance, 1000, Update::Resync(facts), now);
        dataplane.log.clear();
        let installer = Installer::inheriting(inheritance.installed);
        let mut gateway = Self { controller, installer, dataplane, now };
        assert!(gateway.install().is_empty());
        gateway
    }

    /// What was written, but for the attachment of programs.
    fn written(&self) -> Vec<&str> {
        let log = self.dataplane.log.iter().map(String::as_str);
        log.filter(|line| !line.starts_with("attach")).collect()
    }
}

#[test]
fn the_same_again_writes_nothing() {
    let before = Gateway::running();
    let policy = before.controller.policy();
    // The order in the file means nothing.
    let after = before.succeeded_by(&[CABLE_CONFIG, FIBER_CONFIG], host());
    assert_eq!(after.controller.policy(), policy);
    assert_eq!(after.written(), [""; 0]);
    assert_eq!(after.dataplane.alive, BOTH);
    for uplink in after.controller.uplinks() {
        assert_eq!(uplink.verdict().state, State::Up);
    }
}

#[test]
fn an_address_that_changed_meanwhile_has_a_generation_of_its_own() {
    let before = Gateway::running();
    let old = before.dataplane.uplinks.clone();
    let mut facts = host();
    facts.apply(Fact::AddressGone(address(CABLE, [198, 51, 100, 2])));
    facts.apply(has_address(CABLE, [198, 51, 100, 9]));
    facts.apply(Fact::DefaultRoute(cable_route(CABLE_GATEWAY)));
    facts.apply(resolved(CABLE, CABLE_GATEWAY));
    let after = before.succeeded_by(&[FIBER_CONFIG, CABLE_CONFIG], facts);
    assert_eq!(after.dataplane.uplinks[&0], old[&0]);
    let cable = after.dataplane.uplinks[&1];
    assert_eq!((cable.generation, cable.address), (1000, Ipv4::new([198, 51, 100, 9])));
    let gone: LocalAddress = Ipv4::new([198, 51, 100, 2]).into();
    assert!(!after.dataplane.local.contains_key(&gone));
}

#[test]
fn an_uplink_that_the_file_has_no_more_goes_and_its_number_is_not_given_at_once() {
    let before = Gateway::running();
    let after = before.succeeded_by(&[CABLE_CONFIG, LTE_CONFIG], host());
    assert_eq!(after.dataplane.uplinks[&0].generation, 0);
    let ids: Vec<_> = after.controller.uplinks().iter().map(ControlledUplink::id).collect();
    assert_eq!(ids, [1, 2]);
    assert_eq!(after.dataplane.alive, 0b10);
}

#[test]
fn what_was_lost_meanwhile_is_not_believed() {
    let mut facts = host();
    facts.apply(link(CABLE, "wan1", false));
    let after = Gateway::running().succeeded_by(&[FIBER_CONFIG, CABLE_CONFIG], facts);
    assert_eq!(after.dataplane.alive, 0b01);
    assert_eq!(after.dataplane.log.first().map(String::as_str), Some("alive 1"));
}

/// A restart of the daemon is no reason to move flows.
#[test]
fn nobody_has_come_back_by_being_inherited() {
    const GROUP: &str = "[[group]]\nname = \"default\"\nuplinks = [[\"fiber\", \"cable\"]]\n\
                         failback = { after = \"10m\" }\n";
    let mut after = Gateway::running().succeeded_by(&[FIBER_CONFIG, CABLE_CONFIG, GROUP], host());
    let later = after.now + Duration::from_secs(3600);
    assert_eq!(after.controller.take_due_rebalance(later), None);
    assert_eq!(after.controller.deadline(), None);
}
