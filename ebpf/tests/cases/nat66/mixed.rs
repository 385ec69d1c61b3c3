//! Masquerade by one uplink, and prefix translation by the other: the same hosts leave by both.

use pointsman_ebpf::abi::{Inbound, Mark, Masquerade, Opener};
use pointsman_ebpf::memory::PacketBuilder6;
use pointsman_ebpf::memory::site::{self, A, B, lan};
use pointsman_ebpf::memory::site6::{self, Carriage, own, provided, within};
use pointsman_ebpf::path::FlowTable;
use pointsman_ebpf::verdict::{DropReason, PassReason};
use pointsman_ebpf::wire::tcp_flags::{ACK, SYN};

use super::harness::{
    Gateway, HOST, SERVER, STRANGER, answer, coming, public, request, segment, segment_back,
};

/// The host's address as B shows it: 0xCF3F is what the prefixes differ by.
const HOST_B: std::net::Ipv6Addr = within(provided(&B, 48), [0xcf3e, 0, 0, 0, 2]);

/// A masquerades, B translates prefixes.
fn gateway() -> Gateway {
    Gateway::of(site6::gateway(site::prefer_a, [Carriage::Nat66, Carriage::Nptv6(48)]))
}

/// The server's segment to the host's address as B shows it.
fn back_by_b(flags: u8) -> PacketBuilder6 {
    coming(PacketBuilder6::tcp(SERVER, (HOST_B, HOST.1), flags), &B)
}

/// From an address that hosts share to a host's own: one pin is enough then.
#[test]
fn from_masquerade_to_prefix_translation() {
    let gateway = gateway();
    gateway.establish_tcp66();
    gateway.tables.set_alive(B.bit());
    gateway.sends6(&segment(ACK), &B, HOST_B);
    gateway.holds66([2, 0, 0], 2);
    let (_, pin) = gateway.pin66(FlowTable::Established, Masquerade::None);
    assert_eq!((pin.uplink, pin.opener), (B.id, Opener::Lan as u8));
    assert_eq!((pin.port, pin.transport_delta), Default::default());
    // The address that was there is no track of anything.
    assert_eq!(Mark(pin.into.mark).seen() & !Mark::ANY, 0);
    assert_eq!(pin.into.progress, 0);
    gateway.delivers6(&back_by_b(ACK), &B, HOST.0);
    // What is under way by the old one arrives.
    gateway.delivers66(&segment_back(ACK, &A), &A, HOST);
    gateway.holds66([2, 0, 0], 2);
}

/// And back: it has two again.
#[test]
fn from_prefix_translation_to_masquerade() {
    let gateway = gateway();
    gateway.tables.set_alive(B.bit());
    gateway.sends6(&segment(SYN), &B, HOST_B);
    gateway.delivers6(&back_by_b(SYN | ACK), &B, HOST.0);
    gateway.holds66([1, 0, 0], 0);
    gateway.tables.set_alive(A.bit());
    gateway.sends66(&segment(ACK), &A, HOST.1);
    gateway.holds66([2, 0, 0], 2);
    gateway.delivers66(&segment_back(ACK, &A), &A, HOST);
    gateway.tables.set_alive(B.bit());
    gateway.sends6(&segment(ACK), &B, HOST_B);
    gateway.delivers6(&back_by_b(ACK), &B, HOST.0);
    gateway.holds66([2, 0, 0], 2);
}

/// The same before anybody has answered.
#[test]
fn unanswered_flows() {
    let gateway = gateway();
    gateway.sends66(&request(), &A, HOST.1);
    gateway.tables.set_alive(B.bit());
    gateway.sends6(&request(), &B, HOST_B);
    gateway.holds66([0, 1, 0], 2);
    let by_b = coming(PacketBuilder6::udp(SERVER, (HOST_B, HOST.1)), &B);
    gateway.tables.set_alive(A.bit());
    gateway.sends66(&request(), &A, HOST.1);
    gateway.refuses66(B.ifindex, &by_b, DropReason::Filtered);
    gateway.delivers66(&answer(&A), &A, HOST);
    gateway.holds66([2, 0, 0], 2);
    // The host is known beyond B by another address than beyond A.
    gateway.refuses66(B.ifindex, &by_b, DropReason::Filtered);
}

