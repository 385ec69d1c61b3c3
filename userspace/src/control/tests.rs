//! The controller and the installer together, over a data plane that is a fake.

mod attach;
mod bfd;
mod drain;
mod inheritance;
mod ipv6;
mod lan;
mod last_resort;
mod nat;
mod nat66;
mod passive;
mod path;
mod rebalance;
mod reload;
mod routed;
mod sla;
mod vlan;

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use pointsman_ebpf::abi::{
    AddressOwner, BUCKETS_PER_GROUP, Ipv4, LocalAddress, Mac, MacPair, PortRole,
};

use super::*;
use crate::config;
use crate::dataplane::{Fake, Frames};
use crate::netlink::{
    Address, DefaultRoute, Fact, Family, Link, Neighbour, NeighbourState, Rank, Snapshot, Update,
};
use crate::uplink::State;

const LAN: u32 = 2;
const FIBER: u32 = 3;
const CABLE: u32 = 4;
const FIBER_GATEWAY: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
const CABLE_GATEWAY: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const BOTH: u64 = 0b11;

const FIBER_CONFIG: &str =
    "[[uplink]]\nname = \"fiber\"\ninterface = \"wan0\"\ngateway = \"203.0.113.1\"\nweight = 3\n";
const CABLE_CONFIG: &str = "[[uplink]]\nname = \"cable\"\ninterface = \"wan1\"\n";
const LTE_CONFIG: &str =
    "[[uplink]]\nname = \"lte\"\ninterface = \"wwan0\"\ngateway = \"100.64.0.1\"\n";

fn config(uplinks: &[&str]) -> config::Config {
    let text = format!("[lan]\ninterfaces = [\"lan0\"]\n{}", uplinks.concat());
    config::parse("test.toml", &text).expect("the configuration is good").0
}

fn own_mac(index: u32) -> [u8; 6] {
    [2, 0, 0, 0, 0, index as u8]
}

fn gateway_mac(index: u32) -> [u8; 6] {
    [2, 0, 0, 0, 1, index as u8]
}

fn link(index: u32, name: &str, carrier: bool) -> Fact {
    let link = Link {
        name: name.into(),
        mac: Some(own_mac(index)),
        mtu: 1500,
        admin_up: true,
        carrier,
        tag: None,
    };
    Fact::Link { index, link }
}

fn address(index: u32, address: [u8; 4]) -> Address {
    Address { index, address: IpAddr::from(address), prefix_length: 24 }
}

fn has_address(index: u32, ip: [u8; 4]) -> Fact {
    Fact::Address { address: address(index, ip), rank: Rank::Primary }
}

fn neighbour(index: u32, address: Ipv4Addr, mac: Option<[u8; 6]>, state: NeighbourState) -> Fact {
    Fact::Neighbour { index, address: address.into(), neighbour: Neighbour { mac, state } }
}

fn resolved(index: u32, address: Ipv4Addr) -> Fact {
    neighbour(index, address, Some(gateway_mac(index)), NeighbourState::Reachable)
}

fn cable_route(gateway: Ipv4Addr) -> DefaultRoute {
    DefaultRoute { family: Family::Ipv4, metric: 101, index: CABLE, gateway: Some(gateway.into()) }
}

fn host() -> Snapshot {
    let mut snapshot = Snapshot::default();
    for fact in [
        link(LAN, "lan0", true),
        link(FIBER, "wan0", true),
        link(CABLE, "wan1", true),
        has_address(LAN, [10, 1, 0, 1]),
        has_address(FIBER, [203, 0, 113, 2]),
        has_address(CABLE, [198, 51, 100, 2]),
        Fact::DefaultRoute(cable_route(CABLE_GATEWAY)),
        resolved(FIBER, FIBER_GATEWAY),
        resolved(CABLE, CABLE_GATEWAY),
    ] {
        snapshot.apply(fact);
    }
    snapshot
}

/// A controller that has installed what it decided, and its clock.
struct Gateway {
    controller: Controller,
    installer: Installer,
    dataplane: Fake,
    now: Instant,
}

impl Gateway {
    fn bare(uplinks: &[&str], dataplane: Fake) -> Self {
        let now = Instant::now();
        let controller = Controller::new(config(uplinks), [1, 2], 100, now);
        Self { controller, installer: Installer::default(), dataplane, now }
    }

    fn running() -> Self {
        let mut gateway = Self::bare(&[FIBER_CONFIG, CABLE_CONFIG], Fake::default());
        assert!(gateway.update(Update::Resync(host())).is_empty());
        gateway.dataplane.log.clear();
        gateway.dataplane.bucket_writes = 0;
        gateway
    }

    fn update(&mut self, update: Update) -> Vec<InstallError> {
        self.controller.update(update, self.now);
        self.install()
    }

