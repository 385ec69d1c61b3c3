//! 4. From an uplink, and of no flow: something for a mapping that nobody has asked for.

use super::entry::{self, Common};
use super::reply::{ends, out_key, target};
use super::send;
use crate::abi::{Filtering, HostDigest, Ipv6, L4Port, Opener, Port, Uplink, ticks};
use crate::path::entry::{Inside, Place};
use crate::path::inbound::{is_permitted, is_spoofed};
use crate::path::{FlowTable, Note, Packet, Stage, Stop, Tables6, flow};
use crate::verdict::{DropReason, Verdict};
use crate::wire::Frame;

/// The stage: notes the flow, which its packet then goes on by.
#[inline(always)]
pub(super) fn run<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    port: &Port,
    packet: &Packet,
    note: Note,
) -> Result<Verdict, Stop> {
    if note == Note::OPENED {
        // What this stage has made, others have pushed out already.
        return Err(DropReason::UnrepliedTableFull.into());
    }
    let uplink = tables.uplink(port.uplink).ok_or(DropReason::NoUplink)?;
    let by = (port.uplink, uplink);
    let inside = target(tables, &packet.key, by).ok_or(DropReason::Unsolicited)?;
    admit(tables, packet, by, inside)?;
    let lan = tables.lan_next_hop(&inside.0).side()?;
    send::check_inward(frame, packet, lan)?;
    let digest = HostDigest::new(tables.digest_key(), inside.0);
    let common = Common::new(by, lan, Opener::Remote as u8, ticks(tables.now()));
    let mut out = Place::uninit();
    let ends = ends(&packet.key, inside);
    let out = entry::outward(&ends, digest, tables.nat64(), common, &mut out);
    out.mark = flow::first_mark(tables, packet).0;
    let key = out_key(tables, &packet.key, inside);
    tables
        .replace_flow(FlowTable::Invited, &key, out)
        .map_err(|_| DropReason::UnrepliedTableFull)?;
    Err(Stop::Next(Stage::Reply64, Note::OPENED))
}

/// Whether the mapping takes what nobody has asked for (RFC 6146 section 3.5.1).
#[inline(always)]
fn admit<T: Tables6>(
    tables: &T,
    packet: &Packet,
    (id, uplink): (u8, &Uplink),
    inside: (Ipv6, L4Port),
) -> Result<(), DropReason> {
    let key = &packet.key;
    // Nobody could answer who has no address in the prefix.
    if is_spoofed(tables, key.source()) || !tables.nat64().leads_to(key.source()) {
        return Err(DropReason::Martian);
    }
    let settings = tables.settings().ok_or(DropReason::NotReady)?;
    if settings.is_closed(id) {
        return Err(DropReason::Filtered);
    }
    let filtering = settings.filtering;
    let (inside, _) = Inside::of_ipv6(tables.digest_key(), inside);
    let is_let_in = filtering == Filtering::Endpoint as u8
        || filtering == Filtering::Address as u8
            && is_permitted(tables, key, &inside, (id, uplink.generation));
    if is_let_in && !packet.is_reset() { Ok(()) } else { Err(DropReason::Filtered) }
}
