//! A public address that the gateway does not have itself: the provider routes it there, and the kernel knows
//! nothing of it.

use std::net::Ipv6Addr;

use pointsman_ebpf::abi::{AddressOwner, Inbound};
use pointsman_ebpf::memory::site::{A, lan};
use pointsman_ebpf::memory::site6::{entry, own};
use pointsman_ebpf::memory::{Body6, PacketBuilder6, verify6};
use pointsman_ebpf::verdict::{DropReason, PassReason};
use pointsman_ebpf::wire::tcp_flags::{ACK, SYN};

use super::super::ipv6::ROUTER;
use super::harness::{
    Gateway, HOST, SERVER, STRANGER, answer, echo, leaving, reply, request, segment, segment_back,
};

const PUBLIC: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xfa, 0, 0, 0, 0, 0x77);

fn gateway() -> Gateway {
    let mut gateway = super::harness::gateway();
    gateway.uplink6(&A).address = entry(PUBLIC);
    gateway.tables.local.insert(entry(PUBLIC), AddressOwner::translated(A.id));
    gateway
}

/// The packet leaves from the public address.
#[track_caller]
fn leaves(gateway: &Gateway, packet: &PacketBuilder6) {
    let output = leaving(packet, &A, HOST.1).from_address(PUBLIC).build();
    assert_eq!(verify6(&output), Ok(()));
    gateway.forwards_out(&packet.build(), &A, &output);
}

/// A flow of the host's to the server and back.
fn established() -> Gateway {
    let gateway = gateway();
    leaves(&gateway, &request());
    gateway.delivers66(&answer(&A).to_address(PUBLIC), &A, HOST);
    gateway.holds66([2, 0, 0], 2);
    gateway
}

#[test]
fn hosts_share_it() {
    let gateway = gateway();
    for (sent, back) in [
        (request(), answer(&A)),
        (segment(SYN), segment_back(SYN | ACK, &A)),
        (segment(ACK), segment_back(ACK, &A)),
        (echo(), reply(&A)),
    ] {
        leaves(&gateway, &sent);
        gateway.delivers66(&back.to_address(PUBLIC), &A, HOST);
    }
    let unasked = answer(&A).from(STRANGER).to_address(PUBLIC);
    gateway.delivers66(&unasked, &A, HOST);
    leaves(&gateway, &request().to(STRANGER));
    gateway.holds66([8, 0, 0], 6);
}

/// What is for no mapping is for nobody, whatever else comes in.
#[test]
fn nothing_of_it_is_the_kernels() {
    for inbound in [Inbound::Answers, Inbound::All] {
        let mut gateway = established();
        gateway.uplink6(&A).inbound = inbound as u8;
        for packet in [
            answer(&A).to((PUBLIC, 53)),
            answer(&A).to((PUBLIC, 5001)),
            segment_back(SYN, &A).to((PUBLIC, 22)),
            reply(&A).to((PUBLIC, 7)),
            answer(&A).to((PUBLIC, 0)).from((SERVER.0, 0)),
        ] {
            gateway.refuses66(A.ifindex, &packet, DropReason::Unsolicited);
        }
        for (body, reason) in [
            (Body6::Echo { reply: false }, DropReason::Unsolicited),
            (Body6::Other(47), DropReason::Unsolicited),
            (Body6::Message([136, 0], [0; 4]), DropReason::Icmp),
        ] {
            let packet = PacketBuilder6::new((SERVER.0, 1), (PUBLIC, 0), body);
            gateway.refuses66(A.ifindex, &super::harness::coming(packet, &A), reason);
        }
        let later = answer(&A).to_address(PUBLIC).payload(&[1; 2000]).fragments(2).swap_remove(1);
        gateway.drops(A.ifindex, &later, DropReason::FragmentWithoutFirst);
        // Its own address at the uplink is.
        gateway.passes(A.ifindex, &answer(&A).to((own(&A), 5000)).build(), PassReason::Local);
    }
}

#[test]
fn errors() {
    let gateway = established();
    let error = |sent: &PacketBuilder6, to: Ipv6Addr| {
        let quote = sent.quoted(usize::MAX);
        PacketBuilder6::error(ROUTER, to, [1, 4], [0; 4], &quote)
    };
    let coming = |packet| super::harness::coming(packet, &A);
    let left = leaving(&request(), &A, HOST.1).from_address(PUBLIC);
    let output = error(&request().hop_limit(63), HOST.0).macs(lan::MAC, lan::HOST_MAC);
    let input = coming(error(&left, PUBLIC)).build();
    gateway.forwards_in(&input, &A, &output.hop_limit(63).build());
    // The kernel has sent nothing from it.
    for port in [53, 5001] {
        let packet = coming(error(&left.clone().from((PUBLIC, port)), PUBLIC));
        gateway.refuses66(A.ifindex, &packet, DropReason::IcmpMismatch);
    }
    let packet = coming(error(&left.from_address(own(&A)), own(&A)));
    gateway.passes(A.ifindex, &packet.build(), PassReason::Local);
}

/// From the LAN there is no way by it, and nobody else speaks for it.
#[test]
fn who_else_uses_it() {
    let gateway = established();
    for packet in [
        request().to((PUBLIC, HOST.1)),
        request().to((PUBLIC, 53)),
        request().from_address(PUBLIC),
        PacketBuilder6::new(HOST, (PUBLIC, 0), Body6::Echo { reply: false }),
    ] {
        gateway.refuses66(lan::IFINDEX, &packet, DropReason::Martian);
    }
    let packet = answer(&A).from_address(PUBLIC).to_address(PUBLIC);
    gateway.refuses66(A.ifindex, &packet, DropReason::Martian);
}
