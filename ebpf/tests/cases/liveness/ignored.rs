//! What shows nothing of the other system, though it is as its packets are.

use pointsman_ebpf::abi::{Sequence, Watch};
use pointsman_ebpf::memory::PacketBuilder;
use pointsman_ebpf::memory::site::{A, B, lan};
use pointsman_ebpf::verdict::{DropReason, PassReason};

use super::super::harness::{coming, public};
use super::harness::{CONTROL, ECHO, Gateway, MULTIHOP, PEER, PLAIN, gateway, packet};

/// The length of the UDP header's is at 38 of a frame.
fn with_length(mut frame: Vec<u8>, length: u16) -> Vec<u8> {
    frame[38..40].copy_from_slice(&length.to_be_bytes());
    frame
}

#[test]
fn another_length() {
    let gateway = gateway(PLAIN);
    for length in [0, 8, 31, 33, 60, u16::MAX] {
        gateway.ignores(&with_length(packet(&CONTROL).build(), length));
    }
    gateway.ignores(&packet(&[&CONTROL[..], &[0]].concat()).build());
    gateway.ignores(&packet(&[&CONTROL[..], &[0; 4]].concat()).build());
}

/// What ends before the section does, whatever its UDP header says.
#[test]
fn cut_short() {
    let gateway = gateway(PLAIN);
    for len in 0..CONTROL.len() {
        let frame = packet(&CONTROL[..len]).build();
        gateway.ignores(&frame);
        gateway.ignores(&with_length(frame, 32));
    }
    let whole = packet(&CONTROL).build();
    for len in 0..whole.len() {
        gateway.drops(A.ifindex, &whole[..len], DropReason::Truncated);
    }
}

#[test]
fn fragments_and_other_protocols() {
    let gateway = gateway(PLAIN);
    for fragment in [0x2000, 0x2001, 1] {
        gateway.ignores(&packet(&CONTROL).fragment(fragment).build());
    }
    let udp = &packet(&CONTROL).build()[34..];
    // UDP-Lite (RFC 3828) has the same header.
    let other = PacketBuilder::other(136, *PEER.ip(), A.address).ttl(255).payload(udp);
    gateway.ignores(&coming(other, &A).build());
}

#[test]
fn frames_that_are_no_ip() {
    let gateway = gateway(PLAIN);
    for ether_type in [[0x08, 0x06], [0x88, 0xcc], [0x88, 0x64], [0, 0]] {
        let mut frame = packet(&CONTROL).build();
        frame[12..14].copy_from_slice(&ether_type);
        gateway.passes(A.ifindex, &frame, PassReason::NotIp);
    }
}

/// What the kernel would not take for this system's does not show that the other one reaches it.
#[test]
fn another_mac() {
    let gateway = gateway(PLAIN);
    let multicast = [0x01, 0, 0x5e, 0, 0, 1];
    for mac in [[0xff; 6], multicast, B.mac, lan::MAC] {
        let frame = packet(&CONTROL).macs(A.gateway_mac, mac).build();
        gateway.passes(A.ifindex, &frame, PassReason::NotForUs);
    }
}

#[test]
fn another_port() {
    let gateway = gateway(PLAIN);
    let to = |port| packet(&CONTROL).to(public(&A, port)).build();
    for port in [MULTIHOP, 53] {
        gateway.ignores(&to(port));
    }
    gateway.drops(A.ifindex, &to(3783), DropReason::Unsolicited);
    // It is the destination that counts.
    let back = PacketBuilder::udp(public(&A, 3784), public(&A, 53)).ttl(255).payload(&CONTROL);
    gateway.ignores(&coming(back, &A).build());
}

/// To the same address, by another way.
#[test]
fn from_elsewhere() {
    let gateway = gateway(PLAIN);
    let by_b = packet(&CONTROL).macs(B.gateway_mac, B.mac).build();
    gateway.passes(B.ifindex, &by_b, PassReason::Local);
    let from_lan = packet(&CONTROL).macs(lan::HOST_MAC, lan::MAC).build();
    gateway.passes(lan::IFINDEX, &from_lan, PassReason::Local);
    gateway.passes(99, &packet(&CONTROL).build(), PassReason::UnknownPort);
}

/// The LAN has no uplink, though its port has a number for one.
#[test]
fn from_the_lan_where_its_number_is_watched() {
    let mut gateway = gateway(PLAIN);
    gateway.tables.ports.get_mut(&lan::IFINDEX).unwrap().uplink = A.id;
    let from_lan = packet(&CONTROL).macs(lan::HOST_MAC, lan::MAC).build();
    gateway.passes(lan::IFINDEX, &from_lan, PassReason::Local);
}

#[test]
fn where_nobody_watches() {
    gateway(Watch::default()).ignores(&packet(&CONTROL).build());
    let elsewhere = Watch::new(MULTIHOP, 255, 0, Sequence::None);
    gateway(elsewhere).ignores(&packet(&CONTROL).build());
}

/// What this system has sent comes back from its router (RFC 9747): from its own address, with a TTL of 254. The
/// daemon gets it, and it puts nothing off, for only the daemon knows what silence means.
#[test]
fn an_echo_is_the_daemons_to_judge() {
    let echo = PacketBuilder::udp(public(&A, 49_152), public(&A, ECHO));
    let echo = coming(echo, &A).ttl(254).payload(&CONTROL).build();
    for watch in [Watch::default(), PLAIN] {
        gateway(watch).ignores(&echo);
    }
    // Where the port is not kept for it, it is as good as anything that nobody has asked for.
    Gateway::new().drops(A.ifindex, &echo, DropReason::Unsolicited);
}
