//! Hosts that have IPv6 only, and servers and providers that have IPv4 only.

use std::io::{self, IoSliceMut, Read as _, Write as _};
use std::net::{
    IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddrV6, TcpListener, TcpStream, UdpSocket,
};
use std::os::fd::AsRawFd as _;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn6, recvmsg, setsockopt, sockopt};
use pointsman_lab::plan::{self, SERVER};
use pointsman_lab::plan6::{self, UNIQUE_LOCAL};
use pointsman_lab::{LabError, Site, wait_until};

use crate::bulk;
use crate::hosts::{CLIENTS, connect, exchange_with, hops, ping_to, udp};
use crate::support::{BOUND, Gateway, configuration};

/// The prefix that there is unless another one is configured (RFC 6052 section 2.1).
const WELL_KNOWN: Ipv6Addr = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0);

/// A prefix of the site's own.
const OWN: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x64, 0, 0, 0, 0, 0);

/// A server of a private network beyond the providers.
const PRIVATE: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 53);

/// The port that the server is asked at.
const PORT: u16 = 7000;

/// The address of a /96 that an IPv4 one stands in.
fn embedded(prefix: Ipv6Addr, address: Ipv4Addr) -> Ipv6Addr {
    Ipv6Addr::from(u128::from(prefix) | u128::from(u32::from(address)))
}

/// A running gateway, and beyond it no IPv6; in the LAN a host without IPv4. `lines` are those of
/// `[nat64]`, and of what follows it.
fn gateway(lines: &str) -> Gateway {
    let site = Site::builder().client_addresses(CLIENTS).build().unwrap();
    site.client.ip("address flush dev eth0").unwrap();
    site.enable_ipv6_in_lan(&[UNIQUE_LOCAL]).unwrap();
    for host in site.uplinks.iter().map(|uplink| &uplink.isp).chain([&site.server]) {
        // As many errors as there is reason to.
        host.sysctl("net.ipv4.icmp_ratelimit", "0").unwrap();
    }
    let routes = site.client.output("ip", &["-4", "address", "show", "dev", "eth0"]).unwrap()
        + &site.client.output("ip", &["-4", "route"]).unwrap();
    assert_eq!(routes, "", "the host has no IPv4");
    Gateway::configured(site, |directory| format!("{}[nat64]\n{lines}", configuration(directory)))
}

/// Lets the client of this number ask the server by a datagram. Returns the index of the uplink that it
/// has taken: that by whose address it appears.
fn uplink_of(gateway: &Gateway, number: usize) -> usize {
    let server = udp(&gateway.site.server, SERVER, PORT);
    let client = udp(&gateway.site.client, plan6::client(UNIQUE_LOCAL, number), 0);
    let service = SocketAddrV6::new(embedded(WELL_KNOWN, SERVER), PORT, 0, 0);
    let peer = exchange_with(&client, &server, service, b"which?").ip();
    (0..2).find(|uplink| peer == IpAddr::V4(plan::gateway(*uplink))).unwrap()
}

/// The address of a client whose flows take this uplink.
fn client_by(gateway: &Gateway, uplink: usize) -> Ipv6Addr {
    let number = (0..CLIENTS).find(|number| uplink_of(gateway, *number) == uplink);
    let number = number.unwrap_or_else(|| panic!("no client takes uplink {uplink}"));
    plan6::client(UNIQUE_LOCAL, number)
}

/// The client's pings to the server are answered.
#[track_caller]
fn pings(gateway: &Gateway, from: Ipv6Addr, to: Ipv6Addr, len: &str) {
    let arguments = ["-c", "3", "-i", "0.2", "-s", len];
    let (worked, text) = ping_to(&gateway.site.client, from, to, &arguments);
    assert!(worked, "{text}");
}

/// Makes the kernel keep the errors that it hears of a socket.
fn keep_errors(socket: &UdpSocket) {
    setsockopt(socket, sockopt::Ipv6RecvErr, &true).unwrap();
}

/// The next ICMPv6 error that the kernel has matched with a socket: its type, its code and its sender.
fn next_error(socket: &UdpSocket) -> (u8, u8, Ipv6Addr) {
    let unreadable = |errno: Errno| LabError::Namespace {
        label: "errors of a socket".to_owned(),
        source: io::Error::from(errno),
    };
    let mut found = None;
    wait_until("an ICMPv6 error has come", BOUND, || {
        found = read_error(socket).map_err(unreadable)?;
        Ok(found.is_some())
    })
    .unwrap();
    found.unwrap()
}

