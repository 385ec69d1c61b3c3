//! 4. From the LAN, and of no flow: a new one, or one that leaves an uplink.

use super::parse::Packet6;
use super::pin::{self, Place};
use super::{admission, send};
use crate::abi::{Ipv6Mode, Masquerade, Opener, Pin, Port, SharedU64, SitePrefix, Uplink6};
use crate::path::entry::DEFAULT_GROUP;
use crate::path::{FlowTable, Note, Stage, Stop, Tables6, select};
use crate::verdict::{DropReason, Verdict};
use crate::wire::Frame;

/// The stage: notes the flow, which its packet then goes on by. The one before has admitted the packet.
#[inline(always)]
pub(super) fn run<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    port: &Port,
    packet: &Packet6,
    note: Note,
) -> Result<Verdict, Stop> {
    let (old, table) = old(tables, packet, note);
    let by = choose(tables, packet, old)?;
    if by.1.mode == Ipv6Mode::Nat66 as u8 {
        return Err(Stop::Next(Stage::Opening66, Note::NOTHING.with_mapping(by.0, false)));
    }
    send::check_outward(frame, packet, by.1)?;
    let lan = packet.sender(frame, port)?;
    let mut place = Place::uninit();
    let new = pin::new(tables, packet, (by.0, by.1.generation), lan, &mut place);
    if let Some(old) = old {
        new.opener = old.opener;
        // Else it has an address there.
        if old.masquerade == Masquerade::None as u8 {
            new.into = old.into.map(SharedU64::load);
        }
    }
    tables.replace_pin(table, &packet.key, new).map_err(|_| refused(table))?;
    Err(Stop::Next(Stage::Outbound6, Note::OPENED))
}

/// The pin that the flow has, to an uplink that it leaves, and the table that a new one goes to: whether
/// the flow has been answered says that.
#[inline(always)]
fn old<'a, T: Tables6>(
    tables: &'a T,
    packet: &Packet6,
    note: Note,
) -> (Option<&'a Pin<SharedU64>>, FlowTable) {
    if !note.is_missed()
        && let Some(pin) = pin::find(tables, FlowTable::Established, packet)
    {
        return (Some(pin), FlowTable::Established);
    }
    (pin::find(tables, FlowTable::Invited, packet), FlowTable::Unreplied)
}

/// The uplink that a new flow takes, or one of `old` that leaves the uplink it was pinned to.
#[inline(always)]
pub(super) fn choose<'a, T: Tables6>(
    tables: &'a T,
    packet: &Packet6,
    old: Option<&Pin<SharedU64>>,
) -> Result<(u8, &'a Uplink6), Stop> {
    let settings = tables.settings().ok_or(DropReason::NotReady)?;
    let prefix = admission::of_source(tables, &packet.inside)?;
    let ends = (packet.inside, packet.outside);
    let id = select::uplink6(tables, settings, DEFAULT_GROUP, ends, &packet.key, prefix.uplinks)
        .ok_or(unusable(prefix))?;
    let uplink = tables.uplink6(id).ok_or(DropReason::NoUplink)?;
    if uplink.generation == 0 {
        return Err(unusable(prefix));
    }
    // Beyond another uplink, nobody knows it by another prefix.
    if let Some(old) = old
        && old.opener == Opener::Remote as u8
        && uplink.mode != Ipv6Mode::Routed as u8
    {
        return Err(Stop::Answer(DropReason::NoUplink, 0));
    }
    Ok((id, uplink))
}

/// Of a packet whose prefix no uplink can send from.
#[inline(always)]
fn unusable(prefix: &SitePrefix) -> Stop {
    // At once, so that the host takes another of its addresses (RFC 8678 section 5.2).
    if prefix.is_bound != 0 {
        Stop::Answer(DropReason::SourceUplinkDown, 0)
    } else {
        Stop::Answer(DropReason::NoUplink, 0)
    }
}

#[inline(always)]
fn refused(table: FlowTable) -> Stop {
    let reason = match table {
        FlowTable::Established => DropReason::FlowTableFull,
        _ => DropReason::UnrepliedTableFull,
    };
    Stop::Answer(reason, 0)
}
