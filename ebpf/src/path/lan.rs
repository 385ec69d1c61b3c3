//! 4. From the LAN to the LAN: routed as the kernel would, and not translated. What it has to find a MAC for
//!    first is left to it.

use super::forward::Way;
use super::opening::is_martian;
use super::parse::Packet;
use super::{NextHop, Note, Stage, Stop, Tables, Tables6};
use crate::abi::{Direction, Ipv6, Port, PortRole};
use crate::verdict::{DropReason, PassReason, Verdict};
use crate::wire::{ETHERNET_LEN, Frame, Ipv4Header, checksum};

/// The stage.
#[inline(always)]
pub(super) fn run<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    _port: &Port,
    packet: &Packet,
    _note: Note,
) -> Result<Verdict, Stop> {
    let source = packet.key.source();
    if is_martian(source) || tables.local(&source.into()).is_some() {
        return Err(DropReason::Martian.into());
    }
    let way = next_hop(tables, &packet.key.destination().into())?;
    way.check(frame, packet)?;
    write(frame, packet, &way).ok_or(DropReason::Truncated)?;
    Ok(Verdict::Lan { egress: way.egress })
}

/// The way to an address of the LAN.
///
/// # Errors
/// Where the kernel knows none, or is to find it.
#[inline(always)]
pub(super) fn next_hop<T: Tables6>(tables: &T, destination: &Ipv6) -> Result<Way, Stop> {
    match tables.lan_next_hop(destination) {
        NextHop::Lan(lan) => Ok(Way::to_lan(lan, Direction::Hairpin)),
        NextHop::Unknown => Err(PassReason::LanNeighbour.into()),
        NextHop::Nowhere => Err(DropReason::LanToLan.into()),
    }
}

/// Whether a packet that came in by `port` is for another one of the LAN.
///
/// # Errors
/// Where it is.
#[inline(always)]
pub(super) fn check<T: Tables>(tables: &T, port: &Port, packet: &Packet) -> Result<(), Stop> {
    let destination = packet.key.destination();
    let is_lan = port.role == PortRole::Lan as u8 && tables.lan_network(destination).is_some();
    if is_lan { Err(Stop::to(Stage::Lan)) } else { Ok(()) }
}

#[inline(always)]
fn write<F: Frame>(frame: &mut F, packet: &Packet, way: &Way) -> Option<()> {
    let old = u16::from_ne_bytes(frame.read(ETHERNET_LEN + Ipv4Header::CHECKSUM)?);
    let new = checksum::update(old, checksum::Delta::NONE.ttl_decrement().fold());
    frame.write_macs(way.macs.words())?;
    frame.write(ETHERNET_LEN + Ipv4Header::TTL, packet.ttl - 1)?;
    frame.write(ETHERNET_LEN + Ipv4Header::CHECKSUM, new.to_ne_bytes())
}
