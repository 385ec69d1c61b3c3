//! Flows, mappings, who is let in (RFC 6146 section 3.5), and what becomes of flows when uplinks die.

use std::net::{Ipv4Addr, SocketAddrV4};

use pointsman_ebpf::abi::{Direction, Filtering, FlowKey, Ipv4};
use pointsman_ebpf::memory::site::{A, B, lan};
use pointsman_ebpf::memory::site6::entry;
use pointsman_ebpf::memory::{PacketBuilder, PacketBuilder6};
use pointsman_ebpf::path::FlowTable;
use pointsman_ebpf::verdict::DropReason;
use pointsman_ebpf::wire::tcp_flags::{ACK, RST, SYN};

use super::super::handshakes::at_once;
use super::harness::{
    HOST, OTHER, SERVER, SERVER6, STRANGER, STRANGER6, Sizes, answer, answer_in, coming, gateway,
    public, request, request_out, segment, segment_back, segment_in, segment_out,
};

/// The host is counted to have nothing unanswered any more, and one mapping.
#[test]
fn an_answer_makes_a_flow_an_established_one() {
    let gateway = gateway();
    gateway.sends64(&request(), &A, request_out());
    gateway.holds(Sizes { unreplied: 1, bindings: 2, ..Sizes::default() });
    gateway.counts_of64(HOST.0, 1, 1);
    gateway.delivers64(&answer(&A), &A, answer_in());
    gateway.holds(Sizes { established: 2, bindings: 2, ..Sizes::default() });
    gateway.counts_of64(HOST.0, 1, 0);
    let (key, out) = gateway.entry(FlowTable::Established, Direction::Out64);
    let (in_key, into) = gateway.entry(FlowTable::Established, Direction::In64);
    assert_eq!(key.inward64(&out), in_key);
    assert_eq!(into.inside(), entry(HOST.0));
    assert_eq!(out.other_address, Ipv4::new(SERVER.ip().octets()));
}

/// RFC 6146 section 3.5.1.1: the mapping does not depend on whom the host sends to.
#[test]
fn one_mapping_for_all_servers() {
    let gateway = gateway();
    gateway.sends64(&request(), &A, request_out());
    let packet = PacketBuilder6::udp(HOST, STRANGER6);
    gateway.sends64(&packet, &A, request_out().to(STRANGER));
    gateway.holds(Sizes { unreplied: 2, bindings: 2, ..Sizes::default() });
    gateway.counts_of64(HOST.0, 1, 2);
}

/// A port is one host's, whichever version of IP that has.
#[test]
fn a_port_that_another_host_has() {
    let gateway = gateway();
    gateway.sends64(&request(), &A, request_out());
    let packet = PacketBuilder6::udp(OTHER, SERVER6).macs(lan::OTHER_MAC, lan::MAC);
    let mut frame = packet.build();
    let _ = gateway.tables.run(&mut frame, lan::IFINDEX);
    let port = u16::from_be_bytes([frame[34], frame[35]]);
    assert_ne!(port, HOST.1, "{}", gateway.tables);
    let back = coming(PacketBuilder::udp(SERVER, public(&A, port)), &A);
    let output = PacketBuilder6::udp(SERVER6, OTHER).macs(lan::MAC, lan::OTHER_MAC).hop_limit(63);
    gateway.forwards_in(&back.build(), &A, &output.build());
    // The same of a host of IPv4.
    let mut frame = super::super::packets::request().build();
    let _ = gateway.tables.run(&mut frame, lan::IFINDEX);
    assert!(![HOST.1, port].contains(&u16::from_be_bytes([frame[34], frame[35]])));
    gateway.holds(Sizes { unreplied: 2, established: 2, bindings: 6, ..Sizes::default() });
}

#[test]
fn a_refused_flow_is_not_an_established_one() {
    let gateway = gateway();
    gateway.sends64(&segment(SYN), &A, segment_out(SYN));
    gateway.delivers64(&segment_back(RST | ACK, &A), &A, segment_in(RST | ACK));
    gateway.holds(Sizes { unreplied: 1, bindings: 2, ..Sizes::default() });
}

