//! Uplinks whose IPv6 address the LAN's hosts share.

use pointsman_ebpf::abi::{AddressOwner, Inbound, Ipv6, Ipv6Mode, SitePrefix, Uplink6};

use super::ipv6::{
    CABLE_NPTV6, FIBER_GATEWAY6, FIBER_NPTV6, has_address6, host6, ip, net, resolved6, running,
    with,
};
use super::*;
use crate::api::status::{Ipv6Status, Source};
use crate::dataplane::Census;

const NAT66: &str = "mode = \"nat66\"";
/// What the host has on fiber's interface.
const OWN: &str = "2001:db8:f::2";

fn entry(text: &str) -> Ipv6 {
    Ipv6::new(ip(text).octets())
}

fn ranked(address: &str, rank: Rank) -> Fact {
    match has_address6(FIBER, address, 64) {
        Fact::Address { address, .. } => Fact::Address { address, rank },
        other => other,
    }
}

fn gone(address: &str) -> Fact {
    Fact::AddressGone(Address { index: FIBER, address: ip(address).into(), prefix_length: 64 })
}

fn fiber(gateway: &Gateway) -> Uplink6 {
    gateway.dataplane.uplinks6.get(&0).copied().unwrap_or_default()
}

fn owner(gateway: &Gateway, address: &str) -> Option<AddressOwner> {
    gateway.dataplane.local.get(&LocalAddress::from(ip(address).octets())).copied()
}

fn sources(gateway: &Gateway, prefix: &str) -> u64 {
    gateway.dataplane.site_prefixes.get(&net(prefix)).map_or(0, |prefix| prefix.uplinks)
}

/// What `pointsman status` says of fiber's IPv6.
fn status(gateway: &Gateway) -> Ipv6Status {
    let source = Source {
        handshakes: &|_| [0; pointsman_ebpf::abi::HANDSHAKE_WORDS],
        controller: &gateway.controller,
        counters: &[],
        census: Census::default(),
        passes: 0,
        rebalance: None,
        started: gateway.now,
        reloads: 0,
        last_reload_error: None,
    };
    source.status(gateway.now).uplinks[0].ipv6.clone().expect("it is configured")
}

#[test]
fn hosts_share_the_address_of_the_interface() {
    let gateway = running(NAT66, CABLE_NPTV6);
    let record = fiber(&gateway);
    assert_eq!((record.mode, record.inbound), (Ipv6Mode::Nat66 as u8, Inbound::Answers as u8));
    assert_eq!((record.address, record.mtu), (entry(OWN), 1500));
    assert_eq!(gateway.dataplane.egress[&record.egress], FIBER);
    assert_eq!(owner(&gateway, OWN), Some(AddressOwner::shared(0)));
    let of =
        |uplinks, translated_by| SitePrefix { uplinks, translated_by, ..SitePrefix::default() };
    // What the address is of is none of the site's.
    let expected = [(net("2001:db8:2::/56"), of(0, 2)), (net("fd00:1::/48"), of(BOTH, 0))];
    assert_eq!(gateway.dataplane.site_prefixes, expected.into());
    assert_eq!(gateway.dataplane.settings.ipv6, 1);
    let Ipv6Status { mode, prefixes, address, missing, .. } = status(&gateway);
    assert_eq!((&*mode, prefixes, missing), ("nat66", vec![], None));
    assert_eq!(address, Some(ip(OWN)));
}

#[test]
fn an_address_that_no_interface_has_is_for_translation_only() {
    let public = "2001:db8:f::77";
    let gateway = running(&format!("{NAT66}, address = \"{public}\""), NAT66);
    assert_eq!(fiber(&gateway).address, entry(public));
    assert_eq!(owner(&gateway, public), Some(AddressOwner::translated(0)));
    assert_eq!(owner(&gateway, OWN), Some(AddressOwner::KERNEL));
    assert_eq!(status(&gateway).address, Some(ip(public)));
    let gateway = running(&format!("{NAT66}, address = \"{OWN}\""), NAT66);
    assert_eq!(owner(&gateway, OWN), Some(AddressOwner::shared(0)));
}

#[test]
fn each_uplink_takes_what_it_translates() {
    let of = |internal: &str| format!("{NAT66}, internal = \"{internal}\"");
    let cable = format!("{}, address = \"2001:db8:c::2\"", of("fd00:1:0:1::/64"));
    let gateway = running(&of("fd00:1::/48"), &cable);
    let [wide, narrow] = ["fd00:1::/48", "fd00:1:0:1::/64"].map(|prefix| sources(&gateway, prefix));
    assert_eq!((wide, narrow), (0b01, BOTH));
    let cable = format!("{}, address = \"2001:db8:c::2\"", of("fd00:2::/48"));
    let gateway = running(&of("fd00:1::/48"), &cable);
    let [first, second] = ["fd00:1::/48", "fd00:2::/48"].map(|prefix| sources(&gateway, prefix));
    assert_eq!((first, second), (0b01, 0b10));
    // What one uplink routes, another one may translate.
    let routed = "mode = \"routed\", prefix = \"2001:db8:100::/48\"";
    let cable = format!("{}, address = \"2001:db8:c::2\"", of("2001:db8:100::/48"));
    assert_eq!(sources(&running(routed, &cable), "2001:db8:100::/48"), BOTH);
}

