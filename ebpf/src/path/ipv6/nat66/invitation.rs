//! 4. From an uplink, for the address that LAN hosts share, and of no flow: something for a mapping that
//!    nobody has asked for.

use super::mapped;
use crate::abi::{Filtering, HostDigest, Ipv6, L4Port, Port, Uplink6};
use crate::path::entry::Inside;
use crate::path::ipv6::pin::{self, Place};
use crate::path::ipv6::{admission, send};
use crate::path::{FlowTable, Note, Packet6, Stage, Stop, Tables6};
use crate::verdict::{DropReason, Verdict};
use crate::wire::Frame;

/// The stage: notes the flow, which its packet then goes on by.
#[inline(always)]
pub(super) fn run<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    port: &Port,
    packet: &Packet6,
    note: Note,
) -> Result<Verdict, Stop> {
    if note == Note::OPENED {
        // What this stage has made, others have pushed out already.
        return Err(DropReason::UnrepliedTableFull.into());
    }
    let uplink = tables.uplink6(port.uplink).ok_or(DropReason::NotReady)?;
    let by = (port.uplink, uplink);
    let (key, public_port) = (&packet.key, mapped::public_port(packet));
    let host = mapped::host_of(tables, (key.protocol(), public_port), by)
        .ok_or(DropReason::Unsolicited)?;
    admission::check_outside(tables, &packet.outside)?;
    admit(tables, packet, by, host)?;
    let lan = tables.lan_next_hop(&host.0).side()?;
    send::check_inward(frame, packet, lan)?;
    let mut place = Place::uninit();
    let pin = pin::new(tables, packet, (port.uplink, uplink.generation), lan, &mut place);
    // What is not answered has one pin only, and that has no other place for what comes in.
    pin.out = pin.into;
    mapped::make_outward(pin, host, (uplink.address, public_port));
    let out_key = mapped::out_key(tables, host, (packet.outside, key));
    tables
        .replace_pin(FlowTable::Invited, &out_key, pin)
        .map_err(|_| DropReason::UnrepliedTableFull)?;
    Err(Stop::Next(Stage::Inbound66, Note::OPENED))
}

/// Whether the mapping takes what nobody has asked for (RFC 4787 section 5).
#[inline(always)]
fn admit<T: Tables6>(
    tables: &T,
    packet: &Packet6,
    (id, uplink): (u8, &Uplink6),
    host: (Ipv6, L4Port),
) -> Result<(), DropReason> {
    let settings = tables.settings().ok_or(DropReason::NotReady)?;
    if settings.is_closed(id) {
        return Err(DropReason::Filtered);
    }
    let filtering = settings.filtering;
    let is_let_in = filtering == Filtering::Endpoint as u8
        || filtering == Filtering::Address as u8
            && is_permitted(tables, packet, (id, uplink.generation), host);
    if is_let_in && !packet.is_reset() { Ok(()) } else { Err(DropReason::Filtered) }
}

/// Whether the LAN host that has the mapping now has sent to the sender's address.
#[inline(always)]
fn is_permitted<T: Tables6>(
    tables: &T,
    packet: &Packet6,
    (id, generation): (u8, u32),
    host: (Ipv6, L4Port),
) -> bool {
    let sender = HostDigest::new(tables.digest_key(), packet.outside).sender();
    let (inside, _) = Inside::of_ipv6(tables.digest_key(), host);
    let key = mapped::outer_key(sender, mapped::public_port(packet), packet.key.protocol(), id);
    tables.binding(&key).is_some_and(|permission| {
        (permission.address, permission.port) == inside.end() && permission.generation == generation
    })
}
