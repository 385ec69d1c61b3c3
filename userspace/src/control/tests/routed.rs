//! Prefixes of IPv4 that uplinks route as they are.

use ipnet::{Ipv4Net, Ipv6Net};
use pointsman_ebpf::abi::{Inbound, Ipv4Prefix, LanNetwork, ROUTED_SIDE, SitePrefix, Uplink};

use super::*;

const PREFIX: Ipv4Prefix = Ipv4Prefix { network: 0xc613_0400, mask: 0xffff_ff00 };
const ROUTED: &str = "ipv4 = { mode = \"routed\", prefix = \"198.19.4.0/24\" }\n";
const BESIDE: &str = "ipv4 = { routed = \"198.19.4.0/24\", inbound = \"answers\" }\n";

fn running(fiber: &str, cable: &str) -> Gateway {
    let uplinks = [format!("{FIBER_CONFIG}{fiber}"), format!("{CABLE_CONFIG}{cable}")];
    let mut gateway = Gateway::bare(&[&uplinks[0], &uplinks[1]], Fake::default());
    assert!(gateway.update(Update::Resync(host())).is_empty());
    gateway.log();
    gateway
}

/// The prefix of the mapped addresses, and which uplinks take it.
fn known(prefix: &str, uplinks: u64) -> (Ipv6Net, SitePrefix) {
    (prefix.parse().unwrap(), SitePrefix { uplinks, ..SitePrefix::default() })
}

/// A prefix of the LAN, and whether it is on a link.
fn on_link(prefix: &str, is_on_link: bool) -> (Ipv4Net, LanNetwork) {
    let prefix: Ipv4Net = prefix.parse().unwrap();
    (prefix, LanNetwork::new(u32::from(prefix.prefix_len()), is_on_link))
}

fn side(gateway: &Gateway, id: u8) -> Uplink {
    gateway.dataplane.uplinks[&(ROUTED_SIDE + id)]
}

#[test]
fn an_uplink_has_a_side_for_each_of_what_it_does() {
    let gateway = running(ROUTED, BESIDE);
    let Fake { uplinks, site_prefixes, ports, settings, local, alive, .. } = &gateway.dataplane;
    assert_eq!(*alive, BOTH);
    assert_eq!(uplinks.keys().copied().collect::<Vec<_>>(), [1, 64, 65]);
    let macs = MacPair::new(Mac::new(gateway_mac(FIBER)), Mac::new(own_mac(FIBER)));
    let fiber = side(&gateway, 0);
    assert_eq!((fiber.macs, fiber.mtu, fiber.pool), (macs, 1500, 0));
    assert_eq!(gateway.dataplane.egress[&fiber.egress], FIBER);
    assert_eq!(
        [fiber.inbound, side(&gateway, 1).inbound],
        [Inbound::All, Inbound::Answers].map(|it| it as u8)
    );
    assert_ne!(uplinks[&1].generation, uplinks[&65].generation);
    assert_eq!(*site_prefixes, [known("::ffff:198.19.4.0/120", BOTH)].into());
    for ifindex in [FIBER, CABLE] {
        let port = ports[&ifindex];
        assert_eq!((port.routed_count, port.routed[0]), (1, PREFIX));
        assert!(port.routed[1..].iter().all(|prefix| *prefix == Ipv4Prefix::default()));
    }
    assert_eq!((settings.routed, settings.nat44), (1, 0b10));
    // It is of the LAN, wherever there.
    let networks = [on_link("10.1.0.0/24", true), on_link("198.19.4.0/24", false)];
    assert_eq!(gateway.dataplane.lan_networks, networks.into());
    // Nothing is translated to the address of what only routes.
    let owner = |address: [u8; 4]| local[&LocalAddress::from(Ipv4::new(address))].uplink();
    assert_eq!([owner([203, 0, 113, 2]), owner([198, 51, 100, 2])], [None, Some(1)]);
}

/// Only on a link does a prefix have a broadcast address, also one that is routed.
#[test]
fn a_prefix_may_be_on_the_link_of_a_lan_interface() {
    let mut gateway = running(ROUTED, "");
    gateway.fact(has_address(LAN, [198, 19, 4, 1]));
    let networks = [on_link("10.1.0.0/24", true), on_link("198.19.4.0/24", true)];
    assert_eq!(gateway.dataplane.lan_networks, networks.into());
    gateway.fact(Fact::AddressGone(address(LAN, [198, 19, 4, 1])));
    assert_eq!(gateway.dataplane.lan_networks[&networks[1].0], LanNetwork::new(24, false));
}

/// A part of the prefix may also leave by who routes the whole.
#[test]
fn a_part_of_a_prefix_inherits() {
    let gateway = running(ROUTED, "ipv4 = { routed = \"198.19.4.128/25\" }\n");
    let expected = [known("::ffff:198.19.4.0/120", 0b01), known("::ffff:198.19.4.128/121", BOTH)];
    assert_eq!(gateway.dataplane.site_prefixes, expected.into());
}

/// Where all of an uplink translates, there is nothing of this.
#[test]
fn without_a_prefix() {
    let gateway = running("", "");
    let Fake { uplinks, site_prefixes, ports, settings, .. } = &gateway.dataplane;
    assert_eq!(uplinks.len(), 2);
    assert!(site_prefixes.is_empty());
    assert!(ports.values().all(|port| port.routed_count == 0));
    assert_eq!((settings.routed, settings.nat44), (0, BOTH));
}

