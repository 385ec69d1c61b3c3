//! ICMPv6 errors of others, by an uplink, about what has left by the address that hosts share: they go to
//! the host that has sent what they quote (RFC 5508 section 4.2, whose rules hold for any version).

use std::net::Ipv6Addr;

use pointsman_ebpf::abi::PortRange;
use pointsman_ebpf::memory::site::{A, B, Provider, lan};
use pointsman_ebpf::memory::site6::{self, Carriage, own};
use pointsman_ebpf::memory::{Body6, PacketBuilder6, verify6};
use pointsman_ebpf::verdict::{DropReason, PassReason};
use pointsman_ebpf::wire::tcp_flags::{RST, SYN};

use super::super::ipv6::{ERRORS, ROUTER};
use super::harness::{
    Gateway, HOST, OTHER, SERVER, STRANGER, answer, coming, echo, gateway, leaving, other_request,
    public, reaching, request, segment, translated, unasked,
};

const ALL: usize = usize::MAX;

/// A port that is no host's own.
const SHIFTED: u16 = 40_000;

/// Only two ports are given, of which the even one is the host's.
fn shifted() -> Gateway {
    let mut gateway = gateway();
    gateway.settings().nat_ports = PortRange { first: SHIFTED, last: SHIFTED + 1 };
    gateway
}

fn error(quote: &[u8], by: &Provider) -> PacketBuilder6 {
    coming(PacketBuilder6::error(ROUTER, own(by), [3, 0], [0; 4], quote), by)
}

/// An error about a packet, as far as it is quoted, that has left by A from this port.
fn about(sent: &PacketBuilder6, port: u16, len: usize) -> PacketBuilder6 {
    error(&leaving(sent, &A, port).quoted(len), &A)
}

/// The error about a packet that has left from this port reaches its sender, of the quoted packet all as it
/// was sent; nothing of what is remembered changes.
#[track_caller]
fn comes_back(gateway: &Gateway, sent: &PacketBuilder6, host: Ipv6Addr, port: u16, len: usize) {
    comes_back_by(gateway, sent, host, (&A, port), len);
}

#[track_caller]
fn comes_back_by(
    gateway: &Gateway,
    sent: &PacketBuilder6,
    host: Ipv6Addr,
    (by, port): (&Provider, u16),
    len: usize,
) {
    let before = (gateway.pins6(), gateway.tables.bindings());
    for (kind, rest) in ERRORS {
        let quote = leaving(sent, by, port).quoted(len);
        let input = coming(PacketBuilder6::error(ROUTER, own(by), kind, rest, &quote), by);
        let quote = sent.clone().hop_limit(63).quoted(len);
        let output = PacketBuilder6::error(ROUTER, host, kind, rest, &quote);
        let output = reaching(&output, (host, 0)).build();
        assert_eq!(verify6(&output), Ok(()));
        gateway.forwards_in(&input.build(), by, &output);
    }
    let after = (gateway.pins6(), gateway.tables.bindings());
    assert_eq!(after, before, "{}", gateway.tables);
}

#[track_caller]
fn mismatches(gateway: &Gateway, by: &Provider, packet: &PacketBuilder6) {
    gateway.refuses66(by.ifindex, packet, DropReason::IcmpMismatch);
}

/// RFC 5508 REQ-4 and REQ-6: about flows that nobody has answered, of every protocol, however much is quoted:
/// to where the checksum of TCP is, and no further, as well.
#[test]
fn about_an_unanswered_flow() {
    for sent in [request(), segment(SYN), echo(), segment(SYN).extensions(&[[0, 0], [60, 1]])] {
        let gateway = shifted();
        gateway.sends66(&sent, &A, SHIFTED);
        let upper = sent.quoted(ALL).len() - sent.body_len();
        for len in [ALL, upper + 8, upper + 16, upper + 18, upper + 20] {
            comes_back(&gateway, &sent, HOST.0, SHIFTED, len);
        }
        gateway.holds66([0, 1, 0], 2);
    }
}

/// Ports are enough to know a flow of TCP or UDP by.
#[test]
fn about_ports_alone() {
    for sent in [request(), segment(SYN)] {
        let gateway = shifted();
        gateway.sends66(&sent, &A, SHIFTED);
        for len in [44, 45, 46] {
            comes_back(&gateway, &sent, HOST.0, SHIFTED, len);
        }
    }
}

