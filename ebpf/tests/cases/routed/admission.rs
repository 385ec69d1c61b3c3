//! Who may leave by which uplink (BCP 38), and who is within the site.

use std::net::{Ipv4Addr, SocketAddrV4};

use pointsman_ebpf::abi::PortRole;
use pointsman_ebpf::memory::PacketBuilder;
use pointsman_ebpf::memory::routed::{self, Carriage};
use pointsman_ebpf::memory::site::{A, B, lan};
use pointsman_ebpf::verdict::{DropReason, PassReason};
use pointsman_ebpf::wire::tcp_flags::{ACK, SYN};

use super::harness::{
    BOTH_ROUTE, HOST, PRIVATE, SERVER, Sizes, answer, coming, gateway, request, segment,
};

const NO_ROUTE: [u8; 2] = [3, 0];

/// Nothing private leaves by an uplink that does not translate.
#[test]
fn private_sources_do_not_leave() {
    let gateway = gateway(BOTH_ROUTE);
    for packet in [PacketBuilder::udp(PRIVATE, SERVER), PacketBuilder::tcp(PRIVATE, SERVER, SYN)] {
        gateway.tells(&packet, DropReason::NoUplink, NO_ROUTE, [0; 4]);
    }
    // Nor does an address that is nobody's.
    let stranger = SocketAddrV4::new(Ipv4Addr::new(198, 19, 5, 2), 5000);
    gateway.tells(&request().from(stranger), DropReason::NoUplink, NO_ROUTE, [0; 4]);
    gateway.holds_nothing();
}

/// What the prefix sends leaves by an uplink that routes it, whichever the group prefers.
#[test]
fn the_prefix_leaves_by_who_routes_it() {
    let gateway = gateway([Carriage::Nat44, Carriage::Routed]);
    gateway.routes(&request(), &B);
    gateway.admits(&answer(&B), &B);
    gateway.tables.set_alive(A.bit());
    gateway.tells(&request(), DropReason::NoUplink, NO_ROUTE, [0; 4]);
    gateway.tells(&segment(ACK), DropReason::NoUplink, NO_ROUTE, [0; 4]);
}

/// What comes for the prefix by an uplink that does not route it is for nobody.
#[test]
fn the_prefix_comes_by_who_routes_it() {
    let gateway = gateway([Carriage::Nat44, Carriage::Routed]);
    gateway.turns_away(&answer(&A), &A, DropReason::Unsolicited);
    gateway.routes(&request(), &B);
    gateway.turns_away(&answer(&A), &A, DropReason::Unsolicited);
}

/// From uplink to uplink there is no way.
#[test]
fn transit_is_refused() {
    let gateway = gateway(BOTH_ROUTE);
    let packet = coming(PacketBuilder::udp(SERVER, SocketAddrV4::new(B.address, 9)), &A);
    gateway.passes(A.ifindex, &packet.build(), PassReason::Local);
    let beyond = SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, 77), 9);
    gateway.turns_away(
        &coming(PacketBuilder::udp(SERVER, beyond), &A),
        &A,
        DropReason::Unsolicited,
    );
}

/// Nobody else speaks for the gateway, or from an address that must not cross a router, or to one.
#[test]
fn martians() {
    let gateway = gateway(BOTH_ROUTE);
    let own = SocketAddrV4::new(routed::GATEWAY, 5000);
    gateway.refuses(&request().from(own), DropReason::Martian);
    for destination in [[127, 0, 0, 1], [169, 254, 9, 9], [255, 255, 255, 255]] {
        let packet = request().to(SocketAddrV4::new(destination.into(), 1));
        gateway.refuses(&packet, DropReason::Martian);
    }
    let timestamp = PacketBuilder::other(1, routed::HOST, *SERVER.ip());
    let mut frame = timestamp.payload(&[13, 0, 0, 0, 0, 1, 0, 1]).build();
    pointsman_ebpf::memory::repair_checksums(&mut frame);
    gateway.drops(lan::IFINDEX, &frame, DropReason::Icmp);
}

/// The prefix is the LAN's: between private and routed hosts, nothing is translated or remembered, and
/// what has no host does not leave.
#[test]
fn within_the_site() {
    let gateway = gateway([Carriage::Both; 2]);
    let other = SocketAddrV4::new(routed::OTHER, 80);
    gateway.crosses(&PacketBuilder::tcp(PRIVATE, other, SYN), lan::OTHER_MAC);
    gateway.crosses(&PacketBuilder::tcp(HOST, other, SYN), lan::OTHER_MAC);
    let silent = SocketAddrV4::new(routed::SILENT, 80);
    gateway.passes(lan::IFINDEX, &request().to(silent).build(), PassReason::LanNeighbour);
    let nobody = SocketAddrV4::new(routed::NOBODY, 80);
    gateway.refuses(&request().to(nobody), DropReason::LanToLan);
    let own = SocketAddrV4::new(routed::GATEWAY, 80);
    gateway.passes(lan::IFINDEX, &request().to(own).build(), PassReason::Local);
    gateway.holds_nothing();
}

/// A longer prefix that only one uplink routes counts for its hosts.
#[test]
fn the_longest_prefix_counts() {
    let gateway = {
        let mut gateway = gateway(BOTH_ROUTE);
        let (prefix, _) = routed::key();
        let half = pointsman_ebpf::abi::SitePrefix { uplinks: B.bit(), ..Default::default() };
        gateway.tables.ipv6.prefixes.insert((prefix, 96 + 25), half);
        gateway
    };
    gateway.routes(&request(), &B);
    let upper = SocketAddrV4::new(Ipv4Addr::new(198, 19, 4, 200), 5000);
    gateway.routes(&request().from(upper), &A);
    gateway.holds(Sizes { unreplied: 2, ..Sizes::default() });
}

/// An uplink's port has the prefix before its next hop is known: what comes in for flows is delivered,
/// and nothing else.
#[test]
fn an_uplink_whose_next_hop_is_not_known() {
    let mut gateway = gateway(BOTH_ROUTE);
    *gateway.routed_side(&A) = Default::default();
    gateway.turns_away(&answer(&A), &A, DropReason::NotReady);
    assert_eq!(gateway.tables.ports[&A.ifindex].role, PortRole::Uplink as u8);
    gateway.tables.set_alive(B.bit());
    gateway.routes(&request(), &B);
    gateway.admits(&answer(&A), &A);
}
