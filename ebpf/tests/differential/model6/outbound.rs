//! From the LAN.

use pointsman_ebpf::memory::site6::Carriage;
use pointsman_ebpf::verdict::{DropReason, PassReason};

use super::packet::{Kind, Packet};
use super::site::{Id, Known, LanSide, Uplink, is_martian, may_leave};
use super::state::{
    ESTABLISHED, INVITED, Key, Pin, Shared, Together, UNREPLIED, first_traffic, may_be_of_flow,
    note,
};
use super::{Model6, Outcome, Stop};
use crate::model::state::Traffic;

impl Model6 {
    pub(crate) fn by_lan(&mut self, packet: &Packet<'_>) -> Result<Outcome, Stop> {
        match packet.kind {
            Kind::Later => return self.later_from_lan(packet),
            Kind::Error => return self.error_from_lan(packet),
            _ => {}
        }
        let key = Key { inside: packet.from, outside: packet.to, protocol: packet.protocol };
        let of_flow = may_be_of_flow(packet);
        let established = self.state.of_host(ESTABLISHED, &key).filter(|_| of_flow);
        // One that is established is not looked for among the unanswered.
        let table = if established.is_some() { ESTABLISHED } else { UNREPLIED };
        let known = self.state.of_host(table, &key).filter(|_| of_flow);
        if let Some(mut pin) = known.filter(|pin| self.site.sends(pin)) {
            // What comes for a host goes where its packets come from.
            let sender = self.sender(packet);
            if pin.lan != sender {
                pin.lan = sender;
                if table == ESTABLISHED {
                    self.move_back(key, &pin)?;
                }
                // It is written anew, so that others are older.
                self.state.pins[table].write(key, pin)?;
            }
            self.may_leave_by(packet, pin.uplink)?;
            let now = self.site.now;
            if let Some(pin) = self.state.pins[table].get_mut(&key) {
                note(&mut pin.out, packet, now);
            }
            return self.send(packet, &pin);
        }
        if self.admit_from_lan(packet)? {
            return self.hairpin(packet);
        }
        let invited = self.state.of_host(INVITED, &key);
        if let Some(pin) = invited.filter(|pin| self.site.sends(pin)) {
            self.may_leave_by(packet, pin.uplink)?;
            if pin.shared != Shared::No && !packet.is_reset() {
                self.promote(INVITED, key, packet, true)?;
                // It is an established one from here on.
                return self.by_lan(packet);
            }
            if !packet.is_reset() {
                let now = self.site.now;
                self.state.establish(INVITED, key, packet, (true, now))?;
            }
            return self.send(packet, &pin);
        }
        if let Some(pin) = established
            && let Some(outcome) = self.lost(packet, key, &pin)?
        {
            return Ok(outcome);
        }
        if packet.kind == Kind::Belongs && established.is_none() {
            return Err(DropReason::Unsolicited.into());
        }
        self.open(packet, key, established.or(invited), established.is_some())
    }

    /// How the sender of a packet from the LAN is reached.
    pub(crate) fn sender(&self, packet: &Packet<'_>) -> LanSide {
        let mac: [u8; 6] = packet.frame[6..12].try_into().expect("six bytes");
        (mac, self.site.setup.mtu[0])
    }

    /// Whether a packet may leave by an uplink.
    pub(crate) fn may_leave_by(&self, packet: &Packet<'_>, uplink: Id) -> Result<(), Stop> {
        let uplink = &self.site.uplinks[&uplink];
        may_leave(packet.hop_limit, packet.frame, uplink.mtu)?;
        uplink.show(packet.from.0).map(|_| ()).map_err(|reason| match reason {
            DropReason::NoTranslation => Stop::Answer(reason, 0),
            // It is the source that is wrong, which stands at this place (RFC 4443 section 3.4).
            DropReason::AnycastTranslation => Stop::Answer(reason, 8),
            _ => reason.into(),
        })
    }