/// Another address for translation: what the uplink routes goes on meanwhile, by the generation that it
/// had, and nothing is translated until all is written.
#[test]
fn another_public_address_does_not_disturb_what_is_routed() {
    let mut gateway = running(BESIDE, BESIDE);
    let before = [side(&gateway, 0).generation, gateway.dataplane.uplinks[&0].generation];
    let mut moved = host();
    moved.apply(Fact::AddressGone(address(FIBER, [203, 0, 113, 2])));
    moved.apply(has_address(FIBER, [203, 0, 113, 7]));
    assert!(gateway.update(Update::Resync(moved)).is_empty());
    let log = gateway.log();
    assert!(!log.iter().any(|done| done.starts_with("alive")), "{log:?}");
    let at = |entry: &str| {
        let places: Vec<usize> = { log.iter().enumerate() }
            .filter(|(_, done)| *done == entry)
            .map(|(place, _)| place)
            .collect();
        places
    };
    let (settings, written) = (at("settings"), at("uplink 0"));
    assert!(settings[0] < written[0] && written[0] < settings[1], "{log:?}");
    assert_eq!(gateway.dataplane.settings.nat44, BOTH);
    let after = [side(&gateway, 0).generation, gateway.dataplane.uplinks[&0].generation];
    assert_eq!(after[0], before[0]);
    assert_ne!(after[1], before[1]);
}

/// The address is gone: what is routed goes on, and nothing is translated there.
#[test]
fn without_an_address_only_what_is_routed_goes_on() {
    let mut gateway = running(BESIDE, BESIDE);
    gateway.fact(Fact::AddressGone(address(FIBER, [203, 0, 113, 2])));
    assert_eq!((gateway.dataplane.alive, gateway.dataplane.settings.nat44), (BOTH, 0b10));
    assert_eq!(gateway.state(0).0, State::Up);
    gateway.fact(has_address(FIBER, [203, 0, 113, 2]));
    assert_eq!((gateway.dataplane.alive, gateway.dataplane.settings.nat44), (BOTH, BOTH));
}

/// An address of the prefix is none to translate to, though the interface has it.
#[test]
fn an_address_of_the_prefix_is_not_translated_to() {
    let mut gateway = running(BESIDE, "");
    let mut snapshot = host();
    snapshot.apply(Fact::AddressGone(address(FIBER, [203, 0, 113, 2])));
    snapshot.apply(has_address(FIBER, [198, 19, 4, 1]));
    gateway.update(Update::Resync(snapshot));
    assert_eq!(gateway.dataplane.settings.nat44, 0b10);
    assert_eq!(gateway.controller.uplinks()[0].address(), None);
    assert_eq!(gateway.dataplane.alive, BOTH);
}

/// Its flows are looked at anew when it routes something else, and gone when it routes nothing.
#[test]
fn a_prefix_that_changes() {
    let mut gateway = running(ROUTED, ROUTED);
    let before = [0, 1].map(|id| side(&gateway, id).generation);
    let both = "ipv4 = { mode = \"routed\", prefix = [\"198.19.4.0/24\", \"198.19.6.0/24\"] }\n";
    let fiber = format!("{FIBER_CONFIG}{both}");
    let cable = format!("{CABLE_CONFIG}{ROUTED}");
    gateway.reload(&[&fiber, &cable]);
    let after = [0, 1].map(|id| side(&gateway, id).generation);
    assert_ne!(after[0], before[0]);
    assert_eq!(after[1], before[1]);
    let expected = [known("::ffff:198.19.4.0/120", BOTH), known("::ffff:198.19.6.0/120", 0b01)];
    assert_eq!(gateway.dataplane.site_prefixes, expected.into());
    gateway.reload(&[FIBER_CONFIG, &cable]);
    assert_eq!(gateway.dataplane.uplinks[&ROUTED_SIDE], Uplink::default());
    assert_ne!(gateway.dataplane.uplinks[&0].generation, 0);
    assert_eq!(gateway.dataplane.settings.nat44, 0b01);
    assert_eq!(gateway.dataplane.site_prefixes, [known("::ffff:198.19.4.0/120", 0b10)].into());
}

/// As long as the next hop is not known, no flow takes the uplink.
#[test]
fn an_uplink_whose_next_hop_is_not_known() {
    let mut gateway = {
        let uplinks = [format!("{FIBER_CONFIG}{ROUTED}"), format!("{CABLE_CONFIG}{ROUTED}")];
        Gateway::bare(&[&uplinks[0], &uplinks[1]], Fake::default())
    };
    let mut snapshot = host();
    snapshot.apply(Fact::NeighbourGone { index: FIBER, address: FIBER_GATEWAY.into() });
    gateway.update(Update::Resync(snapshot));
    assert_eq!(gateway.dataplane.site_prefixes, [known("::ffff:198.19.4.0/120", 0b10)].into());
    assert_eq!(gateway.dataplane.alive, 0b10);
    gateway.fact(resolved(FIBER, FIBER_GATEWAY));
    assert_eq!(gateway.dataplane.site_prefixes, [known("::ffff:198.19.4.0/120", BOTH)].into());
    assert_eq!(gateway.dataplane.alive, BOTH);
}
