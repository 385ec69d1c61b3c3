//! 5. What becomes of a packet's port, and of the checksum that covers it and the addresses.

use crate::abi::{L4Port, Masquerade, Pin};
use crate::path::Packet6;
use crate::wire::{Frame, checksum, offset};

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
        if self.masquerade == Masquerade::None as u8 {
            return Some(());
        }
        let protocol = packet.key.protocol();
        let transport = packet.transport();
        let is_out = self.masquerade == Masquerade::Out as u8;
        let at = transport + offset::checksum(protocol);
        let old = u16::from_ne_bytes(frame.read(at)?);
        let new = checksum::update_of(protocol, old, self.delta);
        frame.write(transport + offset::port(protocol, is_out), self.port.octets())?;
        frame.write(at, new.to_ne_bytes())
    }
}
