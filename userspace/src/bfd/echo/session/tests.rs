//! A session and a router that sends its packets back, in a time of their own.

use std::num::NonZeroU8;

use proptest::prelude::*;

use super::super::super::Intervals;
use super::*;

const INTERVAL: Duration = Duration::from_millis(10);
const DETECTION: Duration = Duration::from_millis(30);
const ROUND_TRIP: Duration = Duration::from_millis(1);

/// Longer than it takes to come up: one packet that is answered in each state, at most 1.25 s apart.
const COMING_UP: Duration = Duration::from_secs(3);

fn settings(detect_mult: u8, authentication: Option<Authentication>) -> Settings {
    Settings {
        intervals: Intervals { desired_min_tx: INTERVAL, required_min_rx: INTERVAL },
        detect_mult: NonZeroU8::new(detect_mult).unwrap(),
        authentication,
    }
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Each way of authentication, and none.
fn ways() -> [Option<Authentication>; 4] {
    [
        None,
        Authentication::simple(1, b"secret"),
        Authentication::sha1(1, b"secret", false),
        Authentication::sha1(1, b"secret", true),
    ]
}

struct Router {
    session: EchoSession,
    now: Instant,
    round_trip: Duration,
    is_cut: bool,
    /// What is under way, and when it comes back.
    wire: Vec<(Instant, Vec<u8>)>,
    sent: Vec<(Instant, Vec<u8>)>,
    changes: Vec<(Instant, Change)>,
}

impl Router {
    fn new(settings: Settings) -> Self {
        let now = Instant::now();
        let session = EchoSession::new(settings, NonZeroU32::new(0x1111).unwrap(), 7, now);
        let round_trip = ROUND_TRIP;
        let (wire, sent, changes) = (vec![], vec![], vec![]);
        Self { session, now, round_trip, is_cut: false, wire, sent, changes }
    }

    /// With a session that is up.
    fn up(settings: Settings) -> Self {
        let mut router = Self::new(settings);
        router.run(COMING_UP);
        assert_eq!(router.session.state(), State::Up);
        router.changes.clear();
        router
    }

    /// What the daemon does when it is woken now.
    fn work(&mut self) {
        let now = self.now;
        let (arrived, wire): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.wire).into_iter().partition(|(arrives, _)| *arrives <= now);
        self.wire = wire;
        for (arrival, packet) in arrived {
            let expired = self.session.expire(arrival);
            self.note(arrival, expired);
            if let Ok(change) = self.session.receive(&packet, arrival) {
                self.note(arrival, change);
            }
        }
        let expired = self.session.expire(now);
        self.note(now, expired);
        while let Some(packet) = self.session.transmit(now) {
            self.sent.push((now, packet.clone()));
            if !self.is_cut {
                self.wire.push((now + self.round_trip, packet));
            }
        }
    }

    fn note(&mut self, at: Instant, change: Option<Change>) {
        self.changes.extend(change.map(|change| (at, change)));
    }

    /// Lets time pass, the daemon awake.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.work();
            let arrivals = self.wire.iter().map(|(arrives, _)| *arrives);
            let next = arrivals.chain([self.session.deadline()]).min();
            match next {
                Some(next) if next <= end => self.now = self.now.max(next),
                _ => break,
            }
        }
        self.now = end;
    }

    /// The states that were left and entered since.
    fn states(&self) -> Vec<(State, State)> {
        self.changes.iter().map(|(_, change)| (change.from, change.to)).collect()
    }
}

/// By two packets that come back, no more than one a second, and at the interval only then (RFC 9747).
#[test]
fn it_comes_up_by_its_own_packets() {
    for authentication in ways() {
        let mut router = Router::new(settings(3, authentication));
        router.run(COMING_UP);
        assert_eq!(router.states(), [(State::Down, State::Init), (State::Init, State::Up)]);
        let (up, change) = router.changes[1];
        assert_eq!(change.diagnostic, Diagnostic::NONE);
        let slow: Vec<_> = router.sent.iter().filter(|(sent, _)| *sent < up).collect();
        assert_eq!(slow.len(), 2, "one in each state");
        assert!(slow[1].0 >= slow[0].0 + SLOW);
        router.sent.retain(|(sent, _)| *sent >= up);
        assert_eq!(router.sent[0].0, up, "at once");
        for pair in router.sent.windows(2) {
            let interval = pair[1].0 - pair[0].0;
            assert!((millis(7)..=INTERVAL).contains(&interval), "{interval:?}");
        }
    }
}

