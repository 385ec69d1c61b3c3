//! Which uplink a flow takes: the first that is alive in the order of its bucket, those first that
//! the group prefers; or where the host's other flows are, if hosts keep together.

use std::collections::BTreeMap;

use super::packet::Packet;
use super::site::{Id, Uplink};
use super::{Choices, Model};

/// What flows are kept together by: addresses, ports and protocol, as far as they count.
type Together = (Vec<u8>, u16, u16, u8);

/// The order of the uplinks that flows were seen to have.
pub(crate) type Buckets = BTreeMap<Together, [Id; 2]>;

impl Model {
    /// The uplink of a new flow, of those that carry it.
    pub(crate) fn choose(
        &mut self,
        packet: &Packet<'_>,
        choices: &dyn Choices,
        carries: fn(&Uplink) -> bool,
    ) -> Option<Id> {
        let Some(ranking) = choices.ranking() else {
            self.fault("no bucket was looked up for a new flow".to_owned());
            return None;
        };
        let (from, to) = (packet.from, packet.to);
        let together = match self.site.setup.sticky {
            1 => (from.0.to_vec(), 0, 0, 0),
            2 => ([from.0, to.0].concat(), 0, 0, 0),
            _ => ([from.0, to.0].concat(), from.1, to.1, packet.protocol),
        };
        let known = *self.buckets.entry(together).or_insert(ranking);
        if known != ranking {
            self.fault("flows that are to be kept together are in two buckets".to_owned());
        }
        let takes = |uplink: &Uplink| uplink.alive && carries(uplink);
        let alive = ranking.iter().filter(|id| takes(&self.site.uplinks[*id]));
        let is_preferred = |id: &Id| self.site.uplinks[id].preferred;
        let preferred = alive.clone().find(|id| is_preferred(id));
        let first = preferred.or_else(|| alive.clone().next()).copied()?;
        // A host keeps to where it is, unless that is worse than where it would go.
        let is_at = |host: [u8; 4]| self.state.hosts.get(&host)?.placement;
        let placement = is_at(from.0).filter(|_| self.site.setup.sticky == 1);
        let kept = placement.filter(|id| {
            takes(&self.site.uplinks[id]) && (is_preferred(id) || !is_preferred(&first))
        });
        Some(kept.unwrap_or(first))
    }
}
