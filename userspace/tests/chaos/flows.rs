//! UDP at a constant rate, over one flow or many, of which every datagram is accounted for.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};
use pointsman_lab::{LabError, Namespace, wait_until};

use crate::arrivals::Arrivals;
use crate::echo::{Account, BUFFER, Datagram, ECHO, Echo, lock};
use crate::support::BOUND;

/// For how long what is still under way is waited for.
const DRAIN: Duration = Duration::from_secs(1);

/// How late the sender may be and still make up for it: more at once than a queue has room for would be
/// lost to no fault of the gateway.
const ARREARS: Duration = Duration::from_millis(20);

/// How often answers are looked for where nothing is sent meanwhile, or by others than the sender.
const PAUSE: Duration = Duration::from_millis(5);

/// What the client knows of a flow.
#[derive(Clone, Debug, Default)]
struct Asked {
    /// How many datagrams were sent.
    sent: u64,
    /// What has come back, by the server's numbers.
    back: Arrivals,
    /// Up to which of the client's numbers there was an answer.
    answered: Option<u64>,
}

/// Flows of UDP, each from a socket of its own, to a server that sends everything back.
pub(crate) struct Flows {
    asked: Arc<Mutex<Vec<Asked>>>,
    heard: Account,
    /// The server's number of the first.
    first: usize,
    /// Whether to send no more, and whether to end.
    stop: Arc<[AtomicBool; 2]>,
    thread: Option<JoinHandle<()>>,
}

impl Flows {
    /// Starts to send, from a socket at each of these addresses in turn, at this rate over all of them.
    pub(crate) fn start(
        client: &Namespace,
        echo: &Echo,
        addresses: impl IntoIterator<Item = Ipv4Addr>,
        per_second: u32,
    ) -> Self {
        let addresses: Vec<_> = addresses.into_iter().collect();
        let sockets: Vec<_> = client.run(|| addresses.into_iter().map(open).collect());
        let (heard, first) = echo.enrol(sockets.len());
        let asked = Arc::new(Mutex::new(vec![Asked::default(); sockets.len()]));
        let stop = Arc::<[AtomicBool; 2]>::default();
        let sender = Sender {
            sockets,
            first,
            asked: Arc::clone(&asked),
            stop: Arc::clone(&stop),
            interval: Duration::from_secs(1) / per_second,
        };
        let thread = client.spawn_thread("flows", move || sender.run());
        Self { asked, heard, first, stop, thread: Some(thread) }
    }

    /// Waits until every flow has had an answer to something that was sent after this was called.
    pub(crate) fn wait_until_answered(&self) {
        let marks: Vec<_> = lock(&self.asked).iter().map(|asked| asked.sent).collect();
        let mut silent = Vec::new();
        let waited = wait_until("every flow has an answer", BOUND, || {
            thread::sleep(PAUSE);
            let asked = lock(&self.asked);
            let flows = asked.iter().zip(&marks).enumerate();
            silent = flows
                .filter(|(_, (asked, mark))| asked.answered.is_none_or(|number| number < **mark))
                .map(|(flow, _)| flow)
                .collect();
            Ok::<_, LabError>(silent.is_empty())
        });
        if let Err(error) = waited {
            panic!("{error}; there is none for {silent:?} of {} flows", marks.len());
        }
    }

    /// Sends no more, waits for what is under way, and says what has become of it all.
    pub(crate) fn finish(mut self) -> Passages {
        self.stop[0].store(true, Ordering::Relaxed);
        // What is lost is waited for in vain.
        let _ = wait_until("all has come", DRAIN, || Ok(self.all_has_come()));
        self.stop[1].store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        self.passages()
    }

    fn all_has_come(&self) -> bool {
        let asked = lock(&self.asked);
        let heard = lock(&self.heard);
        asked.iter().zip(&heard[self.first..]).all(|(asked, heard)| {
            heard.arrivals.lost(asked.sent) == 0 && asked.back.lost(heard.answers) == 0
        })
    }

    /// How it is now. While the client's side is locked, nothing is sent, and nothing that was answered is
    /// taken in before the server has counted it.
    fn passages(&self) -> Passages {
        let asked = lock(&self.asked);
        let heard = lock(&self.heard);
        let flows = asked.iter().zip(&heard[self.first..]).map(|(asked, heard)| Passage {
            sent: asked.sent,
            out: heard.arrivals.clone(),
            answers: heard.answers,
            back: asked.back.clone(),
            peers: heard.peers.clone(),
        });
        Passages(flows.collect())
    }
}

impl Drop for Flows {
    fn drop(&mut self) {
        for stop in &*self.stop {
            stop.store(true, Ordering::Relaxed);
        }
    }
}

