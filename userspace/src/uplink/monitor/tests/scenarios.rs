//! What goes wrong with real paths, in simulated time, and at most how often the state changes by it.

use super::*;

const SECONDS_30: Duration = Duration::from_secs(30);
/// Long enough for a window to be clean, and for what is dampened to return.
const AFTERWARDS: Duration = Duration::from_secs(120);
/// No run of losses takes it down.
const PATIENT: Thresholds = Thresholds { down_after: 5, up_after: 1, quorum: Quorum::Any };

/// Two of five probes are lost, in an order that is drawn anew for every five.
fn two_of_five_lost(seed: u64) -> impl FnMut(u64) -> Option<Duration> {
    let (mut random, mut outcomes) = (fastrand::Rng::with_seed(seed), Vec::new());
    move |_| {
        if outcomes.is_empty() {
            outcomes = vec![true, true, true, false, false];
            random.shuffle(&mut outcomes);
        }
        outcomes.pop().unwrap_or(true).then(|| ms(20))
    }
}

/// Round trips that vary by 50 ms to either side.
fn jittery(seed: u64) -> impl FnMut(u64) -> Option<Duration> {
    let mut random = fastrand::Rng::with_seed(seed);
    move |_| Some(ms(random.u64(20..=120)))
}

/// How often something is lost at most until it is dampened, if it is lost every `period`: the penalties of
/// so many flaps, each decayed since, exceed the threshold.
fn flaps_until_suppressed(rules: &Dampening, period: Duration) -> usize {
    let decay = (-period.as_secs_f64() / rules.half_life.as_secs_f64()).exp2();
    let mut penalty = 0.0;
    (1..)
        .find(|_| {
            penalty = penalty * decay + 1000.0;
            penalty > f64::from(rules.suppress)
        })
        .expect("the penalties of a short period add up")
}

#[test]
fn loss_of_40_percent_degrades_once_and_is_over_once() {
    for seed in 0..20 {
        let requirements = Requirements { sla: degraded_by(LOSS), ..Requirements::default() };
        let mut lab = Lab::new(PATIENT, requirements);
        lab.probe_well(SECONDS_30);
        lab.probe(SECONDS_30, two_of_five_lost(seed));
        assert_eq!(lab.changes, [State::Degraded], "seed {seed}");
        assert!(lab.reason().starts_with("service level: loss "), "{}", lab.reason());
        lab.probe_well(SECONDS_30);
        assert_eq!(lab.changes, [State::Degraded, State::Up], "seed {seed}");
    }
}

#[test]
fn loss_of_40_percent_is_down_where_the_configuration_says_so() {
    let sla = Sla { down: vec![Limit { enter: 300_000, ..LOSS }], ..Sla::default() };
    for seed in 0..20 {
        let requirements = Requirements { sla: sla.clone(), ..Requirements::default() };
        let mut lab = Lab::new(PATIENT, requirements);
        lab.probe_well(SECONDS_30);
        lab.probe(SECONDS_30, two_of_five_lost(seed));
        assert_eq!(lab.changes, [State::Down], "seed {seed}");
        lab.probe_well(SECONDS_30);
        assert_eq!(lab.changes, [State::Down, State::Up], "seed {seed}");
    }
}

/// Where two losses in a row take it down, and the next answer brings it back.
#[test]
fn loss_of_40_percent_that_makes_it_flap_is_dampened() {
    let nervous = Thresholds { down_after: 2, up_after: 1, quorum: Quorum::Any };
    // A loss, another, and an answer, at least.
    let most = flaps_until_suppressed(&DAMPENING, 3 * INTERVAL);
    for seed in 0..20 {
        let changes = |stability| {
            let mut lab = Lab::new(nervous, Requirements { stability, ..Requirements::default() });
            lab.probe(SECONDS_30, two_of_five_lost(seed));
            let during = lab.changes.len();
            lab.probe_well(AFTERWARDS);
            assert_eq!(lab.state(), State::Up);
            during
        };
        let dampened = changes(dampened());
        assert!(dampened < 2 * most, "seed {seed}: {dampened} changes, {most} flaps");
        let undampened = changes(Stability::default());
        assert!(undampened > 4 * most, "seed {seed}: {undampened} changes");
    }
}

#[test]
fn a_latency_step_of_300_ms_degrades_once_and_is_over_once() {
    for percentile in [Percentile::P50, Percentile::P95] {
        let metric = Metric::Latency(percentile);
        let sla = degraded_by(Limit { metric, enter: 200_000, leave: 100_000 });
        let mut lab = Lab::new(THRESHOLDS, Requirements { sla, ..Requirements::default() });
        lab.timeout = ms(1000);
        lab.probe_well(SECONDS_30);
        lab.probe(SECONDS_30, |_| Some(ms(320)));
        assert_eq!(lab.changes, [State::Degraded]);
        let expected = format!("service level: {percentile} latency 320 ms, good from 100 ms down");
        assert_eq!(lab.reason(), expected);
        lab.probe_well(SECONDS_30);
        assert_eq!(lab.changes, [State::Degraded, State::Up]);
    }
}

