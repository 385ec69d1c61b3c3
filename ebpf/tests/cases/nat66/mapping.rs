//! Mappings: address and port of a LAN host, and what its port is on an uplink (RFC 4787 section 4).

use std::net::Ipv6Addr;

use pointsman_ebpf::abi::{HostDigest, Ipv4, L4Port, PortRange, to_ipv4};
use pointsman_ebpf::memory::site::{self, A, B};
use pointsman_ebpf::memory::site6::{INTERNAL, entry, within};
use pointsman_ebpf::memory::site64::{self, WELL_KNOWN, embedded};
use pointsman_ebpf::memory::{Body6, DIGEST_KEY, PacketBuilder, PacketBuilder6};
use pointsman_ebpf::path::FlowTable;
use pointsman_ebpf::verdict::DropReason;
use pointsman_ebpf::wire::tcp_flags::SYN;

use super::super::packets;
use super::harness::{
    Gateway, HOST, MASQUERADED, OTHER, PROHIBITED, SERVER, STRANGER, answer, echo, external_key,
    from_other, gateway, internal_key, other_request, public, reply, request, segment, translated,
};

/// With these ports to hand out.
fn with_nat_ports(first: u16, last: u16) -> Gateway {
    let mut gateway = gateway();
    gateway.settings().nat_ports = PortRange { first, last };
    gateway
}

/// One of many hosts.
fn host(number: u16) -> Ipv6Addr {
    within(INTERNAL, [7, 0, 0, 1, number])
}

/// Both sides, under keys that are none of IPv4's.
#[test]
fn what_a_mapping_is() {
    for (packet, protocol) in [(request(), 17), (segment(SYN), 6), (echo(), 58)] {
        let gateway = gateway();
        gateway.sends66(&packet, &A, HOST.1);
        let digest = HostDigest::new(&DIGEST_KEY, entry(HOST.0));
        let theirs = gateway.binding66(&external_key(HOST.1, protocol, &A));
        assert_eq!((theirs.address, theirs.rest), (digest.account(), digest.rest()));
        assert_eq!((theirs.port, theirs.generation), (L4Port::from_host(HOST.1), 1));
        assert_eq!(theirs.lan.to_ipv6(), entry(HOST.0));
        let ours = gateway.binding66(&internal_key(HOST, protocol, &A));
        assert_eq!((ours.address, ours.port), (Ipv4::default(), L4Port::from_host(HOST.1)));
        assert_eq!(ours.generation, 1);
        gateway.holds66([0, 1, 0], 2);
        gateway.counts_of66(HOST.0, 1);
        assert_eq!(to_ipv4(protocol), if protocol == 58 { 1 } else { protocol });
    }
}

/// RFC 4787 REQ-1, RFC 5382 REQ-1, RFC 5508 REQ-1a: whoever it sends to. No port is preserved here, so the
/// same one is no chance.
#[test]
fn two_flows_of_one_host_end_share_a_mapping() {
    for packet in [request(), segment(SYN), echo()] {
        let gateway = with_nat_ports(40_000, 40_001);
        gateway.sends66(&packet, &A, 40_000);
        gateway.sends66(&packet.clone().to(STRANGER), &A, 40_000);
        gateway.holds66([0, 2, 0], 2);
        gateway.counts_of66(HOST.0, 1);
    }
}

/// What comes in to another port than the host's own.
#[test]
fn a_port_that_is_translated_back() {
    let gateway = with_nat_ports(40_000, 40_001);
    for _ in 0..2 {
        gateway.sends66(&request(), &A, 40_000);
        gateway.delivers66(&answer(&A).to(public(&A, 40_000)), &A, HOST);
        gateway.sends66(&echo(), &A, 40_000);
        gateway.delivers66(&reply(&A).to(public(&A, 40_000)), &A, HOST);
    }
    gateway.holds66([4, 0, 0], 4);
}

#[test]
fn each_uplink_has_its_own_mapping() {
    let gateway = gateway();
    gateway.sends66(&request(), &A, HOST.1);
    gateway.tables.set_alive(B.bit());
    gateway.sends66(&request().to(STRANGER), &B, HOST.1);
    gateway.holds66([0, 2, 0], 4);
    gateway.counts_of66(HOST.0, 2);
    gateway.delivers66(&answer(&A), &A, HOST);
    gateway.delivers66(&answer(&B).from(STRANGER), &B, HOST);
}

#[test]
fn each_protocol_has_its_own_mapping() {
    let gateway = gateway();
    gateway.sends66(&request(), &A, HOST.1);
    gateway.sends66(&from_other(PacketBuilder6::tcp(OTHER, SERVER, SYN)), &A, HOST.1);
    let third = PacketBuilder6::new((host(1), HOST.1), SERVER, Body6::Echo { reply: false });
    gateway.sends66(&third, &A, HOST.1);
    gateway.holds66([0, 3, 0], 6);
}

/// RFC 4787 section 4.2.1: where the port is free, it is kept, the first of the range and the last.
#[test]
fn a_free_port_is_preserved() {
    for port in [1024, 1025, 40_000, 65_535] {
        let gateway = gateway();
        gateway.sends66(&request().from((HOST.0, port)), &A, port);
        gateway.sends66(&segment(SYN).from((HOST.0, port)), &A, port);
    }
}

/// RFC 4787 REQ-3: no other port of the range than one of it, whatever the host's own is.
#[test]
fn a_port_that_is_out_of_range() {
    let gateway = with_nat_ports(20_000, 30_000);
    for own in [0, 1, 80, 1023, 19_999, 30_001, 65_535] {
        for packet in [request(), segment(SYN), echo()] {
            let port = translated(&gateway, &packet.from((HOST.0, own))).expect("a port");
            assert!((20_000..=30_000).contains(&port), "{own}: {port}");
            assert_eq!(port % 2, own % 2, "{own}: {port}");
        }
    }
}

