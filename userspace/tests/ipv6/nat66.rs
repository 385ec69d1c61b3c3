//! Hosts that share an address of an uplink with one another and with the gateway.

use std::io::{Read as _, Write as _};
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};

use pointsman_lab::Namespace;
use pointsman_lab::plan6::{self, SERVER};

use crate::hosts::{
    CLIENTS, Mode, SERVICE, client_by, connection, exchange, gateway, gateway_with, ping_to, udp,
};
use crate::support::Gateway;

/// A port that several hosts send from.
const PORT: u16 = 40_000;

/// Asks the server from sockets of the same port at every address of the client. Returns how they appear.
fn appear(gateway: &Gateway) -> Vec<SocketAddrV6> {
    let server = udp(&gateway.site.server, SERVER, SERVICE.port());
    let clients: Vec<UdpSocket> = (0..CLIENTS)
        .map(|number| udp(&gateway.site.client, Mode::Nat66.client(number, 0), PORT))
        .collect();
    clients.iter().map(|client| ipv6(exchange(client, &server, b"who am I?"))).collect()
}

fn ipv6(address: SocketAddr) -> SocketAddrV6 {
    match address {
        SocketAddr::V6(address) => address,
        SocketAddr::V4(address) => panic!("{address} is not IPv6"),
    }
}

/// Lets the gateway's own process ask the server by an uplink.
fn exchange_of_gateway(gateway: &Gateway, address: Ipv6Addr, server: &Namespace) -> SocketAddrV6 {
    let (own, server) =
        (udp(&gateway.site.gateway, address, 0), udp(server, SERVER, SERVICE.port()));
    ipv6(exchange(&own, &server, b"the gateway itself"))
}

#[test]
fn ports_tell_hosts_apart() {
    let gateway = gateway(Mode::Nat66, "");
    let mut seen = appear(&gateway);
    for peer in &seen {
        assert!((0..2).any(|uplink| *peer.ip() == plan6::gateway(uplink)), "{peer}");
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), CLIENTS, "{seen:?}");
}

#[test]
fn an_address_of_ones_own_choice_is_shared() {
    let public = |uplink| {
        let [a, b, c, ..] = plan6::provider(uplink).segments();
        Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0x66)
    };
    let gateway = gateway_with(Mode::Nat66, |uplink| format!(", address = \"{}\"", public(uplink)));
    for peer in appear(&gateway) {
        assert!((0..2).any(|uplink| *peer.ip() == public(uplink)), "{peer}");
    }
}

#[test]
fn the_gateway_has_its_address_for_itself_too() {
    let gateway = gateway(Mode::Nat66, "");
    let site = &gateway.site;
    let host = client_by(&gateway, Mode::Nat66, 0);
    let own = plan6::gateway(0);
    let asks = exchange_of_gateway(&gateway, own, &site.server);
    assert_eq!(*asks.ip(), own);
    let (worked, text) = ping_to(&site.gateway, own, SERVER, &["-c", "3", "-i", "0.2"]);
    assert!(worked, "{text}");
    // It is asked from both sides.
    for (namespace, from) in [(&site.server, SERVER), (&site.client, host)] {
        let (worked, text) = ping_to(namespace, from, own, &["-c", "3", "-i", "0.2"]);
        assert!(worked, "{text}");
    }
}

#[test]
fn connections_live_side_by_side() {
    let gateway = gateway(Mode::Nat66, "");
    let mut connections: Vec<_> = (0..2)
        .map(|uplink| connection(&gateway, client_by(&gateway, Mode::Nat66, uplink)))
        .collect();
    for (number, (client, server)) in connections.iter_mut().enumerate() {
        let (sent, mut heard) = ([number as u8; 5000], [0; 5000]);
        client.write_all(&sent).unwrap();
        server.read_exact(&mut heard).unwrap();
        assert!(heard == sent, "other words came");
        server.write_all(&sent).unwrap();
        client.read_exact(&mut heard).unwrap();
        assert!(heard == sent, "other words came back");
    }
    let status = gateway.status();
    assert!(status.uplinks.iter().all(|uplink| uplink.out.packets > 0), "{status:#?}");
}

#[test]
fn a_mapping_lets_anyone_in_and_the_answer_leaves_by_it() {
    let gateway = gateway(Mode::Nat66, "");
    let host = udp(&gateway.site.client, Mode::Nat66.client(0, 0), PORT);
    let server = udp(&gateway.site.server, SERVER, SERVICE.port());
    let public = exchange(&host, &server, b"who am I?");
    let stranger = udp(&gateway.site.server, SERVER, SERVICE.port() + 1);
    stranger.send_to(b"knock", public).unwrap();
    let mut buffer = [0; 64];
    let (length, peer) = host.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..length], peer), (&b"knock"[..], stranger.local_addr().unwrap()));
    host.send_to(b"come in", peer).unwrap();
    let (length, from) = stranger.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..length], from), (&b"come in"[..], public));
}

#[test]
fn a_protocol_without_ports_is_refused() {
    let gateway = gateway(Mode::Nat66, "");
    let client = &gateway.site.client;
    let refused = client.run(|| {
        let socket = socket2::Socket::new(
            socket2::Domain::IPV6,
            socket2::Type::RAW,
            Some(socket2::Protocol::from(132)),
        )
        .unwrap();
        let from = SocketAddrV6::new(Mode::Nat66.client(0, 0), 0, 0, 0);
        socket.bind(&from.into()).unwrap();
        socket.connect(&SocketAddrV6::new(SERVER, 0, 0, 0).into()).unwrap();
        socket.send(&[0; 32]).unwrap();
        socket
    });
    gateway.wait_for("the host is told", |status| status.answered["nat66_protocol"].packets == 1);
    drop(refused);
}
