//! Sockets of hosts, and the gateways that stand between them.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::thread;

use pointsman::api::status::Status;
use pointsman_lab::plan::SERVER;
use pointsman_lab::{Namespace, Site, wait_until};

use crate::support::{BOUND, Gateway};

/// Where the server is asked.
pub(crate) const SERVICE: SocketAddrV4 = SocketAddrV4::new(SERVER, 7000);

/// A site with a neighbour and two uplinks, whose routers say as many ICMP errors as they like.
pub(crate) fn site() -> Site {
    quiet(Site::builder().client_addresses(64).neighbour(true).build().unwrap())
}

/// Takes the limit off the ICMP errors of every host.
pub(crate) fn quiet(site: Site) -> Site {
    for host in site.hosts() {
        host.sysctl("net.ipv4.icmp_ratelimit", "0").unwrap();
    }
    site
}

/// A UDP socket of a host, which waits for packets no longer than is sensible.
///
/// Its address may be that of a socket that was just closed, and is taken for as long as a process
/// that another test starts has the descriptor: until it executes its program.
pub(crate) fn udp(host: &Namespace, address: impl ToSocketAddrs + Sync) -> UdpSocket {
    let mut socket = None;
    wait_until("the socket has its address", BOUND, || {
        match host.run(|| UdpSocket::bind(&address)) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {}
            bound => socket = Some(bound.unwrap()),
        }
        Ok(socket.is_some())
    })
    .unwrap();
    let socket = socket.unwrap();
    socket.set_read_timeout(Some(BOUND)).unwrap();
    socket
}

/// What arrives next, and from whom.
pub(crate) fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddrV4) {
    let mut buffer = vec![0; 65_535];
    let (length, peer) = socket.recv_from(&mut buffer).unwrap();
    buffer.truncate(length);
    let std::net::SocketAddr::V4(peer) = peer else { panic!("{peer} is not IPv4") };
    (buffer, peer)
}

/// Lets the server have a datagram and answer it. Returns how the client appears to the server.
pub(crate) fn exchange(client: &UdpSocket, server: &UdpSocket, payload: &[u8]) -> SocketAddrV4 {
    client.send_to(payload, SERVICE).unwrap();
    let (request, peer) = receive(server);
    assert!(request == payload, "{} bytes came of {}", request.len(), payload.len());
    server.send_to(payload, peer).unwrap();
    let (answer, from) = receive(client);
    assert_eq!(from, SERVICE);
    assert!(answer == payload, "{} bytes came back of {}", answer.len(), payload.len());
    peer
}

/// A client's connection to a listener, seen from both ends.
pub(crate) fn connect(
    client: &Namespace,
    from: Ipv4Addr,
    to: SocketAddrV4,
    listener: &TcpListener,
) -> (TcpStream, TcpStream) {
    let accepting = listener.try_clone().unwrap();
    let accepting = thread::spawn(move || accepting.accept().unwrap().0);
    let stream = client.run(|| bound_stream(from, to)).unwrap();
    let accepted = accepting.join().unwrap();
    for stream in [&stream, &accepted] {
        stream.set_read_timeout(Some(BOUND)).unwrap();
        stream.set_write_timeout(Some(BOUND)).unwrap();
        stream.set_nodelay(true).unwrap();
    }
    (stream, accepted)
}

/// Connects from an address, within the bound.
pub(crate) fn bound_stream(from: Ipv4Addr, to: SocketAddrV4) -> std::io::Result<TcpStream> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddrV4::new(from, 0).into())?;
    socket.connect_timeout(&to.into(), BOUND)?;
    Ok(socket.into())
}

/// Sends a word each way.
pub(crate) fn talk((one, other): &(TcpStream, TcpStream), word: &[u8]) {
    say(one, other, word);
    say(other, one, word);
}

/// Sends a word, which may be too long for what is on its way.
fn say(mut from: &TcpStream, mut to: &TcpStream, word: &[u8]) {
    let mut heard = vec![0; word.len()];
    thread::scope(|scope| {
        let saying = scope.spawn(move || from.write_all(word));
        to.read_exact(&mut heard).unwrap();
        saying.join().unwrap().unwrap();
    });
    assert!(heard == word, "other words came");
}

impl Gateway {
    /// Checks that as many packets were dropped, by reason, and no others.
    pub(crate) fn assert_drops(&self, expected: &[(&str, u64)]) {
        let expected: BTreeMap<_, _> =
            expected.iter().map(|&(reason, packets)| (reason.to_owned(), packets)).collect();
        assert_eq!(self.drops(), expected);
    }

    /// How many packets were dropped, by reason, whether or not their senders were told.
    fn drops(&self) -> BTreeMap<String, u64> {
        let Status { drops, answered, .. } = self.status();
        let mut sums = BTreeMap::new();
        for (reason, traffic) in drops.into_iter().chain(answered) {
            if traffic.packets > 0 {
                *sums.entry(reason).or_default() += traffic.packets;
            }
        }
        sums
    }

    /// An address of the client whose flows take the uplink of this index.
    pub(crate) fn address_by(&self, uplink: usize) -> Ipv4Addr {
        self.addresses_by(uplink)[0]
    }

    /// All of them.
    pub(crate) fn addresses_by(&self, uplink: usize) -> Vec<Ipv4Addr> {
        let server = udp(&self.site.server, SERVICE);
        let public = self.site.uplinks[uplink].gateway_address;
        let takes = |address: &Ipv4Addr| {
            let client = udp(&self.site.client, (*address, 0));
            *exchange(&client, &server, b"which?").ip() == public
        };
        let addresses: Vec<_> = self.site.client_addresses().filter(takes).collect();
        assert!(addresses.len() > 1, "{addresses:?} take uplink {uplink}");
        addresses
    }
}