/// If the whole machine was, what has come back may not have got to here. It gets the time for that, once.
#[test]
fn what_is_noticed_late_may_come_late() {
    let now = Instant::now();
    for comes in [true, false] {
        let mut session = EchoSession::new(settings(3, None), NonZeroU32::MIN, 7, now);
        session.state = State::Up;
        let packets: Vec<_> = (1..=3).map(|n| session.transmit(now + n * INTERVAL)).collect();
        let held_up = session.expiry().unwrap() + millis(200);
        assert_eq!(session.expire(held_up), None);
        assert_eq!(session.expiry(), Some(held_up + INTERVAL));
        if comes {
            assert_eq!(session.receive(packets[2].as_ref().unwrap(), held_up), Ok(None));
            assert_eq!(session.expire(held_up + INTERVAL), None);
        } else {
            // However late that is noticed.
            assert!(session.expire(held_up + 10 * INTERVAL).is_some());
        }
    }
}

/// Every state with what may happen in it: RFC 5880 section 6.2, the received state being one's own.
#[test]
fn every_transition_is_that_of_the_rfc() {
    use State::{Down, Init, Up};
    let now = Instant::now();
    let in_state = |state: State| {
        let mut session = EchoSession::new(settings(1, None), NonZeroU32::MIN, 7, now);
        session.state = state;
        session
    };
    for (state, returned, silent) in [(Down, Init, Down), (Init, Up, Down), (Up, Up, Down)] {
        let mut session = in_state(state);
        let packet = session.transmit(now).unwrap();
        session.receive(&packet, now).unwrap();
        assert_eq!(session.state(), returned, "{state}, and its packet comes back");
        let mut session = in_state(state);
        session.transmit(now).unwrap();
        let change = session.expire(session.expiry().unwrap_or(now + 10 * SLOW));
        assert_eq!(session.state(), silent, "{state}, and nothing comes back");
        let why = change.map(|change| change.diagnostic);
        assert_eq!(why, (state != Down).then_some(Diagnostic::ECHO_FUNCTION_FAILED), "{state}");
        for other in State::ALL.into_iter().filter(|other| *other != state) {
            let mut session = in_state(state);
            let mut packet = session.transmit(now).unwrap();
            packet[1] = (other as u8) << 6;
            assert_eq!(session.receive(&packet, now), Err(NotOurs::Other));
            assert_eq!(session.state(), state, "{state}, and a packet says {other}");
        }
    }
}

/// What nobody heeds is as RFC 9747 has it.
#[test]
fn every_field_is_what_the_rfc_says() {
    let mut router = Router::new(settings(5, None));
    router.run(COMING_UP);
    let packets: Vec<Control> =
        router.sent.iter().map(|(_, packet)| Control::parse(packet).unwrap().0).collect();
    let down = Control {
        diagnostic: Diagnostic::NONE,
        state: State::Down,
        poll: false,
        is_final: false,
        demand: false,
        detect_mult: 5,
        my_discriminator: 0x1111,
        your_discriminator: 0,
        desired_min_tx: 1_000_000,
        required_min_rx: 1_000_000,
        required_min_echo_rx: 0,
    };
    let init = Control { state: State::Init, your_discriminator: 0x1111, ..down };
    assert_eq!(packets[..3], [down, init, Control { state: State::Up, ..init }]);
}

#[test]
fn it_goes_down_when_nothing_comes_back_and_up_again_when_it_does() {
    let mut router = Router::up(settings(3, None));
    let cut = router.now;
    router.is_cut = true;
    router.run(millis(100));
    let (down, change) = router.changes[0];
    assert_eq!((change.from, change.to), (State::Up, State::Down));
    assert_eq!(change.diagnostic, Diagnostic::ECHO_FUNCTION_FAILED);
    let longest = DETECTION + ROUND_TRIP + INTERVAL / 4;
    assert!((millis(15)..=longest).contains(&(down - cut)), "{:?}", down - cut);
    router.sent.clear();
    router.run(millis(10_000));
    assert!((7..=10).contains(&router.sent.len()), "slowly: {}", router.sent.len());
    assert_eq!(router.changes.len(), 1);
    router.is_cut = false;
    router.run(COMING_UP);
    assert_eq!(router.states()[1..], [(State::Down, State::Init), (State::Init, State::Up)]);
}

