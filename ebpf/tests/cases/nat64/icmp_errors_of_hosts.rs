//! ICMPv6 errors from the LAN about what came from IPv4 (RFC 7915 sections 5.2 and 5.3).

use std::net::Ipv6Addr;

use pointsman_ebpf::memory::site::{self, A, lan};
use pointsman_ebpf::memory::site6::{INTERNAL, within};
use pointsman_ebpf::memory::{PacketBuilder, PacketBuilder6};
use pointsman_ebpf::verdict::DropReason;

use super::harness::{
    HOST, SERVER6, STRANGER6, answer, answer_in, echo, echo_out, gateway, leaving, reply, reply_in,
    segment_back, segment_in,
};

/// A router between the gateway and the host.
const ROUTER: Ipv6Addr = within(INTERNAL, [7, 0, 0, 0, 1]);

/// An error of the router's about what in the LAN was `quoted`.
fn error(type_and_code: [u8; 2], rest: [u8; 4], quoted: &PacketBuilder6) -> PacketBuilder6 {
    PacketBuilder6::error(ROUTER, SERVER6.0, type_and_code, rest, &quoted.quoted(usize::MAX))
}

/// What it is beyond A: whoever sends it appears as the host does. The quoted packet is one that is not to
/// be fragmented, and has no identification.
fn error_out(
    type_and_code: [u8; 2],
    rest: [u8; 4],
    quoted: PacketBuilder,
    sent: &PacketBuilder6,
) -> Vec<u8> {
    let quote = quoted.identification(0).fragment(0x4000).quoted(usize::MAX);
    let packet = PacketBuilder::icmp_error(A.address, site::SERVER, type_and_code, rest, &quote);
    leaving(packet, &sent.build(), &A).build()
}

#[test]
fn every_type_and_code() {
    let gateway = gateway();
    gateway.establish64();
    let mtu = |mtu: u32| mtu.to_be_bytes();
    for (sent, rest, becomes, written) in [
        ([1, 0], [0; 4], [3, 1], [0; 4]),
        ([1, 1], [0; 4], [3, 10], [0; 4]),
        ([1, 2], [0; 4], [3, 1], [0; 4]),
        ([1, 3], [0; 4], [3, 1], [0; 4]),
        ([1, 4], [0; 4], [3, 3], [0; 4]),
        ([2, 0], mtu(1280), [3, 4], mtu(1260)),
        ([2, 0], mtu(9000), [3, 4], mtu(1480)),
        ([3, 0], [0; 4], [11, 0], [0; 4]),
        ([3, 1], [0; 4], [11, 1], [0; 4]),
        ([4, 1], [0, 0, 0, 6], [3, 2], [0; 4]),
        ([4, 0], [0, 0, 0, 0], [12, 0], [0, 0, 0, 0]),
        ([4, 0], [0, 0, 0, 5], [12, 0], [2, 0, 0, 0]),
        ([4, 0], [0, 0, 0, 6], [12, 0], [9, 0, 0, 0]),
        ([4, 0], [0, 0, 0, 7], [12, 0], [8, 0, 0, 0]),
        ([4, 0], [0, 0, 0, 23], [12, 0], [12, 0, 0, 0]),
        ([4, 0], [0, 0, 0, 39], [12, 0], [16, 0, 0, 0]),
    ] {
        let packet = error(sent, rest, &answer_in());
        let output = error_out(becomes, written, answer(&A), &packet);
        gateway.forwards_out(&packet.build(), &A, &output);
    }
    for (sent, rest) in [
        ([1, 5], [0; 4]),
        ([1, 6], [0; 4]),
        ([4, 2], [0; 4]),
        ([4, 0], [0, 0, 0, 2]),
        ([4, 0], [0, 0, 0, 40]),
    ] {
        let packet = error(sent, rest, &answer_in());
        gateway.refuses64(lan::IFINDEX, &packet.build(), DropReason::Icmp);
    }
}

#[test]
fn about_tcp_and_echoes() {
    let gateway = gateway();
    gateway.establish_tcp64();
    let packet = error([1, 4], [0; 4], &segment_in(16));
    let output = error_out([3, 3], [0; 4], segment_back(16, &A), &packet);
    gateway.forwards_out(&packet.build(), &A, &output);
    gateway.sends64(&echo(), &A, echo_out());
    let packet = error([1, 3], [0; 4], &reply_in());
    let output = error_out([3, 1], [0; 4], reply(), &packet);
    gateway.forwards_out(&packet.build(), &A, &output);
}

