//! Flows that the LAN opens: what makes one, what answers it, and what is noted of it.

use pointsman_ebpf::abi::{L4Port, Mark, Masquerade, Opener};
use pointsman_ebpf::memory::site::{A, B, lan};
use pointsman_ebpf::memory::site6::{entry, own};
use pointsman_ebpf::memory::{Body6, DIGEST_KEY, PacketBuilder6};
use pointsman_ebpf::path::{FlowTable, Tables6 as _};
use pointsman_ebpf::verdict::{DropReason, PassReason};
use pointsman_ebpf::wire::tcp_flags::{ACK, FIN, RST, SYN};

use super::super::handshakes::at_once;
use super::harness::{
    Gateway, HOST, OTHER, SERVER, STRANGER, answer, coming, echo, from_other, gateway, leaving,
    other_request, public, reaching, reply, request, segment, segment_back, translated,
};

/// One pin until somebody answers, and then one for either direction.
#[test]
fn an_answer_establishes() {
    let gateway = gateway();
    gateway.sends66(&request(), &A, HOST.1);
    gateway.holds66([0, 1, 0], 2);
    gateway.sends66(&request(), &A, HOST.1);
    gateway.holds66([0, 1, 0], 2);
    let (key, unreplied) = gateway.pin66(FlowTable::Unreplied, Masquerade::Out);
    gateway.delivers66(&answer(&A), &A, HOST);
    gateway.holds66([2, 0, 0], 2);
    let (out_key, out) = gateway.pin66(FlowTable::Established, Masquerade::Out);
    let (in_key, into) = gateway.pin66(FlowTable::Established, Masquerade::In);
    assert_eq!((out_key, out), (key, unreplied));
    assert_eq!(out.peer(&DIGEST_KEY, &out_key), in_key);
    assert_eq!(into.peer(&DIGEST_KEY, &in_key), out_key);
    for pin in [out, into] {
        assert_eq!((pin.inside, pin.outside), (entry(HOST.0), entry(SERVER.0)));
        assert_eq!((pin.uplink, pin.generation, pin.opener), (A.id, 1, Opener::Lan as u8));
        assert_eq!((pin.lan, pin.created), (unreplied.lan, unreplied.created));
        assert_eq!(pin.port, L4Port::from_host(HOST.1));
    }
    assert_eq!(out.into.to_address(), entry(own(&A)));
    assert_eq!((Mark(out.out.mark).seen(), Mark(into.into.mark).seen()), (Mark::ANY, Mark::ANY));
    // And on.
    gateway.sends66(&request(), &A, HOST.1);
    gateway.delivers66(&answer(&A), &A, HOST);
    gateway.holds66([2, 0, 0], 2);
}

#[test]
fn an_echo_is_answered() {
    let gateway = gateway();
    for _ in 0..2 {
        gateway.sends66(&echo(), &A, HOST.1);
        gateway.delivers66(&reply(&A), &A, HOST);
    }
    gateway.holds66([2, 0, 0], 2);
    // The reply to another identifier is of none of them.
    let other = reply(&A).to(public(&A, HOST.1 + 1)).build();
    gateway.passes(A.ifindex, &other, PassReason::Local);
    // The LAN answers no echo that has not come in.
    let reply = PacketBuilder6::new(HOST, SERVER, Body6::Echo { reply: true });
    gateway.refuses66(lan::IFINDEX, &reply, DropReason::Unsolicited);
}

/// RFC 4787 section 4.2: they have the port in common, and beyond the uplink they do not.
#[test]
fn two_hosts_with_the_same_port() {
    for (mine, theirs) in [
        (request(), other_request()),
        (segment(SYN), from_other(PacketBuilder6::tcp(OTHER, SERVER, SYN))),
        (echo(), from_other(PacketBuilder6::new(OTHER, SERVER, Body6::Echo { reply: false }))),
    ] {
        let gateway = gateway();
        gateway.sends66(&mine, &A, HOST.1);
        let port = translated(&gateway, &theirs).expect("a port");
        assert_ne!(port, HOST.1);
        // RFC 4787 REQ-4.
        assert_eq!(port % 2, HOST.1 % 2);
        gateway.sends66(&theirs, &A, port);
        gateway.holds66([0, 2, 0], 4);
        for (sent, port, host) in [(&mine, HOST.1, HOST), (&theirs, port, OTHER)] {
            let back = pointsman_ebpf::memory::answer_to6(&leaving(sent, &A, port).build());
            let at_host = pointsman_ebpf::memory::answer_to6(&sent.build());
            let mut output = at_host;
            output[..12].copy_from_slice(&reaching(sent, host).build()[..12]);
            output[21] = 63;
            gateway.forwards_in(&back, &A, &output);
        }
        gateway.holds66([4, 0, 0], 4);
        gateway.sends66(&theirs, &A, port);
        gateway.sends66(&mine, &A, HOST.1);
    }
}

