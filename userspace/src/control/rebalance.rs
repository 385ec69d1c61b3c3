//! What the sweeper is told, so that flows are given back.

use std::sync::Arc;
use std::time::Instant;

use pointsman_ebpf::abi::Bucket;

use super::Controller;
use super::buckets::Ranking;
use super::failback::Wishes;
use super::policy::Policy;
use crate::dataplane::{Selection, Terms};

impl Controller {
    /// The flows that are to be given back at `now`, once.
    pub fn take_due_rebalance(&mut self, now: Instant) -> Option<Terms> {
        self.failback.take_due(now)
    }

    /// Which uplinks flows are to come back from, and to.
    pub(super) fn wishes(&self) -> Wishes {
        let (group, _) = self.group();
        let metered = self.uplinks().iter().filter(|uplink| uplink.config.metered);
        Wishes {
            fit: group.preferred & group.usable & self.alive(),
            metered: metered.fold(0, |metered, uplink| metered | 1 << uplink.id),
            after: self.config().group.failback,
        }
    }
}

/// Makes [`Selection`]s of policies. It keeps what is dear to make.
#[derive(Debug, Default)]
pub(super) struct Selections {
    ranking: Ranking,
    buckets: Arc<[Bucket]>,
    latest: Arc<Selection>,
}

impl Selections {
    /// What new flows are shared out by under this policy, with these uplinks alive, if that is not what it
    /// was at the last call.
    pub(super) fn update(&mut self, policy: &Policy, alive: u64) -> Option<Arc<Selection>> {
        let (group, ranking) = policy.groups.first_key_value()?.1;
        if self.buckets.is_empty() || self.ranking != *ranking {
            self.buckets = ranking.buckets().collect();
            self.ranking = ranking.clone();
        }
        let sides = policy.uplinks.iter();
        let selection = Selection {
            hash_key: policy.settings.hash_key,
            group: *group,
            buckets: Arc::clone(&self.buckets),
            alive,
            nat44: policy.settings.nat44,
            generations: sides.map(|(side, uplink)| (*side, uplink.generation)).collect(),
            uplinks6: policy.uplinks6.clone(),
            nat64: policy.nat64,
            site_prefixes: policy.site_prefixes.clone(),
        };
        if selection == *self.latest {
            return None;
        }
        self.latest = Arc::new(selection);
        Some(Arc::clone(&self.latest))
    }
}
