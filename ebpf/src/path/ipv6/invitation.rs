//! 4. From an uplink, and of no flow: something that nobody has asked for.

use super::nat66::Rewrite;
use super::parse::Packet6;
use super::pin::{self, Place};
use super::send::{self, Delivery};
use super::{admission, inbound};
use crate::abi::{Inbound, Port};
use crate::path::parse::Kind;
use crate::path::{FlowTable, Note, Stop, Tables6};
use crate::verdict::{DropReason, Verdict};
use crate::wire::Frame;

/// The stage.
#[inline(always)]
pub(super) fn run<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    port: &Port,
    packet: &Packet6,
    _note: Note,
) -> Result<Verdict, Stop> {
    let uplink = admission::of_uplink(frame, tables, packet, port)?;
    if uplink.inbound != Inbound::All as u8 {
        return Err(DropReason::Filtered.into());
    }
    if packet.kind != Kind::Opens {
        return Err(DropReason::Unsolicited.into());
    }
    let lan = tables.lan_next_hop(&packet.inside).side()?;
    send::check_inward(frame, packet, lan)?;
    let mut place = Place::uninit();
    let new = pin::new(tables, packet, (port.uplink, uplink.generation), lan, &mut place);
    tables
        .replace_pin(FlowTable::Invited, &packet.key, new)
        .map_err(|_| DropReason::UnrepliedTableFull)?;
    let to = Delivery { address: packet.inside, lan, rewrite: Rewrite::NONE };
    inbound::deliver(frame, tables, packet, (port.uplink, uplink), to)
}
