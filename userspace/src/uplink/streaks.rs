use std::collections::BTreeMap;
use std::time::Instant;

use crate::probe::ProbeId;

/// How each probe went of late. One that is answered is enough for an uplink.
#[derive(Clone, Debug)]
pub(super) struct Streaks {
    probes: BTreeMap<ProbeId, Streak>,
    /// What was sent before does not count.
    counted_from: Option<Instant>,
}

/// The run of equal outcomes that a probe is in: one of the two counts is zero.
#[derive(Clone, Copy, Debug, Default)]
struct Streak {
    answered: u32,
    lost: u32,
    newest_answer: Option<Instant>,
}

impl Streaks {
    /// None of these probes has been judged.
    pub(super) fn new(probes: &[ProbeId]) -> Self {
        let probes = probes.iter().map(|probe| (probe.clone(), Streak::default())).collect();
        Self { probes, counted_from: None }
    }

    /// Takes in the outcome of a probe. One of an unknown probe does not count.
    pub(super) fn record(&mut self, probe: &ProbeId, sent_at: Instant, answered: bool) {
        let Some(streak) = self.probes.get_mut(probe) else {
            return;
        };
        if Some(sent_at) < self.counted_from {
            return;
        }
        if answered {
            let newest_answer = streak.newest_answer.max(Some(sent_at));
            *streak =
                Streak { answered: streak.answered.saturating_add(1), lost: 0, newest_answer };
        } else if streak.newest_answer < Some(sent_at) {
            // A loss is known later than an answer. One that was sent before the newest answer
            // says nothing of how things are now.
            streak.answered = 0;
            streak.lost = streak.lost.saturating_add(1);
        }
    }

    /// Forgets the outcomes of all probes that were sent before `now`.
    pub(super) fn restart(&mut self, now: Instant) {
        self.counted_from = Some(now);
        self.probes.values_mut().for_each(|streak| *streak = Streak::default());
    }

    /// Goes over to these probes; what is known of those that stay is kept.
    pub(super) fn retarget(&mut self, probes: &[ProbeId]) {
        let known = std::mem::take(&mut self.probes);
        let streak = |probe: &ProbeId| known.get(probe).copied().unwrap_or_default();
        self.probes = probes.iter().map(|probe| (probe.clone(), streak(probe))).collect();
    }

    /// Whether there is no probe.
    pub(super) fn is_empty(&self) -> bool {
        self.probes.is_empty()
    }

    /// The probes, in order.
    pub(super) fn probes(&self) -> Vec<ProbeId> {
        self.probes.keys().cloned().collect()
    }

    /// How often a probe was answered without a loss between: the best probe's count.
    pub(super) fn answered(&self) -> u32 {
        self.probes.values().map(|streak| streak.answered).max().unwrap_or(0)
    }

    /// How often every probe was lost without an answer between: the best probe's count.
    pub(super) fn lost(&self) -> u32 {
        self.probes.values().map(|streak| streak.lost).min().unwrap_or(0)
    }
}
