//! The whole path, stage after stage, for everything that is not the kernel.

use core::mem::MaybeUninit;

use super::{
    End, Note, Packet, Packet6, Stage, Step, Tables6, answer, answer6, depart, entry64, error,
    error_in64, error_in66, error_out64, error_out66, error6, established, established6, fragment,
    fragment6, hairpin, hairpin_opening, hairpin6, hear, inbound, inbound6, inbound64, inbound66,
    invitation6, invitation64, invitation66, known64, lan, lost, lost6, lost64, mapping, mapping64,
    mapping66, moved64, moved66, opening, opening6, opening64, opening66, outbound, outbound6,
    outbound64, promotion64, promotion66, reply64, restore, routed_inbound, routed_invitation,
    routed_opening, tagged,
};
use crate::abi::PortKey;
use crate::verdict::{DropReason, Verdict};
use crate::wire::{Frame, TaggedFrame, Tags};

/// Takes a packet through all stages.
pub fn process<F: TaggedFrame, T: Tables6>(frame: &mut F, tables: &T, ifindex: u32) -> Verdict {
    let mut place = MaybeUninit::uninit();
    let came = Tags::NONE;
    match established(frame, tables, ifindex, &mut place, &NoEnd) {
        Ok(step) => go_on(frame, tables, (ifindex, came), step, stage),
        Err(Stage::Tagged) => process_tagged::<_, _, false>(frame, tables, ifindex),
        Err(_) => process6(frame, tables, (ifindex, came)),
    }
}

/// The same from [`Stage::Tagged`] on, or from [`Stage::Stacked`].
fn process_tagged<F: TaggedFrame, T: Tables6, const STACKED: bool>(
    frame: &mut F,
    tables: &T,
    ifindex: u32,
) -> Verdict {
    let mut place = MaybeUninit::uninit();
    let Some(came) = frame.hide_tags::<STACKED>() else {
        return process(frame, tables, ifindex);
    };
    match tagged::<_, _, _, STACKED>(frame, tables, (ifindex, came), &mut place, &NoEnd) {
        Ok(step) => go_on(frame, tables, (ifindex, came), step, stage),
        Err(Stage::Stacked) => process_tagged::<_, _, true>(frame, tables, ifindex),
        Err(_) => process6(frame, tables, (ifindex, came)),
    }
}

/// The same of IPv6, the tags hidden.
fn process6<F: TaggedFrame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    (ifindex, came): (u32, Tags),
) -> Verdict {
    let mut place = MaybeUninit::uninit();
    let port = PortKey::new(ifindex, came.vlan());
    let step = established6(frame, tables, port, &mut place, &NoEnd);
    go_on(frame, tables, (ifindex, came), step, stage6)
}

/// A stage that goes on with a packet of another.
type Run<F, T, P> = for<'p> fn(&mut F, &T, PortKey, &'p P, Note) -> Step<'p, Verdict, P>;

/// Takes a packet on from what its first stage has ended in.
fn go_on<F: TaggedFrame, T: Tables6, P>(
    frame: &mut F,
    tables: &T,
    (ifindex, came): (u32, Tags),
    first: Step<'_, Verdict, P>,
    run: impl Fn(Stage) -> Option<Run<F, T, P>>,
) -> Verdict {
    let port = PortKey::new(ifindex, came.vlan());
    if let Step::Done(verdict) = first {
        return finish(frame, tables, (port, came), verdict);
    }
    if !came.is_empty() && frame.strip().is_none() {
        return Verdict::Drop(DropReason::NotReady);
    }
    let mut step = first;
    let verdict = loop {
        let (stage, packet, note) = match step {
            Step::Done(verdict) => break verdict,
            Step::Next(stage, packet, note) => (stage, packet, note),
        };
        let Some(run) = run(stage) else { break Verdict::Drop(DropReason::NotReady) };
        step = run(frame, tables, port, packet, note);
    };
    match finish(frame, tables, (port, came), verdict) {
        Verdict::Pass(_) | Verdict::Drop(_) | Verdict::Heard if restore(frame, came).is_none() => {
            Verdict::Drop(DropReason::Redirect)
        }
        verdict => verdict,
    }
}

/// Gives a frame that is sent the tags of its egress, and listens to one that is passed. Its own tags are
/// hidden, or taken out.
fn finish<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    (port, came): (PortKey, Tags),
    verdict: Verdict,
) -> Verdict {
    match verdict {
        Verdict::Pass(_) if hear(frame, tables, port, 0) => Verdict::Heard,
        Verdict::Forward { egress, .. }
        | Verdict::Lan { egress }
        | Verdict::Answer { egress, .. }
            if depart(frame, tables, came, egress).is_none() =>
        {
            Verdict::Drop(DropReason::Redirect)
        }
        verdict => verdict,
    }
}

/// The stages of IPv4. None leads back to the first, or to those of IPv6.
fn stage<F: TaggedFrame, T: Tables6>(stage: Stage) -> Option<Run<F, T, Packet>> {
    Some(match stage {
        Stage::Outbound => outbound,
        Stage::Lost => lost,
        Stage::Opening => opening,
        Stage::Mapping => mapping,
        Stage::Inbound => inbound,
        Stage::Hairpin => hairpin,
        Stage::HairpinOpening => hairpin_opening,
        Stage::Fragment => fragment,
        Stage::Error => error,
        Stage::Answer => answer,
        Stage::Lan => lan,
        Stage::Inbound64 => inbound64,
        Stage::Reply64 => reply64,
        Stage::Promotion64 => promotion64,
        Stage::Invitation64 => invitation64,
        Stage::ErrorIn64 => error_in64,
        Stage::RoutedOpening => routed_opening,
        Stage::RoutedInbound => routed_inbound,
        Stage::RoutedInvitation => routed_invitation,
        _ => return None,
    })
}

/// Those of IPv6.
fn stage6<F: TaggedFrame, T: Tables6>(stage: Stage) -> Option<Run<F, T, Packet6>> {
    Some(match stage {
        Stage::Outbound6 => outbound6,
        Stage::Lost6 => lost6,
        Stage::Opening6 => opening6,
        Stage::Inbound6 => inbound6,
        Stage::Invitation6 => invitation6,
        Stage::Hairpin6 => hairpin6,
        Stage::Fragment6 => fragment6,
        Stage::Error6 => error6,
        Stage::Answer6 => answer6,
        Stage::Outbound64 => outbound64,
        Stage::Known64 => known64,
        Stage::Moved64 => moved64,
        Stage::Lost64 => lost64,
        Stage::Opening64 => opening64,
        Stage::Entry64 => entry64,
        Stage::Mapping64 => mapping64,
        Stage::ErrorOut64 => error_out64,
        Stage::Opening66 => opening66,
        Stage::Mapping66 => mapping66,
        Stage::Moved66 => moved66,
        Stage::Inbound66 => inbound66,
        Stage::Invitation66 => invitation66,
        Stage::Promotion66 => promotion66,
        Stage::ErrorOut66 => error_out66,
        Stage::ErrorIn66 => error_in66,
        _ => return None,
    })
}

/// The verdict stays.
struct NoEnd;

impl End for NoEnd {
    type Done = Verdict;

    fn done<F: Frame>(&self, _frame: &mut F, verdict: Verdict) -> Verdict {
        verdict
    }
}
