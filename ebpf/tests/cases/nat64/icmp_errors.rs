//! ICMP errors from an uplink about what came from IPv6 (RFC 7915 sections 4.2 and 4.3).

use std::net::Ipv4Addr;

use pointsman_ebpf::memory::site::{A, B};
use pointsman_ebpf::memory::site64::embedded;
use pointsman_ebpf::memory::{PacketBuilder, PacketBuilder6};
use pointsman_ebpf::verdict::DropReason;

use super::harness::{
    HOST, STRANGER, STRANGER6, answer, answer_in, coming, echo, echo_out, gateway, public, reply,
    reply_in, request, request_out, segment, segment_out,
};

/// A router beyond A.
const ROUTER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 99);

/// An error of the router's about what beyond A was `quoted`.
fn error(type_and_code: [u8; 2], rest: [u8; 4], quoted: &PacketBuilder) -> PacketBuilder {
    let quote = quoted.quoted(usize::MAX);
    coming(PacketBuilder::icmp_error(ROUTER, A.address, type_and_code, rest, &quote), &A)
}

/// What it is in the LAN, where `quoted` was sent.
fn error_in(type_and_code: [u8; 2], rest: [u8; 4], quoted: &PacketBuilder6) -> PacketBuilder6 {
    let quote = quoted.quoted(usize::MAX);
    PacketBuilder6::error(embedded(ROUTER), HOST.0, type_and_code, rest, &quote)
}

#[test]
fn every_type_and_code() {
    let gateway = gateway();
    gateway.establish64();
    let mtu = |mtu: u32| mtu.to_be_bytes();
    for (code, becomes, rest) in [
        (0, [1, 0], [0; 4]),
        (1, [1, 0], [0; 4]),
        (2, [4, 1], [0, 0, 0, 6]),
        (3, [1, 4], [0; 4]),
        (4, [2, 0], mtu(1420)),
        (5, [1, 0], [0; 4]),
        (8, [1, 0], [0; 4]),
        (9, [1, 1], [0; 4]),
        (10, [1, 1], [0; 4]),
        (12, [1, 0], [0; 4]),
        (13, [1, 1], [0; 4]),
        (15, [1, 1], [0; 4]),
    ] {
        let stated = if code == 4 { mtu(1400) } else { [0; 4] };
        let packet = error([3, code], stated, &request_out());
        gateway.delivers64(&packet, &A, error_in(becomes, rest, &request()));
    }
    for code in [0, 1] {
        let packet = error([11, code], [0; 4], &request_out());
        gateway.delivers64(&packet, &A, error_in([3, code], [0; 4], &request()));
    }
    for (pointer, becomes) in [(0, 0), (1, 1), (2, 4), (3, 4), (8, 7), (9, 6), (12, 8), (19, 24)] {
        let packet = error([12, 0], [pointer, 0, 0, 0], &request_out());
        gateway.delivers64(&packet, &A, error_in([4, 0], [0, 0, 0, becomes], &request()));
    }
    for (type_and_code, rest) in [
        ([3, 14], [0; 4]),
        ([3, 16], [0; 4]),
        ([12, 1], [0; 4]),
        ([12, 0], [4, 0, 0, 0]),
        ([12, 0], [10, 0, 0, 0]),
        ([12, 0], [20, 0, 0, 0]),
    ] {
        let packet = error(type_and_code, rest, &request_out());
        gateway.refuses64(A.ifindex, &packet.build(), DropReason::Icmp);
    }
}

/// RFC 7915 section 4.2: 20 bytes more than IPv4's, no more than the links take, and no less than 1280.
#[test]
fn the_mtu_that_a_host_is_told() {
    let gateway = gateway();
    gateway.establish64();
    for (stated, told) in [(1400, 1420), (1480, 1500), (1500, 1500), (576, 1280), (1260, 1280)] {
        let packet = error([3, 4], u32::to_be_bytes(stated), &request_out());
        let output = error_in([2, 0], u32::to_be_bytes(told), &request());
        gateway.delivers64(&packet, &A, output);
    }
    // A router that states none means a plateau below what it has got (RFC 1191 section 7.1).
    for (len, told) in [(1472, 1500), (1465, 1500), (1464, 1280), (1400, 1280)] {
        let quoted = request_out().payload(&vec![0; len]).quoted(1400);
        let packet = PacketBuilder::icmp_error(ROUTER, A.address, [3, 4], [0; 4], &quoted);
        // An error of IPv6 has 1280 bytes at most (RFC 4443 section 2.4(c)).
        let quote = &request().payload(&vec![0; len]).quoted(1280 - 48);
        let rest = u32::to_be_bytes(told);
        let output = PacketBuilder6::error(embedded(ROUTER), HOST.0, [2, 0], rest, quote);
        gateway.delivers64(&coming(packet, &A), &A, output);
    }
}

#[test]
fn about_tcp_and_echoes() {
    let gateway = gateway();
    gateway.sends64(&segment(2), &A, segment_out(2));
    let packet = error([3, 3], [0; 4], &segment_out(2));
    gateway.delivers64(&packet, &A, error_in([1, 4], [0; 4], &segment(2)));
    gateway.sends64(&echo(), &A, echo_out());
    let packet = error([11, 0], [0; 4], &echo_out());
    gateway.delivers64(&packet, &A, error_in([3, 0], [0; 4], &echo()));
    gateway.delivers64(&reply(), &A, reply_in());
    gateway.delivers64(&packet, &A, error_in([3, 0], [0; 4], &echo()));
}

