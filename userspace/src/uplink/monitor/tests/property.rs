use proptest::prelude::*;

use super::*;

/// Something that happens to an uplink, and how many milliseconds after what was before.
#[derive(Clone, Copy, Debug)]
enum Step {
    Carrier(bool),
    Address(bool),
    Probe(Option<Duration>),
    Silent(bool),
    Nothing,
}

fn step() -> impl Strategy<Value = (Step, u64)> {
    let rtt = prop_oneof![
        3 => Just(None),
        6 => (1_u64..50).prop_map(|rtt| Some(ms(rtt))),
        2 => (100_u64..400).prop_map(|rtt| Some(ms(rtt))),
    ];
    let step = prop_oneof![
        1 => any::<bool>().prop_map(Step::Carrier),
        1 => any::<bool>().prop_map(Step::Address),
        12 => rtt.prop_map(Step::Probe),
        1 => any::<bool>().prop_map(Step::Silent),
        1 => Just(Step::Nothing),
    ];
    (step, prop_oneof![8 => 0_u64..200, 1 => 200_u64..20_000])
}

fn stability() -> impl Strategy<Value = Stability> {
    let dampening = (1_u64..60, 1_u32..5000, 1_u32..5000, 1_u64..120);
    let dampening = dampening.prop_map(|(half_life, reuse, more, max_suppress)| Dampening {
        half_life: Duration::from_secs(half_life),
        suppress: reuse + more,
        reuse,
        max_suppress: Duration::from_secs(max_suppress),
    });
    let hold_down = prop_oneof![Just(0), 1_u64..10_000];
    (hold_down, proptest::option::of(dampening))
        .prop_map(|(hold_down, dampening)| Stability { hold_down: ms(hold_down), dampening })
}

/// How good a state is.
fn rank(state: State) -> u8 {
    match state {
        State::Down | State::Testing => 0,
        State::Degraded => 1,
        State::Up => 2,
    }
}

fn take(monitor: &mut Monitor, step: Step, now: Instant) {
    match step {
        Step::Carrier(true) => monitor.apply([Event::Interface(Interface::Running)], now),
        Step::Carrier(false) => monitor.apply([Event::Interface(Interface::NoCarrier)], now),
        Step::Address(is_there) => monitor.apply([Event::Address(is_there)], now),
        Step::Probe(rtt) => monitor.probed(&ProbeId::icmp(TARGET), (now, true), rtt, now),
        Step::Silent(silent) => {
            let silent = silent.then_some(crate::uplink::Silent { packets: 10, time: ms(2000) });
            monitor.apply([Event::Silence(silent)], now);
        }
        Step::Nothing => monitor.apply([], now),
    }
}

/// How often something that is lost at any times within `span` can be seen to be, at most.
///
/// Of the flaps between two suppressions, all but the last leave the penalty at the threshold at most; so
/// they are no more than fit below it, and than have decayed meanwhile. A suppression lasts as long as the
/// threshold takes to decay to the reuse threshold, at least.
fn most_losses(rules: &Dampening, span: Duration) -> f64 {
    let (suppress, reuse) = (f64::from(rules.suppress), f64::from(rules.reuse));
    let half_lives = span.as_secs_f64() / rules.half_life.as_secs_f64();
    let periods = 1.0 + half_lives / (suppress / reuse).log2();
    let fitting = suppress / 1000.0;
    periods * (1.0 + fitting) + fitting * half_lives * std::f64::consts::LN_2
}

proptest! {
    /// Beside one that believes everything at once: it is never better, at once as bad, and as good once
    /// there is nothing to wait for.
    #[test]
    fn for_the_worse_at_once_and_for_the_better_in_time(
        stability in stability(),
        steps in proptest::collection::vec(step(), 1..200),
    ) {
        let sla = Sla {
            window: ms(2000),
            min_samples: 3,
            degraded: vec![
                LOSS,
                Limit { metric: Metric::Latency(Percentile::P50), enter: 100_000, leave: 50_000 },
            ],
            down: vec![Limit { enter: 600_000, leave: 300_000, ..LOSS }],
        };
        let requirements = Requirements { sla, stability };
        let mut lab = Lab::new(THRESHOLDS, requirements.clone());
        let mut naive = lab.monitor.clone();
        let plain = Requirements { stability: Stability::default(), ..requirements };
        naive.reconfigure(&[ProbeId::icmp(TARGET)], THRESHOLDS, plain, lab.now);
        for (step, pause) in steps {
            lab.run_until(lab.now + ms(pause));
            let before = rank(lab.state());
            take(&mut naive, step, lab.now);
            lab.watch(|monitor, now| take(monitor, step, now));
            let (wanted, found) = (rank(naive.verdict().state), rank(lab.state()));
            prop_assert!(found <= wanted, "{:?}", lab.monitor);
            prop_assert!(found >= before.min(wanted), "{:?}", lab.monitor);
            match lab.monitor.deadline() {
                Some(deadline) => prop_assert!(deadline > lab.now && found < wanted),
                None => prop_assert_eq!(found, wanted, "{:?}", &lab.monitor),
            }
            if found > 0 {
                prop_assert!(!lab.monitor.is_hindered());
            }
        }
    }

    #[test]
    fn it_is_lost_no_more_often_than_dampening_allows(
        stability in stability(),
        pauses in proptest::collection::vec(prop_oneof![4 => 0_u64..2000, 1 => 0_u64..60_000], 1..300),
    ) {
        let Some(rules) = stability.dampening else { return Ok(()) };
        prop_assume!(rules.ceiling() > f64::from(rules.suppress));
        let mut lab = Lab::new(THRESHOLDS, Requirements { stability, ..Requirements::default() });
        lab.watch(|monitor, now| {
            let Requirements { stability, sla } = monitor.requirements.clone();
            monitor.reconfigure(&[], THRESHOLDS, Requirements { sla, stability }, now);
        });
        for (pause, number) in pauses.into_iter().zip(0..) {
            lab.run_until(lab.now + ms(pause));
            let interface = if number % 2 == 0 { Interface::NoCarrier } else { Interface::Running };
            lab.apply(&[Event::Interface(interface)]);
        }
        let losses = lab.changes.iter().filter(|state| **state == State::Down).count();
        let most = most_losses(&rules, lab.now - lab.start);
        prop_assert!(losses as f64 <= most, "{losses} losses, {most} at most");
    }
}
