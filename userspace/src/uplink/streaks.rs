use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Instant;

/// How the latest probes of each target went. One target that answers is enough for an uplink.
#[derive(Clone, Debug)]
pub(super) struct Streaks {
    targets: BTreeMap<Ipv4Addr, Streak>,
    /// Probes that were sent before do not count.
    counted_from: Option<Instant>,
}

/// The run of equal outcomes that a target is in: one of the two counts is zero.
#[derive(Clone, Copy, Debug, Default)]
struct Streak {
    answered: u32,
    lost: u32,
    newest_answer: Option<Instant>,
}

impl Streaks {
    /// No probe of any of these targets has been judged.
    pub(super) fn new(targets: &[Ipv4Addr]) -> Self {
        let targets = targets.iter().map(|target| (*target, Streak::default())).collect();
        Self { targets, counted_from: None }
    }

    /// Takes in the outcome of a probe. One of an unknown target does not count.
    pub(super) fn record(&mut self, target: Ipv4Addr, sent_at: Instant, answered: bool) {
        let Some(streak) = self.targets.get_mut(&target) else {
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
        self.targets.values_mut().for_each(|streak| *streak = Streak::default());
    }

    /// Goes over to these targets; what is known of those that stay is kept.
    pub(super) fn retarget(&mut self, targets: &[Ipv4Addr]) {
        let known = std::mem::take(&mut self.targets);
        let streak = |target: &Ipv4Addr| known.get(target).copied().unwrap_or_default();
        self.targets = targets.iter().map(|target| (*target, streak(target))).collect();
    }

    /// Whether there is nobody to probe.
    pub(super) fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// The targets, in order.
    pub(super) fn targets(&self) -> Vec<Ipv4Addr> {
        self.targets.keys().copied().collect()
    }

    /// How many probes one target has answered without a loss between: the best target's count.
    pub(super) fn answered(&self) -> u32 {
        self.targets.values().map(|streak| streak.answered).max().unwrap_or(0)
    }

    /// How many probes every target has lost without an answer between: the best target's count.
    pub(super) fn lost(&self) -> u32 {
        self.targets.values().map(|streak| streak.lost).min().unwrap_or(0)
    }
}