/// As long as fewer are lost in a row than may be.
#[test]
fn it_stays_up_while_every_third_packet_comes_back() {
    let mut router = Router::up(settings(3, None));
    for _ in 0..100 {
        router.is_cut = true;
        let sent = router.sent.len();
        while router.sent.len() < sent + 2 {
            router.run(millis(1));
        }
        router.is_cut = false;
        while router.sent.len() < sent + 3 {
            router.run(millis(1));
        }
        router.run(ROUND_TRIP);
    }
    assert_eq!(router.states(), []);
}

/// Under `SIGSTOP`, say: nothing is sent, so nothing comes back, and that is no wonder.
#[test]
fn its_own_silence_is_not_taken_for_the_routers() {
    for (detect_mult, round_trip) in [(1, 1), (1, 40), (2, 15), (3, 1), (3, 40), (3, 400)] {
        let mut router = Router::new(settings(detect_mult, None));
        router.round_trip = millis(round_trip);
        router.run(COMING_UP);
        router.changes.clear();
        for held_up in [5, 15, 25, 35, 100, 5_000] {
            router.now += millis(held_up);
            router.run(millis(held_up / 2 + 60));
        }
        assert_eq!(router.states(), [], "{detect_mult} times, {round_trip} ms");
    }
}

proptest! {
    /// However often it is held up, and for how long, and wherever the packets are then.
    #[test]
    fn nothing_but_the_routers_silence_takes_it_down(
        detect_mult in 1u8..6,
        round_trip in 0u64..300,
        naps in prop::collection::vec((0u64..2_000, 0u64..100), 1..40),
    ) {
        let mut router = Router::new(settings(detect_mult, None));
        router.round_trip = millis(round_trip);
        router.run(COMING_UP);
        router.changes.clear();
        for (asleep, awake) in naps {
            router.now += millis(asleep);
            router.run(millis(awake));
        }
        prop_assert_eq!(router.session.state(), State::Up);
        prop_assert_eq!(router.states(), []);
    }
}

#[test]
fn what_has_died_while_it_was_held_up_is_found_dead_then() {
    let mut router = Router::up(settings(3, None));
    router.is_cut = true;
    router.now += millis(5_000);
    let woken = router.now;
    router.run(millis(100));
    let (down, change) = router.changes[0];
    assert_eq!(change.to, State::Down);
    assert!((millis(15)..=DETECTION).contains(&(down - woken)), "{:?}", down - woken);
}

/// What was asked for may be sent later, by a system that was held up between.
#[test]
fn a_packet_counts_from_when_it_was_sent() {
    let mut router = Router::up(settings(1, None));
    while !router.wire.is_empty() {
        router.run(millis(1));
    }
    router.now = router.session.due;
    assert!(router.session.transmit(router.now).is_some());
    router.now += millis(5_000);
    router.session.sent(router.now);
    assert_eq!(router.session.expire(router.now + ROUND_TRIP), None);
    assert!(router.session.expire(router.now + INTERVAL).is_some());
}

/// Packets are under way longer than the detection time: the first fast one comes back late, and none is missed.
#[test]
fn a_router_that_is_far_away_is_not_dead() {
    for round_trip in [29, 31, 100, 900] {
        let mut router = Router::new(settings(3, None));
        router.round_trip = millis(round_trip);
        router.run(2 * COMING_UP);
        assert_eq!(router.states().len(), 2, "{round_trip} ms");
        router.is_cut = true;
        router.run(millis(round_trip + 100));
        assert_eq!(router.session.state(), State::Down, "{round_trip} ms");
    }
}

/// All that was under way when the session went down comes later, in every state after that.
#[test]
fn what_was_sent_before_it_went_down_brings_nothing_up() {
    for authentication in ways() {
        let mut router = Router::up(settings(3, authentication));
        router.is_cut = true;
        let before = router.sent.len();
        router.run(millis(100));
        assert_eq!(router.session.state(), State::Down);
        let kept: Vec<_> = router.sent[before..].iter().map(|(_, packet)| packet.clone()).collect();
        assert!(kept.len() >= 3);
        for state in [State::Down, State::Init, State::Up] {
            router.session.enter(state, None, router.now);
            for packet in &kept {
                let received = router.session.receive(packet, router.now);
                assert!(received.is_err(), "{state}: {received:?}");
            }
            assert_eq!(router.session.state(), state);
        }
    }
}