    fn fact(&mut self, fact: Fact) {
        let errors = self.update(Update::Fact(fact));
        assert!(errors.is_empty(), "{errors:?}");
    }

    fn install(&mut self) -> Vec<InstallError> {
        self.installer.lower(&mut self.dataplane, self.controller.alive());
        let (policy, alive) = (self.controller.policy(), self.controller.alive());
        self.installer.install(&mut self.dataplane, &policy, alive)
    }

    fn reload(&mut self, uplinks: &[&str]) {
        self.controller.configure(config(uplinks), self.now);
        assert!(self.install().is_empty());
    }

    fn log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.dataplane.log)
    }

    fn state(&self, uplink: usize) -> (State, String) {
        let verdict = self.controller.uplinks()[uplink].verdict();
        (verdict.state, verdict.reason.to_string())
    }
}

#[test]
fn all_is_in_place_before_anything_is_alive() {
    let mut gateway = Gateway::bare(&[FIBER_CONFIG, CABLE_CONFIG], Fake::default());
    gateway.update(Update::Resync(host()));
    assert_eq!(gateway.log().pop().as_deref(), Some("alive 11"));
    let Fake { settings, ports, uplinks, groups, buckets, local, egress, attached, .. } =
        &gateway.dataplane;
    assert_eq!(settings.hash_key, [1, 2]);
    assert_eq!(*attached, [LAN, FIBER, CABLE].map(|ifindex| (ifindex, Frames::Any)).into());
    let fiber = uplinks[&0];
    assert_eq!((fiber.generation, fiber.mtu), (100, 1500));
    assert_eq!(fiber.address, Ipv4::new([203, 0, 113, 2]));
    let macs = MacPair::new(Mac::new(gateway_mac(FIBER)), Mac::new(own_mac(FIBER)));
    assert_eq!(fiber.macs, macs);
    assert_eq!(egress[&fiber.egress], FIBER);
    let port = ports[&FIBER];
    assert_eq!((port.ifindex, port.egress), (FIBER, fiber.egress));
    assert_eq!((port.role, port.uplink), (PortRole::Uplink as u8, 0));
    assert_eq!(ports[&LAN].role, PortRole::Lan as u8);
    assert_eq!((groups[&0].preferred, groups[&0].usable), (BOTH, BOTH));
    assert_eq!(buckets.len(), BUCKETS_PER_GROUP);
    assert!(local.contains_key(&LocalAddress::from(Ipv4::new([10, 1, 0, 1]))));
    assert_eq!(local.len(), 3);
}

#[test]
fn a_lost_carrier_is_one_store() {
    let mut gateway = Gateway::running();
    gateway.fact(link(FIBER, "wan0", false));
    assert_eq!(gateway.log(), ["alive 10"]);
    assert_eq!(gateway.state(0), (State::Down, "no carrier on wan0".into()));
    gateway.fact(link(FIBER, "wan0", true));
    assert_eq!(gateway.log(), ["alive 11"]);
    assert_eq!(gateway.dataplane.bucket_writes, 0);
}

#[test]
fn a_carrier_that_returns_waits_for_the_next_hop() {
    let mut gateway = Gateway::running();
    gateway.fact(link(FIBER, "wan0", false));
    gateway.fact(Fact::NeighbourGone { index: FIBER, address: FIBER_GATEWAY.into() });
    gateway.fact(link(FIBER, "wan0", true));
    assert_eq!(gateway.dataplane.alive, 0b10);
    assert_eq!(gateway.controller.resolutions_due(gateway.now), [(FIBER, FIBER_GATEWAY.into())]);
    gateway.fact(resolved(FIBER, FIBER_GATEWAY));
    assert_eq!(gateway.dataplane.alive, BOTH);
}

#[test]
fn another_address_is_another_generation_and_not_alive_meanwhile() {
    let mut gateway = Gateway::running();
    gateway.fact(has_address(FIBER, [203, 0, 113, 1 + 8]));
    assert_eq!(gateway.dataplane.uplinks[&0].generation, 100, "the old address is still there");
    gateway.log();
    gateway.fact(Fact::AddressGone(address(FIBER, [203, 0, 113, 2])));
    assert_eq!(
        gateway.log(),
        // The old address is the kernel's no more, and the new one is the uplink's.
        ["alive 10", "pool 0", "uplink 0", "local", "local", "port 3", "alive 11"]
    );
    let fiber = gateway.dataplane.uplinks[&0];
    assert_eq!(fiber.address, Ipv4::new([203, 0, 113, 9]));
    assert_eq!(fiber.generation, 102);
    let local = &gateway.dataplane.local;
    assert!(!local.contains_key(&Ipv4::new([203, 0, 113, 2]).into()), "it is answered for no more");
    assert_eq!(local[&Ipv4::new([203, 0, 113, 9]).into()], AddressOwner::shared(0));
}

