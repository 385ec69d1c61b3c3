//! ICMPv6 errors: they go the way of the packet that they quote.

use pointsman_ebpf::abi::Direction;
use pointsman_ebpf::memory::site6::Carriage;
use pointsman_ebpf::verdict::{DropReason, PassReason};

use super::leave::Rewrite;
use super::packet::{Address, Packet};
use super::quote::Quote;
use super::site::{is_martian, may_leave};
use super::state::{ESTABLISHED, INVITED, Pin, Shared, UNREPLIED};
use super::{Model6, Outcome, Stop};

impl Model6 {
    /// About a packet that has left the LAN: it goes to who has sent that.
    pub(crate) fn error_from_uplink(
        &mut self,
        packet: &Packet<'_>,
        inside: Address,
    ) -> Result<Outcome, Stop> {
        let uplink = self.site.uplink_of(packet.came).ok_or(PassReason::UnknownPort)?;
        if uplink.carriage == Carriage::Nat66 {
            return self.error_for_public(packet, uplink.provider.id);
        }
        let quote = Quote::read(packet)
            .filter(|quote| uplink.inside(quote.from.0).is_ok_and(|sender| sender == inside));
        let tables = [ESTABLISHED, UNREPLIED, INVITED];
        let found = quote.and_then(|quote| {
            tables.into_iter().find_map(|table| self.state.plain(table, &quote.left(inside)))
        });
        let Some(pin) = found else {
            self.may_be_hairpin(packet)?;
            return Err(DropReason::IcmpMismatch.into());
        };
        if !self.is_outside(packet.from.0) {
            return Err(DropReason::Martian.into());
        }
        may_leave(packet.hop_limit, packet.frame, pin.lan.1)?;
        let rewrite = Rewrite {
            destination: Some(inside),
            quoted_source: Some(inside),
            ..Rewrite::default()
        };
        Ok(self.reach(packet, pin.lan, (uplink.provider.id, Direction::In), rewrite))
    }

    /// About a packet that has come to the LAN: it goes back by the flow's uplink.
    pub(crate) fn error_from_lan(&mut self, packet: &Packet<'_>) -> Result<Outcome, Stop> {
        let quote = Quote::read(packet).filter(|quote| quote.from.0 == packet.to.0);
        let tables = [ESTABLISHED, UNREPLIED, INVITED];
        let found = quote.and_then(|quote| {
            let pin =
                tables.into_iter().find_map(|table| self.state.of_host(table, &quote.came()))?;
            Some((quote, pin))
        });
        let Some((quote, pin)) = found else {
            self.may_be_hairpin(packet)?;
            return match self.is_hairpin(packet) {
                true => self.hairpin(packet),
                false => Err(DropReason::IcmpMismatch.into()),
            };
        };
        if let Shared::Out(port) = pin.shared {
            return self.error_of_shared(packet, (&pin, port));
        }
        if !self.site.sends(&pin) {
            return Err(DropReason::NoUplink.into());
        }
        self.may_send_error(packet, &pin)?;
        self.may_leave_by(packet, pin.uplink)?;
        let uplink = &self.site.uplinks[&pin.uplink];
        let rewrite = Rewrite {
            source: Some(uplink.show(packet.from.0)?),
            quoted_destination: Some(uplink.show(quote.to.0)?),
            ..Rewrite::default()
        };
        Ok(self.leave_by(packet, pin.uplink, rewrite))
    }

    /// Whether the error's own source may leave by the flow's uplink (BCP 38).
    pub(crate) fn may_send_error(&self, packet: &Packet<'_>, pin: &Pin) -> Result<(), DropReason> {
        let from = packet.from.0;
        if is_martian(from) || self.site.is_own(from) {
            return Err(DropReason::Martian);
        }
        let known = self.prefix_of_source(from)?;
        let may = known.uplinks.contains(&pin.uplink);
        may.then_some(()).ok_or(DropReason::ForeignSource)
    }
}
