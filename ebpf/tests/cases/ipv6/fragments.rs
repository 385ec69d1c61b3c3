//! Fragments (RFC 8200 section 4.5; RFC 5722; RFC 6946; RFC 7112).

use pointsman_ebpf::memory::site::{A, B, lan};
use pointsman_ebpf::memory::{Body6, PacketBuilder6};
use pointsman_ebpf::path::FlowTable;
use pointsman_ebpf::verdict::{DropReason, PassReason};
use pointsman_ebpf::wire::tcp_flags::ACK;

use super::harness::{
    Gateway, HOST, HOST_A, SERVER, STRANGER, TRANSLATED, answer, gateway, leaving, reaching,
    request, segment,
};

const WITHOUT_FIRST: DropReason = DropReason::FragmentWithoutFirst;

fn large() -> PacketBuilder6 {
    request().payload(&[0x5a; 2500])
}

fn large_answer() -> PacketBuilder6 {
    answer(HOST_A, &A).payload(&[0xa5; 2500])
}

/// The fragments leave as those of the translated packet, in this order.
#[track_caller]
fn leave(gateway: &Gateway, packet: &PacketBuilder6, order: &[usize]) {
    let output = leaving(packet, &A, HOST_A).fragments(order.len());
    let input = packet.fragments(order.len());
    for at in order {
        gateway.forwards_out(&input[*at], &A, &output[*at]);
    }
}

/// The first opens the flow, and one entry serves all.
#[test]
fn from_the_lan() {
    let gateway = gateway(TRANSLATED);
    leave(&gateway, &large(), &[0, 1, 2]);
    gateway.holds6([0, 1, 0]);
    assert_eq!(gateway.tables.flow_count(FlowTable::Fragments), 1);
    // In any order once the first is there.
    leave(&gateway, &large().identification(7), &[0, 3, 1, 2]);
    leave(&gateway, &large().extensions(&[[0, 0], [43, 0]]), &[0, 1, 2]);
}

#[test]
fn to_the_lan() {
    let gateway = gateway(TRANSLATED);
    gateway.establish6();
    let output = reaching(&large_answer(), HOST.0).fragments(3);
    for (input, output) in large_answer().fragments(3).iter().zip(&output) {
        gateway.forwards_in(input, &A, output);
    }
}

/// Either direction has identifications of its own, though both look alike either way round.
#[test]
fn the_same_identification_either_way() {
    let gateway = gateway(TRANSLATED);
    gateway.establish6();
    let into = large_answer().identification(0x1234_1234).fragments(3).swap_remove(0);
    let output = reaching(&large_answer().identification(0x1234_1234), HOST.0).fragments(3);
    gateway.forwards_in(&into, &A, &output[0]);
    let later = &large().identification(0x1234_1234).fragments(3)[1];
    gateway.drops(lan::IFINDEX, later, WITHOUT_FIRST);
}

/// Extension headers behind the fragment header are a part of what is fragmented (RFC 8200 section 4.5).
#[test]
fn extension_headers_are_fragmented_too() {
    let gateway = gateway(TRANSLATED);
    let packet = request().extensions(&[[44, 0], [60, 1]]);
    // 16 bytes of options, 8 of UDP, and 8.
    let first = packet.clone().fragment(1).payload(&[0x5a; 8]);
    gateway.sends6(&first, &A, HOST_A);
    let later = packet.fragment(24);
    gateway.drops(lan::IFINDEX, &later.build(), DropReason::FragmentOverlap);
    gateway.sends6(&later.fragment(32), &A, HOST_A);
}

#[test]
fn a_later_one_before_the_first() {
    let gateway = gateway(TRANSLATED);
    gateway.establish6();
    gateway.drops(lan::IFINDEX, &large().fragments(2)[1], WITHOUT_FIRST);
    gateway.drops(A.ifindex, &large_answer().fragments(2)[1], WITHOUT_FIRST);
    assert_eq!(gateway.tables.flow_count(FlowTable::Fragments), 0);
}

/// Another identification, or another address, is another packet's.
#[test]
fn of_another_packet() {
    let gateway = gateway(TRANSLATED);
    leave(&gateway, &large(), &[0, 1]);
    for packet in [
        large().identification(0x1234_5679),
        large().identification(0x1235_5678),
        large().to(STRANGER),
        large().from_address(super::harness::OTHER.0),
    ] {
        gateway.drops(lan::IFINDEX, &packet.fragments(2)[1], WITHOUT_FIRST);
    }
}

