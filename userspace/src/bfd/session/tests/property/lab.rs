//! A session beside the model of one, to which the same happens.

use std::num::{NonZeroU8, NonZeroU32};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::super::format::{AuthType, Key};
use super::super::model::{Model, Owed};
use super::draft::{Draft, Fault, draft, fault};
use crate::bfd::{Authentication, Intervals, Session, Settings};

pub(super) const DISCRIMINATOR: u32 = 0x1111;

/// How often it is asked at most while time passes. After that it is held up.
const WAKE_UPS: usize = 24;

/// How long nothing happens.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pause {
    Of(Duration),
    /// In percent of the detection time.
    Detection(u32),
}

/// Something that happens.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Packet(Draft),
    Faulty(Draft, Fault),
    /// A packet, and more after it in the datagram.
    Trailing(Draft, Vec<u8>),
    /// A packet with another bit, which may be a packet still.
    Flipped(Draft, usize),
    Bytes(Vec<u8>),
    Pause(Pause),
    /// It is not asked meanwhile.
    Stall(Pause),
    AdminDown(bool),
    Intervals(Intervals),
    /// Seen before so many microseconds.
    Confirm(u64),
}

#[derive(Debug)]
pub(super) struct Lab {
    pub(super) session: Session,
    pub(super) model: Model,
    pub(super) now: Instant,
}

fn authentication(key: &Key) -> Authentication {
    match key.auth_type {
        AuthType::SimplePassword => Authentication::simple(key.id, &key.secret),
        AuthType::KeyedSha1 => Authentication::sha1(key.id, &key.secret, false),
        AuthType::MeticulousKeyedSha1 => Authentication::sha1(key.id, &key.secret, true),
    }
    .expect("the key is not as long")
}

impl Lab {
    pub(super) fn new(intervals: Intervals, detect_mult: u8, key: Option<Key>, seed: u64) -> Self {
        let now = Instant::now();
        let settings = Settings {
            intervals,
            detect_mult: NonZeroU8::new(detect_mult).unwrap(),
            authentication: key.as_ref().map(authentication),
        };
        let discriminator = NonZeroU32::new(DISCRIMINATOR).unwrap();
        let session = Session::new(settings, discriminator, seed, now);
        let model = Model::new(intervals, detect_mult, key, DISCRIMINATOR, now);
        Self { session, model, now }
    }

    /// Lets something happen, after which the session is asked, or not yet.
    pub(super) fn take(&mut self, step: &Step, is_asked: bool) -> TestCaseResult {
        match step {
            Step::Packet(draft) => self.receive(&draft.datagram(&self.model))?,
            Step::Faulty(draft, fault) => {
                if let Some(datagram) = draft.with(fault, &self.model) {
                    self.receive(&datagram)?;
                }
            }
            Step::Trailing(draft, trailing) => {
                let packet = draft.datagram(&self.model);
                self.receive(&[&packet[..], trailing].concat())?;
            }
            Step::Flipped(draft, bit) => {
                let mut packet = draft.datagram(&self.model);
                let bit = bit % (8 * packet.len());
                packet[bit / 8] ^= 1 << (bit % 8);
                self.receive(&packet)?;
            }
            Step::Bytes(bytes) => self.receive(bytes)?,
            Step::Pause(pause) => self.wait(*pause)?,
            Step::Stall(pause) => {
                self.now += self.length(*pause);
                self.expire()?;
            }
            Step::AdminDown(is_down) => {
                let change = self.session.set_admin_down(*is_down, self.now);
                prop_assert_eq!(change, self.model.set_admin_down(*is_down), "{:?}", self);
            }
            Step::Intervals(intervals) => {
                self.session.set_intervals(*intervals, self.now);
                self.model.set_intervals(*intervals);
            }
            Step::Confirm(micros) => {
                let at = self.now - Duration::from_micros(*micros);
                self.session.confirm(at);
                self.model.confirm(at);
            }
        }
        self.check()?;
        if is_asked { self.ask() } else { Ok(()) }
    }

