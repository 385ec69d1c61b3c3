//! What becomes of flows when their uplink dies, as their group says, with the kernel's own TCP at both ends.

#[path = "support/states.rs"]
mod states;
mod support;

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use pointsman_lab::Site;
use pointsman_lab::plan::SERVER;

use support::{BOUND, Gateway, configuration};

const SERVICE: SocketAddrV4 = SocketAddrV4::new(SERVER, 8080);

/// How long a client that waits may not know, after its uplink has died.
const WAIT: Duration = Duration::from_millis(50);

/// A daemon that is not optimised takes a tenth of a second to look through a table of the usual size.
const TABLES: &str =
    "[flows]\nmax = 8192\nunreplied = 8192\ninvited = 8192\nmappings = 8192\nipv6 = 8192\n";

/// How many connections wait at a time.
const CONNECTIONS: usize = 16;

/// How much is moved.
const LENGTH: usize = 24 << 20;

/// How long whatever is moved takes at least, were nothing to hold it up.
const PACE: Duration = Duration::from_secs(3);

/// A site whose flows go by the first uplink, as long as that lives, and do this when it dies.
fn gateway(on_failure: &str) -> Gateway {
    of(Site::builder().build().unwrap(), on_failure, &|text| text)
}

fn of(site: Site, on_failure: &str, change: &dyn Fn(String) -> String) -> Gateway {
    let group = format!(
        "[[group]]\nname = \"default\"\nuplinks = [[\"fiber\"], [\"cable\"]]\non_failure = {on_failure:?}\n\
         {TABLES}"
    );
    Gateway::configured(site, |directory| change(configuration(directory)) + &group)
}

impl Gateway {
    /// How many packets were dropped for this reason, whether or not their sender was told.
    fn dropped(&self, reason: &str) -> u64 {
        let status = self.status();
        let all = [status.drops, status.answered];
        all.iter().filter_map(|drops| drops.get(reason)).map(|traffic| traffic.packets).sum()
    }

    fn public(&self, uplink: usize) -> Ipv4Addr {
        self.site.uplinks[uplink].gateway_address
    }

    /// A server that says to each client which address it is known by, and no more.
    fn greet(&self) {
        let listener = self.site.server.run(|| TcpListener::bind(SERVICE)).unwrap();
        thread::spawn(move || {
            // They stay open.
            let mut greeted = Vec::new();
            while let Ok((mut stream, peer)) = listener.accept() {
                writeln!(stream, "{}", peer.ip()).unwrap();
                greeted.push(stream);
            }
        });
    }

    /// A connection of the client's, and the address that the server says it is from.
    fn connect(&self) -> (TcpStream, Ipv4Addr) {
        let stream = self.site.client.run(|| TcpStream::connect(SERVICE)).unwrap();
        stream.set_read_timeout(Some(BOUND)).unwrap();
        let mut greeting = String::new();
        BufReader::new(&stream).read_line(&mut greeting).unwrap();
        (stream, greeting.trim().parse().unwrap())
    }
}

impl Gateway {
    /// When a datagram of the client's, of one in a millisecond, first comes by the second uplink.
    fn watch_switch(&self) -> JoinHandle<Instant> {
        const WATCHED: SocketAddrV4 = SocketAddrV4::new(SERVER, 9000);
        let server = self.site.server.run(|| UdpSocket::bind(WATCHED)).unwrap();
        server.set_read_timeout(Some(BOUND)).unwrap();
        let [before, after] = [0, 1].map(|uplink| self.public(uplink));
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        self.site.client.spawn_thread("sending", move || {
            let client = UdpSocket::bind("0.0.0.0:0").unwrap();
            while !is_over.load(Ordering::Relaxed) {
                // It may be told that no network is there, for a moment.
                let _ = client.send_to(b"where?", WATCHED);
                thread::sleep(Duration::from_millis(1));
            }
        });
        let from = move |server: &UdpSocket| server.recv_from(&mut [0; 8]).unwrap().1.ip();
        assert_eq!(from(&server), before);
        thread::spawn(move || {
            while from(&server) != after {}
            over.store(true, Ordering::Relaxed);
            Instant::now()
        })
    }
}

/// A client that only waits for data learns that its connection is over, all of them do, and each connects again
/// by the other uplink. The server, which can be reached no more, is told when it speaks.
#[test]
fn a_connection_that_is_reset_ends_at_once() {
    let gateway = gateway("reset");
    gateway.greet();
    let waiting: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (mut stream, from) = gateway.connect();
            assert_eq!(from, gateway.public(0));
            thread::spawn(move || (stream.read(&mut [0]), Instant::now()))
        })
        .collect();
    let switched = gateway.watch_switch();
    let cut = gateway.site.uplinks[0].cut().unwrap();
    let switched = switched.join().unwrap();
    let mut took: Vec<_> = waiting
        .into_iter()
        .map(|waiting| {
            let (result, at) = waiting.join().unwrap();
            assert_eq!(result.map_err(|error| error.kind()), Err(ErrorKind::ConnectionReset));
            at.saturating_duration_since(switched)
        })
        .collect();
    took.sort_unstable();
    let [median, most] = [took[CONNECTIONS / 2], took[CONNECTIONS - 1]];
    println!(
        "{CONNECTIONS} connections end {median:.1?} (median) to {most:.1?} after the failover, which is {:.1?} \
         after the cut",
        switched - cut
    );
    assert!(most <= WAIT, "{took:?}");
    let (_, from) = gateway.connect();
    assert_eq!(from, gateway.public(1));
    assert_eq!(gateway.dropped("reset"), CONNECTIONS as u64);
}

