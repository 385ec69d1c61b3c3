//! ICMP errors of others: they go the way of the packet that they quote, and the quote is translated
//! back (RFC 5508 section 4).

use std::net::{Ipv4Addr, SocketAddrV4};

use pointsman_ebpf::memory::site::{A, B, Provider, lan};
use pointsman_ebpf::memory::{PacketBuilder, repair_checksums, verify, verify_quote};
use pointsman_ebpf::verdict::{DropReason, PassReason};
use pointsman_ebpf::wire::tcp_flags::{ACK, SYN};

use super::harness::{
    Gateway, HOST, SERVER, STRANGER, STRIDE, answer, answer_to_sent, coming, leaving, public,
    reaching, request, segment,
};

/// A router between the provider and the server.
const ROUTER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 254);

/// Every error, with what the rest of its header may say: the MTU, a pointer, or nothing.
pub(super) const ERRORS: [([u8; 2], [u8; 4]); 9] = [
    ([3, 0], [0; 4]),
    ([3, 1], [0; 4]),
    ([3, 3], [0; 4]),
    ([3, 4], [0, 0, 0x05, 0x00]),
    ([3, 13], [0; 4]),
    ([11, 0], [0; 4]),
    ([11, 1], [0; 4]),
    ([12, 0], [20, 0, 0, 0]),
    ([3, 250], [1, 2, 3, 4]),
];

/// As much of a packet as there is.
pub(super) const ALL: usize = usize::MAX;

/// A router's error about a packet that has left by an uplink, of which it quotes so much.
pub(super) fn about_sent(
    sent: &PacketBuilder,
    by: &Provider,
    port: u16,
    len: usize,
) -> PacketBuilder {
    error_in([11, 0], [0; 4], &leaving(sent, by, port).ttl(1).quoted(len), by)
}

pub(super) fn error_in(kind: [u8; 2], rest: [u8; 4], quote: &[u8], by: &Provider) -> PacketBuilder {
    coming(PacketBuilder::icmp_error(ROUTER, by.address, kind, rest, quote), by)
}

/// The same error as it reaches the host that has sent the packet.
fn reaching_sender(sent: &PacketBuilder, len: usize) -> PacketBuilder {
    error_reaching([11, 0], [0; 4], &sent.clone().ttl(1).quoted(len), lan::HOST)
}

pub(super) fn error_reaching(
    kind: [u8; 2],
    rest: [u8; 4],
    quote: &[u8],
    host: Ipv4Addr,
) -> PacketBuilder {
    let packet = PacketBuilder::icmp_error(ROUTER, host, kind, rest, quote);
    reaching(&packet, SocketAddrV4::new(host, 0))
}

/// The error about `sent` comes in and reaches the host, both checksums of it and of the quote right.
#[track_caller]
pub(super) fn comes_back(
    gateway: &Gateway,
    sent: &PacketBuilder,
    by: &Provider,
    port: u16,
    len: usize,
) {
    let before = gateway.flows();
    let output = reaching_sender(sent, len).build();
    assert_eq!((verify(&output), verify_quote(&output)), (Ok(()), Ok(())));
    gateway.forwards_in(&about_sent(sent, by, port, len).build(), by, &output);
    assert_eq!(gateway.flows(), before, "an error changed a flow\n{}", gateway.tables);
}

#[track_caller]
pub(super) fn mismatches(gateway: &Gateway, ifindex: u32, frame: &[u8]) {
    let before = gateway.flows();
    gateway.drops(ifindex, frame, DropReason::IcmpMismatch);
    assert_eq!(gateway.flows(), before, "{}", gateway.tables);
}

/// Packets of every protocol that is translated, with the port that each leaves by.
fn packets() -> [(PacketBuilder, u16); 5] {
    [
        (request(), HOST.port()),
        (request().without_checksum(), HOST.port()),
        (segment(ACK), HOST.port()),
        (PacketBuilder::echo_request(HOST, *SERVER.ip()), HOST.port()),
        (PacketBuilder::other(47, lan::HOST, *SERVER.ip()), 0),
    ]
}

