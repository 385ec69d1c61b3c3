//! 5. What becomes of a packet's port, and of the checksum that covers it and the addresses.

use crate::abi::{L4Port, Masquerade, Pin};
use crate::path::Packet6;
use crate::path::parse::Kind;
use crate::wire::{Frame, Protocol, checksum, offset};

/// How a packet's upper layer is written anew, if it is.
#[derive(Clone, Copy)]
pub(in crate::path) struct Rewrite {
    masquerade: u8,
    /// In the place of the source port, the destination port, or the echo identifier.
    port: L4Port,
    /// What the checksum changes by.
    delta: u16,
}

impl Rewrite {
    /// The upper layer stays as it is.
    pub(in crate::path) const NONE: Self =
        Self { masquerade: Masquerade::None as u8, port: L4Port::new([0; 2]), delta: 0 };

    /// By a pin.
    #[inline(always)]
    pub(in crate::path) fn of<M>(pin: &Pin<M>) -> Self {
        Self { masquerade: pin.masquerade, port: pin.port, delta: pin.transport_delta }
    }

    /// The way back to the LAN host of this port, of a pin of what it sends.
    #[inline(always)]
    pub(super) fn back<M>(pin: &Pin<M>, port: L4Port) -> Self {
        Self { masquerade: Masquerade::In as u8, port, delta: !pin.transport_delta }
    }

    /// Writes port, or identifier, and checksum. Nothing where the frame ends before.
    #[inline(always)]
    pub(in crate::path) fn write<F: Frame>(&self, frame: &mut F, packet: &Packet6) -> Option<()> {
        if self.masquerade == Masquerade::None as u8 || packet.kind == Kind::Tail {
            return Some(());
        }
        let protocol = packet.key.protocol();
        let transport = packet.transport();
        let is_out = self.masquerade == Masquerade::Out as u8;
        let at = transport + checksum_of(protocol);
        let old = u16::from_ne_bytes(frame.read(at)?);
        let new = updated(protocol, old, self.delta);
        frame.write(transport + port_of(protocol, is_out), self.port.octets())?;
        frame.write(at, new.to_ne_bytes())
    }
}

/// Where in the upper layer's header the port is that tells LAN hosts apart: that of the source, or of the
/// destination, or the echo identifier.
#[inline(always)]
pub(super) fn port_of(protocol: u8, is_source: bool) -> usize {
    match protocol {
        Protocol::TCP | Protocol::UDP if is_source => offset::SOURCE_PORT,
        Protocol::TCP | Protocol::UDP => offset::DESTINATION_PORT,
        _ => offset::ICMP_IDENTIFIER,
    }
}

/// Where in it the checksum is.
#[inline(always)]
pub(super) fn checksum_of(protocol: u8) -> usize {
    match protocol {
        Protocol::TCP => offset::TCP_CHECKSUM,
        Protocol::UDP => offset::UDP_CHECKSUM,
        _ => offset::ICMP_CHECKSUM,
    }
}

/// The checksum after the change. UDP in tunnels may do without (RFC 6935).
#[inline(always)]
pub(super) fn updated(protocol: u8, old: u16, delta: u16) -> u16 {
    match protocol {
        Protocol::UDP => checksum::update_udp(old, delta),
        _ => checksum::update(old, delta),
    }
}
