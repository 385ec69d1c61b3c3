//! What nobody in the LAN has asked for.

use std::net::{Ipv6Addr, SocketAddrV6};

use pointsman_lab::plan6::{self, SERVER};

use crate::hosts::{Mode, gateway, udp};
use crate::support::Gateway;

const PORT: u16 = 7001;

/// How a LAN host appears by an uplink, as it finds out by asking.
fn external(gateway: &Gateway, host: Ipv6Addr) -> Ipv6Addr {
    let server = udp(&gateway.site.server, SERVER, crate::hosts::SERVICE.port());
    let client = udp(&gateway.site.client, host, 0);
    match crate::hosts::exchange(&client, &server, b"who am I?") {
        std::net::SocketAddr::V6(peer) => *peer.ip(),
        peer @ std::net::SocketAddr::V4(_) => panic!("{peer} is not IPv6"),
    }
}

#[test]
fn it_stays_outside_where_only_answers_come_in() {
    let gateway = gateway(Mode::Nptv6, "");
    let host = Mode::Nptv6.client(0, 0);
    let to = SocketAddrV6::new(external(&gateway, host), PORT, 0, 0);
    let server = udp(&gateway.site.server, SERVER, 0);
    server.send_to(b"knock", to).unwrap();
    gateway.wait_for("it is dropped", |status| status.drops["filtered"].packets == 1);
}

#[test]
fn nothing_leaves_where_no_uplink_carries_it() {
    let gateway = Gateway::start();
    gateway.site.enable_ipv6(&[plan6::UNIQUE_LOCAL]).unwrap();
    let client = udp(&gateway.site.client, plan6::client(plan6::UNIQUE_LOCAL, 0), 0);
    client.send_to(b"leak", (SERVER, PORT)).unwrap();
    gateway.wait_for("it is dropped", |status| status.drops["ipv6"].packets == 1);
}

#[test]
fn it_comes_in_where_that_is_wanted_and_the_answer_leaves_the_same_way() {
    let gateway = gateway(Mode::Nptv6, ", inbound = \"all\"");
    let host = Mode::Nptv6.client(0, 0);
    let to = SocketAddrV6::new(external(&gateway, host), PORT, 0, 0);
    serves(&gateway, host, to);
}

#[test]
fn a_routed_prefix_is_open() {
    let gateway = gateway(Mode::Routed, "");
    let host = Mode::Routed.client(0, 0);
    serves(&gateway, host, SocketAddrV6::new(host, PORT, 0, 0));
}

/// A LAN host serves a stranger, whom it has never sent to.
fn serves(gateway: &Gateway, host: Ipv6Addr, to: SocketAddrV6) {
    let service = udp(&gateway.site.client, host, PORT);
    let stranger = udp(&gateway.site.server, SERVER, 0);
    stranger.set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
    service.set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
    let mut buffer = [0; 64];
    // The first one may find that the kernel does not know the host's MAC, and has it find it.
    let peer = (0..50)
        .find_map(|_| {
            stranger.send_to(b"knock", to).unwrap();
            service.recv_from(&mut buffer).ok()
        })
        .expect("it arrives")
        .1;
    assert_eq!(peer.ip(), SERVER);
    service.send_to(b"come in", peer).unwrap();
    let (length, from) = stranger.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..length], from), (&b"come in"[..], to.into()));
}

#[test]
fn a_lan_host_is_reached_by_its_public_address_from_within() {
    let gateway = gateway(Mode::Nptv6, "");
    let client = plan6::client(plan6::UNIQUE_LOCAL, 0);
    let neighbour = plan6::neighbour(plan6::UNIQUE_LOCAL);
    let host = gateway.site.neighbour.as_ref().unwrap();
    let [own, other] = [client, neighbour].map(|address| {
        // By the first uplink's prefix: the subnet makes up for what the prefixes differ by.
        let translation = pointsman_ebpf::abi::PrefixTranslation::new(
            (pointsman_ebpf::abi::Ipv6::new(plan6::UNIQUE_LOCAL.octets()), 48),
            (pointsman_ebpf::abi::Ipv6::new(plan6::provider(0).octets()), 48),
        );
        let external = translation.outbound(pointsman_ebpf::abi::Ipv6::new(address.octets()));
        Ipv6Addr::from(external.unwrap().octets())
    });
    let service = udp(host, neighbour, PORT);
    service.set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
    let asking = udp(&gateway.site.client, client, 0);
    let mut buffer = [0; 64];
    let peer = (0..50)
        .find_map(|_| {
            asking.send_to(b"hello", (other, PORT)).unwrap();
            service.recv_from(&mut buffer).ok()
        })
        .expect("it arrives")
        .1;
    assert_eq!(peer.ip(), own);
    service.send_to(b"hello yourself", peer).unwrap();
    let (length, from) = asking.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"hello yourself");
    assert_eq!(from, SocketAddrV6::new(other, PORT, 0, 0).into());
}
