//! 6. Where a packet goes.

use super::nat66::Rewrite;
use super::parse::Packet6;
use super::{fragment, pin, translate};
use crate::abi::{Direction, Ipv6, Ipv6Mode, LanSide, MacPair, Pin, Port, SharedU64, Uplink6};
use crate::path::{Stop, Tables6, forward, handshake, mss};
use crate::verdict::{DropReason, Verdict};
use crate::wire::{ETHERNET_LEN, Frame, IPV6_LEN, Ipv6Header, Protocol};

/// Sends a packet of a known flow out by the uplink that it is pinned to, and marks it.
///
/// # Errors
/// Where the packet may not go there. The sender is told.
#[inline(always)]
pub(super) fn outward<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    packet: &Packet6,
    pin: &Pin<SharedU64>,
    uplink: &Uplink6,
) -> Result<Verdict, Stop> {
    let source = check_outward(frame, packet, uplink)?;
    pin::mark(frame, tables, pin, packet);
    write_pinned(frame, packet, pin, uplink, source)
}

/// Sends a packet of a known flow, which came in by `port`, to the LAN, and marks it.
///
/// # Errors
/// As for [`outward`].
#[inline(always)]
pub(super) fn inward<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    packet: &Packet6,
    pin: &Pin<SharedU64>,
    port: &Port,
) -> Result<Verdict, Stop> {
    check_inward(frame, packet, pin.lan)?;
    pin::mark(frame, tables, pin, packet);
    write_delivered(frame, packet, Delivery::of(pin), port.uplink)
}

/// Whom in the LAN a packet from an uplink goes to.
#[derive(Clone, Copy)]
pub(super) struct Delivery {
    pub(super) address: Ipv6,
    pub(super) lan: LanSide,
    /// What becomes of its port, where that is translated.
    pub(super) rewrite: Rewrite,
}

impl Delivery {
    /// By the pin of its flow.
    #[inline(always)]
    pub(super) fn of(pin: &Pin<SharedU64>) -> Self {
        Self { address: pin.inside, lan: pin.lan, rewrite: Rewrite::of(pin) }
    }
}

/// Whether a packet may leave by the uplink, and from which address.
///
/// # Errors
/// Why not.
#[inline(always)]
pub(super) fn check_outward<F: Frame>(
    frame: &F,
    packet: &Packet6,
    uplink: &Uplink6,
) -> Result<Ipv6, Stop> {
    forward::check(frame, packet.hop_limit, uplink.mtu)?;
    translate::external(uplink, packet.inside).map_err(|reason| match reason {
        DropReason::NoTranslation => Stop::Answer(reason, 0),
        // The pointer of a parameter problem is to the source.
        DropReason::AnycastTranslation => Stop::Answer(reason, Ipv6Header::SOURCE as u16),
        _ => reason.into(),
    })
}

/// Whether a packet may go to a LAN host.
///
/// # Errors
/// Why not.
#[inline(always)]
pub(super) fn check_inward<F: Frame>(
    frame: &F,
    packet: &Packet6,
    lan: LanSide,
) -> Result<(), Stop> {
    forward::check(frame, packet.hop_limit, lan.mtu())
}

/// Writes a packet that was checked as it leaves by the uplink that it is pinned to.
#[inline(always)]
pub(super) fn write_pinned<F: Frame>(
    frame: &mut F,
    packet: &Packet6,
    pin: &Pin<SharedU64>,
    uplink: &Uplink6,
    source: Ipv6,
) -> Result<Verdict, Stop> {
    Rewrite::of(pin).write(frame, packet).ok_or(DropReason::Truncated)?;
    write_outward(frame, packet, (pin.uplink, uplink), source)
}

/// Writes a packet that was checked as it leaves by the uplink, its port as it is.
#[inline(always)]
pub(super) fn write_outward<F: Frame>(
    frame: &mut F,
    packet: &Packet6,
    (id, uplink): (u8, &Uplink6),
    source: Ipv6,
) -> Result<Verdict, Stop> {
    let written = write_link(frame, packet, uplink.macs).and_then(|()| {
        if uplink.mode != Ipv6Mode::Nptv6 as u8 && uplink.mode != Ipv6Mode::Nat66 as u8 {
            return Some(());
        }
        frame.write(ETHERNET_LEN + Ipv6Header::SOURCE, source.to_wire())
    });
    written.ok_or(DropReason::Truncated)?;
    Ok(Verdict::Forward { egress: uplink.egress, uplink: id, direction: Direction::Out })
}

/// Writes a packet that was checked, and came in by an uplink, as it goes to a LAN host.
#[inline(always)]
pub(super) fn write_delivered<F: Frame>(
    frame: &mut F,
    packet: &Packet6,
    delivery: Delivery,
    uplink: u8,
) -> Result<Verdict, Stop> {
    delivery.rewrite.write(frame, packet).ok_or(DropReason::Truncated)?;
    write_inward(frame, packet, (delivery.address, delivery.lan), uplink)
}

/// The same, its port as it is.
#[inline(always)]
pub(super) fn write_inward<F: Frame>(
    frame: &mut F,
    packet: &Packet6,
    (address, lan): (Ipv6, LanSide),
    uplink: u8,
) -> Result<Verdict, Stop> {
    let written = write_link(frame, packet, lan.macs())
        .and_then(|()| frame.write(ETHERNET_LEN + Ipv6Header::DESTINATION, address.to_wire()));
    written.ok_or(DropReason::Truncated)?;
    Ok(Verdict::Forward { egress: lan.egress(), uplink, direction: Direction::In })
}

/// Writes MACs and hop limit.
#[inline(always)]
pub(super) fn write_link<F: Frame>(frame: &mut F, packet: &Packet6, macs: MacPair) -> Option<()> {
    frame.write_macs(macs.words())?;
    frame.write(ETHERNET_LEN + Ipv6Header::HOP_LIMIT, packet.hop_limit - 1)
}

/// Does for a packet what one of the first of its flow may need: the first fragment leaves word for the
/// others, and SYN and SYN-ACK get the maximum segment size that both interfaces take.
#[inline(always)]
pub(super) fn prepare_first<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    packet: &Packet6,
    (id, uplink): (u8, &Uplink6),
    (inside, lan): (Ipv6, LanSide),
) -> Result<(), DropReason> {
    if packet.is_first_fragment() {
        fragment::record(frame, tables, packet, (id, uplink.generation), (inside, lan))?;
    }
    if packet.starts && packet.key.protocol() == Protocol::TCP {
        let direction = if packet.from_lan { Direction::Out } else { Direction::In };
        handshake::time(frame, tables, packet.transport(), (id, direction));
        let mtu = lan.mtu().min(uplink.mtu);
        let len = |frame: &F| packet.body(frame);
        let _ = mss::clamp(frame, packet.transport(), len, mss::limit(mtu, IPV6_LEN));
    }
    Ok(())
}
