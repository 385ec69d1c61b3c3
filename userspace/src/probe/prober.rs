use std::io;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use super::exchange::{ExchangeProber, Obstacle};
use super::frame::FrameProber;
use super::{Outcome, Path, Probe, ProbeEvent, ProbeId, ProbeKind};
use crate::netlink::{self, Lookup};

/// Probes through one interface, with a schedule of its own.
pub struct Prober {
    probe: Probe,
    work: Work,
}

enum Work {
    Frames(FrameProber),
    Exchanges(ExchangeProber),
}

impl Prober {
    /// Of this interface, in the calling thread's network namespace. Needs `CAP_NET_RAW`, and runs in a
    /// Tokio runtime with I/O and time. An interface that is made anew needs a new prober.
    ///
    /// # Errors
    /// If there is no such interface, or permission lacks.
    pub fn new(interface: u32, mut probe: Probe) -> io::Result<Self> {
        probe.interval = probe.interval.max(Duration::from_millis(1));
        let work = match FrameProber::new(interface, &probe)? {
            Some(frames) => Work::Frames(frames),
            None => Work::Exchanges(
                // Every kind of probe is asked by one of the two.
                ExchangeProber::new(interface, &probe)?.ok_or(io::ErrorKind::Unsupported)?,
            ),
        };
        Ok(Self { probe, work })
    }

    /// Probes every interval, over the path of the moment, until the receiver of the events is dropped.
    /// As long as the path lacks what the probe needs, it fails each time.
    ///
    /// # Errors
    /// If a socket is of no use any more.
    pub async fn run(
        self,
        path: watch::Receiver<Path>,
        events: mpsc::Sender<ProbeEvent>,
    ) -> io::Result<()> {
        let listener = Listener { id: self.probe.id(), events };
        match self.work {
            Work::Frames(prober) => prober.run(&self.probe, path, &listener).await,
            Work::Exchanges(prober) => prober.run(&self.probe, path, &listener).await,
        }
    }
}

/// Who hears of a probe.
pub(super) struct Listener {
    id: ProbeId,
    events: mpsc::Sender<ProbeEvent>,
}

impl Listener {
    /// Tells when the probe was sent, whether it was an extra one, and what became of it. The prober notices when
    /// nobody wants to know any more.
    pub(super) async fn tell(&self, (sent_at, outcome): (Instant, Outcome), is_extra: bool) {
        let probe = self.id.clone();
        let _ = self.events.send(ProbeEvent { probe, sent_at, is_extra, outcome }).await;
    }

    /// Waits until nobody wants to know any more.
    pub(super) async fn gone(&self) {
        self.events.closed().await;
    }
}

/// What keeps a probe of this kind from an answer over this path by an interface, as far as can be told
/// before it is sent. Opens a socket in the calling thread's network namespace for a moment, and needs
/// no privilege.
///
/// # Errors
/// If the kernel does not tell.
pub fn obstacle(
    (index, name): (NonZeroU32, &str),
    path: &Path,
    kind: &ProbeKind,
) -> Result<Option<String>, netlink::Error> {
    let Some(target) = kind.address() else { return Ok(None) };
    let found = if let ProbeKind::Icmp(target) = kind {
        path.source_for(*target).err().map(|missing| missing.to_string())
    } else {
        let checked = Obstacle::check(&mut Lookup::new()?, (index, name), path, target);
        checked.err().map(|obstacle| obstacle.to_string())
    };
    Ok(found)
}
