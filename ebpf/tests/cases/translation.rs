//! What is forwarded, byte for byte.

use std::net::SocketAddrV4;

use pointsman_ebpf::memory::site::{A, SERVER as SERVER_ADDRESS, lan};
use pointsman_ebpf::memory::{PacketBuilder, verify};
use pointsman_ebpf::verdict::DropReason;
use pointsman_ebpf::wire::tcp_flags;

use super::harness::{
    Gateway, HOST, SERVER, STRANGER, STRIDE, Sizes, answer, coming, leaving, public, reaching,
    request,
};

#[test]
fn udp_goes_out_and_back() {
    let gateway = Gateway::new();
    gateway.sends(&request(), &A, HOST.port());
    gateway.delivers(&answer(&A, HOST.port()), &A, HOST);
    gateway.holds(Sizes { established: 2, bindings: 2, ..Sizes::default() });
}

#[test]
fn tcp_goes_out_and_back() {
    let gateway = Gateway::new();
    gateway.sends(&PacketBuilder::tcp(HOST, SERVER, tcp_flags::SYN), &A, HOST.port());
    let reply =
        PacketBuilder::tcp(SERVER, public(&A, HOST.port()), tcp_flags::SYN | tcp_flags::ACK);
    gateway.delivers(&coming(reply, &A), &A, HOST);
    gateway.sends(&PacketBuilder::tcp(HOST, SERVER, tcp_flags::ACK), &A, HOST.port());
    gateway.holds(Sizes { established: 2, bindings: 2, ..Sizes::default() });
}

#[test]
fn echo_goes_out_and_back() {
    let gateway = Gateway::new();
    gateway.sends(&PacketBuilder::echo_request(HOST, SERVER_ADDRESS), &A, HOST.port());
    let reply = PacketBuilder::echo_reply(SERVER_ADDRESS, public(&A, HOST.port()));
    gateway.delivers(&coming(reply, &A), &A, HOST);
    gateway.holds(Sizes { established: 2, bindings: 2, ..Sizes::default() });
}

#[test]
fn tcp_in_mid_stream_opens_a_flow() {
    let gateway = Gateway::new();
    gateway.sends(&PacketBuilder::tcp(HOST, SERVER, tcp_flags::ACK), &A, HOST.port());
}

#[test]
fn protocols_with_the_same_ports_do_not_mix() {
    let gateway = Gateway::new();
    gateway.sends(&request(), &A, HOST.port());
    gateway.sends(&PacketBuilder::tcp(HOST, SERVER, tcp_flags::SYN), &A, HOST.port());
    gateway.sends(&PacketBuilder::echo_request(HOST, SERVER_ADDRESS), &A, HOST.port());
    gateway.holds(Sizes { unreplied: 3, bindings: 6, ..Sizes::default() });
}

#[test]
fn udp_without_checksum_stays_without() {
    let gateway = Gateway::new();
    gateway.sends(&request().without_checksum(), &A, HOST.port());
    gateway.delivers(&answer(&A, HOST.port()).without_checksum(), &A, HOST);
}

/// RFC 768: a checksum that computes to zero is sent as all ones, since zero says that there is
/// none.
#[test]
fn udp_checksum_that_becomes_zero_is_sent_as_all_ones() {
    let gateway = Gateway::new();
    let out = with_udp_checksum_of_all_ones(request(), |packet| leaving(packet, &A, HOST.port()));
    gateway.sends(&out, &A, HOST.port());
    let back =
        with_udp_checksum_of_all_ones(answer(&A, HOST.port()), |packet| reaching(packet, HOST));
    gateway.delivers(&back, &A, HOST);
}

/// Chooses the payload so that the packet after `translated` sums up to zero.
fn with_udp_checksum_of_all_ones(
    packet: PacketBuilder,
    translated: impl Fn(&PacketBuilder) -> PacketBuilder,
) -> PacketBuilder {
    const CHECKSUM: std::ops::Range<usize> = 40..42;
    let zero = translated(&packet.clone().payload(&[0, 0])).build();
    let packet = packet.payload(&zero[CHECKSUM]);
    assert_eq!(translated(&packet).build()[CHECKSUM], [0xff, 0xff]);
    packet
}