/// RFC 6146 section 3.5.1.2: filtering independent of the endpoint.
#[test]
fn a_stranger_opens_a_flow_to_a_mapping() {
    let gateway = gateway();
    gateway.establish64();
    let invitation = coming(PacketBuilder::udp(STRANGER, public(&A, HOST.1)), &A);
    let invited = PacketBuilder6::udp(STRANGER6, HOST);
    for _ in 0..2 {
        gateway.delivers64(&invitation, &A, invited.clone());
    }
    gateway.holds(Sizes { established: 2, invited: 1, bindings: 2, ..Sizes::default() });
    let answered = PacketBuilder6::udp(HOST, STRANGER6);
    gateway.sends64(&answered, &A, request_out().to(STRANGER));
    gateway.holds(Sizes { established: 4, bindings: 2, ..Sizes::default() });
    gateway.delivers64(&invitation, &A, invited);
    gateway.sends64(&answered, &A, request_out().to(STRANGER));
}

/// Nobody opens a flow by an uplink that is drained; what was let in goes on.
#[test]
fn a_stranger_by_a_closed_uplink() {
    let mut gateway = gateway();
    gateway.establish64();
    let invitation = coming(PacketBuilder::udp(STRANGER, public(&A, HOST.1)), &A);
    gateway.settings().closed = A.bit();
    gateway.refuses64(A.ifindex, &invitation.build(), DropReason::Filtered);
    gateway.holds(Sizes { established: 2, bindings: 2, ..Sizes::default() });
    gateway.settings().closed = !A.bit();
    let invited = PacketBuilder6::udp(STRANGER6, HOST);
    gateway.delivers64(&invitation, &A, invited.clone());
    gateway.settings().closed = A.bit();
    gateway.delivers64(&invitation, &A, invited);
}

/// What does not leave answers nothing.
#[test]
fn an_answer_that_is_too_large() {
    let mut gateway = gateway();
    gateway.establish64();
    gateway.uplink(&A).mtu = 1400;
    let invitation = coming(PacketBuilder::udp(STRANGER, public(&A, HOST.1)), &A);
    gateway.delivers64(&invitation, &A, PacketBuilder6::udp(STRANGER6, HOST));
    let packet = PacketBuilder6::udp(HOST, STRANGER6).payload(&[1; 1400]).build();
    let mtu = 1420_u32.to_be_bytes();
    gateway.tells6(lan::IFINDEX, &packet, DropReason::TooBig, [2, 0], mtu);
    gateway.holds(Sizes { established: 2, invited: 1, bindings: 2, ..Sizes::default() });
}

/// RFC 6052 section 3.1: in the well-known prefix, there is nobody of a private network.
#[test]
fn a_stranger_of_a_private_network() {
    let gateway = gateway();
    gateway.establish64();
    let source = SocketAddrV4::new(Ipv4Addr::new(192, 168, 7, 7), 1000);
    let packet = coming(PacketBuilder::udp(source, public(&A, HOST.1)), &A);
    gateway.refuses64(A.ifindex, &packet.build(), DropReason::Martian);
}

#[test]
fn the_lan_refuses_an_invited_flow() {
    let gateway = gateway();
    gateway.establish_tcp64();
    let syn = coming(PacketBuilder::tcp(STRANGER, public(&A, HOST.1), SYN), &A);
    gateway.delivers64(&syn, &A, PacketBuilder6::tcp(STRANGER6, HOST, SYN));
    let refusal = PacketBuilder6::tcp(HOST, STRANGER6, RST | ACK);
    gateway.sends64(&refusal, &A, segment_out(RST | ACK).to(STRANGER));
    gateway.holds(Sizes { established: 2, invited: 1, bindings: 2, ..Sizes::default() });
}

#[test]
fn filtering_by_address_and_by_port() {
    for (filtering, admits_other_port) in
        [(Filtering::Address, true), (Filtering::AddressAndPort, false)]
    {
        let mut gateway = gateway();
        gateway.settings().filtering = filtering as u8;
        gateway.establish64();
        let stranger = coming(PacketBuilder::udp(STRANGER, public(&A, HOST.1)), &A);
        gateway.refuses64(A.ifindex, &stranger.build(), DropReason::Filtered);
        let other_port = SocketAddrV4::new(*SERVER.ip(), 4444);
        let packet = coming(PacketBuilder::udp(other_port, public(&A, HOST.1)), &A);
        if admits_other_port {
            gateway.delivers64(&packet, &A, PacketBuilder6::udp((SERVER6.0, 4444), HOST));
        } else {
            gateway.refuses64(A.ifindex, &packet.build(), DropReason::Filtered);
        }
    }
}