#[test]
fn jitter_of_50_ms_degrades_once_and_is_over_once() {
    let metric = Metric::Jitter(Percentile::P95);
    let limit = Limit { metric, enter: 40_000, leave: 10_000 };
    for seed in 0..20 {
        let sla = degraded_by(limit);
        let mut lab = Lab::new(THRESHOLDS, Requirements { sla, ..Requirements::default() });
        lab.timeout = ms(1000);
        lab.probe_well(SECONDS_30);
        lab.probe(SECONDS_30, jittery(seed));
        assert_eq!(lab.changes, [State::Degraded], "seed {seed}");
        lab.probe_well(SECONDS_30);
        assert_eq!(lab.changes, [State::Degraded, State::Up], "seed {seed}");
    }
}

/// Lost for 300 ms, well for 300 ms, and so on for 30 s.
#[test]
fn a_path_that_flaps_every_300_ms_is_dampened() {
    let most = flaps_until_suppressed(&DAMPENING, ms(600));
    let run = |stability| {
        let mut lab = Lab::new(THRESHOLDS, Requirements { stability, ..Requirements::default() });
        lab.probe(SECONDS_30, |at| (at / 300 % 2 == 1).then(|| ms(20)));
        let during = lab.changes.len();
        (lab, during)
    };
    let (_, undampened) = run(Stability::default());
    assert!(undampened > 4 * most, "{undampened} changes");
    let (mut lab, during) = run(dampened());
    assert!(during < 2 * most, "{during} changes, {most} flaps");
    assert_eq!(lab.state(), State::Down);
    assert!(lab.reason().starts_with("3 probes of") || lab.reason().starts_with("dampened"));
    // Once it is over, it is back: once, and as late as the rules say.
    lab.probe_well(ms(2000));
    assert_eq!(lab.state(), State::Down);
    let instability = lab.monitor.instability(lab.now).expect("it is dampened");
    assert!(instability.suppressed && instability.flaps > 4 * most as u32, "{instability:?}");
    let back = lab.monitor.deadline().expect("it will be back");
    assert!(back <= lab.now + DAMPENING.max_suppress);
    lab.probe_well(back - lab.now);
    assert_eq!((lab.state(), lab.changes.len()), (State::Up, during + 1));
    lab.probe_well(AFTERWARDS);
    assert_eq!(lab.changes.len(), during + 1);
}

#[test]
fn a_carrier_that_flaps_every_300_ms_is_dampened() {
    let most = flaps_until_suppressed(&DAMPENING, ms(600));
    let fast = Thresholds { down_after: 3, up_after: 1, quorum: Quorum::Any };
    let run = |stability| {
        let mut lab = Lab::new(fast, Requirements { stability, ..Requirements::default() });
        for _ in 0..50 {
            lab.apply(&[Event::Interface(Interface::NoCarrier)]);
            lab.probe(ms(300), |_| None);
            lab.apply(&[Event::Interface(Interface::Running)]);
            lab.probe_well(ms(300));
        }
        lab
    };
    assert_eq!(run(Stability::default()).changes.len(), 100);
    let mut lab = run(dampened());
    let during = lab.changes.len();
    assert!(during < 2 * most, "{during} changes, {most} flaps");
    assert!(lab.reason().starts_with("dampened: flapped "), "{}", lab.reason());
    lab.probe_well(AFTERWARDS);
    assert_eq!((lab.state(), lab.changes.len()), (State::Up, during + 1));
}

/// What is never well for as long as it is held down never returns.
#[test]
fn a_path_that_flaps_every_300_ms_is_held_down() {
    let stability = held_down(ms(1000));
    let mut lab = Lab::new(THRESHOLDS, Requirements { stability, ..Requirements::default() });
    lab.probe(SECONDS_30, |at| (at / 300 % 2 == 1).then(|| ms(20)));
    assert_eq!(lab.changes, [State::Down]);
    lab.probe_well(ms(3000));
    assert_eq!(lab.changes, [State::Down, State::Up]);
}

/// A path whose quality comes and goes changes the preference only as often as dampening allows, and it
/// stays usable all the time.
#[test]
fn a_service_level_that_flaps_is_dampened() {
    let sla = Sla { window: ms(1000), min_samples: 5, ..degraded_by(LOSS) };
    let most = flaps_until_suppressed(&DAMPENING, ms(4000));
    let run = |stability| {
        let patient = Thresholds { down_after: 100, up_after: 1, quorum: Quorum::Any };
        let mut lab = Lab::new(patient, Requirements { sla: sla.clone(), stability });
        for _ in 0..20 {
            lab.probe(ms(1000), |_| None);
            lab.probe_well(ms(3000));
        }
        lab
    };
    let undampened = run(Stability::default()).changes;
    assert_eq!(undampened.len(), 40);
    let mut lab = run(dampened());
    assert!(lab.changes.len() < 2 * most, "{:?}", lab.changes);
    assert!(!lab.changes.contains(&State::Down));
    lab.probe_well(AFTERWARDS);
    assert_eq!(lab.state(), State::Up);
}
