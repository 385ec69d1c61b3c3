//! One end of a session as the prose of RFC 5880 has it, with its names and in its order. Where the RFC leaves
//! a choice, or this implementation makes one, it is marked `Choice`.

use std::time::{Duration, Instant};

use super::super::{Change, Intervals};
use super::format::{AuthType, Key, MANDATORY, Packet};
use crate::bfd::{Diagnostic, State};

/// What a system has to send at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owed {
    Nothing,
    /// By the timer, whose jitter is random: it may be sent already.
    Perhaps,
    Packet,
    /// With the Final bit.
    Answer,
}

/// A Poll Sequence (section 6.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PollSequence {
    /// Whether a packet with the Poll bit was transmitted.
    is_transmitted: bool,
    /// Whether what that packet said has changed since.
    is_outdated: bool,
}

/// The state variables of section 6.8.1, and what else the procedures need.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) session_state: State,
    pub(super) remote_session_state: State,
    pub(super) local_discr: u32,
    pub(super) remote_discr: u32,
    pub(super) local_diag: u8,
    desired_min_tx_interval: u32,
    required_min_rx_interval: u32,
    remote_min_rx_interval: u32,
    remote_demand_mode: bool,
    pub(super) detect_mult: u8,
    /// `bfd.AuthType`, with its key.
    pub(super) auth: Option<Key>,
    pub(super) rcv_auth_seq: u32,
    pub(super) auth_seq_known: bool,
    /// Unlike the RFC's, the last one: the first is random.
    xmit_auth_seq: Option<u32>,
    /// Of the last packet that was received, which the RFC gives no variables.
    last_desired_min_tx_interval: u32,
    last_detect_mult: u8,
    /// What the operator wants, in microseconds: to send at, and to receive at.
    wanted: (u32, u32),
    /// What is used until a Poll Sequence has terminated (section 6.8.3).
    used_tx_interval: u32,
    used_rx_interval: u32,
    poll_sequence: Option<PollSequence>,
    /// Whether another is to be initiated once that is unambiguous.
    is_poll_pending: bool,
    /// Whether a Poll Sequence has terminated, and no packet with the Final bit clear has come since.
    is_ambiguous: bool,
    owes_final: bool,
    /// Whether the contents differ from those of the last packet in what is to be told soon.
    owes_news: bool,
    last_received: Option<Instant>,
    forgets_sequence_at: Option<Instant>,
    last_periodic: Instant,
    last_transmitted: Option<Packet>,
}

impl Model {
    pub(super) fn new(
        intervals: Intervals,
        detect_mult: u8,
        auth: Option<Key>,
        local_discr: u32,
        now: Instant,
    ) -> Self {
        let mut model = Self {
            session_state: State::Down,
            remote_session_state: State::Down,
            local_discr,
            remote_discr: 0,
            local_diag: 0,
            desired_min_tx_interval: 0,
            required_min_rx_interval: 0,
            remote_min_rx_interval: 1,
            remote_demand_mode: false,
            detect_mult,
            auth,
            rcv_auth_seq: 0,
            auth_seq_known: false,
            xmit_auth_seq: None,
            last_desired_min_tx_interval: 0,
            last_detect_mult: 0,
            wanted: (0, 0),
            used_tx_interval: 0,
            used_rx_interval: 0,
            poll_sequence: None,
            is_poll_pending: false,
            is_ambiguous: false,
            owes_final: false,
            owes_news: true,
            last_received: None,
            forgets_sequence_at: None,
            last_periodic: now,
            last_transmitted: None,
        };
        model.set_intervals(intervals);
        model
    }

    /// Section 6.8.7: the greater of `bfd.DesiredMinTxInterval` and `bfd.RemoteMinRxInterval`.
    pub(super) fn transmit_interval(&self) -> Duration {
        micros(self.used_tx_interval.max(self.remote_min_rx_interval))
    }

    /// Section 6.8.4, in asynchronous mode.
    pub(super) fn detection_time(&self) -> Duration {
        let agreed = self.used_rx_interval.max(self.last_desired_min_tx_interval);
        micros(agreed) * u32::from(self.last_detect_mult)
    }

