//! Two hosts of the LAN that know each other by public addresses only (RFC 4787 section 6).

use std::net::{SocketAddrV4, TcpListener};

use pointsman_lab::plan::NEIGHBOUR;

use crate::hosts::{SERVICE, connect, exchange, receive, site, talk, udp};
use crate::support::Gateway;

#[test]
fn lan_hosts_meet_by_their_mappings() {
    let gateway = Gateway::of(site(), "");
    let neighbour = gateway.site.neighbour.as_ref().unwrap();
    for uplink in [0, 1] {
        let address = gateway.address_by(uplink);
        let server = udp(&gateway.site.server, SERVICE);
        // Both ask the server who they are, as STUN does.
        let one = udp(&gateway.site.client, (address, 0));
        let other = udp(neighbour, (NEIGHBOUR, 0));
        let one_public = exchange(&one, &server, b"who am I?");
        exchange(&other, &server, b"and I?");
        assert_eq!(*one_public.ip(), gateway.site.uplinks[uplink].gateway_address);

        other.send_to(b"hello", one_public).unwrap();
        let (hello, from) = receive(&one);
        assert_eq!(hello, b"hello");
        // By a public address of the same uplink, whichever uplink the neighbour's other flows
        // take.
        assert_eq!(from.ip(), one_public.ip());
        one.send_to(b"hello yourself", from).unwrap();
        assert_eq!(receive(&other), (b"hello yourself".to_vec(), one_public));
        other.send_to(b"fine", one_public).unwrap();
        assert_eq!(receive(&one), (b"fine".to_vec(), from));
    }
    gateway.assert_drops(&[]);
}

#[test]
fn lan_hosts_meet_by_a_forward() {
    let forward =
        format!("[[forward]]\nprotocol = \"tcp\"\nport = 8080\nto = \"{NEIGHBOUR}:80\"\n");
    let gateway = Gateway::of(site(), &forward);
    let neighbour = gateway.site.neighbour.as_ref().unwrap();
    let listener = neighbour.run(|| TcpListener::bind((NEIGHBOUR, 80))).unwrap();
    for (uplink, from) in gateway.site.uplinks.iter().zip(gateway.site.client_addresses()) {
        let to = SocketAddrV4::new(uplink.gateway_address, 8080);
        let connection = connect(&gateway.site.client, from, to, &listener);
        assert_eq!(connection.1.peer_addr().unwrap().ip(), uplink.gateway_address);
        assert_eq!(connection.0.peer_addr().unwrap(), to.into());
        talk(&connection, b"by the front door");
    }
    gateway.assert_drops(&[]);
}
