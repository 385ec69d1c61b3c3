//! ICMPv6 errors, and what they quote: their checksum, and its change.

use super::rewrite::{checksum_of, port_of, updated};
use crate::abi::{Ipv6, L4Port};
use crate::path::Packet6;
use crate::path::ipv6::error::Quote;
use crate::verdict::DropReason;
use crate::wire::checksum::{self, Delta};
use crate::wire::{ETHERNET_LEN, Frame, Ipv6Header, Protocol, offset};

/// Checks the checksum (RFC 5508 section 4.1, REQ-3). It cannot be checked of a fragment, and is not of more
/// than an Ethernet frame carries.
#[inline(always)]
pub(super) fn check_sum<F: Frame>(frame: &F, packet: &Packet6) -> Result<(), DropReason> {
    let body = packet.body(frame).ok_or(DropReason::Truncated)?;
    if packet.is_first_fragment() || body > checksum::SUMMED_MAX {
        return Ok(());
    }
    let header: Ipv6Header = frame.read(ETHERNET_LEN).ok_or(DropReason::Truncated)?;
    let ends = (header.source(), header.destination());
    let pseudo = Ipv6Header::pseudo_header(ends.0, ends.1, Protocol::ICMPV6, body as u16);
    match frame.sum(packet.transport(), body) {
        Some(sum) if checksum::is_right(sum + pseudo) => Ok(()),
        Some(_) => Err(DropReason::BadChecksum),
        None => Err(DropReason::Truncated),
    }
}

/// One end of a quoted packet, and what it becomes.
#[derive(Clone, Copy)]
pub(super) struct End {
    pub(super) is_source: bool,
    pub(super) old: (Ipv6, L4Port),
    pub(super) new: (Ipv6, L4Port),
    /// What the quoted packet's checksum changes by.
    pub(super) delta: u16,
}

/// Writes an end of the quoted packet anew, and the error's own checksum, whose other addresses change by
/// `outer`.
#[inline(always)]
pub(super) fn rewrite<F: Frame>(
    frame: &mut F,
    packet: &Packet6,
    quote: &Quote,
    end: End,
    outer: Delta,
) -> Option<()> {
    let address = if end.is_source { Ipv6Header::SOURCE } else { Ipv6Header::DESTINATION };
    frame.write(quote.at + address, end.new.0.to_wire())?;
    let port = quote.transport + port_of(quote.protocol, end.is_source);
    frame.write(port, end.new.1.octets())?;
    let mut change = outer.without(end.old.0).with(end.new.0).port(end.old.1, end.new.1);
    let at = checksum_of(quote.protocol);
    if at + size_of::<u16>() <= quote.len {
        let old = u16::from_ne_bytes(frame.read(quote.transport + at)?);
        let new = updated(quote.protocol, old, end.delta);
        frame.write(quote.transport + at, new.to_ne_bytes())?;
        change = change.word(old, new);
    }
    let at = packet.transport() + offset::ICMP_CHECKSUM;
    let old = u16::from_ne_bytes(frame.read(at)?);
    frame.write(at, checksum::update(old, change.fold()).to_ne_bytes())
}
