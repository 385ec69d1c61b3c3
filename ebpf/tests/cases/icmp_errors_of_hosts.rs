//! ICMP errors of LAN hosts, and what passes between two of them (RFC 5508 sections 4.2 and 4.3).

use std::net::{Ipv4Addr, SocketAddrV4};

use pointsman_ebpf::memory::PacketBuilder;
use pointsman_ebpf::memory::site::{A, B, lan};
use pointsman_ebpf::verdict::DropReason;
use pointsman_ebpf::wire::tcp_flags::{ACK, RST, SYN};

use super::harness::{
    Gateway, HOST, OTHER, SERVER, STRANGER, Sizes, answer, coming, forward, from_other, leaving,
    public, reaching, request, segment, segment_back,
};
use super::icmp_errors::{
    ALL, ERRORS, about_sent, comes_back, error_in, error_reaching, mismatches,
};

/// RFC 5508 REQ-5: a LAN host's error about what it was sent leaves as the flow's public end, the
/// quote as the sender knows it.
#[test]
fn a_host_s_error_about_an_answer() {
    for (sent, received, wanted) in [
        (request(), answer(&A, 40_000), answer(&A, 40_000)),
        (
            segment(SYN),
            segment_back(SYN | ACK, &A).to(public(&A, 40_000)),
            segment_back(SYN | ACK, &A).to(public(&A, 40_000)),
        ),
        (
            PacketBuilder::echo_request(HOST, *SERVER.ip()),
            coming(PacketBuilder::echo_reply(*SERVER.ip(), public(&A, 40_000)), &A),
            coming(PacketBuilder::echo_reply(*SERVER.ip(), public(&A, 40_000)), &A),
        ),
    ] {
        let gateway = Gateway::with_nat_ports(40_000, 40_000);
        gateway.sends(&sent, &A, 40_000);
        gateway.delivers(&received, &A, HOST);
        for (kind, rest) in ERRORS {
            for len in [28, ALL] {
                let inside = received.clone().to(HOST).ttl(63).quoted(len);
                let outside = wanted.clone().ttl(63).quoted(len);
                leaves_as_the_public_end(&gateway, lan::HOST, kind, rest, &inside, &outside);
            }
        }
    }
}

/// A LAN host's error about what reached it as `inside` leaves with `outside` in its place.
#[track_caller]
fn leaves_as_the_public_end(
    gateway: &Gateway,
    from: Ipv4Addr,
    kind: [u8; 2],
    rest: [u8; 4],
    inside: &[u8],
    outside: &[u8],
) {
    let before = gateway.flows();
    let error =
        |from, quote: &[u8]| PacketBuilder::icmp_error(from, *SERVER.ip(), kind, rest, quote);
    let input = error(from, inside).build();
    let output = error(A.address, outside).macs(A.mac, A.gateway_mac).ttl(63).build();
    gateway.forwards_out(&input, &A, &output);
    assert_eq!(gateway.flows(), before, "{}", gateway.tables);
}

/// RFC 5508 REQ-5c: also a router between the host and the gateway has no other address beyond.
#[test]
fn a_lan_router_s_error() {
    let gateway = Gateway::new();
    gateway.establish(&A);
    let inside = answer(&A, HOST.port()).to(HOST).ttl(63).quoted(ALL);
    let outside = answer(&A, HOST.port()).ttl(63).quoted(ALL);
    let router = Ipv4Addr::new(10, 1, 0, 77);
    leaves_as_the_public_end(&gateway, router, [3, 1], [0; 4], &inside, &outside);
}

/// About what came for a mapping, and the host has not taken.
#[test]
fn a_host_s_error_about_an_invited_packet() {
    let gateway = Gateway::new();
    gateway.sends(&request(), &A, HOST.port());
    let knock = answer(&A, HOST.port()).from(STRANGER);
    gateway.delivers(&knock, &A, HOST);
    let error =
        |from, quote: &[u8]| PacketBuilder::icmp_error(from, *STRANGER.ip(), [3, 3], [0; 4], quote);
    let inside = knock.clone().to(HOST).ttl(63).quoted(ALL);
    let input = error(lan::HOST, &inside).build();
    let output = error(A.address, &knock.ttl(63).quoted(ALL));
    let output = output.macs(A.mac, A.gateway_mac).ttl(63).build();
    gateway.forwards_out(&input, &A, &output);
    gateway.holds(Sizes { unreplied: 1, invited: 1, bindings: 2, ..Sizes::default() });
}

/// And about what came for a forward, on both sides of it.
#[test]
fn errors_about_a_forwarded_connection() {
    let inside = SocketAddrV4::new(lan::OTHER, 8443);
    let mut gateway = Gateway::new();
    gateway.set_forwards(&[forward(6, 443, 443, inside)]);
    let knock = coming(PacketBuilder::tcp(SERVER, public(&B, 443), SYN), &B);
    let reply = from_other(PacketBuilder::tcp(inside, SERVER, SYN | ACK));
    gateway.delivers(&knock, &B, inside);
    for _ in 0..2 {
        let error = |from, quote: &[u8]| {
            from_other(PacketBuilder::icmp_error(from, *SERVER.ip(), [3, 3], [0; 4], quote))
        };
        let input = error(lan::OTHER, &knock.clone().to(inside).ttl(63).quoted(ALL)).build();
        let output = error(B.address, &knock.clone().ttl(63).quoted(ALL));
        let output = output.macs(B.mac, B.gateway_mac).ttl(63).build();
        gateway.forwards_out(&input, &B, &output);
        gateway.sends(&reply, &B, 443);
    }
    let quote = leaving(&reply, &B, 443).ttl(1).quoted(ALL);
    let input = error_in([3, 4], [0, 0, 5, 0], &quote, &B).build();
    let quote = reply.ttl(1).quoted(ALL);
    let output = error_reaching([3, 4], [0, 0, 5, 0], &quote, lan::OTHER).build();
    gateway.forwards_in(&input, &B, &output);
}

