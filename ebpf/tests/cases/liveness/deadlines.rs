//! Uplinks whose deadline has passed, in spite of the daemon's word.

use std::net::SocketAddrV4;

use pointsman_ebpf::abi::NO_DEADLINE;
use pointsman_ebpf::memory::PacketBuilder;
use pointsman_ebpf::memory::site::{A, B, lan};

use super::super::harness::{HOST, SERVER, answer, request};
use super::harness::{AHEAD, CONTROL, Gateway, NOW, PLAIN, TICK, gateway, packet};

/// A flow that nobody has opened yet.
fn another(port: u16) -> PacketBuilder {
    PacketBuilder::udp(SocketAddrV4::new(lan::HOST, port), SERVER)
}

#[test]
fn its_flows_move_at_their_next_packets() {
    let gateway = gateway(PLAIN);
    gateway.establish(&A);
    gateway.miss(&[A]);
    gateway.sends(&request(), &B, HOST.port());
    gateway.sends(&another(5001), &B, 5001);
    // What comes in by it is good.
    gateway.delivers(&answer(&A, HOST.port()), &A, HOST);
    gateway.sends(&request(), &B, HOST.port());
}

#[test]
fn an_unanswered_flow_moves() {
    let gateway = gateway(PLAIN);
    gateway.sends(&request(), &A, HOST.port());
    gateway.miss(&[A]);
    gateway.sends(&request(), &B, HOST.port());
}

#[test]
fn a_deadline_ahead_changes_nothing() {
    for deadline in [AHEAD, NO_DEADLINE] {
        let gateway = gateway(PLAIN);
        gateway.establish(&A);
        gateway.tables.put_off(A.id, deadline);
        gateway.tables.put_off(B.id, 1);
        gateway.next_tick();
        gateway.sends(&request(), &A, HOST.port());
        gateway.sends(&another(5001), &A, 5001);
    }
}

/// Nothing helps then, or it is the daemon that nobody hears.
#[test]
fn where_all_are_late_nobody_is() {
    let gateway = gateway(PLAIN);
    gateway.establish(&A);
    gateway.miss(&[A, B]);
    gateway.sends(&request(), &A, HOST.port());
    gateway.sends(&another(5001), &A, 5001);
    // Those are all whom the daemon holds for alive.
    let gateway = super::harness::gateway(PLAIN);
    gateway.tables.set_alive(A.bit());
    gateway.miss(&[A]);
    gateway.sends(&request(), &A, HOST.port());
    gateway.tables.set_alive(A.bit() | B.bit());
    gateway.sends(&request(), &B, HOST.port());
}

/// Somebody is heard by it again: it takes new flows from the next tick on, and those that moved stay.
#[test]
fn an_uplink_comes_back() {
    let gateway = gateway(PLAIN);
    gateway.establish(&A);
    gateway.miss(&[A]);
    gateway.sends(&request(), &B, HOST.port());
    gateway.hears(&packet(&CONTROL).build());
    gateway.next_tick();
    gateway.sends(&another(5001), &A, 5001);
    gateway.sends(&request(), &B, HOST.port());
}

/// No packet pays for a clock but the first one of a tick.
#[test]
fn it_is_looked_at_with_the_next_tick() {
    let gateway = super::harness::watching(Gateway::on_host_only(), PLAIN);
    gateway.establish(&A);
    gateway.tables.put_off(A.id, NOW + 1);
    for (now, by) in [(NOW + 1, &A), (NOW + TICK - 1, &A), (NOW + TICK, &B)] {
        gateway.tables.set_now(now);
        gateway.sends(&request(), by, HOST.port());
    }
    // It is dead from the deadline on, and not before.
    for (deadline, by) in [(NOW + 2 * TICK + 1, &A), (NOW + 3 * TICK, &B)] {
        gateway.tables.put_off(A.id, deadline);
        gateway.next_tick();
        let port = 6000 + u16::from(by.id);
        gateway.sends(&another(port), by, port);
    }
}
