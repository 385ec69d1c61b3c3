//! What becomes of established flows whose uplink dies, or changes its address, as their group says.

use std::net::{Ipv4Addr, SocketAddrV4};

use pointsman_ebpf::abi::{Direction, Mark, OnFailure};
use pointsman_ebpf::memory::PacketBuilder;
use pointsman_ebpf::memory::site::{A, B, Provider, lan};
use pointsman_ebpf::path::FlowTable;
use pointsman_ebpf::verdict::{DropReason, Verdict};
use pointsman_ebpf::wire::tcp_flags::{ACK, FIN, RST, SYN};

use super::harness::{
    Gateway, HOST, OTHER, SERVER, Sizes, answer, coming, forward, from_other, other_request,
    public, request, segment, segment_back,
};

const BOTH: u64 = A.bit() | B.bit();
const TCP: u8 = 6;

/// The other host's service.
const INSIDE: SocketAddrV4 = SocketAddrV4::new(lan::OTHER, 8443);

fn gateway(on_failure: OnFailure) -> Gateway {
    let mut gateway = Gateway::new();
    set(&mut gateway, on_failure);
    gateway
}

fn set(gateway: &mut Gateway, on_failure: OnFailure) {
    if let Some(group) = &mut gateway.tables.group {
        group.on_failure = on_failure as u8;
    }
}

/// A gateway with a connection by A, which is dead by now.
fn after_failure(on_failure: OnFailure) -> Gateway {
    let gateway = gateway(on_failure);
    gateway.establish_tcp(&A);
    gateway.tables.set_alive(B.bit());
    gateway
}

/// A reset to the host, from the server, with these flags and numbers.
fn reset(flags: u8, sequence: u32, acknowledgment: u32) -> PacketBuilder {
    PacketBuilder::tcp(SERVER, HOST, flags)
        .macs(lan::MAC, lan::HOST_MAC)
        .sequence(sequence)
        .acknowledgment(acknowledgment)
        .window(0)
        .identification(0)
        .fragment(0x4000)
        .payload(&[])
}

const RESET: Verdict = Verdict::Answer { egress: lan::EGRESS, reason: DropReason::Reset };

/// The host's segment is answered by this reset.
#[track_caller]
fn resets(gateway: &Gateway, segment: &PacketBuilder, reset: &PacketBuilder) {
    gateway.expect(lan::IFINDEX, &segment.build(), RESET, &reset.build());
}

/// RFC 9293 section 3.10.7.1: of the number that the host expects next.
#[test]
fn a_segment_is_answered_by_a_reset_of_the_number_that_it_acknowledges() {
    let gateway = after_failure(OnFailure::Reset);
    for (flags, number) in [(ACK, 77), (ACK | FIN, u32::MAX), (ACK, 0)] {
        let sent = segment(flags).sequence(5).acknowledgment(number);
        resets(&gateway, &sent, &reset(RST, number, 0));
    }
    gateway.holds(Sizes { established: 2, bindings: 2, ..Sizes::default() });
}

/// The same byte for byte, the checksums by another implementation.
#[test]
fn a_reset_as_it_is_on_the_wire() {
    let gateway = after_failure(OnFailure::Reset);
    let sent = segment(ACK).sequence(0x0102_0304).acknowledgment(0xa1b2_c3d4);
    #[rustfmt::skip]
    let expected = [
        2, 0, 0, 1, 0, 2, 2, 0, 0, 1, 0, 1, 8, 0,
        0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0x6e, 0x98,
        192, 0, 2, 53, 10, 1, 0, 2,
        0x01, 0xbb, 0x13, 0x88, 0xa1, 0xb2, 0xc3, 0xd4, 0, 0, 0, 0, 0x50, 4, 0, 0,
        0x68, 0xde, 0, 0,
    ];
    gateway.expect(lan::IFINDEX, &sent.build(), RESET, &expected);
}

/// RFC 9293 section 3.10.7.1: one that acknowledges nothing is acknowledged, with all that it has of data and
/// control.
#[test]
fn a_segment_without_acknowledgment_is_acknowledged() {
    let gateway = after_failure(OnFailure::Reset);
    for (flags, payload, length) in [(0, 0, 0), (0, 6, 6), (FIN, 0, 1), (FIN, 1400, 1401)] {
        let sent = segment(flags).payload(&vec![7; payload]).sequence(u32::MAX - 2);
        let next = (u32::MAX - 2).wrapping_add(length);
        resets(&gateway, &sent, &reset(RST | ACK, 0, next));
    }
}

/// Neither options of either header nor what trails the packet nor the time to live come back.
#[test]
fn nothing_of_the_segment_comes_back() {
    let gateway = after_failure(OnFailure::Reset);
    for sent in [
        segment(ACK).options(&[1; 40]),
        segment(ACK).tcp_options(&[1; 40]),
        segment(ACK).options(&[1; 4]).tcp_options(&[1; 12]).payload(&[]),
        segment(ACK).payload(&[]).padding(6),
        segment(ACK).ttl(2),
        segment(ACK).payload(&[9; 1460]),
        segment(ACK).type_of_service(0xb8),
    ] {
        resets(&gateway, &sent.acknowledgment(9), &reset(RST, 9, 0));
    }
    let sent = segment(0).options(&[1; 40]).tcp_options(&[1; 40]).payload(&[9; 30]).sequence(100);
    resets(&gateway, &sent, &reset(RST | ACK, 0, 130));
}

