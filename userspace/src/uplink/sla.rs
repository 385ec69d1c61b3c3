use std::fmt;
use std::time::{Duration, Instant};

use super::quality::{Measurements, Quality};
use super::window::Percentiles;

/// What an uplink's path has to be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sla {
    /// Over how long it is measured.
    pub window: Duration,
    /// How many values a figure is made of at least; of fewer, it does not count.
    pub min_samples: u32,
    /// While one of these is broken, other uplinks are to be preferred.
    pub degraded: Vec<Limit>,
    /// While one of these is broken, the uplink is down.
    pub down: Vec<Limit>,
}

impl Default for Sla {
    /// Nothing is asked for.
    fn default() -> Self {
        let window = Duration::from_secs(10);
        Self { window, min_samples: 10, degraded: Vec::new(), down: Vec::new() }
    }
}

/// A bound on a figure. In millionths of the probes for [`Metric::Loss`], in microseconds else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The figure.
    pub metric: Metric,
    /// It breaks the limit once it is as high as this,
    pub enter: u32,
    /// until it is as low as this, which is less.
    pub leave: u32,
}

/// A figure of an uplink's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// How many probes are lost.
    Loss,
    /// The round-trip time.
    Latency(Percentile),
    /// By how much it differs from one probe to the next.
    Jitter(Percentile),
}

/// Which of the [`Percentiles`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Percentile {
    /// The median.
    P50,
    /// What 95 of a hundred probes do not exceed.
    P95,
}

/// A limit that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breach {
    /// The limit.
    pub limit: Limit,
    /// What the figure is; `None` where there are too few values since the path could be measured again.
    pub value: Option<u32>,
}

/// Which limits an uplink keeps to.
#[derive(Clone, Debug)]
pub(super) struct Compliance {
    degraded: Breaches,
    down: Breaches,
}

/// Which of some limits are broken.
#[derive(Clone, Debug)]
struct Breaches(Vec<(Breach, bool)>);

impl Compliance {
    /// All limits are kept to.
    pub(super) fn new(sla: &Sla) -> Self {
        Self { degraded: Breaches::new(&sla.degraded), down: Breaches::new(&sla.down) }
    }

    /// Takes in what the probes show.
    pub(super) fn measure(&mut self, sla: &Sla, measurements: &Measurements, now: Instant) {
        if !sla.degraded.is_empty() || !sla.down.is_empty() {
            let quality = measurements.quality(sla.window, sla.min_samples, now);
            self.degraded.update(&quality);
            self.down.update(&quality);
        }
    }

    /// Goes over to other limits; those that stay are broken if they were.
    pub(super) fn reconfigure(&mut self, sla: &Sla) {
        self.degraded.reconfigure(&sla.degraded);
        self.down.reconfigure(&sla.down);
    }

    /// The limits that take the uplink down.
    pub(super) fn down(&self) -> Vec<Breach> {
        self.down.broken()
    }

    /// The limits by which other uplinks are to be preferred.
    pub(super) fn degraded(&self) -> Vec<Breach> {
        self.degraded.broken()
    }
}

impl Breaches {
    fn new(limits: &[Limit]) -> Self {
        let kept = |limit: &Limit| (Breach { limit: *limit, value: None }, false);
        Self(limits.iter().map(kept).collect())
    }

    fn update(&mut self, quality: &Quality) {
        for (breach, is_broken) in &mut self.0 {
            breach.value = breach.limit.metric.of(quality);
            // What is not known changes nothing.
            if let Some(value) = breach.value {
                let bound = if *is_broken { breach.limit.leave + 1 } else { breach.limit.enter };
                *is_broken = value >= bound;
            }
        }
    }

    fn reconfigure(&mut self, limits: &[Limit]) {
        let old = std::mem::replace(self, Self::new(limits));
        for (breach, is_broken) in &mut self.0 {
            *is_broken = old.0.iter().any(|(old, was)| *was && old.limit == breach.limit);
        }
    }

    fn broken(&self) -> Vec<Breach> {
        let broken = self.0.iter().filter(|(_, is_broken)| *is_broken);
        broken.map(|(breach, _)| *breach).collect()
    }
}

impl Metric {
    /// The figure, in the unit of a [`Limit`].
    fn of(self, quality: &Quality) -> Option<u32> {
        match self {
            Self::Loss => quality.loss_ppm,
            Self::Latency(percentile) => quality.latency.map(|known| percentile.of(known)),
            Self::Jitter(percentile) => quality.jitter.map(|known| percentile.of(known)),
        }
    }
}

impl Percentile {
    /// In microseconds.
    fn of(self, percentiles: Percentiles) -> u32 {
        let duration = match self {
            Self::P50 => percentiles.p50,
            Self::P95 => percentiles.p95,
        };
        u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
    }
}

