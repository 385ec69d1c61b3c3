//! The LAN's IPv4 prefixes.

use ipnet::Ipv4Net;
use pointsman_ebpf::abi::{LAN_NETWORKS, LanNetwork};

use super::*;
use crate::netlink::Route;

fn net(prefix: &str) -> Ipv4Net {
    prefix.parse().unwrap()
}

fn route(prefix: &str, index: u32, metric: u32) -> Route {
    Route { prefix: net(prefix), metric, index, gateway: None }
}

fn on_link() -> LanNetwork {
    LanNetwork::new(24, true)
}

#[test]
fn a_prefix_of_a_lan_interface_is_the_lans() {
    let mut gateway = Gateway::running();
    assert_eq!(gateway.dataplane.lan_networks, [(net("10.1.0.0/24"), on_link())].into());
    gateway.fact(has_address(LAN, [10, 1, 7, 1]));
    // Twice on the same link is once.
    gateway.fact(has_address(LAN, [10, 1, 0, 2]));
    let both = [(net("10.1.0.0/24"), on_link()), (net("10.1.7.0/24"), on_link())];
    assert_eq!(gateway.dataplane.lan_networks, both.into());
    gateway.fact(Fact::AddressGone(address(LAN, [10, 1, 7, 1])));
    assert_eq!(gateway.dataplane.lan_networks, [(net("10.1.0.0/24"), on_link())].into());
}

#[test]
fn a_route_by_a_lan_interface_makes_its_prefix_the_lans() {
    let mut gateway = Gateway::running();
    let far = net("10.20.0.0/16");
    gateway.fact(Fact::Route(route("10.20.0.0/16", LAN, 0)));
    gateway.fact(Fact::Route(route("10.20.0.0/16", LAN, 5)));
    gateway.fact(Fact::Route(route("10.21.0.0/16", FIBER, 0)));
    let both = [(net("10.1.0.0/24"), on_link()), (far, LanNetwork::new(16, false))];
    assert_eq!(gateway.dataplane.lan_networks, both.into());
    // One of two is enough.
    gateway.fact(Fact::RouteGone(route("10.20.0.0/16", LAN, 0)));
    assert!(gateway.dataplane.lan_networks.contains_key(&far));
    gateway.fact(Fact::RouteReplaced { prefix: far, metric: 5 });
    assert_eq!(gateway.dataplane.lan_networks, [(net("10.1.0.0/24"), on_link())].into());
}

#[test]
fn a_prefix_that_is_on_a_link_too_has_a_broadcast_address() {
    let mut gateway = Gateway::running();
    gateway.fact(Fact::Route(route("10.1.0.0/24", LAN, 0)));
    assert_eq!(gateway.dataplane.lan_networks, [(net("10.1.0.0/24"), on_link())].into());
    gateway.fact(Fact::AddressGone(address(LAN, [10, 1, 0, 1])));
    let routed = LanNetwork::new(24, false);
    assert_eq!(gateway.dataplane.lan_networks, [(net("10.1.0.0/24"), routed)].into());
}

#[test]
fn there_is_a_bound_that_is_told() {
    let mut gateway = Gateway::running();
    for number in 0..LAN_NETWORKS - 1 {
        gateway.fact(has_address(LAN, [10, 2 + (number >> 8) as u8, number as u8, 1]));
    }
    assert_eq!(gateway.dataplane.lan_networks.len(), LAN_NETWORKS);
    assert_eq!(check(&gateway.controller), Ok(()));
    gateway.fact(Fact::Route(route("10.0.0.0/24", LAN, 0)));
    assert_eq!(gateway.dataplane.lan_networks.len(), LAN_NETWORKS);
    let left_out = net("10.0.0.0/24");
    assert!(!gateway.dataplane.lan_networks.contains_key(&left_out), "links come first");
    assert_eq!(
        check(&gateway.controller).unwrap_err().to_string(),
        "the LAN has more than 1024 IPv4 prefixes, on its interfaces, behind its routers and \
         routed by uplinks, and the data plane takes no more: what is for the others would leave by \
         an uplink; give routes to shorter prefixes instead, or serve fewer interfaces"
    );
}