/// RFC 5508 REQ-5: about no flow, also from the LAN; and one that contradicts its quote.
#[test]
fn a_host_s_error_about_no_flow() {
    let gateway = Gateway::new();
    gateway.establish(&A);
    let error = |to, quoted: &PacketBuilder| {
        PacketBuilder::icmp_error(lan::HOST, to, [3, 3], [0; 4], &quoted.quoted(ALL)).build()
    };
    let received = answer(&A, HOST.port()).to(HOST);
    mismatches(&gateway, lan::IFINDEX, &error(*STRANGER.ip(), &received));
    let strange = received.clone().from(STRANGER);
    mismatches(&gateway, lan::IFINDEX, &error(*STRANGER.ip(), &strange));
    let other = received.to(OTHER);
    mismatches(&gateway, lan::IFINDEX, &error(*SERVER.ip(), &other));
}

/// RFC 5508 REQ-7: between two LAN hosts by a public address, the outer addresses and the quote are
/// those that the receiver knows; before the answer and after it.
#[test]
fn a_hairpinned_error() {
    let peer = SocketAddrV4::new(lan::OTHER, 6000);
    let gateway = Gateway::new();
    gateway.sends(&from_other(PacketBuilder::udp(peer, SERVER)), &A, 6000);
    let call = PacketBuilder::udp(HOST, public(&A, 6000));
    let reply = from_other(PacketBuilder::udp(peer, public(&A, 5000)));
    gateway.hairpins(&call, &A, public(&A, 5000), peer);
    for _ in 0..2 {
        // The other host cannot take it: it knows it as from the public address.
        let received = call.clone().from(public(&A, 5000)).to(peer).ttl(63).quoted(ALL);
        let error =
            |from, to, quote: &[u8]| PacketBuilder::icmp_error(from, to, [3, 3], [0; 4], quote);
        let input = from_other(error(lan::OTHER, A.address, &received)).build();
        let output = error(A.address, lan::HOST, &call.clone().ttl(63).quoted(ALL));
        let output = reaching(&output, SocketAddrV4::new(lan::HOST, 0)).build();
        gateway.forwards_back(&input, &A, &output);
        gateway.hairpins(&reply, &A, public(&A, 6000), HOST);
    }
    let received = reply.clone().from(public(&A, 6000)).to(HOST).ttl(63).quoted(ALL);
    let input = PacketBuilder::icmp_error(lan::HOST, A.address, [3, 3], [0; 4], &received).build();
    let quote = reply.ttl(63).quoted(ALL);
    let output = PacketBuilder::icmp_error(A.address, lan::OTHER, [3, 3], [0; 4], &quote);
    let output = reaching(&output, SocketAddrV4::new(lan::OTHER, 0)).build();
    gateway.forwards_back(&input, &A, &output);
}

/// An error travels as any packet, and about it there is never another one.
#[test]
fn an_error_whose_ttl_is_used_up() {
    let gateway = Gateway::new();
    gateway.establish(&A);
    let error = about_sent(&request(), &A, HOST.port(), ALL).ttl(1).build();
    gateway.drops(A.ifindex, &error, DropReason::TtlExceeded);
    let received = answer(&A, HOST.port()).to(HOST).quoted(ALL);
    let error = PacketBuilder::icmp_error(lan::HOST, *SERVER.ip(), [3, 3], [0; 4], &received);
    gateway.drops(lan::IFINDEX, &error.ttl(1).build(), DropReason::TtlExceeded);
}

/// The uplink of the flow is dead: what comes in by it is good, and what goes out has no way.
#[test]
fn by_a_dead_uplink() {
    let gateway = Gateway::new();
    gateway.establish(&A);
    gateway.tables.set_alive(B.bit());
    comes_back(&gateway, &request(), &A, HOST.port(), ALL);
    let received = answer(&A, HOST.port()).to(HOST).quoted(ALL);
    let error = PacketBuilder::icmp_error(lan::HOST, *SERVER.ip(), [3, 3], [0; 4], &received);
    mismatches(&gateway, lan::IFINDEX, &error.build());
}

/// A reset that the host has sent about a connection from beyond is quoted, too: the flow is known.
#[test]
fn about_a_refusal() {
    let gateway = Gateway::new();
    gateway.sends(&segment(SYN), &A, HOST.port());
    gateway.delivers(&segment_back(SYN, &A).from(STRANGER), &A, HOST);
    let refusal = segment(RST | ACK).to(STRANGER);
    gateway.sends(&refusal, &A, HOST.port());
    comes_back(&gateway, &refusal, &A, HOST.port(), ALL);
}
