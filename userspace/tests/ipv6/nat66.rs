//! Hosts that share an address of the uplink.

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::time::Duration;

use pointsman_lab::plan6::{self, SERVER};
use socket2::{Domain, Protocol, Socket, Type};

use crate::hosts::{
    CLIENTS, Mode, SERVICE, client_by, connection, cut, exchange, gateway, gateway_with, ping_to,
    udp,
};

const PORT: u16 = 7001;

/// A protocol for experiments (RFC 3692 section 2.1).
const EXPERIMENT: i32 = 253;

/// How a host appears by an uplink.
fn shared(uplink: usize, port: u16) -> SocketAddr {
    SocketAddrV6::new(plan6::gateway(uplink), port, 0, 0).into()
}

/// Sends until it is heard: the first one may find that a MAC, or a new socket's port, is not known yet.
fn send_until_heard(from: &UdpSocket, to: SocketAddr, listener: &UdpSocket) -> SocketAddr {
    listener.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut buffer = [0; 64];
    let heard = (0..50).find_map(|_| {
        from.send_to(b"knock", to).unwrap();
        listener.recv_from(&mut buffer).ok()
    });
    heard.expect("it arrives").1
}

#[test]
fn ports_tell_hosts_apart() {
    let gateway = gateway(Mode::Nat66, "");
    cut(&gateway, 1);
    let server = udp(&gateway.site.server, SERVER, SERVICE.port());
    let clients = (0..3).map(|number| Mode::Nat66.client(number, 0));
    let clients: Vec<_> = clients.map(|client| udp(&gateway.site.client, client, PORT)).collect();
    let mut peers: Vec<_> =
        clients.iter().map(|client| exchange(client, &server, b"who am I?")).collect();
    assert_eq!(peers[0], shared(0, PORT), "the first one keeps its port");
    for (client, peer) in clients.iter().zip(&peers) {
        assert_eq!(peer.ip(), IpAddr::V6(plan6::gateway(0)));
        assert_eq!(exchange(client, &server, b"still?"), *peer);
    }
    peers.sort_unstable();
    peers.dedup();
    assert_eq!(peers.len(), clients.len(), "{peers:?}");
}

#[test]
fn a_flow_takes_the_other_uplink_when_its_own_dies() {
    let gateway = gateway(Mode::Nat66, "");
    let from = client_by(&gateway, Mode::Nat66, 0);
    let server = udp(&gateway.site.server, SERVER, SERVICE.port());
    let client = udp(&gateway.site.client, from, PORT);
    assert_eq!(exchange(&client, &server, b"by the first"), shared(0, PORT));
    cut(&gateway, 0);
    assert_eq!(exchange(&client, &server, b"by the second"), shared(1, PORT));
}

#[test]
fn a_stranger_reaches_the_host_that_has_the_port_and_nobody_else() {
    let gateway = gateway(Mode::Nat66, "");
    let from = client_by(&gateway, Mode::Nat66, 0);
    let server = udp(&gateway.site.server, SERVER, SERVICE.port());
    let client = udp(&gateway.site.client, from, PORT);
    assert_eq!(exchange(&client, &server, b"who am I?"), shared(0, PORT));
    let stranger = udp(&gateway.site.server, SERVER, 0);
    let sender = send_until_heard(&stranger, shared(0, PORT), &client);
    assert_eq!(sender, stranger.local_addr().unwrap());
    stranger.send_to(b"knock", shared(0, PORT + 1)).unwrap();
    gateway.wait_for("it is dropped", |status| status.drops["unsolicited"].packets == 1);
}

#[test]
fn the_gateway_keeps_its_own_ports() {
    let gateway = gateway(Mode::Nat66, "");
    let from = client_by(&gateway, Mode::Nat66, 0);
    let own = udp(&gateway.site.gateway, plan6::gateway(0), PORT);
    let stranger = udp(&gateway.site.server, SERVER, 0);
    // Until the socket is known, the port is one that hosts may have.
    let sender = send_until_heard(&stranger, shared(0, PORT), &own);
    assert_eq!(sender, stranger.local_addr().unwrap());
    let server = udp(&gateway.site.server, SERVER, SERVICE.port());
    let client = udp(&gateway.site.client, from, PORT);
    let peer = exchange(&client, &server, b"who am I?");
    assert_eq!(peer.ip(), IpAddr::V6(plan6::gateway(0)));
    assert_ne!(peer.port(), PORT);
}

