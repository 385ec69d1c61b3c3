use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use pointsman_ebpf::abi::{Inbound, Ipv6, Ipv6Mode, PrefixTranslation, SitePrefix, Uplink6};

use super::*;

pub(super) const FIBER_GATEWAY6: &str = "fe80::1";
const CABLE_GATEWAY6: &str = "fe80::2";

pub(super) fn net(text: &str) -> Ipv6Net {
    text.parse().unwrap()
}

pub(super) fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

pub(super) fn with(uplink: &str, ipv6: &str) -> String {
    format!("{uplink}ipv6 = {{ {ipv6} }}\n")
}

pub(super) fn has_address6(index: u32, address: &str, prefix_length: u8) -> Fact {
    let address = Address { index, address: ip(address).into(), prefix_length };
    Fact::Address { address, rank: Rank::Primary }
}

pub(super) fn resolved6(index: u32, address: &str) -> Fact {
    let neighbour = Neighbour { mac: Some(gateway_mac(index)), state: NeighbourState::Reachable };
    Fact::Neighbour { index, address: ip(address).into(), neighbour }
}

fn route6(index: u32, gateway: &str) -> DefaultRoute {
    DefaultRoute { family: Family::Ipv6, metric: 1024, index, gateway: Some(ip(gateway).into()) }
}

/// The host of the others, with IPv6 on all its interfaces.
pub(super) fn host6() -> Snapshot {
    let mut snapshot = host();
    for fact in [
        has_address6(LAN, "fd00:1:0:1::1", 64),
        has_address6(LAN, "fe80::9", 64),
        has_address6(FIBER, "2001:db8:f::2", 64),
        Fact::DefaultRoute(route6(FIBER, FIBER_GATEWAY6)),
        Fact::DefaultRoute(route6(CABLE, CABLE_GATEWAY6)),
        resolved6(FIBER, FIBER_GATEWAY6),
        resolved6(CABLE, CABLE_GATEWAY6),
    ] {
        snapshot.apply(fact);
    }
    snapshot
}

pub(super) fn running(fiber: &str, cable: &str) -> Gateway {
    let uplinks = [with(FIBER_CONFIG, fiber), with(CABLE_CONFIG, cable)];
    let mut gateway = Gateway::bare(&[&uplinks[0], &uplinks[1]], Fake::default());
    assert!(gateway.update(Update::Resync(host6())).is_empty());
    gateway
}

pub(super) const FIBER_NPTV6: &str = "mode = \"nptv6\", prefix = \"2001:db8:1::/48\"";
pub(super) const CABLE_NPTV6: &str =
    "mode = \"nptv6\", prefix = \"2001:db8:2::/56\", inbound = \"all\"";

fn prefix(text: &str) -> (Ipv6, u8) {
    let net = net(text);
    (Ipv6::new(net.network().octets()), net.prefix_len())
}

#[test]
fn a_prefix_is_translated_from_that_of_the_lan() {
    let gateway = running(FIBER_NPTV6, CABLE_NPTV6);
    let Fake { uplinks6, site_prefixes, addresses6, settings, .. } = &gateway.dataplane;
    let internal = prefix("fd00:1::/48");
    let fiber = uplinks6[&0];
    assert_eq!(fiber.translation, PrefixTranslation::new(internal, prefix("2001:db8:1::/48")));
    assert_eq!((fiber.mode, fiber.inbound), (Ipv6Mode::Nptv6 as u8, Inbound::Answers as u8));
    let macs = MacPair::new(Mac::new(gateway_mac(FIBER)), Mac::new(own_mac(FIBER)));
    assert_eq!((fiber.macs, fiber.mtu), (macs, 1500));
    assert_eq!(gateway.dataplane.egress[&fiber.egress], FIBER);
    let cable = uplinks6[&1];
    assert_eq!(cable.translation, PrefixTranslation::new(internal, prefix("2001:db8:2::/56")));
    assert_eq!(cable.inbound, Inbound::All as u8);
    assert_ne!(fiber.generation, cable.generation);
    let of =
        |uplinks, translated_by| SitePrefix { uplinks, translated_by, ..SitePrefix::default() };
    let expected = [
        (net("2001:db8:1::/48"), of(0, 1)),
        (net("2001:db8:2::/56"), of(0, 2)),
        (net("fd00:1::/48"), of(BOTH, 0)),
    ];
    assert_eq!(*site_prefixes, expected.into());
    assert_eq!((settings.lan_interface, settings.ipv6), (LAN, 1));
    // Who is behind the uplink cannot reach a link-local address from beyond its link.
    let lan = gateway.dataplane.ports[&LAN].egress;
    let own = |text: &str| Ipv6::new(ip(text).octets());
    assert_eq!(addresses6[&lan], own("fd00:1:0:1::1"));
    assert_eq!(addresses6[&fiber.egress], own("2001:db8:f::2"));
    assert!(!addresses6.contains_key(&cable.egress));
}

