//! What probes are told of their uplinks.

use super::ipv6::{
    CABLE_NPTV6, FIBER_GATEWAY6, FIBER_NPTV6, has_address6, host6, ip, running, with,
};
use super::*;
use crate::probe::{Path, Side};

#[test]
fn a_path_is_all_that_is_known_of_an_uplink() {
    let gateway = running(FIBER_NPTV6, CABLE_NPTV6);
    let expected = Path {
        is_suspect: false,
        mac: Some(own_mac(FIBER)),
        ipv4: Side {
            source: Some(Ipv4Addr::new(203, 0, 113, 2)),
            gateway: Some(FIBER_GATEWAY),
            gateway_mac: Some(gateway_mac(FIBER)),
        },
        ipv6: Side {
            source: Some(ip("2001:db8:f::2")),
            gateway: Some(ip(FIBER_GATEWAY6)),
            gateway_mac: Some(gateway_mac(FIBER)),
        },
        link_local: None,
    };
    assert_eq!(gateway.controller.uplinks()[0].path(), expected);
    let nothing = Gateway::bare(&[FIBER_CONFIG], Fake::default());
    let gateway = Some(FIBER_GATEWAY);
    let ipv4 = Side { gateway, ..Side::default() };
    assert_eq!(nothing.controller.uplinks()[0].path(), Path { ipv4, ..Path::default() });
}

#[test]
fn an_interface_without_an_address_sends_from_one_of_its_prefixes() {
    let mut gateway = running(FIBER_NPTV6, "mode = \"source\", prefix = \"2001:db8:2::/48\"");
    let source = |gateway: &Gateway| gateway.controller.uplinks()[1].path().ipv6.source;
    assert_eq!(source(&gateway), None);
    gateway.fact(has_address6(CABLE, "fe80::7", 64));
    assert_eq!(source(&gateway), None);
    assert_eq!(gateway.controller.uplinks()[1].path().link_local, Some(ip("fe80::7")));
    // The provider has delegated the prefix, and the LAN has a link of it.
    gateway.fact(has_address6(LAN, "2001:db8:2:1::1", 64));
    assert_eq!(source(&gateway), Some(ip("2001:db8:2:1::1")));
    gateway.fact(has_address6(CABLE, "2001:db8:f2::2", 64));
    assert_eq!(source(&gateway), Some(ip("2001:db8:f2::2")));
}

#[test]
fn an_uplink_without_ipv6_has_no_path_of_it() {
    let fiber = with(FIBER_CONFIG, FIBER_NPTV6);
    let mut gateway = Gateway::bare(&[&fiber, CABLE_CONFIG], Fake::default());
    gateway.update(Update::Resync(host6()));
    assert_eq!(gateway.controller.uplinks()[1].path().ipv6, Side::default());
    gateway.reload(&[FIBER_CONFIG, CABLE_CONFIG]);
    assert_eq!(gateway.controller.uplinks()[0].path().ipv6, Side::default());
}
