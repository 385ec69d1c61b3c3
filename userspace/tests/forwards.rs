//! Port forwards, and the ports of the gateway's own sockets, with real connections.

#[path = "support/reload.rs"]
mod reload;
#[path = "support/standard.rs"]
mod standard;
#[path = "support/states.rs"]
mod states;
mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};

use pointsman_lab::plan::{self, SERVER};
use pointsman_lab::{Namespace, Site};
use socket2::{Domain, Socket, Type};

use support::{BOUND, Daemon, Gateway, configuration};

/// Connects from this host's address and port.
fn connect(host: &Namespace, from: SocketAddrV4, to: SocketAddrV4) -> TcpStream {
    host.run(|| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&from.into()).unwrap();
        socket.connect_timeout(&to.into(), BOUND).unwrap();
        socket.into()
    })
}

fn listen(host: &Namespace, address: Ipv4Addr, port: u16) -> TcpListener {
    host.run(|| TcpListener::bind((address, port))).unwrap()
}

/// Takes a connection whose other end is `client`, sends a byte each way, and returns who is at the
/// other end as this host sees it.
fn greet(listener: &TcpListener, mut client: TcpStream) -> SocketAddr {
    let (mut stream, peer) = listener.accept().unwrap();
    for stream in [&stream, &client] {
        stream.set_read_timeout(Some(BOUND)).unwrap();
    }
    let mut byte = [0];
    client.write_all(b"?").unwrap();
    stream.read_exact(&mut byte).unwrap();
    assert_eq!(byte, *b"?");
    stream.write_all(b"!").unwrap();
    client.read_exact(&mut byte).unwrap();
    assert_eq!(byte, *b"!");
    peer
}

#[test]
fn a_forward_reaches_its_host_by_either_uplink() {
    let gateway = Gateway::start();
    let (host, absent) = (plan::client(5), Ipv4Addr::new(10, 1, 200, 200));
    let forwards = format!(
        "[[forward]]\nprotocol = \"tcp\"\nport = \"8080-8081\"\nto = \"{host}:80\"\n\
         [[forward]]\nprotocol = \"udp\"\nport = 53\nto = \"{absent}\"\nuplinks = [\"cable\"]\n"
    );
    gateway.reload(&(configuration(gateway.directory.path()) + &forwards));
    gateway.wait_for("one host is found and the other is not", |status| {
        let [web, dns] = &status.forwards[..] else {
            return false;
        };
        web.mac.is_some()
            && web.unresolved.is_none()
            && dns.mac.is_none()
            && dns.unresolved.as_deref() == Some("it does not answer ARP on lan0")
    });
    let status = gateway.status();
    assert_eq!(status.forwards[0].name, format!("tcp 8080-8081 to {host}:80-81"));
    assert_eq!(status.forwards[1].uplinks, ["cable"]);

    let listener = listen(&gateway.site.client, host, 81);
    for uplink in 0..2 {
        let (from, to) = (SocketAddrV4::new(SERVER, 0), plan::gateway(uplink));
        let stream = connect(&gateway.site.server, from, SocketAddrV4::new(to, 8081));
        let asked = stream.local_addr().unwrap();
        assert_eq!(greet(&listener, stream), asked, "the sender is seen as it is");
    }
    let status = gateway.status();
    for uplink in &status.uplinks {
        assert!(uplink.out.packets >= 3 && uplink.back.packets >= 3, "{status:#?}");
    }
}

#[test]
fn ports_of_the_gateways_own_are_not_handed_out() {
    const OWN: u16 = 5555;
    let site = Site::builder().build().unwrap();
    let own = listen(&site.gateway, Ipv4Addr::UNSPECIFIED, OWN);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pointsman.toml");
    fs::write(&file, configuration(directory.path())).unwrap();
    let daemon = Daemon::start(&site.gateway, &file);
    let gateway = Gateway { site, directory, daemon };
    gateway.wait_for_states("up", "up");
    let Site { client, server, .. } = &gateway.site;

    let listener = listen(server, SERVER, 80);
    // The kernel's default `ip_local_port_range` has 40000.
    for (port, is_kept) in [(OWN, false), (OWN + 1, true), (40_000, false)] {
        let from = SocketAddrV4::new(plan::client(0), port);
        let seen = greet(&listener, connect(client, from, SocketAddrV4::new(SERVER, 80)));
        assert_eq!(seen.port() == port, is_kept, "{port} is seen as {seen}");
    }
    for uplink in 0..2 {
        let (from, to) = (SocketAddrV4::new(SERVER, 0), plan::gateway(uplink));
        let stream = connect(server, from, SocketAddrV4::new(to, OWN));
        assert_eq!(greet(&own, stream).ip(), SERVER);
    }
}
