//! What has become of an uplink's probes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use super::uplink::ControlledUplink;
use crate::probe::{Outcome, Probe, ProbeEvent, ProbeId, ProbeKind};
use crate::uplink::Event;

/// The latest of each.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcomes {
    latest: BTreeMap<ProbeId, Outcome>,
}

impl Outcomes {
    /// Forgets all but these.
    pub(super) fn retain(&mut self, probes: &[ProbeId]) {
        self.latest.retain(|probe, _| probes.contains(probe));
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
        if self.is_beyond(&probe.kind) {
            let before = self.traffic.silence.verdict();
            match event.outcome {
                Outcome::Answered { .. } => self.traffic.silence.answered(event.sent_at),
                Outcome::Lost => self.traffic.silence.lost(event.sent_at),
                Outcome::Wrong(_) | Outcome::Failed(_) => {}
            }
            let verdict = self.traffic.silence.verdict();
            if verdict != before {
                self.health_event(Event::Silence(verdict), now);
            }
        }
        // A share of all would be one of bad times.
        let is_measured = !event.is_extra;
        self.monitor.probed(&event.probe, (event.sent_at, is_measured), rtt, now);
        self.outcomes.latest.insert(event.probe, event.outcome);
    }

    /// Whether who is asked is beyond the provider's router.
    fn is_beyond(&self, kind: &ProbeKind) -> bool {
        let routers = [self.gateway().map(IpAddr::V4), self.gateway6().map(IpAddr::V6)];
        kind.address().is_some_and(|address| !routers.contains(&Some(address)))
    }

    fn probe(&self, id: &ProbeId) -> Option<&Probe> {
        let mut probes = self.config.health.iter().flat_map(|health| &health.probes);
        probes.find(|probe| probe.id() == *id)
    }

    /// What became of this probe when it was sent last.
    pub fn last_outcome(&self, probe: &ProbeId) -> Option<&Outcome> {
        self.outcomes.latest.get(probe)
    }
}
