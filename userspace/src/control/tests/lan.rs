//! The LAN's IPv4 prefixes.

use ipnet::Ipv4Net;
use pointsman_ebpf::abi::{LAN_NETWORKS, LanNetwork};

use super::*;

fn net(prefix: &str) -> Ipv4Net {
    prefix.parse().unwrap()
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
fn there_is_a_bound_that_is_told() {
    let mut gateway = Gateway::running();
    for number in 0..LAN_NETWORKS - 1 {
        gateway.fact(has_address(LAN, [10, 2 + (number >> 8) as u8, number as u8, 1]));
    }
    assert_eq!(gateway.dataplane.lan_networks.len(), LAN_NETWORKS);
    assert_eq!(check(&gateway.controller), Ok(()));
    gateway.fact(has_address(LAN, [10, 200, 0, 1]));
    assert_eq!(gateway.dataplane.lan_networks.len(), LAN_NETWORKS);
    assert_eq!(
        check(&gateway.controller).unwrap_err().to_string(),
        "the LAN has more than 1024 IPv4 prefixes, which the data plane does not take; remove \
         addresses from its interfaces, or serve fewer"
    );
}