#[test]
fn other_protocols_are_refused_aloud() {
    let gateway = gateway(Mode::Nat66, "");
    let from = client_by(&gateway, Mode::Nat66, 0);
    let socket = gateway.site.client.run(|| {
        let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::from(EXPERIMENT)))?;
        socket.bind(&SocketAddrV6::new(from, 0, 0, 0).into())?;
        socket.connect(&SocketAddrV6::new(SERVER, 0, 0, 0).into())?;
        Ok::<_, std::io::Error>(socket)
    });
    let socket = socket.unwrap();
    // The kernel takes no error that quotes less than 8 bytes of what is in the packet.
    socket.send(b"some words").unwrap();
    gateway.wait_for("it is answered", |status| status.answered["nat66_protocol"].packets == 1);
    // Destination unreachable, code 1: the kernel makes EACCES of it.
    let told = || socket.take_error().unwrap().map(|error| error.kind());
    gateway.wait_for("the sender knows", |_| told() == Some(std::io::ErrorKind::PermissionDenied));
}

#[test]
fn an_uplink_that_loses_its_address_is_left_until_it_has_another() {
    let gateway = gateway(Mode::Nat66, "");
    let from = client_by(&gateway, Mode::Nat66, 0);
    let server = udp(&gateway.site.server, SERVER, SERVICE.port());
    let client = udp(&gateway.site.client, from, PORT);
    assert_eq!(exchange(&client, &server, b"by the first"), shared(0, PORT));
    let of_gateway = |command: &str| gateway.site.gateway.ip6(command).unwrap();
    of_gateway(&format!("address del {}/64 dev wan0", plan6::gateway(0)));
    gateway.wait_for("it is noticed", |status| {
        status.uplinks[0].ipv6.as_ref().is_some_and(|ipv6| ipv6.missing.is_some())
    });
    assert_eq!(exchange(&client, &server, b"by the second"), shared(1, PORT));
    of_gateway(&format!("address add {}/64 dev wan0 nodad", plan6::gateway(0)));
    gateway.wait_for("it is noticed", |status| {
        status.uplinks[0].ipv6.as_ref().is_some_and(|ipv6| ipv6.address == Some(plan6::gateway(0)))
    });
    let new = udp(&gateway.site.client, from, PORT + 1);
    assert_eq!(exchange(&new, &server, b"by the first"), shared(0, PORT + 1));
}

#[test]
fn an_address_of_ones_own_choice_is_shared() {
    let public = |uplink| {
        let [a, b, c, ..] = plan6::provider(uplink).segments();
        Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0x66)
    };
    let gateway = gateway_with(Mode::Nat66, |uplink| format!(", address = \"{}\"", public(uplink)));
    let server = udp(&gateway.site.server, SERVER, SERVICE.port());
    let peers = (0..CLIENTS).map(|number| {
        let client = udp(&gateway.site.client, Mode::Nat66.client(number, 0), 0);
        exchange(&client, &server, b"who am I?").ip()
    });
    let peers: HashSet<_> = peers.collect();
    assert_eq!(peers, (0..2).map(|uplink| IpAddr::V6(public(uplink))).collect());
}

#[test]
fn the_gateway_has_its_address_for_itself_too() {
    let gateway = gateway(Mode::Nat66, "");
    let site = &gateway.site;
    let host = client_by(&gateway, Mode::Nat66, 0);
    let own = plan6::gateway(0);
    let server = udp(&site.server, SERVER, SERVICE.port());
    let asks = exchange(&udp(&site.gateway, own, 0), &server, b"the gateway itself");
    assert_eq!(asks.ip(), IpAddr::V6(own));
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
