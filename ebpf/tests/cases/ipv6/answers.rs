//! ICMPv6 errors of the gateway's own (RFC 4443 sections 2.4 and 3).

use std::net::Ipv6Addr;

use pointsman_ebpf::memory::site::{A, lan};
use pointsman_ebpf::memory::site6::Carriage;
use pointsman_ebpf::memory::{Body6, PacketBuilder6};
use pointsman_ebpf::verdict::DropReason;
use pointsman_ebpf::wire::tcp_flags::SYN;

use super::harness::{
    HOST, HOST_A, HOST_ROUTED, SERVER, TRANSLATED, answer, gateway, leaving, request, segment,
    segment_back,
};

const TTL_EXCEEDED: DropReason = DropReason::TtlExceeded;

/// From the LAN and from an uplink, of a flow and of none.
#[test]
fn time_exceeded() {
    let gateway = gateway(TRANSLATED);
    for hop_limit in [0, 1] {
        let packet = request().hop_limit(hop_limit);
        gateway.tells6(lan::IFINDEX, &packet.build(), TTL_EXCEEDED, [3, 0], [0; 4]);
    }
    gateway.establish6();
    for packet in [request().hop_limit(1), segment(SYN).hop_limit(0)] {
        gateway.tells6(lan::IFINDEX, &packet.build(), TTL_EXCEEDED, [3, 0], [0; 4]);
    }
    let packet = answer(HOST_A, &A).hop_limit(1);
    gateway.tells6(A.ifindex, &packet.build(), TTL_EXCEEDED, [3, 0], [0; 4]);
}

/// The MTU is that of the interface that the packet would leave by, and the flow is not marked.
#[test]
fn too_big() {
    let mut gateway = gateway(TRANSLATED);
    gateway.uplink6(&A).mtu = 1400;
    let fitting = request().payload(&[1; 1400 - 48]);
    gateway.sends6(&fitting, &A, HOST_A);
    let larger = request().payload(&[1; 1400 - 47]);
    let mtu = [0, 0, 0x05, 0x78];
    gateway.tells6(lan::IFINDEX, &larger.build(), DropReason::TooBig, [2, 0], mtu);
    let back = answer(HOST_A, &A).payload(&[1; 1500 - 47]);
    let mtu = [0, 0, 0x05, 0xdc];
    gateway.tells6(A.ifindex, &back.build(), DropReason::TooBig, [2, 0], mtu);
    gateway.holds6([0, 1, 0]);
}

/// Not about errors, and messages of the link (RFC 4443 section 2.4(e)).
#[test]
fn what_is_not_answered() {
    let gateway = gateway(TRANSLATED);
    let body = |icmp_type| Body6::Message([icmp_type, 0], [0; 4]);
    for (icmp_type, reason) in [(1, DropReason::IcmpMismatch), (137, DropReason::Icmp)] {
        let packet = PacketBuilder6::new(HOST, SERVER, body(icmp_type)).hop_limit(1);
        gateway.refuses6(lan::IFINDEX, &packet, reason);
    }
    gateway.establish6();
    let quote = leaving(&request(), &A, HOST_A).quoted(usize::MAX);
    let error = PacketBuilder6::error(SERVER.0, HOST_A, [1, 0], [0; 4], &quote);
    let error = super::harness::coming(error, &A).hop_limit(1);
    gateway.refuses6(A.ifindex, &error, TTL_EXCEEDED);
}

/// An echo request is answered like any packet, and so is a reply of a flow.
#[test]
fn about_echoes() {
    let gateway = gateway(TRANSLATED);
    let echo = |reply| PacketBuilder6::new(HOST, SERVER, Body6::Echo { reply });
    let packet = echo(false).hop_limit(1).build();
    gateway.tells6(lan::IFINDEX, &packet, TTL_EXCEEDED, [3, 0], [0; 4]);
}

/// As much is quoted as there is room for in 1280 bytes, and no padding.
#[test]
fn as_much_as_there_is_room_for() {
    let gateway = gateway(TRANSLATED);
    for len in [0, 1, 1231 - 48, 1232 - 48, 1233 - 48, 1452] {
        let packet = request().hop_limit(1).payload(&vec![0x77; len]).padding(len % 3);
        gateway.tells6(lan::IFINDEX, &packet.build(), TTL_EXCEEDED, [3, 0], [0; 4]);
    }
}

/// Each message costs a token.
#[test]
fn so_many_and_no_more() {
    let mut gateway = gateway(TRANSLATED).only_on_host();
    gateway.settings().icmp_burst = 2;
    gateway.tables.set_now(1);
    let frame = request().hop_limit(1).build();
    for _ in 0..2 {
        gateway.tells6(lan::IFINDEX, &frame, TTL_EXCEEDED, [3, 0], [0; 4]);
    }
    gateway.drops(lan::IFINDEX, &frame, TTL_EXCEEDED);
    gateway.tables.set_now(1_000_000_001);
    gateway.tells6(lan::IFINDEX, &frame, TTL_EXCEEDED, [3, 0], [0; 4]);
}

/// An interface without an address of IPv6 says nothing.
#[test]
fn no_address_to_send_from() {
    let mut gateway = gateway(TRANSLATED);
    gateway.tables.ipv6.addresses.remove(&lan::EGRESS);
    gateway.refuses6(lan::IFINDEX, &request().hop_limit(1), TTL_EXCEEDED);
}

/// Of a flow whose sender is nobody that there is a way to.
#[test]
fn to_a_martian() {
    let gateway = gateway([Carriage::Routed; 2]);
    let packet = segment_back(SYN, HOST_ROUTED, &A).from_address(Ipv6Addr::LOCALHOST);
    gateway.refuses6(A.ifindex, &packet.hop_limit(1), DropReason::Martian);
}
