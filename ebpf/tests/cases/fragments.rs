//! Fragments (RFC 791 section 3.2, RFC 4787 section 11, RFC 1858, RFC 3128).

use std::net::{Ipv4Addr, SocketAddrV4};

use pointsman_ebpf::abi::Filtering;
use pointsman_ebpf::memory::PacketBuilder;
use pointsman_ebpf::memory::site::{A, B, lan};
use pointsman_ebpf::path::FlowTable;
use pointsman_ebpf::verdict::{DropReason, PassReason};
use pointsman_ebpf::wire::tcp_flags::ACK;

use super::harness::{
    Gateway, HOST, OTHER, SERVER, STRANGER, STRIDE, Sizes, answer, coming, from_other, leaving,
    public, reaching, request, segment,
};

const WITHOUT_FIRST: DropReason = DropReason::FragmentWithoutFirst;

/// A datagram of several fragments.
fn large() -> PacketBuilder {
    request().payload(&[0x5a; 2500])
}

fn large_answer() -> PacketBuilder {
    answer(&A, HOST.port()).payload(&[0xa5; 2500])
}

/// The fragments of a datagram from the LAN leave as those of the translated one.
#[track_caller]
fn leave(gateway: &Gateway, packet: &PacketBuilder, port: u16, count: usize) {
    let translated = leaving(packet, &A, port).fragments(count);
    for (input, output) in packet.fragments(count).iter().zip(translated) {
        gateway.forwards_out(input, &A, &output);
    }
}

/// RFC 4787 REQ-14: in order; the first opens the flow. One entry serves all.
#[test]
fn in_order_from_the_lan() {
    let gateway = Gateway::new();
    leave(&gateway, &large(), HOST.port(), 4);
    gateway.holds(Sizes { unreplied: 1, fragments: 1, bindings: 2, ..Sizes::default() });
    gateway.delivers(&answer(&A, HOST.port()), &A, HOST);
    leave(&gateway, &large().identification(2), HOST.port(), 3);
    gateway.holds(Sizes { established: 2, fragments: 2, bindings: 2, ..Sizes::default() });
}

/// The same inbound: an answer, of a flow that waits for it and of one that has had one.
#[test]
fn in_order_by_an_uplink() {
    let gateway = Gateway::new();
    gateway.sends(&request(), &A, HOST.port());
    for id in 1..3 {
        let packet = large_answer().identification(id);
        let translated = reaching(&packet, HOST).fragments(4);
        for (input, output) in packet.fragments(4).iter().zip(translated) {
            gateway.forwards_in(input, &A, &output);
        }
        gateway.holds(Sizes {
            established: 2,
            fragments: usize::from(id),
            bindings: 2,
            ..Sizes::default()
        });
    }
}

/// What `ping -s 8000` sends, and gets.
#[test]
fn a_large_echo() {
    let gateway = Gateway::new();
    let packet = PacketBuilder::echo_request(HOST, *SERVER.ip()).payload(&[7; 8000]);
    leave(&gateway, &packet, HOST.port(), 6);
    let reply =
        PacketBuilder::echo_reply(*SERVER.ip(), public(&A, HOST.port())).payload(&[7; 8000]);
    let reply = coming(reply, &A);
    let translated = reaching(&reply, HOST).fragments(6);
    for (input, output) in reply.fragments(6).iter().zip(translated) {
        gateway.forwards_in(input, &A, &output);
    }
}

/// Every protocol with a checksum that the fragments have in common, by ports that change.
#[test]
fn the_checksum_is_that_of_the_datagram() {
    for packet in [
        request(),
        request().without_checksum(),
        segment(ACK),
        PacketBuilder::echo_request(HOST, *SERVER.ip()),
    ] {
        let gateway = Gateway::with_nat_ports(40_000, 40_000);
        for options in [0, 4, 40] {
            let packet = packet.clone().options(&vec![1; options]).payload(&[0x33; 201]);
            leave(&gateway, &packet, 40_000, 5);
        }
    }
}

/// RFC 4787 REQ-14: the later ones in any order, once the first is there; and more than once.
#[test]
fn out_of_order_after_the_first() {
    let gateway = Gateway::new();
    let translated = leaving(&large(), &A, HOST.port()).fragments(4);
    let fragments = large().fragments(4);
    for at in [0, 3, 1, 2, 3, 1] {
        gateway.forwards_out(&fragments[at], &A, &translated[at]);
    }
}

/// A later one before the first is dropped and counted, and takes no room: then it is sent again.
#[test]
fn a_later_one_before_the_first() {
    let gateway = Gateway::new();
    gateway.sends(&request(), &A, HOST.port());
    let fragments = large().fragments(3);
    for later in &fragments[1..] {
        gateway.drops(lan::IFINDEX, later, WITHOUT_FIRST);
    }
    gateway.holds(Sizes { unreplied: 1, bindings: 2, ..Sizes::default() });
    leave(&gateway, &large(), HOST.port(), 3);
}

