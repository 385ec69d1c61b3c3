//! ICMP errors about what is routed: neither they nor what they quote are changed.

use std::net::{Ipv4Addr, SocketAddrV4};

use pointsman_ebpf::memory::PacketBuilder;
use pointsman_ebpf::memory::routed::{self, Carriage};
use pointsman_ebpf::memory::site::{A, B, Provider, lan};
use pointsman_ebpf::verdict::{DropReason, PassReason};
use pointsman_ebpf::wire::tcp_flags::{ACK, SYN};

use super::harness::{
    BOTH_ROUTE, HOST, SERVER, answer, arrived, coming, gateway, left, request, segment,
    segment_back,
};

/// A router beyond the uplinks.
const ROUTER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 254);

/// A router of the LAN, with an address of the prefix, and one without.
const INNER: Ipv4Addr = Ipv4Addr::new(198, 19, 4, 40);
const PRIVATE: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 40);

/// An error about what has left.
fn about_sent(sent: &PacketBuilder, by: &Provider) -> PacketBuilder {
    let quote = left(sent, &A).ttl(1).quoted(28);
    coming(PacketBuilder::icmp_error(ROUTER, routed::HOST, [11, 0], [0; 4], &quote), by)
}

/// An error of somebody in the LAN about what has come in.
fn about_come(source: Ipv4Addr, come: &PacketBuilder) -> PacketBuilder {
    let quote = arrived(come).quoted(28);
    PacketBuilder::icmp_error(source, *SERVER.ip(), [3, 4], [0, 0, 5, 0], &quote)
}

/// By whichever uplink, of a flow that waits for its answer and of one that has had it.
#[test]
fn about_what_the_lan_has_sent() {
    for sent in [
        request(),
        segment(SYN),
        PacketBuilder::echo_request(HOST, *SERVER.ip()),
        PacketBuilder::other(47, routed::HOST, *SERVER.ip()).payload(&[0; 8]),
    ] {
        let gateway = gateway(BOTH_ROUTE);
        gateway.routes(&sent, &A);
        gateway.admits(&about_sent(&sent, &A), &A);
        gateway.admits(&about_sent(&sent, &B), &B);
    }
    let gateway = gateway(BOTH_ROUTE);
    gateway.connect(&A);
    gateway.admits(&about_sent(&segment(ACK), &B), &B);
}

/// About the LAN's answer to what came in, before it has established the flow and after.
#[test]
fn about_what_the_lan_has_answered() {
    let asked = coming(PacketBuilder::echo_request(SERVER, routed::HOST), &A);
    let reply = PacketBuilder::echo_reply(routed::HOST, SERVER);
    let gateway = gateway(BOTH_ROUTE);
    gateway.admits(&asked, &A);
    gateway.admits(&about_sent(&reply, &A), &A);
    gateway.routes(&reply, &A);
    gateway.admits(&about_sent(&reply, &A), &A);
}

/// From the LAN: of the host itself, or of a router with an address of the prefix.
#[test]
fn about_what_has_come_in() {
    for source in [routed::HOST, INNER] {
        let gateway = gateway(BOTH_ROUTE);
        gateway.admits(&segment_back(SYN, &A), &A);
        gateway.routes(&about_come(source, &segment_back(SYN, &A)), &A);
        gateway.routes(&segment(SYN | ACK), &A);
        gateway.routes(&about_come(source, &segment_back(ACK, &A)), &A);
        gateway.tables.set_alive(B.bit());
        gateway.refuses(&about_come(source, &segment_back(ACK, &A)), DropReason::IcmpMismatch);
    }
}

/// A router of the LAN whose address must not leave appears as the flow's host: what it has to say is
/// how the sender learns the size of packets (RFC 1191).
#[test]
fn by_a_router_without_an_address_of_the_prefix() {
    let gateway = gateway(BOTH_ROUTE);
    gateway.admits(&answer(&A), &A);
    for source in [PRIVATE, routed::GATEWAY, Ipv4Addr::new(127, 0, 0, 1)] {
        let error = about_come(source, &answer(&A));
        let sent = left(&error, &A).from(SocketAddrV4::new(routed::HOST, 0));
        gateway.forwards_out(&error.build(), &A, &sent.build());
    }
}

/// Of no flow, or contradicting what it quotes, or from nobody who can be out there.
#[test]
fn what_does_not_pass() {
    let gateway = gateway([Carriage::Both, Carriage::Routed]);
    gateway.turns_away(&about_sent(&request(), &A), &A, DropReason::IcmpMismatch);
    gateway.routes(&request(), &A);
    let other = about_sent(&request(), &A).to(SocketAddrV4::new(routed::OTHER, 0));
    gateway.turns_away(&other, &A, DropReason::IcmpMismatch);
    for source in [routed::OTHER, lan::HOST, routed::GATEWAY] {
        let error = about_sent(&request(), &A).from(SocketAddrV4::new(source, 0));
        gateway.turns_away(&error, &A, DropReason::Martian);
    }
    gateway.refuses(&about_come(routed::HOST, &segment_back(ACK, &A)), DropReason::IcmpMismatch);
    // About the gateway's own packet.
    let own = PacketBuilder::udp(SocketAddrV4::new(routed::GATEWAY, 9), SERVER);
    let quote = own.quoted(28);
    let error = PacketBuilder::icmp_error(ROUTER, routed::GATEWAY, [11, 0], [0; 4], &quote);
    gateway.passes(A.ifindex, &coming(error, &A).build(), PassReason::Local);
}
