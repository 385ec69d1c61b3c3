use std::num::{NonZeroU8, NonZeroU32};
use std::time::{Duration, Instant};

use super::{Authentication, Control, Diagnostic, Malformed, Rejected, State};

/// The least interval that a system may ask to send at while its session is not up, in microseconds (RFC 5880
/// section 6.8.3).
const SLOW: u32 = 1_000_000;

/// The intervals that a system offers (RFC 5880 section 6.8.1): in whole microseconds, of which there are from
/// one to `u32::MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intervals {
    /// The least that it would like to send at (`bfd.DesiredMinTxInterval`).
    pub desired_min_tx: Duration,
    /// The least that it can receive at (`bfd.RequiredMinRxInterval`).
    pub required_min_rx: Duration,
}

/// What is configured of a session.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What is offered while the session is up.
    pub intervals: Intervals,
    /// How many packets the other system may miss (`bfd.DetectMult`).
    pub detect_mult: NonZeroU8,
    /// How packets are authenticated, if they are (`bfd.AuthType`).
    pub authentication: Option<Authentication>,
}

/// A session has changed its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// What it was.
    pub from: State,
    /// What it is.
    pub to: State,
    /// Why it was last brought down.
    pub diagnostic: Diagnostic,
}

/// Why a datagram changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ignored {
    /// It is no control packet.
    #[error("it is malformed: {0}")]
    Malformed(#[from] Malformed),
    /// It is of another session.
    #[error("it is for the session {0:#x}")]
    Discriminator(u32),
    /// It is not believed.
    #[error("it is not authentic: {0}")]
    Rejected(#[from] Rejected),
}

/// What is known of the other system (`bfd.Remote…`). Intervals are in microseconds.
#[derive(Clone, Copy, Debug)]
struct Remote {
    discriminator: u32,
    state: State,
    demand: bool,
    min_rx: u32,
    desired_min_tx: u32,
    detect_mult: u8,
}

impl Remote {
    /// Of one that is not heard (RFC 5880 section 6.8.1).
    const UNKNOWN: Self = Self {
        discriminator: 0,
        state: State::Down,
        demand: false,
        min_rx: 1,
        desired_min_tx: 0,
        detect_mult: 0,
    };
}

/// Intervals in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Offer {
    tx: u32,
    rx: u32,
}

/// Whether a Poll Sequence is under way (RFC 5880 section 6.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Poll {
    None,
    /// One is, and with `again` another is to follow, for the offer has changed since it began.
    Asking {
        again: bool,
    },
}

/// One end of a session in asynchronous mode, in the active role (RFC 5880 section 6). Time must not go back.
#[derive(Debug)]
pub struct Session {
    discriminator: NonZeroU32,
    settings: Settings,
    state: State,
    diagnostic: Diagnostic,
    /// What packets say.
    offered: Offer,
    /// What holds here meanwhile (section 6.8.3).
    effective: Offer,
    remote: Remote,
    poll: Poll,
    /// Whether a poll is to be answered.
    answers: bool,
    /// When the last packet came that was believed.
    heard: Option<Instant>,
    /// When the last packet was sent by the timer, and when the next one is.
    sent: Option<Instant>,
    due: Instant,
    /// `bfd.XmitAuthSeq`, `bfd.RcvAuthSeq`, and when that is forgotten.
    xmit_sequence: u32,
    received_sequence: Option<u32>,
    forgotten: Option<Instant>,
    random: u64,
}

impl Session {
    /// A session that is down, which begins to send at once. The discriminator is not that of any other session
    /// of this system. The seed is of the jitter, and of the first sequence number.
    pub fn new(settings: Settings, discriminator: NonZeroU32, seed: u64, now: Instant) -> Self {
        let offered = Offer::of(&settings.intervals, State::Down);
        let mut session = Self {
            discriminator,
            settings,
            state: State::Down,
            diagnostic: Diagnostic::NONE,
            offered,
            effective: offered,
            remote: Remote::UNKNOWN,
            poll: Poll::None,
            answers: false,
            heard: None,
            sent: None,
            due: now,
            xmit_sequence: 0,
            received_sequence: None,
            forgotten: None,
            random: seed,
        };
        session.xmit_sequence = session.random() as u32;
        session
    }

    /// Its state.
    pub fn state(&self) -> State {
        self.state
    }

    /// The state that the other system was in when it was last heard.
    pub fn remote_state(&self) -> State {
        self.remote.state
    }

    /// The other system's name for the session, or zero.
    pub fn remote_discriminator(&self) -> u32 {
        self.remote.discriminator
    }

