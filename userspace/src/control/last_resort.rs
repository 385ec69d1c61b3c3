//! What carries traffic while no uplink is fit for it.

use std::cmp::Reverse;
use std::time::Instant;

use super::uplink::ControlledUplink;
use crate::config::{Group, LastResort};
use crate::uplink::{Reason, State};

/// How much less of its probes another uplink has to lose to take over, in millionths. What is lost of a
/// hundred probes on two paths that are equally bad differs by less, but for one time in a hundred.
const MARGIN: u32 = 200_000;

/// Chooses the uplink that carries the group's traffic while none of its uplinks is up, if one is to: the
/// least bad of those that packets can be sent by. The `uplinks` are in the order of the file.
///
/// Probes are evidence, and may be wrong where all fail at once: the targets may be gone, and the uplinks
/// not. Who is told that nobody can be reached is no better off than who is not answered.
///
/// One that is drained is spared as long as there is another. What works, but is not believed yet, comes before
/// what does not; then whatever loses less, was up last, and comes first in the group. The one that was chosen
/// stays until another is better by a margin, for its flows move with it.
pub(super) fn choose(group: &Group, uplinks: &[ControlledUplink], now: Instant) -> Option<usize> {
    let members = || group.tiers.iter().flatten().copied().filter(|index| *index < uplinks.len());
    let is_needed =
        group.last_resort == LastResort::LeastBad && !members().any(|index| uplinks[index].is_up());
    if !is_needed {
        return None;
    }
    let may_be = |is_drained: bool| {
        let candidates = members().filter(|index| is_candidate(&uplinks[*index]));
        candidates.filter(move |index| uplinks[*index].is_drained == is_drained)
    };
    let is_drained = may_be(false).next().is_none();
    let candidates = || may_be(is_drained);
    let best = candidates().min_by_key(|index| {
        let uplink = &uplinks[*index];
        (badness(uplink, now), Reverse(uplink.verdict().since))
    })?;
    let present = candidates().find(|index| uplinks[*index].is_last_resort);
    Some(
        present
            .filter(|present| !is_better(&uplinks[best], &uplinks[*present], now))
            .unwrap_or(best),
    )
}

/// Whether packets can be sent by it, although it is down, or waits for a BFD session, perhaps for ever.
fn is_candidate(uplink: &ControlledUplink) -> bool {
    let verdict = uplink.verdict();
    let is_down = verdict.state == State::Down || verdict.reason == Reason::BfdWaiting;
    is_down && !uplink.monitor().is_hindered()
}

/// Whether it does not work, and how much it loses, in millionths: all, where that is not known.
fn badness(uplink: &ControlledUplink, now: Instant) -> (bool, u32) {
    let loss = uplink.monitor().quality(now).loss_ppm;
    (!uplink.monitor().is_healthy(), loss.unwrap_or(1_000_000))
}

/// Whether one is better than another by so much that it is worth to move.
fn is_better(one: &ControlledUplink, other: &ControlledUplink, now: Instant) -> bool {
    let ((one_fails, one_loses), (other_fails, other_loses)) =
        (badness(one, now), badness(other, now));
    if one_fails == other_fails { one_loses + MARGIN <= other_loses } else { other_fails }
}
