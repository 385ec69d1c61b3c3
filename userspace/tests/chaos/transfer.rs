//! A TCP connection that carries data both ways at once, of which every byte is checked.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use pointsman_lab::plan::SERVER;
use pointsman_lab::{LabError, Namespace, wait_until};
use socket2::{Domain, SockRef, Socket, Type};

use crate::echo::lock;
use crate::support::BOUND;

/// What is written at once, in bytes, and how often.
const CHUNK: usize = 8 << 10;
const INTERVAL: Duration = Duration::from_millis(8);

/// What a sender may have under way, in bytes: fewer packets than a queue has room for.
const WINDOW: usize = 64 << 10;

/// How often a thread looks whether it is to end.
const PATIENCE: Duration = Duration::from_millis(50);

/// The two ways, by the number that their noise begins with.
const OUT: usize = 0;
const BACK: usize = 1;

/// Why a transfer has ended early: what went wrong at which end, and the kind of what the system said, if
/// it did.
pub(crate) type Broken = (String, Option<ErrorKind>);

/// What the threads of a transfer share.
#[derive(Default)]
struct Shared {
    /// Whether to send no more, and whether to give up.
    stop: [AtomicBool; 2],
    /// How many bytes have come and were right, each way.
    moved: [AtomicU64; 2],
    /// What went wrong first.
    broken: Mutex<Option<Broken>>,
}

impl Shared {
    fn is_told(&self, to: usize) -> bool {
        self.stop[to].load(Ordering::Relaxed)
    }

    fn fail(&self, what: String, kind: Option<ErrorKind>) {
        lock(&self.broken).get_or_insert((what, kind));
        // There is nothing to wait for.
        self.stop.iter().for_each(|stop| stop.store(true, Ordering::Relaxed));
    }
}

/// A running transfer.
pub(crate) struct Transfer {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Whom the server sees at the other end.
    pub(crate) peer: SocketAddrV4,
}

impl Transfer {
    /// Connects from this address of the client's to the server, and starts to send both ways.
    pub(crate) fn start(client: &Namespace, from: Ipv4Addr, server: &Namespace) -> Self {
        let listener = server.run(|| TcpListener::bind((SERVER, 0))).unwrap();
        let to = listener.local_addr().unwrap();
        let accepting = thread::spawn(move || listener.accept().unwrap());
        let near = client.run(|| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.bind(&SocketAddrV4::new(from, 0).into()).unwrap();
            socket.connect_timeout(&to.into(), BOUND).unwrap();
            TcpStream::from(socket)
        });
        let (far, peer) = accepting.join().unwrap();
        let std::net::SocketAddr::V4(peer) = peer else { panic!("{peer} is not IPv4") };
        for stream in [&near, &far] {
            SockRef::from(stream).set_send_buffer_size(WINDOW).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.set_write_timeout(Some(PATIENCE)).unwrap();
        }
        let shared = Arc::new(Shared::default());
        let threads = [("client", &near, [OUT, BACK]), ("server", &far, [BACK, OUT])]
            .into_iter()
            .flat_map(|(end, stream, [sends, takes])| {
                let ends = [stream.try_clone().unwrap(), stream.try_clone().unwrap()];
                let [writing, reading] = ends;
                let (of_writer, of_reader) = (Arc::clone(&shared), Arc::clone(&shared));
                [
                    thread::spawn(move || write(end, writing, sends, &of_writer)),
                    thread::spawn(move || read(end, reading, takes, &of_reader)),
                ]
            })
            .collect();
        Self { shared, threads, peer }
    }

    /// What went wrong, if something did.
    pub(crate) fn broken(&self) -> Option<Broken> {
        lock(&self.shared.broken).clone()
    }

    /// Waits until something goes wrong.
    pub(crate) fn wait_until_broken(&self) -> Broken {
        let mut broken = None;
        wait_until("the transfer is broken", BOUND, || {
            broken = self.broken();
            Ok::<_, LabError>(broken.is_some())
        })
        .unwrap();
        broken.unwrap()
    }

    /// Waits until bytes have come both ways that were not there when this was called.
    pub(crate) fn wait_until_moved(&self) {
        let moved = || [OUT, BACK].map(|way| self.shared.moved[way].load(Ordering::Relaxed));
        let before = moved();
        let waited = wait_until("bytes have come both ways", BOUND, || {
            let now = moved();
            Ok::<_, LabError>(now[OUT] > before[OUT] && now[BACK] > before[BACK])
        });
        assert!(waited.is_ok(), "{waited:?}, {before:?} before: {:?}", self.broken());
    }

    /// Sends no more, waits until all has come, and says how many bytes that were each way.
    ///
    /// # Errors
    ///
    /// What went wrong, if something did.
    pub(crate) fn finish(self) -> Result<[u64; 2], Broken> {
        self.shared.stop[0].store(true, Ordering::Relaxed);
        let ended = || self.threads.iter().all(JoinHandle::is_finished);
        if wait_until("all has come", BOUND, || Ok(ended())).is_err() {
            self.shared.fail(format!("not all has come within {BOUND:?}"), None);
        }
        for thread in self.threads {
            thread.join().unwrap();
        }
        match lock(&self.shared.broken).take() {
            Some(broken) => Err(broken),
            None => Ok([OUT, BACK].map(|way| self.shared.moved[way].load(Ordering::Relaxed))),
        }
    }
}