/// RFC 5722: an overlap would replace what the first was let through for. Right behind it is good.
#[test]
fn an_overlap_with_the_first() {
    let gateway = gateway(TRANSLATED);
    let packet = segment(ACK).payload(&[0x5a; 100]);
    let translated = leaving(&packet, &A, HOST_A);
    gateway.forwards_out(&packet.fragment_of(0..40), &A, &translated.fragment_of(0..40));
    for start in [8, 16, 32] {
        let fragment = packet.fragment_of(start..80);
        gateway.drops(lan::IFINDEX, &fragment, DropReason::FragmentOverlap);
    }
    gateway.forwards_out(&packet.fragment_of(40..80), &A, &translated.fragment_of(40..80));
}

/// RFC 7112: all headers are in the first fragment, or it is dropped.
#[test]
fn a_tiny_first_one() {
    let gateway = gateway(TRANSLATED);
    let echo = PacketBuilder6::new(HOST, SERVER, Body6::Echo { reply: false });
    for (packet, header) in [(request(), 8), (segment(ACK), 20), (echo, 8)] {
        let packet = packet.payload(&[0x5a; 64]);
        for len in [0, 1, 4, header - 1] {
            let fragment = packet.fragment_of(0..len);
            gateway.drops(lan::IFINDEX, &fragment, DropReason::FragmentTiny);
        }
    }
    // Its extension headers end beyond it.
    let chain = request().extensions(&[[44, 0], [60, 3]]).fragment(1).build();
    let mut frame = chain;
    frame.truncate(14 + 40 + 8 + 16);
    frame[18..20].copy_from_slice(&[0, 24]);
    gateway.drops(lan::IFINDEX, &frame, DropReason::FragmentTiny);
    gateway.holds6([0; 3]);
}

/// RFC 6946: a packet of one fragment is whole.
#[test]
fn an_atomic_fragment() {
    let gateway = gateway(TRANSLATED);
    let packet = request().extensions(&[[44, 0]]);
    gateway.sends6(&packet, &A, HOST_A);
    gateway.delivers6(&answer(HOST_A, &A).extensions(&[[44, 0]]), &A, HOST.0);
    // The reserved bits say nothing.
    gateway.sends6(&packet.fragment(6), &A, HOST_A);
    gateway.holds6([1, 0, 0]);
    assert_eq!(gateway.tables.flow_count(FlowTable::Fragments), 0);
}

/// For the gateway itself, the kernel puts them together.
#[test]
fn for_the_gateway() {
    let gateway = gateway(TRANSLATED);
    let packet = large().to((pointsman_ebpf::memory::site6::GATEWAY, 53));
    for fragment in packet.fragments(3) {
        gateway.passes(lan::IFINDEX, &fragment, PassReason::Local);
    }
}

/// What follows the fragment header of a later one is no header, also where no more would be walked
/// through.
#[test]
fn a_later_one_with_as_many_headers_as_there_may_be() {
    let gateway = gateway(TRANSLATED);
    let extensions =
        [[60, 0], [60, 0], [60, 0], [60, 0], [60, 0], [60, 0], [60, 0], [44, 0], [60, 0]];
    let later = request().extensions(&extensions).fragment(8).build();
    gateway.drops(lan::IFINDEX, &later, WITHOUT_FIRST);
}

/// Its uplink dies, or has another prefix: what is left of the packet goes by no other.
#[test]
fn the_uplink_is_lost_in_the_middle() {
    for by_generation in [false, true] {
        let mut gateway = gateway(TRANSLATED);
        leave(&gateway, &large(), &[0, 1, 2]);
        if by_generation {
            gateway.uplink6(&A).generation += 1;
        } else {
            gateway.tables.set_alive(B.bit());
        }
        gateway.drops(lan::IFINDEX, &large().fragments(3)[2], DropReason::NoUplink);
    }
}

/// Hop limit and size count for each of them.
#[test]
fn later_ones_are_answered_like_any() {
    let mut gateway = gateway(TRANSLATED);
    leave(&gateway, &large(), &[0, 1, 2]);
    let last = &large().hop_limit(1).fragments(3)[2];
    gateway.tells6(lan::IFINDEX, last, DropReason::TtlExceeded, [3, 0], [0; 4]);
    gateway.uplink6(&A).mtu = 1280;
    let other = large().fragments(2);
    gateway.tells6(lan::IFINDEX, &other[0], DropReason::TooBig, [2, 0], [0, 0, 5, 0]);
}