/// A socket of the client's, in the calling thread's namespace.
fn open(address: Ipv4Addr) -> UdpSocket {
    let socket = UdpSocket::bind((address, 0)).unwrap();
    setsockopt(&socket, RcvBufForce, &BUFFER).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

/// What the thread has.
struct Sender {
    sockets: Vec<UdpSocket>,
    first: usize,
    asked: Arc<Mutex<Vec<Asked>>>,
    stop: Arc<[AtomicBool; 2]>,
    interval: Duration,
}

impl Sender {
    /// Sends at its rate until it is told not to, and takes in answers until it is told to end.
    fn run(self) {
        let mut due = Instant::now();
        let mut turn = (0..self.sockets.len()).cycle();
        while !self.stop[0].load(Ordering::Relaxed) {
            let now = Instant::now();
            thread::sleep(due.saturating_duration_since(now));
            due = if now > due + ARREARS { now } else { due } + self.interval;
            let Some(flow) = turn.next() else { return };
            self.receive(flow);
            self.send(flow);
        }
        while !self.stop[1].load(Ordering::Relaxed) {
            (0..self.sockets.len()).for_each(|flow| self.receive(flow));
            thread::sleep(PAUSE);
        }
        (0..self.sockets.len()).for_each(|flow| self.receive(flow));
    }

    fn send(&self, flow: usize) {
        let asked = &mut lock(&self.asked)[flow];
        let id = (self.first + flow) as u64;
        let datagram = Datagram { flow: id, number: asked.sent, answer: 0 };
        // Without a carrier there is nothing to send by.
        if self.sockets[flow].send_to(&datagram.to_bytes(), ECHO).is_ok() {
            asked.sent += 1;
        }
    }

    fn receive(&self, flow: usize) {
        let mut buffer = [0; 2 * Datagram::LENGTH];
        while let Ok((length, from)) = self.sockets[flow].recv_from(&mut buffer) {
            let datagram = Datagram::from_bytes(&buffer[..length]);
            let id = (self.first + flow) as u64;
            assert_eq!((from, datagram.flow), (ECHO.into(), id), "a datagram of another flow");
            let asked = &mut lock(&self.asked)[flow];
            asked.back.take(datagram.answer, Instant::now());
            asked.answered = asked.answered.max(Some(datagram.number));
        }
    }
}

/// What has become of a flow.
#[derive(Clone, Debug)]
pub(crate) struct Passage {
    /// How many datagrams the client has sent.
    pub(crate) sent: u64,
    /// What has come to the server.
    pub(crate) out: Arrivals,
    /// How many datagrams the server has sent.
    pub(crate) answers: u64,
    /// What has come back.
    pub(crate) back: Arrivals,
    /// The addresses that the server has seen, the first one first.
    pub(crate) peers: Vec<SocketAddrV4>,
}

impl Passage {
    /// Whether everything has come, once and in order, from and to the same public address.
    pub(crate) fn is_undisturbed(&self) -> bool {
        let is_clean = |arrivals: &Arrivals| (arrivals.duplicates, arrivals.reordered) == (0, 0);
        self.lost() == [0, 0]
            && is_clean(&self.out)
            && is_clean(&self.back)
            && self.peers.len() == 1
    }

    /// How many datagrams were lost on the way there, and on the way back.
    pub(crate) fn lost(&self) -> [u64; 2] {
        [self.out.lost(self.sent), self.back.lost(self.answers)]
    }

    /// Which.
    pub(crate) fn missing(&self) -> [Vec<Range<u64>>; 2] {
        [self.out.missing(self.sent), self.back.missing(self.answers)]
    }
}

/// What has become of all flows.
#[derive(Clone)]
pub(crate) struct Passages(pub(crate) Vec<Passage>);

impl Passages {
    /// A sum over all flows.
    pub(crate) fn sum(&self, of: impl Fn(&Passage) -> u64) -> u64 {
        self.0.iter().map(of).sum()
    }

    /// Those that began at this public address, and the others.
    pub(crate) fn split_by(self, address: Ipv4Addr) -> [Self; 2] {
        let begins = |flow: &Passage| flow.peers.first().is_some_and(|peer| *peer.ip() == address);
        let (with, without) = self.0.into_iter().partition(begins);
        [Self(with), Self(without)]
    }

    /// Checks that there are flows, and that all of them are undisturbed.
    #[track_caller]
    pub(crate) fn assert_undisturbed(&self) {
        assert!(!self.0.is_empty(), "there are no flows");
        assert!(self.0.iter().all(Passage::is_undisturbed), "{self:?}");
    }
}

/// All that is remarkable.
impl fmt::Debug for Passages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} flows", self.0.len())?;
        for flow in self.0.iter().filter(|flow| !flow.is_undisturbed()) {
            let Passage { sent, out, answers, back, peers } = flow;
            let [missing_out, missing_back] = flow.missing();
            writeln!(
                f,
                "seen as {peers:?}: \
                 {sent} sent, missing {missing_out:?}, {} twice, {} late, silent for {:?}; \
                 {answers} sent back, missing {missing_back:?}, {} twice, {} late, silent for {:?}",
                out.duplicates,
                out.reordered,
                out.longest_gap,
                back.duplicates,
                back.reordered,
                back.longest_gap
            )?;
        }
        Ok(())
    }
}
