//! What becomes of flows whose uplink cannot send, or has another address.

use pointsman_ebpf::abi::{Mark, Masquerade, Opener};
use pointsman_ebpf::memory::site::{A, B, Provider};
use pointsman_ebpf::memory::site6::{Carriage, entry, own};
use pointsman_ebpf::path::FlowTable;
use pointsman_ebpf::verdict::DropReason;
use pointsman_ebpf::wire::tcp_flags::{ACK, SYN};

use super::harness::{
    Gateway, HOST, STRANGER, answer, echo, external_key, gateway, internal_key, other_request,
    public, reply, request, segment, segment_back, unasked,
};

const NO_ROUTE: [u8; 2] = [1, 0];

/// The flow moves, and is known by another address from there on.
#[test]
fn an_established_flow_moves() {
    let gateway = gateway();
    gateway.establish_tcp66();
    gateway.tables.set_alive(B.bit());
    gateway.sends66(&segment(ACK), &B, HOST.1);
    // The old pin to the LAN stays: what is under way by the old uplink arrives.
    gateway.holds66([3, 0, 0], 4);
    gateway.counts_of66(HOST.0, 2);
    let (_, out) = gateway.pin66(FlowTable::Established, Masquerade::Out);
    assert_eq!((out.uplink, out.opener), (B.id, Opener::Lan as u8));
    assert_eq!(out.into.to_address(), entry(own(&B)));
    assert_eq!(Mark(out.out.mark).seen(), Mark::ANY | Mark::ACK);
    gateway.delivers66(&segment_back(ACK, &B), &B, HOST);
    gateway.delivers66(&segment_back(ACK, &A), &A, HOST);
    // It stays there when the uplink comes back.
    gateway.tables.set_alive(A.bit() | B.bit());
    gateway.sends66(&segment(ACK), &B, HOST.1);
    gateway.holds66([3, 0, 0], 4);
    // And goes back when it must: the mapping is still there.
    gateway.tables.set_alive(A.bit());
    gateway.sends66(&segment(ACK), &A, HOST.1);
    gateway.holds66([3, 0, 0], 4);
    gateway.delivers66(&segment_back(ACK, &A), &A, HOST);
}

/// So does an echo, and whatever a segment says.
#[test]
fn whatever_its_packet_is() {
    for flags in [SYN, SYN | ACK] {
        let gateway = gateway();
        gateway.establish_tcp66();
        gateway.tables.set_alive(B.bit());
        gateway.sends66(&segment(flags), &B, HOST.1);
        gateway.holds66([3, 0, 0], 4);
    }
    let gateway = gateway();
    gateway.sends66(&echo(), &A, HOST.1);
    gateway.delivers66(&reply(&A), &A, HOST);
    gateway.tables.set_alive(B.bit());
    gateway.sends66(&echo(), &B, HOST.1);
    gateway.delivers66(&reply(&B), &B, HOST);
    gateway.holds66([3, 0, 0], 4);
}

/// There, another host may have its port.
#[test]
fn to_an_uplink_where_its_port_is_taken() {
    let gateway = gateway();
    gateway.establish66();
    gateway.tables.set_alive(B.bit());
    gateway.sends66(&other_request(), &B, HOST.1);
    let port = super::harness::translated(&gateway, &request()).expect("a port");
    assert_ne!(port, HOST.1);
    gateway.delivers66(&answer(&B).to(public(&B, port)), &B, HOST);
    gateway.delivers66(&answer(&A), &A, HOST);
    gateway.delivers66(&answer(&B), &B, super::harness::OTHER);
}

/// An unanswered flow is opened anew.
#[test]
fn an_unanswered_flow_moves() {
    let gateway = gateway();
    gateway.sends66(&request(), &A, HOST.1);
    gateway.tables.set_alive(B.bit());
    gateway.sends66(&request(), &B, HOST.1);
    gateway.holds66([0, 1, 0], 4);
    let (_, pin) = gateway.pin66(FlowTable::Unreplied, Masquerade::Out);
    assert_eq!((pin.uplink, pin.into.to_address()), (B.id, entry(own(&B))));
    gateway.delivers66(&answer(&B), &B, HOST);
    gateway.holds66([2, 0, 0], 4);
}

/// What comes in by an uplink that is held for dead is good, be it the first answer.
#[test]
fn a_dead_uplink_delivers() {
    let gateway = gateway();
    gateway.sends66(&request(), &A, HOST.1);
    gateway.tables.set_alive(B.bit());
    gateway.delivers66(&answer(&A), &A, HOST);
    gateway.holds66([2, 0, 0], 2);
    gateway.delivers66(&unasked(&A), &A, HOST);
    gateway.holds66([2, 0, 1], 2);
    gateway.sends66(&request(), &B, HOST.1);
    gateway.holds66([3, 0, 1], 4);
}

