//! What was measured, for people and for machines.

use anyhow::Result;
use serde::Serialize;

use crate::{flood::Flood, gateway::Kind, opening::Opening, service::Service};

/// The whole result: of what was not measured, nothing.
#[derive(Default, Serialize)]
pub(crate) struct Report {
    pub(crate) rows: Vec<Row>,
    pub(crate) unanswered: Option<Row>,
    pub(crate) services: Vec<ServiceRow>,
    pub(crate) openings: Vec<Opening>,
    pub(crate) floods: Vec<Flood>,
}

/// Millions of frames a second at one number of flows, the middle values of all rounds, and how they
/// compare: the middle values of what is compared round by round, for the machine's speed drifts.
#[derive(Serialize)]
pub(crate) struct Row {
    flows: u32,
    bare_mpps: Option<f64>,
    bare_tagged_mpps: Option<f64>,
    minimal_mpps: Option<f64>,
    pointsman_mpps: Option<f64>,
    tagged_mpps: Option<f64>,
    masquerade_mpps: Option<f64>,
    pointsman_of_bare: Option<f64>,
    pointsman_of_minimal: Option<f64>,
    pointsman_of_masquerade: Option<f64>,
    tagged_of_pointsman: Option<f64>,
    bare_tagged_of_bare: Option<f64>,
}

/// A row of another service than NAT44.
#[derive(Serialize)]
pub(crate) struct ServiceRow {
    pub(crate) service: Service,
    #[serde(flatten)]
    pub(crate) row: Row,
}

impl Row {
    /// `rates` are in frames a second, of every round.
    pub(crate) fn new<'a>(flows: u32, rates: impl Fn(Kind) -> Option<&'a [f64]>) -> Self {
        let mpps = |kind| rates(kind).and_then(median).map(millions);
        let compare = |of, to| {
            let (of, to) = rates(of).zip(rates(to))?;
            let rounds: Vec<_> = of.iter().zip(to).map(|(of, to)| of / to).collect();
            median(&rounds).map(thousandths)
        };
        Self {
            flows,
            bare_mpps: mpps(Kind::Bare),
            bare_tagged_mpps: mpps(Kind::BareTagged),
            minimal_mpps: mpps(Kind::Minimal),
            pointsman_mpps: mpps(Kind::Pointsman),
            tagged_mpps: mpps(Kind::Tagged),
            masquerade_mpps: mpps(Kind::Masquerade),
            pointsman_of_bare: compare(Kind::Pointsman, Kind::Bare),
            pointsman_of_minimal: compare(Kind::Pointsman, Kind::Minimal),
            pointsman_of_masquerade: compare(Kind::Pointsman, Kind::Masquerade),
            tagged_of_pointsman: compare(Kind::Tagged, Kind::Pointsman),
            bare_tagged_of_bare: compare(Kind::BareTagged, Kind::Bare),
        }
    }

    fn print(&self, what: &str) {
        eprintln!(
            "{what:>18}  {:>16}  {:>16}  {:>16}  {:>16}  {:>16}  {:>7}  {:>10}  {:>13}  {:>15}  {:>11}",
            figure(self.bare_mpps),
            figure(self.minimal_mpps),
            figure(self.pointsman_mpps),
            figure(self.tagged_mpps),
            figure(self.masquerade_mpps),
            ratio(self.pointsman_of_bare),
            ratio(self.pointsman_of_minimal),
            ratio(self.pointsman_of_masquerade),
            ratio(self.tagged_of_pointsman),
            ratio(self.bare_tagged_of_bare),
        );
    }
}

impl Report {
    /// Tables on standard error, and, if so, the JSON on standard output.
    pub(crate) fn print(&self, json: bool) -> Result<()> {
        eprintln!(
            "{:>18}  {:>16}  {:>16}  {:>16}  {:>16}  {:>16}  {:>7}  {:>10}  {:>13}  {:>15}  {:>11}",
            "flows",
            "bare",
            "minimal",
            "pointsman",
            "tagged",
            "masquerade",
            "of bare",
            "of minimal",
            "of masquerade",
            "tagged/untagged",
            "of the bare"
        );
        for row in &self.rows {
            row.print(&row.flows.to_string());
        }
        if let Some(unanswered) = &self.unanswered {
            unanswered.print("unanswered");
        }
        for ServiceRow { service, row } in &self.services {
            row.print(&format!("{}, {}", service.name(), row.flows));
        }
        for opening in &self.openings {
            opening.print();
        }
        eprintln!(
            "Each figure: million frames a second, and nanoseconds a frame for the whole chain."
        );
        for flood in &self.floods {
            flood.print();
        }
        if json {
            println!("{}", serde_json::to_string(self)?);
        }
        Ok(())
    }
}

impl Opening {
    fn print(&self) {
        let Self { new_mappings, pointsman_mfps, masquerade_mfps } = *self;
        let what = if new_mappings { "new, and mapping" } else { "new" };
        eprintln!(
            "{what:>18}  {:>16}  {:>16}  {:>16}  {:>16}  {:>16}  {:>7}  {:>10}  {:>13}  {:>15}  {:>11}",
            "-",
            "-",
            figure(Some(pointsman_mfps)),
            "-",
            figure(Some(masquerade_mfps)),
            "-",
            "-",
            ratio(Some(pointsman_mfps / masquerade_mfps)),
            "-",
            "-",
        );
    }
}

impl Flood {
    fn print(&self) {
        let what = if self.is_known { "packets of known flows" } else { "random packets" };
        let verdict = if self.is_harmless() { "undisturbed" } else { "DISTURBED" };
        eprintln!(
            "TCP flows beside {:.3} Mpps of {what}: {verdict}: {} of {} segments lost, {:.2} % of \
             the pace, latest {:.1} ms; {:.1} % of the flood forwarded",
            self.mpps,
            self.lost,
            self.segments,
            self.pace * 100.0,
            self.latest_ms,
            self.forwarded * 100.0,
        );
    }
}

/// A rate a second in millions, as exact as it is worth.
pub(crate) fn millions(rate: f64) -> f64 {
    thousandths(rate / 1e6)
}

fn thousandths(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

fn figure(mpps: Option<f64>) -> String {
    mpps.map_or_else(|| "-".to_owned(), |mpps| format!("{mpps:.3} ({:.0} ns)", 1e3 / mpps))
}

fn ratio(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"))
}

/// The middle value, or the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get((values.len() - 1) / 2)?;
    Some((lower + upper) / 2.0)
}
