//! What is refused is known to be, on both sides of the gateway.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};

use pointsman_lab::Site;
use pointsman_lab::plan::{LAN_GATEWAY, SERVER};

use crate::hosts::{SERVICE, bound_stream, exchange, site, udp};
use crate::raw::{IcmpError, keep_errors, next_error};
use crate::support::Gateway;

/// What a connected socket's owner learns after it has sent to someone.
fn after_sending(socket: &UdpSocket) -> io::ErrorKind {
    socket.send(b"anybody?").unwrap();
    socket.recv(&mut [0; 16]).map_or_else(|error| error.kind(), |length| panic!("{length} bytes"))
}

/// What a client learns that sends to a port of the server where nobody listens.
pub(crate) fn refused_by_server(site: &Site, from: Ipv4Addr) -> io::ErrorKind {
    let client = udp(&site.client, (from, 0));
    client.connect(SocketAddrV4::new(SERVER, 9)).unwrap();
    after_sending(&client)
}

/// What the server learns that answers a client's socket when it is closed.
pub(crate) fn refused_by_client(site: &Site, from: Ipv4Addr) -> io::ErrorKind {
    let server = udp(&site.server, SERVICE);
    let peer = exchange(&udp(&site.client, (from, 0)), &server, b"hello");
    server.connect(peer).unwrap();
    after_sending(&server)
}

/// What a client learns that connects to where nobody listens.
pub(crate) fn refused_by_reset(site: &Site, from: Ipv4Addr) -> io::ErrorKind {
    let refused = site.client.run(|| bound_stream(from, SocketAddrV4::new(SERVER, 9)));
    refused.map_or_else(|error| error.kind(), |stream| panic!("{stream:?}"))
}

#[test]
fn port_unreachable_and_resets_arrive_on_both_sides() {
    let gateway = Gateway::of(site(), "");
    for uplink in [0, 1] {
        let from = gateway.address_by(uplink);
        for refused in [refused_by_server, refused_by_client, refused_by_reset] {
            assert_eq!(refused(&gateway.site, from), io::ErrorKind::ConnectionRefused);
        }
    }
    gateway.assert_drops(&[]);
}

#[test]
fn nobody_is_reached_without_an_uplink_and_is_told_so() {
    let gateway = Gateway::start();
    let from = gateway.address_by(0);
    for uplink in &gateway.site.uplinks {
        uplink.cut().unwrap();
    }
    gateway.wait_for_states("down", "down");
    let client = udp(&gateway.site.client, (from, 0));
    keep_errors(&client);
    client.send_to(b"anybody?", SERVICE).unwrap();
    let told = IcmpError { icmp_type: 3, code: 0, info: 0, from: LAN_GATEWAY };
    assert_eq!(next_error(&client), told);
    gateway.assert_drops(&[("no_uplink", 1)]);
}