/// The sweep is to take it for one that is over.
#[test]
fn a_connection_that_is_reset_is_marked() {
    let gateway = after_failure(OnFailure::Reset);
    let seen = || Mark(gateway.entry(FlowTable::Established, Direction::Out).1.mark).seen();
    assert_eq!(seen() & Mark::RST, 0);
    resets(&gateway, &segment(ACK).acknowledgment(9), &reset(RST, 9, 0));
    assert_eq!(seen(), Mark::ANY | Mark::ACK | Mark::RST);
}

/// The same ports may be taken again at once.
#[test]
fn a_syn_opens_a_connection_at_once() {
    for is_reset in [false, true] {
        let gateway = after_failure(OnFailure::Reset);
        if is_reset {
            resets(&gateway, &segment(ACK).acknowledgment(9), &reset(RST, 9, 0));
        }
        gateway.sends(&segment(SYN), &B, HOST.port());
        gateway.delivers(&segment_back(SYN | ACK, &B), &B, HOST);
        gateway.sends(&segment(ACK), &B, HOST.port());
        let (_, flow) = gateway.entry(FlowTable::Established, Direction::Out);
        assert_eq!((flow.uplink, Mark(flow.mark).seen() & Mark::RST), (B.id, 0));
    }
}

/// The server may be reached still: what it sends comes in, and the host's own reset ends it.
#[test]
fn the_server_is_told_by_the_uplink_that_it_knows() {
    let gateway = after_failure(OnFailure::Reset);
    resets(&gateway, &segment(ACK).acknowledgment(9), &reset(RST, 9, 0));
    gateway.delivers(&segment_back(ACK, &A), &A, HOST);
    gateway.sends(&segment(RST), &A, HOST.port());
    // The host ends it by itself.
    let gateway = after_failure(OnFailure::Reset);
    gateway.sends(&segment(RST | ACK), &A, HOST.port());
}

/// Nobody is there any more who would know it.
#[test]
fn a_reset_by_an_address_that_is_gone_does_not_leave() {
    let mut gateway = after_failure(OnFailure::Reset);
    gateway.readdress(&A, Ipv4Addr::new(203, 0, 113, 9));
    gateway.refuses(&segment(RST), DropReason::Unsolicited);
}

/// A host's reset has no place where the flow goes over to another uplink.
#[test]
fn only_where_connections_are_reset_the_server_is_told() {
    let gateway = after_failure(OnFailure::Rehome);
    gateway.refuses(&segment(RST), DropReason::Unsolicited);
}

/// Never one that has nowhere to go.
#[test]
fn a_connection_without_another_uplink_is_not_reset() {
    let gateway = after_failure(OnFailure::Reset);
    gateway.tables.set_alive(0);
    gateway.tells(&segment(ACK), DropReason::NoUplink, [3, 0], [0; 4]);
    gateway.tables.set_alive(A.bit());
    gateway.sends(&segment(ACK), &A, HOST.port());
    // One that is alive, but translates nothing yet.
    let mut gateway = after_failure(OnFailure::Reset);
    gateway.tables.uplinks[usize::from(B.id)].generation = 0;
    gateway.tells(&segment(ACK), DropReason::NoUplink, [3, 0], [0; 4]);
}

/// By the same uplink too, if that is alive: the server knows it by the old one.
#[test]
fn a_connection_whose_address_is_gone_is_reset() {
    let mut gateway = gateway(OnFailure::Reset);
    gateway.establish_tcp(&A);
    let now = Provider { address: Ipv4Addr::new(203, 0, 113, 9), ..A };
    gateway.readdress(&A, now.address);
    resets(&gateway, &segment(ACK).acknowledgment(9), &reset(RST, 9, 0));
    gateway.sends(&segment(SYN), &now, HOST.port());
}

/// Of an address that stays, whatever else has changed, it goes on.
#[test]
fn a_connection_that_keeps_its_address_goes_on() {
    let mut gateway = gateway(OnFailure::Reset);
    gateway.establish_tcp(&A);
    gateway.readdress(&A, A.address);
    gateway.sends(&segment(ACK), &A, HOST.port());
    gateway.delivers(&segment_back(ACK, &A), &A, HOST);
    // That it is no longer the first one is the same.
    let first = Ipv4Addr::new(203, 0, 113, 9);
    let mut gateway = self::gateway(OnFailure::Reset);
    gateway.establish_tcp(&A);
    gateway.readdress(&A, first);
    gateway.add_public_address(&A, A.address);
    let sent = segment(ACK).acknowledgment(9);
    let frame = gateway.tables.run(&mut sent.build(), lan::IFINDEX);
    assert!(matches!(frame, Verdict::Forward { uplink, .. } if uplink == A.id), "{frame:?}");
}

