//! ICMP errors: they go the way of the packet that they quote, and what they quote is translated
//! back (RFC 5508 section 4).

use super::entry::{self, Common, Place};
use super::forward::Way;
use super::inbound::NoTarget;
use super::parse::Packet;
use super::{FlowTable, Note, Stage, Stop, Tables, flow, inbound, lan, mapping, routed, translate};
use crate::abi::{
    Direction, Flow, FlowKey, Ipv4, L4Port, LAN_REALM, Opener, Port, PortRole, ROUTED_REALM,
    Uplink, uplink_of,
};
use crate::verdict::{DropReason, PassReason, Verdict};
use crate::wire::{
    Echo, Frame, ICMP_LEN, IPV4_LEN, Ipv4Header, Ports, Protocol,
    checksum::{self, Delta},
    icmp_type, offset,
};

/// The stage.
#[inline(always)]
pub(super) fn run<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    port: &Port,
    packet: &Packet,
    _note: Note,
) -> Result<Verdict, Stop> {
    check_sum(frame, packet)?;
    let quote = Quote::read(frame, packet)?;
    // An error goes back to who sent what it quotes.
    if packet.key.destination() != quote.source.0 {
        return Err(DropReason::IcmpMismatch.into());
    }
    let key = FlowKey::new(quote.destination, quote.source, quote.protocol, packet.key.realm());
    let mut found = Place::uninit();
    let (flow, uplink) = find(tables, &key, port, &mut found)
        .map_err(|stop| stop.unwrap_or_else(|| unmatched(tables, &key, port, packet)))?;
    settle_source(tables, packet, flow)?;
    flow.header_delta = outer_delta(packet, flow);
    let way = Way::of(flow, uplink);
    way.check(frame, packet)?;
    let change = quote.rewrite(frame, flow).ok_or(DropReason::Truncated)?;
    update_sum(frame, packet, change).ok_or(DropReason::Truncated)?;
    translate::header(frame, packet, flow, &way).ok_or(DropReason::Truncated)?;
    Ok(way.verdict(packet, flow))
}

/// Changes the ICMP checksum.
#[inline(always)]
fn update_sum<F: Frame>(frame: &mut F, packet: &Packet, change: Delta) -> Option<()> {
    let at = packet.transport() + offset::ICMP_CHECKSUM;
    let old = u16::from_ne_bytes(frame.read(at)?);
    frame.write(at, checksum::update(old, change.fold()).to_ne_bytes())
}

/// Checks the ICMP checksum (RFC 5508 section 4.1, REQ-3). It cannot be checked of a fragment, and
/// is not of more than an Ethernet frame carries.
#[inline(always)]
pub(super) fn check_sum<F: Frame>(frame: &F, packet: &Packet) -> Result<(), DropReason> {
    let body = usize::from(packet.body(frame).ok_or(DropReason::Truncated)?);
    if packet.is_first_fragment() || body > checksum::SUMMED_MAX {
        return Ok(());
    }
    match frame.sum(packet.transport(), body) {
        Some(sum) if checksum::is_right(sum) => Ok(()),
        Some(_) => Err(DropReason::BadChecksum),
        None => Err(DropReason::Truncated),
    }
}

/// The flow whose packets go the way of the error, by their key.
///
/// # Errors
/// Where there is none, or it is for another stage.
#[inline(always)]
fn find<'a, 'p, T: Tables>(
    tables: &'a T,
    key: &FlowKey,
    port: &Port,
    place: &'p mut Place,
) -> Result<(&'p mut Flow, &'a Uplink), Option<Stop>> {
    if let Some(route) = flow::find(tables, FlowTable::Established, key) {
        if route.flow.direction == Direction::In64 as u8 {
            return Err(Some(Stop::to(Stage::ErrorIn64)));
        }
        return Ok((entry::copy(route.flow, place), route.uplink));
    }
    if port.role == PortRole::Lan as u8 {
        let route = flow::find(tables, FlowTable::Unreplied, key)
            .or_else(|| flow::find(tables, FlowTable::Invited, key))
            .ok_or(None)?;
        return Ok((entry::copy(route.flow, place), route.uplink));
    }
    if key.realm() == ROUTED_REALM {
        let out_key = routed::out_key(key);
        let flow = routed::find_unanswered(tables, FlowTable::Unreplied, &out_key)
            .or_else(|| routed::find_unanswered(tables, FlowTable::Invited, &out_key))
            .ok_or(None)?;
        let uplink = tables.uplink(flow.uplink).ok_or(None)?;
        let into = entry::copy(flow, place);
        into.direction = Direction::In as u8;
        return Ok((into, uplink));
    }
    let uplink = tables.uplink(port.uplink).ok_or(None)?;
    let inside = match inbound::target(tables, key, port.uplink, uplink) {
        Ok((_, inside)) => inside,
        Err(NoTarget::Ipv6) => return Err(Some(Stop::to(Stage::ErrorIn64))),
        Err(_) => return Err(None),
    };
    let out_key = FlowKey::new(inside.end(), key.from(), key.protocol(), LAN_REALM);
    let route = flow::find_translated(tables, FlowTable::Unreplied, &out_key, key)
        .or_else(|| flow::find_translated(tables, FlowTable::Invited, &out_key, key))
        .ok_or(None)?;
    // Only what it is rewritten by counts.
    let common = Common::new(tables, key, (port.uplink, uplink), Opener::Lan);
    let into = common.inward(key.to(), &inside, place);
    into.lan = route.flow.lan;
    Ok((into, route.uplink))
}

