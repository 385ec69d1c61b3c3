//! From the record of every packet to outages and moves. Pure.

use std::time::Duration;

use super::history::Packet;

/// How long before a cut a packet may have been sent and still meet it: it may have been on its
/// way, or its sender held up between the look at the clock and the system call.
const IN_FLIGHT: Duration = Duration::from_millis(50);

/// The time for which an uplink was cut, since the start of the demonstration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// The uplink's index.
    pub(super) uplink: u8,
    /// The moment before it was cut.
    pub(super) at: Duration,
    /// The moment before it was mended.
    pub(super) until: Duration,
}

/// What flows suffered from a cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Damage {
    /// The longest that any flow was without an answer: from its first packet that was not answered
    /// to its next one that was, both by the time of sending. A flow that did not recover before
    /// the cut was mended counts with the time up to that.
    pub(super) outage: Duration,
    /// How many flows used the uplink when it was cut.
    pub(super) affected: usize,
    /// How many flows did not recover before the cut was mended.
    pub(super) stranded: usize,
}

/// Packets of a flow, one after the other, that were not answered.
struct Gap {
    /// When the first was sent.
    from: Duration,
    /// When the next packet was sent that was answered; `None`: there was none.
    to: Option<Duration>,
}

impl Gap {
    /// How long the gap lasted, while `cut`.
    fn outage(&self, cut: &Cut) -> Duration {
        let to = self.to.map_or(cut.until, |to| to.min(cut.until));
        to.saturating_sub(self.from)
    }

    fn overlaps(&self, cut: &Cut) -> bool {
        self.from < cut.until && self.to.is_none_or(|to| to > cut.at)
    }

    fn ends_before(&self, moment: Duration) -> bool {
        self.to.is_some_and(|to| to < moment)
    }
}

/// What all flows together suffered from a cut.
pub(super) fn damage(flows: &[Vec<Packet>], cut: &Cut) -> Damage {
    let mut damage = Damage::default();
    for packets in flows {
        if uplink_before(packets, cut.at) == Some(cut.uplink) {
            damage.affected += 1;
        }
        let longest =
            gaps(packets).filter(|gap| gap.overlaps(cut)).max_by_key(|gap| gap.outage(cut));
        let Some(gap) = longest else { continue };
        damage.outage = damage.outage.max(gap.outage(cut));
        if !gap.ends_before(cut.until) {
            damage.stranded += 1;
        }
    }
    damage
}

/// How many packets were not answered.
pub(super) fn lost(flows: &[Vec<Packet>]) -> usize {
    let lost = |packet: &&Packet| packet.uplink.is_none();
    flows.iter().flatten().filter(lost).count()
}

/// How many flows went to another uplink without need. The only need is to leave the uplink that
/// is cut, while it is cut, once.
pub(super) fn moved_needlessly(flows: &[Vec<Packet>], cut: Option<&Cut>) -> usize {
    let needless = |packets: &&Vec<Packet>| {
        let moves: Vec<Move> = moves(packets).collect();
        match (moves.as_slice(), cut) {
            ([], _) => false,
            ([only], Some(cut)) => !only.is_needed(cut),
            _ => true,
        }
    };
    flows.iter().filter(needless).count()
}

/// The uplink that each flow was given first; `None` for a flow that was never answered.
pub(super) fn assignment(flows: &[Vec<Packet>]) -> Vec<Option<u8>> {
    let first = |packets: &Vec<Packet>| packets.iter().find_map(|packet| packet.uplink);
    flows.iter().map(first).collect()
}

/// Whether every flow was given an uplink, and the same one both times.
pub(super) fn is_restored(before: &[Option<u8>], after: &[Option<u8>]) -> bool {
    before == after && before.iter().all(Option::is_some)
}

/// A flow's change of uplink.
struct Move {
    from: u8,
    /// When its first packet by the new uplink was sent.
    at: Duration,
}

impl Move {
    fn is_needed(&self, cut: &Cut) -> bool {
        let start = cut.at.saturating_sub(IN_FLIGHT);
        self.from == cut.uplink && (start..cut.until).contains(&self.at)
    }
}

fn moves(packets: &[Packet]) -> impl Iterator<Item = Move> {
    let mut last = None;
    packets.iter().filter_map(move |packet| {
        let to = packet.uplink?;
        let from = last.replace(to)?;
        let at = packet.sent;
        (from != to).then_some(Move { from, at })
    })
}

fn uplink_before(packets: &[Packet], moment: Duration) -> Option<u8> {
    let before = packets.iter().take_while(|packet| packet.sent < moment);
    before.filter_map(|packet| packet.uplink).last()
}

fn gaps(packets: &[Packet]) -> impl Iterator<Item = Gap> {
    packets
        .chunk_by(|one, next| one.uplink.is_none() == next.uplink.is_none())
        .scan(0, |sent, run| {
            *sent += run.len();
            Some((run, *sent))
        })
        .filter(|(run, _)| run[0].uplink.is_none())
        .map(|(run, end)| Gap { from: run[0].sent, to: packets.get(end).map(|packet| packet.sent) })
}

#[cfg(test)]
mod tests;
