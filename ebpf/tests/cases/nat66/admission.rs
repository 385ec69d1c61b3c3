//! What a packet that is of no flow may do, and what it may not.

use std::net::Ipv6Addr;

use pointsman_ebpf::abi::L4Port;
use pointsman_ebpf::memory::site::{A, B, lan};
use pointsman_ebpf::memory::site6::{self, INTERNAL, ROUTED, own, within};
use pointsman_ebpf::memory::{Body6, PacketBuilder6};
use pointsman_ebpf::verdict::{DropReason, PassReason};
use pointsman_ebpf::wire::tcp_flags::{ACK, RST, SYN};

use super::harness::{
    Gateway, HOST, OTHER, PROHIBITED, SERVER, STRANGER, answer, coming, gateway, public, request,
    segment, segment_back,
};

const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 7);
const MULTICAST: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// Addresses that no router forwards from or to (RFC 4291 section 2.5; RFC 6890 section 2.2.3).
const MARTIANS: [Ipv6Addr; 3] = [
    Ipv6Addr::UNSPECIFIED,
    Ipv6Addr::LOCALHOST,
    Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0xcb00, 0x7102),
];

fn passes(gateway: &Gateway, ifindex: u32, packet: &PacketBuilder6) {
    let before = (gateway.pins6(), gateway.tables.bindings());
    gateway.passes(ifindex, &packet.build(), PassReason::Local);
    assert_eq!((gateway.pins6(), gateway.tables.bindings()), before);
}

/// What is for the gateway, or for the link, is the kernel's, whoever in the LAN sends it: the public
/// address too, and what of it is a mapping's, for from the LAN to the LAN there is no way by it.
#[test]
fn what_is_the_kernels_from_the_lan() {
    let gateway = gateway();
    gateway.establish66();
    for to in [site6::GATEWAY, own(&A), own(&B), LINK_LOCAL, MULTICAST] {
        for packet in [
            request().to((to, 53)),
            request().to((to, HOST.1)),
            request().to((to, 53)).from_address(LINK_LOCAL).hop_limit(1),
            super::harness::other_request().to((to, HOST.1)),
            segment(SYN).to_address(to),
            segment(RST).to_address(to),
            PacketBuilder6::new(HOST, (to, 0), Body6::Echo { reply: false }),
            PacketBuilder6::new(HOST, (to, 0), Body6::Other(47)),
            PacketBuilder6::new((LINK_LOCAL, 0), (to, 0), Body6::Message([135, 0], [0; 4])),
        ] {
            passes(&gateway, lan::IFINDEX, &packet);
        }
    }
}

/// From outside, the public address is the kernel's but for the ports that mappings may have.
#[test]
fn what_is_the_kernels_from_an_uplink() {
    let mut gateway = gateway();
    gateway.establish66();
    gateway.tables.keep_port(false, L4Port::from_host(6000));
    for packet in [
        answer(&A).to(public(&A, 53)),
        answer(&A).to(public(&A, 0)),
        answer(&A).to(public(&A, 1023)),
        segment_back(SYN, &A).to(public(&A, 22)),
        segment_back(RST, &A).to(public(&A, 22)),
        // What a socket of the gateway's has sent, and what it listens to.
        segment_back(ACK, &A).to(public(&A, 6000)),
        segment_back(SYN, &A).to(public(&A, 6000)).from_address(HOST.0),
        coming(PacketBuilder6::new((SERVER.0, 1), public(&A, 0), Body6::Echo { reply: false }), &A),
        coming(PacketBuilder6::new((SERVER.0, 0), public(&A, 7), Body6::Echo { reply: true }), &A),
        coming(PacketBuilder6::new(SERVER, public(&A, 0), Body6::Other(47)), &A),
        coming(PacketBuilder6::new(SERVER, public(&A, 0), Body6::Other(50)), &A),
        coming(PacketBuilder6::new(SERVER, public(&A, 0), Body6::Message([136, 0], [0; 4])), &A),
        coming(PacketBuilder6::new(SERVER, public(&A, 0), Body6::Message([200, 0], [0; 4])), &A),
        answer(&A).to((LINK_LOCAL, 5000)),
        answer(&A).to((MULTICAST, 5000)),
        answer(&A).to((site6::GATEWAY, 5000)),
        answer(&A).to(public(&B, 5000)),
    ] {
        passes(&gateway, A.ifindex, &packet);
    }
}

/// The kernel would refuse what comes to a port of nobody's, before the LAN host has opened it (RFC 5382
/// REQ-4).
#[test]
fn ports_of_nobody() {
    let mut gateway = gateway();
    gateway.tables.keep_port(false, L4Port::from_host(6000));
    for packet in [
        answer(&A),
        answer(&A).to(public(&A, 1024)),
        answer(&A).to(public(&A, 65_535)),
        answer(&A).to(public(&A, 6000)),
        answer(&A).hop_limit(1),
        segment_back(SYN, &A),
        segment_back(RST, &A),
        segment_back(SYN | ACK, &A).to(public(&A, 6001)),
    ] {
        gateway.refuses66(A.ifindex, &packet, DropReason::Unsolicited);
    }
    gateway.holds66([0; 3], 0);
}