/// What becomes of an error about no flow: where it quotes a packet of the gateway's own, from a
/// port that is never handed out, it is the kernel's; and there are no flows within the LAN.
#[inline(always)]
fn unmatched<T: Tables>(tables: &T, key: &FlowKey, port: &Port, packet: &Packet) -> Stop {
    let (address, own_port) = key.to();
    let owner = tables.local(&address.into());
    let is_own = owner.is_some_and(|owner| {
        owner.is_kernel()
            && (owner.uplink().is_none()
                || !mapping::is_handed_out(tables, key.protocol(), own_port))
    });
    if is_own {
        return PassReason::Local.into();
    }
    match lan::check(tables, port, packet) {
        Err(stop) if owner.is_none() => stop,
        _ => DropReason::IcmpMismatch.into(),
    }
}

/// Of a routed flow, whoever in the LAN sends the error stays who it is, if the flow's uplink routes its
/// address; any other router of the LAN appears as the flow's host, as it would by NAT.
///
/// # Errors
/// Where it comes from outside, and claims to be of the LAN.
#[inline(always)]
fn settle_source<T: Tables>(
    tables: &T,
    packet: &Packet,
    flow: &mut Flow,
) -> Result<(), DropReason> {
    let source = packet.key.source();
    if !flow.is_routed() {
        return Ok(());
    }
    if flow.direction == Direction::In as u8 {
        let is_spoofed = inbound::is_spoofed(tables, source);
        return if is_spoofed { Err(DropReason::Martian) } else { Ok(()) };
    }
    if routed::may_leave(tables, source, uplink_of(flow.uplink)) {
        flow.address = source;
    }
    Ok(())
}

/// What the outer header's checksum changes by. Whoever in the LAN sends the error appears as the
/// flow's public address (RFC 5508 section 4.2, REQ-5).
#[inline(always)]
fn outer_delta(packet: &Packet, flow: &Flow) -> u16 {
    let (source, destination) = (packet.key.source(), packet.key.destination());
    let change = if flow.direction == Direction::In as u8 {
        Delta::NONE.address(destination, flow.address)
    } else if flow.direction == Direction::Out as u8 {
        Delta::NONE.address(source, flow.address)
    } else {
        Delta::NONE.address(source, flow.address).address(destination, flow.other_address)
    };
    change.ttl_decrement().fold()
}

/// The packet that an error quotes, as far as it does.
pub(super) struct Quote {
    /// Where it starts in the frame.
    pub(super) at: usize,
    /// Where its transport header does.
    pub(super) transport: usize,
    /// How many bytes from there on are quoted.
    pub(super) len: usize,
    pub(super) protocol: u8,
    header_checksum: u16,
    pub(super) source: (Ipv4, L4Port),
    pub(super) destination: (Ipv4, L4Port),
}

