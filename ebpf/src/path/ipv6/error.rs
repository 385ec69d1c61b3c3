//! ICMPv6 errors: they go the way of the packet that they quote, whose address is translated back.
//!
//! Both translations leave the sum of an address as it is, that of the error's own and that of the
//! quoted one, so the checksum stays right (RFC 6296 section 3.7).

use super::parse::Packet6;
use super::{admission, pin, send, translate};
use crate::abi::{FlowKey, Ipv6, Ipv6Mode, L4Port, Masquerade, Port, Uplink6};
use crate::path::{FlowTable, Note, Stage, Stop, Tables6};
use crate::verdict::{DropReason, Verdict};
use crate::wire::{
    ETHERNET_LEN, Echo, Frame, ICMP_LEN, IPV6_LEN, Ipv6Header, Ports, Protocol, Upper, checksum,
    icmpv6_type, is_extension,
};

/// The stage.
#[inline(always)]
pub(super) fn run<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    port: &Port,
    packet: &Packet6,
    _note: Note,
) -> Result<Verdict, Stop> {
    let sent = if packet.from_lan {
        of_lan(frame, tables, packet)
    } else {
        of_uplink(frame, tables, packet, port)
    };
    match sent {
        Err(Stop::Drop(DropReason::IcmpMismatch)) => {
            // Of the gateway's own packets, or on its way to a public address of the LAN.
            admission::of_no_flow(frame, tables, packet)?;
            Err(DropReason::IcmpMismatch.into())
        }
        sent => sent,
    }
}

/// An error from the LAN about a packet from outside: it leaves by the flow's uplink.
#[inline(always)]
fn of_lan<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    packet: &Packet6,
) -> Result<Verdict, Stop> {
    let quote = Quote::read(frame, packet)?;
    // An error goes back to who sent what it quotes.
    if quote.source.0 != packet.outside {
        return Err(DropReason::IcmpMismatch.into());
    }
    let flow = quote.flow(tables, quote.destination, quote.source);
    let pin = [FlowTable::Established, FlowTable::Unreplied, FlowTable::Invited]
        .into_iter()
        .find_map(|table| {
            pin::of_key(tables, table, &flow, true, (quote.destination.0, packet.outside))
        })
        .ok_or(DropReason::IcmpMismatch)?;
    if pin.masquerade != Masquerade::None as u8 {
        return Err(Stop::to(Stage::ErrorOut66));
    }
    let uplink = pin::sending(tables, pin).ok_or(DropReason::NoUplink)?;
    admission::of_lan_error(tables, &packet.inside, pin.uplink)?;
    let source = send::check_outward(frame, packet, uplink)?;
    let quoted = translate::external(uplink, quote.destination.0)?;
    frame
        .write(quote.at + Ipv6Header::DESTINATION, quoted.to_wire())
        .ok_or(DropReason::Truncated)?;
    send::write_outward(frame, packet, (pin.uplink, uplink), source)
}

/// An error from outside about a packet from the LAN.
#[inline(always)]
fn of_uplink<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    packet: &Packet6,
    port: &Port,
) -> Result<Verdict, Stop> {
    let quote = Quote::read(frame, packet)?;
    let uplink = tables.uplink6(port.uplink).ok_or(DropReason::NotReady)?;
    if uplink.mode == Ipv6Mode::Nat66 as u8 && packet.inside == uplink.address {
        return Err(Stop::to(Stage::ErrorIn66));
    }
    let inside =
        translate::internal(uplink, quote.source.0).map_err(|_| DropReason::IcmpMismatch)?;
    if inside != packet.inside {
        return Err(DropReason::IcmpMismatch.into());
    }
    let flow = quote.flow(tables, (inside, quote.source.1), quote.destination);
    let pin = [FlowTable::Established, FlowTable::Unreplied, FlowTable::Invited]
        .into_iter()
        .find_map(|table| pin::of_key(tables, table, &flow, false, (inside, quote.destination.0)))
        .filter(|pin| pin::may_come_by(pin, port.uplink))
        .ok_or(DropReason::IcmpMismatch)?;
    admission::check_outside(tables, &packet.outside)?;
    send::check_inward(frame, packet, pin.lan)?;
    frame.write(quote.at + Ipv6Header::SOURCE, inside.to_wire()).ok_or(DropReason::Truncated)?;
    send::write_inward(frame, packet, (inside, pin.lan), port.uplink)
}

