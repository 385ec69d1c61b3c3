//! The provider's end of a BFD session.

use std::{
    net::UdpSocket,
    num::{NonZeroU8, NonZeroU32},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::Result;
use pointsman::bfd::{Intervals, SINGLE_HOP_PORT, Session, Settings, TTL};
use pointsman_lab::{Uplink, claim_realtime};

/// What is agreed upon: ten milliseconds, three times.
pub(crate) const INTERVAL: Duration = Duration::from_millis(10);
pub(crate) const MULTIPLIER: u8 = 3;

/// The longest wait, so that the end is noticed.
const PATIENCE: Duration = Duration::from_millis(50);

/// A session with the gateway, until it is dropped.
pub(crate) struct Peer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Peer {
    pub(crate) fn start(uplink: &Uplink, discriminator: NonZeroU32) -> Result<Self> {
        let (own, gateway) = (uplink.isp_address, uplink.gateway_address);
        let receiver = uplink.isp.run(|| UdpSocket::bind((own, SINGLE_HOP_PORT)))?;
        let sender = uplink.isp.run(|| UdpSocket::bind((own, 49_152)))?;
        sender.set_ttl(TTL.into())?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let settings = Settings {
            intervals: Intervals { desired_min_tx: INTERVAL, required_min_rx: INTERVAL },
            detect_mult: NonZeroU8::new(MULTIPLIER).unwrap_or(NonZeroU8::MIN),
            authentication: None,
        };
        let seed = u64::from(discriminator.get());
        let thread = thread::Builder::new().name("peer".into()).spawn(move || {
            let _ = claim_realtime();
            let mut session = Session::new(settings, discriminator, seed, Instant::now());
            let mut buffer = [0; 256];
            while !stopped.load(Ordering::Relaxed) {
                let now = Instant::now();
                session.expire(now);
                while let Some(packet) = session.transmit(now) {
                    // What cannot be sent is lost.
                    let _ = sender.send_to(&packet, (gateway, SINGLE_HOP_PORT));
                }
                let due =
                    session.deadline().map_or(PATIENCE, |due| due.saturating_duration_since(now));
                let wait = due.clamp(Duration::from_micros(1), PATIENCE);
                if receiver.set_read_timeout(Some(wait)).is_ok()
                    && let Ok((length, _)) = receiver.recv_from(&mut buffer)
                {
                    let now = Instant::now();
                    session.expire(now);
                    let _ = session.receive(&buffer[..length], now);
                }
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