    fn length(&self, pause: Pause) -> Duration {
        match pause {
            Pause::Of(time) => time,
            Pause::Detection(percent) => self.model.detection_time() * percent / 100,
        }
    }

    pub(super) fn receive(&mut self, datagram: &[u8]) -> TestCaseResult {
        let before = format!("{:?}", self.session);
        let found = self.session.receive(datagram, self.now);
        let wanted = self.model.receive(datagram, self.now);
        match (found, wanted) {
            (Ok(found), Ok(wanted)) => prop_assert_eq!(found, wanted, "{:?}", self),
            (Err(_), Err(_)) => prop_assert_eq!(format!("{:?}", self.session), before),
            (found, wanted) => {
                let what = format!("{found:?}, and not {wanted:?}: {datagram:x?}");
                prop_assert!(false, "{what} {self:?}");
            }
        }
        Ok(())
    }

    fn wait(&mut self, pause: Pause) -> TestCaseResult {
        let end = self.now + self.length(pause);
        for _ in 0..WAKE_UPS {
            let deadline = self.session.deadline().filter(|deadline| *deadline <= end);
            let Some(deadline) = deadline else { break };
            self.now = self.now.max(deadline);
            self.ask()?;
        }
        self.now = end;
        self.ask()
    }

    fn expire(&mut self) -> TestCaseResult {
        let change = self.session.expire(self.now);
        prop_assert_eq!(change, self.model.expire(self.now), "{:?}", self);
        self.check()
    }

    /// Whatever is due is done.
    pub(super) fn ask(&mut self) -> TestCaseResult {
        self.expire()?;
        loop {
            let owed = self.model.owed(self.now);
            let sent = self.session.transmit(self.now);
            match (owed, sent) {
                (Owed::Nothing | Owed::Perhaps, None) => break,
                (Owed::Perhaps | Owed::Packet | Owed::Answer, Some(packet)) => {
                    let wanted = self.model.transmit(self.now, self.sequence(&packet));
                    prop_assert_eq!(Some(packet), wanted, "{:?}", self);
                }
                (owed, sent) => prop_assert!(false, "{owed:?} is owed, {sent:?} sent: {self:?}"),
            }
        }
        self.check()?;
        // Or who asks by that would ask for ever.
        let is_later = self.session.deadline().is_none_or(|deadline| deadline > self.now);
        prop_assert!(is_later, "{:?}", self);
        Ok(())
    }

    /// That of a packet which the session has sent.
    fn sequence(&self, packet: &[u8]) -> Option<u32> {
        let is_numbered = { self.model.auth.as_ref() }
            .is_some_and(|key| key.auth_type != AuthType::SimplePassword);
        let bytes = packet.get(28..32).filter(|_| is_numbered)?;
        bytes.try_into().ok().map(u32::from_be_bytes)
    }

    /// All that can be seen of the session is what the model says.
    fn check(&self) -> TestCaseResult {
        let Self { session, model, now } = self;
        prop_assert_eq!(session.state(), model.session_state, "{:?}", self);
        prop_assert_eq!(session.diagnostic.to_bits(), model.local_diag, "{:?}", self);
        prop_assert_eq!(session.remote_state(), model.remote_session_state, "{:?}", self);
        prop_assert_eq!(session.remote_discriminator(), model.remote_discr, "{:?}", self);
        prop_assert_eq!(session.detection_time(), model.detection_time(), "{:?}", self);
        prop_assert_eq!(session.transmit_interval(), model.transmit_interval(), "{:?}", self);
        // As the other system sees it (section 6.8.1, `bfd.DetectMult`).
        let silence = model.transmit_interval() * model.detect_mult.into();
        prop_assert_eq!(session.silence(), silence, "{:?}", self);
        let known = model.auth_seq_known.then_some(model.rcv_auth_seq);
        prop_assert_eq!(session.received_sequence, known, "{:?}", self);
        let is_in_time = match (session.deadline(), model.owed(*now), model.deadline()) {
            (Some(deadline), Owed::Packet | Owed::Answer, _) => deadline <= *now,
            (None, Owed::Nothing, None) => true,
            (Some(at), _, Some((earliest, latest))) => (earliest..=latest).contains(&at),
            _ => false,
        };
        prop_assert!(is_in_time, "{:?} {:?}", session.deadline(), self);
        Ok(())
    }
}

