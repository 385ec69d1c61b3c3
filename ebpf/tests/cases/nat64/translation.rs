//! What becomes of headers (RFC 7915), and that every checksum stays right.

use std::net::{Ipv6Addr, SocketAddrV4};

use pointsman_ebpf::abi::{Ipv4, Nat64, Vlan};
use pointsman_ebpf::memory::site::{self, A, lan};
use pointsman_ebpf::memory::site6::{self, Carriage, entry};
use pointsman_ebpf::memory::site64;
use pointsman_ebpf::memory::{Body6, CUSTOMER_TAG, PacketBuilder6, tagged};
use pointsman_ebpf::verdict::DropReason;
use pointsman_ebpf::wire::tcp_flags::{ACK, SYN};

use super::harness::{
    Gateway, HOST, SERVER6, answer, answer_in, echo, echo_out, gateway, leaving, reaching, reply,
    reply_in, request, request_out, segment, segment_back, segment_in, segment_out,
};

#[test]
fn udp_both_ways() {
    let gateway = gateway();
    gateway.establish64();
    gateway.sends64(&request(), &A, request_out());
    gateway.delivers64(&answer(&A), &A, answer_in());
    gateway.holds64([2, 0, 0]);
}

#[test]
fn tcp_both_ways() {
    let gateway = gateway();
    gateway.establish_tcp64();
    gateway.delivers64(&segment_back(ACK, &A), &A, segment_in(ACK));
    gateway.holds64([2, 0, 0]);
}

#[test]
fn an_echo_both_ways() {
    let gateway = gateway();
    for _ in 0..2 {
        gateway.sends64(&echo(), &A, echo_out());
        gateway.delivers64(&reply(), &A, reply_in());
    }
    gateway.holds64([2, 0, 0]);
}

#[test]
fn payloads_of_any_length() {
    let gateway = gateway();
    gateway.establish64();
    for len in [0, 1, 2, 7, 63, 500] {
        let payload = vec![0xa7; len];
        gateway.sends64(&request().payload(&payload), &A, request_out().payload(&payload));
        gateway.delivers64(&answer(&A).payload(&payload), &A, answer_in().payload(&payload));
        gateway.sends64(&echo().payload(&payload), &A, echo_out().payload(&payload));
        gateway.delivers64(&reply().payload(&payload), &A, reply_in().payload(&payload));
    }
}

/// RFC 7915 section 5.1: up to 1260 bytes may be fragmented, more may not.
#[test]
fn the_size_says_whether_routers_may_fragment() {
    let gateway = gateway();
    for len in [1260 - 28, 1261 - 28, 1480 - 28] {
        let payload = vec![0x5a; len];
        let packet = request().payload(&payload);
        gateway.sends64(&packet, &A, request_out().payload(&payload));
    }
}

#[test]
fn the_traffic_class_stays() {
    let gateway = gateway();
    gateway.establish64();
    for class in [0x2e << 2, 3, 0xff] {
        let packet = request().traffic_class(class);
        gateway.sends64(&packet, &A, request_out().type_of_service(class));
        let packet = answer(&A).type_of_service(class);
        gateway.delivers64(&packet, &A, answer_in().traffic_class(class));
    }
}

#[test]
fn what_follows_the_packet_stays_behind_it() {
    let gateway = gateway();
    gateway.establish64();
    gateway.sends64(&request().padding(7), &A, request_out().padding(7));
    gateway.delivers64(&answer(&A).padding(7), &A, answer_in().padding(7));
}

/// RFC 7915 section 4.1: options are not translated; section 5.1: extension headers neither.
#[test]
fn options_and_extension_headers_end_here() {
    let gateway = gateway();
    gateway.establish64();
    let record_route = [7, 7, 4, 0, 0, 0, 0, 0];
    gateway.delivers64(&answer(&A).options(&record_route), &A, answer_in());
    let packet = request().extensions(&[[0, 0], [60, 1]]);
    let output = leaving(request_out(), &request().build(), &A).build();
    gateway.forwards_out(&packet.build(), &A, &output);
    // A source route whose hops are all used up says nothing any more.
    gateway.delivers64(&answer(&A).options(&[131, 7, 8, 1, 2, 3, 4, 0]), &A, answer_in());
    let packet = request().extensions(&[[43, 0]]);
    gateway.forwards_out(&packet.build(), &A, &output);
}

#[test]
fn source_routes_are_refused() {
    let gateway = gateway();
    gateway.establish64();
    let mut routed = request().extensions(&[[60, 0], [43, 0]]).build();
    routed[14 + 40 + 8 + 3] = 1;
    let pointer = [0, 0, 0, 40 + 8 + 3];
    gateway.tells6(lan::IFINDEX, &routed, DropReason::SourceRoute, [4, 0], pointer);
    for option in [131, 137] {
        let packet = answer(&A).options(&[1, option, 7, 4, 1, 2, 3, 4]);
        gateway.answers(A.ifindex, &packet.build(), DropReason::SourceRoute, [3, 5], [0; 4]);
    }
}

/// What follows the header is none of its options: here, the datagram's ports.
#[test]
fn the_last_byte_of_the_options_is_no_source_route() {
    let gateway = gateway();
    let from = SocketAddrV4::new(site::SERVER, 0x0904);
    let sent = request().to((SERVER6.0, from.port()));
    gateway.sends64(&sent, &A, request_out().to(from));
    let packet = answer(&A).from(from).options(&[1, 1, 1, 131]);
    gateway.delivers64(&packet, &A, answer_in().from((SERVER6.0, from.port())));
}

