//! Uplinks that die, come back, or change their address.

use std::net::{Ipv4Addr, SocketAddrV4};

use pointsman_ebpf::abi::{Direction, Mac, MacPair};
use pointsman_ebpf::memory::PacketBuilder;
use pointsman_ebpf::memory::site::{self, A, B, Provider, lan};
use pointsman_ebpf::path::FlowTable;
use pointsman_ebpf::verdict::{DropReason, Verdict};
use pointsman_ebpf::wire::tcp_flags;

use super::harness::{
    Gateway, HOST, OTHER, SERVER, Sizes, answer, other_request, request, segment, segment_back,
};

const BOTH: u64 = A.bit() | B.bit();

#[test]
fn a_flow_of_a_dead_uplink_moves_at_its_next_packet() {
    let gateway = Gateway::new();
    gateway.sends(&request(), &A, HOST.port());
    gateway.tables.set_alive(B.bit());
    gateway.sends(&request(), &B, HOST.port());
    gateway.delivers(&answer(&B, HOST.port()), &B, HOST);
}

/// Whose flow is answered already, goes on without waiting for an answer again.
#[test]
fn an_established_flow_of_a_dead_uplink_moves_at_its_next_packet() {
    let gateway = Gateway::new();
    gateway.establish(&A);
    gateway.tables.set_alive(B.bit());
    gateway.sends(&request(), &B, HOST.port());
    // The way back by A is good as long as it is there.
    gateway.holds(Sizes { established: 3, bindings: 4, ..Sizes::default() });
    gateway.counts_of(lan::HOST, 2, 0);
    gateway.delivers(&answer(&B, HOST.port()), &B, HOST);
    gateway.holds(Sizes { established: 3, bindings: 4, ..Sizes::default() });
}

#[test]
fn a_moved_flow_stays_when_its_old_uplink_returns() {
    let gateway = Gateway::new();
    gateway.sends(&request(), &A, HOST.port());
    gateway.tables.set_alive(B.bit());
    gateway.sends(&request(), &B, HOST.port());
    gateway.tables.set_alive(BOTH);
    gateway.sends(&request(), &B, HOST.port());
    let new = SocketAddrV4::new(lan::HOST, 5001);
    gateway.sends(&PacketBuilder::udp(new, SERVER), &A, 5001);
}

/// The mapping is still there, and is the flow's own.
#[test]
fn a_flow_that_moves_back_finds_its_old_port() {
    let gateway = Gateway::with_nat_ports(40_000, 40_001);
    gateway.sends(&request(), &A, 40_000);
    gateway.tables.set_alive(B.bit());
    gateway.sends(&request(), &B, 40_000);
    gateway.tables.set_alive(A.bit());
    gateway.sends(&request(), &A, 40_000);
    gateway.holds(Sizes { unreplied: 1, bindings: 4, ..Sizes::default() });
    gateway.counts_of(lan::HOST, 2, 1);
    gateway.delivers(&answer(&A, 40_000), &A, HOST);
}

#[test]
fn an_established_flow_that_moves_back_finds_its_old_port() {
    let gateway = Gateway::new();
    gateway.establish(&A);
    gateway.tables.set_alive(B.bit());
    gateway.sends(&request(), &B, HOST.port());
    gateway.tables.set_alive(A.bit());
    gateway.sends(&request(), &A, HOST.port());
    gateway.delivers(&answer(&A, HOST.port()), &A, HOST);
    gateway.holds(Sizes { established: 3, bindings: 4, ..Sizes::default() });
}

/// Another host took the port on the second uplink meanwhile: neither flow takes the other's
/// answers.
#[test]
fn a_flow_that_moves_to_where_its_port_is_taken_gets_another() {
    for established in [false, true] {
        let gateway = Gateway::with_nat_ports(5000, 5001);
        gateway.sends(&request(), &A, 5000);
        if established {
            gateway.delivers(&answer(&A, 5000), &A, HOST);
        }
        gateway.tables.set_alive(B.bit());
        gateway.sends(&other_request(), &B, 5000);
        gateway.sends(&request(), &B, 5001);
        gateway.delivers(&answer(&B, 5000), &B, OTHER);
        gateway.delivers(&answer(&B, 5001), &B, HOST);
    }
}