#[test]
fn nobody_beyond_an_uplink_speaks_for_the_lan() {
    let gateway = gateway();
    gateway.establish64();
    for source in [lan::HOST, lan::GATEWAY, A.address, Ipv4Addr::LOCALHOST] {
        let source = SocketAddrV4::new(source, 1000);
        let packet = coming(PacketBuilder::udp(source, public(&A, HOST.1)), &A);
        gateway.refuses64(A.ifindex, &packet.build(), DropReason::Martian);
    }
}

#[test]
fn a_host_that_is_not_to_be_found() {
    let mut gateway = gateway().only_on_host();
    gateway.establish64();
    let invitation = coming(PacketBuilder::udp(STRANGER, public(&A, HOST.1)), &A).build();
    gateway.tables.ipv6.neighbours.insert(entry(HOST.0), None);
    gateway.refuses64(A.ifindex, &invitation, DropReason::NeighbourUnknown);
    gateway.tables.ipv6.neighbours.remove(&entry(HOST.0));
    gateway.refuses64(A.ifindex, &invitation, DropReason::NoLanRoute);
    // Who has asked is known by what it has sent.
    gateway.delivers64(&answer(&A), &A, answer_in());
}

#[test]
fn what_a_host_may_have() {
    let mut gateway = gateway();
    gateway.settings().host_unreplied_max = 1;
    gateway.settings().host_mappings_max = 2;
    gateway.sends64(&request(), &A, request_out());
    let second = PacketBuilder6::udp(HOST, STRANGER6).build();
    gateway.tells6(lan::IFINDEX, &second, DropReason::HostUnreplied, [1, 1], [0; 4]);
    gateway.settings().host_unreplied_max = u32::MAX;
    gateway.settings().host_mappings_max = 1;
    let second = PacketBuilder6::udp((HOST.0, 5001), SERVER6).build();
    gateway.tells6(lan::IFINDEX, &second, DropReason::HostMappings, [1, 1], [0; 4]);
    // Another host has its own share.
    let packet = PacketBuilder6::udp((OTHER.0, 5001), SERVER6).macs(lan::OTHER_MAC, lan::MAC);
    gateway.sends64(&packet, &A, PacketBuilder::udp(public(&A, 5001), SERVER));
}

#[test]
fn full_tables() {
    let mut gateway = gateway();
    gateway.limit_bindings(1);
    let reason = DropReason::MappingTableFull;
    gateway.tells6(lan::IFINDEX, &request().build(), reason, [1, 1], [0; 4]);
    gateway.limit_bindings(2);
    gateway.limit_established(1);
    gateway.sends64(&request(), &A, request_out());
    gateway.drops(A.ifindex, &answer(&A).build(), DropReason::FlowTableFull);
    gateway.holds(Sizes { unreplied: 1, bindings: 2, ..Sizes::default() });
}

/// A host that moves is followed at once, both ways.
#[test]
fn a_host_moves() {
    let gateway = gateway();
    gateway.establish64();
    let moved = request().macs(lan::OTHER_MAC, lan::MAC);
    gateway.sends64(&moved, &A, request_out());
    let output = answer_in().macs(lan::MAC, lan::OTHER_MAC).hop_limit(63);
    gateway.forwards_in(&answer(&A).build(), &A, &output.build());
    gateway.holds(Sizes { established: 2, bindings: 2, ..Sizes::default() });
    // Also while it waits for an answer.
    let asking = |source: [u8; 6]| PacketBuilder6::udp(HOST, STRANGER6).macs(source, lan::MAC);
    gateway.sends64(&asking(lan::HOST_MAC), &A, request_out().to(STRANGER));
    gateway.sends64(&asking(lan::OTHER_MAC), &A, request_out().to(STRANGER));
    let back = coming(PacketBuilder::udp(STRANGER, public(&A, HOST.1)), &A);
    let output = PacketBuilder6::udp(STRANGER6, HOST).macs(lan::MAC, lan::OTHER_MAC).hop_limit(63);
    gateway.forwards_in(&back.build(), &A, &output.build());
}