fn read_error(socket: &UdpSocket) -> nix::Result<Option<(u8, u8, Ipv6Addr)>> {
    let mut payload = [0; 2048];
    let mut parts = [IoSliceMut::new(&mut payload)];
    let mut control = nix::cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6);
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message =
        match recvmsg::<SockaddrIn6>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags) {
            Err(Errno::EAGAIN) => return Ok(None),
            message => message?,
        };
    let error = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::Ipv6RecvErr(error, Some(from))
            if error.ee_origin == libc::SO_EE_ORIGIN_ICMP6 =>
        {
            Some((error.ee_type, error.ee_code, Ipv6Addr::from(from.sin6_addr.s6_addr)))
        }
        _ => None,
    });
    Ok(error)
}

/// Who says that a datagram's time is over, from the first router on, as traceroute(8) asks; the last is
/// the destination, which says that nobody listens.
fn hops_by_udp(gateway: &Gateway, from: Ipv6Addr, to: Ipv6Addr) -> Vec<Ipv6Addr> {
    let socket = udp(&gateway.site.client, from, 0);
    keep_errors(&socket);
    let mut hops = Vec::new();
    for limit in 1..=8_u16 {
        setsockopt(&socket, sockopt::Ipv6Ttl, &i32::from(limit)).unwrap();
        socket.send_to(b"traceroute", (to, 33_434 + limit)).unwrap();
        let (icmp_type, code, from) = next_error(&socket);
        hops.push(from);
        match (icmp_type, code) {
            (3, 0) => {}
            (1, 4) => return hops,
            other => panic!("{from} says {other:?}; so far {hops:?}"),
        }
    }
    panic!("no end after {hops:?}");
}

/// Every router shows itself, and the server, by echo requests and by UDP.
fn shows_every_hop(gateway: &Gateway, uplink: usize, from: Ipv6Addr, prefix: Ipv6Addr) {
    let to = embedded(prefix, SERVER);
    let expected = [plan6::lan_gateway(UNIQUE_LOCAL), embedded(prefix, plan::isp(uplink)), to];
    assert_eq!(hops(&gateway.site.client, from, to), expected);
    assert_eq!(hops_by_udp(gateway, from, to), expected);
}

/// Moves what [`bulk`] moves, both ways, and checks that it comes by this uplink's address.
fn moves_both_ways(gateway: &Gateway, uplink: usize, from: Ipv6Addr) {
    let site = &gateway.site;
    let arguments = ["--interface", &from.to_string()];
    let peers = bulk::move_between(
        (&site.client, embedded(WELL_KNOWN, SERVER).into()),
        (&site.server, SERVER.into()),
        gateway.directory.path(),
        &arguments,
    );
    assert_eq!(peers, [IpAddr::V4(plan::gateway(uplink)); 2]);
}

/// Datagrams that take fragments get there and back. The first answer may only teach the server what the
/// LAN takes of a fragment, which is less than of a packet that is whole.
fn exchanges_fragments(gateway: &Gateway, from: Ipv6Addr, len: usize) {
    let server = udp(&gateway.site.server, SERVER, PORT);
    let client = udp(&gateway.site.client, from, 0);
    client.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let payload: Vec<u8> = (0..len).map(|at| at as u8).collect();
    let mut buffer = vec![0; 65_535];
    client.send_to(&payload, (embedded(WELL_KNOWN, SERVER), PORT)).unwrap();
    let (length, peer) = server.recv_from(&mut buffer).unwrap();
    assert!(buffer[..length] == *payload, "{length} bytes came of {len}");
    let length = (0..50)
        .find_map(|_| {
            server.send_to(&payload, peer).unwrap();
            Some(client.recv_from(&mut buffer).ok()?.0)
        })
        .expect("it arrives");
    assert!(buffer[..length] == *payload, "{length} bytes came back of {len}");
}

#[test]
fn everything_works_by_each_uplink() {
    let gateway = gateway("");
    let to = embedded(WELL_KNOWN, SERVER);
    for uplink in 0..2 {
        let from = client_by(&gateway, uplink);
        pings(&gateway, from, to, "56");
        // As much as the LAN takes beside the headers of IPv6.
        pings(&gateway, from, to, "1432");
        exchanges_fragments(&gateway, from, 8000);
        shows_every_hop(&gateway, uplink, from, WELL_KNOWN);
        moves_both_ways(&gateway, uplink, from);
    }
}

