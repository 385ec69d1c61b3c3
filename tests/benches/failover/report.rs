//! The figures, as a table, as JSON, and as a picture.

use std::{fmt::Write as _, time::Duration};

use serde_json::{Value, json};

use crate::{cut::Outage, detector::Detector};

/// The outages of all cuts of a kind.
pub(crate) struct Figures {
    pub(crate) detector: Detector,
    /// In order, in milliseconds.
    outages: Vec<f64>,
    moved: usize,
}

impl Figures {
    pub(crate) fn new(detector: Detector, cuts: &[Outage]) -> Self {
        let mut outages: Vec<f64> =
            cuts.iter().map(|outage| milliseconds(outage.duration)).collect();
        outages.sort_by(f64::total_cmp);
        Self { detector, outages, moved: cuts.iter().map(|outage| outage.moved).sum() }
    }

    /// What so many of a hundred outages do not exceed: the nearest rank.
    fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.outages.len() * percent).div_ceil(100).max(1);
        self.outages.get(rank - 1).copied().unwrap_or(f64::NAN)
    }

    /// Whether it is as it should be.
    pub(crate) fn is_met(&self) -> bool {
        self.moved == 0 && self.percentile(99) <= milliseconds(self.detector.bound())
    }

    /// A line of the table.
    pub(crate) fn line(&self) -> String {
        format!(
            "{:10} {:9} {:8} {:4} {:8.1} {:8.1} {:8.1} {:8.1} {:8} {:6}  {}",
            self.detector.cut(),
            self.detector.name(),
            self.detector.daemon(),
            self.outages.len(),
            self.percentile(50),
            self.percentile(95),
            self.percentile(99),
            self.percentile(100),
            self.detector.bound().as_millis(),
            self.moved,
            if self.is_met() { "met" } else { "NOT MET" },
        )
    }

    fn json(&self) -> Value {
        let rounded = |percent| (self.percentile(percent) * 1e3).round() / 1e3;
        json!({
            "kind": self.detector.cut(),
            "detector": self.detector.name(),
            "daemon": self.detector.daemon(),
            "n": self.outages.len(),
            "p50_ms": rounded(50),
            "p95_ms": rounded(95),
            "p99_ms": rounded(99),
            "max_ms": rounded(100),
            "flows_moved_needlessly": self.moved,
        })
    }
}

/// The heads of [`Figures::line`].
pub(crate) const HEADS: &str =
    "kind       detector  daemon      n   p50 ms   p95 ms   p99 ms   max ms p99 goal  moved";

/// All in one line.
pub(crate) fn json(figures: &[Figures]) -> String {
    json!({ "cuts": figures.iter().map(Figures::json).collect::<Vec<_>>() }).to_string()
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The picture's sizes in pixels, and its range in milliseconds: logarithmic, for one detector takes ten times
/// as long as another.
const LEFT: f64 = 130.0;
const WIDTH: f64 = 640.0;
const ROW: f64 = 60.0;
const TOP: f64 = 40.0;
const LEAST: f64 = 0.5;
const MOST: f64 = 1000.0;

fn x(value: f64) -> f64 {
    let share = (value.clamp(LEAST, MOST) / LEAST).ln() / (MOST / LEAST).ln();
    LEFT + share * WIDTH
}

/// A dot for each outage, a row for each detector, with its goal.
pub(crate) fn svg(figures: &[Figures]) -> String {
    let height = TOP + ROW * figures.len() as f64 + 40.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"22\">Outage that traffic sees when an uplink dies (ms)</text>\n",
        LEFT + WIDTH + 30.0
    );
    let floor = TOP + ROW * figures.len() as f64;
    for tick in [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0] {
        let at = x(tick);
        let _ = writeln!(
            svg,
            "<path d=\"M{at:.1} {TOP}V{floor}\" stroke=\"#ddd\"/>\
             <text x=\"{at:.1}\" y=\"{:.0}\" text-anchor=\"middle\" fill=\"#555\">{tick}</text>",
            floor + 18.0
        );
    }
    for (row, figures) in figures.iter().enumerate() {
        let middle = TOP + ROW * (row as f64 + 0.5);
        let goal = x(milliseconds(figures.detector.bound()));
        let _ = writeln!(
            svg,
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{}</text>\
             <path d=\"M{goal:.1} {:.0}v{:.0}\" stroke=\"#c33\" stroke-dasharray=\"4 3\"/>",
            LEFT - 12.0,
            middle + 4.0,
            figures.detector.name(),
            middle - 22.0,
            44.0
        );
        for (number, outage) in figures.outages.iter().enumerate() {
            // Spread, so that equal ones are seen.
            let y = middle + (number % 9) as f64 * 3.0 - 12.0;
            let _ = writeln!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{y:.1}\" r=\"2.5\" fill=\"#1f77b4\" fill-opacity=\"0.6\"/>",
                x(*outage)
            );
        }
    }
    svg + "</svg>\n"
}