    /// After how long a silence the other system counts as gone (RFC 5880 section 6.8.4). Zero where it was
    /// not heard.
    pub fn detection_time(&self) -> Duration {
        let interval = self.effective.rx.max(self.remote.desired_min_tx);
        u32::from(self.remote.detect_mult) * micros(interval)
    }

    /// The interval between packets, before jitter (RFC 5880 section 6.8.7).
    pub fn transmit_interval(&self) -> Duration {
        micros(self.effective.tx.max(self.remote.min_rx))
    }

    /// When [`Self::transmit`] or [`Self::expire`] next has something to do, if nothing happens before.
    pub fn deadline(&self) -> Option<Instant> {
        // A poll is to be answered since it was heard.
        let answer = self.heard.filter(|_| self.answers);
        let periodic = self.is_periodic().then_some(self.due);
        [answer, periodic, self.expiry(), self.forgotten].into_iter().flatten().min()
    }

    /// The payload of a datagram has come for this session (RFC 5880 section 6.8.6).
    ///
    /// # Errors
    /// Where it changes nothing.
    pub fn receive(&mut self, datagram: &[u8], now: Instant) -> Result<Option<Change>, Ignored> {
        let (control, authenticated) = Control::parse(datagram)?;
        let named = control.your_discriminator;
        if named != 0 && named != self.discriminator.get() {
            return Err(Ignored::Discriminator(named));
        }
        self.authenticate(authenticated, control.detect_mult)?;
        self.remote = Remote {
            discriminator: control.my_discriminator,
            state: control.state,
            demand: control.demand,
            min_rx: control.required_min_rx,
            desired_min_tx: control.desired_min_tx,
            detect_mult: control.detect_mult,
        };
        self.heard = Some(now);
        if control.is_final {
            self.end_poll(now);
        }
        if self.state == State::AdminDown {
            return Ok(None);
        }
        let (next, why) = self.state.after(control.state);
        let change = self.enter(next, why, now);
        self.answers |= control.poll;
        self.reschedule();
        Ok(change)
    }

    fn authenticate(&mut self, packet: Option<&[u8]>, detect_mult: u8) -> Result<(), Rejected> {
        match (&self.settings.authentication, packet) {
            (None, None) => Ok(()),
            (None, Some(_)) => Err(Rejected::Unexpected),
            (Some(_), None) => Err(Rejected::Missing),
            (Some(authentication), Some(packet)) => {
                let last = self.received_sequence;
                self.received_sequence = authentication.verify(packet, last, detect_mult)?;
                self.forgotten = None;
                Ok(())
            }
        }
    }

    /// Time has passed: the session goes down if it was silent for the detection time.
    pub fn expire(&mut self, now: Instant) -> Option<Change> {
        if self.forgotten.is_some_and(|forgotten| forgotten <= now) {
            (self.received_sequence, self.forgotten) = (None, None);
        }
        let expiry = self.expiry().filter(|expiry| *expiry <= now)?;
        // Section 6.8.1: at least twice the detection time after the last packet.
        self.forgotten = self.received_sequence.map(|_| expiry + self.detection_time());
        self.heard = None;
        self.remote = Remote::UNKNOWN;
        self.answers = false;
        match self.state {
            State::Init | State::Up => {
                self.enter(State::Down, Some(Diagnostic::DETECTION_TIME_EXPIRED), now)
            }
            State::AdminDown | State::Down => None,
        }
    }

    fn expiry(&self) -> Option<Instant> {
        self.heard.map(|heard| heard + self.detection_time())
    }

    /// The next packet that is to be sent now, if there is one. To be asked until there is none.
    pub fn transmit(&mut self, now: Instant) -> Option<Vec<u8>> {
        if std::mem::take(&mut self.answers) {
            // Whatever the timer says (section 6.8.7).
            return Some(self.packet(true));
        }
        if !self.is_periodic() || now < self.due {
            return None;
        }
        self.sent = Some(now);
        self.due = now + self.jittered_interval();
        Some(self.packet(false))
    }

    /// Holds the session down, or lets it come up (RFC 5880 section 6.8.16). While it is held, the other
    /// system is told so.
    pub fn hold_down(&mut self, held: bool, now: Instant) -> Option<Change> {
        match (held, self.state) {
            (true, _) => self.enter(State::AdminDown, Some(Diagnostic::ADMINISTRATIVELY_DOWN), now),
            (false, State::AdminDown) => self.enter(State::Down, None, now),
            (false, _) => None,
        }
    }

