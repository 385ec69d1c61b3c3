//! An uplink is cut.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv6Addr, TcpStream};

use pointsman_lab::plan6::SERVER;

use crate::hosts::{
    Mode, SERVICE, client_by, connect, connection, cut, exchange, gateway, udp, uplink_of,
};

/// Sends a word each way.
fn talk((one, other): &(TcpStream, TcpStream), word: &[u8]) {
    for (mut from, mut to) in [(one, other), (other, one)] {
        from.write_all(word).unwrap();
        let mut heard = vec![0; word.len()];
        to.read_exact(&mut heard).unwrap();
        assert!(heard == word, "other words came");
    }
}

/// New flows of one who has used the uplink that is cut.
fn take_the_other_uplink(mode: Mode) {
    let gateway = gateway(mode, "");
    let from = client_by(&gateway, mode, 0);
    cut(&gateway, 0);
    let server = udp(&gateway.site.server, SERVER, SERVICE.port());
    let client = udp(&gateway.site.client, from, 0);
    exchange(&client, &server, b"new");
    drop((client, server));
    assert_eq!(uplink_of(&gateway, mode, 0), 1);
}

#[test]
fn new_flows_take_the_other_prefix() {
    take_the_other_uplink(Mode::Nptv6);
}

#[test]
fn new_flows_take_the_other_shared_address() {
    take_the_other_uplink(Mode::Nat66);
}

#[test]
fn connections_of_a_routed_prefix_go_on() {
    let gateway = gateway(Mode::Routed, "");
    let from = client_by(&gateway, Mode::Routed, 0);
    let connection = connection(&gateway, from);
    talk(&connection, b"by the first");
    let before = gateway.status().uplinks[1].out.packets;
    cut(&gateway, 0);
    // As the providers' routing does it.
    gateway.site.prefer_provider6(1).unwrap();
    talk(&connection, b"by the second");
    assert!(gateway.status().uplinks[1].out.packets > before);
    gateway.site.uplinks[0].restore().unwrap();
    gateway.wait_for("the uplink is up", |status| status.uplinks[0].state == "up");
    talk(&connection, b"wherever it is");
}

#[test]
fn a_host_is_told_at_once_that_its_address_is_of_no_use() {
    let gateway = gateway(Mode::Source, "");
    let (dead, alive) = (Mode::Source.client(0, 0), Mode::Source.client(0, 1));
    cut(&gateway, 0);
    let error = connect(&gateway.site.client, dead, SERVICE).unwrap_err();
    // Destination unreachable, code 5: the kernel makes EACCES of it.
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
    let status = gateway.status();
    assert!(status.answered["source_uplink_down"].packets > 0, "{status:#?}");
    // The next address is of use.
    let server = udp(&gateway.site.server, SERVER, SERVICE.port());
    exchange(&udp(&gateway.site.client, alive, 0), &server, b"the other");
}

#[test]
fn a_source_that_no_uplink_owns_does_not_leave() {
    let gateway = gateway(Mode::Source, "");
    let foreign = "2001:db8:bad::1";
    let client = &gateway.site.client;
    client.ip6(&format!("address add {foreign}/128 dev eth0 nodad")).unwrap();
    let socket = udp(client, foreign.parse::<Ipv6Addr>().unwrap(), 0);
    socket.send_to(b"spoofed", SERVICE).unwrap();
    gateway.wait_for("it is dropped", |status| status.drops["foreign_source"].packets == 1);
}