#[test]
fn each_mode_says_who_may_leave_by_which_uplink() {
    let fiber = "mode = \"routed\", prefix = [\"2001:db8:100::/48\", \"2001:db8:200::/48\"]";
    let cable = "mode = \"routed\", prefix = \"2001:db8:100:8000::/49\"";
    let gateway = running(fiber, cable);
    let of = |uplinks| SitePrefix { uplinks, ..SitePrefix::default() };
    let expected = [
        (net("2001:db8:100::/48"), of(0b01)),
        // Within the other's, it may leave by that one's uplinks too.
        (net("2001:db8:100:8000::/49"), of(0b11)),
        (net("2001:db8:200::/48"), of(0b01)),
        // On the LAN's link, and nobody's.
        (net("fd00:1:0:1::/64"), SitePrefix { is_foreign: 1, ..SitePrefix::default() }),
    ];
    assert_eq!(gateway.dataplane.site_prefixes, expected.into());
    assert_eq!(gateway.dataplane.uplinks6[&0].inbound, Inbound::All as u8);

    let fiber = "mode = \"source\", prefix = \"2001:db8:1::/48\"";
    let cable = "mode = \"source\", prefix = \"2001:db8:2::/48\"";
    let gateway = running(fiber, cable);
    let of = |uplinks| SitePrefix { uplinks, is_bound: 1, ..SitePrefix::default() };
    let prefixes = &gateway.dataplane.site_prefixes;
    assert_eq!(prefixes[&net("2001:db8:1::/48")], of(0b01));
    assert_eq!(prefixes[&net("2001:db8:2::/48")], of(0b10));
}

#[test]
fn an_uplink_whose_router_is_not_known_is_not_chosen_until_it_is() {
    let uplinks = [with(FIBER_CONFIG, FIBER_NPTV6), with(CABLE_CONFIG, CABLE_NPTV6)];
    let mut gateway = Gateway::bare(&[&uplinks[0], &uplinks[1]], Fake::default());
    let mut snapshot = host6();
    snapshot.apply(Fact::NeighbourGone { index: CABLE, address: ip(CABLE_GATEWAY6).into() });
    assert!(gateway.update(Update::Resync(snapshot)).is_empty());
    let uplinks = |gateway: &Gateway| gateway.dataplane.site_prefixes[&net("fd00:1::/48")].uplinks;
    assert_eq!(uplinks(&gateway), 0b01);
    assert!(!gateway.dataplane.uplinks6.contains_key(&1));
    let due = gateway.controller.resolutions_due(gateway.now);
    assert_eq!(due, [(CABLE, ip(CABLE_GATEWAY6).into())]);
    gateway.fact(resolved6(CABLE, CABLE_GATEWAY6));
    assert_eq!(uplinks(&gateway), BOTH);
    let generation = gateway.dataplane.uplinks6[&1].generation;
    // What is known of it stays while its router is silent, and flows stay pinned.
    gateway.fact(Fact::NeighbourGone { index: CABLE, address: ip(CABLE_GATEWAY6).into() });
    assert_eq!(uplinks(&gateway), BOTH);
    gateway.fact(resolved6(CABLE, CABLE_GATEWAY6));
    assert_eq!(gateway.dataplane.uplinks6[&1].generation, generation);
}

