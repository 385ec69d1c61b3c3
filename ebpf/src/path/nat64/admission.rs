//! Whether a packet from the LAN that is of no flow may open one.

use crate::abi::{Ipv4, Ipv6};
use crate::path::opening::is_martian;
use crate::path::parse::Kind;
use crate::path::{Packet6, Stop, Tables6};
use crate::verdict::DropReason;

/// Whether the packet may, which is to an address of the prefix.
///
/// # Errors
/// Why it may not.
#[inline(always)]
pub(super) fn of_lan<T: Tables6>(tables: &T, packet: &Packet6) -> Result<(), Stop> {
    of_sender(tables, &packet.inside)?;
    if matches!(packet.kind, Kind::OfLink | Kind::Untranslatable) {
        return Err(DropReason::Icmp.into());
    }
    if packet.hop_limit <= 1 {
        return Err(Stop::Answer(DropReason::TtlExceeded, 0));
    }
    match destination(tables, packet) {
        Some(_) => Ok(()),
        None => Err(Stop::Answer(DropReason::Nat64Destination, 0)),
    }
}

/// Whether a sender is of the site: whether any uplink carries its address does not matter here.
///
/// # Errors
/// Where it is not.
#[inline(always)]
pub(super) fn of_sender<T: Tables6>(tables: &T, source: &Ipv6) -> Result<(), DropReason> {
    if source.is_martian() || tables.local(source).is_some() {
        return Err(DropReason::Martian);
    }
    match tables.site_prefix(source) {
        Some(prefix) if prefix.translated_by == 0 => Ok(()),
        _ => Err(DropReason::ForeignSource),
    }
}

/// The IPv4 address that the packet goes to, if it is of somebody beyond the uplinks.
#[inline(always)]
fn destination<T: Tables6>(tables: &T, packet: &Packet6) -> Option<Ipv4> {
    let address = tables.nat64().extract(&packet.outside)?;
    let is_outside = !is_martian(address)
        && tables.lan_network(address).is_none()
        && tables.local(&address.into()).is_none();
    is_outside.then_some(address)
}
