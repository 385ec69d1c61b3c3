//! What the demonstration has found, for people and for programs.

use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets::UTF8_BORDERS_ONLY};
use serde::Serialize;

use super::{
    history::Packet,
    measure::{self, Cut, Damage},
};

/// What was measured about one cut.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Trial {
    /// What all flows suffered; `None`: there was no cut.
    pub(super) damage: Option<Damage>,
    /// How many flows there were.
    pub(super) flows: usize,
    /// How many packets they sent.
    pub(super) packets: usize,
    /// How many of them were not answered.
    pub(super) lost: usize,
    /// How many flows changed their uplink without need.
    pub(super) moved_needlessly: usize,
    /// Which uplink each flow was given first.
    pub(super) assignment: Vec<Option<u8>>,
}

impl Trial {
    /// Measures the histories of all flows; without a cut there is no damage.
    pub(super) fn new(flows: &[Vec<Packet>], cut: Option<&Cut>) -> Self {
        Self {
            damage: cut.map(|cut| measure::damage(flows, cut)),
            flows: flows.len(),
            packets: flows.iter().map(Vec::len).sum(),
            lost: measure::lost(flows),
            moved_needlessly: measure::moved_needlessly(flows, cut),
            assignment: measure::assignment(flows),
        }
    }

    /// The outage in milliseconds, to a tenth.
    fn outage_ms(&self) -> f64 {
        milliseconds(self.damage.unwrap_or_default().outage)
    }

    /// Whether there were flows on the uplink that was cut, and all flows recovered.
    fn has_recovered(&self) -> bool {
        self.damage.is_some_and(|damage| damage.affected > 0 && damage.stranded == 0)
    }

    /// What became of the flows when ISP A had this happen to it.
    fn sentence(&self, happened: &str) -> String {
        let Damage { outage, affected, stranded } = self.damage.unwrap_or_default();
        let (flows, outage) = (self.flows, milliseconds(outage));
        if affected == 0 {
            format!("ISP A {happened}, but no flow was on it, so nothing is shown.")
        } else if stranded == 0 {
            format!(
                "ISP A {happened}: the slowest of {flows} flows, {affected} of which were on it, was \
                 without an answer for {outage:.1} ms."
            )
        } else {
            format!(
                "ISP A {happened}: {stranded} of {flows} flows did not recover before it was back, \
                 {outage:.1} ms later."
            )
        }
    }
}

/// All trials.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Report {
    /// The cable to ISP A was cut.
    pub(super) carrier: Trial,
    /// ISP A lost everything in silence.
    pub(super) blackhole: Trial,
    /// ISP A was back.
    pub(super) after: Trial,
}

/// The report for programs.
#[derive(Serialize)]
struct Json {
    carrier_outage_ms: f64,
    blackhole_outage_ms: f64,
    packets_lost: usize,
    flows: usize,
    flows_moved_needlessly: usize,
    restored: bool,
}

impl Report {
    /// One JSON object on one line. Outages are in milliseconds, to a tenth.
    pub(super) fn json(&self) -> serde_json::Result<String> {
        let sum = |number: fn(&Trial) -> usize| self.trials().map(number).into_iter().sum();
        serde_json::to_string(&Json {
            carrier_outage_ms: self.carrier.outage_ms(),
            blackhole_outage_ms: self.blackhole.outage_ms(),
            packets_lost: sum(|trial| trial.lost),
            flows: sum(|trial| trial.flows),
            flows_moved_needlessly: sum(|trial| trial.moved_needlessly),
            restored: self.is_restored(),
        })
    }

    /// A table with what was measured.
    pub(super) fn table(&self) -> String {
        let mut table = Table::new();
        table.load_preset(UTF8_BORDERS_ONLY);
        table.set_header(["", "cable cut", "blackhole", "afterwards"]);
        let mut row = |what: &str, cell: &dyn Fn(&Trial) -> String| {
            let cells = self.trials().map(cell);
            table.add_row([what.to_owned()].into_iter().chain(cells));
        };
        let of_damage = |trial: &Trial, cell: fn(Damage) -> String| {
            trial.damage.map_or_else(|| "-".to_owned(), cell)
        };
        row("new flows", &|trial| trial.flows.to_string());
        row("of which on ISP A", &|trial| of_damage(trial, |damage| damage.affected.to_string()));
        row("longest time without an answer", &|trial| {
            of_damage(trial, |damage| format!("{:.1} ms", milliseconds(damage.outage)))
        });
        row("flows that did not recover", &|trial| {
            of_damage(trial, |damage| damage.stranded.to_string())
        });
        row("flows moved without need", &|trial| trial.moved_needlessly.to_string());
        row("packets sent", &|trial| trial.packets.to_string());
        row("packets lost", &|trial| trial.lost.to_string());
        row("assigned as at the start", &|trial| {
            let same = measure::is_restored(&self.carrier.assignment, &trial.assignment);
            (if same { "yes" } else { "no" }).to_owned()
        });
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table.to_string()
    }

