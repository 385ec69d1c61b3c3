//! What becomes of flows whose uplink cannot send: they go on by another one, as they are.

use pointsman_ebpf::abi::{Mark, Opener};
use pointsman_ebpf::memory::PacketBuilder;
use pointsman_ebpf::memory::routed::{self, Carriage};
use pointsman_ebpf::memory::site::{A, B};
use pointsman_ebpf::path::FlowTable;
use pointsman_ebpf::verdict::DropReason;
use pointsman_ebpf::wire::tcp_flags::{ACK, RST, SYN};

use super::harness::{
    BOTH_ROUTE, HOST, SERVER, Sizes, answer, coming, gateway, request, segment, segment_back,
};

const NO_ROUTE: [u8; 2] = [3, 0];

/// An established connection goes on unchanged, comes back by whichever uplink, and stays where it is
/// when its first one is back. What came in is not forgotten.
#[test]
fn an_established_flow_moves() {
    let gateway = gateway(BOTH_ROUTE);
    gateway.connect(&A);
    gateway.admits(&segment_back(ACK, &A), &A);
    let [_, before] = gateway.pair(HOST);
    gateway.tables.set_alive(B.bit());
    gateway.routes(&segment(ACK), &B);
    let [out, into] = gateway.pair(HOST);
    for flow in [out, into] {
        assert_eq!((flow.uplink, flow.opener), (64 + B.id, Opener::Lan as u8));
    }
    assert_eq!((into.mark, into.progress), (before.mark, before.progress));
    gateway.admits(&segment_back(ACK, &B), &B);
    gateway.admits(&segment_back(ACK, &A), &A);
    gateway.tables.set_alive(A.bit() | B.bit());
    gateway.routes(&segment(ACK), &B);
    gateway.holds(Sizes { established: 2, ..Sizes::default() });
}

/// So does one by a reset, which only continues, and by a SYN, which starts.
#[test]
fn whatever_its_packet_is() {
    for flags in [RST, SYN, SYN | ACK] {
        let gateway = gateway(BOTH_ROUTE);
        gateway.connect(&A);
        gateway.tables.set_alive(B.bit());
        gateway.routes(&segment(flags), &B);
        gateway.holds(Sizes { established: 2, ..Sizes::default() });
    }
}

/// One that nobody has answered is opened anew; what only continues opens nothing.
#[test]
fn an_unanswered_flow_moves() {
    let gateway = gateway(BOTH_ROUTE);
    gateway.routes(&request(), &A);
    gateway.tables.set_alive(B.bit());
    gateway.refuses(&segment(RST), DropReason::Unsolicited);
    gateway.routes(&request(), &B);
    gateway.holds(Sizes { unreplied: 1, ..Sizes::default() });
    gateway.counts_of(routed::HOST, 0, 1);
    // What is under way by the first uplink arrives.
    gateway.admits(&answer(&A), &A);
    let [out, _] = gateway.pair(HOST);
    assert_eq!(out.uplink, 64 + B.id);
}

/// One from outside moves as well: beyond the other uplink, it is known by the same address.
#[test]
fn a_flow_from_outside_moves() {
    let gateway = gateway(BOTH_ROUTE);
    gateway.admits(&segment_back(SYN, &A), &A);
    gateway.routes(&segment(SYN | ACK), &A);
    gateway.tables.set_alive(B.bit());
    gateway.routes(&segment(ACK), &B);
    let [out, into] = gateway.pair(HOST);
    for flow in [out, into] {
        assert_eq!((flow.uplink, flow.opener), (64 + B.id, Opener::Remote as u8));
    }
    gateway.admits(&segment_back(ACK, &B), &B);
}

/// And one from outside that the LAN answers only now, by an echo reply too, which opens nothing.
#[test]
fn an_invitation_whose_uplink_is_dead() {
    let echo = coming(PacketBuilder::echo_request(SERVER, routed::HOST), &A);
    let reply = PacketBuilder::echo_reply(routed::HOST, SERVER);
    for (asked, taken) in [(segment_back(SYN, &A), segment(SYN | ACK)), (echo, reply)] {
        let gateway = gateway(BOTH_ROUTE);
        gateway.admits(&asked, &A);
        gateway.tables.set_alive(B.bit());
        gateway.routes(&taken, &B);
        gateway.holds(Sizes { established: 2, ..Sizes::default() });
        let (_, into) = gateway.entry(FlowTable::Established, pointsman_ebpf::abi::Direction::In);
        assert_eq!((into.uplink, into.opener), (64 + B.id, Opener::Remote as u8));
        assert_eq!(Mark(into.mark).seen(), Mark::ANY);
    }
    // A refusal leaves, and establishes nothing.
    let gateway = gateway(BOTH_ROUTE);
    gateway.admits(&segment_back(SYN, &A), &A);
    gateway.tables.set_alive(B.bit());
    gateway.routes(&segment(RST | ACK), &B);
    gateway.holds(Sizes { invited: 1, ..Sizes::default() });
}

/// The uplink routes something else by now: its flows are looked at anew.
#[test]
fn another_generation() {
    let mut gateway = gateway(BOTH_ROUTE);
    gateway.connect(&A);
    gateway.routed_side(&A).generation = 2;
    // What comes in meanwhile is delivered.
    gateway.admits(&segment_back(ACK, &A), &A);
    gateway.routes(&segment(ACK), &A);
    let [out, into] = gateway.pair(HOST);
    assert_eq!([out.generation, into.generation], [2; 2]);
    gateway.routed_side(&A).generation = 0;
    gateway.tells(&segment(ACK), DropReason::NoUplink, NO_ROUTE, [0; 4]);
    gateway.admits(&segment_back(ACK, &A), &A);
}

/// Another address for translation does not concern what is routed.
#[test]
fn another_public_address() {
    let mut gateway = gateway([Carriage::Both; 2]);
    gateway.connect(&A);
    gateway.readdress(&A, [203, 0, 113, 9].into());
    let before = gateway.flows();
    gateway.routes(&segment(ACK), &A);
    gateway.admits(&segment_back(ACK, &A), &A);
    let same = |flows: &[Vec<_>; 4]| flows.iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(same(&gateway.flows()), same(&before));
    assert_eq!(gateway.pair(HOST)[0].uplink, 64 + A.id);
}

/// No uplink that routes the prefix is alive: the sender is told, of new and of old flows.
#[test]
fn no_uplink_is_alive() {
    let gateway = gateway([Carriage::Routed, Carriage::Nat44]);
    gateway.connect(&A);
    gateway.tables.set_alive(B.bit());
    for packet in [segment(ACK), request(), segment(SYN)] {
        gateway.tells(&packet, DropReason::NoUplink, NO_ROUTE, [0; 4]);
    }
}

/// An uplink whose deadline has passed, in spite of the daemon's word.
#[test]
fn a_late_uplink() {
    let gateway = gateway(BOTH_ROUTE);
    gateway.connect(&A);
    gateway.miss(&[A]);
    gateway.routes(&segment(ACK), &B);
    gateway.routes(&request(), &B);
    gateway.miss(&[B]);
    gateway.routes(&segment(ACK), &B);
}
