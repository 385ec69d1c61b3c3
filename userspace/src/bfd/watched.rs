//! What the data plane is told of a session, and tells of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use pointsman_ebpf::abi::{Monitor, NO_DEADLINE, Sequence, SharedU64, Watch};

use super::deadline::Deadline;
use super::packet::MANDATORY_LEN;
use super::{Authentication, Session, State};
use crate::dataplane::Liveness;

/// The bits of poll and final in the second byte of a packet (RFC 5880 section 4.1).
const STATE: usize = 1;
const POLL_AND_FINAL: u8 = 0x30;

/// How much of an authentication section is compared, in bytes.
const COMPARED: usize = 24;

/// A session's part of the memory that is shared with the data plane. With this value, the data plane stops
/// listening, and the uplink has no deadline any more.
pub(super) struct Watched {
    liveness: Arc<Liveness>,
    uplink: u8,
    deadline: Deadline,
    port: u16,
    least_ttl: u8,
}

impl Drop for Watched {
    fn drop(&mut self) {
        // The deadline goes after this only.
        self.monitor().watch.release(0);
    }
}

impl Watched {
    /// Of an uplink that nobody else has.
    pub(super) fn new(liveness: Arc<Liveness>, uplink: u8, port: u16, least_ttl: u8) -> Self {
        liveness.monitors()[usize::from(uplink)].watch.release(0);
        let deadline = Deadline::new(Arc::clone(&liveness), uplink);
        Self { liveness, uplink, deadline, port, least_ttl }
    }

    fn monitor(&self) -> &Monitor<SharedU64> {
        &self.liveness.monitors()[usize::from(self.uplink)]
    }

    /// The session has believed a packet at `now`, and is in this state by it.
    pub(super) fn believed(
        &self,
        session: &Session,
        authentication: Option<&Authentication>,
        packet: &[u8],
        now: Instant,
    ) {
        if session.state() != State::Up || session.remote_state() != State::Up {
            return;
        }
        let monitor = self.monitor();
        let (control, section) = packet.split_at(MANDATORY_LEN.min(packet.len()));
        let mut control: [u8; MANDATORY_LEN] = control.try_into().unwrap_or_default();
        control[STATE] &= !POLL_AND_FINAL;
        let shape = authentication.map_or(Shape::NONE, Shape::of);
        let mut compared = [0; COMPARED];
        let length = section.len().min(shape.fixed);
        compared[..length].copy_from_slice(&section[..length]);
        let mut mask = [0; COMPARED];
        mask[..length].fill(0xff);
        let watch = Watch::new(self.port, self.least_ttl, section.len() as u8, shape.sequence);
        let detection = nanoseconds(session.detection_time());
        let (control, compared) = (words(&control), words(&compared));
        let is_same = monitor.watch.load() == watch.0
            && load(&monitor.control) == control
            && load(&monitor.section) == compared
            && monitor.detection.load() == detection;
        if let Some((sequence, ahead)) = session.received_sequence() {
            monitor.believed.store(u64::from(ahead) << 32 | u64::from(sequence));
            if !is_same || (monitor.taken.load() as u32).wrapping_sub(sequence) >> 31 == 1 {
                monitor.taken.store(sequence.into());
            }
        }
        monitor.silence.store(nanoseconds(session.silence()));
        if !is_same {
            monitor.watch.release(0);
            store(&monitor.control, control);
            store(&monitor.section, compared);
            store(&monitor.mask, words(&mask));
            monitor.detection.store(detection);
            monitor.watch.release(watch.0);
        }
        // A packet that has waited is older than what the data plane has heard meanwhile.
        let deadline = at(now).saturating_add(detection);
        let known = self.deadline.get();
        self.deadline.set(if is_same { deadline.max(known) } else { deadline });
    }

    /// The session is not up any more: nobody is to be heard who is in the middle of it. Whether the uplink is
    /// dead is for the other system to say: one whose operator holds the session down says nothing of it
    /// (RFC 5882 section 3.2).
    pub(super) fn down(&self, is_dead: bool) {
        self.monitor().watch.release(0);
        if is_dead { self.deadline.pass() } else { self.deadline.lift() }
    }

    /// When the data plane has last heard the other system, by packets that it can check as well as the daemon: of
    /// those with authentication, the daemon gets all.
    pub(super) fn heard(&self) -> Option<Instant> {
        let monitor = self.monitor();
        let (watch, heard) = (Watch(monitor.watch.load()), monitor.heard.load());
        let is_checked = watch != Watch::default() && watch.section_len() == 0;
        (is_checked && heard != 0).then(|| instant(heard))
    }

    /// A packet was sent.
    pub(super) fn sent(&self, now: Instant) {
        self.monitor().sent.store(at(now));
    }
}

/// What the data plane compares of an authentication section.
struct Shape {
    /// How many bytes of it stay as they are.
    fixed: usize,
    sequence: Sequence,
}

impl Shape {
    const NONE: Self = Self { fixed: 0, sequence: Sequence::None };

    fn of(authentication: &Authentication) -> Self {
        match authentication {
            it if !it.is_numbered() => Self { fixed: it.section_len(), sequence: Sequence::None },
            it if it.is_meticulous() => Self { fixed: 3, sequence: Sequence::Meticulous },
            _ => Self { fixed: 3, sequence: Sequence::Keyed },
        }
    }
}

fn words(bytes: &[u8; 24]) -> [u64; 3] {
    let mut words = [0; 3];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_ne_bytes(*bytes);
    }
    words
}

fn load(words: &[SharedU64; 3]) -> [u64; 3] {
    words.each_ref().map(SharedU64::load)
}

fn store(words: &[SharedU64; 3], values: [u64; 3]) {
    words.iter().zip(values).for_each(|(word, value)| word.store(value));
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(NO_DEADLINE)
}

/// The clock of the data plane, which is that of [`Instant`] too, but for where it starts.
fn clock() -> (Instant, u64) {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
    (Instant::now(), nanoseconds(now))
}

fn at(time: Instant) -> u64 {
    let (now, nanos) = clock();
    let ago = nanoseconds(now.saturating_duration_since(time));
    nanos.saturating_sub(ago) + nanoseconds(time.saturating_duration_since(now))
}

fn instant(time: u64) -> Instant {
    let (now, nanos) = clock();
    now.checked_sub(Duration::from_nanos(nanos.saturating_sub(time))).unwrap_or(now)
}
