use std::num::{NonZeroU8, NonZeroU32};
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::{Authentication, Control, Diagnostic, Malformed, Rejected, State, authentication};

/// The least interval that a system may ask to send at while its session is not up, in microseconds (RFC 5880
/// section 6.8.3).
const SLOW: u32 = 1_000_000;

/// The intervals that a system offers (RFC 5880 section 6.8.1). What is no whole number of microseconds, from
/// one to `u32::MAX`, is taken as the nearest below, or as the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intervals {
    /// The least that it would like to send at (`bfd.DesiredMinTxInterval`).
    pub desired_min_tx: Duration,
    /// The least that it can receive at (`bfd.RequiredMinRxInterval`).
    pub required_min_rx: Duration,
}

/// What shares of an interval are counted in.
const WHOLE: u64 = 1000;

/// What is configured of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What is offered while the session is up.
    pub intervals: Intervals,
    /// How many packets lost in a row tell the other system that this one is gone (`bfd.DetectMult`).
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
    /// It says that it is of this very system: somebody sends its own packets back. Or else the other system
    /// has chosen the same discriminator, which at random does not happen.
    #[error("it is one of this system's own, sent back")]
    Reflected,
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

/// Whether a Poll Sequence is under way (RFC 5880 section 6.5). There is one while the session is up only:
/// otherwise, what is offered holds at once, and there is nothing to agree upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Poll {
    None,
    /// One is to begin when no answer to the one before can be on its way any more.
    Waiting,
    /// One is. `sent` says whether a packet has asked, without which nothing is an answer; and `again` that
    /// another is to follow, for the offer has changed since it began.
    Asking {
        sent: bool,
        again: bool,
    },
}

impl Poll {
    const BEGIN: Self = Self::Asking { sent: false, again: false };
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
    /// Whether a Poll Sequence has ended, and no packet has come since that is no answer.
    may_be_answered_again: bool,
    /// Whether a packet with the final bit is to be sent.
    owes_final: bool,
    /// When the last packet came that was believed.
    heard: Option<Instant>,
    /// Since when a packet is to be sent that does not wait for the timer.
    announces: Option<Instant>,
    /// When the last packet was sent that was no answer, and which share of the interval follows it, in parts
    /// of [`WHOLE`].
    sent: Instant,
    share: u64,
    /// What the last packet said.
    said: Option<Control>,
    /// `bfd.XmitAuthSeq`, `bfd.RcvAuthSeq`, and when that is forgotten.
    xmit_sequence: u32,
    received_sequence: Option<u32>,
    forget_sequence_at: Option<Instant>,
    random: Rng,
}

