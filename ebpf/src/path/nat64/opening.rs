//! 4. From the LAN, and of no flow: a new one, the answer to one from beyond an uplink, or one that leaves
//!    an uplink.

use super::entry::{self, Common, Ends};
use super::{admission, send};
use crate::abi::{Flow, FlowKey, Opener, Port, Settings, SharedU64, Uplink, ticks, to_ipv4};
use crate::path::entry::{DEFAULT_GROUP, Place, copy};
use crate::path::parse::Kind;
use crate::path::{FlowTable, Note, Packet6, Stage, Stop, Tables6, flow, select};
use crate::verdict::{DropReason, Verdict};
use crate::wire::Frame;

/// The stage.
#[inline(always)]
pub(super) fn run<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    _port: &Port,
    packet: &Packet6,
    note: Note,
) -> Result<Verdict, Stop> {
    admission::of_lan(tables, packet)?;
    let key = packet.key.nat64();
    let invited = tables.flow(FlowTable::Invited, &key);
    if let Some(invited) = invited
        && let Some(uplink) = entry::sending(tables, invited)
    {
        // What goes no further answers nothing.
        send::check_outward(frame, packet, uplink.mtu)?;
        establish(tables, packet, &key, invited)?;
        return Err(Stop::to(Stage::Outbound64));
    }
    let old = tables.flow(FlowTable::Established, &key);
    let is_invited = invited.is_some();
    if old.is_some() && !is_invited && note != Note::GOES_OVER {
        return Err(Stop::to(Stage::Lost64));
    }
    if packet.kind == Kind::Continues {
        return Err(DropReason::Unsolicited.into());
    }
    may_open(old, is_invited)?;
    let settings = tables.settings().ok_or(DropReason::NotReady)?;
    let (id, uplink) = choose(tables, settings, packet)?;
    send::check_outward(frame, packet, uplink.mtu)?;
    Err(Stop::Next(Stage::Entry64, Note::NOTHING.with_mapping(id, false)))
}

/// Whether the flow is a new one, or one that its uplink has lost, and that may go over to another.
///
/// # Errors
/// Where it came from beyond an uplink, which it cannot leave by: there, nobody knows it by another
/// address.
#[inline(always)]
fn may_open(old: Option<&Flow<SharedU64>>, is_invited: bool) -> Result<(), Stop> {
    let is_remote = |flow: &Flow<SharedU64>| flow.opener == Opener::Remote as u8;
    if old.is_some_and(is_remote) || is_invited {
        return Err(Stop::Answer(DropReason::NoUplink, 0));
    }
    Ok(())
}

/// The uplink that a flow takes: one of IPv4's.
#[inline(always)]
pub(super) fn choose<'a, T: Tables6>(
    tables: &'a T,
    settings: &Settings,
    packet: &Packet6,
) -> Result<(u8, &'a Uplink), Stop> {
    const NONE: Stop = Stop::Answer(DropReason::NoUplink, 0);
    let ends = (packet.inside, packet.outside);
    let id = select::uplink6(tables, settings, DEFAULT_GROUP, ends, &packet.key, settings.nat44)
        .ok_or(NONE)?;
    let uplink = tables.uplink(id).filter(|uplink| uplink.generation != 0).ok_or(NONE)?;
    Ok((id, uplink))
}

/// Makes a flow that the LAN answers an established one.
#[inline(always)]
fn establish<T: Tables6>(
    tables: &T,
    packet: &Packet6,
    key: &FlowKey,
    invited: &Flow<SharedU64>,
) -> Result<(), DropReason> {
    let (mut out, mut into) = (Place::uninit(), Place::uninit());
    let out = copy(invited, &mut out);
    out.created = ticks(tables.now());
    let ends = Ends {
        inside: (packet.inside, key.source_port()),
        public: (out.address, out.port),
        remote: out.other_address,
        protocol: to_ipv4(key.protocol()),
    };
    let into = entry::inward(&ends, tables.nat64(), Common::of(out), &mut into);
    into.mark = out.mark;
    into.progress = out.progress;
    out.mark = flow::mark_of(tables, packet.seen).0;
    out.progress = 0;
    let in_key = key.inward64(out);
    entry::insert_pair(tables, (key, out), (&in_key, into))?;
    tables.retract_flow(FlowTable::Invited, key);
    Ok(())
}
