//! 1, 2 and 6. Frames with VLAN tags (IEEE 802.1Q, and 802.1ad outside of it): the tags belong to the port,
//! as the interface does, and all else of the path sees a frame without.
//!
//! The stages of established packets hide the tags, so that nothing is moved for as long as nothing is
//! sent. Those that come after it get a frame without tags, and put them back into what they do not send.

use core::mem::MaybeUninit;

use super::established::of_port;
use super::parse::Packet;
use super::{End, Stage, Step, Tables};
use crate::abi::{Port, PortKey};
use crate::verdict::{DropReason, PassReason, Verdict};
use crate::wire::{Ethernet, Frame, TaggedFrame, Tags};

/// [`Stage::Tagged`], or [`Stage::Stacked`] where `STACKED` says so: as [`super::established`], of a frame
/// that came in with the tags `came`, which are hidden.
///
/// # Errors
/// Where it is of IPv6, or has one tag more than it is looked up by: [`Stage::Ipv6`] stands for the stage of
/// its tags that begins anew then, or [`Stage::Stacked`] does.
#[inline(always)]
pub fn tagged<'p, F: TaggedFrame, T: Tables, E: End, const STACKED: bool>(
    frame: &mut F,
    tables: &T,
    (ifindex, came): (u32, Tags),
    place: &'p mut MaybeUninit<Packet>,
    end: &E,
) -> Result<Step<'p, E::Done>, Stage> {
    // A priority only is no port's.
    let port = tables.port(PortKey::new(ifindex, came.known_vlan::<STACKED>()));
    if let Some(port) = port {
        match of_port(frame, tables, port, place, end) {
            Err(Stage::Tagged) => {}
            done => return done,
        }
    }
    let further = further(frame);
    let names_vlan = came.outer_identifier().is_some_and(|identifier| identifier != 0);
    if !STACKED && names_vlan && further.is_some_and(|identifier| identifier != 0) {
        return Err(Stage::Stacked);
    }
    let verdict = match port {
        Some(port) => of_no_vlan(frame, port, further),
        None => of_no_port(frame, tables, ifindex, came),
    };
    Ok(Step::Done(end.done(frame, verdict)))
}

/// What the tag names that follows those that are hidden, if one does and is whole.
#[inline(always)]
fn further<F: Frame>(frame: &F) -> Option<u16> {
    Tags::read::<false>(frame).and_then(Tags::outer_identifier)
}

/// What becomes of a frame whose tags are no port's.
#[inline(always)]
fn of_no_port<F: Frame, T: Tables>(frame: &F, tables: &T, ifindex: u32, came: Tags) -> Verdict {
    match tables.port(PortKey::untagged(ifindex)) {
        Some(port) => of_no_vlan(frame, port, came.outer_identifier()),
        None => Verdict::Pass(PassReason::UnknownPort),
    }
}

/// What becomes of a frame with a tag more than its port has, by what the tag names.
#[inline(always)]
fn of_no_vlan<F: Frame>(frame: &F, port: &Port, identifier: Option<u16>) -> Verdict {
    let Some(macs) = frame.macs() else {
        return Verdict::Drop(DropReason::Truncated);
    };
    if Ethernet::new(macs, [0; 2]).destination() != port.mac {
        return Verdict::Pass(PassReason::NotForUs);
    }
    match identifier {
        Some(0) => Verdict::Drop(DropReason::PriorityTag),
        _ => Verdict::Pass(PassReason::Vlan),
    }
}

/// Makes a frame that was written anew, and came in with the tags `came`, leave with those of its egress.
/// Whatever is hidden of it is taken out. Nothing where there is no room.
#[must_use]
#[inline(always)]
pub fn depart<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    came: Tags,
    egress: u16,
) -> Option<()> {
    let tags = tables.tags(egress);
    if tags.is_empty() && came.is_empty() {
        return Some(());
    }
    frame.insert_tags(tags, came)
}

/// Gives a frame that is not sent the tags back that were taken out of it.
#[must_use]
#[inline(always)]
pub fn restore<F: Frame>(frame: &mut F, came: Tags) -> Option<()> {
    if came.is_empty() { Some(()) } else { frame.insert_tags(came, came) }
}
