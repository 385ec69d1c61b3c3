//! From an uplink.

use pointsman_ebpf::memory::site6::Carriage;
use pointsman_ebpf::verdict::{DropReason, PassReason};

use super::packet::{Address, Kind, Packet};
use super::site::{is_martian, may_leave};
use super::state::{
    ESTABLISHED, INVITED, Key, Pin, Shared, UNREPLIED, first_traffic, may_be_of_flow, note,
};
use super::{Model6, Outcome, Stop};
use crate::model::state::Traffic;

impl Model6 {
    pub(crate) fn by_uplink(&mut self, packet: &Packet<'_>) -> Result<Outcome, Stop> {
        let uplink = self.site.uplink_of(packet.came).ok_or(PassReason::UnknownPort)?;
        let inside = match uplink.inside(packet.to.0) {
            Ok(inside) => inside,
            Err(untranslated) => {
                self.admit_from_uplink(packet)?;
                return Err(untranslated.into());
            }
        };
        match packet.kind {
            Kind::Later => return self.later_from_uplink(packet, inside),
            Kind::Error => return self.error_from_uplink(packet, inside),
            _ => {}
        }
        if uplink.carriage == Carriage::Nat66 {
            return self.for_public(packet, uplink.provider.id);
        }
        let end = (inside, packet.to.1);
        let key = Key { inside: end, outside: packet.from, protocol: packet.protocol };
        let tables = [ESTABLISHED, UNREPLIED, INVITED];
        let found = tables
            .into_iter()
            .find_map(|table| Some((table, self.state.plain(table, &key)?)))
            .filter(|_| may_be_of_flow(packet));
        let Some((table, pin)) = found else {
            return self.unasked(packet, key);
        };
        may_leave(packet.hop_limit, packet.frame, pin.lan.1)?;
        let now = self.site.now;
        if table == UNREPLIED && !packet.is_reset() {
            self.state.establish(UNREPLIED, key, packet, (false, now))?;
        } else if let Some(pin) = self.state.pins[table].get_mut(&key) {
            note(&mut pin.into, packet, now);
        }
        self.deliver(packet, inside, pin.lan)
    }

    /// Whether a packet of no flow may come in, as far as its addresses and its kind go.
    fn admit_from_uplink(&self, packet: &Packet<'_>) -> Result<(), Stop> {
        if self.site.is_kernels(packet.to.0) {
            return Err(PassReason::Local.into());
        }
        if is_martian(packet.to.0) || !self.is_outside(packet.from.0) {
            return Err(DropReason::Martian.into());
        }
        if matches!(packet.kind, Kind::OfLink | Kind::Odd) {
            return Err(DropReason::Icmp.into());
        }
        Ok(())
    }

    /// Whether somebody outside may have the address.
    pub(crate) fn is_outside(&self, address: Address) -> bool {
        let site = &self.site;
        !is_martian(address) && !site.is_own(address) && site.prefix(address).is_none()
    }

    /// What nobody has asked for.
    fn unasked(&mut self, packet: &Packet<'_>, key: Key) -> Result<Outcome, Stop> {
        self.admit_from_uplink(packet)?;
        let uplink = self.site.uplink_of(packet.came).ok_or(PassReason::UnknownPort)?;
        let (id, generation, inbound) = (uplink.provider.id, uplink.generation, uplink.inbound);
        let inside = key.inside.0;
        if !self.site.prefix(inside).is_some_and(|known| known.uplinks.contains(&id)) {
            return Err(DropReason::Unsolicited.into());
        }
        if !inbound {
            return Err(DropReason::Filtered.into());
        }
        if packet.kind != Kind::Opens {
            return Err(DropReason::Unsolicited.into());
        }
        let lan = self.site.neighbour(inside)?;
        may_leave(packet.hop_limit, packet.frame, lan.1)?;
        let pin = Pin {
            uplink: id,
            generation,
            by_lan: false,
            lan,
            created: (self.site.now >> 30) as u32,
            shared: Shared::No,
            out: Traffic::default(),
            into: first_traffic(packet, self.site.now),
        };
        self.state.pins[INVITED].write(key, pin)?;
        self.deliver(packet, inside, lan)
    }
}