/// What is sent one way, the same each time: no part of it can pass for another.
struct Noise {
    state: u64,
}

impl Noise {
    fn new(way: usize) -> Self {
        Self { state: (way as u64) << 32 }
    }

    /// The next bytes. SplitMix64.
    fn fill(&mut self, bytes: &mut [u8]) {
        for word in bytes.as_chunks_mut::<8>().0 {
            self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            *word = (mixed ^ (mixed >> 31)).to_le_bytes();
        }
    }
}

/// Whether a socket has only not been ready for as long as a thread waits.
fn is_patience(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// Sends one way until it is told to stop. What was begun is sent to its end.
fn write(end: &str, mut stream: TcpStream, way: usize, shared: &Shared) {
    let mut noise = Noise::new(way);
    let mut chunk = [0; CHUNK];
    while !shared.is_told(0) {
        noise.fill(&mut chunk);
        let mut rest = &chunk[..];
        while !rest.is_empty() && !shared.is_told(1) {
            match stream.write(rest) {
                Ok(length) => rest = &rest[length..],
                Err(error) if is_patience(error.kind()) => {}
                Err(error) => {
                    return shared.fail(format!("the {end} sends: {error}"), Some(error.kind()));
                }
            }
        }
        thread::sleep(INTERVAL);
    }
    // Where the connection is gone, the reader has said so.
    let _ = stream.shutdown(Shutdown::Write);
}

/// Takes in what comes one way until that ends.
fn read(end: &str, mut stream: TcpStream, way: usize, shared: &Shared) {
    let mut noise = Noise::new(way);
    let (mut expected, mut received) = ([0; CHUNK], [0; CHUNK]);
    let mut length = 0;
    while !shared.is_told(1) {
        match stream.read(&mut received[length..]) {
            Ok(0) if length == 0 && shared.is_told(0) => return,
            Ok(0) => return shared.fail(format!("the {end} gets an early end"), None),
            Ok(more) => length += more,
            Err(error) if is_patience(error.kind()) => continue,
            Err(error) => {
                return shared.fail(format!("the {end} receives: {error}"), Some(error.kind()));
            }
        }
        if length < CHUNK {
            continue;
        }
        noise.fill(&mut expected);
        if received != expected {
            let moved = shared.moved[way].load(Ordering::Relaxed);
            return shared.fail(format!("the {end} gets other bytes after {moved}"), None);
        }
        shared.moved[way].fetch_add(CHUNK as u64, Ordering::Relaxed);
        length = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ways_differ_and_nothing_repeats() {
        let mut chunks: Vec<_> = [OUT, BACK]
            .iter()
            .flat_map(|way| {
                let mut noise = Noise::new(*way);
                (0..100).map(move |_| {
                    let mut word = [0; 8];
                    noise.fill(&mut word);
                    word
                })
            })
            .collect();
        chunks.sort_unstable();
        chunks.dedup();
        assert_eq!(chunks.len(), 200);
    }

    #[test]
    fn a_transfer_is_whole_or_says_what_is_wrong() {
        let host = Namespace::new("host").unwrap();
        host.ip(&format!("address add {SERVER}/32 dev lo")).unwrap();
        let transfer = Transfer::start(&host, SERVER, &host);
        transfer.wait_until_moved();
        let moved = transfer.finish().unwrap();
        assert!(moved[OUT] > 0 && moved[BACK] > 0, "{moved:?}");

        let transfer = Transfer::start(&host, SERVER, &host);
        transfer.wait_until_moved();
        let peer = transfer.peer.to_string();
        host.output("ss", &["-K", "dst", &peer]).unwrap();
        transfer.wait_until_broken();
        transfer.finish().unwrap_err();
    }
}
