//! What has become of an uplink's probes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::uplink::ControlledUplink;
use crate::probe::{Outcome, Probe, ProbeEvent, ProbeId};

/// The latest of each.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcomes {
    latest: BTreeMap<ProbeId, Outcome>,
    /// When each was sent that was measured last.
    measured: BTreeMap<ProbeId, Instant>,
}

impl Outcomes {
    /// Forgets all but these.
    pub(super) fn retain(&mut self, probes: &[ProbeId]) {
        self.latest.retain(|probe, _| probes.contains(probe));
        self.measured.retain(|probe, _| probes.contains(probe));
    }
}

impl ControlledUplink {
    /// Takes in the outcome of a probe.
    pub(super) fn probed(&mut self, event: ProbeEvent, now: Instant) {
        let rtt = match event.outcome {
            Outcome::Answered { rtt } => Some(rtt),
            Outcome::Lost | Outcome::Wrong(_) | Outcome::Failed(_) => None,
        };
        let Some(probe) = self.probe(&event.probe) else { return };
        let (interval, is_beyond) = (probe.interval, probe.kind.address().is_some());
        if is_beyond && rtt.is_some() {
            self.traffic.silence.answered(event.sent_at);
        }
        let is_measured = self.measures(&event, interval);
        self.monitor.probed(&event.probe, (event.sent_at, is_measured), rtt, now);
        self.outcomes.latest.insert(event.probe, event.outcome);
    }

    fn probe(&self, id: &ProbeId) -> Option<&Probe> {
        let mut probes = self.config.health.iter().flat_map(|health| &health.probes);
        probes.find(|probe| probe.id() == *id)
    }

    /// Whether a probe is not one of those that are sent besides while the uplink is suspect: a share of all
    /// would be one of bad times.
    fn measures(&mut self, event: &ProbeEvent, interval: Duration) -> bool {
        let last = self.outcomes.measured.get(&event.probe);
        // Timers are not that exact.
        let is_due = last.is_none_or(|last| event.sent_at + interval / 8 >= *last + interval);
        if is_due {
            self.outcomes.measured.insert(event.probe.clone(), event.sent_at);
        }
        is_due
    }

    /// What became of this probe when it was sent last.
    pub fn last_outcome(&self, probe: &ProbeId) -> Option<&Outcome> {
        self.outcomes.latest.get(probe)
    }
}
