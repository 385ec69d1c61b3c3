use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::window::{Percentiles, Window, delay_variations};
use crate::probe::ProbeId;

/// How good an uplink's path is, as its latest probes show.
///
/// Each figure is the best that any target shows. What an uplink loses and how long it takes is part of
/// what every target shows, and the rest is the target's own: so the best one is nearest to the uplink, and
/// a target that is overloaded, or gone, speaks against itself only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quality {
    /// How many probes of a million were lost.
    pub loss_ppm: Option<u32>,
    /// The round-trip time.
    pub latency: Option<Percentiles>,
    /// By how much it differs from one probe to the next (RFC 3393 section 4.5).
    pub jitter: Option<Percentiles>,
}

/// The latest probes of each target.
#[derive(Clone, Debug)]
pub(super) struct Measurements {
    targets: BTreeMap<ProbeId, Window>,
    /// Probes that were sent before do not count.
    counted_from: Option<Instant>,
}

impl Measurements {
    /// No probe of any of these targets has been judged.
    pub(super) fn new(targets: &[ProbeId]) -> Self {
        let targets = targets.iter().map(|target| (target.clone(), Window::default())).collect();
        Self { targets, counted_from: None }
    }

    /// Takes in the round trip of a probe, or its loss, that is known at `now`, in a window of this length.
    /// One of an unknown target does not count.
    pub(super) fn record(
        &mut self,
        target: &ProbeId,
        sent_at: Instant,
        rtt: Option<Duration>,
        now: Instant,
        window: Duration,
    ) {
        if Some(sent_at) < self.counted_from {
            return;
        }
        if let Some(known) = self.targets.get_mut(target) {
            known.record(sent_at, rtt, now, window);
        }
    }

    /// Forgets the outcomes of all probes that were sent before `now`.
    pub(super) fn restart(&mut self, now: Instant) {
        self.counted_from = Some(now);
        self.targets.values_mut().for_each(Window::clear);
    }

    /// Goes over to these targets; what is known of those that stay is kept.
    pub(super) fn retarget(&mut self, targets: &[ProbeId]) {
        let mut known = std::mem::take(&mut self.targets);
        let window = |target: &ProbeId| (target.clone(), known.remove(target).unwrap_or_default());
        self.targets = targets.iter().map(window).collect();
    }

    /// What the window shows at `now`. A figure that fewer than `least` values would make is left out.
    pub(super) fn quality(&self, window: Duration, least: u32, now: Instant) -> Quality {
        self.targets
            .values()
            .map(|target| Quality::of(&target.round_trips(window, now), least as usize))
            .fold(Quality::default(), Quality::best)
    }
}

impl Quality {
    /// Of one target, from at least so many values for each figure.
    fn of(round_trips: &[Option<Duration>], least: usize) -> Self {
        let enough = |count: usize| count >= least.max(1);
        let percentiles = |values: Vec<Duration>| {
            let values = Some(values).filter(|values| enough(values.len()))?;
            Percentiles::of(values)
        };
        let sent = round_trips.len();
        let lost = round_trips.iter().filter(|rtt| rtt.is_none()).count();
        Self {
            loss_ppm: enough(sent).then(|| (lost * 1_000_000 / sent) as u32),
            latency: percentiles(round_trips.iter().flatten().copied().collect()),
            jitter: percentiles(delay_variations(round_trips)),
        }
    }

    fn best(self, other: Self) -> Self {
        Self {
            loss_ppm: better(self.loss_ppm, other.loss_ppm, u32::min),
            latency: better(self.latency, other.latency, Percentiles::min),
            jitter: better(self.jitter, other.jitter, Percentiles::min),
        }
    }
}

