//! Public ports, and the room in the table of flows.

use std::collections::BTreeSet;
use std::net::SocketAddrV4;

use pointsman_ebpf::abi::{Direction, PortRange};
use pointsman_ebpf::memory::PacketBuilder;
use pointsman_ebpf::memory::site::{A, B, lan};
use pointsman_ebpf::verdict::{DropReason, PassReason};

use crate::harness::{Gateway, HOST, SERVER, answer, leaving, request};

const OTHER: SocketAddrV4 = SocketAddrV4::new(lan::OTHER, HOST.port());

fn other_request() -> PacketBuilder {
    PacketBuilder::udp(OTHER, SERVER).macs(lan::OTHER_MAC, lan::MAC)
}

fn with_nat_ports(first: u16, last: u16) -> Gateway {
    let mut gateway = Gateway::new();
    if let Some(settings) = &mut gateway.tables.settings {
        settings.nat_ports = PortRange { first, last };
    }
    gateway
}

#[test]
fn a_collision_takes_another_port_and_both_are_answered() {
    let gateway = with_nat_ports(5000, 5001);
    gateway.sends(&request(), &A, 5000);
    gateway.sends(&other_request(), &A, 5001);
    gateway.delivers(&answer(&A, 5000), &A, HOST);
    gateway.delivers(&answer(&A, 5001), &A, OTHER);
    // The second packet of a flow keeps its port.
    gateway.sends(&other_request(), &A, 5001);
    gateway.sends(&request(), &A, 5000);
}

/// A port is taken towards one destination only.
#[test]
fn the_same_port_serves_two_destinations() {
    let gateway = with_nat_ports(5000, 5000);
    gateway.sends(&request(), &A, 5000);
    let elsewhere = SocketAddrV4::new(*SERVER.ip(), SERVER.port() + 1);
    gateway.sends(&other_request().to(elsewhere), &A, 5000);
    gateway.delivers(&answer(&A, 5000), &A, HOST);
    gateway.delivers(&answer(&A, 5000).from(elsewhere), &A, OTHER);
}

#[test]
fn an_echo_identifier_that_is_taken_is_replaced() {
    let gateway = with_nat_ports(5000, 5001);
    gateway.sends(&PacketBuilder::echo_request(HOST, *SERVER.ip()), &A, 5000);
    let other = PacketBuilder::echo_request(OTHER, *SERVER.ip()).macs(lan::OTHER_MAC, lan::MAC);
    gateway.sends(&other, &A, 5001);
    let to = |port| SocketAddrV4::new(A.address, port);
    let reply = |port| PacketBuilder::echo_reply(*SERVER.ip(), to(port)).macs(A.gateway_mac, A.mac);
    gateway.delivers(&reply(5000), &A, HOST);
    gateway.delivers(&reply(5001), &A, OTHER);
}

#[test]
fn a_port_outside_the_range_is_replaced() {
    let gateway = with_nat_ports(40000, 40000);
    for port in [0, 1, 39999, 40001, 65535] {
        let end = SocketAddrV4::new(lan::HOST, port);
        let to = SocketAddrV4::new(*SERVER.ip(), port);
        gateway.sends(&PacketBuilder::udp(end, to), &A, 40000);
    }
}

#[test]
fn no_port_left() {
    let gateway = with_nat_ports(5000, 5000);
    gateway.sends(&request(), &A, 5000);
    gateway.refuses(&other_request(), DropReason::NoPort);
    gateway.sends(&request(), &A, 5000);
}

/// Both ends of the range are handed out.
#[test]
fn every_port_of_the_range_is_handed_out() {
    let gateway = with_nat_ports(65532, 65535);
    let mut taken = BTreeSet::new();
    for host in 2..6 {
        let end = SocketAddrV4::new([10, 1, 9, host].into(), 5000);
        let mut frame = PacketBuilder::udp(end, SERVER).build();
        let _ = gateway.tables.run(&mut frame, lan::IFINDEX);
        taken.insert(u16::from_be_bytes([frame[34], frame[35]]));
    }
    assert_eq!(taken, BTreeSet::from([65532, 65533, 65534, 65535]), "{}", gateway.tables);
}

#[test]
fn no_room_for_the_entry_of_the_replies() {
    let gateway = Gateway::new();
    gateway.tables.set_flow_capacity(0);
    gateway.refuses(&request(), DropReason::FlowTableFull);
    assert_eq!(gateway.tables.flow_count(), 0, "{}", gateway.tables);
}

/// The reservation is taken back, and the port is free for the next.
#[test]
fn no_room_for_the_entry_of_the_requests() {
    let gateway = with_nat_ports(5000, 5000);
    gateway.tables.set_flow_capacity(1);
    gateway.refuses(&request(), DropReason::FlowTableFull);
    gateway.passes(A.ifindex, &answer(&A, 5000).build(), PassReason::Local);
    gateway.tables.set_flow_capacity(2);
    gateway.sends(&other_request(), &A, 5000);
    gateway.refuses(&request().to(OTHER_SERVER), DropReason::FlowTableFull);
    gateway.sends(&other_request(), &A, 5000);
    gateway.delivers(&answer(&A, 5000), &A, OTHER);
}

const OTHER_SERVER: SocketAddrV4 = SocketAddrV4::new(std::net::Ipv4Addr::new(192, 0, 2, 54), 443);

/// A flow that cannot move for want of room stays whole, and goes on when its uplink is back.
#[test]
fn no_room_to_move_a_flow() {
    let gateway = Gateway::new();
    gateway.sends(&request(), &A, 5000);
    gateway.tables.set_flow_capacity(2);
    gateway.tables.set_alive(B.bit());
    gateway.refuses(&request(), DropReason::FlowTableFull);
    gateway.tables.set_alive(A.bit() | B.bit());
    gateway.sends(&request(), &A, 5000);
    gateway.delivers(&answer(&A, 5000), &A, HOST);
}

/// What the path inserts names each other.
#[test]
fn the_two_entries_of_a_flow_are_each_others_peer() {
    let gateway = with_nat_ports(40000, 40000);
    let mut frame = request().build();
    let _ = gateway.tables.run(&mut frame, lan::IFINDEX);
    assert_eq!(frame, leaving(&request(), &A, 40000).build());
    let (out_key, out) = gateway.entry(Direction::Out);
    let (in_key, reply) = gateway.entry(Direction::In);
    assert_eq!(out_key.peer(&out), in_key);
    assert_eq!(in_key.peer(&reply), out_key);
}
