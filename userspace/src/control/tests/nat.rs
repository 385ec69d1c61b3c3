//! Pools of public addresses, port forwards, and ports that are never handed out.

use pointsman_ebpf::abi::{
    AddressOwner, Filtering, Forward, L4Port, LanSide, OwnPorts, PortRange, Settings,
};

use super::*;
use crate::config::PortProtocol;
use crate::ports::PortSet;

/// A forward of 443 to a LAN host, by the cable only, and one of the same ports to another.
const FORWARDS: &str = "[[forward]]\nprotocol = \"tcp\"\nport = 443\nto = \"10.1.0.10:8443\"\n\
                        uplinks = [\"cable\"]\nsources = [\"192.0.2.0/24\"]\n\
                        [[forward]]\nprotocol = \"udp\"\nport = \"5060-5061\"\nto = \"10.1.0.11\"\n";
const WEB: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 10);
const PHONE: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 11);
const WEB_MAC: [u8; 6] = [2, 0, 0, 0, 2, 10];

/// A running gateway with forwards, and what is below them in its file.
fn forwarding(lines: &str) -> Gateway {
    let mut gateway = Gateway::running();
    gateway.reload(&[FIBER_CONFIG, CABLE_CONFIG, FORWARDS, lines]);
    gateway
}

fn reach(gateway: &Gateway, host: Ipv4Addr) -> String {
    gateway.controller.target(host).expect("a forward is to it").reach().to_string()
}

#[test]
fn a_forward_is_in_place_before_it_counts() {
    let mut gateway = forwarding("");
    let log = gateway.log();
    let at = |entry: &str| log.iter().position(|done| done == entry).expect("it was written");
    assert!(at("forward 1") < at("settings"), "{log:?}");
    assert_eq!(gateway.dataplane.settings.forwards, 2);
    let web = gateway.dataplane.forwards[&0];
    let expected = Forward {
        uplinks: 0b10,
        address: Ipv4::new(WEB.octets()),
        ports: PortRange { first: 443, last: 443 },
        port: 8443,
        protocol: 6,
        source_count: 1,
        ..Forward::default()
    };
    assert_eq!(Forward { sources: expected.sources, ..web }, expected);
    assert!(web.sources[0].contains(Ipv4::new([192, 0, 2, 255])));
    assert!(!web.sources.iter().any(|source| source.contains(Ipv4::new([192, 0, 3, 0]))));
    let phone = gateway.dataplane.forwards[&1];
    assert_eq!((phone.uplinks, phone.protocol, phone.source_count), (BOTH, 17, 0));
    assert_eq!((phone.ports, phone.port), (PortRange { first: 5060, last: 5061 }, 5060));
}

#[test]
fn a_forward_has_no_way_until_its_host_answers() {
    let mut gateway = forwarding("");
    assert!(!gateway.dataplane.forwards[&0].lan.is_resolved());
    assert_eq!(reach(&gateway, WEB), "its MAC is being asked for on lan0");
    let due = gateway.controller.resolutions_due(gateway.now);
    assert_eq!(due, [(LAN, WEB.into()), (LAN, PHONE.into())]);
    assert_eq!(gateway.controller.resolutions_due(gateway.now), [], "asked once a second");

    gateway.log();
    gateway.fact(neighbour(LAN, WEB, Some(WEB_MAC), NeighbourState::Reachable));
    assert_eq!(gateway.log(), ["forward 0"]);
    let port = gateway.dataplane.ports[&LAN];
    let way = |mac| LanSide::new(MacPair::new(Mac::new(mac), port.mac), port.egress, port.mtu);
    assert_eq!(gateway.dataplane.forwards[&0].lan, way(WEB_MAC));
    assert_eq!(reach(&gateway, WEB), "its MAC is known");

    gateway.fact(neighbour(LAN, WEB, Some([6; 6]), NeighbourState::Reachable));
    assert_eq!(gateway.dataplane.forwards[&0].lan, way([6; 6]));
    gateway.fact(Fact::NeighbourGone { index: LAN, address: WEB.into() });
    assert_eq!(gateway.dataplane.forwards[&0].lan, way([6; 6]), "nobody has contradicted it");
    gateway.fact(neighbour(LAN, WEB, None, NeighbourState::Failed));
    assert!(!gateway.dataplane.forwards[&0].lan.is_resolved());
    assert_eq!(reach(&gateway, WEB), "it does not answer ARP on lan0");
    gateway.now += Duration::from_secs(1);
    assert_eq!(
        gateway.controller.resolutions_due(gateway.now),
        [(LAN, WEB.into()), (LAN, PHONE.into())]
    );
}

