//! Packets of more than a page: the kernel hands them over in several buffers, of which the path sees the
//! first.

use std::net::SocketAddrV4;

use pointsman_ebpf::memory::site::{A, lan};
use pointsman_ebpf::memory::{PacketBuilder, tagged};
use pointsman_ebpf::verdict::{DropReason, PassReason};
use pointsman_ebpf::wire::tcp_flags::{ACK, SYN};

use super::harness::{
    Gateway, HOST, SERVER, answer, leaving, reaching, request, segment, segment_back,
};
use super::vlan;

const MTU: u16 = 9000;

/// As much as an IPv4 packet of that size has room for behind a header of UDP.
const LARGEST: [u8; MTU as usize - 28] = [0x5a; MTU as usize - 28];

/// All interfaces take large packets.
fn gateway() -> Gateway {
    let mut gateway = Gateway::new();
    for port in gateway.tables.ports.values_mut() {
        port.mtu = MTU;
    }
    gateway.tables.uplinks[usize::from(A.id)].mtu = MTU;
    gateway
}

/// Around the length of the first buffer, and the largest.
fn payloads() -> impl Iterator<Item = &'static [u8]> {
    [3400, 3478, 3479, 4096, 8000, LARGEST.len()].into_iter().map(|len| &LARGEST[..len])
}

#[test]
fn of_a_flow() {
    let gateway = gateway();
    for payload in payloads() {
        gateway.sends(&request().payload(payload), &A, HOST.port());
        gateway.delivers(&answer(&A, HOST.port()).payload(payload), &A, HOST);
        gateway.sends(&request().payload(payload), &A, HOST.port());
    }
    gateway.establish_tcp(&A);
    gateway.sends(&segment(ACK).payload(&LARGEST[..8000]), &A, HOST.port());
    gateway.delivers(&segment_back(ACK, &A).payload(&LARGEST[..8000]), &A, HOST);
}

#[test]
fn with_tags() {
    for tags in vlan::KINDS {
        let mut gateway = gateway();
        vlan::serve(&mut gateway, lan::IFINDEX, tags);
        for _ in 0..2 {
            let sent = request().payload(&LARGEST);
            let output = leaving(&sent, &A, HOST.port()).build();
            gateway.forwards_out(&tagged(&sent.build(), tags), &A, &output);
            let back = answer(&A, HOST.port()).payload(&LARGEST);
            let output = tagged(&reaching(&back, HOST).build(), tags);
            gateway.forwards_in(&back.build(), &A, &output);
        }
    }
}

#[test]
fn too_large_for_the_uplink() {
    let mut gateway = gateway();
    gateway.tables.uplinks[usize::from(A.id)].mtu = 8000;
    let too_big = |packet: &PacketBuilder| {
        gateway.tells(packet, DropReason::TooBig, [3, 4], [0, 0, 0x1f, 0x40]);
    };
    too_big(&request().payload(&LARGEST[..8000 - 27]));
    too_big(&request().payload(&LARGEST[..8000 - 28]).padding(1));
    gateway.sends(&request().payload(&LARGEST[..8000 - 28]), &A, HOST.port());
    gateway.delivers(&answer(&A, HOST.port()), &A, HOST);
    too_big(&request().payload(&LARGEST));
}

#[test]
fn that_nobody_takes() {
    let gateway = gateway();
    let large = |packet: PacketBuilder| packet.payload(&LARGEST).build();
    gateway.drops(A.ifindex, &large(answer(&A, HOST.port())), DropReason::Unsolicited);
    let own = SocketAddrV4::new(lan::GATEWAY, 22);
    gateway.passes(lan::IFINDEX, &large(PacketBuilder::tcp(HOST, own, SYN)), PassReason::Local);
    let other = PacketBuilder::udp(HOST, SERVER).macs(lan::HOST_MAC, lan::OTHER_MAC);
    gateway.passes(lan::IFINDEX, &large(other), PassReason::NotForUs);
    // The header says more than there is, by a byte.
    let mut frame = large(request());
    frame.pop();
    gateway.drops(lan::IFINDEX, &frame, DropReason::Truncated);
}
