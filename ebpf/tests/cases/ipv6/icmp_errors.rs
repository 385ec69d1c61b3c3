//! ICMPv6 errors of others, by an uplink: they go the way of the packet that they quote, whose source
//! is translated back (RFC 6296 section 3.7; RFC 4890 section 4.3.1).

use std::net::Ipv6Addr;

use pointsman_ebpf::memory::site::{A, B, Provider, lan};
use pointsman_ebpf::memory::site6::{self, Carriage};
use pointsman_ebpf::memory::{Body6, PacketBuilder6, verify6};
use pointsman_ebpf::verdict::{DropReason, PassReason};
use pointsman_ebpf::wire::tcp_flags::SYN;

use super::harness::{
    Gateway, HOST, HOST_A, HOST_B, HOST_ROUTED, OTHER, OTHER_A, SERVER, STRANGER, TRANSLATED,
    answer, coming, gateway, leaving, open_gateway, reaching, request, segment,
};

/// A router between the provider and the server.
pub(crate) const ROUTER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xeeee, 0, 0, 0, 0, 1);

/// Every error, with what the rest of its header may say (RFC 4443 section 3): of a packet
/// too big, the MTU.
pub(crate) const ERRORS: [([u8; 2], [u8; 4]); 6] = [
    ([1, 0], [0; 4]),
    ([1, 4], [0; 4]),
    ([2, 0], [0, 0, 5, 0]),
    ([3, 0], [0; 4]),
    ([4, 1], [0, 0, 0, 6]),
    ([4, 250], [1, 2, 3, 4]),
];

const ALL: usize = usize::MAX;

fn error(quote: &[u8], to: Ipv6Addr, by: &Provider) -> PacketBuilder6 {
    coming(PacketBuilder6::error(ROUTER, to, [3, 0], [0; 4], quote), by)
}

/// The error about a packet that has left from `shown` reaches the LAN's first host at `host`.
#[track_caller]
fn comes_back(
    gateway: &Gateway,
    sent: &PacketBuilder6,
    (shown, host): (Ipv6Addr, Ipv6Addr),
    len: usize,
) {
    let before = gateway.pins6();
    for (kind, rest) in ERRORS {
        let quote = leaving(sent, &A, shown).quoted(len);
        let input = coming(PacketBuilder6::error(ROUTER, shown, kind, rest, &quote), &A);
        let quote = sent.clone().hop_limit(63).quoted(len);
        let output = PacketBuilder6::error(ROUTER, host, kind, rest, &quote);
        let output = reaching(&output, host).build();
        assert_eq!(verify6(&output), Ok(()));
        gateway.forwards_in(&input.build(), &A, &output);
    }
    // An error neither ends a flow nor keeps it.
    assert_eq!(gateway.pins6(), before, "{}", gateway.tables);
}

fn mismatches(gateway: &Gateway, ifindex: u32, packet: &PacketBuilder6) {
    gateway.refuses6(ifindex, packet, DropReason::IcmpMismatch);
}

/// About flows that nobody has answered and that somebody has, of every protocol, however much is
/// quoted.
#[test]
fn an_error_about_a_flow() {
    for sent in [
        request(),
        segment(SYN),
        PacketBuilder6::new(HOST, SERVER, Body6::Echo { reply: false }),
        PacketBuilder6::new(HOST, SERVER, Body6::Other(47)),
        segment(SYN).extensions(&[[0, 0], [60, 1]]),
    ] {
        let gateway = gateway(TRANSLATED);
        gateway.sends6(&sent, &A, HOST_A);
        for len in [ALL, 40 + 8 + 32] {
            comes_back(&gateway, &sent, (HOST_A, HOST.0), len);
        }
    }
    let gateway = gateway(TRANSLATED);
    gateway.establish6();
    comes_back(&gateway, &request(), (HOST_A, HOST.0), 48);
    let routed = self::gateway([Carriage::Routed; 2]);
    let sent = request().from_address(HOST_ROUTED);
    routed.sends6(&sent, &A, HOST_ROUTED);
    comes_back(&routed, &sent, (HOST_ROUTED, HOST_ROUTED), ALL);
}

/// With a prefix of 56 bits it is the identifier that is translated back, in both places.
#[test]
fn an_error_about_a_longer_prefix() {
    let gateway = gateway([Carriage::Nptv6(56), Carriage::None]);
    let shown = site6::within(site6::provided(&A, 56), [0xff01, 0xd03d, 0, 0, 2]);
    gateway.sends6(&request(), &A, shown);
    comes_back(&gateway, &request(), (shown, HOST.0), ALL);
}

/// By another uplink, about what has left by it before it moved.
#[test]
fn an_error_by_the_uplink_that_a_flow_has_left() {
    let gateway = gateway(TRANSLATED);
    gateway.establish6();
    gateway.tables.set_alive(B.bit());
    gateway.sends6(&request(), &B, HOST_B);
    comes_back(&gateway, &request(), (HOST_A, HOST.0), ALL);
}

