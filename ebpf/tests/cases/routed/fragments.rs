//! Fragments of what is routed.

use pointsman_ebpf::memory::PacketBuilder;
use pointsman_ebpf::memory::site::{A, B, lan};
use pointsman_ebpf::verdict::DropReason;

use super::harness::{BOTH_ROUTE, Gateway, Sizes, answer, arrived, gateway, left, request};

const WITHOUT_FIRST: DropReason = DropReason::FragmentWithoutFirst;

fn large() -> PacketBuilder {
    request().payload(&[0x5a; 2500])
}

fn large_answer() -> PacketBuilder {
    answer(&A).payload(&[0xa5; 2500])
}

/// The fragments come in by A, in order, and reach the host.
#[track_caller]
fn arrive(gateway: &Gateway, packet: &PacketBuilder) {
    for (input, output) in packet.fragments(3).iter().zip(arrived(packet).fragments(3)) {
        gateway.forwards_in(input, &A, &output);
    }
}

/// As they are, both ways; the first opens the flow, or answers it.
#[test]
fn in_order() {
    let gateway = gateway(BOTH_ROUTE);
    for (input, output) in large().fragments(3).iter().zip(left(&large(), &A).fragments(3)) {
        gateway.forwards_out(input, &A, &output);
    }
    gateway.holds(Sizes { unreplied: 1, fragments: 1, ..Sizes::default() });
    arrive(&gateway, &large_answer());
    gateway.holds(Sizes { established: 2, fragments: 2, ..Sizes::default() });
    arrive(&gateway, &large_answer().identification(7));
    gateway.holds(Sizes { established: 2, fragments: 3, ..Sizes::default() });
}

/// Those of an invitation.
#[test]
fn of_what_nobody_has_asked_for() {
    let gateway = gateway(BOTH_ROUTE);
    arrive(&gateway, &large_answer());
    arrive(&gateway, &large_answer().identification(2));
    gateway.holds(Sizes { invited: 1, fragments: 2, ..Sizes::default() });
}

/// The later ones may come by another uplink than the first. Each is counted by its own.
#[test]
fn the_later_ones_by_another_uplink() {
    let gateway = gateway(BOTH_ROUTE);
    let (input, output) = (large_answer().fragments(2), arrived(&large_answer()).fragments(2));
    gateway.forwards_in(&input[0], &A, &output[0]);
    let by_b = {
        let packet = large_answer().macs(B.gateway_mac, B.mac);
        packet.fragments(2)
    };
    gateway.forwards_in(&by_b[1], &B, &output[1]);
}

/// None goes before the first.
#[test]
fn before_the_first() {
    let gateway = gateway(BOTH_ROUTE);
    gateway.drops(lan::IFINDEX, &large().fragments(2)[1], WITHOUT_FIRST);
    gateway.drops(A.ifindex, &large_answer().fragments(2)[1], WITHOUT_FIRST);
    gateway.holds_nothing();
}
