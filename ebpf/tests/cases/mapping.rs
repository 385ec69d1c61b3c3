//! Mappings: address and port of a LAN host, and what they are on an uplink (RFC 4787 section 4).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};

use pointsman_ebpf::abi::{FlowKey, Host, Ipv4, L4Port};
use pointsman_ebpf::memory::PacketBuilder;
use pointsman_ebpf::memory::site::{A, B, Provider, lan};
use pointsman_ebpf::path::FlowTable;
use pointsman_ebpf::verdict::{DropReason, Verdict};
use pointsman_ebpf::wire::tcp_flags::SYN;

use super::harness::{
    Gateway, HOST, OTHER, SERVER, STRANGER, Sizes, answer, coming, from_other, leaving,
    other_request, public, request, segment,
};

/// The source address and port that a packet of TCP or UDP leaves with.
fn translated(gateway: &Gateway, packet: &PacketBuilder) -> Option<(Ipv4Addr, u16)> {
    let mut frame = packet.build();
    let Verdict::Forward { .. } = gateway.tables.run(&mut frame, lan::IFINDEX) else {
        return None;
    };
    let address = Ipv4Addr::new(frame[26], frame[27], frame[28], frame[29]);
    Some((address, u16::from_be_bytes([frame[34], frame[35]])))
}

/// One of many hosts.
fn host(number: u16) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(10, 1, high + 1, low)
}

/// RFC 4787 REQ-1, RFC 5382 REQ-1: whoever it sends to. No port is preserved here, so the same one
/// is no chance.
#[test]
fn two_flows_of_one_host_end_share_a_mapping() {
    for packet in [request(), segment(SYN)] {
        let gateway = Gateway::with_nat_ports(40_000, 40_001);
        gateway.sends(&packet, &A, 40_000);
        gateway.sends(&packet.clone().to(STRANGER), &A, 40_000);
        let other_port = SocketAddrV4::new(*SERVER.ip(), 1);
        gateway.sends(&packet.to(other_port), &A, 40_000);
        gateway.holds(Sizes { unreplied: 3, bindings: 2, ..Sizes::default() });
        gateway.counts_of(lan::HOST, 1, 3);
    }
}

/// RFC 5508 REQ-1a.
#[test]
fn an_echo_identifier_keeps_its_mapping_to_every_host() {
    let gateway = Gateway::with_nat_ports(40_000, 40_001);
    for to in [*SERVER.ip(), *STRANGER.ip()] {
        gateway.sends(&PacketBuilder::echo_request(HOST, to), &A, 40_000);
        let reply = PacketBuilder::echo_reply(to, public(&A, 40_000));
        gateway.delivers(&coming(reply, &A), &A, HOST);
    }
    gateway.holds(Sizes { established: 4, bindings: 2, ..Sizes::default() });
}

#[test]
fn each_uplink_has_its_own_mapping() {
    let gateway = Gateway::new();
    gateway.sends(&request(), &A, 5000);
    gateway.tables.set_alive(B.bit());
    gateway.sends(&request().to(STRANGER), &B, 5000);
    gateway.counts_of(lan::HOST, 2, 2);
    gateway.delivers(&answer(&A, 5000), &A, HOST);
    gateway.delivers(&answer(&B, 5000).from(STRANGER), &B, HOST);
}

#[test]
fn each_protocol_has_its_own_mapping() {
    let gateway = Gateway::new();
    gateway.sends(&request(), &A, 5000);
    gateway.sends(&from_other(PacketBuilder::tcp(OTHER, SERVER, SYN)), &A, 5000);
    let third = SocketAddrV4::new(host(1), 5000);
    gateway.sends(&PacketBuilder::echo_request(third, *SERVER.ip()), &A, 5000);
    gateway.holds(Sizes { unreplied: 3, bindings: 6, ..Sizes::default() });
}

