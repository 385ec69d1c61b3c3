//! A host of the LAN that is plugged in elsewhere, or has another MAC: what comes for it follows it.

use pointsman_ebpf::abi::{Direction, LanSide, Mac, MacPair, Masquerade};
use pointsman_ebpf::memory::PacketBuilder6;
use pointsman_ebpf::memory::site::{A, MTU, lan};
use pointsman_ebpf::path::FlowTable;
use pointsman_ebpf::verdict::Verdict;

use super::super::moves::{EGRESS, IFINDEX, MAC, NEW_MAC, with_another_port};
use super::harness::{Gateway, HOST, STRANGER, answer, gateway, leaving, reaching, request};

/// A packet of the host's, from its new MAC.
fn moved(packet: PacketBuilder6) -> PacketBuilder6 {
    packet.macs(NEW_MAC, lan::MAC)
}

/// The answer reaches the new MAC.
#[track_caller]
fn follows(gateway: &Gateway, answer: &PacketBuilder6) {
    let output = reaching(answer, HOST).macs(lan::MAC, NEW_MAC);
    gateway.forwards_in(&answer.build(), &A, &output.build());
}

/// Both directions' pins know it, and the flow is no other one.
#[test]
fn an_answered_flow_follows_it() {
    let gateway = gateway();
    gateway.establish66();
    for _ in 0..2 {
        gateway.sends66(&moved(request()), &A, HOST.1);
        follows(&gateway, &answer(&A));
    }
    gateway.holds66([2, 0, 0], 2);
    let side = LanSide::new(MacPair::new(Mac::new(NEW_MAC), Mac::new(lan::MAC)), lan::EGRESS, MTU);
    for masquerade in [Masquerade::Out, Masquerade::In] {
        assert_eq!(gateway.pin66(FlowTable::Established, masquerade).1.lan, side);
    }
}

#[test]
fn one_that_nobody_has_answered_follows_it() {
    let gateway = gateway();
    gateway.sends66(&request(), &A, HOST.1);
    gateway.sends66(&moved(request()), &A, HOST.1);
    gateway.holds66([0, 1, 0], 2);
    follows(&gateway, &answer(&A));
}

/// What was let in as well, from its next packet on at the latest.
#[test]
fn an_invited_flow_follows_it() {
    let gateway = gateway();
    gateway.establish66();
    let unasked = answer(&A).from(STRANGER);
    gateway.delivers66(&unasked, &A, HOST);
    let answered = moved(request().to(STRANGER));
    for _ in 0..2 {
        gateway.sends66(&answered, &A, HOST.1);
    }
    follows(&gateway, &unasked);
}

/// By another interface.
#[test]
fn to_another_port() {
    let gateway = with_another_port(gateway());
    gateway.establish66();
    let packet = request().macs(lan::HOST_MAC, MAC);
    let verdict = Verdict::Forward { egress: A.egress, uplink: A.id, direction: Direction::Out };
    gateway.expect(IFINDEX, &packet.build(), verdict, &leaving(&packet, &A, HOST.1).build());
    let back = answer(&A);
    let output = reaching(&back, HOST).macs(MAC, lan::HOST_MAC).build();
    let verdict = Verdict::Forward { egress: EGRESS, uplink: A.id, direction: Direction::In };
    gateway.expect(A.ifindex, &back.build(), verdict, &output);
    gateway.holds66([2, 0, 0], 2);
}
