//! The site, and what its hosts do.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener, TcpStream, UdpSocket};
use std::thread;

use pointsman_lab::plan6::{self, SERVER};
use pointsman_lab::{Namespace, Site, wait_until};
use socket2::{Domain, Socket, Type};

use crate::support::{BOUND, Gateway, configuration};

/// How the uplinks of a site carry IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Nptv6,
    Routed,
    Source,
    Nat66,
}

impl Mode {
    /// The /48s that the LAN has addresses of.
    fn prefixes(self) -> Vec<Ipv6Addr> {
        match self {
            Self::Nptv6 | Self::Nat66 => vec![plan6::UNIQUE_LOCAL],
            Self::Routed => vec![plan6::INDEPENDENT],
            Self::Source => vec![plan6::provider(0), plan6::provider(1)],
        }
    }

    /// The address of the client with this number that its flows by the uplink come from.
    pub(crate) fn client(self, number: usize, uplink: usize) -> Ipv6Addr {
        let site = match self {
            Self::Nptv6 | Self::Nat66 => plan6::UNIQUE_LOCAL,
            Self::Routed => plan6::INDEPENDENT,
            Self::Source => plan6::provider(uplink),
        };
        plan6::client(site, number)
    }

    /// What an uplink has in the configuration.
    fn of_uplink(self, uplink: usize, more: &str) -> String {
        let (mode, key, prefix) = match self {
            Self::Nptv6 => ("nptv6", "prefix", plan6::provider(uplink)),
            Self::Routed => ("routed", "prefix", plan6::INDEPENDENT),
            Self::Source => ("source", "prefix", plan6::provider(uplink)),
            Self::Nat66 => ("nat66", "internal", plan6::UNIQUE_LOCAL),
        };
        format!("ipv6 = {{ mode = \"{mode}\", {key} = \"{prefix}/48\"{more} }}\n")
    }
}

/// How many addresses the client has in each prefix: so many that it cannot happen that one uplink,
/// even that of three times the weight, takes them all.
pub(crate) const CLIENTS: usize = 64;

/// A running gateway whose uplinks carry IPv6 in this mode, with `more` in the table of each.
pub(crate) fn gateway(mode: Mode, more: &str) -> Gateway {
    gateway_with(mode, |_| more.to_owned())
}

/// As [`gateway`], with `more` for each uplink.
pub(crate) fn gateway_with(mode: Mode, more: impl Fn(usize) -> String) -> Gateway {
    let site = Site::builder().client_addresses(CLIENTS).neighbour(true).build().unwrap();
    site.enable_ipv6(&mode.prefixes()).unwrap();
    let gateway = Gateway::configured(site, |directory| {
        let mut text = configuration(directory);
        for uplink in 0..2 {
            let interface = format!("interface = \"wan{uplink}\"\n");
            text = text
                .replace(&interface, &(interface.clone() + &mode.of_uplink(uplink, &more(uplink))));
        }
        text
    });
    gateway.wait_for("both uplinks carry IPv6", |status| {
        let missing = |ipv6: &pointsman::api::status::Ipv6Status| ipv6.missing.is_none();
        status.uplinks.iter().all(|uplink| uplink.ipv6.as_ref().is_some_and(missing))
    });
    gateway
}

/// Cuts an uplink, and waits until the daemon knows.
pub(crate) fn cut(gateway: &Gateway, uplink: usize) {
    gateway.site.uplinks[uplink].cut().unwrap();
    gateway.wait_for("the uplink is down", |status| status.uplinks[uplink].state != "up");
}

/// A UDP socket of a host, which waits for packets no longer than is sensible.
///
/// Its address may be that of a socket that was just closed, and is taken for as long as a process
/// that another test starts has the descriptor: until it executes its program.
pub(crate) fn udp(host: &Namespace, address: impl Into<IpAddr>, port: u16) -> UdpSocket {
    let address = address.into();
    let mut socket = None;
    wait_until("the socket has its address", BOUND, || {
        match host.run(|| UdpSocket::bind((address, port))) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            bound => socket = Some(bound.unwrap()),
        }
        Ok(socket.is_some())
    })
    .unwrap();
    let socket = socket.unwrap();
    socket.set_read_timeout(Some(BOUND)).unwrap();
    socket
}

/// Where the server is asked.
pub(crate) const SERVICE: SocketAddrV6 = SocketAddrV6::new(SERVER, 7000, 0, 0);

/// Lets the server have a datagram, and answer it. Returns how the client appears to the server.
pub(crate) fn exchange(client: &UdpSocket, server: &UdpSocket, payload: &[u8]) -> SocketAddr {
    exchange_with(client, server, SERVICE, payload)
}

