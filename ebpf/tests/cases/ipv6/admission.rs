//! What a packet that is of no flow may do, and what it may not.

use std::net::Ipv6Addr;

use pointsman_ebpf::memory::site::{A, B, lan};
use pointsman_ebpf::memory::site6::{self, Carriage, INTERNAL, provided, within};
use pointsman_ebpf::memory::{Body6, End6, PacketBuilder6};
use pointsman_ebpf::verdict::{DropReason, PassReason};
use pointsman_ebpf::wire::tcp_flags::RST;

use super::harness::{
    Gateway, HOST, HOST_A, HOST_OF_A, HOST_OF_B, HOST_ROUTED, OTHER, SERVER, TRANSLATED, answer,
    coming, gateway, open_gateway, request, segment,
};

const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 7);
const END_OF_LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfebf, 0xffff, 0, 0, 0, 0, 0, 7);
const MULTICAST: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// Addresses that no router forwards from or to (RFC 4291 section 2.5; RFC 6890 section 2.2.3).
const MARTIANS: [Ipv6Addr; 3] = [
    Ipv6Addr::UNSPECIFIED,
    Ipv6Addr::LOCALHOST,
    Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0xcb00, 0x7102),
];

fn passes(gateway: &Gateway, ifindex: u32, packet: &PacketBuilder6) {
    let before = gateway.pins6();
    gateway.passes(ifindex, &packet.build(), PassReason::Local);
    assert_eq!(gateway.pins6(), before);
}

/// What is for the gateway, or for the link, is the kernel's, whoever sends it and whatever it is.
#[test]
fn what_is_the_kernels() {
    let own = [site6::GATEWAY, site6::own(&A), LINK_LOCAL, END_OF_LINK_LOCAL, MULTICAST];
    for carriage in [TRANSLATED, [Carriage::Routed; 2], [Carriage::None; 2]] {
        let gateway = gateway(carriage);
        for to in own {
            for packet in [
                request().to((to, 53)),
                request().to((to, 53)).from_address(LINK_LOCAL).hop_limit(1),
                request().to((to, 53)).from_address(Ipv6Addr::UNSPECIFIED),
                segment(RST).to_address(to),
                PacketBuilder6::new((LINK_LOCAL, 0), (to, 0), Body6::Message([135, 0], [0; 4])),
            ] {
                passes(&gateway, lan::IFINDEX, &packet);
                passes(&gateway, A.ifindex, &coming(packet, &A));
            }
        }
    }
}

/// Its own address of a translated prefix is the kernel's too.
#[test]
fn the_gateways_own_address_of_a_translated_prefix() {
    use pointsman_ebpf::abi::AddressOwner;
    let mut gateway = gateway(TRANSLATED);
    let own = within(provided(&A, 48), [0, 0, 0, 0, 1]);
    gateway.tables.local.insert(site6::entry(own), AddressOwner::KERNEL);
    passes(&gateway, A.ifindex, &coming(request().from(SERVER).to((own, 22)), &A));
    passes(&gateway, lan::IFINDEX, &request().to((own, 22)));
}

#[test]
fn martians_from_the_lan() {
    let gateway = gateway(TRANSLATED);
    let refuse = |packet: &PacketBuilder6| {
        gateway.refuses6(lan::IFINDEX, packet, DropReason::Martian);
    };
    for martian in MARTIANS {
        refuse(&request().from_address(martian));
        refuse(&request().to_address(martian));
    }
    // Nobody else speaks for the gateway, or for everybody, or from beyond the link.
    for source in [site6::GATEWAY, site6::own(&B), LINK_LOCAL, END_OF_LINK_LOCAL, MULTICAST] {
        refuse(&request().from_address(source));
    }
    gateway.holds6([0; 3]);
}

#[test]
fn martians_from_an_uplink() {
    let gateway = open_gateway(TRANSLATED);
    let refuse = |packet: &PacketBuilder6| {
        gateway.refuses6(A.ifindex, packet, DropReason::Martian);
    };
    let packet = answer(HOST_A, &A);
    for martian in MARTIANS {
        refuse(&packet.clone().from_address(martian));
        refuse(&packet.clone().to_address(martian));
    }
    // Nor do those outside speak for the gateway or for the LAN.
    for source in [site6::GATEWAY, LINK_LOCAL, MULTICAST, HOST.0, OTHER.0, HOST_A] {
        refuse(&packet.clone().from_address(source));
    }
    gateway.holds6([0; 3]);
}

