//! What becomes of established flows whose uplink dies, or changes its address, as their group says.

use pointsman_ebpf::abi::{Mark, Masquerade, OnFailure};
use pointsman_ebpf::memory::site::{A, B, lan};
use pointsman_ebpf::path::FlowTable;
use pointsman_ebpf::verdict::DropReason;
use pointsman_ebpf::wire::tcp_flags::{ACK, RST, SYN};

use super::harness::{Gateway, HOST, SERVER, answer, gateway, request, segment, segment_back};

/// A gateway with a connection by A, which is dead by now.
fn after_failure(on_failure: OnFailure) -> Gateway {
    let mut gateway = gateway();
    gateway.on_failure(on_failure);
    gateway.establish_tcp66();
    gateway.tables.set_alive(B.bit());
    gateway
}

#[test]
fn a_segment_is_answered_by_a_reset() {
    let gateway = after_failure(OnFailure::Reset);
    gateway.resets6(&segment(ACK).build(), (SERVER, HOST), (RST, 2, 0));
    gateway.holds66([2, 0, 0], 2);
    let (_, pin) = gateway.pin66(FlowTable::Established, Masquerade::Out);
    assert_ne!(Mark(pin.out.mark).seen() & Mark::RST, 0);
    // The server is told by the uplink that it knows.
    gateway.delivers66(&segment_back(ACK, &A), &A, HOST);
    gateway.sends66(&segment(RST), &A, HOST.1);
    gateway.sends66(&segment(SYN), &B, HOST.1);
    gateway.delivers66(&segment_back(SYN | ACK, &B), &B, HOST);
}

#[test]
fn only_what_changes_its_address_is_reset() {
    let mut gateway = gateway();
    gateway.on_failure(OnFailure::Reset);
    gateway.establish_tcp66();
    gateway.uplink6(&A).generation += 1;
    gateway.sends66(&segment(ACK), &A, HOST.1);
    let gateway = after_failure(OnFailure::Reset);
    gateway.tables.set_alive(0);
    gateway.tells66(&segment(ACK), DropReason::NoUplink, [1, 0]);
}

#[test]
fn what_is_not_tcp_goes_over_to_another_uplink() {
    let mut gateway = gateway();
    gateway.on_failure(OnFailure::Reset);
    gateway.establish66();
    gateway.tables.set_alive(B.bit());
    gateway.sends66(&request(), &B, HOST.1);
    gateway.delivers66(&answer(&B), &B, HOST);
}

#[test]
fn what_is_held_waits() {
    let gateway = after_failure(OnFailure::Hold);
    gateway.refuses66(lan::IFINDEX, &segment(ACK), DropReason::Held);
    gateway.tables.set_alive(A.bit() | B.bit());
    gateway.sends66(&segment(ACK), &A, HOST.1);
    let mut gateway = after_failure(OnFailure::Hold);
    gateway.uplink6(&A).generation += 1;
    gateway.sends66(&segment(ACK), &B, HOST.1);
}
