//! What the kernel gets, byte for byte as it came in.

use std::net::{Ipv4Addr, SocketAddrV4};

use pointsman_ebpf::abi::{AddressOwner, L4Port, LocalAddress};
use pointsman_ebpf::memory::PacketBuilder;
use pointsman_ebpf::memory::site::{A, B, lan};
use pointsman_ebpf::verdict::{DropReason, PassReason};
use pointsman_ebpf::wire::tcp_flags;

use super::harness::{Gateway, HOST, SERVER, Sizes, answer, coming, public, request};

const IPV6: [u8; 2] = [0x86, 0xdd];

/// A frame from the LAN's host to the gateway's MAC of any type.
fn frame(ether_type: [u8; 2], body: &[u8]) -> Vec<u8> {
    [&lan::MAC[..], &lan::HOST_MAC, &ether_type, body].concat()
}

fn ipv6(destination: [u8; 16]) -> Vec<u8> {
    let mut body = vec![0x60, 0, 0, 0, 0, 0, 59, 64];
    body.extend([0xfd; 16]);
    body.extend(destination);
    frame(IPV6, &body)
}

#[test]
fn not_ip() {
    let gateway = Gateway::new();
    for ether_type in [[0x08, 0x06], [0x88, 0xcc], [0x88, 0x63], [0x00, 0x26], [0, 0]] {
        gateway.passes(lan::IFINDEX, &frame(ether_type, &[0; 46]), PassReason::NotIp);
        gateway.passes(lan::IFINDEX, &frame(ether_type, &[]), PassReason::NotIp);
    }
}

#[test]
fn vlan_tags() {
    let gateway = Gateway::new();
    for ether_type in [[0x81, 0x00], [0x88, 0xa8]] {
        let tagged = frame(ether_type, &[&[0, 35, 8, 0], &request().build()[14..]].concat());
        gateway.passes(lan::IFINDEX, &tagged, PassReason::Vlan);
    }
}

/// The kernel takes a priority tag for none, so it must not get the packet.
#[test]
fn priority_tags() {
    let gateway = Gateway::new();
    for (tag, reason) in [
        (&[0, 0][..], DropReason::PriorityTag),
        (&[0xf0, 0], DropReason::PriorityTag),
        (&[0], DropReason::Truncated),
    ] {
        gateway.drops(lan::IFINDEX, &frame([0x81, 0x00], tag), reason);
    }
}

/// A DHCP server answers to the address that it offers (RFC 2131 section 4.1).
#[test]
fn a_lease() {
    let gateway = Gateway::new();
    let offered = Ipv4Addr::new(203, 0, 113, 99);
    let ends = |from, to| {
        let server = SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 1), from);
        PacketBuilder::udp(server, SocketAddrV4::new(offered, to))
    };
    let lease = coming(ends(67, 68), &A).build();
    gateway.passes(A.ifindex, &lease, PassReason::Local);
    for other in [ends(67, 69), ends(66, 68)] {
        gateway.drops(A.ifindex, &coming(other, &A).build(), DropReason::Unsolicited);
    }
    gateway.holds_nothing();
}

#[test]
fn ipv6_for_the_gateway() {
    let mut gateway = Gateway::new();
    let own = "2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap().octets();
    gateway.tables.local.insert(LocalAddress::from(own), AddressOwner::KERNEL);
    gateway.passes(lan::IFINDEX, &ipv6(own), PassReason::Local);
}

#[test]
fn ipv6_link_local() {
    let gateway = Gateway::new();
    for (address, link_local) in [
        ("fe80::1", true),
        ("febf:ffff::", true),
        ("fe7f::1", false),
        ("fec0::1", false),
        ("fc00::1", false),
    ] {
        let octets = address.parse::<std::net::Ipv6Addr>().unwrap().octets();
        if link_local {
            gateway.passes(lan::IFINDEX, &ipv6(octets), PassReason::Local);
        } else {
            gateway.drops(lan::IFINDEX, &ipv6(octets), DropReason::Ipv6);
        }
    }
}

/// A kernel that forwards must not get it.
#[test]
fn ipv6_for_others_is_dropped() {
    let gateway = Gateway::new();
    let beyond = "2001:db8::2".parse::<std::net::Ipv6Addr>().unwrap();
    gateway.drops(lan::IFINDEX, &ipv6(beyond.octets()), DropReason::Ipv6);
}

#[test]
fn other_macs() {
    let gateway = Gateway::new();
    let mut almost = lan::MAC;
    almost[5] ^= 1;
    let multicast = [0x01, 0, 0x5e, 0, 0, 1];
    for mac in [[0xff; 6], multicast, almost, A.mac] {
        let packet = request().macs(lan::HOST_MAC, mac);
        gateway.passes(lan::IFINDEX, &packet.build(), PassReason::NotForUs);
    }
}