/// What one of them lets in, the other does not know.
#[test]
fn flows_from_outside() {
    let mut gateway = gateway();
    gateway.uplink6(&B).inbound = Inbound::All as u8;
    let asked = back_by_b(SYN).from(STRANGER);
    gateway.delivers6(&asked, &B, HOST.0);
    let answered = segment(SYN | ACK).to(STRANGER);
    gateway.tables.set_alive(A.bit());
    gateway.tells66(&answered, DropReason::NoUplink, [1, 0]);
    gateway.tables.set_alive(B.bit());
    gateway.sends6(&answered, &B, HOST_B);
    gateway.tables.set_alive(A.bit());
    gateway.tells66(&answered, DropReason::NoUplink, [1, 0]);
    gateway.holds66([1, 0, 0], 0);
}

/// A protocol without ports leaves by the one that has addresses for all, and by no other.
#[test]
fn a_protocol_without_ports() {
    use pointsman_ebpf::memory::Body6;
    let gateway = gateway();
    let packet = PacketBuilder6::new(HOST, SERVER, Body6::Other(47));
    gateway.tells66(&packet, DropReason::Nat66Protocol, super::harness::PROHIBITED);
    gateway.tables.set_alive(B.bit());
    gateway.sends6(&packet, &B, HOST_B);
    gateway.tables.set_alive(A.bit());
    gateway.tells66(&packet, DropReason::Nat66Protocol, super::harness::PROHIBITED);
}

/// Neither uplink takes the other's for its own.
#[test]
fn by_the_wrong_uplink() {
    let gateway = gateway();
    gateway.establish66();
    let packet = coming(PacketBuilder6::udp(SERVER, public(&A, HOST.1)), &B);
    gateway.passes(B.ifindex, &packet.build(), PassReason::Local);
    let packet = coming(PacketBuilder6::udp(SERVER, (HOST_B, HOST.1)), &A);
    gateway.refuses66(A.ifindex, &packet, DropReason::Unsolicited);
    let packet = coming(PacketBuilder6::udp(SERVER, (HOST_B, HOST.1)), &B);
    gateway.refuses66(B.ifindex, &packet, DropReason::Filtered);
}

/// Where the other uplink routes as it is, and takes anything, the public address is no host's either.
#[test]
fn by_an_uplink_that_routes() {
    let carriage = [Carriage::Nat66, Carriage::Routed];
    let mut gateway = Gateway::of(site6::gateway(site::prefer_a, carriage));
    gateway.uplink6(&B).inbound = Inbound::All as u8;
    gateway.establish66();
    for to in [public(&A, HOST.1), (own(&B), HOST.1)] {
        let packet = coming(PacketBuilder6::udp(SERVER, to), &B);
        gateway.passes(B.ifindex, &packet.build(), PassReason::Local);
    }
    let packet = coming(PacketBuilder6::udp(SERVER, HOST), &B);
    gateway.refuses66(B.ifindex, &packet, DropReason::Unsolicited);
    gateway.holds66([2, 0, 0], 2);
}

/// To an address of the LAN's that B shows: as for hosts of B's alone.
#[test]
fn hairpin_by_the_other() {
    let gateway = gateway();
    let packet = request().to((HOST_B, 53));
    let output = packet.clone().from_address(HOST_B).to_address(HOST.0);
    let output = output.macs(lan::MAC, lan::HOST_MAC).hop_limit(63).build();
    gateway.forwards_back(&packet.build(), &B, &output);
    gateway.holds66([0; 3], 0);
}