#[test]
fn about_an_established_flow() {
    let gateway = gateway();
    gateway.establish66();
    comes_back(&gateway, &request(), HOST.0, HOST.1, ALL);
    let gateway = shifted();
    for sent in [request(), segment(SYN), echo()] {
        gateway.sends66(&sent, &A, SHIFTED);
        let back = pointsman_ebpf::memory::answer_to6(&leaving(&sent, &A, SHIFTED).build());
        let output = pointsman_ebpf::memory::answer_to6(&sent.build());
        let mut output = output;
        output[..12].copy_from_slice(&reaching(&sent, HOST).build()[..12]);
        output[21] = 63;
        gateway.forwards_in(&back, &A, &output);
        comes_back(&gateway, &sent, HOST.0, SHIFTED, ALL);
        comes_back(&gateway, &sent, HOST.0, SHIFTED, 48);
    }
    gateway.holds66([6, 0, 0], 6);
}

/// The LAN has refused somebody whom it has not asked, and that has come to nothing.
#[test]
fn about_an_invited_flow() {
    let gateway = gateway();
    gateway.establish_tcp66();
    let asks = super::harness::segment_back(SYN, &A).from(STRANGER);
    gateway.delivers66(&asks, &A, HOST);
    let refused = segment(RST).to(STRANGER);
    gateway.sends66(&refused, &A, HOST.1);
    comes_back(&gateway, &refused, HOST.0, HOST.1, ALL);
    gateway.holds66([2, 0, 1], 2);
}

/// The port tells the host.
#[test]
fn about_each_of_two_hosts() {
    let gateway = gateway();
    gateway.sends66(&request(), &A, HOST.1);
    let port = translated(&gateway, &other_request()).expect("a port");
    comes_back(&gateway, &request(), HOST.0, HOST.1, ALL);
    comes_back(&gateway, &other_request(), OTHER.0, port, ALL);
}

