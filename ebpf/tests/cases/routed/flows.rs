//! Flows from the prefix, and what comes back: as it is, whichever uplink it comes by.

use pointsman_ebpf::abi::{Mark, Opener};
use pointsman_ebpf::memory::routed;
use pointsman_ebpf::memory::site::{A, B, lan};
use pointsman_ebpf::memory::{PacketBuilder, repair_checksums};
use pointsman_ebpf::path::FlowTable;
use pointsman_ebpf::verdict::DropReason;
use pointsman_ebpf::wire::tcp_flags::{ACK, FIN, RST, SYN};

use super::super::handshakes::at_once;
use super::harness::{
    BOTH_ROUTE, HOST, SERVER, Sizes, answer, arrived, coming, gateway, left, request, segment,
    segment_back,
};

/// Every protocol leaves as it is, and so does what answers it.
#[test]
fn nothing_is_changed() {
    let gre = |from, to| PacketBuilder::other(47, from, to).payload(&[7; 20]);
    for (sent, back) in [
        (request().payload(b"hello"), answer(&A).payload(b"you")),
        (request().without_checksum(), answer(&A).without_checksum()),
        (segment(SYN), segment_back(SYN | ACK, &A)),
        (
            PacketBuilder::echo_request(HOST, *SERVER.ip()),
            coming(PacketBuilder::echo_reply(*SERVER.ip(), HOST), &A),
        ),
        (gre(routed::HOST, *SERVER.ip()), coming(gre(*SERVER.ip(), routed::HOST), &A)),
        (request().options(&[1, 1, 1, 0]), answer(&A).options(&[7, 3, 4, 0])),
    ] {
        let gateway = gateway(BOTH_ROUTE);
        gateway.routes(&sent, &A);
        gateway.holds(Sizes { unreplied: 1, ..Sizes::default() });
        gateway.counts_of(routed::HOST, 0, 1);
        gateway.admits(&back, &A);
        gateway.holds(Sizes { established: 2, ..Sizes::default() });
        gateway.counts_of(routed::HOST, 0, 0);
        gateway.routes(&sent, &A);
        gateway.admits(&back, &A);
    }
}

/// A checksum of all ones, which is as good as zero, stays what it is (RFC 1624 section 3).
#[test]
fn not_even_a_checksum_of_all_ones() {
    let gateway = gateway(BOTH_ROUTE);
    gateway.connect(&A);
    let mut frame = segment(ACK).build();
    frame[50..52].fill(0xff);
    let mut output = frame.clone();
    output[..6].copy_from_slice(&A.gateway_mac);
    output[6..12].copy_from_slice(&A.mac);
    output[22] -= 1;
    let transport = output[34..].to_vec();
    repair_checksums(&mut output);
    output[34..].copy_from_slice(&transport);
    gateway.forwards_out(&frame, &A, &output);
}

/// The entries say who has opened the flow, and what has passed each way.
#[test]
fn an_answer_establishes_the_flow() {
    let gateway = gateway(BOTH_ROUTE);
    gateway.routes(&segment(SYN), &A);
    gateway.admits(&segment_back(SYN | ACK, &A), &A);
    let [out, into] = gateway.pair(HOST);
    for flow in [out, into] {
        assert_eq!((flow.uplink, flow.opener), (64 + A.id, Opener::Lan as u8));
        assert_eq!(Mark(flow.mark).seen(), Mark::ANY);
    }
    gateway.routes(&segment(ACK | FIN), &A);
    gateway.admits(&segment_back(ACK, &A), &A);
    let [out, into] = gateway.pair(HOST);
    assert_eq!(Mark(out.mark).seen(), Mark::ANY | Mark::ACK | Mark::FIN);
    assert_eq!(Mark(into.mark).seen(), Mark::ANY | Mark::ACK);
}

/// Whoever refuses a flow does not make it an established one.
#[test]
fn a_reset_is_delivered_and_establishes_nothing() {
    let gateway = gateway(BOTH_ROUTE);
    gateway.routes(&segment(SYN), &A);
    gateway.admits(&segment_back(RST | ACK, &A), &A);
    gateway.holds(Sizes { unreplied: 1, ..Sizes::default() });
}

