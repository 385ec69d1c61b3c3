//! 6. Where a translated packet goes.

use super::flow::{self, Route};
use super::parse::Packet;
use super::{Stop, Tables, fragment, handshake, mss, translate};
use crate::abi::{Direction, Flow, LanSide, MacPair, SharedU64, Uplink, uplink_of};
use crate::verdict::{DropReason, Verdict};
use crate::wire::{ETHERNET_LEN, Frame, IPV4_LEN, Protocol};

/// How a packet leaves.
#[derive(Clone, Copy)]
pub(super) struct Way {
    pub(super) direction: Direction,
    pub(super) macs: MacPair,
    pub(super) egress: u16,
    /// The largest IPv4 packet that the interface takes, in bytes.
    mtu: u16,
}

impl Way {
    /// To an uplink.
    #[inline(always)]
    pub(super) fn out(uplink: &Uplink) -> Self {
        let Uplink { macs, egress, mtu, .. } = *uplink;
        Self { direction: Direction::Out, macs, egress, mtu }
    }

    /// To a LAN host.
    #[inline(always)]
    pub(super) fn to_lan(lan: LanSide, direction: Direction) -> Self {
        Self { direction, macs: lan.macs(), egress: lan.egress(), mtu: lan.mtu() }
    }

    /// By a flow entry.
    #[inline(always)]
    pub(super) fn of<M>(flow: &Flow<M>, uplink: &Uplink) -> Self {
        if flow.direction == Direction::Out as u8 {
            Self::out(uplink)
        } else if flow.direction == Direction::In as u8 {
            Self::to_lan(flow.lan, Direction::In)
        } else {
            Self::to_lan(flow.lan, Direction::Hairpin)
        }
    }

    /// The largest packet that may go this way, in bytes.
    #[inline(always)]
    pub(super) fn mtu(&self) -> u16 {
        self.mtu
    }

    /// What becomes of a packet that was written for this way.
    #[inline(always)]
    pub(super) fn verdict<M>(&self, packet: &Packet, flow: &Flow<M>) -> Verdict {
        let uplink = self.uplink(packet, flow);
        Verdict::Forward { egress: self.egress, uplink, direction: self.direction }
    }

    /// The uplink that it crosses.
    #[inline(always)]
    fn uplink<M>(&self, packet: &Packet, flow: &Flow<M>) -> u8 {
        match self.direction {
            // What is routed may come in by another uplink than it leaves by.
            Direction::In => packet.uplink,
            _ => uplink_of(flow.uplink),
        }
    }

    /// Whether the packet may go this way.
    ///
    /// # Errors
    /// Where its TTL is used up, or the egress interface does not take it. The sender is told.
    #[inline(always)]
    pub(super) fn check<F: Frame>(&self, frame: &F, packet: &Packet) -> Result<(), Stop> {
        check(frame, packet.ttl, self.mtu)
    }
}

/// Whether a packet with this TTL, or hop limit, may go by an interface that takes packets of up to
/// `mtu` bytes.
///
/// # Errors
/// As for [`Way::check`].
#[inline(always)]
pub(super) fn check<F: Frame>(frame: &F, ttl: u8, mtu: u16) -> Result<(), Stop> {
    if ttl <= 1 {
        return Err(Stop::Answer(DropReason::TtlExceeded, 0));
    }
    if frame.len() > ETHERNET_LEN + usize::from(mtu) {
        return Err(Stop::Answer(DropReason::TooBig, mtu));
    }
    Ok(())
}

/// Sends a packet of a known flow its way, and marks its entry.
#[inline(always)]
pub(super) fn send_known<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    packet: &Packet,
    Route { flow, uplink }: Route<'_>,
) -> Result<Verdict, Stop> {
    let way = Way::of(flow, uplink);
    way.check(frame, packet)?;
    flow::mark(frame, tables, flow, packet);
    send_first(frame, tables, packet, flow, uplink.mtu, way)
}

/// Sends a packet its way, as one of the first of its flow may need: the first fragment leaves word
/// for the others, and SYN and SYN-ACK get the maximum segment size that both interfaces take. That of
/// the uplink takes packets of up to `uplink_mtu` bytes.
#[inline(always)]
pub(super) fn send_first<F: Frame, T: Tables, M>(
    frame: &mut F,
    tables: &T,
    packet: &Packet,
    flow: &Flow<M>,
    uplink_mtu: u16,
    way: Way,
) -> Result<Verdict, Stop> {
    if packet.is_first_fragment() {
        fragment::record(frame, tables, packet, flow)?;
    }
    if packet.starts && packet.key.protocol() == Protocol::TCP {
        let uplink = way.uplink(packet, flow);
        handshake::time(frame, tables, packet.transport(), (uplink, way.direction));
        let mtu = match way.direction {
            Direction::Hairpin => flow.lan.mtu(),
            _ => flow.lan.mtu().min(uplink_mtu),
        };
        let len = |frame: &F| packet.body(frame).map(usize::from);
        let _ = mss::clamp(frame, packet.transport(), len, mss::limit(mtu, IPV4_LEN));
    }
    send(frame, packet, flow, way)
}

/// Sends a packet of a known flow this way, if it may go it, and marks its entry.
///
/// # Errors
/// As for [`Way::check`].
#[inline(always)]
pub(super) fn send_marked<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    packet: &Packet,
    flow: &Flow<SharedU64>,
    way: Way,
) -> Result<Verdict, Stop> {
    way.check(frame, packet)?;
    flow::mark(frame, tables, flow, packet);
    send(frame, packet, flow, way)
}

/// Rewrites a packet, and sends it its way.
#[inline(always)]
fn send<F: Frame, M>(
    frame: &mut F,
    packet: &Packet,
    flow: &Flow<M>,
    way: Way,
) -> Result<Verdict, Stop> {
    translate::rewrite(frame, packet, flow, &way).ok_or(DropReason::Truncated)?;
    Ok(way.verdict(packet, flow))
}
