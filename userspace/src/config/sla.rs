use std::ops::RangeInclusive;
use std::time::Duration;

use humantime::format_duration;

use super::diagnostic::Report;
use super::section::{Field, Section};
use super::suggest::quoted;
use crate::uplink::{Limit, Metric, Percentile, Requirements, Sla, WINDOW_SAMPLES};

const SLA: &str =
    "write a table such as { degraded = { loss = { enter = \"5%\", leave = \"1%\" } } }";
const LIMITS: &str = "give limits of loss, latency or jitter, such as { loss = { enter = \"5%\", \
                      leave = \"1%\" } }";
const LOSS: &str = "write a table such as { enter = \"5%\", leave = \"1%\" }";
const DELAY: &str = "write a table such as { enter = \"150ms\", leave = \"100ms\" }";
const PERCENTILES: &[(&str, Percentile)] = &[("p50", Percentile::P50), ("p95", Percentile::P95)];
const DELAYS: RangeInclusive<Duration> = Duration::from_micros(1)..=Duration::from_secs(10);
const WINDOWS: RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(24 * 3600);
/// Half of the longest window.
const MOST_MIN_SAMPLES: u32 = WINDOW_SAMPLES as u32 / 2;

/// A limit, and where the file has its `enter`.
struct Placed<'t> {
    limit: Limit,
    enter: Field<'t>,
}

/// Reads what an uplink's `health` asks for beside that probes are answered; these are sent every
/// `interval`, and lost after `timeout`.
pub(super) fn read(
    report: &mut Report<'_>,
    health: &Section<'_>,
    interval: Duration,
    timeout: Duration,
) -> Requirements {
    let sla = health.get("sla").and_then(|field| read_sla(report, &field, interval, timeout));
    let unasked = Sla::default();
    let window = default_window(interval, unasked.min_samples);
    Requirements {
        sla: sla.unwrap_or(Sla { window, ..unasked }),
        stability: super::stability::read(report, health),
    }
}

fn read_sla(
    report: &mut Report<'_>,
    field: &Field<'_>,
    interval: Duration,
    timeout: Duration,
) -> Option<Sla> {
    let section = field.table(report, SLA)?;
    section.expect_keys(report, &["window", "min_samples", "degraded", "down"], &[]);
    let min_samples = section
        .get("min_samples")
        .and_then(|field| field.integer(report, 1..=MOST_MIN_SAMPLES, " values that make a figure"))
        .unwrap_or(Sla::default().min_samples);
    let window = section
        .get("window")
        .and_then(|field| read_window(report, &field, interval, min_samples))
        .unwrap_or_else(|| default_window(interval, min_samples));
    let mut limits = |key| section.get(key).map(|field| read_limits(report, &field, timeout));
    let (degraded, down) = (limits("degraded"), limits("down"));
    if degraded.is_none() && down.is_none() {
        field.error(report, format_args!("has neither degraded nor down; {SLA}"));
    }
    let (degraded, down) = (degraded.unwrap_or_default(), down.unwrap_or_default());
    check_order(report, &degraded, &down);
    let limits = |placed: Vec<Placed<'_>>| placed.into_iter().map(|it| it.limit).collect();
    Some(Sla { window, min_samples, degraded: limits(degraded), down: limits(down) })
}

/// Of a slow interval, it has to be longer to hold enough probes.
fn default_window(interval: Duration, min_samples: u32) -> Duration {
    Sla::default().window.max(interval * min_samples * 2)
}

fn read_window(
    report: &mut Report<'_>,
    field: &Field<'_>,
    interval: Duration,
    min_samples: u32,
) -> Option<Duration> {
    let window = field.duration(report, WINDOWS)?;
    // Differences between neighbours are one less than there are probes.
    let (least, most) = (interval * (min_samples + 1), interval * WINDOW_SAMPLES as u32);
    if !(least..=most).contains(&window) {
        let [window, interval, least, most] = [window, interval, least, most].map(format_duration);
        field.error(
            report,
            format_args!(
                "is \"{window}\"; with an interval of \"{interval}\", give \"{least}\" to \
                 \"{most}\", for {} to {WINDOW_SAMPLES} probes",
                min_samples + 1
            ),
        );
    }
    Some(window)
}

