//! Fragments (RFC 4787 section 11; RFC 8200 section 4.5; RFC 5722): only the first one has the port that is
//! translated, and the others go its way.

use pointsman_ebpf::abi::PortRange;
use pointsman_ebpf::memory::PacketBuilder6;
use pointsman_ebpf::memory::site::{self, A, B, lan};
use pointsman_ebpf::memory::site6::{self, Carriage};
use pointsman_ebpf::path::FlowTable;
use pointsman_ebpf::verdict::{DropReason, PassReason};
use pointsman_ebpf::wire::tcp_flags::ACK;

use super::harness::{
    Gateway, HOST, OTHER, STRANGER, answer, coming, echo, gateway, leaving, other_request, public,
    reaching, reply, request, segment, unasked,
};

const WITHOUT_FIRST: DropReason = DropReason::FragmentWithoutFirst;

/// The port that the host has beyond the uplink, which is not its own.
const SHIFTED: u16 = 40_000;

/// A port that is no host's own is given, so that it is changed either way.
fn shifted() -> Gateway {
    let mut gateway = gateway();
    gateway.settings().nat_ports = PortRange { first: SHIFTED, last: SHIFTED + 1 };
    gateway
}

fn large(packet: PacketBuilder6) -> PacketBuilder6 {
    packet.payload(&[0x5a; 2500])
}

/// The server's answer to the host's shifted port.
fn large_answer() -> PacketBuilder6 {
    large(answer(&A).to(public(&A, SHIFTED)))
}

/// The fragments leave as those of the translated packet, in this order.
#[track_caller]
fn leave(gateway: &Gateway, packet: &PacketBuilder6, order: &[usize]) {
    let output = leaving(packet, &A, SHIFTED).fragments(order.len());
    let input = packet.fragments(order.len());
    for at in order {
        gateway.forwards_out(&input[*at], &A, &output[*at]);
    }
}

/// The fragments reach this host as those of the translated packet, in this order.
#[track_caller]
fn reach(gateway: &Gateway, packet: &PacketBuilder6, order: &[usize]) {
    let output = reaching(packet, HOST).fragments(order.len());
    let input = packet.fragments(order.len());
    for at in order {
        gateway.forwards_in(&input[*at], &A, &output[*at]);
    }
}

/// The first opens the flow, and one entry serves all, in any order.
#[test]
fn from_the_lan() {
    let gateway = shifted();
    leave(&gateway, &large(request()), &[0, 1, 2]);
    gateway.holds66([0, 1, 0], 2);
    assert_eq!(gateway.tables.flow_count(FlowTable::Fragments), 1);
    leave(&gateway, &large(request()).identification(7), &[0, 3, 1, 2]);
    leave(&gateway, &large(request()).extensions(&[[0, 0], [43, 0]]), &[0, 2, 1]);
    leave(&gateway, &large(segment(ACK)).identification(8), &[0, 2, 1]);
    gateway.holds66([0, 2, 0], 4);
}

/// The first of an answer establishes the flow, and later packets of it are known as well.
#[test]
fn to_the_lan() {
    let gateway = shifted();
    gateway.sends66(&request(), &A, SHIFTED);
    reach(&gateway, &large_answer(), &[0, 1, 2]);
    gateway.holds66([2, 0, 0], 2);
    reach(&gateway, &large_answer().identification(7), &[0, 3, 1, 2]);
    reach(&gateway, &large_answer().extensions(&[[60, 1]]), &[0, 2, 1]);
    leave(&gateway, &large(request()), &[0, 2, 1]);
    gateway.holds66([2, 0, 0], 2);
}

/// Of somebody who is let in, and of the LAN's answer to that.
#[test]
fn of_an_invited_flow() {
    let gateway = shifted();
    gateway.sends66(&request(), &A, SHIFTED);
    let packet = large(unasked(&A).to(public(&A, SHIFTED)));
    reach(&gateway, &packet, &[0, 2, 1]);
    gateway.holds66([0, 1, 1], 2);
    reach(&gateway, &packet.identification(8), &[0, 2, 1]);
    leave(&gateway, &large(request()).to(STRANGER), &[0, 2, 1]);
    gateway.holds66([2, 1, 0], 2);
}