/// By an uplink, what is for no address of the kernel's is dropped, and the rest is its own.
#[test]
fn a_later_one_before_the_first_by_an_uplink() {
    let mut gateway = Gateway::new();
    gateway.sends(&request(), &A, HOST.port());
    let later = &large_answer().fragments(2)[1];
    gateway.passes(A.ifindex, later, PassReason::Local);
    let address = Ipv4Addr::new(203, 0, 113, 9);
    gateway.add_public_address(&A, address);
    let packet = large_answer().to(SocketAddrV4::new(address, 5000));
    gateway.drops(A.ifindex, &packet.fragments(2)[1], WITHOUT_FIRST);
    let packet = large_answer().to(SocketAddrV4::new(lan::HOST, 5000));
    gateway.drops(A.ifindex, &packet.fragments(2)[1], WITHOUT_FIRST);
}

/// Datagrams that differ in identification, protocol or an address are not each other's.
#[test]
fn of_another_datagram() {
    let gateway = Gateway::new();
    leave(&gateway, &large(), HOST.port(), 2);
    let other = SocketAddrV4::new(lan::OTHER, 5000);
    for packet in [
        large().identification(7),
        segment(ACK).payload(&[0; 4000]),
        large().to(STRANGER),
        large().from(other),
    ] {
        gateway.drops(lan::IFINDEX, &packet.fragments(2)[1], WITHOUT_FIRST);
    }
    let by_b = coming(PacketBuilder::udp(HOST, SERVER), &B).payload(&[0; 4000]);
    gateway.drops(B.ifindex, &by_b.fragments(2)[1], WITHOUT_FIRST);
}

/// Two hosts with the same identification at once.
#[test]
fn two_datagrams_at_once() {
    let gateway = Gateway::new();
    let other_end = SocketAddrV4::new(lan::OTHER, 6000);
    let other = from_other(large().from(other_end));
    let packets = [(large(), HOST.port()), (other, 6000)];
    for at in 0..3 {
        for (packet, port) in &packets {
            let output = &leaving(packet, &A, *port).fragments(3)[at];
            gateway.forwards_out(&packet.fragments(3)[at], &A, output);
        }
    }
}

/// RFC 3128: a later one that starts within the first would replace what the first was let through
/// for. What starts right behind it is good.
#[test]
fn an_overlap_with_the_first() {
    let gateway = Gateway::new();
    let packet = segment(ACK).payload(&[0x5a; 100]);
    let translated = leaving(&packet, &A, HOST.port());
    gateway.forwards_out(&packet.fragment_of(0..40), &A, &translated.fragment_of(0..40));
    for start in [8, 16, 24, 32] {
        let fragment = packet.fragment_of(start..80);
        gateway.drops(lan::IFINDEX, &fragment, DropReason::FragmentOverlap);
    }
    gateway.forwards_out(&packet.fragment_of(40..80), &A, &translated.fragment_of(40..80));
    // The overlap of later ones does not concern the ports.
    gateway.forwards_out(&packet.fragment_of(72..120), &A, &translated.fragment_of(72..120));
}

/// RFC 1858 section 3: a first one without a whole transport header; the smallest that has one
/// passes.
#[test]
fn a_tiny_first_one() {
    for (packet, header_len) in
        [(request(), 8), (segment(ACK), 20), (PacketBuilder::echo_request(HOST, *SERVER.ip()), 8)]
    {
        let gateway = Gateway::new();
        let packet = packet.payload(&[0x5a; 64]);
        for len in (0..header_len).step_by(STRIDE) {
            let fragment = packet.fragment_of(0..len);
            gateway.drops(lan::IFINDEX, &fragment, DropReason::FragmentTiny);
        }
        gateway.holds_nothing();
        let whole = packet.fragment_of(0..header_len);
        let translated = leaving(&packet, &A, HOST.port());
        gateway.forwards_out(&whole, &A, &translated.fragment_of(0..header_len));
    }
}

/// By an uplink, likewise.
#[test]
fn a_tiny_first_one_by_an_uplink() {
    let gateway = Gateway::new();
    gateway.establish(&A);
    let tiny = large_answer().fragment_of(0..4);
    gateway.drops(A.ifindex, &tiny, DropReason::FragmentTiny);
}

/// RFC 4787 REQ-14a: there is room for so many datagrams, and a flood pushes out the oldest of its
/// kind, never anything else.
#[test]
fn the_table_is_bounded() {
    let gateway = Gateway::on_host_only();
    gateway.establish(&A);
    gateway.tables.set_flow_capacity(FlowTable::Fragments, 2);
    leave(&gateway, &large(), HOST.port(), 2);
    for id in 1..20 {
        leave(&gateway, &large().identification(id), HOST.port(), 2);
    }
    gateway.holds(Sizes { established: 2, fragments: 2, bindings: 2, ..Sizes::default() });
    gateway.drops(lan::IFINDEX, &large().fragments(2)[1], WITHOUT_FIRST);
    gateway.sends(&request(), &A, HOST.port());
}

