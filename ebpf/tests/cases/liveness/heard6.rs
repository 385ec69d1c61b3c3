//! Packets of IPv6 that put off the deadline of their uplink, or do not.

use std::net::Ipv6Addr;

use pointsman_ebpf::abi::{L4Port, Sequence, Watch};
use pointsman_ebpf::memory::site::{self, A, B, lan};
use pointsman_ebpf::memory::site6::{self, Carriage, own};
use pointsman_ebpf::memory::{PacketBuilder6, tagged};
use pointsman_ebpf::verdict::{DropReason, PassReason};

use super::super::ipv6::coming;
use super::super::vlan::{KINDS, serve};
use super::harness::{
    CONTROL, DETECTION, ECHO, Gateway, MULTIHOP, PLAIN, SINGLE_HOP, watching, with,
};

const PEER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);

fn gateway(carriage: Carriage, watch: Watch) -> Gateway {
    watching(Gateway::of(site6::gateway(site::prefer_a, [carriage; 2])), watch)
}

/// A packet of the session.
fn packet() -> PacketBuilder6 {
    let packet = PacketBuilder6::udp((PEER, 49_152), (LINK_LOCAL, SINGLE_HOP));
    coming(packet, &A).hop_limit(255).payload(&CONTROL)
}

/// However the uplink carries IPv6, if it does, to either address of the gateway's.
#[test]
fn to_any_address_of_the_gateway() {
    for carriage in
        [Carriage::None, Carriage::Nptv6(48), Carriage::Routed, Carriage::Source, Carriage::Nat66]
    {
        for address in [LINK_LOCAL, own(&A)] {
            let gateway = gateway(carriage, PLAIN);
            let packet = packet().to_address(address);
            gateway.ignores(&packet.clone().hop_limit(254).build());
            gateway.ignores(&packet.clone().payload(&with(4, 0)).build());
            gateway.hears(&packet.build());
        }
    }
}

#[test]
fn over_several_hops() {
    for carriage in [Carriage::Nptv6(48), Carriage::Nat66] {
        let gateway = gateway(carriage, Watch::new(MULTIHOP, 3, 0, Sequence::None));
        let packet = PacketBuilder6::udp((site6::SERVER, 49_152), (own(&A), MULTIHOP));
        let packet = coming(packet.payload(&CONTROL), &A);
        gateway.ignores(&packet.clone().hop_limit(2).build());
        gateway.hears(&packet.hop_limit(3).build());
    }
}

/// As over IPv4: the daemon gets it, and it puts nothing off, however the uplink carries IPv6.
#[test]
fn an_echo_is_the_daemons_to_judge() {
    for carriage in
        [Carriage::None, Carriage::Nptv6(48), Carriage::Routed, Carriage::Source, Carriage::Nat66]
    {
        let echo = PacketBuilder6::udp((own(&A), 49_152), (own(&A), ECHO));
        let echo = coming(echo.payload(&CONTROL), &A).hop_limit(254).build();
        for watch in [Watch::default(), PLAIN] {
            gateway(carriage, watch).ignores(&echo);
        }
    }
}

#[test]
fn with_vlan_tags() {
    for tags in KINDS {
        let mut gateway = Gateway::of(site6::gateway(site::prefer_a, [Carriage::Nptv6(48); 2]));
        serve(&mut gateway, A.ifindex, tags);
        let gateway = watching(gateway, PLAIN);
        gateway.ignores(&tagged(&packet().payload(&with(7, 0)).build(), tags));
        gateway.hears(&tagged(&packet().build(), tags));
    }
}

#[test]
fn poll_and_final() {
    for bits in [0x20, 0x10] {
        let gateway = gateway(Carriage::Routed, PLAIN);
        gateway.hears_and_passes(&packet().payload(&with(1, 0xc0 | bits)).build(), DETECTION);
    }
}

/// Fragments and extension headers, wrong ports, and other ways in.
#[test]
fn what_is_not_heard() {
    let gateway = gateway(Carriage::Nptv6(48), PLAIN);
    gateway.ignores(&packet().extensions(&[[44, 0]]).fragment(1).build());
    gateway.ignores(&packet().extensions(&[[0, 0]]).build());
    gateway.ignores(&packet().to((LINK_LOCAL, MULTIHOP)).build());
    for len in 0..CONTROL.len() {
        let mut frame = packet().payload(&CONTROL[..len]).build();
        gateway.ignores(&frame);
        frame[58..60].copy_from_slice(&[0, 32]);
        gateway.ignores(&frame);
    }
    let by_b = packet().macs(B.gateway_mac, B.mac).build();
    gateway.passes(B.ifindex, &by_b, PassReason::Local);
    let from_lan = packet().macs(lan::HOST_MAC, lan::MAC).build();
    gateway.passes(lan::IFINDEX, &from_lan, PassReason::Local);
    let whole = packet().build();
    for len in 0..whole.len() {
        gateway.drops(A.ifindex, &whole[..len], DropReason::Truncated);
    }
}

/// Of masquerade, where the port is one that mappings may have, as of any.
#[test]
fn where_nobody_has_the_port() {
    let mut gateway = Gateway::of(site6::gateway(site::prefer_a, [Carriage::Nat66; 2]));
    gateway.settings().nat_ports.first = SINGLE_HOP;
    gateway.tables.keep_port(true, L4Port::from_host(SINGLE_HOP));
    let gateway = watching(gateway, Watch::new(SINGLE_HOP + 10, 255, 0, Sequence::None));
    let packet = packet().to((own(&A), SINGLE_HOP + 10));
    gateway.drops(A.ifindex, &packet.build(), DropReason::Unsolicited);
}