/// As [`exchange`], where the server is asked elsewhere.
pub(crate) fn exchange_with(
    client: &UdpSocket,
    server: &UdpSocket,
    service: SocketAddrV6,
    payload: &[u8],
) -> SocketAddr {
    let mut buffer = vec![0; 65_535];
    client.send_to(payload, service).unwrap();
    let (length, peer) = server.recv_from(&mut buffer).unwrap();
    assert!(buffer[..length] == *payload, "{length} bytes came of {}", payload.len());
    server.send_to(payload, peer).unwrap();
    let (length, from) = client.recv_from(&mut buffer).unwrap();
    assert_eq!(from, service.into());
    assert!(buffer[..length] == *payload, "{length} bytes came back of {}", payload.len());
    peer
}

/// The index of the uplink that the client of this number takes to the server: by how it appears there,
/// or, where addresses stay, by which uplink's packets count up.
pub(crate) fn uplink_of(gateway: &Gateway, mode: Mode, number: usize) -> usize {
    let server = udp(&gateway.site.server, SERVER, SERVICE.port());
    let before: Vec<u64> =
        gateway.status().uplinks.iter().map(|uplink| uplink.out.packets).collect();
    let client = udp(&gateway.site.client, mode.client(number, 0), 0);
    let peer = exchange(&client, &server, b"which?");
    if mode == Mode::Routed {
        let after = gateway.status().uplinks;
        return after.iter().zip(&before).position(|(now, then)| now.out.packets > *then).unwrap();
    }
    let IpAddr::V6(peer) = peer.ip() else { panic!("{peer} is not IPv6") };
    let is_of = |uplink: &usize| match mode {
        Mode::Nat66 => peer == plan6::gateway(*uplink),
        _ => peer.segments()[..3] == plan6::provider(*uplink).segments()[..3],
    };
    (0..2).find(is_of).unwrap_or_else(|| panic!("{peer} is of no uplink"))
}

/// A client of the number of one whose flows take the uplink, and its address.
pub(crate) fn client_by(gateway: &Gateway, mode: Mode, uplink: usize) -> Ipv6Addr {
    if mode == Mode::Source {
        return mode.client(0, uplink);
    }
    let number = (0..CLIENTS).find(|number| uplink_of(gateway, mode, *number) == uplink);
    mode.client(number.unwrap_or_else(|| panic!("no client takes uplink {uplink}")), uplink)
}

/// Connects from an address, within the bound.
pub(crate) fn connect(host: &Namespace, from: Ipv6Addr, to: SocketAddrV6) -> io::Result<TcpStream> {
    host.run(|| {
        let socket = Socket::new(Domain::IPV6, Type::STREAM, None)?;
        socket.bind(&SocketAddrV6::new(from, 0, 0, 0).into())?;
        socket.connect_timeout(&to.into(), BOUND)?;
        Ok(socket.into())
    })
}

/// A client's connection to the server, seen from both ends.
pub(crate) fn connection(gateway: &Gateway, from: Ipv6Addr) -> (TcpStream, TcpStream) {
    let listener = gateway.site.server.run(|| TcpListener::bind(SERVICE)).unwrap();
    let accepting = thread::spawn(move || listener.accept().unwrap().0);
    let stream = connect(&gateway.site.client, from, SERVICE).unwrap();
    let accepted = accepting.join().unwrap();
    for stream in [&stream, &accepted] {
        stream.set_read_timeout(Some(BOUND)).unwrap();
        stream.set_write_timeout(Some(BOUND)).unwrap();
        stream.set_nodelay(true).unwrap();
    }
    (stream, accepted)
}

/// Runs ping to the server, from an address. Returns what it prints.
pub(crate) fn ping(host: &Namespace, from: Ipv6Addr, arguments: &[&str]) -> (bool, String) {
    ping_to(host, from, SERVER, arguments)
}

/// As [`ping`], to another address.
pub(crate) fn ping_to(
    host: &Namespace,
    from: Ipv6Addr,
    to: Ipv6Addr,
    arguments: &[&str],
) -> (bool, String) {
    let (from, to) = (from.to_string(), to.to_string());
    let fixed = ["-6", "-n", "-W", "5", "-I", &from];
    let output = host.command("ping").args(fixed).args(arguments).arg(&to).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.success(), text + &String::from_utf8_lossy(&output.stderr))
}

/// Who says that an echo request's time is over, from the first router on; the last is the destination.
pub(crate) fn hops(client: &Namespace, from: Ipv6Addr, to: Ipv6Addr) -> Vec<Ipv6Addr> {
    let hop = |limit: u8| {
        let (_, text) = ping_to(client, from, to, &["-c", "1", "-t", &limit.to_string()]);
        let line = text
            .lines()
            .find(|line| line.starts_with("From ") || line.contains(" bytes from "))
            .unwrap_or_else(|| panic!("no answer in {text}"));
        let mut words = line.split_whitespace();
        let from = words.find(|word| word.eq_ignore_ascii_case("from")).and(words.next());
        from.unwrap().trim_end_matches(':').parse::<Ipv6Addr>().unwrap()
    };
    let mut hops = Vec::new();
    for limit in 1..=8 {
        hops.push(hop(limit));
        if hops.last() == Some(&to) {
            return hops;
        }
    }
    panic!("no end after {hops:?}");
}
