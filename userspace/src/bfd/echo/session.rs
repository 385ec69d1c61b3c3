use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};
use std::num::{NonZeroU8, NonZeroU32};
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::super::authentication::{SEQUENCE, are_equal};
use super::super::packet::MANDATORY_LEN;
use super::super::{Authentication, Change, Control, Diagnostic, Settings, State};

/// The least interval while the session is not up, for no more than one packet a second is sent then (RFC 9747); and
/// what packets say their intervals are, in microseconds, which nobody heeds.
const SLOW: Duration = Duration::from_secs(1);
const SAID: u32 = 1_000_000;

/// How many packets are awaited at most, the latest ones: more seconds' worth than a router holds back any.
const MOST_UNANSWERED: usize = 1024;

/// What shares of an interval are counted in.
const WHOLE: u64 = 1000;

/// Why a packet that has come in changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOurs {
    /// It is not, bit for bit, one that this session sends as it is now.
    #[error("it is none that this session sends in its state")]
    Other,
    /// It is one that has come before, was overtaken, or was sent before the session changed its state.
    #[error("nothing with its number, {0}, is awaited any more")]
    Number(u32),
}

/// A session that its own packets bring up and keep up, as a router sends them back (RFC 9747). Time must not go back.
///
/// What comes back says what was sent, so nothing is negotiated, no state of another system is known, and polls
/// have no use. But that a packet is ours does not show that the router is there: somebody may have kept it. So each
/// has a number and counts once, until a later one has come, and while the session is in the state that it was sent
/// in. Thus nothing that was under way when the session went down can bring it up, and what is replayed
/// cannot hold it. With SHA1, the number is the sequence number that the digest vouches for, by every
/// packet, whichever the kind (RFC 5880 section 6.7.4 lets it go on as often); otherwise it follows the
/// packet, where nobody else looks (RFC 5880 section 5: what an echo packet has in it is a local matter), and a hash of
/// it by a key that nobody knows follows that: so who has seen a packet cannot make up those to come.
#[derive(Debug)]
pub struct EchoSession {
    discriminator: NonZeroU32,
    settings: Settings,
    state: State,
    diagnostic: Diagnostic,
    /// When the last packet came back, or the session got into its state.
    heard: Instant,
    /// Until when nothing is made of the silence, since it was noticed late.
    excused: Option<Instant>,
    /// What the numbers of packets are vouched for by, where no authentication does.
    key: RandomState,
    /// How long that was under way.
    round_trip: Duration,
    /// When the packets were sent that may come back, in order. The last one is that with `number`.
    unanswered: VecDeque<Instant>,
    number: u32,
    /// When the next one is to be sent.
    due: Instant,
    random: Rng,
}

impl EchoSession {
    /// A session that is down, which begins to send at once. Discriminator and seed are drawn at random, anew for
    /// each session. What it sends at is the `desired_min_tx` of the settings.
    pub fn new(settings: Settings, discriminator: NonZeroU32, seed: u64, now: Instant) -> Self {
        let mut random = Rng::with_seed(seed);
        let number = random.u32(..);
        Self {
            discriminator,
            settings,
            state: State::Down,
            diagnostic: Diagnostic::NONE,
            heard: now,
            excused: None,
            key: RandomState::new(),
            round_trip: Duration::ZERO,
            unanswered: VecDeque::new(),
            number,
            due: now,
            random,
        }
    }

    /// Its state: never `AdminDown`.
    pub fn state(&self) -> State {
        self.state
    }

    /// The interval between packets while it is up, before jitter.
    pub fn transmit_interval(&self) -> Duration {
        self.settings.intervals.desired_min_tx
    }

    /// After how long a silence it goes down while it is up, if packets are sent meanwhile.
    pub fn detection_time(&self) -> Duration {
        self.detect_mult() * self.transmit_interval()
    }

    /// When [`Self::transmit`] or [`Self::expire`] next has something to do, if nothing happens before.
    pub fn deadline(&self) -> Instant {
        self.expiry().map_or(self.due, |expiry| expiry.min(self.due))
    }

    /// The payload of a datagram has come for this session. Time that has passed is to be told before, by
    /// [`Self::expire`].
    ///
    /// # Errors
    /// Where it changes nothing.
    pub fn receive(&mut self, datagram: &[u8], now: Instant) -> Result<Option<Change>, NotOurs> {
        let number = self.number_of(datagram).ok_or(NotOurs::Other)?;
        if !are_equal(datagram, &self.packet(number)) {
            return Err(NotOurs::Other);
        }
        let sent = self.take(number).ok_or(NotOurs::Number(number))?;
        self.heard = self.heard.max(now);
        self.excused = None;
        self.round_trip = now.saturating_duration_since(sent);
        // RFC 5880 section 6.2, the received state being one's own.
        let (next, why) = self.state.after(self.state);
        Ok(self.enter(next, why, now))
    }

    /// Time has passed: the session goes down if too many packets in a row have not come back as they should.
    ///
    /// Where that is noticed late, so may be what has come back: if the whole machine was held up, it is in a queue
    /// of the NIC's still. Once, it gets the time for that.
    pub fn expire(&mut self, now: Instant) -> Option<Change> {
        let expiry = self.expiry().filter(|expiry| *expiry <= now)?;
        if self.excused.is_none() && now - expiry >= self.interval() {
            self.excused = Some(now + self.round_trip + self.interval());
            return None;
        }
        self.enter(State::Down, Some(Diagnostic::ECHO_FUNCTION_FAILED), now)
    }

