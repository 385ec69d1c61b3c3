//! Two sessions that talk to each other, over wires that lose and delay, in a time of their own.

mod day;
mod format;
mod intervals;
mod model;
mod property;

use proptest::prelude::*;

use super::*;

const FAST: u64 = 10;

fn settings(tx: u64, rx: u64, detect_mult: u8) -> Settings {
    Settings {
        intervals: intervals(tx, rx),
        detect_mult: NonZeroU8::new(detect_mult).unwrap(),
        authentication: None,
    }
}

/// In milliseconds.
fn intervals(tx: u64, rx: u64) -> Intervals {
    let [desired_min_tx, required_min_rx] = [tx, rx].map(Duration::from_millis);
    Intervals { desired_min_tx, required_min_rx }
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// What the second system of a pair answers to a poll, and when it is up.
fn answer() -> Control {
    Control {
        diagnostic: Diagnostic::NONE,
        state: State::Up,
        poll: false,
        is_final: true,
        demand: false,
        detect_mult: 3,
        my_discriminator: 0x2222,
        your_discriminator: 0x1111,
        desired_min_tx: 20_000,
        required_min_rx: 20_000,
        required_min_echo_rx: 0,
    }
}

/// A packet on its way.
struct Sent {
    arrives: Instant,
    to: usize,
    packet: Vec<u8>,
}

/// Both ends, and what is between them.
struct Pair {
    ends: [Session; 2],
    now: Instant,
    wire: Vec<Sent>,
    /// Whether what is sent to an end is lost.
    cut: [bool; 2],
    changes: Vec<(usize, Change)>,
    /// Everything that was sent: when, to whom, and what.
    log: Vec<(Instant, usize, Control)>,
}

impl Pair {
    fn new(settings: [Settings; 2]) -> Self {
        let now = Instant::now();
        let mut number = 0;
        let ends = settings.map(|settings| {
            number += 1;
            let discriminator = NonZeroU32::new(number * 0x1111).unwrap();
            Session::new(settings, discriminator, number.into(), now)
        });
        Self { ends, now, wire: vec![], cut: [false; 2], changes: vec![], log: vec![] }
    }

    fn same(settings: &Settings) -> Self {
        Self::new([settings.clone(), settings.clone()])
    }

    /// Lets time pass. `fate` says of each packet by its number after how long it arrives, if it does, and each
    /// copy of it.
    fn run_with<F>(&mut self, time: Duration, mut fate: impl FnMut(usize) -> F)
    where
        F: IntoIterator<Item = Duration>,
    {
        let end = self.now + time;
        loop {
            for number in 0..2 {
                self.step(number, &mut fate);
            }
            let next = { self.ends.iter().filter_map(Session::deadline) }
                .chain(self.wire.iter().map(|sent| sent.arrives))
                .min();
            match next {
                Some(next) if next <= end => self.now = self.now.max(next),
                _ => break,
            }
        }
        self.now = end;
    }

    fn run(&mut self, time: Duration) {
        self.run_with(time, |_| Some(Duration::from_micros(100)));
    }

    /// All that one end has to do now.
    fn step<F>(&mut self, number: usize, fate: &mut impl FnMut(usize) -> F)
    where
        F: IntoIterator<Item = Duration>,
    {
        let now = self.now;
        let (arrived, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.wire)
            .into_iter()
            .partition(|sent| sent.to == number && sent.arrives <= now);
        self.wire = rest;
        let end = &mut self.ends[number];
        let mut changes: Vec<Change> = end.expire(now).into_iter().collect();
        for sent in arrived {
            match end.receive(&sent.packet, now) {
                Ok(change) => changes.extend(change),
                // One that was overtaken, or comes after too many that are lost.
                Err(Ignored::Rejected(Rejected::Sequence { .. })) => {}
                Err(error) => panic!("a peer is ignored: {error}"),
            }
        }
        while let Some(packet) = end.transmit(now) {
            let (control, _) = Control::parse(&packet).expect("what is sent is well formed");
            if end.state() != State::Up {
                assert!(control.desired_min_tx >= SLOW && !control.poll, "{control:?}");
            }
            let to = 1 - number;
            let (is_cut, copies) = (self.cut[to], fate(self.log.len()).into_iter());
            self.log.push((now, to, control));
            let copies = copies.filter(|_| !is_cut);
            self.wire.extend(copies.map(|delay| {
                let packet = packet.clone();
                Sent { arrives: now + delay, to, packet }
            }));
        }
        // Or time would stand still.
        let end = &self.ends[number];
        assert!(end.deadline().is_none_or(|deadline| deadline > now), "{end:?}");
        self.changes.extend(changes.into_iter().map(|change| (number, change)));
    }

    fn states(&self) -> [State; 2] {
        self.ends.each_ref().map(Session::state)
    }

    fn up(settings: &Settings) -> Self {
        let mut pair = Self::same(settings);
        pair.run(millis(5000));
        assert_eq!(pair.states(), [State::Up; 2]);
        pair.changes.clear();
        pair.log.clear();
        pair
    }
}

#[test]
fn two_systems_come_up_and_agree() {
    let mut pair = Pair::new([settings(10, 20, 3), settings(50, 30, 5)]);
    pair.run(millis(5000));
    assert_eq!(pair.states(), [State::Up; 2]);
    let steps: Vec<_> =
        pair.changes.iter().filter(|(end, _)| *end == 1).map(|(_, change)| change.to).collect();
    assert!(steps == [State::Init, State::Up] || steps == [State::Up], "{steps:?}");
    let [one, other] = &pair.ends;
    // What each sends at is the greater of its wish and of what the other can take (section 6.8.2); what it
    // waits for is as many of the other's intervals as that says (section 6.8.4).
    assert_eq!((one.transmit_interval(), one.detection_time()), (millis(30), millis(5 * 50)));
    assert_eq!((other.transmit_interval(), other.detection_time()), (millis(50), millis(3 * 30)));
    assert_eq!((one.poll, other.poll), (Poll::None, Poll::None));
    assert_eq!([one, other].map(Session::remote_discriminator), [0x2222, 0x1111]);
}

#[test]
fn silence_for_the_detection_time_is_the_end() {
    let mut pair = Pair::up(&settings(FAST, FAST, 3));
    let last = pair.ends[1].heard.unwrap();
    pair.cut[1] = true;
    pair.run(millis(5));
    let heard = pair.ends[1].heard.unwrap().max(last);
    let nearly = heard + millis(30) - Duration::from_nanos(1);
    let end = &mut pair.ends[1];
    assert_eq!(end.expire(nearly), None);
    assert!(end.deadline().unwrap() <= heard + millis(30));
    pair.run(millis(40));
    let gone =
        Change { from: State::Up, to: State::Down, diagnostic: Diagnostic::DETECTION_TIME_EXPIRED };
    let told = Change { diagnostic: Diagnostic::NEIGHBOR_SIGNALED_DOWN, ..gone };
    assert_eq!(pair.changes, [(1, gone), (0, told)]);
    assert_eq!(pair.ends[1].remote_discriminator(), 0);
    pair.cut[1] = false;
    pair.run(millis(5000));
    assert_eq!(pair.states(), [State::Up; 2]);
}

/// RFC 5880 section 6.8.12.
#[test]
fn another_multiplier_is_told_at_once_and_without_a_poll() {
    let mut pair = Pair::up(&settings(FAST, FAST, 3));
    let now = pair.now;
    pair.ends[0].set_detect_mult(NonZeroU8::new(5).unwrap(), now);
    assert_eq!(pair.ends[0].deadline(), Some(now), "the other is to know at once");
    pair.run(millis(5));
    let told: Vec<_> = pair.log.iter().filter(|(_, to, _)| *to == 1).collect();
    assert!(told.iter().all(|(_, _, control)| control.detect_mult == 5 && !control.poll));
    assert_eq!(pair.ends[1].detection_time(), 5 * pair.ends[0].transmit_interval());
    assert_eq!(pair.ends[0].detection_time(), 3 * pair.ends[1].transmit_interval());
    pair.run(millis(5000));
    assert_eq!((pair.states(), &*pair.changes), ([State::Up; 2], &[][..]));
    let now = pair.now;
    pair.ends[0].set_detect_mult(NonZeroU8::new(5).unwrap(), now);
    assert_ne!(pair.ends[0].deadline(), Some(now), "it is the same");
}

#[test]
fn the_other_end_is_told_when_one_is_held_down() {
    let mut pair = Pair::up(&settings(FAST, FAST, 3));
    let now = pair.now;
    let change = pair.ends[0].set_admin_down(true, now).unwrap();
    assert_eq!(change.diagnostic, Diagnostic::ADMINISTRATIVELY_DOWN);
    assert_eq!(pair.ends[0].set_admin_down(true, now), None);
    assert_eq!(pair.ends[0].deadline(), Some(now), "the other is to know at once");
    pair.run(millis(5000));
    assert_eq!(pair.states(), [State::AdminDown, State::Down]);
    assert_eq!(pair.ends[1].remote_state(), State::AdminDown);
    let told = pair.changes[0].1;
    assert_eq!(told.diagnostic, Diagnostic::NEIGHBOR_SIGNALED_DOWN);
    // It answers no polls, but it goes on to say so.
    let now = pair.now;
    let poll = Control { poll: true, is_final: false, ..answer() };
    assert_eq!(pair.ends[0].receive(&poll.encode(0), now), Ok(None));
    assert_eq!(pair.ends[0].transmit(now), None);
    assert!(pair.log.iter().filter(|(_, to, _)| *to == 1).count() >= 4);
    let now = pair.now;
    assert_eq!(pair.ends[0].set_admin_down(false, now).unwrap().to, State::Down);
    pair.run(millis(5000));
    assert_eq!(pair.states(), [State::Up; 2]);
}

/// Whoever sends a system's packets back does not know the key, and yet they are authentic.
#[test]
fn a_session_does_not_come_up_with_itself() {
    let authentication = Authentication::sha1(1, b"secret", true);
    let mut pair = Pair::same(&Settings { authentication, ..settings(FAST, FAST, 3) });
    let now = pair.now;
    let end = &mut pair.ends[0];
    let own = end.transmit(now).unwrap();
    assert_eq!(end.receive(&own, now), Err(Ignored::Reflected));
    assert_eq!((end.state(), end.remote_discriminator()), (State::Down, 0));
}

#[test]
fn a_session_that_is_up_has_no_diagnostic() {
    let mut pair = Pair::up(&settings(FAST, FAST, 3));
    pair.cut[0] = true;
    pair.run(millis(100));
    let now = pair.now;
    pair.ends[1].set_admin_down(true, now);
    pair.cut[0] = false;
    pair.run(millis(100));
    let now = pair.now;
    pair.ends[1].set_admin_down(false, now);
    pair.run(millis(5000));
    assert_eq!(pair.states(), [State::Up; 2]);
    assert_eq!(pair.ends.each_ref().map(|end| end.diagnostic), [Diagnostic::NONE; 2]);
}

#[test]
fn init_ends_in_silence_too() {
    let mut pair = Pair::same(&settings(FAST, FAST, 3));
    let now = pair.now;
    let end = &mut pair.ends[0];
    let down = Control {
        state: State::Down,
        your_discriminator: 0,
        poll: true,
        is_final: false,
        ..answer()
    };
    assert_eq!(end.receive(&down.encode(0), now).unwrap().unwrap().to, State::Init);
    let answer = Control::parse(&end.transmit(now).unwrap()).unwrap().0;
    assert!(answer.is_final && answer.state == State::Init, "{answer:?}");
    let expired = end.expire(now + end.detection_time()).unwrap();
    assert_eq!((expired.from, expired.to), (State::Init, State::Down));
    assert_eq!(expired.diagnostic, Diagnostic::DETECTION_TIME_EXPIRED);
}

#[test]
fn what_is_not_believed_changes_nothing() {
    let secret = |key: &[u8]| Authentication::sha1(1, key, true);
    let with = |authentication| Settings { authentication, ..settings(FAST, FAST, 3) };
    let mut pair = Pair::up(&with(secret(b"secret")));
    let now = pair.now;
    let control = Control { state: State::Down, demand: true, ..answer() };
    let sealed = |key: &[u8], sequence: u32, control: Control| {
        let authentication = secret(key).unwrap();
        let mut packet = control.encode(authentication.section_len());
        authentication.seal(&mut packet, sequence);
        packet
    };
    let end = &mut pair.ends[0];
    let last = end.received_sequence.unwrap();
    let before = format!("{end:?}");
    let elsewhere = Control { your_discriminator: 0x1112, ..control };
    for (packet, why) in [
        (
            sealed(b"secret", last, control),
            Ignored::Rejected(Rejected::Sequence { sequence: last, last }),
        ),
        (sealed(b"sacred", last.wrapping_add(1), control), Ignored::Rejected(Rejected::Wrong)),
        (control.encode(0), Ignored::Rejected(Rejected::Missing)),
        (sealed(b"secret", last.wrapping_add(1), elsewhere), Ignored::Discriminator(0x1112)),
        (vec![0x20; 23], Ignored::Malformed(Malformed::Short(23))),
    ] {
        assert_eq!(end.receive(&packet, now), Err(why));
        assert_eq!(format!("{end:?}"), before);
    }
    let mut open = Pair::up(&with(None));
    let unexpected = sealed(b"secret", 1, control);
    let now = open.now;
    assert_eq!(
        open.ends[0].receive(&unexpected, now),
        Err(Ignored::Rejected(Rejected::Unexpected))
    );
    assert!(end.receive(&sealed(b"secret", last.wrapping_add(1), control), now).is_ok());
}

/// A system that begins anew has another sequence number, which is accepted after twice the detection time.
#[test]
fn a_sequence_is_forgotten_in_time() {
    let authentication = Authentication::sha1(1, b"secret", true);
    let settings = Settings { authentication, ..settings(FAST, FAST, 3) };
    let mut pair = Pair::up(&settings);
    pair.cut = [true, true];
    pair.run(millis(50));
    assert!(pair.ends[0].received_sequence.is_some());
    pair.run(millis(50));
    assert_eq!(pair.ends[0].received_sequence, None);
    pair.ends[1] = Session::new(settings, NonZeroU32::new(7).unwrap(), 99, pair.now);
    pair.wire.clear();
    pair.cut = [false, false];
    pair.run(millis(5000));
    assert_eq!(pair.states(), [State::Up; 2]);
}

/// Section 6.8.1: also by a system that was held up meanwhile, before the packet that it finds then.
#[test]
fn a_sequence_is_forgotten_even_if_nobody_asks_in_time() {
    let authentication = Authentication::sha1(1, b"secret", true);
    let mut pair = Pair::up(&Settings { authentication, ..settings(FAST, FAST, 3) });
    let end = &mut pair.ends[0];
    let twice = end.heard.unwrap() + 2 * end.detection_time();
    let change = end.expire(twice).unwrap();
    assert_eq!(change.diagnostic, Diagnostic::DETECTION_TIME_EXPIRED);
    assert_eq!((end.received_sequence, end.forget_sequence_at), (None, None));
}

/// Not where the other system is heard again before.
#[test]
fn a_sequence_goes_on_after_a_short_silence() {
    let authentication = Authentication::sha1(1, b"secret", true);
    let mut pair = Pair::up(&Settings { authentication, ..settings(FAST, FAST, 3) });
    pair.cut[0] = true;
    pair.run(millis(35));
    assert_eq!(pair.ends[0].state(), State::Down);
    assert!(pair.ends[0].forget_sequence_at.is_some());
    pair.cut[0] = false;
    pair.ends[1].announces = Some(pair.now);
    pair.run(millis(1));
    assert_eq!(pair.ends[0].forget_sequence_at, None);
    assert!(pair.ends[0].received_sequence.is_some());
}

/// Ten minutes in which no packet is lost, and each is late by up to five milliseconds.
#[test]
fn a_session_stays_up() {
    let mut pair = Pair::up(&settings(FAST, FAST, 3));
    let mut late = 0;
    pair.run_with(millis(600_000), |number| {
        late = (late + number as u64 * 7919) % 5000;
        Some(Duration::from_micros(late))
    });
    assert!(pair.changes.is_empty(), "{:?}", pair.changes);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However packets are lost, delayed and overtaken: both ends come up again soon after that is over, stay
    /// up, and agree.
    #[test]
    fn trouble_passes(
        fates in prop::collection::vec(prop::option::weighted(0.6, 0_u64..80), 1..200),
        commands in prop::collection::vec((0_usize..2, 0_u8..4), 0..8),
        kind in 0..4,
    ) {
        let authentication = match kind {
            0 => None,
            1 => Authentication::simple(1, b"secret"),
            kind => Authentication::sha1(1, b"secret", kind == 2),
        };
        let mut pair = Pair::same(&Settings { authentication, ..settings(FAST, 20, 3) });
        for (end, command) in commands {
            let fate = |number: usize| fates[number % fates.len()].map(millis);
            pair.run_with(millis(700), fate);
            let now = pair.now;
            match command {
                0 | 1 => {
                    let _ = pair.ends[end].set_admin_down(command == 0, now);
                }
                2 => pair.ends[end].set_intervals(intervals(30, 50), now),
                _ => pair.ends[end].set_intervals(intervals(FAST, 20), now),
            }
        }
        for end in 0..2 {
            let now = pair.now;
            let _ = pair.ends[end].set_admin_down(false, now);
            pair.ends[end].set_intervals(intervals(FAST, 20), now);
        }
        pair.run(millis(6000));
        prop_assert_eq!(pair.states(), [State::Up; 2]);
        pair.changes.clear();
        pair.run(millis(2000));
        prop_assert!(pair.changes.is_empty());
        for end in &pair.ends {
            prop_assert_eq!(end.transmit_interval(), millis(20));
            prop_assert_eq!(end.detection_time(), millis(60));
            prop_assert_eq!(end.poll, Poll::None);
        }
    }

    /// Whatever comes: when all is done that is due, the next is later.
    #[test]
    fn time_goes_on(
        events in prop::collection::vec((0_u8..8, any::<[u8; 4]>(), 0_u64..100), 1..60),
    ) {
        let mut now = Instant::now();
        let discriminator = NonZeroU32::new(0x1111).unwrap();
        let mut session = Session::new(settings(FAST, FAST, 3), discriminator, 1, now);
        for (event, [a, b, c, d], later) in events {
            let number = |byte: u8| [0, 1, 9, SLOW, u32::MAX][usize::from(byte) % 5];
            match event {
                0 => drop(session.receive(&[a, b, c, d].repeat(8), now)),
                1 => { session.set_admin_down(a % 2 == 0, now); }
                2 => session.set_intervals(intervals(u64::from(a), u64::from(b)), now),
                _ => {
                    let control = Control {
                        state: State::ALL[usize::from(a % 4)],
                        poll: a & 0x30 == 0x10,
                        is_final: a & 0x30 == 0x20,
                        demand: a & 0x40 != 0,
                        detect_mult: [1, 3, 255][usize::from(a) % 3],
                        your_discriminator: if a & 0x80 == 0 { 0x1111 } else { 0 },
                        desired_min_tx: number(b),
                        required_min_rx: number(c),
                        ..answer()
                    };
                    let _ = session.receive(&control.encode(0), now);
                }
            }
            let mut steps = 0;
            while session.deadline().is_some_and(|deadline| deadline <= now) {
                session.expire(now);
                while session.transmit(now).is_some() {
                    steps += 1;
                }
                steps += 1;
                prop_assert!(steps < 8, "{session:?}");
            }
            let deadline = session.deadline().filter(|_| d % 2 == 0);
            now = deadline.unwrap_or(now).max(now) + millis(later);
            session.expire(now);
        }
    }
}
