//! What becomes of flows whose uplink cannot send, or has another prefix.

use pointsman_ebpf::abi::{Mark, Opener};
use pointsman_ebpf::memory::site::{A, B, lan};
use pointsman_ebpf::memory::site6::Carriage;
use pointsman_ebpf::path::FlowTable;
use pointsman_ebpf::verdict::DropReason;
use pointsman_ebpf::wire::tcp_flags::{ACK, RST, SYN};

use super::harness::{
    HOST, HOST_A, HOST_B, HOST_OF_A, HOST_ROUTED, TRANSLATED, answer, gateway, open_gateway,
    request, segment, segment_back,
};
use super::invitations::invite;

/// The flow moves, stays established, and what came in is not forgotten.
#[test]
fn an_established_flow_moves() {
    let gateway = gateway(TRANSLATED);
    gateway.establish_tcp6();
    let before = gateway.pin6(FlowTable::Established);
    gateway.tables.set_alive(B.bit());
    gateway.sends6(&segment(ACK), &B, HOST_B);
    gateway.holds6([1, 0, 0]);
    let pin = gateway.pin6(FlowTable::Established);
    assert_eq!((pin.uplink, pin.opener, pin.into), (B.id, Opener::Lan as u8, before.into));
    // It stays there when the uplink comes back.
    gateway.tables.set_alive(A.bit() | B.bit());
    gateway.sends6(&segment(ACK), &B, HOST_B);
    // What is still under way by the old one arrives.
    gateway.delivers6(&segment_back(ACK, HOST_A, &A), &A, HOST.0);
}

/// So does one by a reset, which only continues, and by a SYN, which starts.
#[test]
fn whatever_its_packet_is() {
    for flags in [RST, SYN, SYN | ACK] {
        let gateway = gateway(TRANSLATED);
        gateway.establish_tcp6();
        gateway.tables.set_alive(B.bit());
        gateway.sends6(&segment(flags), &B, HOST_B);
        gateway.holds6([1, 0, 0]);
    }
}

/// The prefix has changed: what was pinned to the uplink before is so no more.
#[test]
fn another_generation() {
    let mut gateway = gateway(TRANSLATED);
    gateway.establish6();
    gateway.uplink6(&A).generation += 1;
    gateway.sends6(&request(), &A, HOST_A);
    let pin = gateway.pin6(FlowTable::Established);
    assert_eq!((pin.uplink, pin.generation), (A.id, 2));
}

/// An unanswered flow is opened anew.
#[test]
fn an_unanswered_flow_moves() {
    let gateway = gateway(TRANSLATED);
    gateway.sends6(&request(), &A, HOST_A);
    gateway.tables.set_alive(B.bit());
    gateway.sends6(&request(), &B, HOST_B);
    gateway.holds6([0, 1, 0]);
    assert_eq!(gateway.pin6(FlowTable::Unreplied).uplink, B.id);
    // What only continues does not move it.
    gateway.tables.set_alive(A.bit());
    let reset = segment(RST);
    gateway.refuses6(lan::IFINDEX, &reset, DropReason::Unsolicited);
}

/// What comes in by an uplink that is held for dead is good.
#[test]
fn a_dead_uplink_delivers() {
    let gateway = gateway(TRANSLATED);
    gateway.sends6(&request(), &A, HOST_A);
    gateway.tables.set_alive(B.bit());
    gateway.delivers6(&answer(HOST_A, &A), &A, HOST.0);
    gateway.holds6([1, 0, 0]);
}

/// Nobody beyond another uplink knows a flow from outside, unless the prefix is the site's own.
#[test]
fn a_flow_from_outside() {
    let translated = open_gateway(TRANSLATED);
    translated.delivers6(&answer(HOST_A, &A), &A, HOST.0);
    translated.sends6(&request(), &A, HOST_A);
    translated.tables.set_alive(B.bit());
    let reason = DropReason::NoUplink;
    translated.tells6(lan::IFINDEX, &request().build(), reason, [1, 0], [0; 4]);
    translated.tables.set_alive(A.bit());
    translated.sends6(&request(), &A, HOST_A);

    let routed = open_gateway([Carriage::Routed; 2]);
    invite(&routed);
    routed.tables.set_alive(B.bit());
    let segment = segment(ACK).from_address(HOST_ROUTED);
    routed.sends6(&segment, &B, HOST_ROUTED);
    let pin = routed.pin6(FlowTable::Established);
    assert_eq!((pin.uplink, pin.opener), (B.id, Opener::Remote as u8));
}

/// One that nobody in the LAN has answered yet moves likewise, and waits for an answer from outside
/// then.
#[test]
fn an_invitation_whose_uplink_is_dead() {
    let gateway = open_gateway([Carriage::Routed; 2]);
    gateway.delivers6(&segment_back(SYN, HOST_ROUTED, &A), &A, HOST_ROUTED);
    gateway.tables.set_alive(B.bit());
    gateway.sends6(&segment(SYN | ACK).from_address(HOST_ROUTED), &B, HOST_ROUTED);
    gateway.holds6([0, 1, 1]);
    let pin = gateway.pin6(FlowTable::Unreplied);
    assert_eq!((pin.uplink, pin.opener), (B.id, Opener::Remote as u8));
    assert_eq!(Mark(pin.into.mark).seen(), Mark::ANY);
    gateway.delivers6(&segment_back(ACK, HOST_ROUTED, &B), &B, HOST_ROUTED);
    gateway.holds6([1, 0, 1]);
}

/// No uplink: the sender is told at once, and by which code says whether another source address would
/// do (RFC 8678 section 5.2).
#[test]
fn no_uplink_is_alive() {
    let translated = gateway(TRANSLATED);
    translated.establish6();
    translated.tables.set_alive(0);
    for packet in [request(), segment(SYN)] {
        let reason = DropReason::NoUplink;
        translated.tells6(lan::IFINDEX, &packet.build(), reason, [1, 0], [0; 4]);
    }
    let bound = gateway([Carriage::Source; 2]);
    bound.tables.set_alive(B.bit());
    let packet = request().from_address(HOST_OF_A);
    bound.tells6(lan::IFINDEX, &packet.build(), DropReason::SourceUplinkDown, [1, 5], [0; 4]);
}

/// An uplink that carries no IPv6 yet, though its prefix is configured.
#[test]
fn an_uplink_without_a_generation() {
    let mut gateway = gateway([Carriage::Source; 2]);
    gateway.uplink6(&A).generation = 0;
    let packet = request().from_address(HOST_OF_A);
    gateway.tells6(lan::IFINDEX, &packet.build(), DropReason::SourceUplinkDown, [1, 5], [0; 4]);
}

/// An uplink that its group does not use.
#[test]
fn an_uplink_that_is_not_usable() {
    let mut gateway = gateway(TRANSLATED);
    gateway.tables.group.as_mut().unwrap().usable = B.bit();
    gateway.sends6(&request(), &B, HOST_B);
}

/// An uplink whose deadline has passed, in spite of the daemon's word.
#[test]
fn a_late_uplink() {
    let gateway = gateway(TRANSLATED);
    gateway.establish_tcp6();
    gateway.miss(&[A]);
    gateway.sends6(&segment(ACK), &B, HOST_B);
    gateway.sends6(&request(), &B, HOST_B);
    gateway.miss(&[B]);
    gateway.sends6(&segment(ACK), &B, HOST_B);
}
