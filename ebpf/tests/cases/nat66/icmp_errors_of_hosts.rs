//! ICMPv6 errors from the LAN, about what has come in for the address that hosts share: whoever sends one
//! appears as that address (RFC 5508 section 4.2), and what it quotes is what was on the wire.

use std::net::Ipv6Addr;

use pointsman_ebpf::abi::PortRange;
use pointsman_ebpf::memory::site::{A, B, lan};
use pointsman_ebpf::memory::site6::{self, INTERNAL, own, within};
use pointsman_ebpf::memory::{PacketBuilder6, verify6};
use pointsman_ebpf::verdict::{DropReason, PassReason};
use pointsman_ebpf::wire::tcp_flags::{ACK, SYN};

use super::harness::{
    Gateway, HOST, OTHER, SERVER, STRANGER, answer, echo, gateway, leaving, public, reaching,
    reply, request, segment, segment_back, unasked,
};

/// A router between the gateway and the host.
const ROUTER: Ipv6Addr = within(INTERNAL, [7, 0, 0, 0, 1]);

const ALL: usize = usize::MAX;

/// A port that is no host's own.
const SHIFTED: u16 = 40_000;

fn shifted() -> Gateway {
    let mut gateway = gateway();
    gateway.settings().nat_ports = PortRange { first: SHIFTED, last: SHIFTED + 1 };
    gateway
}

fn error(from: Ipv6Addr, to: Ipv6Addr, quote: &[u8]) -> PacketBuilder6 {
    PacketBuilder6::error(from, to, [1, 4], [0; 4], quote)
}

/// The server's packet, which has reached the host, as that quotes it.
fn quoted(came: &PacketBuilder6, len: usize) -> Vec<u8> {
    reaching(came, HOST).quoted(len)
}

/// An error about a packet that has reached the host leaves by A as one of the public address's about what
/// has come in there; nothing of what is remembered changes.
#[track_caller]
fn leaves(gateway: &Gateway, came: &PacketBuilder6, from: Ipv6Addr, to: Ipv6Addr, len: usize) {
    let before = (gateway.pins6(), gateway.tables.bindings());
    for (kind, rest) in [([1, 4], [0; 4]), ([2, 0], [0, 0, 5, 0]), ([4, 1], [0, 0, 0, 6])] {
        let input = PacketBuilder6::error(from, to, kind, rest, &quoted(came, len));
        let quote = came.clone().hop_limit(63).quoted(len);
        let output = PacketBuilder6::error(own(&A), to, kind, rest, &quote);
        let output = leaving(&output, &A, 0).build();
        assert_eq!(verify6(&output), Ok(()));
        gateway.forwards_out(&input.build(), &A, &output);
    }
    let after = (gateway.pins6(), gateway.tables.bindings());
    assert_eq!(after, before, "{}", gateway.tables);
}

#[track_caller]
fn mismatches(gateway: &Gateway, packet: &PacketBuilder6) {
    gateway.refuses66(lan::IFINDEX, packet, DropReason::IcmpMismatch);
}

/// Of every protocol, however much is quoted, by the host and by a router in front of it.
#[test]
fn about_an_established_flow() {
    for (sent, back) in
        [(request(), answer(&A)), (segment(SYN), segment_back(SYN | ACK, &A)), (echo(), reply(&A))]
    {
        let gateway = shifted();
        let back = back.to(public(&A, SHIFTED));
        gateway.sends66(&sent, &A, SHIFTED);
        gateway.delivers66(&back, &A, HOST);
        for from in [HOST.0, ROUTER, OTHER.0] {
            for len in [ALL, 48, 56, 58] {
                leaves(&gateway, &back, from, SERVER.0, len);
            }
        }
        gateway.holds66([2, 0, 0], 2);
    }
}

/// What was refused, and so has established nothing.
#[test]
fn about_an_unanswered_flow() {
    use pointsman_ebpf::wire::tcp_flags::RST;
    let gateway = shifted();
    gateway.sends66(&segment(SYN), &A, SHIFTED);
    let back = segment_back(RST | ACK, &A).to(public(&A, SHIFTED));
    gateway.delivers66(&back, &A, HOST);
    leaves(&gateway, &back, HOST.0, SERVER.0, ALL);
    gateway.holds66([0, 1, 0], 2);
}

/// A port is closed that somebody outside has asked for: he is told, and nothing is established.
#[test]
fn about_an_invitation() {
    let gateway = shifted();
    gateway.sends66(&request(), &A, SHIFTED);
    let asked = unasked(&A).to(public(&A, SHIFTED));
    gateway.delivers66(&asked, &A, HOST);
    leaves(&gateway, &asked, HOST.0, STRANGER.0, ALL);
    gateway.holds66([0, 1, 1], 2);
}