/// RFC 4787 section 4.2.1: where the port is free, it is kept, the first of the range and the last.
#[test]
fn a_free_port_is_preserved() {
    for port in [1024, 1025, 40_000, 65_535] {
        let gateway = Gateway::new();
        let end = SocketAddrV4::new(lan::HOST, port);
        gateway.sends(&PacketBuilder::udp(end, SERVER), &A, port);
        gateway.sends(&PacketBuilder::tcp(end, SERVER, SYN), &A, port);
    }
}

/// A mapping is there as long as its two sides are, with no flow in any table.
#[test]
fn a_mapping_outlives_its_flows() {
    let gateway = Gateway::with_nat_ports(40_000, 40_001);
    gateway.sends(&request(), &A, 40_000);
    gateway.delivers(&answer(&A, 40_000), &A, HOST);
    for (key, _) in gateway.tables.flows(FlowTable::Established) {
        gateway.tables.remove_flow(FlowTable::Established, &key);
    }
    gateway.sends(&request(), &A, 40_000);
    gateway.counts_of(lan::HOST, 1, 1);
    gateway.delivers(&answer(&A, 40_000), &A, HOST);
}

/// Once both sides are gone, another host may have the port.
#[test]
fn a_port_that_is_given_back_is_handed_out_again() {
    let gateway = Gateway::with_nat_ports(5000, 5000);
    gateway.sends(&request(), &A, 5000);
    gateway.prohibits(&other_request(), DropReason::NoPort);
    for (key, _) in gateway.tables.bindings() {
        gateway.tables.remove_binding(&key);
    }
    gateway.sends(&other_request(), &A, 5000);
    gateway.delivers(&answer(&A, 5000), &A, OTHER);
}

/// RFC 4787 REQ-4: of many ports that are not free, the new one is even where the host's is.
#[test]
fn parity_is_kept() {
    let gateway = Gateway::with_nat_ports(20_001, 59_999);
    for number in 0..200 {
        // All hosts want one of two ports.
        let own = 30_000 + number % 2;
        let packet = PacketBuilder::udp(SocketAddrV4::new(host(number), own), SERVER);
        let (_, port) = translated(&gateway, &packet).expect("a port");
        assert_eq!(port % 2, own % 2, "host {number}: {port}\n{}", gateway.tables);
        assert!((20_001..=59_999).contains(&port), "host {number}: {port}");
    }
    gateway.holds(Sizes { unreplied: 200, bindings: 400, ..Sizes::default() });
}

/// Where no port of the same parity is left, any is better than none.
#[test]
fn parity_gives_way() {
    let gateway = Gateway::with_nat_ports(5001, 5001);
    gateway.sends(&request(), &A, 5001);
}

/// RFC 4787 REQ-2: a host has one of the uplink's addresses, whatever it sends and wherever to. All
/// of them are used.
#[test]
fn a_host_keeps_to_one_address_of_the_pool() {
    let mut gateway = Gateway::new();
    let added = [9, 10, 11].map(|last| Ipv4Addr::new(203, 0, 113, last));
    for address in added {
        gateway.add_public_address(&A, address);
    }
    let mut address_of: BTreeMap<u16, Ipv4Addr> = BTreeMap::new();
    for number in 0..32 {
        for (port, to) in [(5000, SERVER), (5001, SERVER), (5000, STRANGER), (6000, STRANGER)] {
            let end = SocketAddrV4::new(host(number), port);
            for packet in [PacketBuilder::udp(end, to), PacketBuilder::tcp(end, to, SYN)] {
                let (address, _) = translated(&gateway, &packet).expect("a mapping");
                let first = *address_of.entry(number).or_insert(address);
                assert_eq!(address, first, "host {number}\n{}", gateway.tables);
            }
        }
    }
    let used: BTreeSet<Ipv4Addr> = address_of.into_values().collect();
    let all: BTreeSet<Ipv4Addr> = added.into_iter().chain([A.address]).collect();
    assert_eq!(used, all);
}