/// An uplink that is up stays so meanwhile, and nobody answers what is sent from an address that is gone.
#[test]
fn another_address_holds_also_while_the_next_hop_is_asked_for() {
    let mut gateway = Gateway::running();
    let mut host = host();
    for fact in [
        Fact::AddressGone(address(FIBER, [203, 0, 113, 2])),
        has_address(FIBER, [203, 0, 113, 9]),
        neighbour(FIBER, FIBER_GATEWAY, None, NeighbourState::Incomplete),
    ] {
        host.apply(fact);
    }
    let before = gateway.dataplane.uplinks[&0];
    assert!(gateway.update(Update::Resync(host)).is_empty());
    assert_eq!(gateway.dataplane.alive, BOTH);
    let fiber = gateway.dataplane.uplinks[&0];
    assert_eq!((fiber.address, fiber.macs), (Ipv4::new([203, 0, 113, 9]), before.macs));
    assert_ne!(fiber.generation, before.generation);
}

#[test]
fn an_address_that_is_lost_keeps_the_generation() {
    let mut gateway = Gateway::running();
    gateway.fact(Fact::AddressGone(address(FIBER, [203, 0, 113, 2])));
    assert_eq!(gateway.log(), ["alive 10", "local", "port 3"]);
    assert_eq!(gateway.state(0), (State::Down, "no address on wan0".into()));
    gateway.fact(has_address(FIBER, [203, 0, 113, 2]));
    assert_eq!(gateway.dataplane.uplinks[&0].generation, 100);
    assert_eq!(gateway.dataplane.alive, BOTH);
}

#[test]
fn another_mac_of_the_gateway_is_one_write() {
    let mut gateway = Gateway::running();
    gateway.fact(neighbour(FIBER, FIBER_GATEWAY, Some([6; 6]), NeighbourState::Reachable));
    assert_eq!(gateway.log(), ["uplink 0"]);
    let macs = MacPair::new(Mac::new([6; 6]), Mac::new(own_mac(FIBER)));
    let fiber = gateway.dataplane.uplinks[&0];
    assert_eq!((fiber.macs, fiber.generation), (macs, 100), "flows go on");
}

#[test]
fn an_interface_that_returns_is_attached_again() {
    let mut gateway = Gateway::running();
    gateway.fact(Fact::LinkGone { index: CABLE });
    assert_eq!(gateway.dataplane.alive, 0b01);
    assert_eq!(gateway.state(1), (State::Down, "there is no interface wan1".into()));
    assert!(!gateway.dataplane.attached.contains_key(&CABLE));
    let again = CABLE + 5;
    gateway.fact(link(again, "wan1", true));
    gateway.fact(has_address(again, [198, 51, 100, 2]));
    gateway.fact(Fact::DefaultRoute(DefaultRoute { index: again, ..cable_route(CABLE_GATEWAY) }));
    gateway.fact(resolved(again, CABLE_GATEWAY));
    assert_eq!(gateway.dataplane.alive, BOTH);
    assert!(gateway.dataplane.attached.contains_key(&again));
    let cable = gateway.dataplane.uplinks[&1];
    assert_eq!(gateway.dataplane.egress[&cable.egress], again);
    assert_eq!(gateway.dataplane.ports[&again].uplink, 1);
    assert_eq!(gateway.dataplane.ports[&CABLE].ifindex, 0);
}

#[test]
fn auto_follows_the_default_route() {
    let mut gateway = Gateway::running();
    let other = Ipv4Addr::new(198, 51, 100, 254);
    gateway.fact(Fact::DefaultRouteReplaced { family: Family::Ipv4, metric: 101 });
    assert_eq!(gateway.state(1), (State::Down, "no next hop is known on wan1".into()));
    gateway.fact(Fact::DefaultRoute(cable_route(other)));
    assert_eq!(gateway.controller.resolutions_due(gateway.now), [(CABLE, other.into())]);
    gateway.fact(neighbour(CABLE, other, Some([7; 6]), NeighbourState::Reachable));
    assert_eq!(gateway.dataplane.alive, BOTH);
    assert_eq!(gateway.dataplane.uplinks[&1].generation, 101, "the address is the same");
}

#[test]
fn a_silent_gateway_is_asked_every_second_and_stays_down() {
    let mut gateway = Gateway::running();
    gateway.fact(neighbour(FIBER, FIBER_GATEWAY, None, NeighbourState::Failed));
    let silent = (State::Down, "next hop 203.0.113.1 does not answer ARP".into());
    assert_eq!(gateway.state(0), silent);
    let asked = [(FIBER, FIBER_GATEWAY.into())];
    assert_eq!(gateway.controller.resolutions_due(gateway.now), asked);
    gateway.fact(neighbour(FIBER, FIBER_GATEWAY, None, NeighbourState::Incomplete));
    assert_eq!(gateway.state(0), silent);
    gateway.fact(neighbour(FIBER, FIBER_GATEWAY, None, NeighbourState::Failed));
    assert_eq!(gateway.controller.resolutions_due(gateway.now), []);
    gateway.now += Duration::from_secs(1);
    assert_eq!(gateway.controller.resolutions_due(gateway.now), asked);
}

