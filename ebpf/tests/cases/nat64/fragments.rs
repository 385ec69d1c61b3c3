//! Fragments (RFC 7915 sections 4.1 and 5.1.1): each is translated on its own, the later ones by what the
//! first has left.

use pointsman_ebpf::memory::site::{A, lan};
use pointsman_ebpf::verdict::{DropReason, PassReason};

use super::harness::{
    answer, answer_in, echo, echo_out, gateway, reaching, reply, request, request_out,
};

const PAYLOAD: [u8; 2000] = [0x3c; 2000];

/// The identification of IPv4 is the lower half of that of IPv6.
#[test]
fn from_the_lan() {
    let gateway = gateway();
    gateway.establish64();
    let packet = request().payload(&PAYLOAD).identification(0xabcd_1234);
    let output = request_out().payload(&PAYLOAD).identification(0x1234);
    let output = output.macs(A.mac, A.gateway_mac).ttl(63);
    for (input, output) in packet.fragments(3).iter().zip(output.fragments(3)) {
        gateway.forwards_out(input, &A, &output);
    }
}

#[test]
fn from_an_uplink() {
    let gateway = gateway();
    gateway.establish64();
    let packet = answer(&A).payload(&PAYLOAD).identification(0x4321);
    let output = reaching(answer_in().payload(&PAYLOAD).identification(0x4321));
    for (input, output) in packet.fragments(3).iter().zip(output.fragments(3)) {
        gateway.forwards_in(input, &A, &output);
    }
}

/// The first one opens the flow, and the answer to it comes in fragments.
#[test]
fn a_flow_that_starts_with_them() {
    let gateway = gateway();
    let packet = request().payload(&PAYLOAD).identification(7);
    let output = request_out().payload(&PAYLOAD).identification(7);
    let output = output.macs(A.mac, A.gateway_mac).ttl(63);
    for (input, output) in packet.fragments(2).iter().zip(output.fragments(2)) {
        gateway.forwards_out(input, &A, &output);
    }
    let packet = answer(&A).payload(&PAYLOAD).identification(9);
    let output = reaching(answer_in().payload(&PAYLOAD).identification(9));
    for (input, output) in packet.fragments(2).iter().zip(output.fragments(2)) {
        gateway.forwards_in(input, &A, &output);
    }
}

/// A fragment header alone makes no fragment (RFC 6946), but its identification is the packet's.
#[test]
fn a_packet_in_one_fragment() {
    let gateway = gateway();
    gateway.establish64();
    let packet = request().extensions(&[[44, 0]]).identification(0xffff_0007).build();
    let output = request_out().identification(7).macs(A.mac, A.gateway_mac).ttl(63);
    gateway.forwards_out(&packet, &A, &output.build());
    let packet = echo().extensions(&[[44, 0]]).identification(8).build();
    let output = echo_out().identification(8).macs(A.mac, A.gateway_mac).ttl(63);
    gateway.forwards_out(&packet, &A, &output.build());
}

#[test]
fn later_ones_alone() {
    let gateway = gateway();
    gateway.establish64();
    let fragments = request().payload(&PAYLOAD).fragments(3);
    gateway.refuses64(lan::IFINDEX, &fragments[1], DropReason::FragmentWithoutFirst);
    // It may be of what the kernel has sent.
    let fragments = answer(&A).payload(&PAYLOAD).fragments(3);
    gateway.passes(A.ifindex, &fragments[1], PassReason::Local);
}

/// They would replace what the first one was let through for.
#[test]
fn later_ones_over_the_first() {
    let gateway = gateway();
    gateway.establish64();
    let packet = request().payload(&PAYLOAD);
    let output = request_out().payload(&PAYLOAD).identification(0x5678);
    let output = output.macs(A.mac, A.gateway_mac).ttl(63).fragment_of(0..800);
    gateway.forwards_out(&packet.fragment_of(0..800), &A, &output);
    let reason = DropReason::FragmentOverlap;
    gateway.refuses64(lan::IFINDEX, &packet.fragment_of(792..1600), reason);
    let packet = answer(&A).payload(&PAYLOAD);
    let output = reaching(answer_in().payload(&PAYLOAD).identification(0x1234));
    gateway.forwards_in(&packet.fragment_of(0..800), &A, &output.fragment_of(0..800));
    gateway.refuses64(A.ifindex, &packet.fragment_of(792..1600), reason);
}

/// RFC 7915 section 1.2: no fragment of ICMP tells what its checksum is over.
#[test]
fn of_icmp() {
    let gateway = gateway();
    let reason = DropReason::Nat64Untranslatable;
    let fragments = echo().payload(&PAYLOAD).fragments(2);
    gateway.refuses64(lan::IFINDEX, &fragments[0], reason);
    gateway.sends64(&echo(), &A, echo_out());
    let fragments = reply().payload(&PAYLOAD).fragments(2);
    gateway.refuses64(A.ifindex, &fragments[0], reason);
}

/// RFC 7915 section 4.5.
#[test]
fn of_udp_without_a_checksum() {
    let gateway = gateway();
    gateway.establish64();
    let fragments = answer(&A).payload(&PAYLOAD).without_checksum().fragments(2);
    gateway.refuses64(A.ifindex, &fragments[0], DropReason::Nat64Untranslatable);
}