    /// The next packet, if one is to be sent now. What was to be sent earlier is not made up for.
    pub fn transmit(&mut self, now: Instant) -> Option<Vec<u8>> {
        if now < self.due {
            return None;
        }
        self.due = now + self.pause();
        self.number = self.number.wrapping_add(1);
        if self.unanswered.len() == MOST_UNANSWERED {
            self.unanswered.pop_front();
        }
        self.unanswered.push_back(now);
        Some(self.packet(self.number))
    }

    /// The packet that was last to be sent was, at this time only: this system may have been held up before.
    pub fn sent(&mut self, at: Instant) {
        if let Some(last) = self.unanswered.back_mut() {
            *last = at;
        }
    }

    /// Sends at another interval from now on.
    pub fn set_interval(&mut self, interval: Duration, now: Instant) {
        self.settings.intervals.desired_min_tx = interval;
        if self.state == State::Up {
            self.due = self.due.min(now + interval);
        }
    }

    /// Lets so many packets in a row be missed from now on.
    pub fn set_detect_mult(&mut self, detect_mult: NonZeroU8) {
        self.settings.detect_mult = detect_mult;
    }

    fn detect_mult(&self) -> u32 {
        self.settings.detect_mult.get().into()
    }

    /// When the session goes down, if nothing comes back: when it was silent for the detection time, but not before
    /// as many packets as may not be missed have been sent (RFC 9747), and the last of them has had the time that
    /// the one before took, and a little more. So a system that was held up does not take its own silence for the
    /// router's, nor one that has begun to send faster the time that packets are under way.
    fn expiry(&self) -> Option<Instant> {
        if !matches!(self.state, State::Up | State::Init) {
            return None;
        }
        let interval = self.interval();
        let last = *self.unanswered.get(self.detect_mult() as usize - 1)?;
        // A quarter of an interval is what jitter has saved after two of them: most often it costs nothing.
        let late = last + self.round_trip + interval / 4;
        let silent = self.heard + self.detect_mult() * interval;
        Some(late.max(silent)).max(self.excused)
    }

    /// The interval between packets in this state, before jitter.
    fn interval(&self) -> Duration {
        match self.state {
            State::Up => self.transmit_interval(),
            _ => self.transmit_interval().max(SLOW),
        }
    }

    /// When the packet with this number was sent, if it may come back. Neither it nor those before may any more.
    fn take(&mut self, number: u32) -> Option<Instant> {
        let age = self.number.wrapping_sub(number) as usize;
        let index = self.unanswered.len().checked_sub(age)?.checked_sub(1)?;
        self.unanswered.drain(..=index).next_back()
    }

    /// Goes over to a state, if it is another. What was sent before says nothing of this one.
    fn enter(&mut self, to: State, why: Option<Diagnostic>, now: Instant) -> Option<Change> {
        let from = std::mem::replace(&mut self.state, to);
        if from == to {
            return None;
        }
        self.unanswered.clear();
        self.excused = None;
        self.heard = self.heard.max(now);
        match to {
            State::Up => {
                self.diagnostic = Diagnostic::NONE;
                self.due = now;
            }
            // Nobody is to be told: slowly, from the beginning (RFC 9747).
            State::Down => self.due = now + self.pause(),
            State::Init | State::AdminDown => {}
        }
        self.diagnostic = why.unwrap_or(self.diagnostic);
        Some(Change { from, to, diagnostic: self.diagnostic })
    }

    /// The time until the packet after this one. While the session is up, it has the jitter of RFC 5880 section 6.8.7;
    /// before, there is none that makes it less than a second.
    fn pause(&mut self) -> Duration {
        let shares = match (self.state, self.detect_mult()) {
            (State::Up, 1) => WHOLE * 3 / 4..=WHOLE * 9 / 10,
            (State::Up, _) => WHOLE * 3 / 4..=WHOLE,
            _ => WHOLE..=WHOLE * 5 / 4,
        };
        Duration::from_nanos(self.interval().as_nanos() as u64 / WHOLE * self.random.u64(shares))
    }

    /// The packet with this number, as it is in this state: fields that nobody heeds are as RFC 9747 has them.
    fn packet(&self, number: u32) -> Vec<u8> {
        let discriminator = self.discriminator.get();
        let control = Control {
            diagnostic: self.diagnostic,
            state: self.state,
            poll: false,
            is_final: false,
            demand: false,
            detect_mult: self.settings.detect_mult.get(),
            my_discriminator: discriminator,
            // Not known before it has come back.
            your_discriminator: if self.state == State::Down { 0 } else { discriminator },
            desired_min_tx: SAID,
            required_min_rx: SAID,
            required_min_echo_rx: 0,
        };
        let mut packet = control.encode(self.section_len());
        if let Some(authentication) = &self.settings.authentication {
            authentication.seal(&mut packet, number);
        }
        if !self.is_numbered() {
            packet.extend(number.to_be_bytes());
            packet.extend(self.key.hash_one(number).to_be_bytes());
        }
        packet
    }

    /// What stands in the place of a packet's number.
    fn number_of(&self, datagram: &[u8]) -> Option<u32> {
        let at = if self.is_numbered() { SEQUENCE } else { MANDATORY_LEN + self.section_len() };
        datagram.get(at..)?.first_chunk().copied().map(u32::from_be_bytes)
    }

    fn section_len(&self) -> usize {
        self.settings.authentication.as_ref().map_or(0, Authentication::section_len)
    }

    fn is_numbered(&self) -> bool {
        self.settings.authentication.as_ref().is_some_and(Authentication::is_numbered)
    }
}

#[cfg(test)]
mod tests;
