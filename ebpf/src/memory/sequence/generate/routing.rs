//! Gateways with a prefix that is routed, and packets of that.

use core::net::Ipv4Addr;

use super::super::{Interface, Packet, Routing};
use super::{Generator, Profile};
use crate::memory::routed::{self, Carriage};

impl Generator<'_> {
    /// How the uplinks of a gateway carry IPv4.
    pub(super) fn routing(&mut self) -> Routing {
        const KINDS: [Carriage; 5] =
            [Carriage::Nat44, Carriage::Routed, Carriage::Both, Carriage::Both, Carriage::Routed];
        if self.one_in(2) {
            return Routing::default();
        }
        let mut kind = || KINDS.get(self.below(KINDS.len())).copied().unwrap_or(Carriage::Both);
        Routing { carriage: [kind(), kind()], answers_only: self.one_in(4) }
    }

    /// Has a packet be from the prefix that is routed, or for it, now and then.
    pub(super) fn route(&mut self, packet: &mut Packet) {
        const ANY: [Ipv4Addr; 4] = [routed::HOST, routed::GATEWAY, routed::SILENT, routed::NOBODY];
        let is_lan = packet.interface == Interface::Lan;
        let (inside, outside) = if is_lan {
            (&mut packet.source, &mut packet.destination)
        } else {
            (&mut packet.destination, &mut packet.source)
        };
        if self.one_in(2) {
            // On the kernel, a host has its own ports.
            let is_other = match self.profile {
                Profile::Kernel => inside.1 >= 4100,
                Profile::Any => self.one_in(2),
            };
            inside.0 = if is_other { routed::OTHER.octets() } else { routed::HOST.octets() };
        }
        let other = self.below(ANY.len());
        let end = match self.below(16) {
            0 => outside,
            1 | 2 if !is_lan => inside,
            _ => return,
        };
        end.0 = ANY.get(other).unwrap_or(&routed::HOST).octets();
    }
}
