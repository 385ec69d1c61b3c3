//! From the LAN to a public address of the LAN (RFC 6296 section 4.3; RFC 4787 section 6).

use pointsman_ebpf::memory::site::{A, lan};
use pointsman_ebpf::memory::site6::{self, INTERNAL, provided, within};
use pointsman_ebpf::memory::{Body6, PacketBuilder6};
use pointsman_ebpf::path::FlowTable;
use pointsman_ebpf::verdict::DropReason;
use pointsman_ebpf::wire::tcp_flags::{RST, SYN};

use super::harness::{
    Gateway, HOST, HOST_A, OTHER, OTHER_A, TRANSLATED, from_other, gateway, request,
};

/// The other host's packet to the first one.
fn packet() -> PacketBuilder6 {
    from_other(PacketBuilder6::udp(OTHER, (HOST_A, 53)))
}

/// Anything goes, and leaves no state.
#[test]
fn by_public_addresses() {
    let gateway = gateway(TRANSLATED);
    let echo = |reply| Body6::Echo { reply };
    for packet in [
        packet(),
        from_other(PacketBuilder6::tcp(OTHER, (HOST_A, 80), SYN)),
        from_other(PacketBuilder6::tcp(OTHER, (HOST_A, 80), RST)),
        from_other(PacketBuilder6::new(OTHER, (HOST_A, 9), echo(true))),
        from_other(PacketBuilder6::new(OTHER, (HOST_A, 9), Body6::Other(47))),
    ] {
        let output = packet.clone().from_address(OTHER_A).to_address(HOST.0);
        gateway.hairpins6(&packet, &output);
    }
    gateway.holds6([0; 3]);
}

/// To its own public address.
#[test]
fn to_itself() {
    let gateway = gateway(TRANSLATED);
    let packet = request().to((HOST_A, 53));
    gateway.hairpins6(&packet, &packet.clone().from_address(HOST_A).to_address(HOST.0));
}

#[test]
fn fragments() {
    let gateway = gateway(TRANSLATED);
    let packet = packet().payload(&[7; 2000]);
    let output = packet.clone().from_address(OTHER_A).to_address(HOST.0);
    let output = output.macs(lan::MAC, lan::HOST_MAC).hop_limit(63).fragments(2);
    for (input, output) in packet.fragments(2).iter().zip(&output) {
        gateway.forwards_back(input, &A, output);
    }
    assert_eq!(gateway.tables.flow_count(FlowTable::Fragments), 0);
}

/// The sender of an error knows itself by the internal address, and the other by the public one.
#[test]
fn errors() {
    let gateway = gateway(TRANSLATED);
    // What the first host has sent, as it reached the other one.
    let sent = request().from((HOST_A, 53)).to((OTHER.0, 5000)).hop_limit(63);
    let error = |from, to, quote: &PacketBuilder6| {
        from_other(PacketBuilder6::error(from, to, [1, 4], [0; 4], &quote.quoted(usize::MAX)))
    };
    let input = error(OTHER.0, HOST_A, &sent);
    let quoted = sent.clone().from_address(HOST.0).to_address(OTHER_A);
    gateway.hairpins6(&input, &error(OTHER_A, HOST.0, &quoted));
    // It goes to who has sent what it quotes.
    let other = error(OTHER.0, HOST_A, &sent.from_address(OTHER_A));
    gateway.refuses6(lan::IFINDEX, &other, DropReason::IcmpMismatch);
}

#[test]
fn what_does_not_go() {
    let mut gateway = gateway(TRANSLATED);
    let refuse = |gateway: &Gateway, packet: &PacketBuilder6, reason| {
        gateway.refuses6(lan::IFINDEX, packet, reason);
    };
    let silent = within(provided(&A, 48), [0xcf3f, 0, 0, 0, 9]);
    refuse(&gateway, &packet().to((silent, 1)), DropReason::NeighbourUnknown);
    let nowhere = within(provided(&A, 48), [0xcf40, 0, 0, 0, 2]);
    refuse(&gateway, &packet().to((nowhere, 1)), DropReason::NoLanRoute);
    let without = within(provided(&A, 48), [0xffff, 0, 0, 0, 2]);
    refuse(&gateway, &packet().to((without, 1)), DropReason::NoTranslation);
    let source = within(INTERNAL, [0xffff, 0, 0, 0, 2]);
    refuse(&gateway, &packet().from_address(source), DropReason::NoTranslation);
    refuse(&gateway, &packet().from_address(HOST_A), DropReason::ForeignSource);
    let last = packet().hop_limit(1).build();
    gateway.tells6(lan::IFINDEX, &last, DropReason::TtlExceeded, [3, 0], [0; 4]);
    gateway.tables.ports.get_mut(&lan::IFINDEX).unwrap().mtu = 1280;
    let side = site6::lan_side(lan::HOST_MAC, 1280);
    gateway.tables.ipv6.neighbours.insert(site6::entry(HOST.0), Some(side));
    let large = packet().payload(&[0; 1300]).build();
    gateway.tells6(lan::IFINDEX, &large, DropReason::TooBig, [2, 0], [0, 0, 5, 0]);
}

/// No fragment of a foreign source either, and no error.
#[test]
fn from_a_foreign_source() {
    let gateway = gateway(TRANSLATED);
    let later = packet().from_address(HOST_A).payload(&[0; 2000]).fragments(2).swap_remove(1);
    gateway.drops(lan::IFINDEX, &later, DropReason::ForeignSource);
}
