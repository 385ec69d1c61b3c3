//! Public ports, and the room in the tables.

use std::collections::BTreeSet;
use std::net::SocketAddrV4;

use pointsman_ebpf::abi::Direction;
use pointsman_ebpf::memory::PacketBuilder;
use pointsman_ebpf::memory::site::{A, B, lan};
use pointsman_ebpf::path::FlowTable;
use pointsman_ebpf::verdict::{DropReason, Verdict};

use super::harness::{
    Gateway, HOST, OTHER, SERVER, Sizes, answer, coming, from_other, other_request, public, request,
};

#[test]
fn a_collision_takes_another_port_and_both_are_answered() {
    let gateway = Gateway::with_nat_ports(5000, 5001);
    gateway.sends(&request(), &A, 5000);
    gateway.sends(&other_request(), &A, 5001);
    gateway.delivers(&answer(&A, 5000), &A, HOST);
    gateway.delivers(&answer(&A, 5001), &A, OTHER);
    // The second packet of a flow keeps its port.
    gateway.sends(&other_request(), &A, 5001);
    gateway.sends(&request(), &A, 5000);
}

/// Ports are not shared out by destination (RFC 4787 section 4.2.1, REQ-3: no overloading).
#[test]
fn a_port_is_one_host_s_whatever_the_destination() {
    let gateway = Gateway::with_nat_ports(5000, 5000);
    gateway.sends(&request(), &A, 5000);
    let elsewhere = SocketAddrV4::new(*SERVER.ip(), SERVER.port() + 1);
    gateway.prohibits(&other_request().to(elsewhere), DropReason::NoPort);
    gateway.sends(&request().to(elsewhere), &A, 5000);
    gateway.delivers(&answer(&A, 5000), &A, HOST);
    gateway.delivers(&answer(&A, 5000).from(elsewhere), &A, HOST);
    gateway.counts_of(lan::OTHER, 0, 0);
}

#[test]
fn an_echo_identifier_that_is_taken_is_replaced() {
    let gateway = Gateway::with_nat_ports(5000, 5001);
    gateway.sends(&PacketBuilder::echo_request(HOST, *SERVER.ip()), &A, 5000);
    let other = from_other(PacketBuilder::echo_request(OTHER, *SERVER.ip()));
    gateway.sends(&other, &A, 5001);
    let reply = |port| coming(PacketBuilder::echo_reply(*SERVER.ip(), public(&A, port)), &A);
    gateway.delivers(&reply(5000), &A, HOST);
    gateway.delivers(&reply(5001), &A, OTHER);
}

#[test]
fn a_port_outside_the_range_is_replaced() {
    for port in [0, 1, 39_999, 40_001, 65_535] {
        let gateway = Gateway::with_nat_ports(40_000, 40_000);
        let end = SocketAddrV4::new(lan::HOST, port);
        let to = SocketAddrV4::new(*SERVER.ip(), port);
        gateway.sends(&PacketBuilder::udp(end, to), &A, 40_000);
    }
}

#[test]
fn no_port_left() {
    let gateway = Gateway::with_nat_ports(5000, 5000);
    gateway.sends(&request(), &A, 5000);
    gateway.prohibits(&other_request(), DropReason::NoPort);
    gateway.sends(&request(), &A, 5000);
    gateway.holds(Sizes { unreplied: 1, bindings: 2, ..Sizes::default() });
}

/// Both ends of the range are handed out, and nothing else.
#[test]
fn every_port_of_the_range_is_handed_out() {
    let gateway = Gateway::with_nat_ports(65_532, 65_535);
    let mut taken = BTreeSet::new();
    for host in 2..60 {
        let end = SocketAddrV4::new([10, 1, 9, host].into(), 5000);
        let mut frame = PacketBuilder::udp(end, SERVER).build();
        if let Verdict::Forward { .. } = gateway.tables.run(&mut frame, lan::IFINDEX) {
            let port = u16::from_be_bytes([frame[34], frame[35]]);
            assert!(taken.insert(port), "{port} twice\n{}", gateway.tables);
        }
    }
    assert_eq!(taken, BTreeSet::from([65_532, 65_533, 65_534, 65_535]), "{}", gateway.tables);
}

/// The answer is lost, but the flow goes on waiting for one.
#[test]
fn no_room_for_an_established_flow() {
    let mut gateway = Gateway::new();
    let waiting = Sizes { unreplied: 1, bindings: 2, ..Sizes::default() };
    gateway.sends(&request(), &A, 5000);
    // For neither direction, then for only one.
    for capacity in [0, 1] {
        gateway.limit_established(capacity);
        let back = answer(&A, 5000).build();
        gateway.drops(A.ifindex, &back, DropReason::FlowTableFull);
        gateway.holds(waiting);
        gateway.sends(&request(), &A, 5000);
    }
    gateway.limit_established(2);
    gateway.delivers(&answer(&A, 5000), &A, HOST);
    gateway.holds(Sizes { established: 2, bindings: 2, ..Sizes::default() });
}

/// For neither side of a mapping, then for only one: the reservation is taken back.
#[test]
fn no_room_for_a_mapping() {
    let mut gateway = Gateway::with_nat_ports(5000, 5000);
    for capacity in [0, 1] {
        gateway.limit_bindings(capacity);
        gateway.prohibits(&request(), DropReason::MappingTableFull);
        gateway.holds_nothing();
    }
    gateway.limit_bindings(2);
    gateway.sends(&other_request(), &A, 5000);
    gateway.prohibits(&request().from(SocketAddrV4::new(lan::HOST, 5001)), DropReason::NoPort);
    gateway.sends(&other_request(), &A, 5000);
    gateway.delivers(&answer(&A, 5000), &A, OTHER);
}

/// A flow that cannot move for want of room stays whole, and goes on when its uplink is back.
#[test]
fn no_room_to_move_a_flow() {
    let mut gateway = Gateway::new();
    gateway.establish(&A);
    gateway.limit_established(2);
    gateway.tables.set_alive(B.bit());
    gateway.prohibits(&request(), DropReason::FlowTableFull);
    gateway.tables.set_alive(A.bit() | B.bit());
    gateway.sends(&request(), &A, 5000);
    gateway.delivers(&answer(&A, 5000), &A, HOST);
}

/// A flow that finds no port where it would move to stays whole, too.
#[test]
fn no_port_to_move_a_flow() {
    let gateway = Gateway::with_nat_ports(5000, 5000);
    gateway.tables.set_alive(B.bit());
    gateway.sends(&other_request(), &B, 5000);
    gateway.tables.set_alive(A.bit() | B.bit());
    gateway.establish(&A);
    gateway.tables.set_alive(B.bit());
    gateway.prohibits(&request(), DropReason::NoPort);
    gateway.tables.set_alive(A.bit() | B.bit());
    gateway.sends(&request(), &A, 5000);
}

/// What the path inserts names each other.
#[test]
fn the_two_entries_of_a_flow_are_each_others_peer() {
    let gateway = Gateway::with_nat_ports(40_000, 40_000);
    gateway.sends(&request(), &A, 40_000);
    gateway.delivers(&answer(&A, 40_000), &A, HOST);
    let (out_key, out) = gateway.entry(FlowTable::Established, Direction::Out);
    let (in_key, reply) = gateway.entry(FlowTable::Established, Direction::In);
    assert_eq!(out_key.peer(&out), in_key);
    assert_eq!(in_key.peer(&reply), out_key);
}