impl Quote {
    /// # Errors
    /// Where it is no packet of a flow, or too little of one to tell.
    #[inline(always)]
    pub(super) fn read<F: Frame>(frame: &F, packet: &Packet) -> Result<Self, DropReason> {
        const MISMATCH: DropReason = DropReason::IcmpMismatch;
        let at = packet.transport() + ICMP_LEN;
        let header: Ipv4Header = frame.read(at).ok_or(MISMATCH)?;
        let header_len = header.header_len();
        let body = packet.body(frame).ok_or(MISMATCH)?;
        let whole = usize::from(body)
            .checked_sub(ICMP_LEN + header_len)
            .filter(|_| header.version() == 4 && header_len >= IPV4_LEN);
        let len = whole.ok_or(MISMATCH)?;
        if header.fragment_offset() != 0 || header.verify(frame, at) != Some(true) {
            return Err(MISMATCH);
        }
        let transport = at + header_len;
        let (source, destination) = match header.protocol {
            Protocol::TCP | Protocol::UDP if len >= size_of::<Ports>() => {
                let ports: Ports = frame.read(transport).ok_or(MISMATCH)?;
                (ports.source(), ports.destination())
            }
            Protocol::ICMP if len >= size_of::<Echo>() => {
                let echo: Echo = frame.read(transport).ok_or(MISMATCH)?;
                match echo.icmp_type {
                    icmp_type::ECHO_REQUEST => (echo.identifier(), L4Port::default()),
                    icmp_type::ECHO_REPLY => (L4Port::default(), echo.identifier()),
                    _ => return Err(MISMATCH),
                }
            }
            Protocol::TCP | Protocol::UDP | Protocol::ICMP => return Err(MISMATCH),
            _ => (L4Port::default(), L4Port::default()),
        };
        Ok(Self {
            at,
            transport,
            len,
            protocol: header.protocol,
            header_checksum: u16::from_ne_bytes(header.checksum),
            source: (header.source(), source),
            destination: (header.destination(), destination),
        })
    }

    /// Writes the quoted packet as its sender knows it, `flow` being the entry of the way back.
    /// Returns what the error's own checksum changes by.
    #[inline(always)]
    fn rewrite<F: Frame>(&self, frame: &mut F, flow: &Flow) -> Option<Delta> {
        if flow.is_routed() {
            return Some(Delta::NONE);
        }
        let new = (flow.address, flow.port);
        let mut change = Change::default();
        if flow.direction == Direction::In as u8 {
            self.replace(frame, true, self.source, new, &mut change)?;
        } else {
            self.replace(frame, false, self.destination, new, &mut change)?;
            if flow.direction == Direction::Hairpin as u8 {
                let other = (flow.other_address, flow.other_port);
                self.replace(frame, true, self.source, other, &mut change)?;
            }
        }
        let header = checksum::update(self.header_checksum, change.addresses.fold());
        frame.write(self.at + Ipv4Header::CHECKSUM, header.to_ne_bytes())?;
        let own = change.addresses.and(change.ports).word(self.header_checksum, header);
        Some(own.and(self.rewrite_checksum(frame, &change)?))
    }

    /// Replaces one end of the quoted packet.
    #[inline(always)]
    fn replace<F: Frame>(
        &self,
        frame: &mut F,
        is_source: bool,
        old: (Ipv4, L4Port),
        new: (Ipv4, L4Port),
        change: &mut Change,
    ) -> Option<()> {
        let (address, port) = if is_source {
            (Ipv4Header::SOURCE, offset::SOURCE_PORT)
        } else {
            (Ipv4Header::DESTINATION, offset::DESTINATION_PORT)
        };
        frame.write(self.at + address, new.0.octets())?;
        change.addresses = change.addresses.address(old.0, new.0);
        let port = match self.protocol {
            Protocol::TCP | Protocol::UDP => port,
            // The end with the identifier is the one that has a port.
            Protocol::ICMP => offset::ICMP_IDENTIFIER,
            _ => return Some(()),
        };
        frame.write(self.transport + port, new.1.octets())?;
        change.ports = change.ports.port(old.1, new.1);
        Some(())
    }

    /// Updates the quoted transport checksum, where it is quoted. Returns what the error's own
    /// changes by because of that.
    #[inline(always)]
    fn rewrite_checksum<F: Frame>(&self, frame: &mut F, change: &Change) -> Option<Delta> {
        let at = match self.protocol {
            Protocol::TCP => offset::TCP_CHECKSUM,
            Protocol::UDP => offset::UDP_CHECKSUM,
            Protocol::ICMP => offset::ICMP_CHECKSUM,
            _ => return Some(Delta::NONE),
        };
        if at + size_of::<u16>() > self.len {
            return Some(Delta::NONE);
        }
        let old = u16::from_ne_bytes(frame.read(self.transport + at)?);
        let new = match self.protocol {
            Protocol::UDP => checksum::update_udp(old, change.addresses.and(change.ports).fold()),
            Protocol::TCP => checksum::update(old, change.addresses.and(change.ports).fold()),
            _ => checksum::update(old, change.ports.fold()),
        };
        frame.write(self.transport + at, new.to_ne_bytes())?;
        Some(Delta::NONE.word(old, new))
    }
}

/// What replacing the ends of the quoted packet changes its checksums by.
#[derive(Default)]
struct Change {
    addresses: Delta,
    ports: Delta,
}
