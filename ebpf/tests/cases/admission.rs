//! What may not open a flow.

use std::net::{Ipv4Addr, SocketAddrV4};

use pointsman_ebpf::abi::Uplink;
use pointsman_ebpf::memory::PacketBuilder;
use pointsman_ebpf::memory::site::{self, A, B, SERVER as SERVER_ADDRESS, lan};
use pointsman_ebpf::verdict::DropReason;
use pointsman_ebpf::wire::tcp_flags;

use super::harness::{Gateway, HOST, SERVER, answer, coming, request};

/// The types and codes of the messages that tell the sender.
const NO_ROUTE: [u8; 2] = [3, 0];
const TOO_BIG: [u8; 2] = [3, 4];
const IN_TRANSIT: [u8; 2] = [11, 0];

#[test]
fn unsolicited_from_an_uplink() {
    let gateway = Gateway::new();
    let host = SocketAddrV4::new(lan::HOST, 22);
    for packet in [
        PacketBuilder::udp(SERVER, host),
        PacketBuilder::tcp(SERVER, host, tcp_flags::SYN),
        PacketBuilder::echo_request(SERVER, lan::HOST),
        PacketBuilder::other(47, SERVER_ADDRESS, lan::HOST),
        PacketBuilder::udp(SERVER, SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 77), 22)),
    ] {
        let frame = coming(packet, &A).build();
        gateway.drops(A.ifindex, &frame, DropReason::Unsolicited);
    }
    gateway.holds_nothing();
}

#[test]
fn a_reset_without_a_flow() {
    let gateway = Gateway::new();
    for flags in [tcp_flags::RST, tcp_flags::RST | tcp_flags::ACK, 0xff] {
        let packet = PacketBuilder::tcp(HOST, SERVER, flags);
        gateway.refuses(&packet, DropReason::Unsolicited);
    }
}

#[test]
fn an_echo_reply_without_a_flow() {
    let gateway = Gateway::new();
    let packet = PacketBuilder::echo_reply(lan::HOST, SocketAddrV4::new(SERVER_ADDRESS, 5000));
    gateway.refuses(&packet, DropReason::Unsolicited);
    gateway.sends(&PacketBuilder::echo_request(HOST, SERVER_ADDRESS), &A, HOST.port());
    gateway.refuses(&packet, DropReason::Unsolicited);
}

#[test]
fn martians() {
    let gateway = Gateway::new();
    for address in [
        [0, 0, 0, 0],
        [0, 1, 2, 3],
        [127, 0, 0, 1],
        [127, 255, 255, 255],
        [169, 254, 1, 1],
        [224, 0, 0, 1],
        [239, 255, 255, 255],
        [240, 0, 0, 1],
        [255, 255, 255, 255],
    ] {
        let end = SocketAddrV4::new(address.into(), 5000);
        gateway.refuses(&PacketBuilder::udp(HOST, end), DropReason::Martian);
        gateway.refuses(&PacketBuilder::udp(end, SERVER), DropReason::Martian);
    }
}

/// A host that speaks for the gateway itself (RFC 1812 section 5.3.7).
#[test]
fn the_gateway_s_own_address_as_source() {
    let gateway = Gateway::new();
    for address in [lan::GATEWAY, A.address] {
        let end = SocketAddrV4::new(address, 5000);
        gateway.refuses(&PacketBuilder::udp(end, SERVER), DropReason::Martian);
    }
}

#[test]
fn neighbours_of_martians_are_none() {
    let gateway = Gateway::new();
    for address in
        [[1, 0, 0, 0], [126, 1, 1, 1], [128, 0, 0, 1], [169, 253, 0, 1], [223, 255, 255, 255]]
    {
        let end = SocketAddrV4::new(address.into(), 443);
        gateway.sends(&PacketBuilder::udp(HOST, end), &A, HOST.port());
    }
}

#[test]
fn lan_to_lan() {
    let mut gateway = Gateway::new();
    site::add_lan_network(&mut gateway.tables, [192, 168, 7, 0].into(), 24, true);
    for address in [[10, 1, 0, 3], [10, 1, 255, 255], [10, 1, 0, 0], [192, 168, 7, 200]] {
        let end = SocketAddrV4::new(address.into(), 443);
        gateway.refuses(&PacketBuilder::udp(HOST, end), DropReason::LanToLan);
    }
    for address in [[10, 0, 255, 255], [10, 2, 0, 0], [192, 168, 8, 0]] {
        let end = SocketAddrV4::new(address.into(), 443);
        gateway.sends(&PacketBuilder::udp(HOST, end), &A, HOST.port());
    }
}