/// RFC 1812 section 4.3.2.3 has routers quote more than this, RFC 792 no more.
#[test]
fn of_eight_bytes_of_the_upper_layer() {
    let gateway = gateway();
    gateway.establish_tcp64();
    let quote = segment_out(16).quoted(28);
    let error = PacketBuilder::icmp_error(ROUTER, A.address, [11, 0], [0; 4], &quote);
    let quote = segment(16).quoted(48);
    let output = PacketBuilder6::error(embedded(ROUTER), HOST.0, [3, 0], [0; 4], &quote);
    gateway.delivers64(&coming(error, &A), &A, output);
}

/// RFC 4884: what follows the quoted packet does not fit what follows that of the other version.
#[test]
fn extensions_are_left_out() {
    let gateway = gateway();
    gateway.establish64();
    let quoted = request_out().payload(&[1; 100]).quoted(128);
    let with_extension = [&quoted[..], &[0x20, 0, 0, 0, 0, 8, 1, 1, 0, 0, 0x11, 1]].concat();
    let rest = [0, 32, 0, 0];
    let error = PacketBuilder::icmp_error(ROUTER, A.address, [11, 0], rest, &with_extension);
    let quote = request().payload(&[1; 100]).quoted(148);
    let output = PacketBuilder6::error(embedded(ROUTER), HOST.0, [3, 0], [0; 4], &quote);
    gateway.delivers64(&coming(error, &A), &A, output);
}

#[test]
fn with_options() {
    let gateway = gateway();
    gateway.establish64();
    let quoted = request_out().options(&[7, 7, 4, 0, 0, 0, 0, 0]);
    let packet = error([3, 1], [0; 4], &quoted).options(&[1, 1, 1, 1]);
    gateway.delivers64(&packet, &A, error_in([1, 0], [0; 4], &request()));
}

#[test]
fn about_no_flow() {
    let gateway = gateway();
    gateway.establish64();
    let mismatch = DropReason::IcmpMismatch;
    // Nobody has sent that.
    let packet = error([3, 1], [0; 4], &request_out().to(STRANGER));
    gateway.refuses64(A.ifindex, &packet.build(), mismatch);
    // It was not sent by this uplink.
    let quote = request_out().from(public(&B, HOST.1)).quoted(usize::MAX);
    let packet = PacketBuilder::icmp_error(ROUTER, B.address, [3, 1], [0; 4], &quote);
    gateway.refuses64(B.ifindex, &coming(packet, &B).build(), mismatch);
    // It was sent by somebody else.
    let quote = request_out().quoted(usize::MAX);
    let other = Ipv4Addr::new(203, 0, 113, 3);
    let packet = PacketBuilder::icmp_error(ROUTER, other, [3, 1], [0; 4], &quote);
    gateway.refuses64(A.ifindex, &coming(packet, &A).build(), mismatch);
    let mut wrong = error([3, 1], [0; 4], &request_out()).build();
    *wrong.last_mut().unwrap() ^= 1;
    gateway.refuses64(A.ifindex, &wrong, DropReason::BadChecksum);
}

#[test]
fn the_last_hop_of_an_error() {
    let gateway = gateway();
    gateway.establish64();
    let packet = error([3, 1], [0; 4], &request_out()).ttl(1);
    gateway.refuses64(A.ifindex, &packet.build(), DropReason::TtlExceeded);
}

/// RFC 7915 section 4.1.
#[test]
fn a_source_route_of_an_error() {
    let gateway = gateway();
    gateway.establish64();
    let packet = error([3, 1], [0; 4], &request_out()).options(&[1, 131, 7, 4, 1, 2, 3, 4]);
    gateway.refuses64(A.ifindex, &packet.build(), DropReason::SourceRoute);
}

/// RFC 4884: the length leaves nothing of the quoted packet to know its flow by.
#[test]
fn a_length_that_leaves_no_ports() {
    let gateway = gateway();
    gateway.establish64();
    let packet = error([11, 0], [0, 5, 0, 0], &request_out());
    gateway.refuses64(A.ifindex, &packet.build(), DropReason::IcmpMismatch);
    gateway.sends64(&echo(), &A, echo_out());
    let packet = error([11, 0], [0, 6, 0, 0], &echo_out());
    gateway.refuses64(A.ifindex, &packet.build(), DropReason::IcmpMismatch);
}

/// What is left of an older address of the uplink does not hide a flow that somebody has begun since.
#[test]
fn about_an_invited_flow_in_the_place_of_an_old_one() {
    let mut gateway = gateway();
    gateway.establish64();
    gateway.uplink(&A).generation += 1;
    gateway.sends64(&request().to(STRANGER6), &A, request_out().to(STRANGER));
    gateway.delivers64(&answer(&A), &A, answer_in());
    gateway.delivers64(
        &error([3, 3], [0; 4], &request_out()),
        &A,
        error_in([1, 4], [0; 4], &request()),
    );
}