#[test]
fn a_prefix_of_the_site_s_own_reaches_private_networks_too() {
    let gateway = gateway("prefix = \"2001:db8:64::/96\"\n");
    let site = &gateway.site;
    site.server.ip(&format!("address add {PRIVATE}/32 dev lo")).unwrap();
    for uplink in &site.uplinks {
        let route = uplink.isp.output("ip", &["route", "show", &SERVER.to_string()]).unwrap();
        let route = route.trim().replace(&SERVER.to_string(), &PRIVATE.to_string());
        uplink.isp.ip(&format!("route add {route}")).unwrap();
    }
    let from = plan6::client(UNIQUE_LOCAL, 0);
    pings(&gateway, from, embedded(OWN, SERVER), "56");
    pings(&gateway, from, embedded(OWN, PRIVATE), "56");
    let uplink = hops(&site.client, from, embedded(OWN, SERVER));
    let uplink = (0..2).find(|index| uplink[1] == embedded(OWN, plan::isp(*index))).unwrap();
    shows_every_hop(&gateway, uplink, from, OWN);
}

#[test]
fn private_networks_are_not_in_the_well_known_prefix() {
    let gateway = gateway("");
    let to = embedded(WELL_KNOWN, PRIVATE);
    let client = udp(&gateway.site.client, plan6::client(UNIQUE_LOCAL, 0), 0);
    keep_errors(&client);
    client.send_to(b"private", (to, PORT)).unwrap();
    let (icmp_type, _, from) = next_error(&client);
    assert_eq!((icmp_type, from), (1, plan6::lan_gateway(UNIQUE_LOCAL)));
    gateway.wait_for("it is counted", |status| status.answered["nat64_destination"].packets == 1);
}

/// The uplink itself takes less than the LAN, and the gateway tells.
#[test]
fn a_small_uplink() {
    let gateway = gateway("");
    let site = &gateway.site;
    site.gateway.ip("link set wan1 mtu 1280").unwrap();
    site.uplinks[1].isp.ip("link set customer mtu 1280").unwrap();
    let from = client_by(&gateway, 1);
    learns_and_moves(&gateway, 1, from, "1300");
}

/// A router beyond the uplink takes less, and tells.
#[test]
fn a_small_path() {
    let gateway = gateway("");
    for (uplink, (mtu, told)) in [(1280, "1300"), (1000, "1280")].into_iter().enumerate() {
        let from = client_by(&gateway, uplink);
        let isp = &gateway.site.uplinks[uplink].isp;
        let shown = isp.output("ip", &["route", "show", &SERVER.to_string()]).unwrap();
        isp.ip(&format!("route replace {} mtu {mtu}", shown.trim())).unwrap();
        learns_and_moves(&gateway, uplink, from, told);
    }
}

/// Whoever sends more than the path takes is told, and cuts. Of what is no larger than every path of IPv6
/// takes, routers make fragments.
fn learns_and_moves(gateway: &Gateway, uplink: usize, from: Ipv6Addr, told: &str) {
    let to = embedded(WELL_KNOWN, SERVER);
    let client = &gateway.site.client;
    // It may know of a smaller path, by the other uplink.
    client.ip6("route flush cache").unwrap();
    let whole = ["-c", "1", "-s", "1400", "-M", "do"];
    let mut text = String::new();
    let waited = wait_until("the sender is told", BOUND, || {
        text = ping_to(client, from, to, &whole).1;
        Ok(text.contains(&format!("mtu={told}")))
    });
    assert!(waited.is_ok(), "{text}");
    pings(gateway, from, to, "1232");
    exchanges_fragments(gateway, from, 1100);
    exchanges_fragments(gateway, from, 4000);
    moves_both_ways(gateway, uplink, from);
}

#[test]
fn new_flows_take_the_other_uplink() {
    let gateway = gateway("");
    let site = &gateway.site;
    let number = (0..CLIENTS).find(|number| uplink_of(&gateway, *number) == 0).unwrap();
    let from = plan6::client(UNIQUE_LOCAL, number);
    site.uplinks[0].cut().unwrap();
    gateway.wait_for("the uplink is down", |status| status.uplinks[0].state != "up");
    assert_eq!(uplink_of(&gateway, number), 1);
    let to = embedded(WELL_KNOWN, SERVER);
    pings(&gateway, from, to, "56");
    shows_every_hop(&gateway, 1, from, WELL_KNOWN);
    // Nothing but the other one: the host is told at once where there is none.
    site.uplinks[1].cut().unwrap();
    gateway.wait_for("both are down", |status| status.uplinks[1].state != "up");
    let error = connect(&site.client, from, SocketAddrV6::new(to, PORT, 0, 0)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NetworkUnreachable, "{error}");
}