#[test]
fn another_prefix_is_another_generation_and_none_is_removed() {
    let mut gateway = running(FIBER_NPTV6, CABLE_NPTV6);
    let before = gateway.dataplane.uplinks6[&0].generation;
    let other = with(FIBER_CONFIG, "mode = \"nptv6\", prefix = \"2001:db8:3::/48\"");
    let cable = with(CABLE_CONFIG, CABLE_NPTV6);
    gateway.reload(&[&other, &cable]);
    let after = gateway.dataplane.uplinks6[&0];
    assert_ne!(after.generation, before);
    assert!(!gateway.dataplane.site_prefixes.contains_key(&net("2001:db8:1::/48")));
    assert_eq!(gateway.dataplane.site_prefixes[&net("2001:db8:3::/48")].translated_by, 1);
    gateway.reload(&[FIBER_CONFIG, CABLE_CONFIG]);
    assert_eq!(gateway.dataplane.uplinks6[&0], Uplink6::default());
    assert!(gateway.dataplane.site_prefixes.is_empty());
    assert_eq!(gateway.dataplane.settings.ipv6, 0);
}

/// Without translation, only a generation keeps flows from going on by a prefix that is gone.
#[test]
fn a_prefix_that_is_gone_is_another_generation_and_one_more_is_none() {
    for mode in ["routed", "source"] {
        let of = |prefixes: &str| {
            with(FIBER_CONFIG, &format!("mode = \"{mode}\", prefix = [{prefixes}]"))
        };
        let (one, other) = ("\"2001:db8:100::/48\"", "\"2001:db8:200::/48\"");
        let cable = with(CABLE_CONFIG, CABLE_NPTV6);
        let mut gateway = running(&format!("mode = \"{mode}\", prefix = {one}"), CABLE_NPTV6);
        let generation = |gateway: &Gateway| gateway.dataplane.uplinks6[&0].generation;
        let before = generation(&gateway);
        gateway.reload(&[&of(&format!("{one}, {other}")), &cable]);
        assert_eq!(generation(&gateway), before, "{mode}");
        gateway.reload(&[&of(other), &cable]);
        assert!(generation(&gateway) > before, "{mode}");
    }
}

#[test]
fn another_mac_of_the_router_is_no_other_generation() {
    let mut gateway = running(FIBER_NPTV6, CABLE_NPTV6);
    let before = gateway.dataplane.uplinks6[&0];
    let neighbour = Neighbour { mac: Some([6; 6]), state: NeighbourState::Reachable };
    let address = ip(FIBER_GATEWAY6).into();
    gateway.fact(Fact::Neighbour { index: FIBER, address, neighbour });
    let after = gateway.dataplane.uplinks6[&0];
    let macs = MacPair::new(Mac::new([6; 6]), Mac::new(own_mac(FIBER)));
    assert_eq!(after, Uplink6 { macs, ..before });
    assert_ne!(after, before);
}

#[test]
fn the_router_that_is_configured_counts() {
    let fiber = "mode = \"nptv6\", prefix = \"2001:db8:1::/48\", gateway = \"fe80::77\"";
    let mut gateway = running(fiber, CABLE_NPTV6);
    assert!(!gateway.dataplane.uplinks6.contains_key(&0));
    gateway.fact(resolved6(FIBER, "fe80::77"));
    assert!(gateway.dataplane.uplinks6.contains_key(&0));
    assert_eq!(gateway.controller.uplinks()[0].gateway6(), Some(ip("fe80::77")));
}

#[test]
fn what_is_known_of_another_mode_does_not_count() {
    let routed = "mode = \"routed\", prefix = \"2001:db8:100::/48\"";
    let mut gateway = running(routed, CABLE_NPTV6);
    gateway.fact(Fact::NeighbourGone { index: FIBER, address: ip(FIBER_GATEWAY6).into() });
    assert_eq!(gateway.dataplane.uplinks6[&0].mode, Ipv6Mode::Routed as u8);
    gateway.reload(&[&with(FIBER_CONFIG, FIBER_NPTV6), &with(CABLE_CONFIG, CABLE_NPTV6)]);
    // What it is to translate would leave as it is.
    assert_eq!(gateway.dataplane.uplinks6[&0], Uplink6::default());
    assert_eq!(gateway.dataplane.site_prefixes[&net("fd00:1::/48")].uplinks, 0b10);
    gateway.fact(resolved6(FIBER, FIBER_GATEWAY6));
    assert_eq!(gateway.dataplane.uplinks6[&0].mode, Ipv6Mode::Nptv6 as u8);
}
