//! What comes in that nobody has asked for (RFC 6092 section 3).

use pointsman_ebpf::abi::{Mark, Opener};
use pointsman_ebpf::memory::site::{A, B};
use pointsman_ebpf::memory::site6::{self, Carriage, ROUTED, within};
use pointsman_ebpf::memory::{Body6, PacketBuilder6};
use pointsman_ebpf::path::FlowTable;
use pointsman_ebpf::verdict::DropReason;
use pointsman_ebpf::wire::tcp_flags::{ACK, RST, SYN};

use super::harness::{
    Gateway, HOST, HOST_A, HOST_ROUTED, SERVER, STRANGER, TRANSLATED, answer, coming, gateway,
    open_gateway, request, segment, segment_back,
};

/// Somebody outside opens a connection, which the LAN's first host answers.
#[track_caller]
pub(super) fn invite(gateway: &Gateway) {
    gateway.delivers6(&segment_back(SYN, HOST_ROUTED, &A), &A, HOST_ROUTED);
    gateway.holds6([0, 0, 1]);
    gateway.sends6(&segment(SYN | ACK).from_address(HOST_ROUTED), &A, HOST_ROUTED);
    gateway.holds6([1, 0, 0]);
}

#[test]
fn nothing_unasked_where_answers_are_all_that_comes_in() {
    for carriage in [TRANSLATED, [Carriage::Routed; 2]] {
        let gateway = gateway(carriage);
        let to = if carriage == TRANSLATED { HOST_A } else { HOST_ROUTED };
        gateway.refuses6(A.ifindex, &answer(to, &A), DropReason::Filtered);
        gateway.refuses6(A.ifindex, &segment_back(SYN, to, &A), DropReason::Filtered);
    }
}

/// The answer of the LAN's host establishes the flow, which is noted to be opened from outside.
#[test]
fn an_invitation_that_is_taken() {
    let gateway = open_gateway([Carriage::Routed; 2]);
    invite(&gateway);
    let pin = gateway.pin6(FlowTable::Established);
    assert_eq!((pin.uplink, pin.opener), (A.id, Opener::Remote as u8));
    assert_eq!(Mark(pin.into.mark).seen(), Mark::ANY);
    assert_eq!(Mark(pin.out.mark).seen(), Mark::ANY);
    gateway.delivers6(&segment_back(ACK, HOST_ROUTED, &A), &A, HOST_ROUTED);
}

/// With NPTv6 it is answered from the address that it was sent to, though the group prefers A.
#[test]
fn an_invitation_by_the_uplink_that_is_not_preferred() {
    let gateway = open_gateway(TRANSLATED);
    let to = super::harness::HOST_B;
    gateway.delivers6(&answer(to, &B), &B, HOST.0);
    gateway.holds6([0, 0, 1]);
    gateway.delivers6(&answer(to, &B), &B, HOST.0);
    gateway.sends6(&request(), &B, to);
    gateway.holds6([1, 0, 0]);
}

/// A reset leaves, and the flow is not established.
#[test]
fn an_invitation_that_is_refused() {
    let gateway = open_gateway(TRANSLATED);
    gateway.delivers6(&segment_back(SYN, HOST_A, &A), &A, HOST.0);
    gateway.sends6(&segment(RST | ACK), &A, HOST_A);
    gateway.holds6([0, 0, 1]);
}

/// An echo from outside, and the host's reply.
#[test]
fn an_echo_is_answered() {
    let gateway = open_gateway(TRANSLATED);
    let echo = |reply| Body6::Echo { reply };
    let asked = coming(PacketBuilder6::new((SERVER.0, 77), (HOST_A, 0), echo(false)), &A);
    gateway.delivers6(&asked, &A, HOST.0);
    gateway.sends6(&PacketBuilder6::new(HOST, (SERVER.0, 77), echo(true)), &A, HOST_A);
    gateway.holds6([1, 0, 0]);
}

/// What only continues invites to nothing.
#[test]
fn what_only_continues() {
    let gateway = open_gateway(TRANSLATED);
    let reset = segment_back(RST, HOST_A, &A);
    gateway.refuses6(A.ifindex, &reset, DropReason::Unsolicited);
    let reply = Body6::Echo { reply: true };
    let reply = coming(PacketBuilder6::new(SERVER, (HOST_A, 7), reply), &A);
    gateway.refuses6(A.ifindex, &reply, DropReason::Unsolicited);
    // Of an invitation, it is delivered.
    gateway.delivers6(&segment_back(SYN, HOST_A, &A), &A, HOST.0);
    gateway.delivers6(&reset, &A, HOST.0);
    gateway.holds6([0, 0, 1]);
}

/// To hosts that the kernel knows no MAC of, or no way to.
#[test]
fn nobody_there() {
    let gateway = open_gateway([Carriage::Routed; 2]);
    let silent = answer(within(ROUTED, site6::SILENT), &A);
    gateway.refuses6(A.ifindex, &silent, DropReason::NeighbourUnknown);
    let nowhere = answer(within(ROUTED, [2, 0, 0, 0, 2]), &A);
    gateway.refuses6(A.ifindex, &nowhere, DropReason::NoLanRoute);
}

/// A flood from outside pushes out invitations only.
#[test]
fn a_flood_of_invitations() {
    let gateway = open_gateway(TRANSLATED).only_on_host();
    gateway.tables.ipv6.set_pin_capacity(FlowTable::Invited, 2);
    gateway.establish6();
    gateway.sends6(&request().to(STRANGER), &A, HOST_A);
    for port in 1..=5 {
        gateway.delivers6(&answer(HOST_A, &A).from((STRANGER.0, port)), &A, HOST.0);
    }
    gateway.holds6([1, 1, 2]);
}