/// RFC 7915 section 4.5: IPv6 wants a checksum.
#[test]
fn udp_without_a_checksum_gets_one() {
    let gateway = gateway();
    gateway.establish64();
    for len in [0, 1, 333] {
        let packet = answer(&A).payload(&vec![0x77; len]).without_checksum();
        gateway.delivers64(&packet, &A, answer_in().payload(&vec![0x77; len]));
    }
}

#[test]
fn other_protocols_are_not_translated() {
    let gateway = gateway();
    // The number of ICMP says nothing in IPv6.
    for protocol in [1, 47, 50, 132] {
        let packet = PacketBuilder6::new(HOST, SERVER6, Body6::Other(protocol)).build();
        gateway.refuses64(lan::IFINDEX, &packet, DropReason::Nat64Untranslatable);
    }
    gateway.holds_nothing();
}

#[test]
fn the_last_hop_is_answered() {
    let gateway = gateway();
    let packet = request().hop_limit(1).build();
    gateway.tells6(lan::IFINDEX, &packet, DropReason::TtlExceeded, [3, 0], [0; 4]);
    gateway.establish64();
    gateway.tells6(lan::IFINDEX, &packet, DropReason::TtlExceeded, [3, 0], [0; 4]);
    let packet = answer(&A).ttl(1).build();
    gateway.answers(A.ifindex, &packet, DropReason::TtlExceeded, [11, 0], [0; 4]);
}

/// What is too large is told in what the sender's own version knows (RFC 7915 sections 4.2 and 5.2).
#[test]
fn what_is_too_large_is_answered() {
    let mut gateway = gateway();
    gateway.establish64();
    gateway.uplink(&A).mtu = 1400;
    let fits = request().payload(&vec![1; 1400 - 28]);
    gateway.sends64(&fits, &A, request_out().payload(&vec![1; 1400 - 28]));
    let packet = request().payload(&vec![1; 1400 - 27]).build();
    let mtu = 1420_u32.to_be_bytes();
    gateway.tells6(lan::IFINDEX, &packet, DropReason::TooBig, [2, 0], mtu);
    // No link of IPv6 takes less (RFC 8200 section 5).
    gateway.uplink(&A).mtu = 1000;
    gateway.tells6(lan::IFINDEX, &packet, DropReason::TooBig, [2, 0], 1280_u32.to_be_bytes());
    let fits = answer(&A).payload(&vec![1; 1480 - 28]);
    gateway.delivers64(&fits, &A, answer_in().payload(&vec![1; 1480 - 28]));
    let packet = answer(&A).payload(&vec![1; 1480 - 27]).build();
    gateway.answers(A.ifindex, &packet, DropReason::TooBig, [3, 4], 1480_u32.to_be_bytes());
}

/// Each side's headers leave room for the other's.
#[test]
fn segments_are_kept_small() {
    let gateway = gateway();
    let mss = |value: u16| [vec![2, 4], value.to_be_bytes().to_vec()].concat();
    // The identification is from the checksum that the limit has changed already.
    let limited = segment(SYN).tcp_options(&mss(1440)).build();
    let output = leaving(segment_out(SYN).tcp_options(&mss(1440)), &limited, &A);
    gateway.forwards_out(&segment(SYN).tcp_options(&mss(1460)).build(), &A, &output.build());
    let packet = segment_back(SYN | ACK, &A).tcp_options(&mss(1460));
    gateway.delivers64(&packet, &A, segment_in(SYN | ACK).tcp_options(&mss(1440)));
}

#[test]
fn prefixes_of_every_length() {
    for (prefix, length) in [
        ("2001:db8::", 32),
        ("2001:db8:1100::", 40),
        ("2001:db8:122::", 48),
        ("2001:db8:122:300::", 56),
        ("2001:db8:122:344::", 64),
        ("2001:db8:122:344::", 96),
    ] {
        let prefix: Ipv6Addr = prefix.parse().unwrap();
        let tables = site64::gateway(site::prefer_a, [Carriage::None; 2], (prefix, length));
        let gateway = Gateway::of(tables);
        let nat64 = Nat64::new(entry(prefix), length).unwrap();
        let server = Ipv4::new(site::SERVER.octets());
        let server6 = (Ipv6Addr::from(nat64.embed(server).octets()), 443);
        gateway.sends64(&PacketBuilder6::udp(HOST, server6), &A, request_out());
        gateway.delivers64(&answer(&A), &A, PacketBuilder6::udp(server6, HOST));
    }
}

/// An uplink that carries IPv6 has no part in it.
#[test]
fn beside_ipv6_of_the_uplinks() {
    let carriage = [Carriage::Nptv6(48), Carriage::Routed];
    let gateway = Gateway::of(site64::gateway(site::prefer_a, carriage, site64::WELL_KNOWN));
    gateway.establish64();
    let native = PacketBuilder6::udp(HOST, (site6::SERVER, 443));
    gateway.sends6(&native, &A, super::super::ipv6::HOST_A);
}

#[test]
fn frames_with_tags() {
    let mut gateway = gateway();
    for (ifindex, id) in [(lan::IFINDEX, 7), (A.ifindex, 8)] {
        let vlan = Vlan::customer(id).unwrap();
        let port = gateway.tables.ports.get_mut(&ifindex).unwrap();
        port.vlan = vlan;
        gateway.tables.vlans.insert(port.egress, vlan);
    }
    let tag = |id: u16| (CUSTOMER_TAG, id);
    let output = leaving(request_out(), &request().build(), &A).build();
    let (input, output) = (tagged(&request().build(), &[tag(7)]), tagged(&output, &[tag(8)]));
    gateway.forwards_out(&input, &A, &output);
    let output = reaching(answer_in()).build();
    let (input, output) = (tagged(&answer(&A).build(), &[tag(8)]), tagged(&output, &[tag(7)]));
    gateway.forwards_in(&input, &A, &output);
}
