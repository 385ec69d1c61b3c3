//! What was measured, for people and for machines.

use anyhow::Result;
use serde::Serialize;

use crate::gateway::Kind;

/// The whole result.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) rows: Vec<Row>,
}

/// Millions of frames a second at one number of flows.
#[derive(Serialize)]
pub(crate) struct Row {
    flows: u32,
    bare_mpps: Option<f64>,
    minimal_mpps: Option<f64>,
    pointsman_mpps: Option<f64>,
    masquerade_mpps: Option<f64>,
}

impl Row {
    /// `rate` is in frames a second.
    pub(crate) fn new(flows: u32, rate: impl Fn(Kind) -> Option<f64>) -> Self {
        let mpps = |kind| rate(kind).map(|rate| (rate / 1e3).round() / 1e3);
        Self {
            flows,
            bare_mpps: mpps(Kind::Bare),
            minimal_mpps: mpps(Kind::Minimal),
            pointsman_mpps: mpps(Kind::Pointsman),
            masquerade_mpps: mpps(Kind::Masquerade),
        }
    }
}

impl Report {
    /// A table on standard error, and, if so, the JSON on standard output.
    pub(crate) fn print(&self, json: bool) -> Result<()> {
        eprintln!(
            "{:>8}  {:>16}  {:>16}  {:>16}  {:>16}  {:>7}  {:>10}  {:>13}",
            "flows",
            "bare",
            "minimal",
            "pointsman",
            "masquerade",
            "of bare",
            "of minimal",
            "of masquerade"
        );
        for row in &self.rows {
            eprintln!(
                "{:>8}  {:>16}  {:>16}  {:>16}  {:>16}  {:>7}  {:>10}  {:>13}",
                row.flows,
                figure(row.bare_mpps),
                figure(row.minimal_mpps),
                figure(row.pointsman_mpps),
                figure(row.masquerade_mpps),
                ratio(row.pointsman_mpps, row.bare_mpps),
                ratio(row.pointsman_mpps, row.minimal_mpps),
                ratio(row.pointsman_mpps, row.masquerade_mpps),
            );
        }
        eprintln!(
            "Each figure: million frames a second, and nanoseconds a frame for the whole chain."
        );
        if json {
            println!("{}", serde_json::to_string(self)?);
        }
        Ok(())
    }
}

fn figure(mpps: Option<f64>) -> String {
    mpps.map_or_else(|| "-".to_owned(), |mpps| format!("{mpps:.3} ({:.0} ns)", 1e3 / mpps))
}

fn ratio(of: Option<f64>, to: Option<f64>) -> String {
    of.zip(to).map_or_else(|| "-".to_owned(), |(of, to)| format!("{:.2}", of / to))
}

/// The middle value, or the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get((values.len() - 1) / 2)?;
    Some((lower + upper) / 2.0)
}
