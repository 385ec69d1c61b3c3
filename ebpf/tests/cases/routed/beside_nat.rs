//! What is routed beside what is translated, on one uplink and on two.

use std::net::SocketAddrV4;

use pointsman_ebpf::memory::PacketBuilder;
use pointsman_ebpf::memory::routed::{self, Carriage};
use pointsman_ebpf::memory::site::{A, B, lan};
use pointsman_ebpf::verdict::DropReason;
use pointsman_ebpf::wire::tcp_flags::{ACK, SYN};

use super::super::harness::{self as nat, reaching};
use super::harness::{HOST, SERVER, Sizes, answer, gateway, request, segment, segment_back};

/// One uplink does both: private sources are translated, those of the prefix are not.
#[test]
fn on_one_uplink() {
    let gateway = gateway([Carriage::Both; 2]);
    gateway.establish(&A);
    gateway.routes(&request(), &A);
    gateway.admits(&answer(&A), &A);
    gateway.holds(Sizes { established: 4, bindings: 2, ..Sizes::default() });
    gateway.counts_of(routed::HOST, 0, 0);
    gateway.counts_of(lan::HOST, 1, 0);
}

/// At failover, what is translated gets another address, and what is routed goes on.
#[test]
fn both_move() {
    let gateway = gateway([Carriage::Both; 2]);
    gateway.establish(&A);
    gateway.routes(&segment(SYN), &A);
    gateway.admits(&segment_back(SYN | ACK, &A), &A);
    gateway.tables.set_alive(B.bit());
    gateway.sends(&nat::request(), &B, nat::HOST.port());
    gateway.routes(&segment(ACK), &B);
    gateway.admits(&segment_back(ACK, &B), &B);
}

/// A group of an uplink that translates and one that routes: each takes what it carries.
#[test]
fn on_two_uplinks() {
    let gateway = gateway([Carriage::Routed, Carriage::Nat44]);
    gateway.sends(&nat::request(), &B, nat::HOST.port());
    gateway.routes(&request(), &A);
    gateway.delivers(&nat::answer(&B, nat::HOST.port()), &B, nat::HOST);
    gateway.admits(&answer(&A), &A);
    gateway.tables.set_alive(A.bit());
    gateway.tells(&nat::request(), DropReason::NoUplink, [3, 0], [0; 4]);
    gateway.routes(&request(), &A);
}

/// A port of an uplink's address is forwarded to a host of the prefix: its answers are from there, and
/// do not leave by another uplink, neither translated nor as they are.
#[test]
fn by_a_port_forward() {
    let mut gateway = gateway([Carriage::Both; 2]);
    let inner = SocketAddrV4::new(routed::HOST, 8443);
    gateway.set_forwards(&[nat::forward(6, 443, 443, inner)]);
    let public = SocketAddrV4::new(A.address, 443);
    let asked = nat::coming(PacketBuilder::tcp(SERVER, public, SYN), &A);
    let taken = PacketBuilder::tcp(inner, SERVER, SYN | ACK);
    gateway.delivers(&asked, &A, inner);
    gateway.tables.set_alive(B.bit());
    gateway.tells(&taken, DropReason::NoUplink, [3, 0], [0; 4]);
    gateway.tables.set_alive(A.bit() | B.bit());
    gateway.sends(&taken, &A, 443);
    gateway.tables.set_alive(B.bit());
    gateway.tells(&taken, DropReason::NoUplink, [3, 0], [0; 4]);
}

/// The public address of the other hosts, from the prefix: whom it asks knows it as it is, and its
/// answers come back the same way.
#[test]
fn to_a_port_forward() {
    let mut gateway = gateway([Carriage::Both; 2]);
    gateway.set_forwards(&[nat::forward(6, 443, 443, SocketAddrV4::new(lan::OTHER, 8443))]);
    let public = SocketAddrV4::new(A.address, 443);
    let inner = SocketAddrV4::new(lan::OTHER, 8443);
    let asked = PacketBuilder::tcp(HOST, public, SYN);
    gateway.forwards_back(&asked.build(), &A, &reaching(&asked, inner).build());
    gateway.holds(Sizes { unreplied: 2, ..Sizes::default() });
    let taken = PacketBuilder::tcp(inner, HOST, SYN | ACK).macs(lan::OTHER_MAC, lan::MAC);
    let back = taken.clone().from(public).macs(lan::MAC, lan::HOST_MAC).ttl(63);
    gateway.forwards_back(&taken.build(), &A, &back.build());
    gateway.holds(Sizes { established: 2, ..Sizes::default() });
}