#[test]
fn options_of_every_length_are_kept() {
    for words in (1..=10).step_by(STRIDE) {
        let gateway = Gateway::new();
        let options: Vec<u8> = (0..words * 4).map(|at| 0x91 ^ at).collect();
        for packet in [
            request(),
            PacketBuilder::tcp(HOST, SERVER, tcp_flags::SYN),
            PacketBuilder::echo_request(HOST, SERVER_ADDRESS),
        ] {
            gateway.sends(&packet.options(&options), &A, HOST.port());
        }
        gateway.delivers(&answer(&A, HOST.port()).options(&options), &A, HOST);
    }
}

#[test]
fn a_wrong_checksum_of_options_is_seen() {
    for words in (1..=10).step_by(STRIDE) {
        let gateway = Gateway::new();
        let mut frame = request().options(&vec![1; words * 4]).build();
        frame[34 + words * 4 - 1] ^= 1;
        gateway.drops(lan::IFINDEX, &frame, DropReason::BadChecksum);
    }
}

#[test]
fn payloads_of_every_small_length_keep_right_checksums() {
    let gateway = Gateway::new();
    for len in (0..64).step_by(STRIDE) {
        let payload: Vec<u8> = (0..len).collect();
        gateway.sends(&request().payload(&payload), &A, HOST.port());
        let segment = PacketBuilder::tcp(HOST, SERVER, tcp_flags::ACK);
        gateway.sends(&segment.payload(&payload), &A, HOST.port());
    }
}

#[test]
fn ethernet_padding_is_kept() {
    let gateway = Gateway::new();
    gateway.sends(&request().payload(&[]).padding(18), &A, HOST.port());
    gateway.delivers(&answer(&A, HOST.port()).payload(b"x").padding(17), &A, HOST);
}

/// The gateway changes a checksum by a difference, so what was wrong stays wrong, and the receiver
/// sees it (RFC 3022 section 4.1).
#[test]
fn a_wrong_transport_checksum_stays_wrong() {
    let gateway = Gateway::new();
    let mut frame = request().build();
    *frame.last_mut().unwrap() ^= 1;
    let _ = gateway.tables.run(&mut frame, lan::IFINDEX);
    assert!(verify(&frame).is_err());
    *frame.last_mut().unwrap() ^= 1;
    assert_eq!(frame, leaving(&request(), &A, HOST.port()).build());
}

#[test]
fn every_ttl_is_decremented_by_one() {
    let gateway = Gateway::new();
    for ttl in (2..=255).step_by(STRIDE) {
        let packet = request().ttl(ttl);
        let output = leaving(&packet, &A, HOST.port()).ttl(ttl - 1).build();
        gateway.forwards_out(&packet.build(), &A, &output);
    }
}

/// A host that has another MAC now: its mapping is older, but its new flow, the errors about it, and
/// what comes unasked from then on find it.
#[test]
fn a_host_that_changes_its_mac_is_found() {
    let gateway = Gateway::new();
    gateway.sends(&request(), &A, 5000);
    let moved = [2, 0, 0, 1, 0, 0x77];
    let packet = request().to(STRANGER).macs(moved, lan::MAC);
    gateway.sends(&packet, &A, 5000);
    gateway.counts_of(lan::HOST, 1, 2);
    let to_moved = |packet: &PacketBuilder| {
        let output = reaching(packet, HOST).macs(lan::MAC, moved).build();
        gateway.forwards_in(&packet.build(), &A, &output);
    };
    let quote = leaving(&packet, &A, 5000).quoted(28);
    let error = PacketBuilder::icmp_error(SERVER_ADDRESS, A.address, [3, 1], [0; 4], &quote);
    let quote = packet.clone().ttl(63).quoted(28);
    let output = PacketBuilder::icmp_error(SERVER_ADDRESS, lan::HOST, [3, 1], [0; 4], &quote);
    let output = output.macs(lan::MAC, moved).ttl(63).build();
    gateway.forwards_in(&coming(error, &A).build(), &A, &output);
    to_moved(&answer(&A, 5000).from(STRANGER));
    to_moved(&answer(&A, 5000).from(SocketAddrV4::new(SERVER_ADDRESS, 7)));
}

#[test]
fn the_answer_goes_to_the_mac_that_asked() {
    let gateway = Gateway::new();
    let end = SocketAddrV4::new(lan::OTHER, 5000);
    let packet = PacketBuilder::udp(end, SERVER).macs(lan::OTHER_MAC, lan::MAC);
    gateway.sends(&packet, &A, 5000);
    gateway.delivers(&answer(&A, 5000), &A, end);
}
