use std::collections::BTreeMap;
use std::time::Instant;

use crate::probe::ProbeId;

/// How each probe went of late.
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
    standing: Standing,
}

/// What a probe is taken for until enough outcomes in a row say otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Standing {
    #[default]
    Unjudged,
    Answering,
    Failing,
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
            let answered = streak.answered.saturating_add(1);
            *streak = Streak { answered, lost: 0, newest_answer, standing: streak.standing };
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

    /// How many probes there are.
    pub(super) fn len(&self) -> usize {
        self.probes.len()
    }

    /// Judges each probe: so many losses in a row make it a failing one, so many answers in a row
    /// an answering one, and with fewer of either it stays what it was.
    pub(super) fn settle(&mut self, down_after: u32, up_after: u32) {
        for streak in self.probes.values_mut() {
            if streak.lost >= down_after {
                streak.standing = Standing::Failing;
            } else if streak.answered >= up_after {
                streak.standing = Standing::Answering;
            }
        }
    }

    /// How many probes are answering.
    pub(super) fn answering(&self) -> usize {
        self.count(Standing::Answering)
    }

    /// How many probes are failing. Some may have been answered again, not yet often enough.
    pub(super) fn failing(&self) -> usize {
        self.count(Standing::Failing)
    }

    fn count(&self, standing: Standing) -> usize {
        self.probes.values().filter(|streak| streak.standing == standing).count()
    }

    /// The probes that were lost at least so often, one time after the other, and the least that
    /// any of them was; `None` without any.
    pub(super) fn lost(&self, least: u32) -> Option<(u32, Vec<ProbeId>)> {
        let lost = || self.probes.iter().filter(|(_, streak)| streak.lost >= least);
        let count = lost().map(|(_, streak)| streak.lost).min()?;
        Some((count, lost().map(|(probe, _)| probe.clone()).collect()))
    }

    /// How often so many of the probes were answered, at least, one time after the other. One that
    /// is answering was as often as it takes.
    pub(super) fn answered(&self, quorum: usize, up_after: u32) -> u32 {
        let progress = |streak: &Streak| match streak.standing {
            Standing::Answering => up_after,
            Standing::Unjudged | Standing::Failing => streak.answered,
        };
        let mut progress: Vec<u32> = self.probes.values().map(progress).collect();
        progress.sort_unstable_by(|a, b| b.cmp(a));
        quorum.checked_sub(1).and_then(|last| progress.get(last)).copied().unwrap_or(0)
    }
}