/// It waits, as ever: that a network is unreachable ends no connection (RFC 1122 section 4.2.3.9).
#[test]
fn a_connection_without_another_uplink_is_not_reset() {
    let gateway = gateway("reset");
    gateway.greet();
    gateway.site.uplinks[1].cut().unwrap();
    gateway.wait_for_states("up", "down");
    let (mut stream, from) = gateway.connect();
    assert_eq!(from, gateway.public(0));
    gateway.site.uplinks[0].cut().unwrap();
    gateway.wait_for_states("down", "down");
    stream.write_all(b"is anybody there?").unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(gateway.dropped("reset"), 0);
}

/// The byte of what is moved at this place.
fn byte(at: usize) -> u8 {
    (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[0]
}

/// Has the client bring `LENGTH` bytes to the server, which checks each, no faster than it should. `meanwhile` is
/// called when a part of it is there.
fn bring(gateway: &Gateway, from: Option<Ipv4Addr>, meanwhile: impl FnOnce()) -> SocketAddr {
    let listener = gateway.site.server.run(|| TcpListener::bind(SERVICE)).unwrap();
    let receiving = thread::spawn(move || {
        let (mut stream, peer) = listener.accept().unwrap();
        stream.set_read_timeout(Some(BOUND)).unwrap();
        let (mut chunk, mut at) = (vec![0; 1 << 16], 0);
        loop {
            let len = stream.read(&mut chunk).unwrap();
            if len == 0 {
                return (peer, at);
            }
            let wrong = chunk[..len].iter().zip(at..).find(|(got, at)| **got != byte(*at));
            assert_eq!(wrong, None, "not what was sent");
            at += len;
        }
    });
    let from = from.unwrap_or(Ipv4Addr::UNSPECIFIED);
    let sending = gateway.site.client.spawn_thread("sending", move || {
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddrV4::new(from, 0).into()).unwrap();
        socket.connect(&SERVICE.into()).unwrap();
        let mut stream = TcpStream::from(socket);
        stream.set_write_timeout(Some(BOUND)).unwrap();
        let content: Vec<u8> = (0..LENGTH).map(byte).collect();
        let chunks = content.chunks(1 << 16);
        let rest = PACE / chunks.len() as u32;
        for chunk in chunks {
            stream.write_all(chunk).unwrap();
            thread::sleep(rest);
        }
    });
    let before = gateway.status().uplinks[0].out.packets;
    gateway
        .wait_for("a part of it is there", |status| status.uplinks[0].out.packets > before + 100);
    meanwhile();
    sending.join().unwrap();
    let (peer, len) = receiving.join().unwrap();
    assert_eq!(len, LENGTH);
    peer
}

/// It is the same connection, from the same address, all the time; its packets wait.
#[test]
fn a_connection_that_is_held_survives_a_hole_of_two_seconds() {
    let gateway = gateway("hold");
    let peer = bring(&gateway, None, || {
        gateway.site.uplinks[0].blackhole(true).unwrap();
        gateway.wait_for_states("down", "up");
        // For so long, as the hole is.
        thread::sleep(Duration::from_secs(2));
        gateway.site.uplinks[0].blackhole(false).unwrap();
    });
    assert_eq!(peer.ip(), gateway.public(0));
    assert!(gateway.dropped("held") > 0);
    assert_eq!(gateway.status().uplinks[1].out.packets, 0);
}

/// Whatever the group says, for nothing changes for the other end.
#[test]
fn what_is_routed_goes_on_through_a_cut() {
    for on_failure in ["reset", "hold"] {
        let site = Site::builder().build().unwrap();
        site.enable_independent().unwrap();
        let own = site.independent_addresses().next().unwrap();
        let gateway = of(site, on_failure, &|text| {
            ["wan0", "wan1"].iter().fold(text, |text, interface| {
                let line = format!("interface = \"{interface}\"\n");
                let ipv4 = "ipv4 = { mode = \"nat44\", routed = \"198.19.4.0/24\" }\n";
                text.replace(&line, &(line.clone() + ipv4))
            })
        });
        let peer = bring(&gateway, Some(own), || {
            gateway.site.prefer_provider(1).unwrap();
            gateway.site.uplinks[0].cut().unwrap();
        });
        assert_eq!(peer.ip(), own);
        assert!(gateway.status().uplinks[1].out.packets > 0);
        assert_eq!([gateway.dropped("reset"), gateway.dropped("held")], [0, 0]);
    }
}

/// At its next packet, from another address.
#[test]
fn a_datagram_takes_the_other_uplink() {
    for on_failure in ["rehome", "reset"] {
        let gateway = gateway(on_failure);
        let server = gateway.site.server.run(|| UdpSocket::bind(SERVICE)).unwrap();
        let client = gateway.site.client.run(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
        for socket in [&server, &client] {
            socket.set_read_timeout(Some(BOUND)).unwrap();
        }
        let echo = |uplink: usize| {
            let mut buffer = [0; 8];
            client.send_to(b"marco", SERVICE).unwrap();
            let (len, from) = server.recv_from(&mut buffer).unwrap();
            assert_eq!(from.ip(), gateway.public(uplink));
            server.send_to(b"polo", from).unwrap();
            assert_eq!(len, 5);
            assert_eq!(client.recv(&mut buffer).unwrap(), 4);
        };
        echo(0);
        echo(0);
        gateway.site.uplinks[0].cut().unwrap();
        gateway.wait_for_states("down", "up");
        echo(1);
    }
}