/// A reset is delivered, and does not establish what it refuses.
#[test]
fn a_reset_refuses() {
    let gateway = gateway();
    gateway.sends66(&segment(SYN), &A, HOST.1);
    gateway.delivers66(&segment_back(RST | ACK, &A), &A, HOST);
    gateway.holds66([0, 1, 0], 2);
    // Whoever tries again may be answered.
    gateway.sends66(&segment(SYN), &A, HOST.1);
    gateway.delivers66(&segment_back(SYN | ACK, &A), &A, HOST);
    gateway.holds66([2, 0, 0], 2);
}

/// What only continues opens nothing, and is sent where there is a flow.
#[test]
fn what_only_continues() {
    let gateway = gateway();
    gateway.refuses66(lan::IFINDEX, &segment(RST), DropReason::Unsolicited);
    gateway.sends66(&segment(SYN), &A, HOST.1);
    gateway.sends66(&segment(RST), &A, HOST.1);
    gateway.holds66([0, 1, 0], 2);
}

/// A segment in mid-stream opens a flow, as for the other modes.
#[test]
fn a_segment_in_mid_stream_opens() {
    for flags in [ACK, FIN | ACK, SYN | ACK, 0] {
        let gateway = gateway();
        gateway.sends66(&segment(flags), &A, HOST.1);
        gateway.holds66([0, 1, 0], 2);
    }
}

/// Address, port and protocol of either end tell flows apart.
#[test]
fn flows_are_told_apart() {
    let mut gateway = gateway();
    gateway.settings().filtering = pointsman_ebpf::abi::Filtering::AddressAndPort as u8;
    gateway.sends66(&request(), &A, HOST.1);
    gateway.sends66(&request().from((HOST.0, 5001)), &A, 5001);
    gateway.sends66(&request().to((SERVER.0, 444)), &A, HOST.1);
    gateway.sends66(&request().to(STRANGER), &A, HOST.1);
    gateway.sends66(&segment(SYN), &A, HOST.1);
    gateway.holds66([0, 5, 0], 6);
    let closed = DropReason::Filtered;
    gateway.refuses66(A.ifindex, &answer(&A).from((SERVER.0, 445)), closed);
    gateway.refuses66(A.ifindex, &answer(&A).from((STRANGER.0, 443)), closed);
    gateway.refuses66(A.ifindex, &answer(&A).to(public(&A, 5002)), DropReason::Unsolicited);
    gateway.delivers66(&segment_back(SYN | ACK, &A), &A, HOST);
    gateway.holds66([2, 4, 0], 6);
}

/// By the other uplink, to the address of this one, nobody answers.
#[test]
fn an_answer_by_the_other_uplink() {
    let gateway = gateway();
    gateway.establish66();
    let packet = coming(PacketBuilder6::udp(SERVER, public(&A, HOST.1)), &B);
    gateway.passes(B.ifindex, &packet.build(), PassReason::Local);
    gateway.refuses66(B.ifindex, &answer(&B), DropReason::Unsolicited);
    gateway.holds66([2, 0, 0], 2);
}

/// Either direction is noted by itself, and FIN and RST are.
#[test]
fn what_has_passed_is_noted() {
    let gateway = gateway();
    let seen = || {
        let (_, out) = gateway.pin66(FlowTable::Established, Masquerade::Out);
        let (_, into) = gateway.pin66(FlowTable::Established, Masquerade::In);
        // It has no place for what comes in, and its peer none for what leaves.
        assert_eq!((out.into.to_address(), into.out.mark), (entry(own(&A)), 0));
        (Mark(out.out.mark).seen(), Mark(into.into.mark).seen())
    };
    gateway.establish_tcp66();
    assert_eq!(seen(), (Mark::ANY | Mark::ACK, Mark::ANY));
    gateway.sends66(&segment(FIN | ACK), &A, HOST.1);
    gateway.delivers66(&segment_back(ACK, &A), &A, HOST);
    assert_eq!(seen(), (Mark::ANY | Mark::ACK | Mark::FIN, Mark::ANY | Mark::ACK));
    // A reset out of nowhere ends nothing (RFC 5961).
    gateway.delivers66(&segment_back(RST, &A).sequence(0x8000_0000), &A, HOST);
    assert_eq!(seen().1, Mark::ANY | Mark::ACK);
    gateway.delivers66(&segment_back(RST, &A).sequence(9), &A, HOST);
    assert_eq!(seen().1, Mark::ANY | Mark::ACK | Mark::RST);
}

