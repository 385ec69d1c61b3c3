//! Hosts that keep together what they send: by the uplink where their flows are.

use std::net::SocketAddrV4;

use pointsman_ebpf::abi::{Ipv4, Placement, Sticky};
use pointsman_ebpf::memory::PacketBuilder;
use pointsman_ebpf::memory::site::{A, B, Provider, lan};

use super::harness::{Gateway, HOST, SERVER, answer, other_request, request};

const BOTH: u64 = A.bit() | B.bit();

/// Another flow of the host.
const SECOND: SocketAddrV4 = SocketAddrV4::new(lan::HOST, 5001);

/// A gateway that keeps a host's flows together, the host's first flow on B, and A back.
fn host_on_b(sticky: Sticky) -> Gateway {
    let mut gateway = Gateway::new();
    gateway.tables.group.as_mut().unwrap().sticky = sticky as u8;
    gateway.tables.set_alive(B.bit());
    gateway.establish(&B);
    gateway.tables.set_alive(BOTH);
    gateway
}

fn opens(gateway: &Gateway, by: &Provider) {
    gateway.sends(&PacketBuilder::udp(SECOND, SERVER), by, SECOND.port());
}

fn placement(gateway: &Gateway) -> Option<u8> {
    let hosts = gateway.tables.hosts();
    let host = hosts.iter().find(|(address, _)| *address == Ipv4::new(lan::HOST.octets()));
    Placement(host?.1.placement).uplink()
}

/// A call's voice follows its signalling, and other hosts go where they would.
#[test]
fn new_flows_go_where_the_hosts_others_are() {
    let gateway = host_on_b(Sticky::Source);
    opens(&gateway, &B);
    gateway.sends(&other_request(), &A, HOST.port());
    gateway.sends(&request(), &B, HOST.port());
    assert_eq!(placement(&gateway), Some(B.id));
}

/// Flows that are told apart go by themselves.
#[test]
fn only_where_hosts_keep_together() {
    for sticky in [Sticky::Flow, Sticky::SourceDestination] {
        opens(&host_on_b(sticky), &A);
    }
}

#[test]
fn a_host_whose_placement_is_taken_back_starts_anew() {
    let gateway = host_on_b(Sticky::Source);
    let host = Ipv4::new(lan::HOST.octets());
    let hosts = gateway.tables.hosts();
    let (_, mut known) = *hosts.iter().find(|(address, _)| *address == host).unwrap();
    known.placement = Placement::NONE.0;
    gateway.tables.set_host(host, &known);
    opens(&gateway, &A);
    assert_eq!(placement(&gateway), Some(A.id));
}

/// No uplink keeps a host that is dead, takes no new flows, or does not translate.
#[test]
fn an_uplink_that_cannot_take_flows_keeps_nobody() {
    let gateway = host_on_b(Sticky::Source);
    gateway.tables.set_alive(A.bit());
    opens(&gateway, &A);

    let mut gateway = host_on_b(Sticky::Source);
    gateway.tables.group.as_mut().unwrap().usable = A.bit();
    opens(&gateway, &A);

    let mut gateway = host_on_b(Sticky::Source);
    gateway.settings().nat44 = A.bit();
    opens(&gateway, &A);
}

/// One that does not meet its service level keeps its hosts only where none does.
#[test]
fn a_degraded_uplink_keeps_nobody() {
    for (preferred, by) in [(A.bit(), A), (0, B), (B.bit(), B)] {
        let mut gateway = host_on_b(Sticky::Source);
        gateway.tables.group.as_mut().unwrap().preferred = preferred;
        opens(&gateway, &by);
    }
}

/// A flow that leaves its uplink takes the host along: what it opens next goes the same way.
#[test]
fn a_flow_that_moves_takes_its_host_along() {
    let mut gateway = Gateway::new();
    gateway.tables.group.as_mut().unwrap().sticky = Sticky::Source as u8;
    gateway.establish(&A);
    assert_eq!(placement(&gateway), Some(A.id));
    gateway.tables.set_alive(B.bit());
    gateway.sends(&request(), &B, HOST.port());
    gateway.tables.set_alive(BOTH);
    opens(&gateway, &B);
}

/// The daemon gives a flow back by taking the generation out of its entry from the LAN: its next packet
/// goes by the uplink that comes first, and what still comes in by the other is let in.
#[test]
fn a_flow_that_is_given_back_moves_at_its_next_packet() {
    let gateway = host_on_b(Sticky::Flow);
    gateway.give_back();
    gateway.delivers(&answer(&B, HOST.port()), &B, HOST);
    gateway.sends(&request(), &A, HOST.port());
    gateway.delivers(&answer(&B, HOST.port()), &B, HOST);
    gateway.delivers(&answer(&A, HOST.port()), &A, HOST);
    gateway.sends(&request(), &A, HOST.port());
}