#[test]
fn the_address_in_use_is_kept_and_another_one_is_another_generation() {
    let mut gateway = running(NAT66, CABLE_NPTV6);
    let before = fiber(&gateway);
    // One that is as good.
    gateway.fact(ranked("2001:db8:f::1", Rank::Primary));
    assert_eq!(fiber(&gateway), before);
    gateway.fact(ranked(OWN, Rank::Deprecated));
    let after = fiber(&gateway);
    assert_eq!(after.address, entry("2001:db8:f::1"));
    assert!(after.generation > before.generation);
    assert_eq!(owner(&gateway, OWN), Some(AddressOwner::KERNEL));
    gateway.fact(ranked(OWN, Rank::Primary));
    assert_eq!(fiber(&gateway), after);
    gateway.fact(gone("2001:db8:f::1"));
    assert_eq!(fiber(&gateway).address, entry(OWN));
    assert!(fiber(&gateway).generation > after.generation);
}

#[test]
fn an_uplink_without_an_address_is_not_chosen_until_it_has_one() {
    let mut gateway = running(NAT66, CABLE_NPTV6);
    let before = fiber(&gateway);
    gateway.fact(gone(OWN));
    gateway.fact(ranked("2001:db8:f::3", Rank::Deprecated));
    assert_eq!(fiber(&gateway), Uplink6::default());
    assert_eq!(sources(&gateway, "fd00:1::/48"), 0b10);
    let Ipv6Status { address, missing, .. } = status(&gateway);
    assert_eq!(address, None);
    assert_eq!(
        missing.as_deref(),
        Some(
            "wan0 has no IPv6 address for hosts to share, other than link-local, tentative and \
             deprecated ones, and those of other uplinks; give it one (`ip address add \
             ADDRESS/LENGTH dev wan0`), or set ipv6.address"
        )
    );
    gateway.fact(ranked(OWN, Rank::Primary));
    assert_eq!(fiber(&gateway), before, "its flows go on");
    assert_eq!(sources(&gateway, "fd00:1::/48"), BOTH);
}

#[test]
fn an_address_that_is_not_written_yet_is_not_sent_from() {
    let mut gateway = running(NAT66, CABLE_NPTV6);
    gateway.fact(Fact::NeighbourGone { index: FIBER, address: ip(FIBER_GATEWAY6).into() });
    assert_eq!(fiber(&gateway).address, entry(OWN));
    gateway.fact(gone(OWN));
    gateway.fact(ranked("2001:db8:f::3", Rank::Primary));
    assert_eq!(fiber(&gateway), Uplink6::default());
    gateway.fact(resolved6(FIBER, FIBER_GATEWAY6));
    assert_eq!(fiber(&gateway).address, entry("2001:db8:f::3"));
}

#[test]
fn another_mode_or_address_in_the_file_is_another_generation() {
    let mut gateway = running(FIBER_NPTV6, CABLE_NPTV6);
    let cable = with(CABLE_CONFIG, CABLE_NPTV6);
    let mut generations = vec![fiber(&gateway).generation];
    for (ipv6, address) in [
        (NAT66.to_owned(), OWN),
        (format!("{NAT66}, address = \"2001:db8:f::77\""), "2001:db8:f::77"),
        (FIBER_NPTV6.to_owned(), "::"),
    ] {
        gateway.reload(&[&with(FIBER_CONFIG, &ipv6), &cable]);
        assert_eq!(fiber(&gateway).address, entry(address), "{ipv6}");
        generations.push(fiber(&gateway).generation);
    }
    assert!(generations.is_sorted_by(|a, b| a < b), "{generations:?}");
    assert_eq!(owner(&gateway, OWN), Some(AddressOwner::KERNEL));
    assert_eq!(owner(&gateway, "2001:db8:f::77"), None);
}

#[test]
fn nothing_is_translated_where_the_lans_prefix_is_not_known() {
    let mut gateway = Gateway::bare(&[&with(FIBER_CONFIG, NAT66), CABLE_CONFIG], Fake::default());
    let mut snapshot = host6();
    let lan = Address { index: LAN, address: ip("fd00:1:0:1::1").into(), prefix_length: 64 };
    snapshot.apply(Fact::AddressGone(lan));
    assert!(gateway.update(Update::Resync(snapshot)).is_empty());
    assert_eq!(fiber(&gateway), Uplink6::default());
    let missing = status(&gateway).missing.expect("something is");
    assert!(missing.starts_with("no LAN interface has a unique local address"), "{missing}");
    gateway.fact(Fact::Address { address: lan, rank: Rank::Primary });
    assert_eq!(fiber(&gateway).address, entry(OWN));
}

#[test]
fn an_address_is_of_one_uplink_only() {
    let mut gateway = running(NAT66, NAT66);
    let nowhere = Ipv6::default();
    let cable = |gateway: &Gateway| {
        gateway.dataplane.uplinks6.get(&1).map_or(nowhere, |uplink| uplink.address)
    };
    gateway.fact(has_address6(CABLE, OWN, 64));
    assert_eq!((fiber(&gateway).address, cable(&gateway)), (entry(OWN), nowhere));
    assert_eq!(sources(&gateway, "fd00:1::/48"), 0b01);
    gateway.fact(has_address6(CABLE, "2001:db8:c::2", 64));
    assert_eq!(cable(&gateway), entry("2001:db8:c::2"));
    // Also where the configuration gives it to the other one.
    let given = format!("{NAT66}, address = \"{OWN}\"");
    gateway.reload(&[&with(FIBER_CONFIG, NAT66), &with(CABLE_CONFIG, &given)]);
    assert_eq!((fiber(&gateway).address, cable(&gateway)), (entry(OWN), nowhere));
}
