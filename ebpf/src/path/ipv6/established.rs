//! 3. Packets of established flows: where every packet of IPv6 starts.
//!
//! TCP and UDP without extension headers and in one buffer have code of their own, as those of IPv4 have.

use core::hint::black_box;
use core::mem::MaybeUninit;

use super::parse::{self, Packet6};
use super::{pin, send, translate};
use crate::abi::{FlowKey, Ipv6, L4Port, Pin, Port, PortKey, PortRole, SharedU64, Uplink6};
use crate::path::established::refused;
use crate::path::parse::{Kind, Transport};
use crate::path::{End, FlowTable, Note, Stage, Step, Stop, Tables6, nat64};
use crate::verdict::{DropReason, PassReason, Verdict};
use crate::wire::{ETHERNET_LEN, Frame, IPV6_LEN, Ipv6Header, Protocol, Tcp, Upper, is_extension};

/// The length of the headers of a TCP segment, in bytes. A shorter frame takes the general way.
const PLAIN_LEN: usize = ETHERNET_LEN + IPV6_LEN + size_of::<Tcp>();

/// [`Stage::Ipv6`]. What is parsed of the packet is in `place`. The end is called as by
/// [`crate::path::established`], which has looked at the Ethernet header.
///
/// It is [`Stage::Tagged6`] as well, of a frame whose tags are hidden.
#[inline(always)]
pub fn established<'p, F: Frame, T: Tables6, E: End>(
    frame: &mut F,
    tables: &T,
    port: PortKey,
    place: &'p mut MaybeUninit<Packet6>,
    end: &E,
) -> Step<'p, E::Done, Packet6> {
    let Some(port) = tables.port(port) else {
        return Step::Done(end.done(frame, Verdict::Pass(PassReason::UnknownPort)));
    };
    // So the compiler knows that all the headers are there.
    if frame.holds(PLAIN_LEN)
        && let Some(header) = frame.read::<Ipv6Header>(ETHERNET_LEN)
        && frame.len() >= ETHERNET_LEN + IPV6_LEN + header.payload_len()
    {
        if header.next_header == Protocol::TCP {
            let upper = Upper::direct(Protocol::TCP);
            return shaped(frame, tables, port, &header, upper, place, end);
        }
        if header.next_header == Protocol::UDP {
            let upper = Upper::direct(Protocol::UDP);
            return shaped(frame, tables, port, &header, upper, place, end);
        }
    }
    let Some(header) = frame.read::<Ipv6Header>(ETHERNET_LEN) else {
        return Step::Done(end.done(frame, Verdict::Drop(DropReason::Truncated)));
    };
    let next = header.next_header;
    let bits = if is_extension(next) {
        frame.walk_extensions(ETHERNET_LEN + IPV6_LEN, next, header.payload_len())
    } else {
        Upper::direct(next).to_bits()
    };
    match Upper::from_bits(bits) {
        Ok(upper) => shaped(frame, tables, port, &header, upper, place, end),
        // What is no IPv6 packet has no extension headers.
        Err(error) => Step::Done(end.done(
            frame,
            match parse::check_header(frame, &header) {
                Ok(()) => Verdict::Drop(parse::refuse(error)),
                Err(stop) => refused(stop),
            },
        )),
    }
}

/// A packet of which the compiler knows what it knows of the header and what that leads to.
#[inline(always)]
fn shaped<'p, F: Frame, T: Tables6, E: End>(
    frame: &mut F,
    tables: &T,
    port: &Port,
    header: &Ipv6Header,
    upper: Upper,
    place: &'p mut MaybeUninit<Packet6>,
    end: &E,
) -> Step<'p, E::Done, Packet6> {
    // Either direction is sent by code of its own.
    if port.role == PortRole::Lan as u8 {
        match outgoing(frame, tables, header, upper, place) {
            Ok(packet) => {
                let sent = send_out(frame, tables, port, packet);
                conclude(frame, sent, packet, end)
            }
            Err(stop) => Step::Done(end.done(frame, refused(stop))),
        }
    } else {
        match incoming(frame, tables, port, header, upper, place) {
            Ok((packet, foreign)) => {
                let sent = send_in(frame, tables, port, packet, foreign);
                conclude(frame, sent, packet, end)
            }
            Err(stop) => Step::Done(end.done(frame, refused(stop))),
        }
    }
}

/// What has become of a packet in this stage, or where it goes on.
type Sent = Result<Result<Verdict, Stop>, (Stage, Note)>;