/// Nobody beyond another uplink knows a flow from outside, whether the LAN has answered it or not.
#[test]
fn a_flow_from_outside() {
    let gateway = gateway();
    gateway.establish66();
    gateway.delivers66(&unasked(&A), &A, HOST);
    let answered = request().to(STRANGER);
    gateway.tables.set_alive(B.bit());
    gateway.tells66(&answered, DropReason::NoUplink, NO_ROUTE);
    gateway.tables.set_alive(A.bit() | B.bit());
    gateway.sends66(&answered, &A, HOST.1);
    gateway.holds66([4, 0, 0], 2);
    gateway.tables.set_alive(B.bit());
    gateway.tells66(&answered, DropReason::NoUplink, NO_ROUTE);
    // The others go over.
    gateway.sends66(&request(), &B, HOST.1);
    gateway.tables.set_alive(A.bit());
    gateway.sends66(&answered, &A, HOST.1);
}

#[test]
fn no_uplink_is_alive() {
    let gateway = gateway();
    gateway.establish66();
    gateway.tables.set_alive(0);
    for packet in [request(), segment(SYN), echo()] {
        gateway.tells66(&packet, DropReason::NoUplink, NO_ROUTE);
    }
}

/// An uplink that its group does not use, and one that carries no IPv6 yet.
#[test]
fn an_uplink_that_is_not_usable() {
    let mut gateway = gateway();
    gateway.tables.group.as_mut().unwrap().usable = B.bit();
    gateway.sends66(&request(), &B, HOST.1);
    let mut gateway = super::harness::gateway();
    gateway.uplink6(&A).generation = 0;
    gateway.tables.set_alive(A.bit());
    gateway.tells66(&request(), DropReason::NoUplink, NO_ROUTE);
}

/// The uplink's address has changed.
fn readdress(gateway: &mut Gateway, by: &Provider) {
    gateway.uplink6(by).generation += 1;
}

/// What was mapped to it is stale: nothing comes in by that, and the next packet opens the flow anew.
#[test]
fn another_generation() {
    let mut gateway = gateway();
    gateway.establish66();
    gateway.delivers66(&unasked(&A), &A, HOST);
    readdress(&mut gateway, &A);
    for packet in [answer(&A), unasked(&A)] {
        gateway.refuses66(A.ifindex, &packet, DropReason::Unsolicited);
    }
    gateway.sends66(&request(), &A, HOST.1);
    gateway.holds66([2, 0, 1], 2);
    gateway.counts_of66(HOST.0, 1);
    for masquerade in [Masquerade::Out, Masquerade::In] {
        let (_, pin) = gateway.pin66(FlowTable::Established, masquerade);
        assert_eq!((pin.uplink, pin.generation), (A.id, 2));
    }
    for key in [external_key(HOST.1, 17, &A), internal_key(HOST, 17, &A)] {
        assert_eq!(gateway.binding66(&key).generation, 2);
    }
    gateway.delivers66(&answer(&A), &A, HOST);
    gateway.delivers66(&unasked(&A), &A, HOST);
    gateway.sends66(&request().to(STRANGER), &A, HOST.1);
    gateway.holds66([4, 0, 0], 2);
}

/// The same before anybody has answered.
#[test]
fn another_generation_of_an_unanswered_flow() {
    let mut gateway = gateway();
    gateway.sends66(&segment(SYN), &A, HOST.1);
    readdress(&mut gateway, &A);
    let answer = segment_back(SYN | ACK, &A);
    gateway.refuses66(A.ifindex, &answer, DropReason::Unsolicited);
    gateway.sends66(&segment(SYN), &A, HOST.1);
    gateway.holds66([0, 1, 0], 2);
    gateway.delivers66(&answer, &A, HOST);
    gateway.holds66([2, 0, 0], 2);
}

/// A flow that another host had with the old address does not come to who has the port now.
#[test]
fn a_stale_pin_of_another_host() {
    let mut gateway = gateway();
    gateway.establish66();
    readdress(&mut gateway, &A);
    for (key, _) in gateway.tables.bindings() {
        gateway.tables.remove_binding(&key);
    }
    gateway.sends66(&other_request(), &A, HOST.1);
    gateway.delivers66(&answer(&A), &A, super::harness::OTHER);
    gateway.holds66([3, 0, 0], 2);
}

/// It carries IPv6 otherwise: what was masqueraded is so no more.
#[test]
fn another_mode() {
    let mut gateway = gateway();
    gateway.establish66();
    let other = pointsman_ebpf::memory::site6::gateway(
        pointsman_ebpf::memory::site::prefer_a,
        [Carriage::Nptv6(48), Carriage::Nat66],
    );
    gateway.tables.ipv6.prefixes = other.ipv6.prefixes.clone();
    *gateway.uplink6(&A) = other.ipv6.uplinks[usize::from(A.id)];
    readdress(&mut gateway, &A);
    // To the gateway itself, as far as the uplink knows.
    use pointsman_ebpf::verdict::PassReason;
    gateway.passes(A.ifindex, &answer(&A).build(), PassReason::Local);
    gateway.sends6(&request(), &A, super::super::ipv6::HOST_A);
}
