//! 4. From the LAN to the LAN. There is no state, and any packet goes: errors and fragments as well.
//!
//! To a public address of the LAN, the destination is translated back, and the source appears as the
//! same uplink's, so that the answer comes back the same way (RFC 6296 section 4.3; RFC 4787 section 6).

use super::parse::Packet6;
use super::{error, send, translate};
use crate::abi::{Direction, Port};
use crate::path::parse::Kind;
use crate::path::{Note, Stop, Tables6, forward, lan};
use crate::verdict::{DropReason, Verdict};
use crate::wire::{ETHERNET_LEN, Frame, Ipv6Header};

/// The stage.
#[inline(always)]
pub(super) fn run<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    _port: &Port,
    packet: &Packet6,
    _note: Note,
) -> Result<Verdict, Stop> {
    let prefix = tables.site_prefix(&packet.outside).ok_or(DropReason::Unsolicited)?;
    match prefix.translated_by.checked_sub(1) {
        Some(uplink) => translated(frame, tables, packet, uplink),
        None => plain(frame, tables, packet),
    }
}

/// By an address that is the LAN's own.
#[inline(always)]
fn plain<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    packet: &Packet6,
) -> Result<Verdict, Stop> {
    let way = lan::next_hop(tables, &packet.outside)?;
    forward::check(frame, packet.hop_limit, way.mtu())?;
    send::write_link(frame, packet, way.macs).ok_or(DropReason::Truncated)?;
    Ok(Verdict::Lan { egress: way.egress })
}

/// By an address that the uplink translates.
#[inline(always)]
fn translated<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    packet: &Packet6,
    id: u8,
) -> Result<Verdict, Stop> {
    let uplink = tables.uplink6(id).ok_or(DropReason::NoUplink)?;
    let destination = translate::internal(uplink, packet.outside)?;
    let source = translate::external(uplink, packet.inside)?;
    let lan = tables.lan_next_hop(&destination).side()?;
    send::check_inward(frame, packet, lan)?;
    if packet.kind == Kind::Error {
        error::rewrite_hairpin(frame, packet, uplink)?;
    }
    let written = send::write_link(frame, packet, lan.macs())
        .and_then(|()| frame.write(ETHERNET_LEN + Ipv6Header::SOURCE, source.to_wire()))
        .and_then(|()| frame.write(ETHERNET_LEN + Ipv6Header::DESTINATION, destination.to_wire()));
    written.ok_or(DropReason::Truncated)?;
    Ok(Verdict::Forward { egress: lan.egress(), uplink: id, direction: Direction::Hairpin })
}