/// As NAT44 has it: the next packet takes the next uplink, with a mapping there.
#[test]
fn a_flow_goes_over_to_another_uplink() {
    let gateway = gateway();
    gateway.establish_tcp64();
    gateway.tables.set_alive(B.bit());
    gateway.sends64(&segment(ACK), &B, segment_out(ACK).from(public(&B, HOST.1)));
    gateway.delivers64(&segment_back(ACK, &B), &B, segment_in(ACK));
    // What is still under way by the other one arrives.
    gateway.delivers64(&segment_back(ACK, &A), &A, segment_in(ACK));
    gateway.holds(Sizes { established: 3, bindings: 4, ..Sizes::default() });
    gateway.tables.set_alive(0);
    gateway.tells6(lan::IFINDEX, &segment(ACK).build(), DropReason::NoUplink, [1, 0], [0; 4]);
}

#[test]
fn a_flow_from_outside_stays_on_its_uplink() {
    let gateway = gateway();
    gateway.establish64();
    let invitation = coming(PacketBuilder::udp(STRANGER, public(&A, HOST.1)), &A);
    gateway.delivers64(&invitation, &A, PacketBuilder6::udp(STRANGER6, HOST));
    let answered = PacketBuilder6::udp(HOST, STRANGER6);
    gateway.tables.set_alive(B.bit());
    gateway.tells6(lan::IFINDEX, &answered.build(), DropReason::NoUplink, [1, 0], [0; 4]);
    gateway.tables.set_alive(A.bit() | B.bit());
    gateway.sends64(&answered, &A, request_out().to(STRANGER));
    gateway.tables.set_alive(B.bit());
    gateway.tells6(lan::IFINDEX, &answered.build(), DropReason::NoUplink, [1, 0], [0; 4]);
}

/// Whatever was mapped to the old address is stale.
#[test]
fn an_uplink_gets_another_address() {
    let mut gateway = gateway();
    gateway.establish64();
    let new = Ipv4Addr::new(203, 0, 113, 77);
    gateway.readdress(&A, new);
    gateway.drops(A.ifindex, &answer(&A).build(), DropReason::Unsolicited);
    let output = request_out().from(SocketAddrV4::new(new, HOST.1));
    gateway.sends64(&request(), &A, output);
}

#[test]
fn keys_of_the_lan_are_no_keys_of_ipv4() {
    let gateway = gateway();
    gateway.establish64();
    let (key, _) = gateway.entry(FlowTable::Established, Direction::Out64);
    let of_ipv4 = FlowKey::new(key.from(), key.to(), key.protocol(), 0);
    assert_ne!(key, of_ipv4);
}

#[test]
fn both_versions_share_an_uplink() {
    let gateway = gateway();
    gateway.establish64();
    gateway.sends(&super::super::packets::segment(SYN), &A, HOST.1);
    gateway.holds(Sizes { established: 2, unreplied: 1, bindings: 4, ..Sizes::default() });
}

/// From one LAN host to another by the uplink's address there is no way yet between the versions.
#[test]
fn a_mapping_of_ipv6_is_not_for_hosts_of_ipv4() {
    let gateway = gateway();
    gateway.establish64();
    let packet = PacketBuilder::udp(super::super::packets::HOST, public(&A, HOST.1));
    gateway.refuses64(lan::IFINDEX, &packet.build(), DropReason::Nat64Untranslatable);
}

/// An uplink whose deadline has passed, in spite of the daemon's word.
#[test]
fn a_late_uplink() {
    let gateway = gateway();
    gateway.establish_tcp64();
    gateway.miss(&[A]);
    gateway.sends64(&segment(ACK), &B, segment_out(ACK).from(public(&B, HOST.1)));
    gateway.sends64(&request(), &B, request_out().from(public(&B, HOST.1)));
}

/// From one version to the other, and back.
#[test]
fn a_handshake_is_timed() {
    let gateway = gateway();
    gateway.establish_tcp64();
    gateway.has_timed(&A, &at_once());
}