/// Translates what an error quotes that goes from one LAN host to another by public addresses of an
/// uplink: its sender knows itself by the internal one, and the other by the public one.
#[inline(always)]
pub(super) fn rewrite_hairpin<F: Frame>(
    frame: &mut F,
    packet: &Packet6,
    uplink: &Uplink6,
) -> Result<(), Stop> {
    let quote = Quote::read(frame, packet)?;
    if quote.source.0 != packet.outside {
        return Err(DropReason::IcmpMismatch.into());
    }
    let source = translate::internal(uplink, quote.source.0)?;
    let destination = translate::external(uplink, quote.destination.0)?;
    frame
        .write(quote.at + Ipv6Header::SOURCE, source.to_wire())
        .and_then(|()| frame.write(quote.at + Ipv6Header::DESTINATION, destination.to_wire()))
        .ok_or(DropReason::Truncated.into())
}

/// Checks the ICMPv6 checksum of an error of `body` bytes, which is to get another one.
#[inline(always)]
pub(in crate::path) fn check_sum<F: Frame>(
    frame: &F,
    packet: &Packet6,
    body: usize,
) -> Result<(), DropReason> {
    let header: Ipv6Header = frame.read(ETHERNET_LEN).ok_or(DropReason::Truncated)?;
    let (source, destination) = (header.source(), header.destination());
    let pseudo = Ipv6Header::pseudo_header(source, destination, Protocol::ICMPV6, body as u16);
    match frame.sum(packet.transport(), body) {
        Some(sum) if checksum::is_right(sum + pseudo) => Ok(()),
        Some(_) => Err(DropReason::BadChecksum),
        None => Err(DropReason::Truncated),
    }
}

/// The packet that an error quotes, as far as it does.
pub(in crate::path) struct Quote {
    /// Where it starts in the frame.
    pub(in crate::path) at: usize,
    pub(in crate::path) protocol: u8,
    /// Where its upper layer's header starts in the frame.
    pub(in crate::path) transport: usize,
    /// How many bytes from there on are quoted.
    pub(in crate::path) len: usize,
    pub(in crate::path) source: (Ipv6, L4Port),
    pub(in crate::path) destination: (Ipv6, L4Port),
}

impl Quote {
    /// # Errors
    /// Where it is no packet of a flow, or too little of one to tell.
    #[inline(always)]
    pub(in crate::path) fn read<F: Frame>(frame: &F, packet: &Packet6) -> Result<Self, DropReason> {
        const MISMATCH: DropReason = DropReason::IcmpMismatch;
        let at = packet.transport() + ICMP_LEN;
        let header: Ipv6Header = frame.read(at).ok_or(MISMATCH)?;
        let body = packet.body(frame).ok_or(MISMATCH)?;
        let len = body.checked_sub(ICMP_LEN + IPV6_LEN).ok_or(MISMATCH)?;
        let next = header.next_header;
        let bits = if is_extension(next) {
            frame.walk_extensions(at + IPV6_LEN, next, len)
        } else {
            Upper::direct(next).to_bits()
        };
        let upper = Upper::from_bits(bits).map_err(|_| MISMATCH)?;
        // A later fragment has no ports.
        if header.version() != 6 || upper.fragment() > 1 {
            return Err(MISMATCH);
        }
        let transport = at + IPV6_LEN + (upper.extensions_len() & 0xff);
        let len = len.saturating_sub(upper.extensions_len());
        let [source, destination] =
            ports(frame, upper.protocol(), transport, len).ok_or(MISMATCH)?;
        Ok(Self {
            at,
            protocol: upper.protocol(),
            transport,
            len,
            source: (header.source(), source),
            destination: (header.destination(), destination),
        })
    }

    /// The key of the pin of its flow.
    #[inline(always)]
    pub(super) fn flow<T: Tables6>(
        &self,
        tables: &T,
        inside: (Ipv6, L4Port),
        outside: (Ipv6, L4Port),
    ) -> FlowKey {
        FlowKey::pinned(tables.digest_key(), inside, outside, self.protocol)
    }
}

/// The ports of a quoted packet, or an echo's identifier in the place of one.
#[inline(always)]
fn ports<F: Frame>(frame: &F, protocol: u8, transport: usize, len: usize) -> Option<[L4Port; 2]> {
    match protocol {
        Protocol::TCP | Protocol::UDP if len >= size_of::<Ports>() => {
            let ports: Ports = frame.read(transport)?;
            Some([ports.source(), ports.destination()])
        }
        Protocol::ICMPV6 if len >= size_of::<Echo>() => {
            let echo: Echo = frame.read(transport)?;
            match echo.icmp_type {
                icmpv6_type::ECHO_REQUEST => Some([echo.identifier(), L4Port::default()]),
                icmpv6_type::ECHO_REPLY => Some([L4Port::default(), echo.identifier()]),
                _ => None,
            }
        }
        Protocol::TCP | Protocol::UDP | Protocol::ICMPV6 => None,
        _ => Some([L4Port::default(); 2]),
    }
}
