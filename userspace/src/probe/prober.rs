use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep_until};

use super::socket::EchoSocket;
use super::{EchoSession, Outcome, ProbeEvent, ProbeId};

/// Whom to probe, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeConfig {
    /// Each is probed every interval.
    pub targets: Vec<Ipv4Addr>,
    /// From one probe of a target to the next; at least a millisecond, and taken as that below.
    pub interval: Duration,
    /// How long a target may take to answer; the wait may be longer than the interval.
    pub timeout: Duration,
}

/// What the frames of a probe need to know of the uplink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// The uplink's own address, which the answers come back to.
    pub source: Ipv4Addr,
    /// The next hop's MAC.
    pub mac: [u8; 6],
}

/// Probes targets through one interface.
pub struct Prober {
    socket: EchoSocket,
    identifier: u16,
    token: [u8; 8],
}

impl Prober {
    /// The identifiers that probes use. Translation hands out those from 1024 on, so an answer to
    /// a probe is never taken for one to a host of the LAN.
    const IDENTIFIERS: u64 = 1023;

    /// Opens a socket on this interface, in the calling thread's network namespace. Needs
    /// `CAP_NET_RAW`, and runs in a Tokio runtime with I/O and time. An interface that is made anew
    /// needs a new prober.
    ///
    /// # Errors
    /// If there is no such interface, or permission lacks.
    pub fn new(interface: u32) -> io::Result<Self> {
        // The hasher's keys are drawn at random, and are other ones each time.
        let random = || RandomState::new().hash_one(interface);
        let identifier = (random() % Self::IDENTIFIERS + 1) as u16;
        let socket = EchoSocket::open(interface, identifier)?;
        Ok(Self { socket, identifier, token: random().to_ne_bytes() })
    }

    /// Probes every target every interval, over the path of the moment, until the receiver of the
    /// events is dropped. Without a path each probe fails.
    ///
    /// # Errors
    /// If the socket is of no use any more.
    pub async fn run(
        self,
        config: ProbeConfig,
        path: watch::Receiver<Option<Path>>,
        events: mpsc::Sender<ProbeEvent>,
    ) -> io::Result<()> {
        let ProbeConfig { targets, interval: period, timeout } = config;
        let period = period.max(Duration::from_millis(1));
        let session = EchoSession::new(self.identifier, self.token, timeout);
        let mut task = Task { socket: self.socket, session, path, events };
        let mut ticks = interval(period);
        // Probes that a stall has prevented are not made up for.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Without a request under way the next loss is as far off as the next tick.
            let deadline = task.session.next_deadline().unwrap_or_else(|| Instant::now() + period);
            let tick = tokio::select! {
                biased;
                readable = task.socket.readable() => readable.map(|()| false)?,
                _ = ticks.tick() => true,
                () = sleep_until(deadline.into()) => false,
                () = task.events.closed() => return Ok(()),
            };
            task.judge().await?;
            if tick {
                task.probe(&targets).await;
            }
        }
    }
}

/// A prober that runs.
struct Task {
    socket: EchoSocket,
    session: EchoSession,
    path: watch::Receiver<Option<Path>>,
    events: mpsc::Sender<ProbeEvent>,
}

impl Task {
    /// Reads all that has arrived, and only then looks for what has not.
    async fn judge(&mut self) -> io::Result<()> {
        let now = Instant::now();
        // An answer is far shorter; what is cut off here would not be one.
        let mut buffer = [0; 256];
        while let Some((length, arrival)) = self.socket.try_receive(&mut buffer)? {
            if let Some(event) = self.session.received(&buffer[..length], arrival) {
                self.tell(event).await;
            }
        }
        for event in self.session.poll(now) {
            self.tell(event).await;
        }
        Ok(())
    }

    /// Sends one probe to each target.
    async fn probe(&mut self, targets: &[Ipv4Addr]) {
        let path = *self.path.borrow_and_update();
        for &target in targets {
            let now = Instant::now();
            let failure = match path {
                Some(Path { source, mac }) => {
                    let packet = self.session.request(source, target, now);
                    let sent = self.socket.send(&packet, mac);
                    sent.err().and_then(|error| self.session.unsent(error.to_string()))
                }
                None => {
                    let outcome = Outcome::Failed("the next hop's MAC is not known".into());
                    Some(ProbeEvent { probe: ProbeId::icmp(target), sent_at: now, outcome })
                }
            };
            if let Some(event) = failure {
                self.tell(event).await;
            }
        }
    }

    /// Hands an event over. The loop notices when nobody wants it any more.
    async fn tell(&self, event: ProbeEvent) {
        let _ = self.events.send(event).await;
    }
}