impl fmt::Display for Percentile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::P50 => "p50",
            Self::P95 => "p95",
        })
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loss => f.write_str("loss"),
            Self::Latency(percentile) => write!(f, "{percentile} latency"),
            Self::Jitter(percentile) => write!(f, "{percentile} jitter"),
        }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Limit { metric, leave, .. } = self.limit;
        let shown = |value: u32| match metric {
            Metric::Loss => format!("{} %", tenths(value, 10_000)),
            Metric::Latency(_) | Metric::Jitter(_) => format!("{} ms", tenths(value, 1000)),
        };
        match self.value {
            Some(value) => write!(f, "{metric} {}", shown(value))?,
            None => write!(f, "{metric} not measured again yet")?,
        }
        write!(f, ", good from {} down", shown(leave))
    }
}

/// A value in larger units, with a tenth if there is any.
fn tenths(value: u32, unit: u32) -> f64 {
    (f64::from(value) * 10.0 / f64::from(unit)).round() / 10.0
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::probe::ProbeId;

    const TARGET: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 53);
    const LOSS: Limit = Limit { metric: Metric::Loss, enter: 200_000, leave: 50_000 };
    const LATENCY: Limit =
        Limit { metric: Metric::Latency(Percentile::P95), enter: 150_000, leave: 100_000 };

    fn quality(loss_ppm: u32, latency_ms: u64) -> Quality {
        let latency = Duration::from_millis(latency_ms);
        let latency = Percentiles { p50: latency / 2, p95: latency };
        Quality { loss_ppm: Some(loss_ppm), latency: Some(latency), jitter: None }
    }

    #[test]
    fn a_limit_is_broken_from_one_bound_to_the_other() {
        let mut breaches = Breaches::new(&[LOSS]);
        for (loss_ppm, is_broken) in [
            (0, false),
            (199_999, false),
            (200_000, true),
            (50_001, true),
            (50_000, false),
            (199_999, false),
            (1_000_000, true),
        ] {
            breaches.update(&quality(loss_ppm, 1));
            assert_eq!(!breaches.broken().is_empty(), is_broken, "{loss_ppm}");
        }
        // What is not known leaves it as it is.
        breaches.update(&Quality::default());
        assert_eq!(breaches.broken(), [Breach { limit: LOSS, value: None }]);
    }

    #[test]
    fn each_limit_is_judged_on_its_own() {
        let median = Limit { metric: Metric::Latency(Percentile::P50), ..LATENCY };
        let mut breaches = Breaches::new(&[LOSS, LATENCY, median]);
        breaches.update(&quality(300_000, 160));
        let broken: Vec<_> = breaches.broken().iter().map(|breach| breach.limit).collect();
        assert_eq!(broken, [LOSS, LATENCY]);
        breaches.update(&quality(0, 300));
        let broken: Vec<_> = breaches.broken().iter().map(|breach| breach.limit).collect();
        assert_eq!(broken, [LATENCY, median]);
    }

    #[test]
    fn limits_that_stay_are_broken_if_they_were() {
        let mut breaches = Breaches::new(&[LOSS, LATENCY]);
        breaches.update(&quality(300_000, 160));
        let other = Limit { leave: 0, ..LATENCY };
        breaches.reconfigure(&[other, LOSS]);
        assert_eq!(breaches.broken(), [Breach { limit: LOSS, value: None }]);
    }

    #[test]
    fn it_waits_for_enough_samples() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let sla = Sla { min_samples: 3, down: vec![LOSS], degraded: vec![LOSS], ..Sla::default() };
        let mut measurements = Measurements::new(&[ProbeId::icmp(TARGET)]);
        let mut compliance = Compliance::new(&sla);
        for lost in 1..=3 {
            let now = start + lost * second;
            measurements.record(&ProbeId::icmp(TARGET), now, None, now, sla.window);
            compliance.measure(&sla, &measurements, now);
            assert_eq!(compliance.down().is_empty(), lost < 3);
            assert_eq!(compliance.degraded().is_empty(), lost < 3);
        }
    }

    #[test]
    fn breaches_read_well() {
        let breach = |limit, value| Breach { limit, value }.to_string();
        assert_eq!(breach(LOSS, Some(384_615)), "loss 38.5 %, good from 5 % down");
        assert_eq!(breach(LATENCY, Some(312_000)), "p95 latency 312 ms, good from 100 ms down");
        let jitter = Limit { metric: Metric::Jitter(Percentile::P50), enter: 30_000, leave: 2500 };
        let unknown = "p50 jitter not measured again yet, good from 2.5 ms down";
        assert_eq!(breach(jitter, None), unknown);
    }
}