/// What one of them was noted to have sent before the other has answered, is noted of that one.
#[test]
fn what_has_passed_before_the_answer() {
    let seen_of = |gateway: &Gateway| {
        let (_, out) = gateway.pin66(FlowTable::Established, Masquerade::Out);
        let (_, into) = gateway.pin66(FlowTable::Established, Masquerade::In);
        (Mark(out.out.mark).seen(), Mark(into.into.mark).seen())
    };
    let opened = gateway();
    opened.sends66(&segment(FIN | ACK), &A, HOST.1);
    opened.delivers66(&segment_back(SYN | ACK, &A), &A, HOST);
    assert_eq!(seen_of(&opened), (Mark::ANY | Mark::ACK | Mark::FIN, Mark::ANY));
    // And of one from outside.
    let invited = gateway();
    invited.sends66(&segment(SYN), &A, HOST.1);
    invited.delivers66(&segment_back(ACK, &A).from(STRANGER), &A, HOST);
    invited.sends66(&segment(SYN | ACK).to(STRANGER), &A, HOST.1);
    assert_eq!(seen_of(&invited), (Mark::ANY, Mark::ANY | Mark::ACK));
}

/// A table of established flows that is full refuses the answer, and both its pins.
#[test]
fn no_room_for_an_answered_flow() {
    let gateway = gateway().only_on_host();
    gateway.establish66();
    for room in [2, 3] {
        gateway.tables.ipv6.set_pin_capacity(FlowTable::Established, room);
        gateway.sends66(&segment(SYN), &A, HOST.1);
        let back = segment_back(SYN | ACK, &A);
        gateway.refuses66(A.ifindex, &back, DropReason::FlowTableFull);
        gateway.holds66([2, 1, 0], 4);
    }
}

/// Of unanswered ones the oldest goes, and a host may have as many as there is room for.
#[test]
fn no_room_for_an_unanswered_flow() {
    let mut gateway = gateway().only_on_host();
    gateway.settings().host_unreplied_max = 0;
    gateway.settings().filtering = pointsman_ebpf::abi::Filtering::AddressAndPort as u8;
    gateway.tables.ipv6.set_pin_capacity(FlowTable::Unreplied, 2);
    for port in 5001..=5003 {
        gateway.sends66(&request().from((HOST.0, port)), &A, port);
    }
    gateway.holds66([0, 2, 0], 6);
    gateway.counts_of66(HOST.0, 3);
    let to = |port| answer(&A).to(public(&A, port));
    gateway.refuses66(A.ifindex, &to(5001), DropReason::Filtered);
    gateway.delivers66(&to(5002), &A, (HOST.0, 5002));
}

/// What two hosts send goes back to the MAC of each.
#[test]
fn each_host_has_its_mac() {
    let gateway = gateway();
    let theirs = from_other(PacketBuilder6::udp((OTHER.0, 6000), SERVER));
    gateway.sends66(&request(), &A, HOST.1);
    gateway.sends66(&theirs, &A, 6000);
    gateway.delivers66(&answer(&A), &A, HOST);
    gateway.delivers66(&answer(&A).to(public(&A, 6000)), &A, (OTHER.0, 6000));
}

/// A packet of the flow that had this place in the table before may be noted in it late.
#[test]
fn what_is_noted_in_the_place_of_the_address_does_no_harm() {
    let gateway = gateway();
    gateway.sends66(&request(), &A, HOST.1);
    let (key, _) = gateway.pin66(FlowTable::Unreplied, Masquerade::Out);
    let pin = gateway.tables.pin(FlowTable::Unreplied, &key).expect("it is there");
    pin.into.mark.store(0x1234);
    gateway.delivers66(&answer(&A), &A, HOST);
    let (_, out) = gateway.pin66(FlowTable::Established, Masquerade::Out);
    assert_eq!(out.into.to_address(), entry(own(&A)));
    gateway.delivers66(&answer(&A), &A, HOST);
    gateway.holds66([2, 0, 0], 2);
}

/// Though its port is another one outside.
#[test]
fn a_handshake_is_timed() {
    let gateway = gateway();
    gateway.establish_tcp66();
    gateway.has_timed(&A, &at_once());
}