/// A connection of the client's to the server, seen from both ends.
fn connection(gateway: &Gateway, from: Ipv6Addr) -> (TcpStream, TcpStream) {
    let listener = gateway.site.server.run(|| TcpListener::bind((SERVER, PORT))).unwrap();
    let accepting = thread::spawn(move || listener.accept().unwrap().0);
    let service = SocketAddrV6::new(embedded(WELL_KNOWN, SERVER), PORT, 0, 0);
    let client = connect(&gateway.site.client, from, service).unwrap();
    let server = accepting.join().unwrap();
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(BOUND)).unwrap();
    }
    (client, server)
}

/// As in NAT44: datagrams go on from another address, and a connection learns that it has none.
#[test]
fn flows_go_over_to_the_other_uplink() {
    let gateway = gateway("");
    let site = &gateway.site;
    let from = client_by(&gateway, 0);
    let server = udp(&site.server, SERVER, PORT);
    let client = udp(&site.client, from, 0);
    let service = SocketAddrV6::new(embedded(WELL_KNOWN, SERVER), PORT, 0, 0);
    let (mut stream, _accepted) = connection(&gateway, from);
    stream.write_all(b"by the first").unwrap();
    for (uplink, word) in [&b"by the first"[..], b"by the second"].into_iter().enumerate() {
        let peer = exchange_with(&client, &server, service, word);
        assert_eq!(peer.ip(), IpAddr::V4(plan::gateway(uplink)));
        if uplink == 0 {
            site.uplinks[0].cut().unwrap();
            gateway.wait_for("the uplink is down", |status| status.uplinks[0].state != "up");
        }
    }
    stream.write_all(b"by the second").unwrap();
    let error = stream.read(&mut [0; 64]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}");
}

#[test]
fn a_connection_is_made_refused_and_ended() {
    let gateway = gateway("");
    let from = plan6::client(UNIQUE_LOCAL, 0);
    let service = SocketAddrV6::new(embedded(WELL_KNOWN, SERVER), PORT, 0, 0);
    let error = connect(&gateway.site.client, from, service).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused, "{error}");
    let (mut client, mut server) = connection(&gateway, from);
    client.write_all(b"all").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut heard = String::new();
    server.read_to_string(&mut heard).unwrap();
    server.write_all(b" that too").unwrap();
    drop(server);
    client.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "all that too");
}

/// Who is let in is as in NAT44: by the default, anyone, once the host has a mapping (RFC 6146 section 3.5.1).
#[test]
fn a_stranger_reaches_a_mapping() {
    let gateway = gateway("");
    let site = &gateway.site;
    let from = plan6::client(UNIQUE_LOCAL, 0);
    let client = udp(&site.client, from, 0);
    let server = udp(&site.server, SERVER, PORT);
    let service = SocketAddrV6::new(embedded(WELL_KNOWN, SERVER), PORT, 0, 0);
    let mapped = exchange_with(&client, &server, service, b"who am I?");
    let stranger = udp(&site.server, SERVER, PORT + 1);
    let mut buffer = [0; 64];
    stranger.send_to(b"knock", mapped).unwrap();
    let (length, peer) = client.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"knock");
    assert_eq!(peer, SocketAddrV6::new(embedded(WELL_KNOWN, SERVER), PORT + 1, 0, 0).into());
    client.send_to(b"come in", peer).unwrap();
    let (length, peer) = stranger.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..length], peer), (&b"come in"[..], mapped));
}

#[test]
fn idle_flows_end() {
    let gateway = gateway("[timers]\nudp = \"1s\"\nicmp = \"1s\"\n");
    uplink_of(&gateway, 0);
    let from = plan6::client(UNIQUE_LOCAL, 0);
    pings(&gateway, from, embedded(WELL_KNOWN, SERVER), "56");
    gateway.wait_for("flows are there", |status| status.flows.entries != 0);
    gateway.wait_for("nothing is left", |status| status.flows.entries == 0);
    // As if nothing had been.
    uplink_of(&gateway, 0);
}
