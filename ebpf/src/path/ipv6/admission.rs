//! 2 and 4. Whether a packet that is of no flow may be of one.

use super::parse::Packet6;
use super::translate;
use crate::abi::{AddressOwner, Ipv6, Port, SitePrefix, Uplink6};
use crate::path::parse::Kind;
use crate::path::{Stage, Stop, Tables6};
use crate::verdict::{DropReason, PassReason};
use crate::wire::{ETHERNET_LEN, Frame, Ipv6Header};

/// Where a packet from the LAN goes.
pub(super) enum Site {
    /// To somebody outside.
    Outside,
    /// To somebody in the LAN, by a public address or not.
    Lan,
}

/// Whether a packet from the LAN may leave it.
///
/// # Errors
/// Why not.
#[inline(always)]
pub(super) fn of_lan<T: Tables6>(tables: &T, packet: &Packet6) -> Result<Site, Stop> {
    let (source, destination) = (packet.inside, packet.outside);
    pass_local(tables, &destination)?;
    // Nobody else speaks for the gateway, and nobody reaches an address that it has for translation only.
    let is_own = tables.local(&source).is_some() || tables.local(&destination).is_some();
    if source.is_martian() || destination.is_martian() || is_own {
        return Err(DropReason::Martian.into());
    }
    check_kind(packet)?;
    let site = match tables.site_prefix(&destination) {
        Some(to) if to.translated_by == 0 => Site::Lan,
        to => {
            of_source(tables, &source)?;
            if to.is_some() { Site::Lan } else { Site::Outside }
        }
    };
    if packet.hop_limit <= 1 {
        return Err(Stop::Answer(DropReason::TtlExceeded, 0));
    }
    Ok(site)
}

/// The prefix of a packet from the LAN.
///
/// # Errors
/// Where it is none that an uplink takes packets from (BCP 38).
#[inline(always)]
pub(super) fn of_source<'a, T: Tables6>(
    tables: &'a T,
    source: &Ipv6,
) -> Result<&'a SitePrefix, DropReason> {
    match tables.site_prefix(source) {
        Some(prefix) if prefix.translated_by == 0 && prefix.is_foreign == 0 => Ok(prefix),
        _ if tables.settings().is_some_and(|settings| settings.ipv6 == 0) => Err(DropReason::Ipv6),
        _ => Err(DropReason::ForeignSource),
    }
}

/// Whether a packet from an uplink that no flow has asked for may go to the LAN, and as which uplink's.
///
/// # Errors
/// Why not.
#[inline(always)]
pub(super) fn of_uplink<'a, F: Frame, T: Tables6>(
    frame: &F,
    tables: &'a T,
    packet: &Packet6,
    port: &Port,
) -> Result<&'a Uplink6, Stop> {
    let header: Ipv6Header = frame.read(ETHERNET_LEN).ok_or(DropReason::Truncated)?;
    pass_local(tables, &header.destination())?;
    if header.destination().is_martian() {
        return Err(DropReason::Martian.into());
    }
    check_outside(tables, &packet.outside)?;
    check_kind(packet)?;
    let uplink = tables.uplink6(port.uplink).ok_or(DropReason::NotReady)?;
    translate::internal(uplink, header.destination())?;
    // To nobody of the LAN: from uplink to uplink there is no way.
    match tables.site_prefix(&packet.inside) {
        Some(prefix) if prefix.uplinks >> (port.uplink & 63) & 1 == 1 => Ok(uplink),
        _ => Err(DropReason::Unsolicited.into()),
    }
}

/// Whether an error from the LAN about a packet of a flow may leave by the flow's uplink: what a flow
/// is made for says nothing of its source.
///
/// # Errors
/// Why not.
#[inline(always)]
pub(super) fn of_lan_error<T: Tables6>(
    tables: &T,
    source: &Ipv6,
    uplink: u8,
) -> Result<(), DropReason> {
    if source.is_martian() || tables.local(source).is_some() {
        return Err(DropReason::Martian);
    }
    let prefix = of_source(tables, source)?;
    if prefix.uplinks >> (uplink & 63) & 1 == 1 { Ok(()) } else { Err(DropReason::ForeignSource) }
}

/// Whether what comes in by an uplink may be from this address: nobody out there speaks for the
/// gateway, for the LAN, or for those whom NAT64 leads to.
///
/// # Errors
/// Where it may not.
#[inline(always)]
pub(super) fn check_outside<T: Tables6>(tables: &T, source: &Ipv6) -> Result<(), DropReason> {
    let is_ours = tables.local(source).is_some()
        || tables.site_prefix(source).is_some()
        || tables.nat64().contains(source);
    if source.is_martian() || is_ours { Err(DropReason::Martian) } else { Ok(()) }
}

/// Whether a later fragment, or an error, that is of no flow is somebody else's than the flows'.
///
/// # Errors
/// Where it is the kernel's, or for somebody in the LAN.
#[inline(always)]
pub(super) fn of_no_flow<F: Frame, T: Tables6>(
    frame: &F,
    tables: &T,
    packet: &Packet6,
) -> Result<(), Stop> {
    let header: Ipv6Header = frame.read(ETHERNET_LEN).ok_or(DropReason::Truncated)?;
    pass_local(tables, &header.destination())?;
    if !packet.from_lan {
        return Ok(());
    }
    match tables.site_prefix(&packet.outside) {
        Some(_) => Err(Stop::to(Stage::Hairpin6)),
        None => Ok(()),
    }
}

/// What is the kernel's goes there: what is for the gateway itself, and what stays on the link.
#[inline(always)]
fn pass_local<T: Tables6>(tables: &T, destination: &Ipv6) -> Result<(), PassReason> {
    let of_link = destination.is_link_local() || destination.is_multicast();
    let is_kernels = || tables.local(destination).is_some_and(AddressOwner::is_kernel);
    // The gateway's addresses of IPv4 are mapped ones there, which are on no wire (RFC 4942 section 2.2).
    if of_link || !destination.is_martian() && is_kernels() {
        return Err(PassReason::Local);
    }
    Ok(())
}

/// Refuses messages of ICMPv6 that do not cross a router, or that nobody knows (RFC 4890 section 4.3).
#[inline(always)]
fn check_kind(packet: &Packet6) -> Result<(), DropReason> {
    match packet.kind {
        Kind::OfLink | Kind::Untranslatable => Err(DropReason::Icmp),
        _ => Ok(()),
    }
}