#[test]
fn unknown_interfaces() {
    let gateway = Gateway::new();
    for ifindex in [0, 4, lan::IFINDEX + 256, u32::MAX] {
        gateway.passes(ifindex, &request().build(), PassReason::UnknownPort);
        gateway.passes(ifindex, &[], PassReason::UnknownPort);
    }
}

/// From every side, to every address of the gateway's, in every protocol, whatever its TTL.
#[test]
fn the_gateway_itself() {
    let gateway = Gateway::new();
    for (ifindex, from) in [(lan::IFINDEX, HOST), (A.ifindex, SERVER), (B.ifindex, SERVER)] {
        for to in [lan::GATEWAY, A.address, B.address] {
            let end = SocketAddrV4::new(to, 22);
            for packet in [
                PacketBuilder::udp(from, end),
                PacketBuilder::tcp(from, end, tcp_flags::SYN),
                PacketBuilder::tcp(from, end, tcp_flags::RST),
                PacketBuilder::echo_request(from, to),
                PacketBuilder::echo_reply(*from.ip(), end),
                PacketBuilder::other(47, *from.ip(), to),
                PacketBuilder::udp(from, end).fragment(0x2000),
                PacketBuilder::udp(from, end).fragment(0x2001),
                PacketBuilder::udp(from, end).fragment(1),
                PacketBuilder::other(1, *from.ip(), to).payload(&[13, 0, 0, 0, 0, 0, 0, 0]),
                PacketBuilder::udp(from, end).ttl(1),
                PacketBuilder::udp(from, end).payload(&[7; 3000]),
            ] {
                let mac = gateway.tables.ports[&ifindex].mac.octets();
                let frame = packet.macs(lan::HOST_MAC, mac).build();
                gateway.passes(ifindex, &frame, PassReason::Local);
            }
        }
    }
    gateway.holds_nothing();
}

/// The gateway answers while nothing is configured.
#[test]
fn the_gateway_itself_before_it_is_ready() {
    let mut gateway = Gateway::new();
    gateway.tables.settings = None;
    gateway.tables.group = None;
    let to = SocketAddrV4::new(lan::GATEWAY, 22);
    gateway.passes(lan::IFINDEX, &PacketBuilder::udp(HOST, to).build(), PassReason::Local);
}

/// Of ports that are handed out, none is the kernel's: it would answer what it knows nothing of.
#[test]
fn what_is_for_no_mapping() {
    let gateway = Gateway::new();
    gateway.sends(&request(), &A, HOST.port());
    for packet in [
        PacketBuilder::udp(SERVER, public(&A, HOST.port() + 1)),
        PacketBuilder::udp(SERVER, public(&B, HOST.port())),
        PacketBuilder::tcp(SERVER, public(&A, HOST.port()), tcp_flags::ACK),
    ] {
        gateway.drops(A.ifindex, &coming(packet, &A).build(), DropReason::Unsolicited);
    }
    let by_b = coming(PacketBuilder::udp(SERVER, public(&A, HOST.port())), &B).build();
    gateway.drops(B.ifindex, &by_b, DropReason::Unsolicited);
    gateway.holds(Sizes { unreplied: 1, bindings: 2, ..Sizes::default() });
    gateway.delivers(&answer(&A, HOST.port()), &A, HOST);
}

/// Of a port that is never handed out, all is the kernel's: beyond the range, and of its sockets, of
/// each protocol its own.
#[test]
fn what_is_for_the_gateway_s_sockets() {
    let mut gateway = Gateway::with_nat_ports(2000, 60_000);
    gateway.tables.keep_port(false, L4Port::from_host(8080));
    gateway.tables.keep_port(true, L4Port::from_host(51_820));
    for (packet, is_own) in [
        (PacketBuilder::tcp(SERVER, public(&A, 1999), tcp_flags::SYN), true),
        (PacketBuilder::tcp(SERVER, public(&A, 2000), tcp_flags::SYN), false),
        (PacketBuilder::udp(SERVER, public(&A, 60_000)), false),
        (PacketBuilder::udp(SERVER, public(&A, 60_001)), true),
        (PacketBuilder::tcp(SERVER, public(&A, 8080), tcp_flags::SYN), true),
        (PacketBuilder::udp(SERVER, public(&A, 8080)), false),
        (PacketBuilder::udp(SERVER, public(&A, 51_820)), true),
        (PacketBuilder::tcp(SERVER, public(&A, 51_820), tcp_flags::RST), false),
    ] {
        let frame = coming(packet, &A).build();
        if is_own {
            gateway.passes(A.ifindex, &frame, PassReason::Local);
        } else {
            gateway.drops(A.ifindex, &frame, DropReason::Unsolicited);
        }
    }
    gateway.holds_nothing();
}