/// No checksum of UDP's stays none (RFC 6935).
#[test]
fn a_quote_without_a_checksum() {
    let gateway = shifted();
    gateway.sends66(&request(), &A, SHIFTED);
    let back = answer(&A).to(public(&A, SHIFTED));
    gateway.delivers66(&back, &A, HOST);
    let without = |mut quote: Vec<u8>| {
        quote[46..48].fill(0);
        quote
    };
    let input = error(HOST.0, SERVER.0, &without(quoted(&back, ALL)));
    let output = error(own(&A), SERVER.0, &without(back.hop_limit(63).quoted(ALL)));
    gateway.forwards_out(&input.build(), &A, &leaving(&output, &A, 0).build());
}

#[test]
fn about_no_flow() {
    let gateway = gateway();
    gateway.establish66();
    let came = answer(&A);
    mismatches(&gateway, &error(HOST.0, STRANGER.0, &quoted(&came, ALL)));
    let other = came.clone().from((SERVER.0, 1));
    mismatches(&gateway, &error(HOST.0, SERVER.0, &quoted(&other, ALL)));
    for to in [(HOST.0, 1), OTHER, public(&A, HOST.1)] {
        let quote = reaching(&came, HOST).to(to).quoted(ALL);
        mismatches(&gateway, &error(HOST.0, SERVER.0, &quote));
    }
    mismatches(&gateway, &error(HOST.0, SERVER.0, &quoted(&came, 43)));
    let tcp = segment_back(ACK, &A);
    mismatches(&gateway, &error(HOST.0, SERVER.0, &quoted(&tcp, ALL)));
}

/// RFC 5508 REQ-3.
#[test]
fn a_wrong_checksum() {
    let gateway = gateway();
    gateway.establish66();
    let mut wrong = error(HOST.0, SERVER.0, &quoted(&answer(&A), ALL)).build();
    *wrong.last_mut().unwrap() ^= 1;
    gateway.drops(lan::IFINDEX, &wrong, DropReason::BadChecksum);
}

/// Its uplink is dead, or has another address: nobody beyond another one knows the flow.
#[test]
fn no_uplink() {
    for by_generation in [false, true] {
        let mut gateway = gateway();
        gateway.establish66();
        if by_generation {
            gateway.uplink6(&A).generation += 1;
        } else {
            gateway.tables.set_alive(B.bit());
        }
        let packet = error(HOST.0, SERVER.0, &quoted(&answer(&A), ALL));
        gateway.refuses66(lan::IFINDEX, &packet, DropReason::NoUplink);
    }
}

/// An error about a flow is no way around BCP 38.
#[test]
fn from_a_foreign_source() {
    let gateway = gateway();
    gateway.establish66();
    let quote = quoted(&answer(&A), ALL);
    let foreign = Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 2);
    for from in [foreign, STRANGER.0] {
        let packet = error(from, SERVER.0, &quote);
        gateway.refuses66(lan::IFINDEX, &packet, DropReason::ForeignSource);
    }
    let link_local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
    for from in [link_local, Ipv6Addr::LOCALHOST, site6::GATEWAY, own(&A)] {
        gateway.refuses66(lan::IFINDEX, &error(from, SERVER.0, &quote), DropReason::Martian);
    }
}

/// Never answered by another (RFC 4443 section 2.4).
#[test]
fn an_error_that_cannot_go_on() {
    let mut gateway = gateway();
    gateway.establish66();
    let quote = quoted(&answer(&A), ALL);
    let last = error(HOST.0, SERVER.0, &quote).hop_limit(1);
    gateway.refuses66(lan::IFINDEX, &last, DropReason::TtlExceeded);
    gateway.uplink6(&A).mtu = 1280;
    let large = error(HOST.0, SERVER.0, &quote).payload(&[&quote[..], &[0; 1280]].concat());
    gateway.refuses66(lan::IFINDEX, &large, DropReason::TooBig);
}

/// To the gateway itself, it is the kernel's.
#[test]
fn to_the_public_address() {
    let gateway = gateway();
    gateway.establish66();
    let quote = PacketBuilder6::udp(public(&A, HOST.1), HOST).quoted(ALL);
    let packet = error(HOST.0, own(&A), &quote);
    gateway.passes(lan::IFINDEX, &packet.build(), PassReason::Local);
}
