//! Several probes, of which some have to be answering.

use super::*;

const THIRD: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 55);
const ALL: [Ipv4Addr; 3] = [TARGET, OTHER, THIRD];

/// An uplink that is up, with three probes that are all answering.
fn up(quorum: Quorum) -> Lab {
    let mut lab = Lab::ready(&ALL);
    lab.health.reconfigure(&ids(&ALL), Thresholds { quorum, ..THRESHOLDS }, lab.now);
    for target in ALL {
        lab.probes(target, true, 2);
    }
    assert_eq!(lab.state(), State::Up);
    lab
}

#[test]
fn it_takes_so_many_failing_probes_to_take_an_uplink_down() {
    for (quorum, to_go) in [
        (Quorum::Any, 3),
        (Quorum::AtLeast(1), 3),
        (Quorum::AtLeast(2), 2),
        (Quorum::AtLeast(3), 1),
        (Quorum::All, 1),
    ] {
        let mut lab = up(quorum);
        for target in &ALL[..to_go - 1] {
            lab.probes(*target, false, 10);
        }
        let last = ALL[to_go - 1];
        lab.probes(last, false, 2);
        assert_eq!(lab.state(), State::Up, "{quorum:?}");
        assert_eq!(lab.probe(last, false), State::Down, "{quorum:?}");
    }
}

#[test]
fn it_takes_the_quorum_to_bring_it_back() {
    let mut lab = up(Quorum::AtLeast(2));
    for target in ALL {
        lab.probes(target, false, 3);
    }
    lab.probes(TARGET, true, 10);
    assert_eq!(lab.probe(OTHER, true), State::Down);
    assert_eq!(lab.reason(), "3 probes of icmp 192.0.2.55 failed");
    assert_eq!(lab.probe(OTHER, true), State::Up);
    assert_eq!(lab.reason(), "probes answered");
}

#[test]
fn it_says_who_failed_and_how_far_the_quorum_is() {
    let mut lab = up(Quorum::All);
    lab.probes(OTHER, false, 4);
    assert_eq!(lab.reason(), "4 probes of icmp 192.0.2.54 failed");
    lab.probe(OTHER, true);
    assert_eq!(lab.reason(), "1 of 2 probes answered so far");
    lab.probe(TARGET, false);
    assert_eq!(lab.reason(), "1 of 2 probes answered so far", "the target is still answering");
}

#[test]
fn a_probe_that_failed_is_believed_only_after_several_answers() {
    let mut lab = up(Quorum::AtLeast(2));
    lab.probes(TARGET, false, 3);
    lab.probe(TARGET, true);
    assert_eq!(lab.state(), State::Up);
    lab.probes(OTHER, false, 3);
    assert_eq!(lab.state(), State::Down);
    assert_eq!(lab.reason(), "3 probes of icmp 192.0.2.54 failed");
}

#[test]
fn a_probe_that_is_new_does_not_take_down_what_is_up() {
    let mut lab = Lab::up(&[TARGET]);
    let all = Thresholds { quorum: Quorum::All, ..THRESHOLDS };
    assert!(!lab.health.reconfigure(&ids(&ALL), all, lab.now));
    lab.probes(OTHER, false, 2);
    assert_eq!(lab.state(), State::Up);
    assert_eq!(lab.probe(OTHER, false), State::Down);
}

#[test]
fn at_first_every_probe_of_the_quorum_needs_one_answer() {
    let mut lab = Lab::ready(&ALL);
    let two = Thresholds { quorum: Quorum::AtLeast(2), ..THRESHOLDS };
    lab.health.reconfigure(&ids(&ALL), two, lab.now);
    assert_eq!(lab.probe(TARGET, true), State::Testing);
    assert_eq!(lab.probe(TARGET, true), State::Testing);
    assert_eq!(lab.reason(), "0 of 1 probes answered so far");
    assert_eq!(lab.probe(THIRD, true), State::Up);
}

/// What one probe is taken for, read off its whole history.
fn is_answering(history: &[bool], thresholds: Thresholds) -> bool {
    let (down_after, up_after) = (thresholds.down_after as usize, thresholds.up_after as usize);
    let last_change = (0..=history.len()).rev().find_map(|end| {
        let before = &history[..end];
        let ends_with = |outcome, count| {
            end >= count && before[end - count..].iter().all(|answered| *answered == outcome)
        };
        ends_with(false, down_after).then_some(false).or(ends_with(true, up_after).then_some(true))
    });
    last_change.expect("the first outcomes are all answers")
}

proptest! {
    #[test]
    fn it_is_down_while_fewer_than_the_quorum_are_answering(
        outcomes in proptest::collection::vec((0usize..3, any::<bool>()), 0..120),
        quorum in prop_oneof![
            Just(Quorum::Any),
            Just(Quorum::All),
            (1usize..4).prop_map(Quorum::AtLeast),
        ],
        (down_after, up_after) in (1u32..5, 1u32..5),
    ) {
        let thresholds = Thresholds { down_after, up_after, quorum };
        let mut lab = Lab::ready(&ALL);
        lab.health.reconfigure(&ids(&ALL), thresholds, lab.now);
        let mut histories = [const { Vec::new() }; 3];
        for (target, history) in ALL.iter().zip(&mut histories) {
            lab.probes(*target, true, up_after);
            history.extend(std::iter::repeat_n(true, up_after as usize));
        }
        for (probe, answered) in outcomes {
            lab.probe(ALL[probe], answered);
            histories[probe].push(answered);
            let answering =
                histories.iter().filter(|history| is_answering(history, thresholds)).count();
            let expected = if answering < quorum.of(3) { State::Down } else { State::Up };
            prop_assert_eq!(lab.state(), expected, "{:?}", histories);
        }
    }
}