/// What is still on its way when an uplink is held for dead is good.
#[test]
fn an_answer_by_a_dead_uplink_is_delivered() {
    let gateway = Gateway::new();
    gateway.sends(&request(), &A, HOST.port());
    gateway.tables.set_alive(B.bit());
    gateway.delivers(&answer(&A, HOST.port()), &A, HOST);
    gateway.sends(&request(), &B, HOST.port());
    gateway.delivers(&answer(&A, HOST.port()), &A, HOST);
    gateway.tables.set_alive(0);
    gateway.delivers(&answer(&B, HOST.port()), &B, HOST);
    gateway.tells(&request(), DropReason::NoUplink, [3, 0], [0; 4]);
}

/// Two uplinks hold the same remote end, public port and all but the address.
#[test]
fn the_uplinks_do_not_mix() {
    let gateway = Gateway::new();
    gateway.sends(&request(), &A, HOST.port());
    gateway.tables.set_alive(B.bit());
    gateway.sends(&other_request(), &B, HOST.port());
    gateway.delivers(&answer(&A, HOST.port()), &A, HOST);
    gateway.delivers(&answer(&B, HOST.port()), &B, OTHER);
}

/// Both uplinks have the same address, as behind two modems that translate themselves.
#[test]
fn uplinks_with_the_same_address_do_not_mix() {
    let mut gateway = Gateway::new();
    gateway.readdress(&B, A.address);
    gateway.sends(&request(), &A, HOST.port());
    gateway.tables.set_alive(B.bit());
    let b = Provider { address: A.address, ..B };
    gateway.sends(&other_request(), &b, HOST.port());
    gateway.delivers(&answer(&A, HOST.port()), &A, HOST);
    gateway.delivers(&answer(&b, HOST.port()), &b, OTHER);
}

/// Of many established flows on both uplinks, those of the dead one move, the others do not, none
/// moves back, and new flows are assigned as before.
#[test]
fn only_the_flows_of_the_dead_uplink_move() {
    const FLOWS: u16 = if cfg!(miri) { 8 } else { 64 };
    let gateway = Gateway::of(site::gateway(site::share_evenly));
    let uplink_of = |number| {
        let end = SocketAddrV4::new(lan::HOST, 10_000 + number);
        let mut frame = PacketBuilder::udp(end, SERVER).build();
        let Verdict::Forward { uplink, .. } = gateway.tables.run(&mut frame, lan::IFINDEX) else {
            panic!("{}", gateway.tables);
        };
        let by = if uplink == A.id { A } else { B };
        gateway.delivers(&answer(&by, 10_000 + number), &by, end);
        uplink
    };
    let before: Vec<u8> = (0..FLOWS).map(uplink_of).collect();
    let on_a = before.iter().filter(|uplink| **uplink == A.id).count();
    assert!(on_a != 0 && on_a != before.len(), "{before:?}");

    gateway.tables.set_alive(B.bit());
    let during: Vec<u8> = (0..FLOWS).map(uplink_of).collect();
    assert_eq!(during, [B.id; FLOWS as usize]);

    gateway.tables.set_alive(BOTH);
    let after: Vec<u8> = (0..FLOWS).map(uplink_of).collect();
    assert_eq!(after, [B.id; FLOWS as usize]);

    for (key, _) in gateway.tables.flows(FlowTable::Established) {
        gateway.tables.remove_flow(FlowTable::Established, &key);
    }
    let anew: Vec<u8> = (0..FLOWS).map(uplink_of).collect();
    assert_eq!(anew, before);
}

