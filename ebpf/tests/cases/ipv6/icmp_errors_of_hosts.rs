//! ICMPv6 errors from the LAN, about what has come in: they leave by the flow's uplink, and show the
//! hosts as that does.

use std::net::Ipv6Addr;

use pointsman_ebpf::memory::site::{A, B, lan};
use pointsman_ebpf::memory::site6::{self, Carriage};
use pointsman_ebpf::memory::{PacketBuilder6, verify6};
use pointsman_ebpf::verdict::DropReason;
use pointsman_ebpf::wire::tcp_flags::SYN;

use super::harness::{
    Gateway, HOST, HOST_A, HOST_OF_A, HOST_OF_B, HOST_ROUTED, OTHER, OTHER_A, SERVER, STRANGER,
    TRANSLATED, answer, gateway, leaving, open_gateway, reaching, request, segment_back,
};

const ALL: usize = usize::MAX;

fn error(from: Ipv6Addr, to: Ipv6Addr, quote: &[u8]) -> PacketBuilder6 {
    PacketBuilder6::error(from, to, [1, 4], [0; 4], quote)
}

/// An error about this packet, which reached `host`, leaves by A as one about what came in there.
#[track_caller]
fn leaves(gateway: &Gateway, came: &PacketBuilder6, from: [Ipv6Addr; 2], host: Ipv6Addr) {
    let before = gateway.pins6();
    let [sender, shown] = from;
    let input = error(sender, SERVER.0, &reaching(came, host).quoted(ALL));
    let output = error(shown, SERVER.0, &came.clone().hop_limit(63).quoted(ALL));
    let output = leaving(&output, &A, shown).build();
    assert_eq!(verify6(&output), Ok(()));
    gateway.forwards_out(&input.build(), &A, &output);
    assert_eq!(gateway.pins6(), before);
}

#[test]
fn about_an_established_flow() {
    let translated = gateway(TRANSLATED);
    translated.establish6();
    leaves(&translated, &answer(HOST_A, &A), [HOST.0, HOST_A], HOST.0);
    // A router in the LAN, on behalf of the host.
    leaves(&translated, &answer(HOST_A, &A), [OTHER.0, OTHER_A], HOST.0);

    let routed = gateway([Carriage::Routed; 2]);
    routed.sends6(&request().from_address(HOST_ROUTED), &A, HOST_ROUTED);
    leaves(&routed, &answer(HOST_ROUTED, &A), [HOST_ROUTED; 2], HOST_ROUTED);
}

/// A port is closed that somebody outside has asked for.
#[test]
fn about_an_invitation() {
    let gateway = open_gateway(TRANSLATED);
    let asked = segment_back(SYN, HOST_A, &A);
    gateway.delivers6(&asked, &A, HOST.0);
    leaves(&gateway, &asked, [HOST.0, HOST_A], HOST.0);
    gateway.holds6([0, 0, 1]);
}

#[test]
fn about_no_flow() {
    let gateway = gateway(TRANSLATED);
    gateway.establish6();
    let came = reaching(&answer(HOST_A, &A), HOST.0);
    let mismatches = |packet: &PacketBuilder6| {
        gateway.refuses6(lan::IFINDEX, packet, DropReason::IcmpMismatch);
    };
    mismatches(&error(HOST.0, STRANGER.0, &came.quoted(ALL)));
    mismatches(&error(HOST.0, SERVER.0, &came.clone().from((SERVER.0, 1)).quoted(ALL)));
    mismatches(&error(HOST.0, SERVER.0, &came.clone().to((HOST.0, 1)).quoted(ALL)));
    mismatches(&error(HOST.0, SERVER.0, &came.clone().to((HOST_A, HOST.1)).quoted(ALL)));
    mismatches(&error(HOST.0, SERVER.0, &came.quoted(43)));
}

/// Its uplink is dead: nobody else's prefix would be of use.
#[test]
fn no_uplink() {
    let gateway = gateway(TRANSLATED);
    gateway.establish6();
    gateway.tables.set_alive(B.bit());
    let packet = error(HOST.0, SERVER.0, &reaching(&answer(HOST_A, &A), HOST.0).quoted(ALL));
    gateway.refuses6(lan::IFINDEX, &packet, DropReason::NoUplink);
}

/// An error about a flow is no way around BCP 38: its own source is of a prefix of the uplink's.
#[test]
fn from_a_foreign_source() {
    let foreign = Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 2);
    let link_local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
    let routed = gateway([Carriage::Routed; 2]);
    routed.sends6(&request().from_address(HOST_ROUTED), &A, HOST_ROUTED);
    let quote = reaching(&answer(HOST_ROUTED, &A), HOST_ROUTED).quoted(ALL);
    let refuse = |gateway: &Gateway, from, quote: &[u8], reason| {
        gateway.refuses6(lan::IFINDEX, &error(from, SERVER.0, quote), reason);
    };
    for from in [foreign, HOST.0, STRANGER.0] {
        refuse(&routed, from, &quote, DropReason::ForeignSource);
    }
    for from in [link_local, Ipv6Addr::LOCALHOST, site6::GATEWAY] {
        refuse(&routed, from, &quote, DropReason::Martian);
    }
    let bound = gateway([Carriage::Source; 2]);
    bound.sends6(&request().from_address(HOST_OF_A), &A, HOST_OF_A);
    let quote = reaching(&answer(HOST_OF_A, &A), HOST_OF_A).quoted(ALL);
    refuse(&bound, HOST_OF_B, &quote, DropReason::ForeignSource);
    refuse(&bound, HOST.0, &quote, DropReason::ForeignSource);
}
