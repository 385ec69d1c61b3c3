//! Flows that tell what becomes of each of their packets, and each of their bytes.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use pointsman_lab::plan::SERVER;
use pointsman_lab::{Namespace, Site};

use crate::support::BOUND;

const UDP_PORT: u16 = 7;
const TCP_PORT: u16 = 9;

/// What is sent at once by TCP: of a length that no segment has.
const CHUNK: usize = 4099;

/// The pause between datagrams, and between chunks.
const PACE: Duration = Duration::from_millis(2);

/// A UDP socket of the server, which sends everything back.
pub(crate) struct Echo {
    socket: UdpSocket,
}

impl Echo {
    pub(crate) fn new(server: &Namespace) -> Self {
        let socket = server.run(|| UdpSocket::bind((SERVER, UDP_PORT))).unwrap();
        socket.set_read_timeout(Some(BOUND)).unwrap();
        Self { socket }
    }

    /// Sends the next datagram back; returns the sender.
    pub(crate) fn answer(&self) -> SocketAddr {
        let mut datagram = [0; 8];
        let (length, sender) = self.socket.recv_from(&mut datagram).unwrap();
        self.socket.send_to(&datagram[..length], sender).unwrap();
        sender
    }

    pub(crate) fn send(&self, datagram: &[u8], to: SocketAddr) {
        self.socket.send_to(datagram, to).unwrap();
    }
}

/// A UDP socket of the client that is connected to that.
pub(crate) fn udp_client(site: &Site, from: Ipv4Addr) -> UdpSocket {
    site.client.run(|| {
        let socket = UdpSocket::bind((from, 0)).unwrap();
        socket.connect((SERVER, UDP_PORT)).unwrap();
        socket.set_read_timeout(Some(BOUND)).unwrap();
        socket
    })
}

/// Sends a datagram that nobody has sent before, has it answered, and checks the answer. Returns whom the
/// server saw.
pub(crate) fn round_trip(client: &UdpSocket, echo: &Echo, number: u64) -> SocketAddr {
    client.send(&number.to_be_bytes()).unwrap();
    let sender = echo.answer();
    assert_eq!(receive(client), number.to_be_bytes());
    sender
}

/// The next datagram of eight bytes.
pub(crate) fn receive(socket: &UdpSocket) -> [u8; 8] {
    let mut datagram = [0; 8];
    assert_eq!(socket.recv(&mut datagram).unwrap(), 8);
    datagram
}

/// A connection of TCP through the gateway, and the client's side of it first.
pub(crate) fn connection(site: &Site, from: Ipv4Addr) -> (TcpStream, TcpStream) {
    let listener = site.server.run(|| TcpListener::bind((SERVER, TCP_PORT))).unwrap();
    let client = site.client.run(|| {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((from, 0)).into())?;
        socket.connect(&SocketAddr::from((SERVER, TCP_PORT)).into())?;
        Ok::<TcpStream, std::io::Error>(socket.into())
    });
    let (client, server) = (client.unwrap(), listener.accept().unwrap().0);
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(BOUND)).unwrap();
        stream.set_write_timeout(Some(BOUND)).unwrap();
    }
    (client, server)
}

/// Datagrams with numbers at a constant rate, and a connection of TCP, both ways, until they are ended.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    sent: JoinHandle<u64>,
    back: JoinHandle<Vec<u64>>,
    senders: JoinHandle<BTreeSet<SocketAddr>>,
    written: JoinHandle<usize>,
    read: JoinHandle<usize>,
}

/// What became of a load.
pub(crate) struct Outcome {
    /// How many datagrams were sent.
    pub(crate) sent: u64,
    /// The numbers of those that came back, in the order in which they did.
    pub(crate) back: Vec<u64>,
    /// Whom the server saw.
    pub(crate) senders: BTreeSet<SocketAddr>,
    /// Bytes that were written to the connection, and bytes that were right at the other end.
    pub(crate) written: usize,
    pub(crate) read: usize,
}

/// The datagram that ends the stream, and is sent until it is answered.
const END: u64 = u64::MAX;

impl Load {
    pub(crate) fn start(site: &Site, from: Ipv4Addr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let echo = Echo::new(&site.server);
        let senders = thread::spawn(move || {
            let mut senders = BTreeSet::new();
            loop {
                let mut datagram = [0; 8];
                let (_, sender) = echo.socket.recv_from(&mut datagram).unwrap();
                senders.insert(sender);
                echo.send(&datagram, sender);
                if datagram == END.to_be_bytes() {
                    return senders;
                }
            }
        });
        let socket = Arc::new(udp_client(site, from));
        let receiver = Arc::clone(&socket);
        let back = thread::spawn(move || {
            let numbers = std::iter::repeat_with(|| u64::from_be_bytes(receive(&receiver)));
            numbers.take_while(|number| *number != END).collect()
        });
        let stopped = Arc::clone(&stop);
        let sent = thread::spawn(move || {
            let mut number = 0_u64;
            while !stopped.load(Ordering::Relaxed) {
                socket.send(&number.to_be_bytes()).unwrap();
                number += 1;
                thread::sleep(PACE);
            }
            socket.send(&END.to_be_bytes()).unwrap();
            number
        });
        let (client, server) = connection(site, from);
        let stopped = Arc::clone(&stop);
        let written = thread::spawn(move || write(client, &stopped));
        let read = thread::spawn(move || read(server));
        Self { stop, sent, back, senders, written, read }
    }

    pub(crate) fn end(self) -> Outcome {
        self.stop.store(true, Ordering::Relaxed);
        Outcome {
            sent: self.sent.join().unwrap(),
            back: self.back.join().unwrap(),
            senders: self.senders.join().unwrap(),
            written: self.written.join().unwrap(),
            read: self.read.join().unwrap(),
        }
    }
}

/// The byte at a place of what goes over the connection.
fn byte_at(place: usize) -> u8 {
    (place % 251) as u8
}

/// Writes at a constant rate until it is stopped, and waits until the other end has read it all.
fn write(mut stream: TcpStream, stop: &AtomicBool) -> usize {
    let mut written = 0;
    while !stop.load(Ordering::Relaxed) {
        let chunk: Vec<u8> = (written..written + CHUNK).map(byte_at).collect();
        stream.write_all(&chunk).unwrap();
        written += CHUNK;
        thread::sleep(PACE);
    }
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "the other end has nothing to say");
    written
}

/// Reads to the end, and checks each byte.
fn read(mut stream: TcpStream) -> usize {
    let (mut place, mut chunk) = (0, vec![0; 1 << 16]);
    loop {
        let length = stream.read(&mut chunk).unwrap();
        if length == 0 {
            return place;
        }
        let right =
            chunk[..length].iter().zip(place..).all(|(byte, place)| *byte == byte_at(place));
        assert!(right, "wrong bytes from {place} on");
        place += length;
    }
}
