//! Makes a scenario that fails as short as it can.

use super::run::{Finding, Scenario};

/// The shortest scenario found by which the same does not hold, and how (Zeller and Hildebrandt, "Simplifying and
/// isolating failure-inducing input"). Whatever is left out, the rest stays as it is.
pub(crate) fn shrink(
    scenario: &Scenario,
    finding: Finding,
    play: impl Fn(&Scenario) -> Option<Finding>,
) -> (Scenario, Finding) {
    let (mut best, mut found) = (scenario.clone(), finding);
    best.events.truncate(found.after);
    if let Some(again) = play(&best).filter(|again| again.invariant == found.invariant) {
        found = again;
    } else {
        // It takes the end of the run.
        best.events.clone_from(&scenario.events);
    }
    let mut size = best.events.len().div_ceil(2).max(1);
    loop {
        let mut has_shrunk = false;
        let mut at = 0;
        while at < best.events.len() {
            let mut shorter = best.clone();
            shorter.events.drain(at..(at + size).min(best.events.len()));
            match play(&shorter).filter(|again| again.invariant == found.invariant) {
                Some(again) => {
                    (best, found, has_shrunk) = (shorter, again, true);
                }
                None => at += size,
            }
        }
        if size == 1 && !has_shrunk {
            return (best, found);
        }
        if !has_shrunk || size > best.events.len() {
            size = size.div_ceil(2).max(1);
        }
    }
}
