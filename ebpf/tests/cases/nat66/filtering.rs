//! Who is let in to a mapping (RFC 4787 section 5; RFC 5382 section 4.3; RFC 7857).

use pointsman_ebpf::abi::{Filtering, Inbound, Mark, Masquerade, Opener};
use pointsman_ebpf::memory::site::{self, A, lan};
use pointsman_ebpf::memory::site6::{self, INTERNAL, ROUTED, entry, own, within};
use pointsman_ebpf::memory::site64::{self, WELL_KNOWN, embedded};
use pointsman_ebpf::memory::{Body6, DIGEST_KEY, PacketBuilder6};
use pointsman_ebpf::path::FlowTable;
use pointsman_ebpf::verdict::{DropReason, PassReason};
use pointsman_ebpf::wire::tcp_flags::{ACK, RST, SYN};

use super::harness::{
    Gateway, HOST, MASQUERADED, SERVER, STRANGER, answer, coming, echo, gateway, public, reaching,
    reply, request, segment, segment_back, unasked,
};

/// A stranger's segment to the host's usual port.
fn segment_in(flags: u8) -> PacketBuilder6 {
    segment_back(flags, &A).from(STRANGER)
}

/// The host's answer.
fn answered(flags: u8) -> PacketBuilder6 {
    segment(flags).to(STRANGER)
}

/// Where filtering does not depend on the endpoint: the LAN's answer establishes.
#[test]
fn a_stranger_opens_a_flow_to_a_mapping() {
    let gateway = gateway();
    gateway.establish_tcp66();
    for _ in 0..2 {
        gateway.delivers66(&segment_in(SYN), &A, HOST);
        gateway.holds66([2, 0, 1], 2);
    }
    let (_, invited) = gateway.pin66(FlowTable::Invited, Masquerade::Out);
    assert_eq!((invited.uplink, invited.opener), (A.id, Opener::Remote as u8));
    assert_eq!((invited.inside, invited.outside), (entry(HOST.0), entry(STRANGER.0)));
    gateway.sends66(&answered(SYN | ACK), &A, HOST.1);
    gateway.holds66([4, 0, 0], 2);
    gateway.delivers66(&segment_in(ACK), &A, HOST);
    gateway.sends66(&answered(ACK), &A, HOST.1);
    gateway.holds66([4, 0, 0], 2);
    let pins = gateway.tables.ipv6.pins(FlowTable::Established);
    let theirs = pins.iter().filter(|(_, pin)| pin.outside == entry(STRANGER.0));
    for (key, pin) in theirs {
        assert_eq!((pin.uplink, pin.opener), (A.id, Opener::Remote as u8));
        assert!(pins.iter().any(|(peer, _)| *peer == pin.peer(&DIGEST_KEY, key)));
        let track = if pin.masquerade == Masquerade::In as u8 { pin.into } else { pin.out };
        assert_eq!(Mark(track.mark).seen(), Mark::ANY | Mark::ACK);
    }
}

/// It is not needed that others than answers come in by the uplink.
#[test]
fn whatever_else_comes_in_by_the_uplink() {
    for inbound in [Inbound::Answers, Inbound::All] {
        let mut gateway = gateway();
        gateway.uplink6(&A).inbound = inbound as u8;
        gateway.establish66();
        gateway.delivers66(&unasked(&A), &A, HOST);
        // Nobody has that port.
        let closed = unasked(&A).to(public(&A, 5001));
        gateway.refuses66(A.ifindex, &closed, DropReason::Unsolicited);
        gateway.holds66([2, 0, 1], 2);
    }
}

/// Nobody opens a flow by an uplink that is drained; what was let in goes on.
#[test]
fn a_stranger_by_a_closed_uplink() {
    let mut gateway = gateway();
    gateway.establish66();
    gateway.settings().closed = A.bit();
    gateway.refuses66(A.ifindex, &unasked(&A), DropReason::Filtered);
    gateway.holds66([2, 0, 0], 2);
    gateway.settings().closed = !A.bit();
    gateway.delivers66(&unasked(&A), &A, HOST);
    gateway.settings().closed = A.bit();
    gateway.delivers66(&unasked(&A), &A, HOST);
    gateway.holds66([2, 0, 1], 2);
}