impl Session {
    /// A session that is down, which begins to send at once. The discriminator is not that of any other session
    /// of this system, and drawn at random (section 6.8.1). So is the seed, anew for each session: of it come
    /// the jitter, and the first sequence number.
    pub fn new(settings: Settings, discriminator: NonZeroU32, seed: u64, now: Instant) -> Self {
        let offered = Offer::of(&settings.intervals, State::Down);
        let mut random = Rng::with_seed(seed);
        let xmit_sequence = random.u32(..);
        Self {
            discriminator,
            settings,
            state: State::Down,
            diagnostic: Diagnostic::NONE,
            offered,
            effective: offered,
            remote: Remote::UNKNOWN,
            poll: Poll::None,
            may_be_answered_again: false,
            owes_final: false,
            heard: None,
            announces: Some(now),
            sent: now,
            share: WHOLE,
            said: None,
            xmit_sequence,
            received_sequence: None,
            forget_sequence_at: None,
            random,
        }
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

    /// After how long a silence of this system the other one holds it for gone, if it agrees.
    pub fn silence(&self) -> Duration {
        u32::from(self.settings.detect_mult.get()) * self.transmit_interval()
    }

    /// The sequence number of the last packet that was believed, if packets have any, and how far that of the
    /// next one may be ahead (RFC 5880 section 6.7.4).
    pub fn received_sequence(&self) -> Option<(u32, u32)> {
        let last = self.received_sequence?;
        Some((last, authentication::window(self.remote.detect_mult)))
    }

    /// When [`Self::transmit`] or [`Self::expire`] next has something to do, if nothing happens before.
    pub fn deadline(&self) -> Option<Instant> {
        // A poll is to be answered since it was heard.
        let answer = self.heard.filter(|_| self.owes_final);
        let periodic = self.is_periodic().then(|| self.due());
        let times = [answer, self.announces, periodic, self.expiry(), self.forget_sequence_at];
        times.into_iter().flatten().min()
    }

    /// The payload of a datagram has come for this session (RFC 5880 section 6.8.6). Time that has passed is
    /// to be told before, by [`Self::expire`].
    ///
    /// # Errors
    /// Where it changes nothing.
    pub fn receive(&mut self, datagram: &[u8], now: Instant) -> Result<Option<Change>, Ignored> {
        let (control, authenticated) = Control::parse(datagram)?;
        let named = control.your_discriminator;
        if named != 0 && named != self.discriminator.get() {
            return Err(Ignored::Discriminator(named));
        }
        if control.my_discriminator == self.discriminator.get() {
            return Err(Ignored::Reflected);
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
        self.heard = self.heard.max(Some(now));
        if control.is_final {
            self.end_poll();
        } else {
            self.may_be_answered_again = false;
            self.begin_poll();
        }
        if self.state == State::AdminDown {
            return Ok(None);
        }
        let (next, why) = self.state.after(control.state);
        let change = self.enter(next, why, now);
        self.owes_final |= control.poll;
        Ok(change)
    }

    /// Somebody else has received a packet at `at` that is like the last one that was believed, if the session is
    /// up still.
    pub fn confirm(&mut self, at: Instant) {
        if self.state == State::Up && self.heard < Some(at) {
            self.heard = Some(at);
            self.may_be_answered_again = false;
            self.begin_poll();
        }
    }

    fn authenticate(&mut self, packet: Option<&[u8]>, detect_mult: u8) -> Result<(), Rejected> {
        match (&self.settings.authentication, packet) {
            (None, None) => Ok(()),
            (None, Some(_)) => Err(Rejected::Unexpected),
            (Some(_), None) => Err(Rejected::Missing),
            (Some(authentication), Some(packet)) => {
                let last = self.received_sequence;
                self.received_sequence = authentication.verify(packet, last, detect_mult)?;
                self.forget_sequence_at = None;
                Ok(())
            }
        }
    }

    /// Time has passed: the session goes down if it was silent for the detection time.
    pub fn expire(&mut self, now: Instant) -> Option<Change> {
        let change = self.fall_silent(now);
        // After that: a system that was held up for long learns of both at once.
        if self.forget_sequence_at.is_some_and(|time| time <= now) {
            (self.received_sequence, self.forget_sequence_at) = (None, None);
        }
        change
    }

    fn fall_silent(&mut self, now: Instant) -> Option<Change> {
        let expiry = self.expiry().filter(|expiry| *expiry <= now)?;
        // Section 6.8.1: at least twice the detection time after the last packet.
        self.forget_sequence_at = self.received_sequence.map(|_| expiry + self.detection_time());
        self.heard = None;
        self.remote = Remote::UNKNOWN;
        self.owes_final = false;
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
        if std::mem::take(&mut self.owes_final) {
            // Whatever the timer says (section 6.8.7).
            return Some(self.packet(true));
        }
        let is_due = self.is_periodic() && self.due() <= now;
        if self.announces.take().is_none() && !is_due {
            return None;
        }
        self.sent = now;
        self.share = self.jitter();
        if let Poll::Asking { sent, .. } = &mut self.poll {
            *sent = true;
        }
        Some(self.packet(false))
    }

    /// Holds the session down, or lets it come up (RFC 5880 section 6.8.16). While it is held, the other
    /// system is told so, and its polls are not answered. Before a session that is held is dropped, it is to
    /// go on for as long as the other system takes to notice silence.
    pub fn set_admin_down(&mut self, is_down: bool, now: Instant) -> Option<Change> {
        match (is_down, self.state) {
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

    /// Tells the other system that it may miss so many packets from now on. It needs no Poll Sequence (RFC
    /// 5880 section 6.8.12).
    pub fn set_detect_mult(&mut self, detect_mult: NonZeroU8, now: Instant) {
        if std::mem::replace(&mut self.settings.detect_mult, detect_mult) != detect_mult {
            self.announces = Some(now);
        }
    }

    /// Goes over to a state, if it is another.
    fn enter(&mut self, to: State, why: Option<Diagnostic>, now: Instant) -> Option<Change> {
        let from = std::mem::replace(&mut self.state, to);
        if from == to {
            return None;
        }
        if to == State::Up || from == State::AdminDown {
            self.diagnostic = Diagnostic::NONE;
        }
        self.diagnostic = why.unwrap_or(self.diagnostic);
        if to != State::Up {
            self.poll = Poll::None;
        }
        self.offer(now);
        // The other system is to know soon (section 6.8.7).
        self.announces = Some(now);
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
            self.poll = match self.poll {
                Poll::None | Poll::Waiting => Poll::Waiting,
                Poll::Asking { sent, .. } => Poll::Asking { sent, again: sent },
            };
            self.begin_poll();
            self.announces = Some(now);
        }
    }

    /// Begins the Poll Sequence that waits, if nothing can be taken for its answer that is none. It has no
    /// packets beside those of the timer (section 6.5).
    fn begin_poll(&mut self) {
        if self.poll == Poll::Waiting && !self.may_be_answered_again {
            self.poll = Poll::BEGIN;
        }
    }

    /// A packet with the final bit has come.
    fn end_poll(&mut self) {
        match self.poll {
            Poll::None | Poll::Waiting | Poll::Asking { sent: false, .. } => {}
            Poll::Asking { again, .. } => {
                self.may_be_answered_again = true;
                self.poll = if again { Poll::Waiting } else { Poll::None };
                if !again {
                    self.effective = self.offered;
                }
            }
        }
    }

    /// When the timer sends the next packet.
    fn due(&self) -> Instant {
        // Not in microseconds: of an interval of one, nothing would be left.
        let nanos = self.transmit_interval().as_nanos() as u64;
        self.sent + Duration::from_nanos(nanos / WHOLE * self.share)
    }

    /// Whether packets are sent by the timer (RFC 5880 section 6.8.7).
    fn is_periodic(&self) -> bool {
        let is_up = self.state == State::Up && self.remote.state == State::Up;
        let demanded = self.remote.demand && is_up && !matches!(self.poll, Poll::Asking { .. });
        self.remote.min_rx != 0 && !demanded
    }

    /// The share of an interval until the next packet: three quarters to all of it, and at most nine tenths for
    /// a session that may miss no packet (RFC 5880 section 6.8.7).
    fn jitter(&mut self) -> u64 {
        let most = if self.settings.detect_mult.get() == 1 { WHOLE * 9 / 10 } else { WHOLE };
        let least = WHOLE * 3 / 4;
        self.random.u64(least..=most)
    }

    fn packet(&mut self, is_final: bool) -> Vec<u8> {
        let control = Control {
            diagnostic: self.diagnostic,
            state: self.state,
            poll: !is_final && matches!(self.poll, Poll::Asking { .. }),
            is_final,
            demand: false,
            detect_mult: self.settings.detect_mult.get(),
            my_discriminator: self.discriminator.get(),
            your_discriminator: self.remote.discriminator,
            desired_min_tx: self.offered.tx,
            required_min_rx: self.offered.rx,
            required_min_echo_rx: 0,
        };
        let has_changed = self.said.replace(control) != Some(control);
        let Some(authentication) = &self.settings.authentication else {
            return control.encode(0);
        };
        // Section 6.7.3: only `meticulous`, it goes on with each packet. Otherwise a system that loses some
        // is not to lose its place.
        if has_changed || authentication.is_meticulous() {
            self.xmit_sequence = self.xmit_sequence.wrapping_add(1);
        }
        let mut packet = control.encode(authentication.section_len());
        authentication.seal(&mut packet, self.xmit_sequence);
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