fn read_limits<'t>(
    report: &mut Report<'_>,
    field: &Field<'t>,
    timeout: Duration,
) -> Vec<Placed<'t>> {
    let Some(section) = field.table(report, LIMITS) else {
        return Vec::new();
    };
    section.expect_keys(report, &["loss", "latency", "jitter"], &[]);
    let loss = section.get("loss");
    let latency = section.get("latency");
    let jitter = section.get("jitter");
    if loss.is_none() && latency.is_none() && jitter.is_none() {
        field.error(report, format_args!("has no limit; {LIMITS}"));
    }
    let loss = loss.and_then(|field| read_loss(report, &field));
    let mut delay = |field: Option<Field<'t>>, metric: fn(Percentile) -> Metric| {
        read_delay(report, &field?, metric, timeout)
    };
    let limits = [loss, delay(latency, Metric::Latency), delay(jitter, Metric::Jitter)];
    limits.into_iter().flatten().collect()
}

fn read_loss<'t>(report: &mut Report<'_>, field: &Field<'t>) -> Option<Placed<'t>> {
    let section = field.table(report, LOSS)?;
    section.expect_keys(report, &["enter", "leave"], &[]);
    read_bounds(report, &section, Metric::Loss, LOSS, read_percent)
}

fn read_delay<'t>(
    report: &mut Report<'_>,
    field: &Field<'t>,
    metric: fn(Percentile) -> Metric,
    timeout: Duration,
) -> Option<Placed<'t>> {
    let section = field.table(report, DELAY)?;
    section.expect_keys(report, &["enter", "leave", "percentile"], &[]);
    let percentile = section
        .get("percentile")
        .and_then(|field| field.choice(report, PERCENTILES, &[]))
        .unwrap_or(Percentile::P95);
    let limit = read_bounds(report, &section, metric(percentile), DELAY, read_microseconds)?;
    if Duration::from_micros(limit.limit.enter.into()) > timeout {
        limit.enter.error(
            report,
            format_args!(
                "is more than the timeout of \"{}\", after which a probe is lost; give less, or a \
                 longer timeout",
                format_duration(timeout)
            ),
        );
    }
    Some(limit)
}

/// Reads `enter`, and `leave`, which is to be less.
fn read_bounds<'t>(
    report: &mut Report<'_>,
    section: &Section<'t>,
    metric: Metric,
    fix: &str,
    value: fn(&mut Report<'_>, &Field<'_>) -> Option<u32>,
) -> Option<Placed<'t>> {
    let mut bound = |key| {
        let field = section.require(report, key, fix)?;
        Some((value(report, &field)?, field))
    };
    let (Some((enter, enter_field)), Some((leave, leave_field))) = (bound("enter"), bound("leave"))
    else {
        return None;
    };
    if leave >= enter {
        leave_field.error(
            report,
            "is not less than enter; give less, so that the state does not change back and forth",
        );
    }
    Some(Placed { limit: Limit { metric, enter, leave }, enter: enter_field })
}

/// A share of the probes, in millionths.
fn read_percent(report: &mut Report<'_>, field: &Field<'_>) -> Option<u32> {
    let fix = "give a percentage, \"0%\" to \"100%\"";
    let text = field.string(report, fix)?;
    let percent = text.strip_suffix('%').and_then(|number| number.trim_end().parse::<f64>().ok());
    let percent = percent.filter(|percent| (0.0..=100.0).contains(percent));
    if percent.is_none() {
        field.error(report, format_args!("is {}; {fix}", quoted(text)));
    }
    percent.map(|percent| (percent * 10_000.0).round() as u32)
}

fn read_microseconds(report: &mut Report<'_>, field: &Field<'_>) -> Option<u32> {
    field.duration(report, DELAYS).map(|delay| delay.as_micros() as u32)
}

/// Whether what takes an uplink down is worse than what degrades it.
fn check_order(report: &mut Report<'_>, degraded: &[Placed<'_>], down: &[Placed<'_>]) {
    for Placed { limit, enter } in down {
        let milder = degraded.iter().find(|other| other.limit.metric == limit.metric);
        if milder.is_some_and(|milder| limit.enter < milder.limit.enter) {
            enter.error(report, "is less than what degrades the uplink; give as much, or more");
        }
    }
}

#[cfg(test)]
mod tests;
