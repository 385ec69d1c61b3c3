//! Protocols without ports: by pairs of addresses.

use std::net::{Ipv4Addr, SocketAddrV4};

use pointsman_ebpf::abi::Filtering;
use pointsman_ebpf::memory::PacketBuilder;
use pointsman_ebpf::memory::site::{A, B, Provider, SERVER, lan};
use pointsman_ebpf::verdict::{DropReason, PassReason};

use super::harness::{Gateway, STRIDE, Sizes, coming, from_other};

const GRE: u8 = 47;
const ESP: u8 = 50;

/// Another host beyond both providers.
const SECOND: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 77);

fn out(protocol: u8, to: Ipv4Addr) -> PacketBuilder {
    PacketBuilder::other(protocol, lan::HOST, to)
}

fn out_of_other(protocol: u8, to: Ipv4Addr) -> PacketBuilder {
    from_other(PacketBuilder::other(protocol, lan::OTHER, to))
}

fn back(protocol: u8, from: Ipv4Addr, by: &Provider) -> PacketBuilder {
    coming(PacketBuilder::other(protocol, from, by.address), by)
}

/// There is no port in it.
const fn end(host: Ipv4Addr) -> SocketAddrV4 {
    SocketAddrV4::new(host, 0)
}

/// Every protocol but those with ports and ICMP: GRE, ESP, AH, IPIP, SCTP, UDP-Lite, unassigned ones.
/// Not a byte behind the header changes, also where there is none.
#[test]
fn every_protocol_goes_out_and_back() {
    for protocol in (0..=255).step_by(STRIDE).filter(|protocol| ![1, 6, 17].contains(protocol)) {
        let gateway = Gateway::new();
        gateway.sends(&out(protocol, SERVER).payload(&[]), &A, 0);
        gateway.holds(Sizes { unreplied: 1, bindings: 2, ..Sizes::default() });
        gateway.delivers(&back(protocol, SERVER, &A), &A, end(lan::HOST));
        gateway.holds(Sizes { established: 2, bindings: 2, ..Sizes::default() });
        let payload: Vec<u8> = (0..50).map(|at| at ^ protocol).collect();
        gateway.sends(&out(protocol, SERVER).payload(&payload), &A, 0);
        gateway.delivers(&back(protocol, SERVER, &A).payload(&payload), &A, end(lan::HOST));
        gateway.counts_of(lan::HOST, 1, 0);
    }
}

/// Nothing would tell whose the answers are: the second host is told so at once.
#[test]
fn a_second_host_is_refused_and_told() {
    let gateway = Gateway::new();
    gateway.sends(&out(GRE, SERVER), &A, 0);
    for _ in 0..2 {
        gateway.prohibits(&out_of_other(GRE, SERVER), DropReason::AddressPairTaken);
        gateway.counts_of(lan::OTHER, 0, 0);
        gateway.delivers(&back(GRE, SERVER, &A), &A, end(lan::HOST));
        gateway.sends(&out(GRE, SERVER), &A, 0);
    }
}

/// To another remote, or by another protocol, it may.
#[test]
fn a_second_host_has_other_pairs() {
    let gateway = Gateway::new();
    gateway.sends(&out(GRE, SERVER), &A, 0);
    gateway.sends(&out_of_other(GRE, SECOND), &A, 0);
    gateway.sends(&out_of_other(ESP, SERVER), &A, 0);
    gateway.delivers(&back(GRE, SERVER, &A), &A, end(lan::HOST));
    gateway.delivers(&back(GRE, SECOND, &A), &A, end(lan::OTHER));
    gateway.delivers(&back(ESP, SERVER, &A), &A, end(lan::OTHER));
    gateway.holds(Sizes { established: 6, bindings: 6, ..Sizes::default() });
}

/// By another uplink, the pair is another one.
#[test]
fn a_second_host_has_the_pair_of_another_uplink() {
    let gateway = Gateway::new();
    gateway.sends(&out(GRE, SERVER), &A, 0);
    gateway.tables.set_alive(B.bit());
    gateway.sends(&out_of_other(GRE, SERVER), &B, 0);
    gateway.delivers(&back(GRE, SERVER, &A), &A, end(lan::HOST));
    gateway.delivers(&back(GRE, SERVER, &B), &B, end(lan::OTHER));
}

