//! The path of a packet.
//!
//! 1. Parse (`parse.rs`): Ethernet, IPv4, TCP, UDP and ICMP echo.
//! 2. Not sent to the interface's MAC, or not IPv4: to the kernel untouched.
//! 3. Flow (`flow.rs`): ONE hash look-up decides an established packet, in either direction.
//! 4. On a miss: addressed to the gateway itself, or a new flow (`open.rs`): group, bucket and
//!    uplink (`select.rs`), a public port, the pair of entries.
//! 5. Translate (`translate.rs`): address, port, TTL, and checksums by their difference.
//! 6. Forward: MACs, egress, counter.
//!
//! Whether a packet is for the gateway itself is asked after the flow look-up, not before: the
//! ports that translation hands out are not the kernel's, so a hit is never a packet of the
//! gateway's own.
//!
//! Invariant: all look-ups come first, and the packet is changed last. What is passed to the kernel
//! is byte for byte what came in.
//!
//! Invariant: from the LAN nothing leaves untranslated. Besides ARP and the like, broadcasts, and
//! tagged frames of interfaces that are not served, only what is addressed to the gateway reaches
//! the kernel.

mod flow;
mod open;
mod parse;
mod select;
mod tables;
mod translate;

pub use open::flow as open_flow;
pub use tables::{InsertError, Tables};

use crate::abi::{Direction, FlowKey, L4Port, Port, PortRole};
use crate::verdict::{DropReason, PassReason, Verdict};
use crate::wire::{ETHERNET_LEN, Frame, Protocol};
use core::mem::MaybeUninit;
use flow::Route;
use parse::{Kind, Packet};

/// The ports of DHCP (RFC 2131 section 4.1).
const DHCP_SERVER: L4Port = L4Port::from_host(67);
const DHCP_CLIENT: L4Port = L4Port::from_host(68);

/// Why a packet does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Pass(PassReason),
    Drop(DropReason),
}

impl From<DropReason> for Stop {
    #[inline(always)]
    fn from(reason: DropReason) -> Self {
        Self::Drop(reason)
    }
}

impl From<PassReason> for Stop {
    #[inline(always)]
    fn from(reason: PassReason) -> Self {
        Self::Pass(reason)
    }
}

/// Decides one packet and rewrites it. The caller counts it ([`Verdict::counter`]) and acts.
#[inline(always)]
pub fn process<F: Frame, T: Tables>(frame: &mut F, tables: &T, ifindex: u32) -> Verdict {
    match run(frame, tables, ifindex) {
        Ok(verdict) => verdict,
        Err(Stop::Pass(reason)) => Verdict::Pass(reason),
        Err(Stop::Drop(reason)) => Verdict::Drop(reason),
    }
}

#[inline(always)]
fn run<F: Frame, T: Tables>(frame: &mut F, tables: &T, ifindex: u32) -> Result<Verdict, Stop> {
    let port = tables.port(ifindex).ok_or(PassReason::UnknownPort)?;
    let mut place = MaybeUninit::uninit();
    let packet = parse::packet(frame, tables, port, &mut place)?;
    if let Some(route) = flow::find(tables, packet) {
        return forward(frame, tables, packet, route);
    }
    admit(tables, packet, port)?;
    tables.open(&packet.key, packet.source_mac, frame.len(), port)?;
    let route = flow::find(tables, packet).ok_or(DropReason::NoUplink)?;
    forward(frame, tables, packet, route)
}

/// 4. Whether a packet of no flow may open one.
#[inline(always)]
fn admit<T: Tables>(tables: &T, packet: &Packet, port: &Port) -> Result<(), Stop> {
    if tables.is_local(&packet.key.destination().into()) {
        return Err(PassReason::Local.into());
    }
    if port.role != PortRole::Lan as u8 {
        return Err(if is_lease(&packet.key) {
            PassReason::Local.into()
        } else {
            DropReason::Unsolicited.into()
        });
    }
    // Nobody else speaks for the gateway (RFC 1812 section 5.3.7).
    if tables.is_local(&packet.key.source().into()) {
        return Err(DropReason::Martian.into());
    }
    match packet.kind {
        Kind::Opens if packet.ttl <= 1 => Err(DropReason::TtlExceeded.into()),
        Kind::Opens => Ok(()),
        Kind::Continues => Err(DropReason::Unsolicited.into()),
        Kind::Fragment => Err(DropReason::Fragment.into()),
        Kind::Untranslatable => Err(DropReason::Protocol.into()),
    }
}

/// Whether it is from a DHCP server to a client: a lease is sent to an address that the gateway
/// does not have yet (RFC 2131 section 4.1).
#[inline(always)]
fn is_lease(key: &FlowKey) -> bool {
    key.protocol() == Protocol::UDP
        && key.source_port() == DHCP_SERVER
        && key.destination_port() == DHCP_CLIENT
}

/// 5 and 6. Rewrites the packet by its flow entry and says where it goes.
#[inline(always)]
fn forward<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    packet: &Packet,
    Route { flow, uplink }: Route<'_>,
) -> Result<Verdict, Stop> {
    if packet.ttl <= 1 {
        return Err(DropReason::TtlExceeded.into());
    }
    let (direction, macs, egress, mtu) = if flow.direction == Direction::Out as u8 {
        (Direction::Out, uplink.macs, uplink.egress, uplink.mtu)
    } else {
        (Direction::In, flow.macs, flow.egress, flow.mtu)
    };
    if frame.len() > ETHERNET_LEN + usize::from(mtu) {
        return Err(DropReason::TooBig.into());
    }
    flow::mark(tables, flow, packet);
    translate::rewrite(frame, packet, flow, direction, macs).ok_or(DropReason::Truncated)?;
    Ok(Verdict::Forward { egress, uplink: flow.uplink, direction })
}