#[test]
fn neither_flag_that_is_not_more_fragments_makes_a_fragment() {
    let gateway = Gateway::new();
    for flags in [0x4000, 0x8000, 0xc000] {
        gateway.sends(&request().fragment(flags), &A, HOST.port());
    }
}

/// Neither queries that are not translated, nor what is no echo though its type says so.
#[test]
fn icmp_that_is_neither_echo_nor_error() {
    let gateway = Gateway::new();
    gateway.sends(&PacketBuilder::echo_request(HOST, SERVER_ADDRESS), &A, HOST.port());
    for (icmp_type, code) in [(4, 0), (5, 0), (9, 0), (13, 0), (17, 0), (40, 0), (8, 1), (0, 1)] {
        let body = [icmp_type, code, 0, 0, 0x13, 0x88, 0, 1];
        let packet = PacketBuilder::other(1, lan::HOST, SERVER_ADDRESS).payload(&body);
        gateway.refuses(&packet, DropReason::Icmp);
    }
}

#[test]
fn no_uplink_alive() {
    let gateway = Gateway::new();
    gateway.tables.set_alive(!(A.bit() | B.bit()));
    gateway.tells(&request(), DropReason::NoUplink, NO_ROUTE, [0; 4]);
}

#[test]
fn no_uplink_usable() {
    let mut gateway = Gateway::new();
    if let Some(group) = &mut gateway.tables.group {
        group.usable = 0;
    }
    gateway.tells(&request(), DropReason::NoUplink, NO_ROUTE, [0; 4]);
}

#[test]
fn an_uplink_that_was_never_written() {
    let mut gateway = Gateway::new();
    gateway.tables.uplinks[usize::from(A.id)] = Uplink::default();
    gateway.tells(&request(), DropReason::NoUplink, NO_ROUTE, [0; 4]);
}

#[test]
fn before_the_settings_are_written() {
    let mut gateway = Gateway::new();
    gateway.tables.settings = None;
    gateway.refuses(&request(), DropReason::NotReady);
}

/// Neither when it would open a flow, nor when it is of one.
#[test]
fn a_ttl_that_is_used_up() {
    let gateway = Gateway::new();
    for ttl in [0, 1] {
        gateway.tells(&request().ttl(ttl), DropReason::TtlExceeded, IN_TRANSIT, [0; 4]);
    }
    gateway.sends(&request(), &A, HOST.port());
    for ttl in [0, 1] {
        let reason = DropReason::TtlExceeded;
        gateway.tells(&request().ttl(ttl), reason, IN_TRANSIT, [0; 4]);
        let back = answer(&A, HOST.port()).ttl(ttl).build();
        gateway.answers(A.ifindex, &back, reason, IN_TRANSIT, [0; 4]);
    }
}

#[test]
fn larger_than_the_uplink_takes() {
    let mut gateway = Gateway::new();
    gateway.tables.uplinks[usize::from(A.id)].mtu = 1400;
    let too_big = |packet: &PacketBuilder| {
        gateway.tells(packet, DropReason::TooBig, TOO_BIG, [0, 0, 0x05, 0x78]);
    };
    too_big(&request().payload(&[7; 1373]));
    // The interface counts what trails the packet, too.
    too_big(&request().payload(&[7; 1372]).padding(1));
    gateway.sends(&request().payload(&[7; 1372]), &A, HOST.port());
    too_big(&request().payload(&[7; 1373]));
    gateway.delivers(&answer(&A, HOST.port()), &A, HOST);
    too_big(&request().payload(&[7; 1373]));
}

#[test]
fn larger_than_the_lan_takes() {
    let mut gateway = Gateway::new();
    gateway.tables.ports.get_mut(&lan::IFINDEX).unwrap().mtu = 1400;
    gateway.sends(&request().payload(&[7; 1472]), &A, HOST.port());
    let fits = answer(&A, HOST.port()).payload(&[7; 1372]);
    for _ in 0..2 {
        let larger = fits.clone().payload(&[7; 1373]).build();
        gateway.answers(A.ifindex, &larger, DropReason::TooBig, TOO_BIG, [0, 0, 0x05, 0x78]);
        gateway.delivers(&fits, &A, HOST);
    }
}