    /// Whether a packet of no flow may be forwarded; true where it is for somebody in the LAN.
    fn admit_from_lan(&self, packet: &Packet<'_>) -> Result<bool, Stop> {
        let site = &self.site;
        let (from, to) = (packet.from.0, packet.to.0);
        if site.is_kernels(to) {
            return Err(PassReason::Local.into());
        }
        if is_martian(from) || is_martian(to) || site.is_own(from) {
            return Err(DropReason::Martian.into());
        }
        if matches!(packet.kind, Kind::OfLink | Kind::Odd) {
            return Err(DropReason::Icmp.into());
        }
        let within = site.prefix(to);
        if within.as_ref().is_none_or(|known| known.shown_by.is_some()) {
            self.prefix_of_source(from)?;
        }
        if packet.hop_limit <= 1 {
            return Err(Stop::Answer(DropReason::TtlExceeded, 0));
        }
        Ok(within.is_some())
    }

    /// The prefix of the LAN that the address is of.
    pub(crate) fn prefix_of_source(&self, from: u128) -> Result<Known, DropReason> {
        let none = if self.site.setup.carriage == [Carriage::None; 2] {
            DropReason::Ipv6
        } else {
            DropReason::ForeignSource
        };
        self.site.prefix(from).filter(|known| known.shown_by.is_none()).ok_or(none)
    }

    /// A new flow, or one that leaves the uplink that `old` is pinned to.
    fn open(
        &mut self,
        packet: &Packet<'_>,
        key: Key,
        old: Option<Pin>,
        is_established: bool,
    ) -> Result<Outcome, Stop> {
        let known = self.prefix_of_source(packet.from.0)?;
        let reason =
            if known.is_bound { DropReason::SourceUplinkDown } else { DropReason::NoUplink };
        let id = self.choose(packet, &known).ok_or(Stop::Answer(reason, 0))?;
        let uplink = &self.site.uplinks[&id];
        let from_outside = old.is_some_and(|old| !old.by_lan);
        if from_outside && uplink.carriage != Carriage::Routed {
            return Err(Stop::Answer(DropReason::NoUplink, 0));
        }
        if uplink.carriage == Carriage::Nat66 {
            return self.open_shared(packet, key, id, is_established);
        }
        self.may_leave_by(packet, id)?;
        let pin = Pin {
            uplink: id,
            generation: self.site.uplinks[&id].generation,
            by_lan: !from_outside,
            lan: self.sender(packet),
            created: (self.site.now >> 30) as u32,
            out: first_traffic(packet, self.site.now),
            shared: Shared::No,
            into: old.map_or(Traffic::default(), |old| old.into),
        };
        let table = if is_established { ESTABLISHED } else { UNREPLIED };
        self.state.pins[table].write(key, pin).map_err(|reason| Stop::Answer(reason, 0))?;
        self.send(packet, &pin)
    }

    /// The uplink of a new flow.
    pub(crate) fn choose(&mut self, packet: &Packet<'_>, known: &Known) -> Option<Id> {
        let Some(ranking) = self.ranking else {
            self.faults.push("no bucket was looked up for a new flow".to_owned());
            return None;
        };
        let (from, to) = (packet.from, packet.to);
        let together: Together = match self.site.setup.sticky {
            1 => (from.0, None, None),
            2 => (from.0, Some(to.0), None),
            _ => (from.0, Some(to.0), Some((from.1, to.1, packet.protocol))),
        };
        if *self.buckets.entry(together).or_insert(ranking) != ranking {
            self.faults.push("flows that are to be kept together are in two buckets".to_owned());
        }
        let can = |uplink: &Uplink| uplink.alive && uplink.usable;
        let uplinks = ranking.iter().filter(|id| known.uplinks.contains(id));
        let able: Vec<Id> = uplinks.filter(|id| can(&self.site.uplinks[*id])).copied().collect();
        let preferred = able.iter().find(|id| self.site.uplinks[*id].preferred);
        preferred.or(able.first()).copied()
    }
}
