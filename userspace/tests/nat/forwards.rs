//! Ports of the gateway that are forwarded to a host of the LAN.

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};

use pointsman_lab::plan::{NEIGHBOUR, SERVER};

use crate::hosts::{connect, receive, site, talk, udp};
use crate::support::Gateway;

fn start() -> (Gateway, TcpListener) {
    let forwards = format!(
        "[[forward]]\nprotocol = \"tcp\"\nport = 8080\nto = \"{NEIGHBOUR}:80\"\n\
         [[forward]]\nprotocol = \"udp\"\nport = 5353\nto = \"{NEIGHBOUR}:53\"\n"
    );
    let gateway = Gateway::of(site(), &forwards);
    let neighbour = gateway.site.neighbour.as_ref().unwrap();
    let listener = neighbour.run(|| TcpListener::bind((NEIGHBOUR, 80))).unwrap();
    (gateway, listener)
}

impl Gateway {
    /// The server's connection to the forwarded port of an uplink.
    fn connect_from_outside(
        &self,
        uplink: usize,
        listener: &TcpListener,
    ) -> (TcpStream, TcpStream) {
        let to = SocketAddrV4::new(self.public(uplink), 8080);
        let connection = connect(&self.site.server, SERVER, to, listener);
        // The host sees who it is.
        assert_eq!(connection.1.peer_addr().unwrap(), connection.0.local_addr().unwrap());
        connection
    }

    fn public(&self, uplink: usize) -> Ipv4Addr {
        self.site.uplinks[uplink].gateway_address
    }
}

#[test]
fn the_answer_leaves_by_the_uplink_that_was_asked() {
    let (gateway, listener) = start();
    for uplink in [0, 1] {
        let before = gateway.status().uplinks[1 - uplink].out;
        talk(&gateway.connect_from_outside(uplink, &listener), b"come in");
        assert_eq!(gateway.status().uplinks[1 - uplink].out, before);

        let name_server = udp(gateway.site.neighbour.as_ref().unwrap(), (NEIGHBOUR, 53));
        let asking = udp(&gateway.site.server, (SERVER, 0));
        let service = SocketAddrV4::new(gateway.public(uplink), 5353);
        asking.send_to(b"?", service).unwrap();
        let (_, from) = receive(&name_server);
        assert_eq!(std::net::SocketAddr::V4(from), asking.local_addr().unwrap());
        name_server.send_to(b"!", from).unwrap();
        assert_eq!(receive(&asking), (b"!".to_vec(), service));
    }
    gateway.assert_drops(&[]);
}

#[test]
fn connections_from_outside_live_through_failures_of_other_uplinks() {
    let (gateway, listener) = start();
    let connections = [0, 1].map(|uplink| gateway.connect_from_outside(uplink, &listener));
    for failing in [0, 1] {
        let (states, whole) = if failing == 0 { (("down", "up"), 1) } else { (("up", "down"), 0) };
        gateway.site.uplinks[failing].cut().unwrap();
        gateway.wait_for_states(states.0, states.1);
        talk(&connections[whole], b"still here");
        talk(&gateway.connect_from_outside(whole, &listener), b"and new ones");
        gateway.site.uplinks[failing].restore().unwrap();
        gateway.wait_for_states("up", "up");
        // Its own connections have only waited.
        talk(&connections[failing], b"back again");
    }
    gateway.assert_drops(&[]);
}

#[test]
fn who_may_not_come_in_does_not() {
    let forward = |port, source| {
        format!(
            "[[forward]]\nprotocol = \"udp\"\nport = {port}\nto = \"{NEIGHBOUR}:53\"\n\
             sources = [\"{source}\"]\n"
        )
    };
    let forwards = forward(5353, "198.18.0.0/15") + &forward(5354, "192.0.2.0/24");
    let gateway = Gateway::of(site(), &forwards);
    let name_server = udp(gateway.site.neighbour.as_ref().unwrap(), (NEIGHBOUR, 53));
    let asking = udp(&gateway.site.server, (SERVER, 0));
    asking.send_to(b"shut?", (gateway.public(0), 5353)).unwrap();
    asking.send_to(b"open?", (gateway.public(0), 5354)).unwrap();
    assert_eq!(receive(&name_server).0, b"open?");
    gateway.assert_drops(&[("filtered", 1)]);
}