    /// Offers other intervals from now on. While the session is up, they are agreed upon first.
    pub fn set_intervals(&mut self, intervals: Intervals, now: Instant) {
        self.settings.intervals = intervals;
        self.offer(now);
    }

    /// Goes over to a state, if it is another.
    fn enter(&mut self, to: State, why: Option<Diagnostic>, now: Instant) -> Option<Change> {
        let from = std::mem::replace(&mut self.state, to);
        if from == to {
            return None;
        }
        self.diagnostic = why.unwrap_or(self.diagnostic);
        if to != State::Up {
            self.poll = Poll::None;
        }
        self.offer(now);
        // The other system is to know soon (section 6.8.7).
        self.due = now;
        Some(Change { from, to, diagnostic: self.diagnostic })
    }

    /// Says what intervals there are now, if they are others (RFC 5880 section 6.8.3).
    fn offer(&mut self, now: Instant) {
        let offered = Offer::of(&self.settings.intervals, self.state);
        if self.state != State::Up {
            (self.offered, self.effective) = (offered, offered);
        } else if offered != self.offered {
            self.offered = offered;
            // What makes packets rarer than the other system expects, or this one expect more of them than
            // that sends, waits until it has answered.
            self.effective.tx = self.effective.tx.min(offered.tx);
            self.effective.rx = self.effective.rx.max(offered.rx);
            self.poll = Poll::Asking { again: self.poll != Poll::None };
            self.due = now;
        }
        self.reschedule();
    }

    /// A packet with the final bit has come.
    fn end_poll(&mut self, now: Instant) {
        match self.poll {
            Poll::None => {}
            Poll::Asking { again: false } => {
                self.poll = Poll::None;
                self.effective = self.offered;
            }
            // It may be the answer to the offer before.
            Poll::Asking { again: true } => {
                self.poll = Poll::Asking { again: false };
                self.due = now;
            }
        }
    }

    /// Whether packets are sent by the timer (RFC 5880 section 6.8.7).
    fn is_periodic(&self) -> bool {
        let is_up = self.state == State::Up && self.remote.state == State::Up;
        let demanded = self.remote.demand && is_up && self.poll == Poll::None;
        self.remote.min_rx != 0 && !demanded
    }

    /// Sends the next packet sooner where the interval has become shorter.
    fn reschedule(&mut self) {
        if let Some(sent) = self.sent {
            self.due = self.due.min(sent + self.transmit_interval());
        }
    }

    /// The interval, less up to a quarter at random; of a session that may miss no packet, at least a tenth
    /// less (RFC 5880 section 6.8.7).
    fn jittered_interval(&mut self) -> Duration {
        let interval = self.effective.tx.max(self.remote.min_rx);
        let (least, most) = if self.settings.detect_mult.get() == 1 { (10, 25) } else { (0, 25) };
        let [least, most] = [least, most].map(|percent| u64::from(interval) * percent / 100);
        let less = least + self.random() % (most - least + 1);
        micros(interval) - Duration::from_micros(less)
    }

    /// A number at random: SplitMix64.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ self.random >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn packet(&mut self, is_final: bool) -> Vec<u8> {
        let control = Control {
            diagnostic: self.diagnostic,
            state: self.state,
            poll: !is_final && self.poll != Poll::None,
            is_final,
            demand: false,
            detect_mult: self.settings.detect_mult.get(),
            my_discriminator: self.discriminator.get(),
            your_discriminator: self.remote.discriminator,
            desired_min_tx: self.offered.tx,
            required_min_rx: self.offered.rx,
            required_min_echo_rx: 0,
        };
        let Some(authentication) = &self.settings.authentication else {
            return control.encode(0);
        };
        let mut packet = control.encode(authentication.section_len());
        authentication.seal(&mut packet, self.xmit_sequence);
        self.xmit_sequence = self.xmit_sequence.wrapping_add(1);
        packet
    }
}

impl Offer {
    /// What is offered in a state.
    fn of(intervals: &Intervals, state: State) -> Self {
        let micros =
            |interval: Duration| u32::try_from(interval.as_micros()).unwrap_or(u32::MAX).max(1);
        let (tx, rx) = (micros(intervals.desired_min_tx), micros(intervals.required_min_rx));
        Self { tx: if state == State::Up { tx } else { tx.max(SLOW) }, rx }
    }
}

fn micros(interval: u32) -> Duration {
    Duration::from_micros(interval.into())
}

#[cfg(test)]
mod tests;