/// RFC 5508 REQ-4, RFC 5382 REQ-9, RFC 4787 REQ-12b: every type and code, unchanged, about a flow that
/// nobody has answered and one that somebody has.
#[test]
fn every_error_about_a_flow_comes_back() {
    for (sent, port) in packets() {
        let gateway = Gateway::new();
        gateway.sends(&sent, &A, port);
        for answered in [false, true] {
            for (kind, rest) in ERRORS {
                let quote = leaving(&sent, &A, port).quoted(ALL);
                let input = error_in(kind, rest, &quote, &A).build();
                let quote = sent.clone().ttl(63).quoted(ALL);
                let output = error_reaching(kind, rest, &quote, lan::HOST).build();
                gateway.forwards_in(&input, &A, &output);
            }
            if !answered {
                let _ = gateway.tables.run(&mut answer_to_sent(&sent, &A), A.ifindex);
            }
        }
    }
}

/// RFC 5508 REQ-6, RFC 4787 REQ-12, RFC 5382 REQ-10: an error neither ends a flow or mapping nor keeps
/// it, however often it comes.
#[test]
fn an_error_neither_ends_a_flow_nor_keeps_it() {
    for (sent, port) in packets() {
        let gateway = Gateway::new();
        gateway.sends(&sent, &A, port);
        let bindings = gateway.tables.bindings();
        gateway.tables.set_now(99 << 30);
        for _ in 0..3 {
            comes_back(&gateway, &sent, &A, port, ALL);
        }
        assert_eq!(gateway.tables.bindings(), bindings, "{}", gateway.tables);
        gateway.sends(&sent, &A, port);
    }
}

/// From the ports or the identifier on, however much is quoted (RFC 792: 8 bytes behind the header;
/// RFC 1812: more).
#[test]
fn a_quote_may_be_cut_short() {
    for (sent, port) in packets() {
        let sent = sent.payload(&[0x3c; 60]);
        let gateway = Gateway::new();
        gateway.sends(&sent, &A, port);
        for len in (28..sent.quoted(ALL).len()).step_by(STRIDE) {
            // Half a checksum would be half translated.
            if len != 20 + 17 {
                comes_back(&gateway, &sent, &A, port, len);
            }
        }
    }
}

/// Of TCP and UDP the ports are enough, for only they are needed.
#[test]
fn a_quote_of_no_more_than_ports() {
    for sent in [request(), segment(ACK)] {
        let gateway = Gateway::new();
        gateway.sends(&sent, &A, HOST.port());
        comes_back(&gateway, &sent, &A, HOST.port(), 24);
        for len in [0, 8, 19, 20, 23] {
            let error = about_sent(&sent, &A, HOST.port(), len).build();
            mismatches(&gateway, A.ifindex, &error);
        }
    }
}

/// RFC 5508 REQ-3b.
#[test]
fn a_quote_with_options() {
    for words in (1..=10).step_by(STRIDE) {
        for (sent, port) in packets() {
            let sent = sent.options(&vec![1; words * 4]);
            let gateway = Gateway::new();
            gateway.sends(&sent, &A, port);
            for len in [20 + words * 4 + 8, ALL] {
                comes_back(&gateway, &sent, &A, port, len);
            }
        }
    }
}

/// Options of the error itself are no part of the quote.
#[test]
fn an_error_with_options() {
    let gateway = Gateway::new();
    gateway.sends(&request(), &A, HOST.port());
    let input = about_sent(&request(), &A, HOST.port(), ALL).options(&[1; 24]).build();
    let output = reaching_sender(&request(), ALL).options(&[1; 24]).build();
    gateway.forwards_in(&input, &A, &output);
}

/// RFC 5508 REQ-3d: extensions behind a quote that is filled up with zeros (RFC 4884) stay as they
/// are.
#[test]
fn a_quote_with_extensions() {
    let gateway = Gateway::new();
    gateway.sends(&request(), &A, HOST.port());
    let extended = |mut quote: Vec<u8>| {
        quote.resize(128, 0);
        quote.extend([0x20, 0, 0xab, 0xcd, 0, 8, 1, 1, 0x12, 0x34, 0x56, 0x78]);
        quote
    };
    let rest = [0, 32, 0, 0];
    let input = error_in([11, 0], rest, &extended(leaving(&request(), &A, 5000).quoted(ALL)), &A);
    let quote = extended(request().ttl(63).quoted(ALL));
    let output = error_reaching([11, 0], rest, &quote, lan::HOST);
    gateway.forwards_in(&input.build(), &A, &output.build());
}

