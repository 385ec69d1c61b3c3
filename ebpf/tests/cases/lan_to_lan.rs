//! From one LAN host to another: routed, and nothing else. On the host only, for in the kernel its own
//! routes and neighbours decide.

use std::net::{Ipv4Addr, SocketAddrV4};

use pointsman_ebpf::abi::{Ipv4, LanSide, Mac, MacPair};
use pointsman_ebpf::memory::PacketBuilder;
use pointsman_ebpf::memory::site::{self, A, lan};
use pointsman_ebpf::verdict::{DropReason, PassReason, Verdict};
use pointsman_ebpf::wire::tcp_flags;

use super::harness::{Gateway, HOST};

/// Another interface of the LAN, and a host behind it.
const EGRESS: u16 = 20;
const MAC: [u8; 6] = [2, 0, 0, 9, 0, 1];
const FAR: Ipv4Addr = Ipv4Addr::new(192, 168, 7, 9);
const FAR_MAC: [u8; 6] = [2, 0, 0, 9, 0, 9];
const FAR_END: SocketAddrV4 = SocketAddrV4::new(FAR, 80);
const MTU: u16 = 1400;

/// A host whose MAC the kernel does not know, and one that it has no way to.
const SILENT: Ipv4Addr = Ipv4Addr::new(192, 168, 7, 10);
const UNROUTED: Ipv4Addr = Ipv4Addr::new(192, 168, 7, 11);

fn gateway() -> Gateway {
    let mut gateway = Gateway::on_host_only();
    site::add_lan_network(&mut gateway.tables, [192, 168, 7, 0].into(), 24, true);
    let way = LanSide::new(MacPair::new(Mac::new(FAR_MAC), Mac::new(MAC)), EGRESS, MTU);
    let neighbours = &mut gateway.tables.ipv6.neighbours;
    neighbours.insert(Ipv4::new(FAR.octets()).into(), Some(way));
    neighbours.insert(Ipv4::new(SILENT.octets()).into(), None);
    gateway
}

/// The packet from the host arrives as it is, one hop further.
#[track_caller]
fn crosses(gateway: &Gateway, packet: &PacketBuilder) {
    let output = packet.clone().macs(MAC, FAR_MAC).ttl(63);
    gateway.expect(lan::IFINDEX, &packet.build(), Verdict::Lan { egress: EGRESS }, &output.build());
    gateway.holds_nothing();
}

#[test]
fn whatever_it_is_it_crosses() {
    let gateway = gateway();
    crosses(&gateway, &PacketBuilder::udp(HOST, FAR_END).payload(b"hello"));
    for flags in [tcp_flags::SYN, tcp_flags::ACK, tcp_flags::RST] {
        crosses(&gateway, &PacketBuilder::tcp(HOST, FAR_END, flags));
    }
    crosses(&gateway, &PacketBuilder::echo_request(HOST, FAR));
    crosses(&gateway, &PacketBuilder::echo_reply(lan::HOST, FAR_END));
    crosses(&gateway, &PacketBuilder::other(47, lan::HOST, FAR));
    // A timestamp request, which is translated by nobody.
    let timestamp = [13, 0, 0, 0, 0, 1, 0, 1];
    crosses(&gateway, &PacketBuilder::other(1, lan::HOST, FAR).payload(&timestamp));
    crosses(&gateway, &PacketBuilder::udp(HOST, FAR_END).options(&[1, 1, 1, 0]));
}

#[test]
fn so_does_every_fragment() {
    let gateway = gateway();
    let packet = PacketBuilder::udp(HOST, FAR_END).payload(&[0x5a; 2000]);
    let output = packet.clone().macs(MAC, FAR_MAC).ttl(63);
    for (input, output) in packet.fragments(2).iter().zip(output.fragments(2)).rev() {
        gateway.expect(lan::IFINDEX, input, Verdict::Lan { egress: EGRESS }, &output);
    }
    gateway.holds_nothing();
}

#[test]
fn so_does_an_error_about_what_has_crossed() {
    let gateway = gateway();
    let quote = PacketBuilder::udp(FAR_END, HOST).quoted(28);
    crosses(&gateway, &PacketBuilder::icmp_error(lan::HOST, FAR, [3, 3], [0; 4], &quote));
}

#[test]
fn the_sender_is_told_of_what_cannot() {
    let gateway = gateway();
    let late = PacketBuilder::udp(HOST, FAR_END).ttl(1);
    gateway.tells(&late, DropReason::TtlExceeded, [11, 0], [0; 4]);
    let [high, low] = MTU.to_be_bytes();
    let large = PacketBuilder::udp(HOST, FAR_END).payload(&[0; 1400]);
    gateway.tells(&large, DropReason::TooBig, [3, 4], [0, 0, high, low]);
}

#[test]
fn a_host_whose_mac_is_not_known_is_for_the_kernel_to_find() {
    let gateway = gateway();
    let packet = PacketBuilder::udp(HOST, SocketAddrV4::new(SILENT, 80)).build();
    gateway.passes(lan::IFINDEX, &packet, PassReason::LanNeighbour);
    gateway
        .refuses(&PacketBuilder::udp(HOST, SocketAddrV4::new(UNROUTED, 80)), DropReason::LanToLan);
}

#[test]
fn who_speaks_for_somebody_else_does_not_cross() {
    let gateway = gateway();
    for source in [lan::GATEWAY, A.address, Ipv4Addr::new(127, 0, 0, 1)] {
        let packet = PacketBuilder::udp(SocketAddrV4::new(source, 1), FAR_END);
        gateway.refuses(&packet, DropReason::Martian);
    }
    // From outside, the LAN is not to be had this way.
    let packet = PacketBuilder::udp(SocketAddrV4::new([192, 0, 2, 53].into(), 1), FAR_END);
    gateway.drops(A.ifindex, &packet.macs(A.gateway_mac, A.mac).build(), DropReason::Unsolicited);
}