#[test]
fn a_forward_is_by_the_lan_interface_with_the_longest_prefix() {
    let mut gateway = Gateway::bare(&[FIBER_CONFIG, CABLE_CONFIG], Fake::default());
    let text =
        format!("[lan]\ninterfaces = [\"lan0\", \"lan1\"]\n{FIBER_CONFIG}{CABLE_CONFIG}{FORWARDS}");
    let config = config::parse("test.toml", &text).expect("the configuration is good").0;
    gateway.controller.configure(config, gateway.now);
    let (second, other) = (9, Address { prefix_length: 8, ..address(LAN, [10, 9, 0, 1]) });
    gateway.update(Update::Resync(host()));
    gateway.fact(Fact::AddressGone(address(LAN, [10, 1, 0, 1])));
    assert_eq!(reach(&gateway, WEB), "no LAN interface has a prefix with it");
    gateway.fact(Fact::Address { address: other, rank: Rank::Primary });
    assert_eq!(reach(&gateway, WEB), "its MAC is being asked for on lan0");
    gateway.fact(link(second, "lan1", true));
    gateway.fact(has_address(second, [10, 1, 0, 2]));
    assert_eq!(reach(&gateway, WEB), "its MAC is being asked for on lan1");
    assert_eq!(
        gateway.controller.resolutions_due(gateway.now),
        [(second, WEB.into()), (second, PHONE.into())]
    );
    gateway.fact(neighbour(LAN, WEB, Some([6; 6]), NeighbourState::Reachable));
    assert!(!gateway.dataplane.forwards[&0].lan.is_resolved(), "that is another host's");
    gateway.fact(neighbour(second, WEB, Some(WEB_MAC), NeighbourState::Reachable));
    assert_eq!(
        gateway.dataplane.forwards[&0].lan.egress(),
        gateway.dataplane.ports[&second].egress
    );
    gateway.fact(Fact::LinkGone { index: second });
    assert!(!gateway.dataplane.forwards[&1].lan.is_resolved());
    assert_eq!(reach(&gateway, PHONE), "its MAC is being asked for on lan0");
}

#[test]
fn a_forward_that_is_removed_forwards_nothing() {
    let mut gateway = forwarding("");
    gateway.reload(&[FIBER_CONFIG, CABLE_CONFIG]);
    assert_eq!(gateway.dataplane.settings.forwards, 0);
    assert_eq!(gateway.dataplane.forwards[&0], Forward::default());
    assert_eq!(gateway.dataplane.forwards[&1], Forward::default());
    assert!(gateway.dataplane.own_ports.values().all(|ports| *ports == 0));
    assert_eq!(gateway.controller.resolutions_due(gateway.now), []);
}

#[test]
fn ports_of_sockets_forwards_and_the_file_are_never_handed_out() {
    let mut gateway = forwarding("[nat]\nreserved_ports = [\"3000-3001/tcp\"]\n");
    let taken = |gateway: &Gateway, udp: bool, port: u16| {
        let (word, bit) = OwnPorts::place(udp, L4Port::from_host(port));
        gateway.dataplane.own_ports.get(&word).is_some_and(|ports| ports >> bit & 1 == 1)
    };
    for (udp, port, expected) in [
        (false, 443, true),
        (true, 443, false),
        (true, 5060, true),
        (true, 5061, true),
        (true, 5062, false),
        (false, 3000, true),
        (false, 3001, true),
        (true, 3000, false),
        (false, 8443, false),
    ] {
        assert_eq!(taken(&gateway, udp, port), expected, "{port}, UDP: {udp}");
    }
    gateway.log();
    let mut sockets = PortSet::default();
    sockets.insert(PortProtocol::Tcp, 8443..=8443);
    gateway.controller.set_socket_ports(sockets);
    assert!(gateway.install().is_empty());
    assert_eq!(gateway.log(), ["own ports 131"], "one word has changed");
    assert!(taken(&gateway, false, 8443) && taken(&gateway, false, 443));
    gateway.controller.set_socket_ports(PortSet::default());
    assert!(gateway.install().is_empty());
    assert_eq!(gateway.log(), ["own ports 131"]);
    assert!(!taken(&gateway, false, 8443));
}

