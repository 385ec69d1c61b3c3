//! Checksums: what was right is right, what was wrong is wrong by as much (RFC 1624), and what there was
//! none of there is none of.

use pointsman_ebpf::abi::PortRange;
use pointsman_ebpf::memory::site::{A, lan};
use pointsman_ebpf::memory::{PacketBuilder6, verify6};
use pointsman_ebpf::wire::tcp_flags::{ACK, SYN};

use super::super::harness::STRIDE;
use super::harness::{
    Gateway, HOST, answer, echo, gateway, leaving, public, reaching, reply, request, segment,
    segment_back,
};

/// Of ports of which no host has one, so that it is changed either way.
fn shifted() -> Gateway {
    let mut gateway = gateway();
    gateway.settings().nat_ports = PortRange { first: 40_000, last: 40_001 };
    gateway
}

/// A packet of every upper layer, and its answer.
fn exchanges() -> [(PacketBuilder6, PacketBuilder6); 4] {
    [
        (request(), answer(&A)),
        (segment(SYN), segment_back(SYN | ACK, &A)),
        (segment(ACK), segment_back(ACK, &A)),
        (echo(), reply(&A)),
    ]
    .map(|(sent, back)| (sent, back.to(public(&A, 40_000))))
}

/// Every sum that there is, of a few packets only where each takes long. No checksum of UDP is zero, which
/// would say that there is none (RFC 8200 section 8.1).
#[test]
fn every_checksum_stays_right() {
    let step = if STRIDE == 1 { 61 } else { 6007 };
    let gateway = shifted();
    for (sent, back) in exchanges() {
        for value in (0..=u16::MAX).step_by(step) {
            let payload = value.to_be_bytes();
            gateway.sends66(&sent.clone().payload(&payload), &A, 40_000);
            gateway.delivers66(&back.clone().payload(&payload), &A, HOST);
        }
    }
}

/// The payload that makes the checksum of what leaves, or of what arrives, compute to zero.
#[test]
fn a_checksum_that_computes_to_zero() {
    let gateway = shifted();
    for (sent, back) in exchanges() {
        // The sum over the rest is the checksum's complement where the payload is zero.
        let field = |packet: &PacketBuilder6| {
            let frame = packet.clone().payload(&[0; 2]).build();
            let at = match frame[20] {
                6 => 54 + 16,
                17 => 54 + 6,
                _ => 54 + 2,
            };
            [frame[at], frame[at + 1]]
        };
        let zeroing = field(&leaving(&sent, &A, 40_000));
        gateway.sends66(&sent.clone().payload(&zeroing), &A, 40_000);
        let zeroing = field(&sent);
        gateway.sends66(&sent.clone().payload(&zeroing), &A, 40_000);
        let zeroing = field(&reaching(&back, HOST));
        gateway.delivers66(&back.clone().payload(&zeroing), &A, HOST);
        let zeroing = field(&back);
        gateway.delivers66(&back.clone().payload(&zeroing), &A, HOST);
    }
}

/// A tunnel's (RFC 6935): it stays zero, and the datagram is not dropped.
#[test]
fn none_of_udp() {
    let gateway = shifted();
    let without = |packet: &PacketBuilder6| {
        let mut frame = packet.build();
        frame[60..62].fill(0);
        frame
    };
    let back = answer(&A).to(public(&A, 40_000));
    for _ in 0..2 {
        let output = without(&leaving(&request(), &A, 40_000));
        gateway.forwards_out(&without(&request()), &A, &output);
        gateway.forwards_in(&without(&back), &A, &without(&reaching(&back, HOST)));
    }
    gateway.holds66([2, 0, 0], 2);
}

/// The receiver drops it then, and no gateway makes it good.
#[test]
fn a_wrong_one_stays_wrong() {
    let gateway = shifted();
    for (sent, back) in exchanges() {
        // The payload is as it was, another byte than what is summed.
        let spoilt = |packet: &PacketBuilder6| {
            let mut frame = packet.build();
            *frame.last_mut().unwrap() ^= 0x11;
            frame
        };
        let output = spoilt(&leaving(&sent, &A, 40_000));
        assert!(verify6(&output).is_err());
        gateway.forwards_out(&spoilt(&sent), &A, &output);
        gateway.forwards_in(&spoilt(&back), &A, &spoilt(&reaching(&back, HOST)));
    }
}

/// Every address of the host's that differs in one word, and every port.
#[test]
fn whatever_is_replaced() {
    use pointsman_ebpf::memory::site6::{INTERNAL, within};
    let gateway = gateway();
    for word in 0..5 {
        let mut suffix = [1, 0, 0, 0, 2];
        suffix[word] = 0xffff;
        let host = (within(INTERNAL, suffix), 6000 + word as u16);
        for packet in [request(), segment(ACK), echo()] {
            gateway.sends66(&packet.from(host), &A, host.1);
        }
        let back = answer(&A).to(public(&A, host.1));
        let output = reaching(&back, host).macs(lan::MAC, lan::HOST_MAC);
        gateway.forwards_in(&back.build(), &A, &output.build());
    }
}