/// What is no connection recovers by itself.
#[test]
fn what_is_not_tcp_goes_over_to_another_uplink() {
    let gateway = gateway(OnFailure::Reset);
    gateway.establish(&A);
    gateway.tables.set_alive(B.bit());
    gateway.sends(&request(), &B, HOST.port());
    gateway.delivers(&answer(&B, HOST.port()), &B, HOST);
    let ping = PacketBuilder::echo_request(HOST, *SERVER.ip());
    let pong = |by| coming(PacketBuilder::echo_reply(*SERVER.ip(), public(by, HOST.port())), by);
    gateway.sends(&ping, &B, HOST.port());
    gateway.delivers(&pong(&B), &B, HOST);
    gateway.tables.set_alive(A.bit());
    gateway.sends(&ping, &A, HOST.port());
}

/// Whoever has not answered yet has nothing to lose.
#[test]
fn a_connection_that_nobody_has_answered_goes_over() {
    for on_failure in [OnFailure::Reset, OnFailure::Hold] {
        let gateway = gateway(on_failure);
        gateway.sends(&segment(SYN), &A, HOST.port());
        gateway.tables.set_alive(B.bit());
        gateway.sends(&segment(SYN), &B, HOST.port());
        gateway.delivers(&segment_back(SYN | ACK, &B), &B, HOST);
    }
}

/// A connection that came from outside by A, which is dead by now.
fn from_outside(on_failure: OnFailure) -> Gateway {
    let mut gateway = gateway(on_failure);
    gateway.set_forwards(&[forward(TCP, 443, 443, INSIDE)]);
    gateway.delivers(&knock(SYN), &A, INSIDE);
    gateway.sends(&reply(SYN | ACK), &A, 443);
    gateway.delivers(&knock(ACK), &A, INSIDE);
    gateway.tables.set_alive(B.bit());
    gateway
}

fn knock(flags: u8) -> PacketBuilder {
    coming(PacketBuilder::tcp(SERVER, public(&A, 443), flags), &A)
}

fn reply(flags: u8) -> PacketBuilder {
    from_other(PacketBuilder::tcp(INSIDE, SERVER, flags))
}

/// The LAN host cannot open it anew.
#[test]
fn a_connection_from_outside_is_not_reset() {
    let gateway = from_outside(OnFailure::Reset);
    gateway.tells(&reply(ACK), DropReason::NoUplink, [3, 0], [0; 4]);
    gateway.refuses(&reply(RST), DropReason::Unsolicited);
    gateway.tables.set_alive(BOTH);
    gateway.sends(&reply(ACK), &A, 443);
}

/// Until the uplink is back, whatever comes, without a word, and nothing that would make the flow look used.
#[test]
fn what_is_held_waits() {
    let gateway = after_failure(OnFailure::Hold);
    gateway.tables.set_now(1 << 45);
    for flags in [ACK, ACK | FIN, SYN, RST] {
        gateway.refuses(&segment(flags), DropReason::Held);
    }
    gateway.refuses(&segment(ACK).payload(&[7; 1400]).options(&[1; 8]), DropReason::Held);
    // Nor where there is no other.
    gateway.tables.set_alive(0);
    gateway.refuses(&segment(ACK), DropReason::Held);
    gateway.tables.set_alive(BOTH);
    gateway.sends(&segment(ACK), &A, HOST.port());
    gateway.delivers(&segment_back(ACK, &A), &A, HOST);
}

/// Of any protocol, and from either side; what comes in is delivered.
#[test]
fn all_flows_are_held() {
    let gateway = gateway(OnFailure::Hold);
    gateway.establish(&A);
    gateway.tables.set_alive(B.bit());
    gateway.refuses(&request(), DropReason::Held);
    gateway.delivers(&answer(&A, HOST.port()), &A, HOST);
    let gateway = from_outside(OnFailure::Hold);
    gateway.refuses(&reply(ACK), DropReason::Held);
    gateway.refuses(&reply(RST), DropReason::Held);
    gateway.tables.set_alive(BOTH);
    gateway.sends(&reply(ACK), &A, 443);
}

/// New flows do not wait.
#[test]
fn new_flows_take_another_uplink_meanwhile() {
    let gateway = after_failure(OnFailure::Hold);
    gateway.sends(&other_request(), &B, OTHER.port());
    let new = SocketAddrV4::new(lan::HOST, 5001);
    gateway.sends(&PacketBuilder::tcp(new, SERVER, SYN), &B, 5001);
}

/// Nobody waits for an address that does not come back.
#[test]
fn what_has_lost_its_address_is_not_held() {
    let mut gateway = after_failure(OnFailure::Hold);
    gateway.readdress(&A, Ipv4Addr::new(203, 0, 113, 9));
    gateway.sends(&segment(ACK), &B, HOST.port());
}