/// RFC 4884 section 4: the length is in words of eight bytes.
#[test]
fn extensions_are_left_out() {
    let gateway = gateway();
    gateway.establish64();
    let quoted = answer_in().payload(&[1; 100]).quoted(128);
    let with_extension = [&quoted[..], &[0x20, 0, 0, 0, 0, 8, 1, 1, 0, 0, 0x11, 1]].concat();
    let packet = PacketBuilder6::error(ROUTER, SERVER6.0, [3, 0], [16, 0, 0, 0], &with_extension);
    let quote = answer(&A).payload(&[1; 100]).identification(0).fragment(0x4000).quoted(108);
    let output = PacketBuilder::icmp_error(A.address, site::SERVER, [11, 0], [0; 4], &quote);
    let output = leaving(output, &packet.build(), &A).build();
    gateway.forwards_out(&packet.build(), &A, &output);
}

#[test]
fn about_no_flow_or_from_nobody() {
    let gateway = gateway();
    gateway.establish64();
    let mismatch = DropReason::IcmpMismatch;
    let stranger = answer_in().from((STRANGER6.0, 443));
    let packet = error([1, 4], [0; 4], &stranger);
    gateway.refuses64(lan::IFINDEX, &packet.build(), mismatch);
    let packet = error([1, 4], [0; 4], &answer_in().to((HOST.0, 5001)));
    gateway.refuses64(lan::IFINDEX, &packet.build(), mismatch);
    let foreign = error([1, 4], [0; 4], &answer_in());
    let foreign = foreign.from_address(Ipv6Addr::new(0x2001, 0xdb8, 0xdead, 0, 0, 0, 0, 1));
    gateway.refuses64(lan::IFINDEX, &foreign.build(), DropReason::ForeignSource);
    let mut wrong = error([1, 4], [0; 4], &answer_in()).build();
    *wrong.last_mut().unwrap() ^= 1;
    gateway.refuses64(lan::IFINDEX, &wrong, DropReason::BadChecksum);
    let packet = error([1, 4], [0; 4], &answer_in()).hop_limit(1);
    gateway.refuses64(lan::IFINDEX, &packet.build(), DropReason::TtlExceeded);
}

/// RFC 7915 section 5.1.
#[test]
fn a_source_route_of_an_error() {
    let gateway = gateway();
    gateway.establish64();
    let mut packet = error([1, 4], [0; 4], &answer_in()).extensions(&[[43, 0]]).build();
    packet[14 + 40 + 3] = 1;
    gateway.refuses64(lan::IFINDEX, &packet, DropReason::SourceRoute);
}

/// RFC 4884: the length leaves nothing of the quoted packet to know its flow by.
#[test]
fn a_length_that_leaves_no_ports() {
    let gateway = gateway();
    gateway.establish64();
    let packet = error([3, 0], [5, 0, 0, 0], &answer_in());
    gateway.refuses64(lan::IFINDEX, &packet.build(), DropReason::IcmpMismatch);
    gateway.sends64(&echo(), &A, echo_out());
    gateway.delivers64(&reply(), &A, reply_in());
    let packet = error([3, 0], [5, 0, 0, 0], &reply_in());
    gateway.refuses64(lan::IFINDEX, &packet.build(), DropReason::IcmpMismatch);
}

/// No error tells its sender that the error is too large.
#[test]
fn an_error_that_is_larger_than_the_uplink_takes() {
    let mut gateway = gateway();
    gateway.establish64();
    gateway.uplink(&A).mtu = 600;
    let quoted = answer_in().payload(&[1; 900]);
    let packet = error([1, 4], [0; 4], &quoted);
    let quote = answer(&A).payload(&[1; 900]).identification(0).fragment(0x4000).quoted(600 - 28);
    let output = PacketBuilder::icmp_error(A.address, site::SERVER, [3, 3], [0; 4], &quote);
    let output = leaving(output, &packet.build(), &A).build();
    gateway.forwards_out(&packet.build(), &A, &output);
}