/// Somebody keeps all packets of a session that is up and sends them again and again while the router is dead.
#[test]
fn what_is_replayed_does_not_hold_it_up() {
    for authentication in ways() {
        let mut router = Router::up(settings(3, authentication));
        router.is_cut = true;
        let cut = router.now;
        while router.now < cut + millis(50) {
            router.run(millis(1));
            // What came back once, and so shows nothing.
            let returned = router.sent.iter().filter(|(sent, _)| *sent + ROUND_TRIP <= cut);
            for (_, packet) in returned {
                let received = router.session.receive(packet, router.now);
                assert!(matches!(received, Err(NotOurs::Number(_) | NotOurs::Other)));
            }
        }
        assert_eq!(router.session.state(), State::Down);
    }
}

#[test]
fn one_that_is_overtaken_does_not_count() {
    let mut router = Router::up(settings(3, None));
    router.is_cut = true;
    let sent = router.sent.len();
    while router.sent.len() < sent + 2 {
        router.run(millis(1));
    }
    let [(_, first), (_, second)] = &router.sent[sent..sent + 2] else { panic!("two are sent") };
    assert_eq!(router.session.receive(second, router.now), Ok(None));
    for again in [first, second] {
        let received = router.session.receive(again, router.now);
        assert!(matches!(received, Err(NotOurs::Number(_))), "{received:?}");
    }
}

#[test]
fn each_bit_of_a_packet_has_to_come_back() {
    for authentication in ways() {
        let mut router = Router::up(settings(3, authentication));
        router.is_cut = true;
        let sent = router.sent.len();
        while router.sent.len() == sent {
            router.run(millis(1));
        }
        let packet = router.sent[sent].1.clone();
        for bit in 0..8 * packet.len() {
            let mut changed = packet.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(router.session.receive(&changed, router.now).is_err(), "bit {bit}");
        }
        for length in 0..packet.len() {
            assert!(router.session.receive(&packet[..length], router.now).is_err());
        }
        assert!(router.session.receive(&[&packet[..], &[0]].concat(), router.now).is_err());
        assert_eq!(router.session.receive(&packet, router.now), Ok(None));
    }
}

/// With SHA1, it takes the secret to make up the number that comes next.
#[test]
fn nobody_makes_up_a_packet_without_the_secret() {
    let [secret, other] =
        [b"secret", b"sacred"].map(|secret| Authentication::sha1(1, secret, true));
    let mut router = Router::up(settings(3, secret));
    let mut forger =
        EchoSession::new(settings(3, other), NonZeroU32::new(0x1111).unwrap(), 7, router.now);
    forger.state = State::Up;
    let forged = forger.packet(router.session.number);
    assert_eq!(router.session.receive(&forged, router.now), Err(NotOurs::Other));
}

#[test]
fn another_interval_holds_at_once() {
    let mut router = Router::up(settings(3, None));
    router.session.set_interval(millis(100), router.now);
    router.run(millis(1_000));
    assert_eq!(router.session.detection_time(), millis(300));
    router.session.set_interval(INTERVAL, router.now);
    router.run(millis(1_000));
    assert_eq!(router.states(), [], "neither is taken for silence");
    let fast = router.sent.iter().filter(|(sent, _)| *sent > router.now - millis(500)).count();
    assert!(fast >= 50, "{fast}");
}

/// While nothing comes back for hours, and where it comes from another planet.
#[test]
fn what_is_awaited_is_limited() {
    let mut router = Router::up(settings(255, None));
    router.is_cut = true;
    router.run(millis(20_000));
    assert!(router.session.unanswered.len() <= MOST_UNANSWERED);
    for _ in 0..3 * MOST_UNANSWERED {
        router.now += 2 * SLOW;
        assert!(router.session.transmit(router.now).is_some());
        assert!(router.session.unanswered.len() <= MOST_UNANSWERED);
    }
}