/// An interval that is configured, whatever it is.
fn interval() -> impl Strategy<Value = Duration> {
    prop_oneof![
        12 => 5_000_u64..200_000,
        2 => 900_000_u64..5_000_000,
        1 => 0_u64..3,
        1 => u64::from(u32::MAX) - 1..u64::from(u32::MAX) + 2,
    ]
    .prop_map(Duration::from_micros)
}

fn intervals() -> impl Strategy<Value = Intervals> {
    (interval(), interval())
        .prop_map(|(desired_min_tx, required_min_rx)| Intervals { desired_min_tx, required_min_rx })
}

fn key() -> impl Strategy<Value = Key> {
    let secret = prop::collection::vec(any::<u8>(), 1..=16);
    (prop::sample::select(&AuthType::ALL[..]), any::<u8>(), secret)
        .prop_map(|(auth_type, id, secret)| Key { auth_type, id, secret })
}

pub(super) fn lab() -> impl Strategy<Value = Lab> {
    let detect_mult = prop_oneof![Just(1), 2_u8..6, Just(255)];
    (intervals(), detect_mult, prop::option::of(key()), any::<u64>())
        .prop_map(|(intervals, detect_mult, key, seed)| Lab::new(intervals, detect_mult, key, seed))
}

fn pause() -> impl Strategy<Value = Pause> {
    prop_oneof![
        6 => (0_u64..30_000).prop_map(|micros| Pause::Of(Duration::from_micros(micros))),
        3 => (30_u64..3000).prop_map(|millis| Pause::Of(Duration::from_millis(millis))),
        1 => (3_u64..100).prop_map(|seconds| Pause::Of(Duration::from_secs(seconds))),
        3 => prop::sample::select(&[50, 99, 100, 199, 200][..]).prop_map(Pause::Detection),
    ]
}

pub(super) fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let any_bytes = prop::collection::vec(any::<u8>(), 0..300);
    // Those with another version say little about the rest.
    (any_bytes, any::<bool>()).prop_map(|(mut bytes, is_first)| {
        if let [first, flags, _, length, ..] = &mut bytes[..]
            && is_first
        {
            *first = *first & 31 | 1 << 5;
            *flags &= !1;
            *length %= 64;
        }
        bytes
    })
}

pub(super) fn steps(most: usize) -> impl Strategy<Value = Vec<(Step, bool)>> {
    let step = prop_oneof![
        24 => draft().prop_map(Step::Packet),
        4 => (draft(), fault()).prop_map(|(draft, fault)| Step::Faulty(draft, fault)),
        1 => (draft(), bytes()).prop_map(|(draft, bytes)| Step::Trailing(draft, bytes)),
        2 => (draft(), any::<usize>()).prop_map(|(draft, bit)| Step::Flipped(draft, bit)),
        1 => bytes().prop_map(Step::Bytes),
        14 => pause().prop_map(Step::Pause),
        3 => pause().prop_map(Step::Stall),
        1 => any::<bool>().prop_map(Step::AdminDown),
        1 => Just(Step::AdminDown(false)),
        6 => intervals().prop_map(Step::Intervals),
        1 => (0_u64..50_000).prop_map(Step::Confirm),
    ];
    prop::collection::vec((step, prop::bool::weighted(0.8)), 0..most)
}