    /// Section 6.8.6, in the order of the text.
    pub(super) fn receive(
        &mut self,
        payload: &[u8],
        now: Instant,
    ) -> Result<Option<Change>, &'static str> {
        let packet = self.select(payload)?;
        match (&self.auth, packet.authentication_present) {
            (None, true) => return Err("the A bit is set, and no authentication is in use"),
            (Some(_), false) => return Err("the A bit is clear, and authentication is in use"),
            (None, false) => {}
            (Some(key), true) => {
                let whole = &payload[..usize::from(packet.length)];
                let sequence = self.authenticate(key, whole, packet.detect_mult)?;
                if let Some(sequence) = sequence {
                    (self.auth_seq_known, self.rcv_auth_seq) = (true, sequence);
                    self.forgets_sequence_at = None;
                }
            }
        }
        self.remote_discr = packet.my_discriminator;
        self.remote_session_state = State::ALL[usize::from(packet.sta)];
        self.remote_demand_mode = packet.demand;
        self.remote_min_rx_interval = packet.required_min_rx_interval;
        self.last_desired_min_tx_interval = packet.desired_min_tx_interval;
        self.last_detect_mult = packet.detect_mult;
        // In `AdminDown` too: section 6.8.1 forgets `bfd.RemoteDiscr` for want of valid packets only.
        self.last_received = Some(now);
        if packet.is_final {
            self.terminate_poll();
        } else {
            self.disambiguate();
        }
        if self.session_state == State::AdminDown {
            // Which "discards the packet": its poll has no answer.
            return Ok(None);
        }
        let change = self.hear(self.remote_session_state);
        self.owes_final |= packet.poll;
        Ok(change)
    }

    /// The first half of section 6.8.6: whether it is a packet, and of this session.
    fn select(&self, payload: &[u8]) -> Result<Packet, &'static str> {
        let packet = Packet::read(payload).ok_or("it has no mandatory section")?;
        let least = if packet.authentication_present { 26 } else { 24 };
        let says_down = packet.sta < 2;
        let is_another = ![0, self.local_discr].contains(&packet.your_discriminator);
        for (is_wrong, why) in [
            (packet.vers != 1, "the version number is not correct"),
            (packet.length < least, "the Length is less than the minimum"),
            (usize::from(packet.length) > payload.len(), "the Length is more than the payload"),
            (packet.detect_mult == 0, "the Detect Mult is zero"),
            (packet.multipoint, "the Multipoint bit is set"),
            (packet.my_discriminator == 0, "My Discriminator is zero"),
            (is_another, "no session is found"),
            (packet.your_discriminator == 0 && !says_down, "Your Discriminator is zero"),
            // Choice: section 6.5 says that it must not be, and not what becomes of it.
            (packet.poll && packet.is_final, "both Poll and Final are set"),
            // Choice: nobody else has drawn the same number.
            (packet.my_discriminator == self.local_discr, "it is sent back"),
        ] {
            if is_wrong {
                return Err(why);
            }
        }
        Ok(packet)
    }

    /// Sections 6.7.2 and 6.7.4, the latter with erratum 7083: nothing is remembered of what is not accepted.
    /// Returns the sequence number.
    fn authenticate(
        &self,
        key: &Key,
        packet: &[u8],
        detect_mult: u8,
    ) -> Result<Option<u32>, &'static str> {
        let section = &packet[MANDATORY..];
        // Choice: the section is all that follows.
        if section.len() != key.auth_len() || usize::from(section[1]) != key.auth_len() {
            return Err("the Auth Len is not correct");
        }
        if section[0] != key.auth_type as u8 {
            return Err("the Auth Type is not correct");
        }
        if section[2] != key.id {
            return Err("the Auth Key ID is not of a configured key");
        }
        if key.auth_type == AuthType::SimplePassword {
            let is_right = section[3..] == key.secret;
            return if is_right { Ok(None) } else { Err("the password does not match") };
        }
        let sequence = section[4..8].iter().fold(0, |all, byte| all << 8 | u32::from(*byte));
        if self.auth_seq_known {
            let is_meticulous = key.auth_type == AuthType::MeticulousKeyedSha1;
            // Choice: the Detect Mult is the packet's.
            let mut range = u64::from(is_meticulous)..=3 * u64::from(detect_mult);
            let from_last = |ahead: u64| self.rcv_auth_seq.wrapping_add(ahead as u32);
            if !range.any(|ahead| from_last(ahead) == sequence) {
                return Err("the sequence number lies outside of the range");
            }
        }
        let hash = key.hash(&packet[..MANDATORY + 8]);
        if section[8..] == hash { Ok(Some(sequence)) } else { Err("the hash does not match") }
    }

    /// The second half of section 6.8.6: what the state of the remote system does to this one's.
    fn hear(&mut self, received: State) -> Option<Change> {
        use State::{AdminDown, Down, Init, Up};
        let signaled_down = Some(3);
        if received == AdminDown {
            return if self.session_state == Down { None } else { self.go(Down, signaled_down) };
        }
        match self.session_state {
            Down if received == Down => self.go(Init, None),
            Down if received == Init => self.go(Up, None),
            Init if received == Init || received == Up => self.go(Up, None),
            Up if received == Down => self.go(Down, signaled_down),
            _ => None,
        }
    }

    /// Section 6.8.16. Choice: the diagnostic is Administratively Down.
    pub(super) fn set_admin_down(&mut self, is_down: bool) -> Option<Change> {
        match (is_down, self.session_state) {
            (true, State::AdminDown) => None,
            (true, _) => self.go(State::AdminDown, Some(7)),
            (false, State::AdminDown) => self.go(State::Down, Some(0)),
            (false, _) => None,
        }
    }

    fn go(&mut self, to: State, diag: Option<u8>) -> Option<Change> {
        let from = std::mem::replace(&mut self.session_state, to);
        // Choice: why the session failed is said until it is up again (section 4.1).
        self.local_diag = if to == State::Up { 0 } else { diag.unwrap_or(self.local_diag) };
        self.set_timers();
        // Section 6.8.7: to communicate a change in state more rapidly.
        self.owes_news = true;
        Some(Change { from, to, diagnostic: Diagnostic::from_bits(self.local_diag) })
    }

    /// Section 6.8.3. Choice: an interval is of one to `u32::MAX` microseconds.
    pub(super) fn set_intervals(&mut self, intervals: Intervals) {
        let whole = |wanted: Duration| wanted.as_micros().clamp(1, u32::MAX.into()) as u32;
        self.wanted = (whole(intervals.desired_min_tx), whole(intervals.required_min_rx));
        self.set_timers();
    }

    fn set_timers(&mut self) {
        let (mut tx, rx) = self.wanted;
        if self.session_state != State::Up {
            // Choice: no Poll Sequence while the session is not up, for nothing waits for its end.
            (self.poll_sequence, self.is_poll_pending) = (None, false);
            tx = tx.max(1_000_000);
            (self.used_tx_interval, self.used_rx_interval) = (tx, rx);
        } else if (tx, rx) != (self.desired_min_tx_interval, self.required_min_rx_interval) {
            self.used_tx_interval = self.used_tx_interval.min(tx);
            self.used_rx_interval = self.used_rx_interval.max(rx);
            match &mut self.poll_sequence {
                Some(sequence) => sequence.is_outdated = sequence.is_transmitted,
                None => self.is_poll_pending = true,
            }
            self.initiate_poll();
            // Choice: section 6.8.7 would have it said soon in any state.
            self.owes_news = true;
        }
        (self.desired_min_tx_interval, self.required_min_rx_interval) = (tx, rx);
    }

    fn initiate_poll(&mut self) {
        if self.is_poll_pending && !self.is_ambiguous {
            self.is_poll_pending = false;
            let sequence = PollSequence { is_transmitted: false, is_outdated: false };
            self.poll_sequence = Some(sequence);
        }
    }

    /// Section 6.5: a packet with the Final bit has come.
    fn terminate_poll(&mut self) {
        let Some(sequence) = self.poll_sequence.filter(|sequence| sequence.is_transmitted) else {
            return;
        };
        (self.poll_sequence, self.is_ambiguous) = (None, true);
        self.is_poll_pending = sequence.is_outdated;
        if !sequence.is_outdated {
            self.used_tx_interval = self.desired_min_tx_interval;
            self.used_rx_interval = self.required_min_rx_interval;
        }
    }

    /// Section 6.8.3, the third of three choices: a packet with the Final bit clear has come.
    fn disambiguate(&mut self) {
        self.is_ambiguous = false;
        self.initiate_poll();
    }

    /// Choice: who sees the packets pass tells of one that is like the last.
    pub(super) fn confirm(&mut self, at: Instant) {
        if self.session_state == State::Up && self.last_received.is_some_and(|last| last < at) {
            self.last_received = Some(at);
            self.disambiguate();
        }
    }

    /// Sections 6.8.1 and 6.8.4: what time does.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Change> {
        let detection_time = self.detection_time();
        let gone = self.last_received.filter(|last| *last + detection_time <= now);
        if let Some(last) = gone {
            self.forgets_sequence_at = self.auth_seq_known.then(|| last + 2 * detection_time);
            self.forget_remote();
        }
        if self.forgets_sequence_at.is_some_and(|at| at <= now) {
            (self.auth_seq_known, self.forgets_sequence_at) = (false, None);
        }
        let is_alive = matches!(self.session_state, State::Init | State::Up);
        if gone.is_some() && is_alive { self.go(State::Down, Some(1)) } else { None }
    }

    /// Section 6.8.1 for `bfd.RemoteDiscr`, and 6.8.18 for `bfd.RemoteMinRxInterval`. Choice: all else that is
    /// known of the remote system, too, and the answer that it waits for no more.
    fn forget_remote(&mut self) {
        self.remote_discr = 0;
        self.remote_session_state = State::Down;
        self.remote_min_rx_interval = 1;
        self.remote_demand_mode = false;
        (self.last_desired_min_tx_interval, self.last_detect_mult) = (0, 0);
        self.last_received = None;
        self.owes_final = false;
    }

    /// Section 6.8.7.
    fn is_periodic(&self) -> bool {
        let both = [self.session_state, self.remote_session_state];
        let is_demand_mode_active = self.remote_demand_mode && both == [State::Up; 2];
        let may_be_sent = !is_demand_mode_active || self.poll_sequence.is_some();
        self.remote_min_rx_interval != 0 && may_be_sent
    }

    /// Section 6.8.7: from when, and until when, the timer sends the next packet.
    fn jittered(&self) -> (Instant, Instant) {
        let most = if self.detect_mult == 1 { 90 } else { 100 };
        let percent = |share: u32| self.last_periodic + self.transmit_interval() * share / 100;
        (percent(75), percent(most))
    }

    pub(super) fn owed(&self, now: Instant) -> Owed {
        let (earliest, latest) = self.jittered();
        match () {
            () if self.owes_final => Owed::Answer,
            () if self.owes_news => Owed::Packet,
            () if !self.is_periodic() || now < earliest => Owed::Nothing,
            () if now < latest => Owed::Perhaps,
            () => Owed::Packet,
        }
    }

    /// Between which times there is something to do for want of any event.
    pub(super) fn deadline(&self) -> Option<(Instant, Instant)> {
        let detection = self.last_received.map(|last| last + self.detection_time());
        let exact = [detection, self.forgets_sequence_at].into_iter().flatten().min();
        let periodic = self.is_periodic().then(|| self.jittered());
        let exact = exact.map(|at| (at, at));
        [exact, periodic].into_iter().flatten().reduce(|a, b| (a.0.min(b.0), a.1.min(b.1)))
    }

    /// The packet that is sent now. Its sequence number is the one that it has, and where that may not be its
    /// own, there is no such packet.
    pub(super) fn transmit(&mut self, now: Instant, sequence: Option<u32>) -> Option<Vec<u8>> {
        let is_final = std::mem::take(&mut self.owes_final);
        if !is_final {
            self.owes_news = false;
            self.last_periodic = now;
            if let Some(poll) = &mut self.poll_sequence {
                poll.is_transmitted = true;
            }
        }
        let packet = self.contents(is_final);
        let is_new = self.last_transmitted.replace(packet) != Some(packet);
        let bytes = packet.write();
        match (&self.auth, sequence) {
            (None, None) => Some(bytes),
            (Some(key), sequence) => {
                let last = std::mem::replace(&mut self.xmit_auth_seq, sequence);
                let steps = last.zip(sequence).map(|(last, this)| this.wrapping_sub(last));
                let may_be = match (key.auth_type, steps) {
                    (AuthType::SimplePassword, _) => sequence.is_none(),
                    // The first is random.
                    (_, None) => sequence.is_some(),
                    // Section 6.7.3: it "SHOULD be incremented" with other contents.
                    (AuthType::KeyedSha1, Some(steps)) => steps == 1 || steps == 0 && !is_new,
                    (AuthType::MeticulousKeyedSha1, Some(steps)) => steps == 1,
                };
                may_be.then(|| key.seal(&bytes, sequence.unwrap_or(0)))
            }
            (None, Some(_)) => None,
        }
    }

    /// The end of section 6.8.7.
    fn contents(&self, is_final: bool) -> Packet {
        Packet {
            vers: 1,
            diag: self.local_diag,
            sta: self.session_state as u8,
            poll: self.poll_sequence.is_some() && !is_final,
            is_final,
            authentication_present: self.auth.is_some(),
            detect_mult: self.detect_mult,
            length: (MANDATORY + self.auth.as_ref().map_or(0, Key::auth_len)) as u8,
            my_discriminator: self.local_discr,
            your_discriminator: self.remote_discr,
            desired_min_tx_interval: self.desired_min_tx_interval,
            required_min_rx_interval: self.required_min_rx_interval,
            // No C, no Demand, no Multipoint, and no Echo.
            ..Packet::default()
        }
    }
}

fn micros(interval: u32) -> Duration {
    Duration::from_micros(interval.into())
}