/// A mapping is there as long as its two sides are, with no flow in any table.
#[test]
fn a_mapping_outlives_its_flows() {
    let gateway = with_nat_ports(40_000, 40_001);
    gateway.sends66(&request(), &A, 40_000);
    let back = answer(&A).to(public(&A, 40_000));
    gateway.delivers66(&back, &A, HOST);
    for (key, _) in gateway.tables.ipv6.pins(FlowTable::Established) {
        gateway.tables.ipv6.remove_pin(FlowTable::Established, &key);
    }
    gateway.sends66(&request(), &A, 40_000);
    gateway.counts_of66(HOST.0, 1);
    gateway.delivers66(&back, &A, HOST);
    gateway.holds66([2, 0, 0], 2);
}

/// Once both sides are gone, another host may have the port.
#[test]
fn a_port_that_is_given_back_is_handed_out_again() {
    let gateway = with_nat_ports(5000, 5000);
    gateway.sends66(&request(), &A, 5000);
    gateway.tells66(&other_request(), DropReason::NoPort, PROHIBITED);
    for (key, _) in gateway.tables.bindings() {
        gateway.tables.remove_binding(&key);
    }
    gateway.sends66(&other_request(), &A, 5000);
    gateway.delivers66(&answer(&A), &A, OTHER);
}

/// RFC 4787 REQ-4: of many ports that are not free, the new one is even where the host's is.
#[test]
fn parity_is_kept() {
    let gateway = with_nat_ports(20_001, 59_999);
    for number in 0..200 {
        // All hosts want one of two ports.
        let own = 30_000 + number % 2;
        let packet = request().from((host(number), own));
        let port = translated(&gateway, &packet).expect("a port");
        assert_eq!(port % 2, own % 2, "host {number}: {port}");
        assert!((20_001..=59_999).contains(&port), "host {number}: {port}");
    }
    gateway.holds66([0, 200, 0], 400);
}

/// Ports that the gateway's own sockets have are never handed out, neither to the host that has the same
/// nor at random: of one protocol, and no identifier of an echo.
#[test]
fn own_ports_are_never_handed_out() {
    let mut gateway = with_nat_ports(5000, 5001);
    gateway.tables.keep_port(false, L4Port::from_host(5000));
    gateway.sends66(&request(), &A, 5000);
    gateway.sends66(&echo(), &A, 5000);
    gateway.sends66(&segment(SYN), &A, 5001);
    gateway.tables.keep_port(false, L4Port::from_host(5001));
    let packet = from_other(PacketBuilder6::tcp((OTHER.0, 5001), SERVER, SYN));
    gateway.tells66(&packet, DropReason::NoPort, PROHIBITED);
}

/// The limit holds for new mappings only, and for one host only.
#[test]
fn a_host_has_no_more_mappings_than_it_may() {
    let mut gateway = gateway();
    gateway.settings().host_mappings_max = 2;
    let from = |port| request().from((HOST.0, port));
    gateway.sends66(&from(5000), &A, 5000);
    gateway.sends66(&from(5001), &A, 5001);
    let reason = DropReason::HostMappings;
    gateway.tells66(&from(5002), reason, PROHIBITED);
    gateway.tells66(&segment(SYN), reason, PROHIBITED);
    gateway.counts_of66(HOST.0, 2);
    // A new flow by a mapping that is there, a flow that is there, and another host.
    gateway.sends66(&from(5001).to(STRANGER), &A, 5001);
    gateway.sends66(&from(5000), &A, 5000);
    gateway.delivers66(&answer(&A), &A, HOST);
    let theirs = from_other(PacketBuilder6::udp((OTHER.0, 5004), SERVER));
    gateway.sends66(&theirs, &A, 5004);
    gateway.counts_of66(OTHER.0, 1);
}

#[test]
fn full_tables() {
    let mut gateway = gateway();
    gateway.limit_bindings(1);
    gateway.tells66(&request(), DropReason::MappingTableFull, PROHIBITED);
    gateway.limit_bindings(2);
    gateway.sends66(&request(), &A, HOST.1);
    gateway.tells66(&segment(SYN), DropReason::MappingTableFull, PROHIBITED);
    gateway.counts_of66(HOST.0, 1);
    // Whom the host may hear from, there is no room for.
    gateway.settings().filtering = pointsman_ebpf::abi::Filtering::Address as u8;
    gateway.tells66(&request().to(STRANGER), DropReason::MappingTableFull, PROHIBITED);
}

/// A port of the one address is none of the other: hosts of both versions, and those of NAT64, keep theirs.
#[test]
fn each_address_has_its_own_ports() {
    let tables = site64::gateway(site::prefer_a, MASQUERADED, WELL_KNOWN);
    let mut gateway = Gateway::of(tables);
    gateway.settings().nat_ports = PortRange { first: 5000, last: 5000 };
    gateway.sends66(&request(), &A, 5000);
    gateway.sends(&packets::request(), &A, 5000);
    gateway.delivers66(&answer(&A), &A, HOST);
    gateway.delivers(&packets::answer(&A, 5000), &A, packets::HOST);
    // That of IPv4 is taken, by a host of IPv4.
    let packet = PacketBuilder6::udp(HOST, (embedded(site::SERVER), 443));
    gateway.tells66(&packet, DropReason::NoPort, PROHIBITED);
    gateway.counts_of66(HOST.0, 1);
    let theirs = packets::public(&A, 5000);
    let packet = packets::coming(PacketBuilder::udp(packets::STRANGER, theirs), &A);
    gateway.delivers(&packet, &A, packets::HOST);
}