/// RFC 5508 section 3.3: an echo is known by its identifier, which only the first fragment has.
#[test]
fn of_an_echo() {
    let gateway = shifted();
    leave(&gateway, &large(echo()), &[0, 2, 1]);
    reach(&gateway, &large(reply(&A).to(public(&A, SHIFTED))), &[0, 2, 1]);
    gateway.holds66([2, 0, 0], 2);
}

/// Either direction has identifications of its own.
#[test]
fn the_same_identification_either_way() {
    let gateway = shifted();
    gateway.sends66(&request(), &A, SHIFTED);
    reach(&gateway, &large_answer().identification(0x1234_1234), &[0, 1]);
    let later = &large(request()).identification(0x1234_1234).fragments(2)[1];
    gateway.drops(lan::IFINDEX, later, WITHOUT_FIRST);
}

/// Hosts that send with the same identification are told apart.
#[test]
fn the_same_identification_of_two_hosts() {
    let gateway = shifted();
    leave(&gateway, &large(request()), &[0, 1]);
    let theirs = large(other_request());
    gateway.drops(lan::IFINDEX, &theirs.fragments(2)[1], WITHOUT_FIRST);
    let mut gateway = super::harness::gateway();
    gateway.settings().nat_ports = PortRange { first: 5000, last: 65_535 };
    let theirs = theirs.from((OTHER.0, 6000));
    for (packet, port) in [(large(request()), HOST.1), (theirs, 6000)] {
        let output = leaving(&packet, &A, port).fragments(2);
        for (input, output) in packet.fragments(2).iter().zip(&output) {
            gateway.forwards_out(input, &A, output);
        }
    }
}

/// What comes in alone may be of what the gateway itself has been sent: there it is put together.
#[test]
fn a_later_one_before_the_first() {
    let gateway = shifted();
    gateway.sends66(&request(), &A, SHIFTED);
    gateway.drops(lan::IFINDEX, &large(request()).fragments(2)[1], WITHOUT_FIRST);
    gateway.passes(A.ifindex, &large_answer().fragments(2)[1], PassReason::Local);
    assert_eq!(gateway.tables.flow_count(FlowTable::Fragments), 0);
    // For nobody's address.
    let elsewhere = large(answer(&A).to((OTHER.0, 1)));
    gateway.drops(A.ifindex, &elsewhere.fragments(2)[1], DropReason::Unsolicited);
}

/// Another identification, or another address, is another packet's.
#[test]
fn of_another_packet() {
    let gateway = shifted();
    leave(&gateway, &large(request()), &[0, 1]);
    let packet = large(request());
    for packet in [
        packet.clone().identification(0x1234_5679),
        packet.clone().identification(0x1235_5678),
        packet.clone().to(STRANGER),
        packet.from_address(OTHER.0),
    ] {
        gateway.drops(lan::IFINDEX, &packet.fragments(2)[1], WITHOUT_FIRST);
    }
    reach(&gateway, &large_answer(), &[0, 1]);
    for packet in [large_answer().identification(9), large_answer().from(STRANGER)] {
        gateway.passes(A.ifindex, &packet.fragments(2)[1], PassReason::Local);
    }
}

/// RFC 5722: an overlap would replace what the first was let through for. Right behind it is good.
#[test]
fn an_overlap_with_the_first() {
    let gateway = shifted();
    let sent = segment(ACK).payload(&[0x5a; 100]);
    let left = leaving(&sent, &A, SHIFTED);
    gateway.forwards_out(&sent.fragment_of(0..40), &A, &left.fragment_of(0..40));
    let back = super::harness::segment_back(ACK, &A).to(public(&A, SHIFTED)).payload(&[0x5a; 100]);
    let reached = reaching(&back, HOST);
    gateway.forwards_in(&back.fragment_of(0..40), &A, &reached.fragment_of(0..40));
    for start in [8, 16, 32] {
        let reason = DropReason::FragmentOverlap;
        gateway.drops(lan::IFINDEX, &sent.fragment_of(start..80), reason);
        gateway.drops(A.ifindex, &back.fragment_of(start..80), reason);
    }
    gateway.forwards_out(&sent.fragment_of(40..80), &A, &left.fragment_of(40..80));
    gateway.forwards_in(&back.fragment_of(40..80), &A, &reached.fragment_of(40..80));
}

