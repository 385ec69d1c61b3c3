//! Two sessions, over a wire that loses, delays, doubles and reorders, until it is good, and then cut.

use super::super::*;

/// How an end is configured: its intervals in milliseconds, and its multiplier.
type End = ((u64, u64), u8);

fn times() -> impl Strategy<Value = (u64, u64)> {
    (20_u64..200, 20_u64..200)
}

fn end() -> impl Strategy<Value = End> {
    (times(), 1_u8..6)
}

/// What an operator does to an end.
#[derive(Clone, Copy, Debug)]
enum Command {
    AdminDown(bool),
    Intervals(u64, u64),
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        any::<bool>().prop_map(Command::AdminDown),
        (20_u64..2000, 20_u64..2000).prop_map(|(tx, rx)| Command::Intervals(tx, rx)),
    ]
}

fn obey(pair: &mut Pair, number: usize, command: Command) {
    let (now, end) = (pair.now, &mut pair.ends[number]);
    match command {
        Command::AdminDown(is_down) => drop(end.set_admin_down(is_down, now)),
        Command::Intervals(tx, rx) => end.set_intervals(intervals(tx, rx), now),
    }
}

/// By kind: none, and each that there is.
fn authentication(kind: u8) -> Option<Authentication> {
    match kind {
        0 => None,
        1 => Authentication::simple(1, b"secret"),
        kind => Authentication::sha1(1, b"secret", kind == 2),
    }
}

/// After how long a good wire the ends are up whatever was before. An end that has missed too many packets to
/// follow the other's sequence numbers forgets them after twice its detection time (RFC 5880 section 6.8.1),
/// which is five intervals of two seconds at most. After that each is to hear the other twice.
const LONG_ENOUGH: u64 = 2 * 5 * 2000 + 3 * 2000;

/// Both are as sections 6.8.2 and 6.8.4 have it.
fn assert_agreed(pair: &Pair, ends: [End; 2]) {
    for (number, end) in pair.ends.iter().enumerate() {
        let (((tx, rx), _), ((other_tx, other_rx), other_mult)) = (ends[number], ends[1 - number]);
        assert_eq!(end.state(), State::Up, "{end:?}");
        assert_eq!(end.transmit_interval(), millis(tx.max(other_rx)), "{end:?}");
        assert_eq!(end.detection_time(), millis(rx.max(other_tx)) * other_mult.into(), "{end:?}");
    }
}

/// Nothing comes through any more: each end goes down when its detection time has passed, and not before.
fn assert_each_expires(pair: &mut Pair) {
    pair.cut = [true; 2];
    pair.wire.clear();
    let deadlines =
        { pair.ends.each_ref() }.map(|end| end.heard.expect("it is up") + end.detection_time());
    let moment = Duration::from_nanos(1);
    let mut times = [deadlines[0] - moment, deadlines[0], deadlines[1] - moment, deadlines[1]];
    times.sort();
    for time in times {
        pair.run(time - pair.now);
        let states = deadlines.map(|at| if at <= time { State::Down } else { State::Up });
        assert_eq!(pair.states(), states, "{:?}", pair.ends);
    }
    let expired = pair.changes.iter().map(|(_, change)| change.diagnostic);
    assert_eq!(expired.collect::<Vec<_>>(), [Diagnostic::DETECTION_TIME_EXPIRED; 2]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_good_wire_brings_both_up_and_a_cut_one_down(
        mut ends in [end(), end()],
        // What each is to go over to while both are up, and when.
        others in [(times(), 0_u64..400), (times(), 0_u64..400)],
        kind in 0_u8..4,
        // After how many milliseconds each copy of a packet arrives.
        fates in prop::collection::vec(prop::collection::vec(0_u64..400, 0..3), 1..200),
        commands in prop::collection::vec((0_usize..2, command(), 0_u64..2000), 0..8),
        phase in 0_u64..1000,
    ) {
        let mut pair = Pair::new(ends.map(|((tx, rx), detect_mult)| {
            Settings { authentication: authentication(kind), ..settings(tx, rx, detect_mult) }
        }));
        let fate = |number: usize| fates[number % fates.len()].iter().copied().map(millis);
        for (number, command, pause) in commands {
            pair.run_with(millis(pause), fate);
            obey(&mut pair, number, command);
        }
        pair.run_with(millis(phase), fate);
        for (number, ((tx, rx), _)) in ends.into_iter().enumerate() {
            obey(&mut pair, number, Command::AdminDown(false));
            obey(&mut pair, number, Command::Intervals(tx, rx));
        }
        pair.run(millis(LONG_ENOUGH));
        assert_agreed(&pair, ends);
        pair.changes.clear();
        for (number, (times, pause)) in others.into_iter().enumerate() {
            pair.run(millis(pause));
            obey(&mut pair, number, Command::Intervals(times.0, times.1));
            ends[number].0 = times;
        }
        pair.run(millis(2000 + phase));
        assert_agreed(&pair, ends);
        prop_assert!(pair.changes.is_empty(), "{:?}", pair.changes);
        assert_each_expires(&mut pair);
    }
}