#[test]
fn several_public_addresses_are_a_pool_and_the_others_are_not_the_kernels() {
    let pool = "ipv4.addresses = [\"203.0.113.2\", \"203.0.113.3\"]\n";
    let mut gateway = Gateway::bare(&[FIBER_CONFIG, pool, CABLE_CONFIG], Fake::default());
    assert!(gateway.update(Update::Resync(host())).is_empty());
    let Fake { uplinks, pool, local, ports, .. } = &gateway.dataplane;
    assert_eq!((uplinks[&0].pool, uplinks[&1].pool), (2, 1));
    let [first, second, cable] =
        [[203, 0, 113, 2], [203, 0, 113, 3], [198, 51, 100, 2]].map(Ipv4::new);
    assert_eq!(*pool, [(0, first), (1, second), (16, cable)].into());
    let owner = |address: Ipv4| local.get(&LocalAddress::from(address)).copied();
    assert_eq!(owner(first), Some(AddressOwner::shared(0)));
    assert_eq!(owner(second), Some(AddressOwner::translated(0)));
    assert_eq!(owner(cable), Some(AddressOwner::shared(1)));
    let lan = Ipv4::new([10, 1, 0, 1]);
    assert_eq!(owner(lan), Some(AddressOwner::KERNEL));
    assert_eq!((ports[&LAN].address, ports[&FIBER].address), (lan, first));
    assert_eq!(gateway.dataplane.alive, BOTH);

    gateway.fact(has_address(FIBER, [203, 0, 113, 3]));
    let local = &gateway.dataplane.local;
    assert_eq!(local[&LocalAddress::from(second)], AddressOwner::shared(0));
    assert_eq!(gateway.dataplane.uplinks[&0].generation, 100);

    gateway.log();
    let one = "ipv4.address = \"203.0.113.2\"\n";
    gateway.reload(&[FIBER_CONFIG, one, CABLE_CONFIG]);
    assert_eq!(gateway.log(), ["alive 10", "pool 1", "uplink 0", "local", "alive 11"]);
    let fiber = gateway.dataplane.uplinks[&0];
    assert_eq!((fiber.pool, fiber.generation), (1, 102), "mappings of the other are stale");
    assert_eq!(gateway.dataplane.local[&LocalAddress::from(second)], AddressOwner::KERNEL);
}

#[test]
fn the_gateways_own_packets_come_from_an_address_that_it_has() {
    let source_with = |addresses: &str| {
        let pool = format!("ipv4.addresses = [{addresses}]\n");
        let mut gateway = Gateway::bare(&[FIBER_CONFIG, &pool, CABLE_CONFIG], Fake::default());
        gateway.update(Update::Resync(host()));
        let uplink = &gateway.controller.uplinks()[0];
        (uplink.address(), uplink.source())
    };
    let [own, routed] = [2, 9].map(|last| Some(Ipv4Addr::new(203, 0, 113, last)));
    assert_eq!(source_with("\"203.0.113.9\", \"203.0.113.2\""), (routed, own));
    assert_eq!(source_with("\"203.0.113.9\""), (routed, own));
    assert_eq!(source_with("\"203.0.113.2\""), (own, own));
}

#[test]
fn settings_are_those_of_the_file() {
    let mut gateway = Gateway::running();
    let defaults = gateway.dataplane.settings;
    let nat = "[nat]\nports = \"2000-3000\"\nfiltering = \"address\"\nmappings_per_host = 10\n\
               unreplied_per_host = 20\nicmp_rate = 30\nicmp_burst = 40\n";
    gateway.reload(&[FIBER_CONFIG, CABLE_CONFIG, nat]);
    assert_eq!(gateway.log(), ["settings"]);
    let settings = gateway.dataplane.settings;
    let expected = Settings {
        nat_ports: PortRange { first: 2000, last: 3000 },
        filtering: Filtering::Address as u8,
        host_mappings_max: 10,
        host_unreplied_max: 20,
        icmp_rate: 30,
        icmp_burst: 40,
        ..defaults
    };
    assert_eq!(settings, expected);
}

#[test]
fn a_forward_that_does_not_fit_the_host_is_refused_at_the_start() {
    let mut gateway = forwarding("");
    assert_eq!(check(&gateway.controller), Ok(()));
    gateway.fact(has_address(LAN, PHONE.octets()));
    assert_eq!(
        check(&gateway.controller).unwrap_err().to_string(),
        "the forward of udp 5060-5061 to 10.1.0.11:5060-5061: 10.1.0.11 is an address of this \
         host; give another host of the LAN, or remove the forward to let the packets in"
    );
    let elsewhere = FORWARDS.replace("10.1.0.10", "10.2.0.10");
    gateway.reload(&[FIBER_CONFIG, CABLE_CONFIG, &elsewhere]);
    assert_eq!(
        check(&gateway.controller).unwrap_err().to_string(),
        "the forward of tcp 443 to 10.2.0.10:8443: no LAN interface has a prefix with 10.2.0.10; \
         give a host of the LAN, or add an address of its prefix to the interface"
    );
}