/// Answers to an address of the pool come in; what is for no mapping there is not the kernel's.
#[test]
fn an_address_of_the_pool_is_answered() {
    let mut gateway = Gateway::new();
    let address = Ipv4Addr::new(203, 0, 113, 9);
    gateway.add_public_address(&A, address);
    // Some host has it.
    let mut found = None;
    for number in 0..16 {
        let end = SocketAddrV4::new(host(number), 5000);
        if translated(&gateway, &PacketBuilder::udp(end, SERVER)) == Some((address, 5000)) {
            found = Some(end);
            break;
        }
    }
    let end = found.expect("a host of this address");
    let by = Provider { address, ..A };
    gateway.sends(&PacketBuilder::udp(end, SERVER), &by, 5000);
    gateway.delivers(&answer(&by, 5000), &by, end);
    let none = answer(&by, 5001).build();
    gateway.drops(A.ifindex, &none, DropReason::Unsolicited);
}

/// A port of one address is not that of another: both hosts keep theirs.
#[test]
fn addresses_of_the_pool_have_their_own_ports() {
    let mut gateway = Gateway::with_nat_ports(5000, 5000);
    gateway.add_public_address(&A, Ipv4Addr::new(203, 0, 113, 9));
    let ends = (0..16).map(|number| SocketAddrV4::new(host(number), 5000));
    let got: BTreeSet<_> =
        ends.filter_map(|end| translated(&gateway, &PacketBuilder::udp(end, SERVER))).collect();
    let want = [A.address, Ipv4Addr::new(203, 0, 113, 9)].map(|address| (address, 5000));
    assert_eq!(got, BTreeSet::from(want), "{}", gateway.tables);
}

/// Ports that the gateway's own sockets have, or may take, are never handed out, neither to the host
/// that has the same nor at random, over many flows.
#[test]
fn own_ports_are_never_handed_out() {
    let mut gateway = Gateway::with_nat_ports(5000, 5255);
    let own = |port: u16| port.is_multiple_of(3);
    for port in (5000..=5255).filter(|port| own(*port)) {
        for udp in [false, true] {
            gateway.tables.keep_port(udp, L4Port::from_host(port));
        }
    }
    let mut handed_out = 0;
    for number in 0..300 {
        let end = SocketAddrV4::new(host(number), 5000 + number % 256);
        for packet in [PacketBuilder::udp(end, SERVER), PacketBuilder::tcp(end, SERVER, SYN)] {
            if let Some((_, port)) = translated(&gateway, &packet) {
                assert!(!own(port), "host {number}: {port}\n{}", gateway.tables);
                handed_out += 1;
            }
        }
    }
    // 171 of the 256 ports may be, of each protocol.
    assert!((300..=342).contains(&handed_out), "{handed_out}");
}

/// A socket of TCP does not have the port of UDP, and no socket an identifier of echo.
#[test]
fn own_ports_are_of_one_protocol() {
    let mut gateway = Gateway::with_nat_ports(5000, 5001);
    gateway.tables.keep_port(false, L4Port::from_host(5000));
    gateway.sends(&request(), &A, 5000);
    gateway.sends(&PacketBuilder::echo_request(HOST, *SERVER.ip()), &A, 5000);
    gateway.sends(&segment(SYN), &A, 5001);
}