/// Of a mapping that no flow has any more.
#[test]
fn a_mapping_without_flows() {
    let gateway = gateway();
    gateway.sends66(&request(), &A, HOST.1);
    let (key, _) = gateway.pin66(FlowTable::Unreplied, Masquerade::Out);
    gateway.tables.ipv6.remove_pin(FlowTable::Unreplied, &key);
    gateway.delivers66(&answer(&A), &A, HOST);
    gateway.holds66([0, 0, 1], 2);
    gateway.sends66(&request(), &A, HOST.1);
    gateway.holds66([2, 0, 0], 2);
}

#[test]
fn filtering_by_address_and_by_port() {
    for (filtering, admits_other_port, permissions) in
        [(Filtering::Address, true, 1), (Filtering::AddressAndPort, false, 0)]
    {
        let mut gateway = gateway();
        gateway.settings().filtering = filtering as u8;
        gateway.sends66(&request(), &A, HOST.1);
        gateway.sends66(&request(), &A, HOST.1);
        gateway.delivers66(&answer(&A), &A, HOST);
        gateway.holds66([2, 0, 0], 2 + permissions);
        gateway.refuses66(A.ifindex, &unasked(&A), DropReason::Filtered);
        let other_port = answer(&A).from((SERVER.0, 4444));
        if admits_other_port {
            gateway.delivers66(&other_port, &A, HOST);
        } else {
            gateway.refuses66(A.ifindex, &other_port, DropReason::Filtered);
        }
        // Who is written to is heard.
        gateway.sends66(&request().to(STRANGER), &A, HOST.1);
        gateway.delivers66(&unasked(&A), &A, HOST);
    }
}

/// What one host may hear is not for another that has its port afterwards.
#[test]
fn a_permission_is_one_hosts() {
    let mut gateway = gateway();
    gateway.settings().filtering = Filtering::Address as u8;
    gateway.sends66(&request(), &A, HOST.1);
    gateway.delivers66(&answer(&A), &A, HOST);
    gateway.holds66([2, 0, 0], 3);
    let public = super::harness::external_key(HOST.1, 17, &A);
    gateway.tables.remove_binding(&public);
    gateway.tables.remove_binding(&super::harness::internal_key(HOST, 17, &A));
    let theirs = super::harness::other_request().to(STRANGER);
    gateway.sends66(&theirs, &A, HOST.1);
    let packet = answer(&A).from((SERVER.0, 4444));
    gateway.refuses66(A.ifindex, &packet, DropReason::Filtered);
}

/// A reset opens nothing; of what has been let in, it is delivered.
#[test]
fn a_reset_invites_to_nothing() {
    let gateway = gateway();
    gateway.establish_tcp66();
    gateway.refuses66(A.ifindex, &segment_in(RST), DropReason::Filtered);
    gateway.delivers66(&segment_in(SYN), &A, HOST);
    gateway.delivers66(&segment_in(RST), &A, HOST);
    gateway.holds66([2, 0, 1], 2);
}

/// The LAN's reset leaves, and the flow is not established.
#[test]
fn the_lan_refuses_an_invited_flow() {
    let gateway = gateway();
    gateway.establish_tcp66();
    gateway.delivers66(&segment_in(SYN), &A, HOST);
    gateway.sends66(&answered(RST | ACK), &A, HOST.1);
    gateway.holds66([2, 0, 1], 2);
}

/// What does not leave answers nothing.
#[test]
fn an_answer_that_is_too_large() {
    let mut gateway = gateway();
    gateway.establish66();
    gateway.uplink6(&A).mtu = 1400;
    gateway.delivers66(&unasked(&A), &A, HOST);
    let packet = request().to(STRANGER).payload(&[1; 1400]).build();
    let mtu = 1400_u32.to_be_bytes();
    gateway.tells6(lan::IFINDEX, &packet, DropReason::TooBig, [2, 0], mtu);
    gateway.holds66([2, 0, 1], 2);
}