    /// What the numbers mean, a sentence each.
    pub(super) fn sentences(&self) -> Vec<String> {
        let moved: usize = self.trials().map(|trial| trial.moved_needlessly).iter().sum();
        let moved = match moved {
            0 => "No flow was moved that need not have moved.".to_owned(),
            1 => "1 flow was moved that need not have moved.".to_owned(),
            _ => format!("{moved} flows were moved that need not have moved."),
        };
        let restored = if self.is_restored() {
            "Each time ISP A was back, the new flow of every client took the uplink of its first."
        } else {
            "When ISP A was back, the new flows of some clients took another uplink than their \
             first."
        };
        vec![
            self.carrier.sentence("was cut"),
            self.blackhole.sentence("lost everything in silence"),
            moved,
            restored.to_owned(),
        ]
    }

    /// Whether all flows recovered from both cuts, and new ones were given the same uplinks after
    /// them.
    pub(super) fn is_good(&self) -> bool {
        self.carrier.has_recovered() && self.blackhole.has_recovered() && self.is_restored()
    }

    /// Whether new flows were given the same uplinks every time.
    fn is_restored(&self) -> bool {
        let first = &self.carrier.assignment;
        [&self.blackhole, &self.after]
            .iter()
            .all(|trial| measure::is_restored(first, &trial.assignment))
    }

    fn trials(&self) -> [&Trial; 3] {
        [&self.carrier, &self.blackhole, &self.after]
    }
}

/// To a tenth of a millisecond.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e4).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(outage: Duration) -> Trial {
        Trial {
            damage: Some(Damage { outage, affected: 1, stranded: 0 }),
            flows: 2,
            packets: 1_000,
            lost: 3,
            moved_needlessly: 0,
            assignment: vec![Some(0), Some(1)],
        }
    }

    fn report() -> Report {
        Report {
            carrier: trial(Duration::from_micros(6_249)),
            blackhole: trial(Duration::from_micros(310_051)),
            after: Trial { damage: None, ..trial(Duration::ZERO) },
        }
    }

    #[test]
    fn programs_get_one_line() {
        assert_eq!(
            report().json().unwrap(),
            r#"{"carrier_outage_ms":6.2,"blackhole_outage_ms":310.1,"packets_lost":9,"flows":6,"flows_moved_needlessly":0,"restored":true}"#
        );
    }

    #[test]
    fn people_get_sentences() {
        let report = report();
        assert!(report.is_good());
        assert_eq!(
            report.sentences(),
            [
                "ISP A was cut: the slowest of 2 flows, 1 of which were on it, was without an \
                 answer for 6.2 ms.",
                "ISP A lost everything in silence: the slowest of 2 flows, 1 of which were on it, \
                 was without an answer for 310.1 ms.",
                "No flow was moved that need not have moved.",
                "Each time ISP A was back, the new flow of every client took the uplink of its \
                 first.",
            ]
        );
    }

    #[test]
    fn the_table_has_a_column_for_each_trial() {
        let table = report().table();
        let row = table.lines().find(|line| line.contains("without an answer"));
        let cells: Vec<_> = row.unwrap().split_whitespace().collect();
        let cells = cells[cells.len() - 6..].join(" ");
        assert_eq!(cells, "6.2 ms 310.1 ms - │");
    }

    #[test]
    fn a_flow_that_does_not_recover_is_a_failure() {
        let mut report = report();
        report.blackhole.damage.as_mut().unwrap().stranded = 1;
        assert!(!report.is_good());
        assert_eq!(
            report.sentences()[1],
            "ISP A lost everything in silence: 1 of 2 flows did not recover before it was back, \
             310.1 ms later."
        );
    }

    #[test]
    fn a_cut_that_nobody_felt_shows_nothing() {
        let mut report = report();
        report.carrier.damage = Some(Damage::default());
        assert!(!report.is_good());
        assert!(report.sentences()[0].ends_with("so nothing is shown."));
    }

    #[test]
    fn another_assignment_is_a_failure() {
        for assignment in [vec![Some(0), Some(0)], vec![Some(0), None]] {
            let mut report = report();
            report.after.assignment = assignment;
            assert!(!report.is_good());
            assert!(report.json().unwrap().ends_with(r#""restored":false}"#));
            assert!(report.sentences()[3].contains("another uplink"));
        }
    }

    #[test]
    fn moves_without_need_are_counted() {
        let mut report = report();
        report.carrier.moved_needlessly = 1;
        assert_eq!(report.sentences()[2], "1 flow was moved that need not have moved.");
        report.after.moved_needlessly = 2;
        assert!(report.json().unwrap().contains(r#""flows_moved_needlessly":3"#));
        assert!(report.sentences()[2].starts_with("3 flows were"));
    }
}
