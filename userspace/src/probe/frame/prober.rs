use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::time::Instant;

use tokio::sync::watch;
use tokio::time::sleep_until;

use super::session::{FrameSession, Judged, Question};
use super::socket::FrameSocket;
use crate::probe::pace::Pace;
use crate::probe::prober::Listener;
use crate::probe::{Outcome, Path, Probe};

/// Probes by frames through one interface.
pub(crate) struct FrameProber {
    socket: FrameSocket,
    session: FrameSession,
}

impl FrameProber {
    /// The identifiers that probes use. Translation hands out those from 1024 on, so an answer to
    /// a probe is never taken for one to a host of the LAN.
    const IDENTIFIERS: u64 = 1023;

    /// Opens a socket on this interface, in the calling thread's network namespace, for a probe that
    /// frames ask; else there is none.
    pub(crate) fn new(interface: u32, probe: &Probe) -> io::Result<Option<Self>> {
        let Some(question) = Question::of(&probe.kind) else {
            return Ok(None);
        };
        // The hasher's keys are drawn at random, and are other ones each time.
        let random = || RandomState::new().hash_one(interface);
        let identifier = (random() % Self::IDENTIFIERS + 1) as u16;
        let socket = FrameSocket::open(interface, question, identifier)?;
        let own = (identifier, random().to_ne_bytes());
        Ok(Some(Self { socket, session: FrameSession::new(question, own, probe.timeout) }))
    }

    /// Probes every interval, over the path of the moment, until nobody listens any more.
    pub(crate) async fn run(
        self,
        probe: &Probe,
        path: watch::Receiver<Path>,
        listener: &Listener,
    ) -> io::Result<()> {
        let Self { socket, session } = self;
        let mut task = Task { socket, session, path, listener, extras: BTreeSet::new() };
        let mut pace = Pace::new(probe);
        loop {
            // Without a request under way the next loss is as far off as the next tick.
            let deadline = task.session.next_deadline();
            let deadline = deadline.unwrap_or_else(|| Instant::now() + probe.interval);
            let tick = tokio::select! {
                biased;
                readable = task.socket.readable() => readable.map(|()| None)?,
                is_extra = pace.due(&mut task.path) => Some(is_extra),
                () = sleep_until(deadline.into()) => None,
                () = listener.gone() => return Ok(()),
            };
            task.judge().await?;
            if let Some(is_extra) = tick {
                task.probe(is_extra).await;
            }
        }
    }
}

/// A prober that runs.
struct Task<'l> {
    socket: FrameSocket,
    session: FrameSession,
    path: watch::Receiver<Path>,
    listener: &'l Listener,
    /// When extra ones were sent whose outcome is not known.
    extras: BTreeSet<Instant>,
}

impl Task<'_> {
    /// Reads all that has arrived, and only then looks for what has not.
    async fn judge(&mut self) -> io::Result<()> {
        let now = Instant::now();
        // An answer is far shorter; what is cut off here would not be one.
        let mut buffer = [0; 256];
        while let Some((length, arrival)) = self.socket.try_receive(&mut buffer)? {
            for judged in self.session.received(&buffer[..length], arrival) {
                self.tell(judged).await;
            }
        }
        for judged in self.session.poll(now) {
            self.tell(judged).await;
        }
        Ok(())
    }

    async fn tell(&mut self, judged: Judged) {
        let is_extra = self.extras.remove(&judged.0);
        self.listener.tell(judged, is_extra).await;
    }

    /// Sends one probe.
    async fn probe(&mut self, is_extra: bool) {
        let now = Instant::now();
        if is_extra {
            self.extras.insert(now);
        }
        let path = *self.path.borrow();
        if let Some(failure) = self.send(&path, now) {
            self.tell(failure).await;
        }
    }

    /// Sends one, or says why that cannot be.
    fn send(&mut self, path: &Path, now: Instant) -> Option<Judged> {
        match self.session.request(path, now) {
            Ok(frame) => {
                let error = self.socket.send(&frame).err()?;
                self.session.unsent(error.to_string())
            }
            Err(missing) => Some((now, Outcome::Failed(missing.to_string()))),
        }
    }
}