/// Nothing comes in but by the public address: not by the LAN's own, whatever there is of flows.
#[test]
fn what_is_not_for_the_public_address() {
    let gateway = gateway();
    gateway.establish_tcp66();
    gateway.sends66(&request(), &A, HOST.1);
    for to in [HOST.0, OTHER.0, within(ROUTED, site6::HOST), STRANGER.0] {
        for packet in
            [answer(&A), segment_back(ACK, &A), segment_back(SYN, &A), segment_back(RST, &A)]
        {
            let packet = packet.to((to, HOST.1));
            gateway.refuses66(A.ifindex, &packet, DropReason::Unsolicited);
        }
    }
    for to in MARTIANS {
        gateway.refuses66(A.ifindex, &answer(&A).to_address(to), DropReason::Martian);
    }
    for from in [HOST.0, own(&A), own(&B), LINK_LOCAL, Ipv6Addr::LOCALHOST] {
        let packet = answer(&A).to((OTHER.0, 1)).from_address(from);
        gateway.refuses66(A.ifindex, &packet, DropReason::Martian);
    }
}

#[test]
fn martians_from_the_lan() {
    let gateway = gateway();
    let refuse = |packet: &PacketBuilder6| {
        gateway.refuses66(lan::IFINDEX, packet, DropReason::Martian);
    };
    for martian in MARTIANS {
        refuse(&request().from_address(martian));
        refuse(&request().to_address(martian));
    }
    for source in [site6::GATEWAY, own(&A), own(&B), LINK_LOCAL, MULTICAST] {
        refuse(&request().from_address(source));
    }
    gateway.holds66([0; 3], 0);
}

/// BCP 38: of no prefix of the LAN's. Masquerade is for no others.
#[test]
fn foreign_sources() {
    let gateway = gateway();
    let foreign = Ipv6Addr::new(0xfd00, 2, 0, 1, 0, 0, 0, 2);
    for source in [foreign, SERVER.0, within(ROUTED, site6::HOST)] {
        let packet = request().from_address(source);
        gateway.refuses66(lan::IFINDEX, &packet, DropReason::ForeignSource);
    }
}

/// Messages of the link, and such as nobody knows, do not cross (RFC 4890 section 4.3).
#[test]
fn messages_that_do_not_cross() {
    let gateway = gateway();
    for icmp_type in (130..=137).chain([0, 5, 100, 127, 138, 143, 144, 151, 200, 255]) {
        let body = Body6::Message([icmp_type, 0], [0; 4]);
        let packet = PacketBuilder6::new(HOST, SERVER, body);
        gateway.refuses66(lan::IFINDEX, &packet, DropReason::Icmp);
    }
    // An echo of another code is none (RFC 4443 section 4.1).
    let odd = PacketBuilder6::new(HOST, SERVER, Body6::Message([128, 1], [0x13, 0x88, 0, 1]));
    gateway.refuses66(lan::IFINDEX, &odd, DropReason::Icmp);
}

/// What has no ports cannot share an address, and its sender is told so (RFC 4443 section 3.1).
#[test]
fn protocols_without_ports() {
    let mut gateway = gateway();
    for protocol in [1, 4, 47, 50, 59, 132, 135, 255] {
        let packet = PacketBuilder6::new(HOST, SERVER, Body6::Other(protocol));
        gateway.tells66(&packet, DropReason::Nat66Protocol, PROHIBITED);
        let extended = packet.extensions(&[[0, 0], [60, 3]]);
        gateway.tells66(&extended, DropReason::Nat66Protocol, PROHIBITED);
    }
    // It is the last hop before it is anything else.
    let packet = PacketBuilder6::new(HOST, SERVER, Body6::Other(47)).hop_limit(1);
    gateway.tells66(&packet, DropReason::TtlExceeded, [3, 0]);
    gateway.settings().icmp_burst = 0;
    let packet = PacketBuilder6::new(HOST, SERVER, Body6::Other(47));
    gateway.refuses66(lan::IFINDEX, &packet, DropReason::Nat66Protocol);
    gateway.holds66([0; 3], 0);
}

/// From one LAN host to another, with nothing translated. In the kernel its own routes decide.
#[test]
fn from_the_lan_to_the_lan() {
    use pointsman_ebpf::verdict::Verdict;
    let gateway = gateway().only_on_host();
    for packet in [PacketBuilder6::udp(HOST, OTHER), PacketBuilder6::tcp(HOST, OTHER, RST)] {
        let output = packet.clone().macs(lan::MAC, lan::OTHER_MAC).hop_limit(63).build();
        let verdict = Verdict::Lan { egress: lan::EGRESS };
        gateway.expect(lan::IFINDEX, &packet.build(), verdict, &output);
    }
    let nowhere = request().to_address(within(INTERNAL, [0xffff; 5]));
    gateway.refuses66(lan::IFINDEX, &nowhere, DropReason::LanToLan);
    gateway.holds66([0; 3], 0);
}

/// The sender is told, whether there is a flow or not.
#[test]
fn the_last_hop() {
    let gateway = gateway();
    gateway.tells66(&request().hop_limit(1), DropReason::TtlExceeded, [3, 0]);
    gateway.establish66();
    gateway.tells66(&request().hop_limit(1), DropReason::TtlExceeded, [3, 0]);
    gateway.tells66(&request().hop_limit(0), DropReason::TtlExceeded, [3, 0]);
}
