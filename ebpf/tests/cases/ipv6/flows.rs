//! Flows that the LAN opens: what makes one, what answers it, and what is noted of it.

use pointsman_ebpf::abi::{Mark, Opener};
use pointsman_ebpf::memory::site::{A, B, lan};
use pointsman_ebpf::memory::site6::Carriage;
use pointsman_ebpf::memory::{Body6, PacketBuilder6};
use pointsman_ebpf::path::FlowTable;
use pointsman_ebpf::verdict::DropReason;
use pointsman_ebpf::wire::tcp_flags::{ACK, FIN, RST, SYN};

use super::super::handshakes::at_once;
use super::harness::{
    HOST, HOST_A, HOST_B, HOST_OF_B, HOST_ROUTED, SERVER, STRANGER, TRANSLATED, answer, coming,
    from_other, gateway, request, segment, segment_back,
};

#[test]
fn an_answer_establishes() {
    let gateway = gateway(TRANSLATED);
    gateway.sends6(&request(), &A, HOST_A);
    gateway.holds6([0, 1, 0]);
    gateway.sends6(&request(), &A, HOST_A);
    gateway.holds6([0, 1, 0]);
    let unreplied = gateway.pin6(FlowTable::Unreplied);
    gateway.delivers6(&answer(HOST_A, &A), &A, HOST.0);
    gateway.holds6([1, 0, 0]);
    let pin = gateway.pin6(FlowTable::Established);
    assert_eq!((pin.uplink, pin.opener), (A.id, Opener::Lan as u8));
    assert_eq!((pin.lan, pin.created), (unreplied.lan, unreplied.created));
    assert_eq!((Mark(pin.out.mark).seen(), Mark(pin.into.mark).seen()), (Mark::ANY, Mark::ANY));
}

/// An answer by the other uplink is one all the same: the flow stays where it was pinned.
#[test]
fn an_answer_by_the_other_uplink() {
    let gateway = gateway(TRANSLATED);
    gateway.sends6(&request(), &A, HOST_A);
    gateway.delivers6(&answer(HOST_B, &B), &B, HOST.0);
    gateway.holds6([1, 0, 0]);
    gateway.sends6(&request(), &A, HOST_A);
}

/// A reset is delivered, and does not establish what it refuses.
#[test]
fn a_reset_refuses() {
    let gateway = gateway(TRANSLATED);
    gateway.sends6(&segment(SYN), &A, HOST_A);
    gateway.delivers6(&segment_back(RST | ACK, HOST_A, &A), &A, HOST.0);
    gateway.holds6([0, 1, 0]);
    let pin = gateway.pin6(FlowTable::Unreplied);
    assert_eq!(Mark(pin.into.mark).seen(), Mark::ANY | Mark::ACK | Mark::RST);
}

/// What only continues opens nothing, and is sent where there is a flow.
#[test]
fn what_only_continues() {
    let gateway = gateway(TRANSLATED);
    let reset = segment(RST);
    let reply = PacketBuilder6::new(HOST, SERVER, Body6::Echo { reply: true });
    gateway.refuses6(lan::IFINDEX, &reset, DropReason::Unsolicited);
    gateway.refuses6(lan::IFINDEX, &reply, DropReason::Unsolicited);
    gateway.sends6(&segment(SYN), &A, HOST_A);
    gateway.sends6(&reset, &A, HOST_A);
    gateway.holds6([0, 1, 0]);
}

/// A segment in mid-stream opens a flow, as for IPv4.
#[test]
fn a_segment_in_mid_stream_opens() {
    for flags in [ACK, FIN | ACK, SYN | ACK, 0] {
        let gateway = gateway(TRANSLATED);
        gateway.sends6(&segment(flags), &A, HOST_A);
        gateway.holds6([0, 1, 0]);
    }
}

/// Address, port and protocol of either end tell flows apart.
#[test]
fn flows_are_told_apart() {
    let gateway = gateway(TRANSLATED);
    gateway.sends6(&request(), &A, HOST_A);
    gateway.sends6(&request().from((HOST.0, 5001)), &A, HOST_A);
    gateway.sends6(&request().to((SERVER.0, 444)), &A, HOST_A);
    gateway.sends6(&request().to(STRANGER), &A, HOST_A);
    gateway.sends6(&segment(SYN), &A, HOST_A);
    gateway.holds6([0, 5, 0]);
    let closed = DropReason::Filtered;
    gateway.refuses6(A.ifindex, &answer(HOST_A, &A).from((SERVER.0, 445)), closed);
    gateway.refuses6(A.ifindex, &answer(HOST_A, &A).from((STRANGER.0, 443)), closed);
    gateway.refuses6(A.ifindex, &answer(HOST_A, &A).to((HOST_A, 5002)), closed);
    gateway.delivers6(&segment_back(SYN | ACK, HOST_A, &A), &A, HOST.0);
    gateway.holds6([1, 4, 0]);
}