/// What this stage ends in.
#[inline(always)]
fn conclude<'p, F: Frame, E: End>(
    frame: &mut F,
    sent: Sent,
    packet: &'p Packet6,
    end: &E,
) -> Step<'p, E::Done, Packet6> {
    let (stage, note) = match sent {
        Ok(Ok(verdict)) => return Step::Done(end.done(frame, verdict)),
        Ok(Err(Stop::Answer(reason, mtu))) => (Stage::Answer6, Note::dropped(reason, mtu)),
        Ok(Err(stop)) => return Step::Done(end.done(frame, refused(stop))),
        Err(next) => next,
    };
    // The compiler would join these ends of all shapes and directions, and have every packet get ready for
    // that at each branch that leads there: some 60 stores to the stack.
    Step::Next(black_box(stage), packet, note)
}

/// Sends a packet of an established flow from the LAN.
#[inline(always)]
fn send_out<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    port: &Port,
    packet: &Packet6,
) -> Sent {
    if tables.nat64().contains(&packet.outside) {
        return nat64::established(frame, tables, port, packet)
            .ok_or((Stage::Outbound64, Note::NOTHING));
    }
    let pin = find(tables, port, packet)?;
    let uplink = pin::sending(tables, pin)
        .filter(|_| packet.is_from(frame, port, pin.lan))
        .ok_or((Stage::Outbound6, Note::NOTHING))?;
    Ok(send::outward(frame, tables, packet, pin, uplink))
}

/// The same to the LAN, unless it is for no address there.
#[inline(always)]
fn send_in<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    port: &Port,
    packet: &Packet6,
    foreign: bool,
) -> Sent {
    if foreign {
        return Err((Stage::Inbound6, Note::NOTHING));
    }
    let pin = find(tables, port, packet)?;
    Ok(send::inward(frame, tables, packet, pin, port))
}

/// Parses a packet from the LAN.
#[inline(always)]
fn outgoing<'p, F: Frame, T: Tables6>(
    frame: &F,
    tables: &T,
    header: &Ipv6Header,
    upper: Upper,
    place: &'p mut MaybeUninit<Packet6>,
) -> Result<&'p Packet6, Stop> {
    parse::check_header(frame, header)?;
    let (inside, outside) = (header.source(), header.destination());
    let key = |transport: Transport| {
        let [source, destination] = transport.ports.map(L4Port::new);
        let ends = ((inside, source), (outside, destination));
        (key(tables, ends, upper.protocol()), inside, outside, transport)
    };
    parse::packet(frame, header, upper, true, key, place)
}

/// Parses a packet from an uplink, and says whether it is for no address of the LAN.
#[inline(always)]
fn incoming<'p, F: Frame, T: Tables6>(
    frame: &F,
    tables: &T,
    port: &Port,
    header: &Ipv6Header,
    upper: Upper,
    place: &'p mut MaybeUninit<Packet6>,
) -> Result<(&'p Packet6, bool), Stop> {
    parse::check_header(frame, header)?;
    let uplink: &Uplink6 = tables.uplink6(port.uplink).ok_or(DropReason::NotReady)?;
    let (outside, destination) = (header.source(), header.destination());
    let internal = translate::internal(uplink, destination);
    let inside = internal.unwrap_or(destination);
    let key = |transport: Transport| {
        let [source, destination] = transport.ports.map(L4Port::new);
        let ends = ((inside, destination), (outside, source));
        (key(tables, ends, upper.protocol()), inside, outside, transport)
    };
    let packet = parse::packet(frame, header, upper, false, key, place)?;
    Ok((packet, internal.is_err()))
}

#[inline(always)]
fn key<T: Tables6>(
    tables: &T,
    (inside, outside): ((Ipv6, L4Port), (Ipv6, L4Port)),
    protocol: u8,
) -> FlowKey {
    FlowKey::pinned(tables.digest_key(), inside, outside, protocol)
}

/// The packet's flow.
///
/// # Errors
/// Where to go on, where there is none, or the packet needs more than it.
#[inline(always)]
fn find<'a, T: Tables6>(
    tables: &'a T,
    port: &Port,
    packet: &Packet6,
) -> Result<&'a Pin<SharedU64>, (Stage, Note)> {
    let stage = if packet.from_lan { Stage::Outbound6 } else { Stage::Inbound6 };
    match packet.kind {
        Kind::Tail => return Err((Stage::Fragment6, Note::NOTHING)),
        Kind::Error => return Err((Stage::Error6, Note::NOTHING)),
        // What a flow's first packets need besides, only the other stages do.
        Kind::Opens | Kind::Continues if !packet.starts && !packet.is_first_fragment() => {}
        _ => return Err((stage, Note::NOTHING)),
    }
    let pin = pin::find(tables, FlowTable::Established, packet);
    pin.filter(|pin| pin::may_come_by(pin, port.uplink)).ok_or_else(|| {
        if packet.from_lan {
            tables.prefetch_unanswered_pin(&packet.key);
        }
        (stage, Note::MISSED)
    })
}
