//! What comes in for the prefix that nobody has asked for.

use std::net::{Ipv4Addr, SocketAddrV4};

use pointsman_ebpf::abi::{Inbound, Mark, Opener};
use pointsman_ebpf::memory::PacketBuilder;
use pointsman_ebpf::memory::routed;
use pointsman_ebpf::memory::site::{A, B, lan};
use pointsman_ebpf::path::FlowTable;
use pointsman_ebpf::verdict::{DropReason, PassReason};
use pointsman_ebpf::wire::tcp_flags::{ACK, RST, SYN};

use super::harness::{
    BOTH_ROUTE, HOST, SERVER, STRANGER, Sizes, answer, coming, gateway, request, segment,
    segment_back, with_inbound,
};

/// The LAN's answer leaves by the uplink that it came in by, though the group prefers A, and establishes
/// the flow.
#[test]
fn an_invitation_that_is_taken() {
    let gateway = gateway(BOTH_ROUTE);
    gateway.admits(&segment_back(SYN, &B), &B);
    gateway.admits(&segment_back(SYN, &B), &B);
    // It may come by the other one meanwhile.
    gateway.admits(&segment_back(SYN, &A), &A);
    gateway.holds(Sizes { invited: 1, ..Sizes::default() });
    gateway.routes(&segment(SYN | ACK), &B);
    let [out, into] = gateway.pair(HOST);
    for flow in [out, into] {
        assert_eq!((flow.uplink, flow.opener), (64 + B.id, Opener::Remote as u8));
        assert_eq!(Mark(flow.mark).seen(), Mark::ANY);
    }
    gateway.admits(&segment_back(ACK, &B), &B);
    gateway.routes(&segment(ACK), &B);
}

#[test]
fn one_of_every_protocol() {
    let gre = |from, to| PacketBuilder::other(47, from, to);
    for (asked, taken) in [
        (answer(&A), request()),
        (
            coming(PacketBuilder::echo_request(SERVER, routed::HOST), &A),
            PacketBuilder::echo_reply(routed::HOST, SERVER),
        ),
        (coming(gre(*SERVER.ip(), routed::HOST), &A), gre(routed::HOST, *SERVER.ip())),
    ] {
        let gateway = gateway(BOTH_ROUTE);
        gateway.admits(&asked, &A);
        gateway.admits(&asked, &A);
        gateway.routes(&taken, &A);
        gateway.holds(Sizes { established: 2, ..Sizes::default() });
        gateway.admits(&asked, &A);
        gateway.routes(&taken, &A);
    }
}

/// A reset leaves, and the flow is not established.
#[test]
fn an_invitation_that_is_refused() {
    let gateway = gateway(BOTH_ROUTE);
    gateway.admits(&segment_back(SYN, &A), &A);
    gateway.routes(&segment(RST | ACK), &A);
    gateway.holds(Sizes { invited: 1, ..Sizes::default() });
}

#[test]
fn nothing_unasked_where_answers_are_all_that_comes_in() {
    let gateway = with_inbound(BOTH_ROUTE, Inbound::Answers);
    gateway.turns_away(&answer(&A), &A, DropReason::Filtered);
    gateway.turns_away(&segment_back(SYN, &A), &A, DropReason::Filtered);
    gateway.routes(&request(), &A);
    gateway.admits(&answer(&B), &B);
}

/// What only continues invites to nothing; of an invitation, it is delivered.
#[test]
fn what_only_continues() {
    let gateway = gateway(BOTH_ROUTE);
    let reset = segment_back(RST, &A);
    gateway.turns_away(&reset, &A, DropReason::Unsolicited);
    let reply = coming(PacketBuilder::echo_reply(*SERVER.ip(), HOST), &A);
    gateway.turns_away(&reply, &A, DropReason::Unsolicited);
    gateway.admits(&segment_back(SYN, &A), &A);
    gateway.admits(&reset, &A);
    gateway.holds(Sizes { invited: 1, ..Sizes::default() });
}

/// To hosts that the kernel knows no MAC of, or no way to; to all of the prefix; and to the gateway.
#[test]
fn nobody_there() {
    let gateway = gateway(BOTH_ROUTE);
    let to = |address: Ipv4Addr| answer(&A).to(SocketAddrV4::new(address, 5000));
    gateway.turns_away(&to(routed::SILENT), &A, DropReason::NeighbourUnknown);
    gateway.turns_away(&to(routed::NOBODY), &A, DropReason::NoLanRoute);
    gateway.passes(A.ifindex, &to(routed::GATEWAY).build(), PassReason::Local);
    let timestamp = PacketBuilder::other(1, *SERVER.ip(), routed::HOST);
    let timestamp = coming(timestamp.payload(&[13, 0, 0, 0, 0, 1, 0, 1]), &A);
    let mut frame = timestamp.build();
    pointsman_ebpf::memory::repair_checksums(&mut frame);
    gateway.drops(A.ifindex, &frame, DropReason::Icmp);
}

/// From nobody who can be out there: martians, the gateway, the LAN, and the prefix itself.
#[test]
fn spoofed_senders() {
    let gateway = gateway(BOTH_ROUTE);
    for source in [
        Ipv4Addr::new(127, 0, 0, 1),
        Ipv4Addr::new(169, 254, 1, 1),
        Ipv4Addr::new(0, 1, 2, 3),
        Ipv4Addr::new(255, 255, 255, 255),
        A.address,
        lan::GATEWAY,
        lan::HOST,
        routed::GATEWAY,
        routed::OTHER,
        routed::NOBODY,
    ] {
        let packet = answer(&A).from(SocketAddrV4::new(source, 443));
        gateway.turns_away(&packet, &A, DropReason::Martian);
    }
}

/// What has no time left, or is too large for the LAN, leaves no trace.
#[test]
fn what_cannot_arrive_invites_to_nothing() {
    let gateway = gateway(BOTH_ROUTE);
    let late = segment_back(SYN, &A).ttl(1).build();
    gateway.answers(A.ifindex, &late, DropReason::TtlExceeded, [11, 0], [0; 4]);
    gateway.holds_nothing();
}

/// A flood from outside pushes out invitations only.
#[test]
fn a_flood_of_invitations() {
    let gateway = gateway(BOTH_ROUTE).only_on_host();
    gateway.tables.set_flow_capacity(FlowTable::Invited, 2);
    gateway.connect(&A);
    gateway.routes(&request().to(STRANGER), &A);
    for port in 1..=5 {
        gateway.admits(&answer(&A).from(SocketAddrV4::new(*STRANGER.ip(), port)), &A);
    }
    gateway.holds(Sizes { established: 2, unreplied: 1, invited: 2, ..Sizes::default() });
}