/// A flood of later ones, from either side, leaves nothing.
#[test]
fn a_flood_of_later_ones_leaves_no_state() {
    let gateway = Gateway::new();
    for id in (0..200).step_by(STRIDE) {
        let later = &large().identification(id).fragments(2)[1];
        gateway.drops(lan::IFINDEX, later, WITHOUT_FIRST);
        let later = &large_answer().identification(id).to(STRANGER).fragments(2)[1];
        gateway.drops(A.ifindex, later, WITHOUT_FIRST);
    }
    gateway.holds_nothing();
}

/// A flood of first ones from beyond, that no mapping takes, leaves nothing either.
#[test]
fn first_ones_that_are_not_let_in_leave_no_state() {
    let gateway = Gateway::with_filtering(Filtering::AddressAndPort);
    gateway.sends(&request(), &A, HOST.port());
    for id in (0..200).step_by(STRIDE) {
        let packet = large_answer().identification(id);
        let first = &packet.clone().from(STRANGER).fragments(2)[0];
        gateway.drops(A.ifindex, first, DropReason::Filtered);
        let first = &packet.to(public(&A, 9)).fragments(2)[0];
        gateway.passes(A.ifindex, first, PassReason::Local);
    }
    gateway.holds(Sizes { unreplied: 1, bindings: 2, ..Sizes::default() });
}

/// Between two fragments, the uplink dies, or has another address: what is left of the datagram
/// cannot go by another, for the receiver would not put it together.
#[test]
fn the_uplink_is_lost_in_the_middle() {
    for generation in [false, true] {
        let mut gateway = Gateway::new();
        let fragments = large().fragments(3);
        let translated = leaving(&large(), &A, HOST.port()).fragments(3);
        gateway.forwards_out(&fragments[0], &A, &translated[0]);
        gateway.forwards_out(&fragments[1], &A, &translated[1]);
        if generation {
            gateway.readdress(&A, A.address);
        } else {
            gateway.tables.set_alive(B.bit());
        }
        gateway.drops(lan::IFINDEX, &fragments[2], WITHOUT_FIRST);
    }
}

/// The first decides anew where the next datagram of the same identification goes.
#[test]
fn an_identification_is_used_again() {
    let gateway = Gateway::new();
    leave(&gateway, &large(), HOST.port(), 2);
    let second = SocketAddrV4::new(lan::HOST, 5001);
    leave(&gateway, &large().from(second), 5001, 2);
    gateway.holds(Sizes { unreplied: 2, fragments: 1, bindings: 4, ..Sizes::default() });
}

/// A fragment is as large as the egress interface takes, or it is dropped; of the first, the sender
/// is told.
#[test]
fn larger_than_the_uplink_takes() {
    let mut gateway = Gateway::new();
    gateway.tables.uplinks[usize::from(A.id)].mtu = 1280;
    let packet = request().payload(&[0x5a; 4000]);
    let fragments = packet.fragments(3);
    let reason = DropReason::TooBig;
    gateway.answers(lan::IFINDEX, &fragments[0], reason, [3, 4], [0, 0, 0x05, 0x00]);
    gateway.drops(lan::IFINDEX, &fragments[1], WITHOUT_FIRST);
    leave(&gateway, &packet, HOST.port(), 4);
    gateway.drops(lan::IFINDEX, &fragments[1], DropReason::TooBig);
}

/// Martians are asked of the first, and the rest has none to follow. Within the LAN no fragment needs
/// one.
#[test]
fn of_what_is_refused() {
    let gateway = Gateway::new();
    let packet = large().to(OTHER);
    for fragment in packet.fragments(2) {
        gateway.drops(lan::IFINDEX, &fragment, DropReason::LanToLan);
    }
    let packet = large().to(SocketAddrV4::new([127, 0, 0, 1].into(), 53));
    gateway.drops(lan::IFINDEX, &packet.fragments(2)[0], DropReason::Martian);
    gateway.drops(lan::IFINDEX, &packet.fragments(2)[1], WITHOUT_FIRST);
    gateway.holds_nothing();
}

/// To the gateway itself, all fragments are the kernel's, which puts them together.
#[test]
fn for_the_gateway_itself() {
    let gateway = Gateway::new();
    let packet = large().to(SocketAddrV4::new(lan::GATEWAY, 53));
    for fragment in packet.fragments(3) {
        gateway.passes(lan::IFINDEX, &fragment, PassReason::Local);
    }
    gateway.holds_nothing();
}
