//! A server that sends numbered datagrams back, and keeps account of them.

use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};
use pointsman_lab::Namespace;
use pointsman_lab::plan::SERVER;

use crate::arrivals::Arrivals;

/// Where it listens.
pub(crate) const ECHO: SocketAddrV4 = SocketAddrV4::new(SERVER, 7100);

/// Room for the datagrams of seconds in which a thread does not run, in bytes.
pub(crate) const BUFFER: usize = 16 << 20;

/// How often the thread looks whether it is to end.
const PATIENCE: Duration = Duration::from_millis(20);

/// One datagram, as both sides write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Datagram {
    /// Whose flow it is of.
    pub(crate) flow: u64,
    /// Its number among what the client has sent on the flow.
    pub(crate) number: u64,
    /// Its number among what the server has sent; zero on the way there.
    pub(crate) answer: u64,
}

impl Datagram {
    /// How long it is, in bytes.
    pub(crate) const LENGTH: usize = 24;

    pub(crate) fn to_bytes(self) -> [u8; Self::LENGTH] {
        let words = [self.flow, self.number, self.answer].map(u64::to_le_bytes);
        let mut bytes = [0; Self::LENGTH];
        bytes.as_chunks_mut::<8>().0.copy_from_slice(&words);
        bytes
    }

    /// # Panics
    ///
    /// Where it is none.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<8>();
        let [flow, number, answer] = words else { panic!("a datagram of {} bytes", bytes.len()) };
        assert!(rest.is_empty(), "a datagram of {} bytes", bytes.len());
        let [flow, number, answer] = [flow, number, answer].map(|word| u64::from_le_bytes(*word));
        Self { flow, number, answer }
    }
}

/// What the server knows of a flow.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    /// What has come.
    pub(crate) arrivals: Arrivals,
    /// From whom, in the order in which they were first seen.
    pub(crate) peers: Vec<SocketAddrV4>,
    /// How many datagrams were sent back.
    pub(crate) answers: u64,
}

/// What the server knows of all flows.
pub(crate) type Account = Arc<Mutex<Vec<Heard>>>;

/// The server: a thread, which ends when this is dropped.
pub(crate) struct Echo {
    account: Account,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    /// Listens at [`ECHO`].
    pub(crate) fn start(server: &Namespace) -> Self {
        let socket = server.run(|| UdpSocket::bind(ECHO)).unwrap();
        setsockopt(&socket, RcvBufForce, &BUFFER).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let account = Account::default();
        let stop = Arc::new(AtomicBool::new(false));
        let (heard, stopped) = (Arc::clone(&account), Arc::clone(&stop));
        let thread = server.spawn_thread("echo", move || {
            while !stopped.load(Ordering::Relaxed) {
                answer(&socket, &heard);
            }
        });
        Self { account, stop, thread: Some(thread) }
    }

    /// The account, and the number of the first of so many new flows in it.
    pub(crate) fn enrol(&self, flows: usize) -> (Account, usize) {
        let mut heard = lock(&self.account);
        let first = heard.len();
        heard.resize(first + flows, Heard::default());
        (Arc::clone(&self.account), first)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Why it has ended before, it has said itself.
            let _ = thread.join();
        }
    }
}

/// Answers one datagram, if one comes.
fn answer(socket: &UdpSocket, heard: &Account) {
    let mut buffer = [0; 2 * Datagram::LENGTH];
    let Ok((length, SocketAddr::V4(peer))) = socket.recv_from(&mut buffer) else { return };
    let mut datagram = Datagram::from_bytes(&buffer[..length]);
    let mut heard = lock(heard);
    let flow = &mut heard[datagram.flow as usize];
    flow.arrivals.take(datagram.number, Instant::now());
    if !flow.peers.contains(&peer) {
        flow.peers.push(peer);
    }
    datagram.answer = flow.answers;
    // There may be no way back at present.
    if socket.send_to(&datagram.to_bytes(), peer).is_ok() {
        flow.answers += 1;
    }
}

/// Where a thread has panicked meanwhile, the account is still in order.
pub(crate) fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