/// The host did not get its own port: the quote has it again.
#[test]
fn a_port_that_was_not_preserved() {
    for (sent, _) in packets().into_iter().take(4) {
        let gateway = Gateway::with_nat_ports(40_000, 40_000);
        gateway.sends(&sent, &A, 40_000);
        comes_back(&gateway, &sent, &A, 40_000, ALL);
        comes_back(&gateway, &sent, &A, 40_000, 28);
    }
}

/// The quote is of a first fragment: it has the ports.
#[test]
fn a_quote_of_a_first_fragment() {
    let gateway = Gateway::new();
    let sent = request().payload(&[0x77; 64]);
    gateway.sends(&sent, &A, HOST.port());
    let quote = |packet: &PacketBuilder| packet.fragment_of(0..40)[14..].to_vec();
    let input = error_in([11, 1], [0; 4], &quote(&leaving(&sent, &A, 5000)), &A);
    let output = error_reaching([11, 1], [0; 4], &quote(&sent.clone().ttl(63)), lan::HOST);
    gateway.forwards_in(&input.build(), &A, &output.build());
}

/// Of a later one, nothing says whose it is.
#[test]
fn a_quote_of_a_later_fragment_is_dropped() {
    let gateway = Gateway::new();
    let sent = request().payload(&[0x77; 64]);
    gateway.sends(&sent, &A, HOST.port());
    let later = leaving(&sent, &A, HOST.port()).fragment_of(40..72);
    mismatches(&gateway, A.ifindex, &error_in([11, 0], [0; 4], &later[14..], &A).build());
}

/// RFC 5508 REQ-4: about no flow, nothing is done; also about one of another port, protocol, uplink
/// or peer.
#[test]
fn an_error_about_no_flow() {
    let gateway = Gateway::new();
    gateway.sends(&request(), &A, HOST.port());
    let second = SocketAddrV4::new(lan::HOST, 5001);
    for (quoted, port) in [
        (request().from(second), 5001),
        (segment(SYN), 5000),
        (request().to(STRANGER), 5000),
        (PacketBuilder::echo_request(HOST, *SERVER.ip()), 5000),
        (PacketBuilder::other(47, lan::HOST, *SERVER.ip()), 0),
    ] {
        let error = about_sent(&quoted, &A, port, ALL);
        let frame = error.build();
        if port == 0 {
            // Of a protocol without ports, it may quote a packet of the gateway's own.
            gateway.passes(A.ifindex, &frame, PassReason::Local);
        } else {
            mismatches(&gateway, A.ifindex, &frame);
        }
    }
    let by_b = about_sent(&request(), &B, HOST.port(), ALL).build();
    mismatches(&gateway, B.ifindex, &by_b);
    comes_back(&gateway, &request(), &A, HOST.port(), ALL);
}

/// The error goes to who sent the quoted packet, or it is made up.
#[test]
fn an_error_that_contradicts_its_quote() {
    let gateway = Gateway::new();
    gateway.sends(&request(), &A, HOST.port());
    let quote = leaving(&request(), &A, HOST.port()).quoted(ALL);
    for to in [B.address, ROUTER, lan::HOST, lan::GATEWAY] {
        let error = coming(PacketBuilder::icmp_error(ROUTER, to, [3, 1], [0; 4], &quote), &A);
        mismatches(&gateway, A.ifindex, &error.build());
    }
    // A quote of what was sent to the host, not by it.
    let quote = answer(&A, HOST.port()).quoted(ALL);
    mismatches(&gateway, A.ifindex, &error_in([3, 1], [0; 4], &quote, &A).build());
}

/// RFC 5508 REQ-3: what does not verify is dropped.
#[test]
fn a_wrong_checksum() {
    let gateway = Gateway::new();
    gateway.sends(&request(), &A, HOST.port());
    let good = about_sent(&request(), &A, HOST.port(), ALL).build();
    for at in (34..good.len()).step_by(STRIDE) {
        let mut frame = good.clone();
        frame[at] ^= 0x40;
        // Another type is no error any more, but that is not what is asked here.
        if at != 34 {
            gateway.drops(A.ifindex, &frame, DropReason::BadChecksum);
        }
    }
    comes_back(&gateway, &request(), &A, HOST.port(), ALL);
}

