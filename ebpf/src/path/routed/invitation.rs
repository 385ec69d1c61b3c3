//! From an uplink, for a prefix that it routes, and of no flow: something that nobody has asked for.

use super::out_key;
use crate::abi::{Direction, Inbound, Opener, Port, ROUTED_SIDE};
use crate::path::entry::{Common, Inside, Place};
use crate::path::forward::{self, Way};
use crate::path::inbound::is_spoofed;
use crate::path::parse::{Kind, Packet};
use crate::path::{FlowTable, Note, Stop, Tables6, flow};
use crate::verdict::{DropReason, PassReason, Verdict};
use crate::wire::Frame;

/// The stage.
#[inline(always)]
pub(in crate::path) fn run<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    port: &Port,
    packet: &Packet,
    _note: Note,
) -> Result<Verdict, Stop> {
    let key = &packet.key;
    // The gateway's own address of the prefix.
    if let Some(owner) = tables.local(&key.destination().into()) {
        return Err(match owner.is_kernel() {
            true => PassReason::Local.into(),
            false => DropReason::Unsolicited.into(),
        });
    }
    if is_spoofed(tables, key.source()) {
        return Err(DropReason::Martian.into());
    }
    let side = ROUTED_SIDE + port.uplink;
    let uplink = tables.uplink(side).filter(|uplink| uplink.generation != 0);
    let uplink = uplink.ok_or(DropReason::NotReady)?;
    match packet.kind {
        Kind::Untranslatable => return Err(DropReason::Icmp.into()),
        _ if uplink.inbound != Inbound::All as u8 => return Err(DropReason::Filtered.into()),
        Kind::Opens => {}
        _ => return Err(DropReason::Unsolicited.into()),
    }
    let lan = tables.lan_next_hop(&key.destination().into()).side()?;
    let way = Way::to_lan(lan, Direction::In);
    way.check(frame, packet)?;
    let inside = Inside::new(key.to(), lan);
    let common = Common::new(tables, key, (side, uplink), Opener::Remote);
    let mut place = Place::uninit();
    let out = common.outward(&inside, key.to(), &mut place);
    out.mark = flow::first_mark(tables, packet).0;
    tables
        .replace_flow(FlowTable::Invited, &out_key(key), out)
        .map_err(|_| DropReason::UnrepliedTableFull)?;
    out.direction = Direction::In as u8;
    forward::send_first(frame, tables, packet, out, port.mtu, way)
}