/// What it says of the quoted checksum stays right, stays wrong, or is not there (RFC 5508 REQ-3c; RFC 6935).
#[test]
fn whatever_checksum_is_quoted() {
    let gateway = shifted();
    gateway.sends66(&request(), &A, SHIFTED);
    for wrong in [[0, 0], [0x12, 0x34]] {
        let replaced = |packet: &PacketBuilder6, value: [u8; 2]| {
            let mut quote = packet.quoted(ALL);
            quote[46..48].copy_from_slice(&value);
            quote
        };
        let left = leaving(&request(), &A, SHIFTED);
        let input = error(&replaced(&left, wrong), &A);
        let quoted = if wrong == [0, 0] {
            wrong
        } else {
            // As wrong as it was: the difference between both right ones.
            let at = |packet: &PacketBuilder6| {
                let quote = packet.quoted(ALL);
                u32::from(u16::from_be_bytes([quote[46], quote[47]]))
            };
            let before = request().hop_limit(63);
            let wrong = u32::from(u16::from_be_bytes(wrong));
            let sum = wrong + at(&before) + (0xffff - at(&left));
            let sum = (sum & 0xffff) + (sum >> 16);
            (((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes()
        };
        let quote = replaced(&request().hop_limit(63), quoted);
        let output = PacketBuilder6::error(ROUTER, HOST.0, [3, 0], [0; 4], &quote);
        gateway.forwards_in(&input.build(), &A, &reaching(&output, (HOST.0, 0)).build());
    }
}

/// RFC 5508 REQ-3: what does not verify is dropped.
#[test]
fn a_wrong_checksum() {
    let gateway = gateway();
    gateway.establish66();
    let before = (gateway.pins6(), gateway.tables.bindings());
    let mut wrong = about(&request(), HOST.1, ALL).build();
    *wrong.last_mut().unwrap() ^= 1;
    gateway.drops(A.ifindex, &wrong, DropReason::BadChecksum);
    assert_eq!((gateway.pins6(), gateway.tables.bindings()), before);
}

/// By the uplink that a flow has left, about what has gone there before.
#[test]
fn by_the_uplink_that_a_flow_has_left() {
    let gateway = gateway();
    gateway.establish66();
    gateway.tables.set_alive(B.bit());
    gateway.sends66(&request(), &B, HOST.1);
    for by in [&A, &B] {
        comes_back_by(&gateway, &request(), HOST.0, (by, HOST.1), ALL);
    }
}

/// Behind extension headers, the error is found as well.
#[test]
fn with_extension_headers() {
    let gateway = shifted();
    gateway.sends66(&request(), &A, SHIFTED);
    let input = about(&request(), SHIFTED, ALL).extensions(&[[60, 2]]);
    let quote = request().hop_limit(63).quoted(ALL);
    let output = PacketBuilder6::error(ROUTER, HOST.0, [3, 0], [0; 4], &quote);
    let output = reaching(&output.extensions(&[[60, 2]]), (HOST.0, 0));
    gateway.forwards_in(&input.build(), &A, &output.build());
}

/// The host is elsewhere than when it has sent: errors follow it.
#[test]
fn to_a_host_that_has_moved() {
    const NEW: [u8; 6] = [2, 0, 0, 1, 0, 77];
    let gateway = gateway();
    gateway.establish66();
    gateway.sends66(&request().macs(NEW, lan::MAC), &A, HOST.1);
    let quote = request().hop_limit(63).quoted(ALL);
    let output = PacketBuilder6::error(ROUTER, HOST.0, [3, 0], [0; 4], &quote);
    let output = reaching(&output, (HOST.0, 0)).macs(lan::MAC, NEW);
    gateway.forwards_in(&about(&request(), HOST.1, ALL).build(), &A, &output.build());
}

/// RFC 5508 REQ-4: of a port that mappings may have, nobody else has sent anything.
#[test]
fn about_no_flow() {
    let gateway = gateway();
    gateway.sends66(&request(), &A, HOST.1);
    for (sent, port) in [
        (request().to(STRANGER), HOST.1),
        (request().to((SERVER.0, 1)), HOST.1),
        (request(), 5001),
        (segment(SYN), HOST.1),
        (echo(), HOST.1),
        (echo(), 1024),
        (request(), 1024),
        (request(), 65_535),
    ] {
        mismatches(&gateway, &A, &about(&sent, port, ALL));
    }
    let by_b = error(&leaving(&request(), &B, HOST.1).quoted(ALL), &B);
    mismatches(&gateway, &B, &by_b);
    comes_back(&gateway, &request(), HOST.0, HOST.1, ALL);
}

/// About what the gateway itself has sent, or may have, it is the kernel's: from ports that no mapping has,
/// or of what has no ports; and where it does not say.
#[test]
fn about_what_the_gateway_has_sent() {
    let mut gateway = gateway();
    gateway.establish66();
    gateway.tables.keep_port(false, pointsman_ebpf::abi::L4Port::from_host(6000));
    let from = |port| (own(&A), port);
    for sent in [
        PacketBuilder6::udp(from(53), SERVER),
        PacketBuilder6::tcp(from(6000), SERVER, SYN),
        PacketBuilder6::new(from(7), SERVER, Body6::Echo { reply: false }),
        PacketBuilder6::new(from(0), SERVER, Body6::Echo { reply: true }),
        PacketBuilder6::new(from(0), SERVER, Body6::Other(47)),
        PacketBuilder6::new(from(0), SERVER, Body6::Message([135, 0], [0; 4])),
    ] {
        let packet = error(&sent.quoted(ALL), &A);
        gateway.passes(A.ifindex, &packet.build(), PassReason::Local);
    }
    // From its address in the LAN, and from a host.
    let sent = PacketBuilder6::udp((site6::GATEWAY, 5000), HOST);
    let packet = PacketBuilder6::error(HOST.0, site6::GATEWAY, [1, 4], [0; 4], &sent.quoted(ALL));
    gateway.passes(lan::IFINDEX, &packet.build(), PassReason::Local);
    gateway.holds66([2, 0, 0], 2);
}

/// What it quotes does not tell: too little, no IPv6, a later fragment, an error, what has never left so.
#[test]
fn a_quote_that_says_nothing() {
    let gateway = gateway();
    gateway.establish66();
    let local = |quote: &[u8]| {
        gateway.passes(A.ifindex, &error(quote, &A).build(), PassReason::Local);
    };
    let sent = leaving(&request(), &A, HOST.1);
    for len in [0, 1, 39, 40, 43] {
        local(&sent.quoted(len));
    }
    let mut other = sent.quoted(ALL);
    other[0] = 0x45;
    local(&other);
    let later = sent.clone().payload(&[0; 2000]).fragments(2).swap_remove(1);
    local(&later[14..]);
    let about = PacketBuilder6::error(own(&A), SERVER.0, [1, 4], [0; 4], &sent.quoted(ALL));
    local(&about.quoted(ALL));
    for (from, to) in [(HOST, SERVER), (public(&B, HOST.1), SERVER), (SERVER, public(&A, HOST.1))] {
        local(&sent.clone().from(from).to(to).quoted(ALL));
    }
    // A first fragment is as good as a whole packet.
    let first = sent.payload(&[0; 2000]).fragments(2).swap_remove(0);
    let quote = request().hop_limit(63).payload(&[0; 2000]).fragments(2).swap_remove(0);
    let output = PacketBuilder6::error(ROUTER, HOST.0, [3, 0], [0; 4], &quote[14..200]);
    let output = reaching(&output, (HOST.0, 0)).build();
    gateway.forwards_in(&error(&first[14..200], &A).build(), &A, &output);
}

/// To nobody: an error goes to who has sent what it quotes.
#[test]
fn to_another_address() {
    let gateway = gateway();
    gateway.establish66();
    let quote = leaving(&request(), &A, HOST.1).quoted(ALL);
    for to in [HOST.0, OTHER.0, STRANGER.0] {
        let packet = coming(PacketBuilder6::error(ROUTER, to, [3, 0], [0; 4], &quote), &A);
        gateway.refuses66(A.ifindex, &packet, DropReason::Unsolicited);
    }
    let packet = coming(PacketBuilder6::error(ROUTER, own(&B), [3, 0], [0; 4], &quote), &A);
    gateway.passes(A.ifindex, &packet.build(), PassReason::Local);
}

/// A stale flow, of an address that the uplink had before.
#[test]
fn about_a_flow_of_an_older_generation() {
    for answered in [false, true] {
        let mut gateway = gateway();
        gateway.sends66(&request(), &A, HOST.1);
        if answered {
            gateway.delivers66(&answer(&A), &A, HOST);
        }
        gateway.uplink6(&A).generation += 1;
        mismatches(&gateway, &A, &about(&request(), HOST.1, ALL));
    }
}

/// Where another uplink routes as it is, an error that comes in there about the shared address is for nobody.
#[test]
fn by_an_uplink_that_routes() {
    for other in [Carriage::Routed, Carriage::Source] {
        let carriage = [Carriage::Nat66, other];
        let tables = site6::gateway(pointsman_ebpf::memory::site::prefer_a, carriage);
        let gateway = Gateway::of(tables);
        gateway.establish66();
        let packet = about(&request(), HOST.1, ALL).macs(B.gateway_mac, B.mac);
        gateway.passes(B.ifindex, &packet.build(), PassReason::Local);
    }
}

/// No error is answered by another (RFC 4443 section 2.4), and what is too large for the LAN is dropped.
#[test]
fn an_error_that_cannot_go_on() {
    let mut gateway = gateway();
    gateway.establish66();
    let last = about(&request(), HOST.1, ALL).hop_limit(1);
    gateway.refuses66(A.ifindex, &last, DropReason::TtlExceeded);
    gateway.tables.ports.get_mut(&lan::IFINDEX).unwrap().mtu = 1280;
    let sent = request().from((HOST.0, 5001)).payload(&[1; 1300]);
    gateway.uplink6(&A).mtu = 1500;
    gateway.sends66(&sent, &A, 5001);
    gateway.refuses66(A.ifindex, &about(&sent, 5001, ALL), DropReason::TooBig);
}

/// Nobody outside speaks for the gateway or the LAN.
#[test]
fn from_a_martian() {
    let gateway = gateway();
    gateway.establish66();
    let link_local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    for from in [Ipv6Addr::LOCALHOST, link_local, site6::GATEWAY, own(&A), own(&B), OTHER.0] {
        let packet = about(&request(), HOST.1, ALL).from_address(from);
        gateway.refuses66(A.ifindex, &packet, DropReason::Martian);
    }
    gateway.delivers66(&unasked(&A), &A, HOST);
}

/// The address is another uplink's by now, which the flow is not by.
#[test]
fn about_a_flow_of_another_uplink() {
    let mut gateway = gateway();
    gateway.establish66();
    gateway.uplink6(&B).address = site6::entry(own(&A));
    let quote = leaving(&request(), &A, HOST.1).quoted(ALL);
    let packet = PacketBuilder6::error(ROUTER, own(&A), [3, 0], [0; 4], &quote);
    mismatches(&gateway, &B, &coming(packet, &B));
}