/// Messages of the link, and such as nobody knows, do not cross (RFC 4890 section 4.3).
#[test]
fn messages_that_do_not_cross() {
    let types = (130..=137).chain([0, 5, 100, 127, 138, 139, 143, 144, 151, 200, 255]);
    let gateway = open_gateway(TRANSLATED);
    for icmp_type in types {
        let body = Body6::Message([icmp_type, 0], [0; 4]);
        let out = PacketBuilder6::new(HOST, SERVER, body.clone());
        gateway.refuses6(lan::IFINDEX, &out, DropReason::Icmp);
        let into = coming(PacketBuilder6::new(SERVER, (HOST_A, 0), body), &A);
        gateway.refuses6(A.ifindex, &into, DropReason::Icmp);
    }
}

/// BCP 38: from no prefix of the site, from one that is only shown outside, or where there is no IPv6.
#[test]
fn foreign_sources() {
    let foreign = Ipv6Addr::new(0xfd00, 2, 0, 1, 0, 0, 0, 2);
    let translated = gateway(TRANSLATED);
    let refuse = |gateway: &Gateway, source, reason| {
        gateway.refuses6(lan::IFINDEX, &request().from_address(source), reason);
    };
    for source in [foreign, SERVER.0, HOST_A, HOST_ROUTED] {
        refuse(&translated, source, DropReason::ForeignSource);
    }
    let sourced = gateway([Carriage::Source, Carriage::None]);
    for source in [HOST.0, HOST_OF_B] {
        refuse(&sourced, source, DropReason::ForeignSource);
    }
    let without = gateway([Carriage::None; 2]);
    for source in [HOST.0, foreign] {
        refuse(&without, source, DropReason::Ipv6);
    }
}

/// The longest of the prefixes that an address is in counts.
#[test]
fn the_longest_prefix_counts() {
    use pointsman_ebpf::abi::SitePrefix;
    let mut gateway = gateway(TRANSLATED);
    let only_b = SitePrefix { uplinks: B.bit(), is_bound: 1, ..SitePrefix::default() };
    let subnet = (site6::entry(within(INTERNAL, [1, 0, 0, 0, 0])), 64);
    gateway.tables.ipv6.prefixes.insert(subnet, only_b);
    gateway.sends6(&request(), &B, super::harness::HOST_B);
    let elsewhere = within(INTERNAL, [2, 0, 0, 0, 2]);
    let shown = within(provided(&A, 48), [0xcf40, 0, 0, 0, 2]);
    gateway.sends6(&request().from_address(elsewhere), &A, shown);
}

/// From an uplink that carries no IPv6, and to what no uplink's prefix covers.
#[test]
fn what_an_uplink_does_not_carry() {
    let gateway = open_gateway([Carriage::Nptv6(48), Carriage::None]);
    let by_b = coming(request().from(SERVER).to(HOST), &B);
    gateway.refuses6(B.ifindex, &by_b, DropReason::Ipv6);
    for to in [HOST.0, HOST_OF_B, HOST_ROUTED, SERVER.0] {
        let (from, to): (End6, End6) = ((SERVER.0, 1), (to, 1));
        let packet = coming(request().from(from).to(to), &A);
        gateway.refuses6(A.ifindex, &packet, DropReason::Unsolicited);
    }
}

/// A provider's own prefix comes in by that provider.
#[test]
fn a_prefix_of_another_uplink() {
    let gateway = open_gateway([Carriage::Source; 2]);
    let packet = coming(request().from(SERVER).to((HOST_OF_A, 1)), &B);
    gateway.refuses6(B.ifindex, &packet, DropReason::Unsolicited);
}

/// A prefix that is nobody's inside, though an uplink is routed: there is no way from uplink to uplink.
#[test]
fn from_uplink_to_uplink() {
    let gateway = open_gateway([Carriage::Routed; 2]);
    let packet = coming(request().from(SERVER).to((within(INTERNAL, [1, 0, 0, 0, 2]), 1)), &A);
    gateway.refuses6(A.ifindex, &packet, DropReason::Unsolicited);
}