/// RFC 5508 REQ-3a: likewise of the quoted header.
#[test]
fn a_wrong_checksum_of_the_quoted_header() {
    let gateway = Gateway::new();
    gateway.sends(&request(), &A, HOST.port());
    for at in 42..62 {
        let mut frame = about_sent(&request(), &A, HOST.port(), ALL).build();
        frame[at] ^= 1;
        repair_checksums(&mut frame);
        mismatches(&gateway, A.ifindex, &frame);
    }
}

/// RFC 5508 REQ-3c: the quoted transport checksum is not looked at, and stays as wrong as it was.
#[test]
fn a_wrong_checksum_of_the_quoted_transport() {
    let gateway = Gateway::new();
    gateway.sends(&request(), &A, HOST.port());
    let mut input = about_sent(&request(), &A, HOST.port(), ALL).build();
    let mut output = reaching_sender(&request(), ALL).build();
    for frame in [&mut input, &mut output] {
        // The payload of the quoted packet.
        *frame.last_mut().unwrap() ^= 0x55;
        repair_checksums(frame);
    }
    gateway.forwards_in(&input, &A, &output);
    assert!(verify_quote(&output).is_err());
}

/// RFC 5508 section 3.2, RFC 1812 section 4.3.2.7: an error about an error is nobody's.
#[test]
fn a_quote_of_an_error() {
    let gateway = Gateway::new();
    gateway.sends(&request(), &A, HOST.port());
    let inner = request().quoted(ALL);
    let quoted = PacketBuilder::icmp_error(A.address, ROUTER, [3, 3], [0; 4], &inner).quoted(ALL);
    mismatches(&gateway, A.ifindex, &error_in([11, 0], [0; 4], &quoted, &A).build());
}

#[test]
fn a_quote_that_is_no_ipv4_packet() {
    let gateway = Gateway::new();
    gateway.sends(&request(), &A, HOST.port());
    for (at, value) in [(0, 0x65), (0, 0x44), (0, 0x05), (0, 0x4f)] {
        let mut quote = leaving(&request(), &A, HOST.port()).quoted(ALL);
        quote[at] = value;
        mismatches(&gateway, A.ifindex, &error_in([3, 1], [0; 4], &quote, &A).build());
    }
    for len in 0..28 {
        let quote = PacketBuilder::echo_request(HOST, *SERVER.ip()).from(public(&A, 5000));
        mismatches(&gateway, A.ifindex, &error_in([3, 1], [0; 4], &quote.quoted(len), &A).build());
    }
}

/// What is about the gateway's own packets is the kernel's: from ports that are never handed out.
#[test]
fn an_error_about_the_gateway_s_own_packet() {
    let gateway = Gateway::with_nat_ports(1024, 65_000);
    let own = SocketAddrV4::new(A.address, 65_001);
    for sent in [
        PacketBuilder::udp(own, SERVER),
        PacketBuilder::tcp(own, SERVER, SYN),
        PacketBuilder::echo_request(own, *SERVER.ip()),
        PacketBuilder::other(47, A.address, *SERVER.ip()),
    ] {
        let frame = error_in([3, 1], [0; 4], &sent.quoted(ALL), &A).build();
        gateway.passes(A.ifindex, &frame, PassReason::Local);
    }
    // And from its address in the LAN.
    let sent = PacketBuilder::udp(SocketAddrV4::new(lan::GATEWAY, 5000), HOST);
    let error =
        PacketBuilder::icmp_error(lan::HOST, lan::GATEWAY, [3, 3], [0; 4], &sent.quoted(ALL));
    gateway.passes(lan::IFINDEX, &error.build(), PassReason::Local);
}

/// A stale flow, of an address that the uplink had before.
#[test]
fn about_a_flow_of_an_older_generation() {
    for answered in [false, true] {
        let mut gateway = Gateway::new();
        gateway.sends(&request(), &A, HOST.port());
        if answered {
            gateway.delivers(&answer(&A, HOST.port()), &A, HOST);
        }
        gateway.readdress(&A, A.address);
        let error = about_sent(&request(), &A, HOST.port(), ALL).build();
        mismatches(&gateway, A.ifindex, &error);
    }
}
