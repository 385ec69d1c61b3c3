//! From the LAN to the LAN, by its own addresses or by public ones (RFC 6296 section 4.3): nothing is
//! remembered.

use pointsman_ebpf::abi::Direction;
use pointsman_ebpf::verdict::{DropReason, PassReason};

use super::leave::Rewrite;
use super::packet::{Kind, Packet};
use super::quote::Quote;
use super::site::may_leave;
use super::{Model6, Outcome, Stop};

impl Model6 {
    /// Whether the destination is of the LAN.
    pub(crate) fn is_hairpin(&self, packet: &Packet<'_>) -> bool {
        self.site.prefix(packet.to.0).is_some()
    }

    /// What is the kernel's goes there first.
    pub(crate) fn may_be_hairpin(&self, packet: &Packet<'_>) -> Result<(), PassReason> {
        if self.site.is_kernels(packet.to.0) { Err(PassReason::Local) } else { Ok(()) }
    }

    /// As it is, by the LAN's own addresses.
    fn across(&self, packet: &Packet<'_>) -> Result<Outcome, Stop> {
        let lan = self.site.neighbour(packet.to.0).map_err(|reason| match reason {
            DropReason::NeighbourUnknown => Stop::Pass(PassReason::LanNeighbour),
            _ => DropReason::LanToLan.into(),
        })?;
        may_leave(packet.hop_limit, packet.frame, lan.1)?;
        Ok(self.cross(packet, lan))
    }

    pub(crate) fn hairpin(&mut self, packet: &Packet<'_>) -> Result<Outcome, Stop> {
        let known = self.site.prefix(packet.to.0).ok_or(DropReason::Unsolicited)?;
        let Some(id) = known.shown_by else {
            return self.across(packet);
        };
        let uplink = &self.site.uplinks[&id];
        let destination = uplink.inside(packet.to.0)?;
        let source = uplink.show(packet.from.0)?;
        let lan = self.site.neighbour(destination)?;
        may_leave(packet.hop_limit, packet.frame, lan.1)?;
        let mut rewrite =
            Rewrite { source: Some(source), destination: Some(destination), ..Rewrite::default() };
        if packet.kind == Kind::Error {
            let quote = Quote::read(packet).filter(|quote| quote.from.0 == packet.to.0);
            let quote = quote.ok_or(DropReason::IcmpMismatch)?;
            rewrite.quoted_source = Some(uplink.inside(quote.from.0)?);
            rewrite.quoted_destination = Some(uplink.show(quote.to.0)?);
        }
        Ok(self.reach(packet, lan, (id, Direction::Hairpin), rewrite))
    }
}