/// Behind extension headers, the error is found as well.
#[test]
fn an_error_with_extension_headers() {
    let gateway = gateway(TRANSLATED);
    gateway.sends6(&request(), &A, HOST_A);
    let quote = leaving(&request(), &A, HOST_A).quoted(ALL);
    let input = error(&quote, HOST_A, &A).extensions(&[[60, 2]]);
    let quote = request().hop_limit(63).quoted(ALL);
    let output = error(&quote, HOST.0, &A).extensions(&[[60, 2]]);
    gateway.forwards_in(&input.build(), &A, &reaching(&output, HOST.0).build());
}

#[test]
fn an_error_about_no_flow() {
    let gateway = gateway(TRANSLATED);
    gateway.sends6(&request(), &A, HOST_A);
    for sent in [
        request().to(STRANGER),
        request().to((SERVER.0, 1)),
        request().from((HOST.0, 1)),
        segment(SYN),
    ] {
        let quote = leaving(&sent, &A, HOST_A).quoted(ALL);
        mismatches(&gateway, A.ifindex, &error(&quote, HOST_A, &A));
    }
}

/// An error goes to who has sent what it quotes, and to nobody else.
#[test]
fn an_error_for_another_host() {
    let gateway = gateway(TRANSLATED);
    gateway.sends6(&request(), &A, HOST_A);
    let quote = leaving(&request(), &A, HOST_A).quoted(ALL);
    mismatches(&gateway, A.ifindex, &error(&quote, OTHER_A, &A));
    // What it quotes has never left like that.
    let quote = leaving(&request(), &A, HOST.0).quoted(ALL);
    mismatches(&gateway, A.ifindex, &error(&quote, HOST_A, &A));
    let quote = leaving(&request(), &A, HOST_B).quoted(ALL);
    mismatches(&gateway, A.ifindex, &error(&quote, HOST_A, &A));
}

/// A quote of too little, of no IPv6, of a later fragment, and of another error.
#[test]
fn a_quote_that_says_nothing() {
    let gateway = gateway(TRANSLATED);
    gateway.sends6(&request(), &A, HOST_A);
    let sent = leaving(&request(), &A, HOST_A);
    for len in [0, 1, 39, 40, 43] {
        mismatches(&gateway, A.ifindex, &error(&sent.quoted(len), HOST_A, &A));
    }
    let mut other = sent.quoted(ALL);
    other[0] = 0x45;
    mismatches(&gateway, A.ifindex, &error(&other, HOST_A, &A));
    let later = sent.clone().payload(&[0; 2000]).fragments(2).swap_remove(1);
    mismatches(&gateway, A.ifindex, &error(&later[14..], HOST_A, &A));
    let about = PacketBuilder6::error(HOST_A, SERVER.0, [1, 4], [0; 4], &sent.quoted(ALL));
    mismatches(&gateway, A.ifindex, &error(&about.quoted(ALL), HOST_A, &A));
    // A first fragment is as good as a whole packet.
    let first = sent.payload(&[0; 2000]).fragments(2).swap_remove(0);
    let input = error(&first[14..200], HOST_A, &A);
    let quote = request().hop_limit(63).payload(&[0; 2000]).fragments(2).swap_remove(0);
    let output = reaching(&error(&quote[14..200], HOST.0, &A), HOST.0);
    gateway.forwards_in(&input.build(), &A, &output.build());
}

/// About what the gateway itself has sent, it is the kernel's.
#[test]
fn an_error_for_the_gateway() {
    let gateway = gateway(TRANSLATED);
    let own = site6::own(&A);
    let quote = request().from_address(own).quoted(ALL);
    gateway.passes(A.ifindex, &error(&quote, own, &A).build(), PassReason::Local);
    let routed = self::gateway([Carriage::Routed; 2]);
    routed.passes(A.ifindex, &error(&quote, own, &A).build(), PassReason::Local);
    let packet = PacketBuilder6::error(HOST.0, site6::GATEWAY, [1, 4], [0; 4], &quote);
    gateway.passes(lan::IFINDEX, &packet.build(), PassReason::Local);
}

/// A flood of errors has no message of its own.
#[test]
fn an_error_is_never_answered() {
    let gateway = gateway(TRANSLATED);
    gateway.sends6(&request(), &A, HOST_A);
    let quote = leaving(&request(), &A, HOST_A).quoted(ALL);
    let packet = error(&quote, HOST_A, &A).hop_limit(1);
    gateway.refuses6(A.ifindex, &packet, DropReason::TtlExceeded);
}

/// Nobody outside speaks for the gateway or the LAN, and no link-local address crosses a router (RFC
/// 4291 section 2.5.6): not by an error either.
#[test]
fn an_error_from_a_martian() {
    let gateway = open_gateway(TRANSLATED);
    gateway.sends6(&request(), &A, HOST_A);
    let quote = leaving(&request(), &A, HOST_A).quoted(ALL);
    let link_local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    for from in [Ipv6Addr::LOCALHOST, link_local, site6::GATEWAY, OTHER.0, OTHER_A] {
        let packet = error(&quote, HOST_A, &A).from_address(from);
        gateway.refuses6(A.ifindex, &packet, DropReason::Martian);
    }
    let packet = answer(HOST_A, &A);
    gateway.delivers6(&packet, &A, HOST.0);
}
