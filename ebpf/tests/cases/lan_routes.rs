//! A network behind a router of the LAN: its hosts are the LAN's.

use std::net::{Ipv4Addr, SocketAddrV4};

use pointsman_ebpf::memory::PacketBuilder;
use pointsman_ebpf::memory::site::{self, A, lan};
use pointsman_ebpf::verdict::DropReason;

use super::harness::{Gateway, HOST, SERVER, answer, request};

/// The router, and a host behind it.
const ROUTER_MAC: [u8; 6] = [2, 0, 0, 1, 0, 99];
const FAR: Ipv4Addr = Ipv4Addr::new(10, 20, 7, 9);
const FAR_END: SocketAddrV4 = SocketAddrV4::new(FAR, 4000);

/// A packet of the host's, as the router forwards it.
fn routed() -> PacketBuilder {
    PacketBuilder::udp(FAR_END, SERVER).macs(ROUTER_MAC, lan::MAC)
}

/// Its answers go to the router's MAC, with the host's address.
#[test]
fn its_hosts_are_translated_like_any() {
    let gateway = Gateway::new();
    gateway.sends(&routed(), &A, FAR_END.port());
    let answer = answer(&A, FAR_END.port());
    let reached = answer.clone().to(FAR_END).macs(lan::MAC, ROUTER_MAC).ttl(63);
    // The second finds an established flow.
    for _ in 0..2 {
        gateway.forwards_in(&answer.build(), &A, &reached.build());
    }
    gateway.sends(&routed(), &A, FAR_END.port());
}

#[test]
fn what_is_for_it_leaves_by_no_uplink() {
    let gateway = Gateway::new();
    for address in [[10, 20, 0, 0], [10, 20, 7, 9], [10, 20, 255, 255]] {
        let end = SocketAddrV4::new(address.into(), 443);
        gateway.refuses(&PacketBuilder::udp(HOST, end), DropReason::LanToLan);
    }
    for address in [[10, 19, 255, 255], [10, 21, 0, 0]] {
        let end = SocketAddrV4::new(address.into(), 443);
        gateway.sends(&PacketBuilder::udp(HOST, end), &A, HOST.port());
    }
}

#[test]
fn nobody_beyond_an_uplink_speaks_for_it() {
    let gateway = Gateway::new();
    gateway.sends(&request(), &A, HOST.port());
    for address in [[10, 20, 7, 9], [10, 20, 255, 255]] {
        let spoofed = answer(&A, HOST.port()).from(SocketAddrV4::new(address.into(), 53));
        gateway.drops(A.ifindex, &spoofed.build(), DropReason::Martian);
    }
}

/// How the router divides its network is not known, so any address of it may be a host's. Of a link it
/// is, also where a route covers it.
#[test]
fn only_a_link_has_a_broadcast_address() {
    let mut gateway = Gateway::new();
    site::add_lan_network(&mut gateway.tables, [10, 0, 0, 0].into(), 8, false);
    let late =
        |source: [u8; 4]| PacketBuilder::udp(SocketAddrV4::new(source.into(), 4000), SERVER).ttl(1);
    for source in [[10, 20, 255, 255], [10, 20, 0, 0], [10, 255, 255, 255]] {
        gateway.tells(&late(source), DropReason::TtlExceeded, [11, 0], [0; 4]);
    }
    for source in [[10, 1, 255, 255], [10, 1, 0, 0]] {
        gateway.refuses(&late(source), DropReason::TtlExceeded);
    }
}