/// The better of two figures; what is not known is none.
fn better<T>(one: Option<T>, other: Option<T>, min: impl FnOnce(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(min(one, other)),
        (known, None) | (None, known) => known,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const NEAR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 53);
    const FAR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 54);
    const WINDOW: Duration = Duration::from_secs(10);

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn constant(milliseconds: u64) -> Option<Percentiles> {
        Some(Percentiles { p50: ms(milliseconds), p95: ms(milliseconds) })
    }

    /// Probes of each target in turn, a hundred milliseconds from one to the next.
    fn measure(outcomes: &[(Ipv4Addr, &[Option<Duration>])], start: Instant) -> Measurements {
        let targets: Vec<_> = outcomes.iter().map(|(target, _)| ProbeId::icmp(*target)).collect();
        let mut measurements = Measurements::new(&targets);
        for (target, rtts) in outcomes {
            for (rtt, number) in rtts.iter().zip(0..) {
                let sent_at = start + number * ms(100);
                measurements.record(
                    &ProbeId::icmp(*target),
                    sent_at,
                    *rtt,
                    sent_at + ms(100),
                    WINDOW,
                );
            }
        }
        measurements
    }

    #[test]
    fn figures_are_of_the_window() {
        let start = Instant::now();
        let rtts = [Some(ms(10)), None, Some(ms(10)), Some(ms(30)), Some(ms(10))];
        let measurements = measure(&[(NEAR, &rtts)], start);
        let quality = measurements.quality(WINDOW, 1, start + ms(500));
        assert_eq!(quality.loss_ppm, Some(200_000));
        assert_eq!(quality.latency, Some(Percentiles { p50: ms(10), p95: ms(30) }));
        assert_eq!(quality.jitter, constant(20));
        // Once the first two have left it.
        let later = measurements.quality(WINDOW, 1, start + WINDOW + ms(200));
        assert_eq!(later.loss_ppm, Some(0));
        assert_eq!(measurements.quality(WINDOW, 1, start + 2 * WINDOW), Quality::default());
    }

    #[test]
    fn each_figure_is_of_the_target_that_is_best_in_it() {
        let start = Instant::now();
        let near = [Some(ms(5)), None, Some(ms(5)), Some(ms(5))];
        let far = [Some(ms(80)); 4];
        let dead = [None; 4];
        for targets in [[(NEAR, near), (FAR, far)], [(FAR, far), (NEAR, near)]] {
            let targets = targets.each_ref().map(|(target, rtts)| (*target, &rtts[..]));
            let quality = measure(&targets, start).quality(WINDOW, 1, start + ms(400));
            let best = Quality { loss_ppm: Some(0), latency: constant(5), jitter: constant(0) };
            assert_eq!(quality, best);
        }
        let with_dead = measure(&[(NEAR, &far), (FAR, &dead)], start);
        let quality = with_dead.quality(WINDOW, 1, start + ms(400));
        assert_eq!((quality.loss_ppm, quality.latency), (Some(0), constant(80)));
    }

    #[test]
    fn each_figure_needs_values_of_its_own() {
        let start = Instant::now();
        let rtts = [Some(ms(5)), Some(ms(5)), None, Some(ms(5)), Some(ms(5))];
        let measurements = measure(&[(NEAR, &rtts)], start);
        let known = |least| {
            let quality = measurements.quality(WINDOW, least, start + ms(500));
            [quality.loss_ppm.is_some(), quality.latency.is_some(), quality.jitter.is_some()]
        };
        assert_eq!(known(2), [true, true, true]);
        assert_eq!(known(3), [true, true, false]);
        assert_eq!(known(5), [true, false, false]);
        assert_eq!(known(6), [false, false, false]);
        assert_eq!(
            Measurements::new(&[ProbeId::icmp(NEAR)]).quality(WINDOW, 0, start),
            Quality::default()
        );
    }

    #[test]
    fn what_was_sent_before_a_restart_does_not_count() {
        let start = Instant::now();
        let mut measurements = measure(&[(NEAR, &[Some(ms(5)); 4])], start);
        let again = start + ms(400);
        measurements.restart(again);
        measurements.record(&ProbeId::icmp(NEAR), start + ms(399), None, again, WINDOW);
        assert_eq!(measurements.quality(WINDOW, 1, again), Quality::default());
        measurements.record(&ProbeId::icmp(NEAR), again, Some(ms(7)), again + ms(7), WINDOW);
        assert_eq!(measurements.quality(WINDOW, 1, again + ms(7)).loss_ppm, Some(0));
    }

    #[test]
    fn other_targets_keep_what_is_known_of_those_that_stay() {
        let start = Instant::now();
        let mut measurements = measure(&[(NEAR, &[None; 4]), (FAR, &[Some(ms(5)); 4])], start);
        measurements.retarget(&[ProbeId::icmp(NEAR)]);
        let loss =
            |measurements: &Measurements| measurements.quality(WINDOW, 1, start + ms(400)).loss_ppm;
        assert_eq!(loss(&measurements), Some(1_000_000));
        measurements.record(
            &ProbeId::icmp(FAR),
            start + ms(300),
            Some(ms(5)),
            start + ms(305),
            WINDOW,
        );
        assert_eq!(loss(&measurements), Some(1_000_000));
        measurements.retarget(&[]);
        assert_eq!(loss(&measurements), None);
    }
}