/// The limit holds for new mappings only, and for one host only.
#[test]
fn a_host_has_no_more_mappings_than_it_may() {
    let mut gateway = Gateway::new();
    gateway.settings().host_mappings_max = 2;
    let from = |port| request().from(SocketAddrV4::new(lan::HOST, port));
    gateway.sends(&from(5000), &A, 5000);
    gateway.sends(&from(5001), &A, 5001);
    gateway.prohibits(&from(5002), DropReason::HostMappings);
    gateway.prohibits(&segment(SYN), DropReason::HostMappings);
    gateway.counts_of(lan::HOST, 2, 2);
    // A new flow by a mapping that is there, a flow that is there, and another host.
    gateway.sends(&from(5001).to(STRANGER), &A, 5001);
    gateway.sends(&from(5000), &A, 5000);
    gateway.delivers(&answer(&A, 5000), &A, HOST);
    gateway.sends(&from_other(from(5002).from(SocketAddrV4::new(lan::OTHER, 5004))), &A, 5004);
    // The sweep has removed one.
    let host = Ipv4::new(lan::HOST.octets());
    gateway.tables.set_host(host, &Host { mappings: 1, ..Host::default() });
    gateway.sends(&from(5002), &A, 5002);
    gateway.prohibits(&from(5003), DropReason::HostMappings);
}

/// Likewise of unanswered flows; an answer makes room.
#[test]
fn a_host_has_no_more_unanswered_flows_than_it_may() {
    let mut gateway = Gateway::new();
    gateway.settings().host_unreplied_max = 2;
    let third = SocketAddrV4::new(*SERVER.ip(), 9);
    gateway.sends(&request(), &A, 5000);
    gateway.sends(&request().to(STRANGER), &A, 5000);
    gateway.prohibits(&request().to(third), DropReason::HostUnreplied);
    gateway.counts_of(lan::HOST, 1, 2);
    // The next packets of a flow that is there, and another host.
    gateway.sends(&request(), &A, 5000);
    let other_end = SocketAddrV4::new(lan::OTHER, 5002);
    gateway.sends(&from_other(request().from(other_end)), &A, 5002);
    gateway.delivers(&answer(&A, 5000), &A, HOST);
    gateway.counts_of(lan::HOST, 1, 1);
    gateway.sends(&request().to(third), &A, 5000);
    gateway.counts_of(lan::HOST, 1, 2);
}

/// An established flow moves to another uplink though the host waits for as many answers as it may.
#[test]
fn the_limit_of_unanswered_flows_does_not_keep_established_ones() {
    let mut gateway = Gateway::new();
    gateway.establish(&A);
    gateway.settings().host_unreplied_max = 0;
    gateway.tables.set_alive(B.bit());
    gateway.sends(&request(), &B, 5000);
    gateway.prohibits(&request().to(STRANGER), DropReason::HostUnreplied);
}

/// What is left of a mapping of an older generation of the same address: the host gets its port
/// again, and the table keeps one mapping.
#[test]
fn a_mapping_of_an_older_generation_is_made_anew() {
    let mut gateway = Gateway::new();
    gateway.sends(&request(), &A, 5000);
    gateway.readdress(&A, A.address);
    gateway.sends(&request(), &A, 5000);
    gateway.holds(Sizes { unreplied: 1, bindings: 2, ..Sizes::default() });
    let key = FlowKey::external(
        Ipv4::default(),
        (Ipv4::new(A.address.octets()), L4Port::from_host(5000)),
        17,
        A.id,
    );
    let bindings = gateway.tables.bindings();
    let (_, outer) = bindings.iter().find(|(found, _)| *found == key).expect("the public side");
    assert_eq!(outer.generation, 2, "{}", gateway.tables);
}

/// Behind the host's port there may be another in the middle of its life: a new mapping of the same
/// host does not disturb it.
#[test]
fn mappings_of_one_host_do_not_disturb_each_other() {
    let gateway = Gateway::with_nat_ports(5000, 5001);
    gateway.sends(&request().from(SocketAddrV4::new(lan::HOST, 7000)), &A, 5000);
    gateway.sends(&request(), &A, 5001);
    let seven = SocketAddrV4::new(lan::HOST, 7000);
    gateway.delivers(&answer(&A, 5000), &A, seven);
    gateway.delivers(&answer(&A, 5001), &A, HOST);
    let frame = leaving(&request(), &A, 5001).build();
    gateway.forwards_out(&request().build(), &A, &frame);
}