/// A preferred uplink comes before one that is only usable, whatever the ranking; any is better
/// than none.
#[test]
fn the_preferred_come_first() {
    let mut gateway = Gateway::new();
    if let Some(group) = &mut gateway.tables.group {
        group.preferred = B.bit();
    }
    gateway.sends(&request(), &B, HOST.port());
    gateway.tables.set_alive(A.bit());
    gateway.sends(&request(), &A, HOST.port());
}

/// An uplink that takes no new flows keeps those that it has.
#[test]
fn an_uplink_that_is_not_usable_keeps_its_flows() {
    let mut gateway = Gateway::new();
    gateway.sends(&request(), &A, HOST.port());
    if let Some(group) = &mut gateway.tables.group {
        group.usable = B.bit();
    }
    gateway.sends(&request(), &A, HOST.port());
    let new = SocketAddrV4::new(lan::HOST, 5001);
    gateway.sends(&PacketBuilder::udp(new, SERVER), &B, 5001);
}

/// Those that wait for an answer and those that have one.
#[test]
fn flows_of_an_address_that_is_gone_are_stale_both_ways() {
    for established in [false, true] {
        flows_of_an_address_that_is_gone(established);
    }
}

fn flows_of_an_address_that_is_gone(established: bool) {
    let mut gateway = Gateway::new();
    gateway.sends(&request(), &A, HOST.port());
    if established {
        gateway.delivers(&answer(&A, HOST.port()), &A, HOST);
    }
    let now = Provider { address: Ipv4Addr::new(203, 0, 113, 9), ..A };
    gateway.readdress(&A, now.address);
    let late = answer(&A, HOST.port()).build();
    gateway.drops(A.ifindex, &late, DropReason::Unsolicited);
    gateway.sends(&request(), &now, HOST.port());
    gateway.delivers(&answer(&now, HOST.port()), &now, HOST);
    gateway.drops(A.ifindex, &late, DropReason::Unsolicited);
}

/// A generation alone makes flows stale; the next packet makes the same flow anew.
#[test]
fn flows_of_an_older_generation_are_made_anew() {
    let mut gateway = Gateway::new();
    gateway.establish(&A);
    gateway.readdress(&A, A.address);
    let early = answer(&A, HOST.port());
    gateway.drops(A.ifindex, &early.build(), DropReason::Unsolicited);
    gateway.sends(&request(), &A, HOST.port());
    gateway.delivers(&early, &A, HOST);
    for direction in [Direction::Out, Direction::In] {
        let (_, flow) = gateway.entry(FlowTable::Established, direction);
        assert_eq!(flow.generation, 2, "{}", gateway.tables);
    }
    gateway.holds(Sizes { established: 2, bindings: 2, ..Sizes::default() });
}

/// A reset cannot move a flow: it would tell the peer nothing from another address.
#[test]
fn a_reset_does_not_move_a_flow() {
    let gateway = Gateway::new();
    gateway.sends(&segment(tcp_flags::SYN), &A, HOST.port());
    for _ in 0..2 {
        gateway.tables.set_alive(B.bit());
        gateway.refuses(&segment(tcp_flags::RST), DropReason::Unsolicited);
        gateway.tables.set_alive(BOTH);
        gateway.delivers(&segment_back(tcp_flags::SYN | tcp_flags::ACK, &A), &A, HOST);
    }
}

/// The next hop has another MAC: flows follow at once, since only the uplink says it.
#[test]
fn flows_follow_the_next_hop() {
    let mut gateway = Gateway::new();
    gateway.sends(&request(), &A, HOST.port());
    let moved = Provider { gateway_mac: [2, 0, 0, 2, 0, 9], egress: 99, ..A };
    let uplink = &mut gateway.tables.uplinks[usize::from(A.id)];
    uplink.egress = moved.egress;
    uplink.macs = MacPair::new(Mac::new(moved.gateway_mac), Mac::new(moved.mac));
    gateway.sends(&request(), &moved, HOST.port());
    gateway.delivers(&answer(&A, HOST.port()), &A, HOST);
}