/// RFC 7112: all headers are in the first fragment, or it is dropped. So there is always a port to translate.
#[test]
fn a_tiny_first_one() {
    let gateway = shifted();
    for (packet, header) in [(request(), 8), (segment(ACK), 20), (echo(), 8)] {
        let packet = packet.payload(&[0x5a; 64]);
        for len in [0, 1, 4, header - 1] {
            gateway.drops(lan::IFINDEX, &packet.fragment_of(0..len), DropReason::FragmentTiny);
        }
    }
    gateway.holds66([0; 3], 0);
}

/// RFC 6946: a packet of one fragment is whole.
#[test]
fn an_atomic_fragment() {
    let gateway = shifted();
    for _ in 0..2 {
        gateway.sends66(&request().extensions(&[[44, 0]]), &A, SHIFTED);
        let back = answer(&A).to(public(&A, SHIFTED)).extensions(&[[44, 0]]);
        gateway.delivers66(&back, &A, HOST);
    }
    gateway.holds66([2, 0, 0], 2);
    assert_eq!(gateway.tables.flow_count(FlowTable::Fragments), 0);
}

/// A later one of a flow without ports has none to share an address by either.
#[test]
fn of_a_protocol_without_ports() {
    use pointsman_ebpf::memory::Body6;
    let gateway = shifted();
    let packet = large(PacketBuilder6::new(HOST, super::harness::SERVER, Body6::Other(47)));
    let [first, later] = &packet.fragments(2)[..] else { panic!("there are two") };
    let told = super::harness::PROHIBITED;
    gateway.tells6(lan::IFINDEX, first, DropReason::Nat66Protocol, told, [0; 4]);
    gateway.drops(lan::IFINDEX, later, WITHOUT_FIRST);
    gateway.holds66([0; 3], 0);
}

/// Its uplink dies, or has another address: what is left of the packet goes by no other.
#[test]
fn the_uplink_is_lost_in_the_middle() {
    for by_generation in [false, true] {
        let mut gateway = shifted();
        leave(&gateway, &large(request()), &[0, 1, 2]);
        if by_generation {
            gateway.uplink6(&A).generation += 1;
        } else {
            gateway.tables.set_alive(B.bit());
        }
        gateway.drops(lan::IFINDEX, &large(request()).fragments(3)[2], DropReason::NoUplink);
    }
}

/// Hop limit and size count for each of them, either way.
#[test]
fn each_is_answered_like_any() {
    let mut gateway = shifted();
    leave(&gateway, &large(request()), &[0, 1, 2]);
    reach(&gateway, &large_answer(), &[0, 1, 2]);
    let reason = DropReason::TtlExceeded;
    let last = &large(request()).hop_limit(1).fragments(3)[2];
    gateway.tells6(lan::IFINDEX, last, reason, [3, 0], [0; 4]);
    let last = &large_answer().hop_limit(1).fragments(3)[2];
    gateway.tells6(A.ifindex, last, reason, [3, 0], [0; 4]);
    gateway.uplink6(&A).mtu = 1280;
    let other = large(request()).fragments(2);
    for fragment in &other {
        let reason = DropReason::TooBig;
        if fragment.len() > 1280 + 14 {
            gateway.tells6(lan::IFINDEX, fragment, reason, [2, 0], [0, 0, 5, 0]);
        }
    }
}

/// What is for an address of an uplink's comes by no other.
#[test]
fn a_later_one_by_another_uplink() {
    let carriages = [Carriage::Nat66, Carriage::Routed];
    let mut gateway = Gateway::of(site6::gateway(site::prefer_a, carriages));
    gateway.settings().nat_ports = PortRange { first: SHIFTED, last: SHIFTED + 1 };
    gateway.sends66(&request(), &A, SHIFTED);
    let input = large_answer().fragments(3);
    let output = reaching(&large_answer(), HOST).fragments(3);
    gateway.forwards_in(&input[0], &A, &output[0]);
    let astray = coming(large_answer(), &B).fragments(3);
    gateway.passes(B.ifindex, &astray[1], PassReason::Local);
    gateway.forwards_in(&input[1], &A, &output[1]);
}
