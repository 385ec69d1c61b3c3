//! ICMPv6 errors, and what they quote: their checksum, and its change.

use crate::abi::{Ipv6, L4Port};
use crate::path::Packet6;
use crate::path::ipv6::error::{self, Quote};
use crate::verdict::DropReason;
use crate::wire::checksum::{self, Delta};
use crate::wire::{Frame, Ipv6Header, offset};

/// Checks the checksum (RFC 5508 section 4.1, REQ-3). It cannot be checked of a fragment, and is not of more
/// than an Ethernet frame carries.
#[inline(always)]
pub(super) fn check_sum<F: Frame>(frame: &F, packet: &Packet6) -> Result<(), DropReason> {
    let body = packet.body(frame).ok_or(DropReason::Truncated)?;
    if packet.is_first_fragment() || body > checksum::SUMMED_MAX {
        return Ok(());
    }
    error::check_sum(frame, packet, body)
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
    let port = quote.transport + offset::port(quote.protocol, end.is_source);
    frame.write(port, end.new.1.octets())?;
    let mut change = outer.without(end.old.0).with(end.new.0).port(end.old.1, end.new.1);
    let at = offset::checksum(quote.protocol);
    if at + size_of::<u16>() <= quote.len {
        let old = u16::from_ne_bytes(frame.read(quote.transport + at)?);
        let new = checksum::update_of(quote.protocol, old, end.delta);
        frame.write(quote.transport + at, new.to_ne_bytes())?;
        change = change.word(old, new);
    }
    let at = packet.transport() + offset::ICMP_CHECKSUM;
    let old = u16::from_ne_bytes(frame.read(at)?);
    frame.write(at, checksum::update(old, change.fold()).to_ne_bytes())
}