/// One who was not sent to is not let in, in any mode: no mapping is his.
#[test]
fn others_are_not_let_in() {
    for filtering in [Filtering::Endpoint, Filtering::Address, Filtering::AddressAndPort] {
        let gateway = Gateway::with_filtering(filtering);
        gateway.sends(&out(GRE, SERVER), &A, 0);
        let before = gateway.flows();
        let knock = back(GRE, SECOND, &A).build();
        gateway.passes(A.ifindex, &knock, PassReason::Local);
        let by_b = back(GRE, SERVER, &B).build();
        gateway.passes(B.ifindex, &by_b, PassReason::Local);
        assert_eq!(gateway.flows(), before, "{}", gateway.tables);
        gateway.delivers(&back(GRE, SERVER, &A), &A, end(lan::HOST));
    }
}

/// The mapping is there, but its flow is gone: what comes then was not asked for.
#[test]
fn a_mapping_without_a_flow_takes_nothing() {
    use pointsman_ebpf::path::FlowTable;
    let gateway = Gateway::new();
    gateway.sends(&out(GRE, SERVER), &A, 0);
    for (key, _) in gateway.tables.flows(FlowTable::Unreplied) {
        gateway.tables.remove_flow(FlowTable::Unreplied, &key);
    }
    gateway.drops(A.ifindex, &back(GRE, SERVER, &A).build(), DropReason::Filtered);
    gateway.sends(&out(GRE, SERVER), &A, 0);
    gateway.delivers(&back(GRE, SERVER, &A), &A, end(lan::HOST));
}

/// They follow their uplink's failure, and stay where they went.
#[test]
fn they_move_when_their_uplink_dies() {
    let gateway = Gateway::new();
    gateway.sends(&out(ESP, SERVER), &A, 0);
    gateway.delivers(&back(ESP, SERVER, &A), &A, end(lan::HOST));
    gateway.tables.set_alive(B.bit());
    gateway.sends(&out(ESP, SERVER), &B, 0);
    gateway.delivers(&back(ESP, SERVER, &B), &B, end(lan::HOST));
    gateway.tables.set_alive(A.bit() | B.bit());
    gateway.sends(&out(ESP, SERVER), &B, 0);
}

/// Where the pair is taken there, the flow waits for its uplink.
#[test]
fn they_do_not_move_to_where_the_pair_is_taken() {
    let gateway = Gateway::new();
    gateway.sends(&out(ESP, SERVER), &A, 0);
    gateway.delivers(&back(ESP, SERVER, &A), &A, end(lan::HOST));
    gateway.tables.set_alive(B.bit());
    gateway.sends(&out_of_other(ESP, SERVER), &B, 0);
    gateway.prohibits(&out(ESP, SERVER), DropReason::AddressPairTaken);
    gateway.tables.set_alive(A.bit() | B.bit());
    gateway.sends(&out(ESP, SERVER), &A, 0);
}

/// With IPv4 options, and in fragments.
#[test]
fn options_and_fragments() {
    let gateway = Gateway::new();
    gateway.sends(&out(GRE, SERVER).options(&[1; 8]), &A, 0);
    let packet = out(GRE, SERVER).payload(&[0x42; 100]);
    let output = super::harness::leaving(&packet, &A, 0);
    for (input, want) in packet.fragments(3).iter().zip(output.fragments(3)) {
        gateway.forwards_out(input, &A, &want);
    }
    let packet = back(GRE, SERVER, &A).payload(&[0x42; 100]);
    let output = super::harness::reaching(&packet, end(lan::HOST));
    for (input, want) in packet.fragments(3).iter().zip(output.fragments(3)) {
        gateway.forwards_in(input, &A, &want);
    }
}

/// A tunnel's header of four bytes is none of TCP or UDP: no fragment of it is too tiny.
#[test]
fn a_short_first_fragment_is_not_tiny() {
    let gateway = Gateway::new();
    let packet = out(GRE, SERVER).payload(&[0x42; 16]);
    let output = super::harness::leaving(&packet, &A, 0);
    gateway.forwards_out(&packet.fragment_of(0..8), &A, &output.fragment_of(0..8));
    gateway.forwards_out(&packet.fragment_of(8..16), &A, &output.fragment_of(8..16));
}

/// They count to a host's mappings.
#[test]
fn they_are_limited_as_any_mapping() {
    let mut gateway = Gateway::new();
    gateway.settings().host_mappings_max = 1;
    gateway.sends(&out(GRE, SERVER), &A, 0);
    gateway.prohibits(&out(GRE, SECOND), DropReason::HostMappings);
    gateway.sends(&out_of_other(GRE, SECOND), &A, 0);
}

/// Nobody of the LAN is behind a public address by such a protocol, but by having sent first: it is
/// the kernel's.
#[test]
fn from_the_lan_to_a_public_address() {
    let gateway = Gateway::new();
    let packet = PacketBuilder::other(GRE, lan::HOST, A.address).build();
    gateway.passes(lan::IFINDEX, &packet, PassReason::Local);
    gateway.holds_nothing();
}