/// Asymmetric paths are normal: what answers may come by either uplink, of a flow that waits for it, and
/// of one that has had one. It is counted by the uplink it came by.
#[test]
fn what_comes_back_may_come_by_another_uplink() {
    let gateway = gateway(BOTH_ROUTE);
    gateway.routes(&segment(SYN), &A);
    gateway.admits(&segment_back(SYN | ACK, &B), &B);
    gateway.routes(&segment(ACK), &A);
    gateway.admits(&segment_back(ACK, &B), &B);
    gateway.admits(&segment_back(ACK, &A), &A);
    gateway.holds(Sizes { established: 2, ..Sizes::default() });
    // What is under way is good though the uplink is held for dead.
    gateway.tables.set_alive(A.bit());
    gateway.admits(&segment_back(ACK, &B), &B);
}

/// Flows from one host, and to one server, are told apart.
#[test]
fn flows_do_not_meet() {
    let gateway = gateway(BOTH_ROUTE);
    gateway.routes(&request(), &A);
    let other = PacketBuilder::udp(std::net::SocketAddrV4::new(routed::OTHER, 5000), SERVER)
        .macs(lan::OTHER_MAC, lan::MAC);
    gateway.routes(&other, &A);
    gateway.admits(&answer(&A), &A);
    gateway.holds(Sizes { established: 2, unreplied: 1, ..Sizes::default() });
}

/// Time to live, length and segment size, both ways.
#[test]
fn what_a_router_has_to_look_at() {
    let mut gateway = gateway(BOTH_ROUTE);
    gateway.routed_side(&A).mtu = 1400;
    gateway.tables.ports.get_mut(&A.ifindex).unwrap().mtu = 1400;
    gateway.tells(&request().ttl(1), DropReason::TtlExceeded, [11, 0], [0; 4]);
    let large = request().payload(&[0; 1400]);
    gateway.tells(&large, DropReason::TooBig, [3, 4], [0, 0, 5, 120]);
    let [options, clamped] = [[2, 4, 5, 180], [2, 4, 5, 80]];
    let sent = segment(SYN).tcp_options(&options);
    let left = left(&segment(SYN).tcp_options(&clamped), &A);
    gateway.forwards_out(&sent.build(), &A, &left.build());
    let back = segment_back(SYN | ACK, &A);
    let reached = arrived(&back.clone().tcp_options(&clamped));
    gateway.forwards_in(&back.tcp_options(&options).build(), &A, &reached.build());
    let late = answer(&A).ttl(1).build();
    gateway.answers(A.ifindex, &late, DropReason::TtlExceeded, [11, 0], [0; 4]);
    let late = segment_back(ACK, &A).ttl(1).build();
    gateway.answers(A.ifindex, &late, DropReason::TtlExceeded, [11, 0], [0; 4]);
}

/// A host that is elsewhere by now is followed.
#[test]
fn a_host_that_moves_is_followed() {
    let gateway = gateway(BOTH_ROUTE);
    gateway.connect(&A);
    let moved = segment(ACK).macs(lan::OTHER_MAC, lan::MAC);
    gateway.routes(&moved, &A);
    let back = segment_back(ACK, &A);
    let reached = back.clone().macs(lan::MAC, lan::OTHER_MAC).ttl(63);
    gateway.forwards_in(&back.build(), &A, &reached.build());
}

/// A table that is full refuses, and the sender is told where it can be.
#[test]
fn no_room() {
    let mut gateway = gateway(BOTH_ROUTE);
    gateway.limit_established(1);
    gateway.routes(&request(), &A);
    gateway.turns_away(&answer(&A), &A, DropReason::FlowTableFull);
    gateway.settings().host_unreplied_max = 1;
    gateway.prohibits(&segment(SYN), DropReason::HostUnreplied);
    assert_eq!(gateway.tables.flow_count(FlowTable::Unreplied), 1);
}

/// As it is.
#[test]
fn a_handshake_is_timed() {
    let gateway = gateway(BOTH_ROUTE);
    gateway.routes(&segment(SYN), &A);
    gateway.admits(&segment_back(SYN | ACK, &A), &A);
    gateway.has_timed(&A, &at_once());
}
