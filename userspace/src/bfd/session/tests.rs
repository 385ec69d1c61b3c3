//! Two sessions that talk to each other, over wires that lose and delay, in a time of their own.

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

    /// Lets time pass. `fate` says of each packet by its number after how long it arrives, if it does.
    fn run_with(&mut self, time: Duration, mut fate: impl FnMut(usize) -> Option<Duration>) {
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
    fn step(&mut self, number: usize, fate: &mut impl FnMut(usize) -> Option<Duration>) {
        let now = self.now;
        let (arrived, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.wire)
            .into_iter()
            .partition(|sent| sent.to == number && sent.arrives <= now);
        self.wire = rest;
        let end = &mut self.ends[number];
        let mut changes = Vec::new();
        for sent in arrived {
            changes.extend(end.receive(&sent.packet, now).expect("a peer is not ignored"));
        }
        changes.extend(end.expire(now));
        while let Some(packet) = end.transmit(now) {
            let (control, _) = Control::parse(&packet).expect("what is sent is well formed");
            if end.state() != State::Up {
                assert!(control.desired_min_tx >= SLOW && !control.poll, "{control:?}");
            }
            let to = 1 - number;
            let delay = fate(self.log.len()).filter(|_| !self.cut[to]);
            self.log.push((now, to, control));
            self.wire.extend(delay.map(|delay| Sent { arrives: now + delay, to, packet }));
        }
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

#[test]
fn the_other_end_is_told_when_one_is_held_down() {
    let mut pair = Pair::up(&settings(FAST, FAST, 3));
    let now = pair.now;
    let change = pair.ends[0].hold_down(true, now).unwrap();
    assert_eq!(change.diagnostic, Diagnostic::ADMINISTRATIVELY_DOWN);
    assert_eq!(pair.ends[0].hold_down(true, now), None);
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
    assert_eq!(pair.ends[0].hold_down(false, now).unwrap().to, State::Down);
    pair.run(millis(5000));
    assert_eq!(pair.states(), [State::Up; 2]);
}

/// Section 6.8.3: what makes packets rarer, or has more of them expected, waits for the other's answer.
#[test]
fn other_intervals_hold_when_they_are_agreed_upon() {
    let mut pair = Pair::up(&settings(20, 40, 3));
    let now = pair.now;
    pair.cut[0] = true;
    pair.ends[0].set_intervals(intervals(80, 10), now);
    pair.run(millis(15));
    assert_eq!(pair.ends[0].transmit_interval(), millis(40));
    assert_eq!(pair.ends[0].detection_time(), millis(120));
    // The other one knows already, and takes its time.
    assert_eq!(pair.ends[1].detection_time(), millis(240));
    pair.cut[0] = false;
    pair.run(millis(500));
    assert_eq!(pair.states(), [State::Up; 2]);
    assert!(pair.changes.is_empty(), "{:?}", pair.changes);
    assert_eq!(pair.ends[0].transmit_interval(), millis(80));
    assert_eq!(pair.ends[1].transmit_interval(), millis(20));
    assert_eq!(pair.ends[0].detection_time(), millis(60));
    let polls = pair.log.iter().filter(|(.., control)| control.poll).count();
    let answers = pair.log.iter().filter(|(.., control)| control.is_final).count();
    assert!(polls >= 1 && answers >= 1, "{polls} polls, {answers} answers");
    assert_eq!(pair.ends[0].poll, Poll::None);
}

/// The answer to the first offer says nothing of the second.
#[test]
fn an_offer_during_a_poll_has_a_poll_of_its_own() {
    let mut pair = Pair::up(&settings(20, 20, 3));
    let now = pair.now;
    pair.ends[0].set_intervals(intervals(40, 20), now);
    pair.ends[0].set_intervals(intervals(80, 20), now);
    let packet = answer().encode(0);
    pair.ends[0].receive(&packet, now).unwrap();
    assert_eq!(pair.ends[0].transmit_interval(), millis(20));
    pair.ends[0].receive(&packet, now).unwrap();
    assert_eq!(pair.ends[0].transmit_interval(), millis(80));
}

#[test]
fn packets_are_sent_at_random_times_within_the_bounds() {
    for (detect_mult, most) in [(1, 90), (3, 100)] {
        let mut pair = Pair::up(&settings(100, 100, detect_mult));
        pair.run_with(millis(60_000), |_| Some(Duration::ZERO));
        let to_one: Vec<Instant> = { pair.log.iter() }
            .filter(|(_, to, control)| *to == 1 && !control.is_final)
            .map(|(at, ..)| *at)
            .collect();
        let gaps: Vec<Duration> = to_one.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let (least, greatest) = (gaps.iter().min().unwrap(), gaps.iter().max().unwrap());
        assert!(*least >= millis(75) && *least < millis(77), "{least:?}");
        assert!(*greatest <= millis(most) && *greatest > millis(most - 2), "{greatest:?}");
    }
}

#[test]
fn who_can_receive_more_gets_more_at_once() {
    let mut pair = Pair::up(&settings(FAST, FAST, 3));
    let now = pair.now;
    let end = &mut pair.ends[0];
    let slow = Control { required_min_rx: 1_000_000, is_final: false, ..answer() };
    end.receive(&slow.encode(0), now).unwrap();
    let sent = end.deadline().unwrap();
    end.transmit(sent).expect("it is time");
    assert!(end.due > sent + millis(700));
    end.receive(&answer().encode(0), sent).unwrap();
    assert_eq!(end.due, sent + millis(20));
}

/// Sections 6.8.7 and 6.6: of who can receive none, or has them on demand only.
#[test]
fn who_wants_no_periodic_packets_gets_none() {
    for (required_min_rx, demand) in [(0, false), (10_000, true)] {
        let mut pair = Pair::up(&settings(FAST, FAST, 3));
        let now = pair.now;
        let control = Control {
            poll: true,
            is_final: false,
            demand,
            detect_mult: 255,
            desired_min_tx: 1_000_000,
            required_min_rx,
            ..answer()
        };
        let end = &mut pair.ends[0];
        end.receive(&control.encode(0), now).unwrap();
        assert_eq!(end.deadline(), Some(now));
        let answer = end.transmit(now).expect("a poll is answered all the same");
        assert!(Control::parse(&answer).unwrap().0.is_final);
        assert_eq!(end.transmit(now + millis(60_000)), None);
        assert_eq!(end.deadline(), Some(now + Duration::from_secs(255)));
    }
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

/// Not where the other system is heard again before.
#[test]
fn a_sequence_goes_on_after_a_short_silence() {
    let authentication = Authentication::sha1(1, b"secret", true);
    let mut pair = Pair::up(&Settings { authentication, ..settings(FAST, FAST, 3) });
    pair.cut[0] = true;
    pair.run(millis(35));
    assert_eq!(pair.ends[0].state(), State::Down);
    assert!(pair.ends[0].forgotten.is_some());
    pair.cut[0] = false;
    pair.ends[1].due = pair.now;
    pair.run(millis(1));
    assert_eq!(pair.ends[0].forgotten, None);
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
    ) {
        let mut pair = Pair::same(&settings(FAST, 20, 3));
        for (end, command) in commands {
            let fate = |number: usize| fates[number % fates.len()].map(millis);
            pair.run_with(millis(700), fate);
            let now = pair.now;
            match command {
                0 | 1 => {
                    let _ = pair.ends[end].hold_down(command == 0, now);
                }
                2 => pair.ends[end].set_intervals(intervals(30, 50), now),
                _ => pair.ends[end].set_intervals(intervals(FAST, 20), now),
            }
        }
        for end in 0..2 {
            let now = pair.now;
            let _ = pair.ends[end].hold_down(false, now);
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

    #[test]
    fn no_datagram_brings_a_session_to_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let now = Instant::now();
        let discriminator = NonZeroU32::new(0x1111).unwrap();
        let mut session = Session::new(settings(FAST, FAST, 3), discriminator, 1, now);
        let _ = session.receive(&bytes, now);
        let _ = session.expire(now + millis(1));
        while session.transmit(now + millis(1)).is_some() {}
    }
}