/// Echoes are for the gateway: whoever asks has no identifier of a mapping's.
#[test]
fn an_echo_from_outside() {
    let gateway = gateway();
    gateway.sends66(&echo(), &A, HOST.1);
    let body = Body6::Echo { reply: false };
    let asked = coming(PacketBuilder6::new((STRANGER.0, HOST.1), (own(&A), 0), body), &A);
    gateway.passes(A.ifindex, &asked.build(), PassReason::Local);
    gateway.holds66([0, 1, 0], 2);
}

/// A reply from elsewhere than where the host has asked comes in as filtering says.
#[test]
fn an_echo_reply_of_a_stranger() {
    let mut gateway = gateway();
    gateway.sends66(&echo(), &A, HOST.1);
    let reply = reply(&A).from((STRANGER.0, 0));
    gateway.settings().filtering = Filtering::AddressAndPort as u8;
    gateway.refuses66(A.ifindex, &reply, DropReason::Filtered);
    gateway.settings().filtering = Filtering::Endpoint as u8;
    gateway.delivers66(&reply, &A, HOST);
    gateway.holds66([0, 1, 1], 2);
}

/// Nobody beyond an uplink speaks for the gateway, for the LAN, or for those whom NAT64 leads to.
#[test]
fn spoofed_sources() {
    let tables = site64::gateway(site::prefer_a, MASQUERADED, WELL_KNOWN);
    let gateway = Gateway::of(tables);
    gateway.establish66();
    let mapped = std::net::Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0xcb00, 0x7102);
    for source in [
        own(&A),
        site6::GATEWAY,
        HOST.0,
        within(INTERNAL, [9, 0, 0, 0, 9]),
        embedded(site::SERVER),
        std::net::Ipv6Addr::LOCALHOST,
        std::net::Ipv6Addr::UNSPECIFIED,
        std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1),
        std::net::Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1),
        mapped,
    ] {
        let packet = answer(&A).from((source, 1000));
        gateway.refuses66(A.ifindex, &packet, DropReason::Martian);
    }
    // A prefix that no uplink carries is anybody's.
    gateway.delivers66(&answer(&A).from((within(ROUTED, site6::HOST), 1)), &A, HOST);
}

#[test]
fn a_host_that_is_not_to_be_found() {
    let mut gateway = gateway().only_on_host();
    gateway.establish66();
    gateway.tables.ipv6.neighbours.insert(entry(HOST.0), None);
    gateway.refuses66(A.ifindex, &unasked(&A), DropReason::NeighbourUnknown);
    gateway.tables.ipv6.neighbours.remove(&entry(HOST.0));
    gateway.refuses66(A.ifindex, &unasked(&A), DropReason::NoLanRoute);
    // Who has asked is known by what it has sent.
    gateway.delivers66(&answer(&A), &A, HOST);
}

/// A flood from outside pushes out invitations only.
#[test]
fn a_flood_of_invitations() {
    let gateway = gateway().only_on_host();
    gateway.tables.ipv6.set_pin_capacity(FlowTable::Invited, 2);
    gateway.establish66();
    gateway.sends66(&request().to((STRANGER.0, 1)), &A, HOST.1);
    for port in 2..=6 {
        gateway.delivers66(&unasked(&A).from((STRANGER.0, port)), &A, HOST);
    }
    gateway.holds66([2, 1, 2], 2);
}

/// The last hop: its sender is told by the address that it has sent to.
#[test]
fn the_last_hop() {
    let gateway = gateway();
    gateway.establish66();
    let reason = DropReason::TtlExceeded;
    for packet in [answer(&A), unasked(&A)] {
        let frame = packet.hop_limit(1).build();
        gateway.tells6(A.ifindex, &frame, reason, [3, 0], [0; 4]);
    }
    let reached = reaching(&answer(&A).hop_limit(2), HOST).hop_limit(1);
    gateway.forwards_in(&answer(&A).hop_limit(2).build(), &A, &reached.build());
}