/// An echo is known by its identifier: that of another is not its answer.
#[test]
fn an_echo_is_known_by_its_identifier() {
    let gateway = gateway(TRANSLATED);
    let echo = |reply| Body6::Echo { reply };
    gateway.sends6(&PacketBuilder6::new(HOST, SERVER, echo(false)), &A, HOST_A);
    let reply =
        |identifier| coming(PacketBuilder6::new(SERVER, (HOST_A, identifier), echo(true)), &A);
    gateway.refuses6(A.ifindex, &reply(HOST.1 + 1), DropReason::Filtered);
    gateway.delivers6(&reply(HOST.1), &A, HOST.0);
    gateway.holds6([1, 0, 0]);
    // An echo of another code is none (RFC 4443 section 4.1).
    let odd = PacketBuilder6::new(HOST, SERVER, Body6::Message([128, 1], [0x13, 0x88, 0, 1]));
    gateway.refuses6(lan::IFINDEX, &odd, DropReason::Icmp);
}

/// Either direction is noted by itself, and FIN and RST are.
#[test]
fn what_has_passed_is_noted() {
    let gateway = gateway(TRANSLATED);
    gateway.establish_tcp6();
    let pin = gateway.pin6(FlowTable::Established);
    assert_eq!(Mark(pin.out.mark).seen(), Mark::ANY | Mark::ACK);
    assert_eq!(Mark(pin.into.mark).seen(), Mark::ANY);
    gateway.sends6(&segment(FIN | ACK), &A, HOST_A);
    gateway.delivers6(&segment_back(ACK, HOST_A, &A), &A, HOST.0);
    let pin = gateway.pin6(FlowTable::Established);
    assert_eq!(Mark(pin.out.mark).seen(), Mark::ANY | Mark::ACK | Mark::FIN);
    assert_eq!(Mark(pin.into.mark).seen(), Mark::ANY | Mark::ACK);
    // A reset out of nowhere ends nothing (RFC 5961).
    gateway.delivers6(&segment_back(RST, HOST_A, &A).sequence(0x8000_0000), &A, HOST.0);
    assert_eq!(Mark(gateway.pin6(FlowTable::Established).into.mark).seen(), Mark::ANY | Mark::ACK);
    gateway.delivers6(&segment_back(RST, HOST_A, &A).sequence(9), &A, HOST.0);
    let seen = Mark(gateway.pin6(FlowTable::Established).into.mark).seen();
    assert_eq!(seen, Mark::ANY | Mark::ACK | Mark::RST);
}

/// A table of established flows that is full refuses the answer, whose sender is not told. The flow
/// stays unanswered.
#[test]
fn no_room_for_an_answered_flow() {
    let gateway = gateway(TRANSLATED).only_on_host();
    gateway.establish6();
    gateway.tables.ipv6.set_pin_capacity(FlowTable::Established, 1);
    gateway.sends6(&segment(SYN), &A, HOST_A);
    let back = segment_back(SYN | ACK, HOST_A, &A);
    gateway.refuses6(A.ifindex, &back, DropReason::FlowTableFull);
    gateway.holds6([1, 1, 0]);
}

/// Of unanswered ones the oldest goes.
#[test]
fn no_room_for_an_unanswered_flow() {
    let gateway = gateway(TRANSLATED).only_on_host();
    gateway.tables.ipv6.set_pin_capacity(FlowTable::Unreplied, 2);
    for port in 1..=3 {
        gateway.sends6(&request().from((HOST.0, port)), &A, HOST_A);
    }
    gateway.holds6([0, 2, 0]);
    let closed = DropReason::Filtered;
    gateway.refuses6(A.ifindex, &answer(HOST_A, &A).to((HOST_A, 1)), closed);
    gateway.delivers6(&answer(HOST_A, &A).to((HOST_A, 2)), &A, HOST.0);
}

/// A flow is pinned to the uplink of its prefix alone.
#[test]
fn each_prefix_has_its_uplinks() {
    let gateway = gateway([Carriage::Nptv6(48), Carriage::Source]);
    gateway.sends6(&request(), &A, HOST_A);
    gateway.sends6(&request().from_address(HOST_OF_B), &B, HOST_OF_B);
    gateway.holds6([0, 2, 0]);
    gateway.delivers6(&answer(HOST_OF_B, &B), &B, HOST_OF_B);
}

/// What two hosts send goes back to the MAC of each.
#[test]
fn each_host_has_its_mac() {
    let gateway = gateway([Carriage::Routed; 2]);
    let own = request().from_address(HOST_ROUTED);
    gateway.sends6(&own, &A, HOST_ROUTED);
    let other = from_other(own.clone().from((HOST_ROUTED, 6000)));
    gateway.sends6(&other, &A, HOST_ROUTED);
    gateway.delivers6(&answer(HOST_ROUTED, &A), &A, HOST_ROUTED);
    let back = answer(HOST_ROUTED, &A).to((HOST_ROUTED, 6000));
    let reached = back.clone().macs(lan::MAC, lan::OTHER_MAC).hop_limit(63);
    gateway.forwards_in(&back.build(), &A, &reached.build());
}

/// Whether its addresses are translated or not.
#[test]
fn a_handshake_is_timed() {
    let translated = gateway(TRANSLATED);
    translated.establish_tcp6();
    translated.has_timed(&A, &at_once());
    let routed = gateway([Carriage::Routed; 2]);
    routed.sends6(&segment(SYN).from_address(HOST_ROUTED), &A, HOST_ROUTED);
    routed.delivers6(&segment_back(SYN | ACK, HOST_ROUTED, &A), &A, HOST_ROUTED);
    routed.has_timed(&A, &at_once());
}