#[test]
fn a_reload_keeps_what_stays() {
    let mut gateway = Gateway::running();
    gateway.reload(&[CABLE_CONFIG, FIBER_CONFIG]);
    assert_eq!(gateway.log(), [""; 0]);
    assert_eq!(gateway.dataplane.bucket_writes, 0);
}

#[test]
fn a_reload_adds_and_removes_uplinks() {
    let mut gateway = Gateway::running();
    gateway.reload(&[CABLE_CONFIG, LTE_CONFIG]);
    assert_eq!(gateway.dataplane.alive, 0b10);
    assert_eq!(gateway.dataplane.uplinks[&0].generation, 0);
    assert_eq!(gateway.dataplane.groups[&0].usable, 0b110);
    assert!(!gateway.dataplane.attached.contains_key(&FIBER));
    assert!(!gateway.dataplane.buckets.values().any(|bucket| bucket.ranking().any(|id| id == 0)));

    let lte = 9;
    gateway.fact(link(lte, "wwan0", true));
    gateway.fact(has_address(lte, [100, 64, 0, 2]));
    gateway.fact(resolved(lte, Ipv4Addr::new(100, 64, 0, 1)));
    assert_eq!(gateway.dataplane.alive, 0b110);
    assert!(gateway.dataplane.attached.contains_key(&lte));

    gateway.reload(&[FIBER_CONFIG, CABLE_CONFIG]);
    assert_eq!(gateway.dataplane.alive, 0b1010, "an identifier that was used comes last");
    assert!(gateway.dataplane.uplinks[&3].generation > 101);
}

#[test]
fn what_could_not_be_written_is_written_later() {
    let refusing = Fake { refuses_uplinks: true, ..Fake::default() };
    let mut gateway = Gateway::bare(&[FIBER_CONFIG, CABLE_CONFIG], refusing);
    assert_eq!(gateway.update(Update::Resync(host())).len(), 2);
    assert_eq!(gateway.dataplane.alive, 0);
    gateway.dataplane.refuses_uplinks = false;
    assert!(gateway.install().is_empty());
    assert_eq!(gateway.dataplane.alive, BOTH);
}

#[test]
fn an_uplink_whose_port_is_not_written_is_not_alive() {
    let mut gateway = Gateway::running();
    gateway.dataplane.refuses_ports = true;
    let mtu_1400 = Link {
        name: "wan0".into(),
        mac: Some(own_mac(FIBER)),
        mtu: 1400,
        admin_up: true,
        carrier: true,
        tag: None,
    };
    let fact = Fact::Link { index: FIBER, link: mtu_1400 };
    assert_eq!(gateway.update(Update::Fact(fact)).len(), 1);
    assert_eq!(gateway.dataplane.alive, 0b10);
    gateway.dataplane.refuses_ports = false;
    assert!(gateway.install().is_empty());
    assert_eq!(gateway.dataplane.alive, BOTH);
}

#[test]
fn what_does_not_fit_the_host_is_refused_at_the_start() {
    let refusal = |fact: Fact| {
        let mut gateway = Gateway::running();
        gateway.update(Update::Fact(fact));
        check(&gateway.controller).unwrap_err().to_string()
    };
    assert_eq!(check(&Gateway::running().controller), Ok(()));
    assert_eq!(
        refusal(Fact::LinkGone { index: LAN }),
        "the LAN is to use the interface lan0, which does not exist; see `ip link`"
    );
    assert_eq!(
        refusal(Fact::LinkGone { index: FIBER }),
        "uplink \"fiber\" is to use the interface wan0, which does not exist; see `ip link`"
    );
    assert_eq!(
        refusal(Fact::AddressGone(address(FIBER, [203, 0, 113, 2]))),
        "uplink \"fiber\": wan0 has no IPv4 address; give it one (`ip address add ADDRESS/LENGTH \
         dev wan0`), or set ipv4.addresses"
    );
    assert_eq!(
        refusal(Fact::DefaultRouteGone(cable_route(CABLE_GATEWAY))),
        "uplink \"cable\": no default route leaves by wan1; add one (`ip route add default via \
         GATEWAY dev wan1 metric 100`), or set gateway to the provider's router"
    );
    let mut gateway = Gateway::running();
    gateway.fact(has_address(LAN, FIBER_GATEWAY.octets()));
    assert!(matches!(check(&gateway.controller), Err(Unfit::OwnGateway { .. })));
}
