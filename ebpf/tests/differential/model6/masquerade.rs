//! Hosts behind an uplink's one address (RFC 4787, RFC 5382 and RFC 5508, which hold for any version): a flow
//! that is answered is known by either of its ends, and one that is not by the LAN host's.

use pointsman_ebpf::verdict::{DropReason, PassReason};

use super::packet::{ICMPV6, Packet, TCP, UDP};
use super::site::{Id, may_leave};
use super::state::{
    ESTABLISHED, INVITED, Key, Pin, Shared, UNREPLIED, first_traffic, may_be_of_flow, note,
};
use super::{Model6, Outcome, Stop};
use crate::model::state::Traffic;

impl Key {
    /// The key of the other direction of a flow whose address at the uplink is `public`.
    pub(crate) fn other(&self, pin: &Pin, public: u128) -> Self {
        let inside = match pin.shared {
            Shared::No => self.inside,
            Shared::Out(port) => (public, port),
            Shared::In(host) => host,
        };
        Self { inside, ..*self }
    }
}

impl Model6 {
    fn public(&self, id: Id) -> u128 {
        self.site.uplinks[&id].public()
    }

    /// A new flow, or one that leaves another uplink.
    pub(crate) fn open_shared(
        &mut self,
        packet: &Packet<'_>,
        key: Key,
        id: Id,
        is_established: bool,
    ) -> Result<Outcome, Stop> {
        let refused = |reason| Stop::Answer(reason, 0);
        if !matches!(packet.protocol, TCP | UDP | ICMPV6) {
            return Err(refused(DropReason::Nat66Protocol));
        }
        self.may_leave_by(packet, id)?;
        let port = self.obtain(packet, id).map_err(refused)?;
        let out = Pin {
            uplink: id,
            generation: self.site.uplinks[&id].generation,
            by_lan: true,
            lan: self.sender(packet),
            created: (self.site.now >> 30) as u32,
            shared: Shared::Out(port),
            out: first_traffic(packet, self.site.now),
            into: Traffic::default(),
        };
        if is_established {
            let back = Pin { shared: Shared::In(key.inside), out: Traffic::default(), ..out };
            let back_key = key.other(&out, self.public(id));
            self.state.pins[ESTABLISHED].write(back_key, back).map_err(refused)?;
        }
        let table = if is_established { ESTABLISHED } else { UNREPLIED };
        self.state.pins[table].write(key, out).map_err(refused)?;
        self.send(packet, &out)
    }

    /// The flow of this key is answered: it gets a pin for each direction.
    pub(crate) fn promote(
        &mut self,
        from: usize,
        key: Key,
        packet: &Packet<'_>,
        from_lan: bool,
    ) -> Result<(), DropReason> {
        let out = self.state.pins[from].get(&key).expect("the flow is known");
        let now = first_traffic(packet, self.site.now);
        // The one pin has noted the direction of who has opened it.
        let (sent, came) = if from_lan { (now, out.out) } else { (out.out, now) };
        let back_key = key.other(&out, self.public(out.uplink));
        let back =
            Pin { shared: Shared::In(key.inside), out: Traffic::default(), into: came, ..out };
        self.state.pins[ESTABLISHED].write(back_key, back)?;
        if let Err(full) = self.state.pins[ESTABLISHED].write(key, Pin { out: sent, ..out }) {
            self.state.pins[ESTABLISHED].remove(&back_key);
            return Err(full);
        }
        self.state.pins[from].remove(&key);
        Ok(())
    }

    /// The host has moved: what comes for it follows.
    pub(crate) fn move_back(&mut self, key: Key, pin: &Pin) -> Result<(), DropReason> {
        let back_key = key.other(pin, self.public(pin.uplink));
        let back = self.state.pins[ESTABLISHED].get(&back_key);
        match back.filter(|_| pin.shared != Shared::No) {
            Some(back) => {
                let back = Pin { lan: pin.lan, ..back };
                self.state.pins[ESTABLISHED].write(back_key, back)
            }
            None => Ok(()),
        }
    }

    /// Something for the uplink's public address.
    pub(crate) fn for_public(&mut self, packet: &Packet<'_>, id: Id) -> Result<Outcome, Stop> {
        let key = Key { inside: packet.to, outside: packet.from, protocol: packet.protocol };
        if !may_be_of_flow(packet) {
            return Err(PassReason::Local.into());
        }
        if let Some((pin, host)) = self.state.back(&key, (id, self.site.uplinks[&id].generation)) {
            may_leave(packet.hop_limit, packet.frame, pin.lan.1)?;
            let now = self.site.now;
            if let Some(pin) = self.state.pins[ESTABLISHED].get_mut(&key) {
                note(&mut pin.into, packet, now);
            }
            return self.deliver_shared(packet, host, pin.lan);
        }
        let Some(host) = self.owner((id, packet.protocol), packet.to.1) else {
            let is_mapped = matches!(packet.protocol, TCP | UDP) && self.may_hand_out(packet.to.1);
            return Err(match is_mapped {
                true => DropReason::Unsolicited.into(),
                false => PassReason::Local.into(),
            });
        };
        let out_key = Key { inside: host, ..key };
        let Some((table, pin)) = self.waiting(&out_key, id, packet.to.1) else {
            return self.invited(packet, out_key, id);
        };
        may_leave(packet.hop_limit, packet.frame, pin.lan.1)?;
        if table == UNREPLIED && !packet.is_reset() {
            self.promote(UNREPLIED, out_key, packet, false)?;
        } else if table == INVITED
            && let Some(pin) = self.state.pins[INVITED].get_mut(&out_key)
        {
            note(&mut pin.out, packet, self.site.now);
        }
        self.deliver_shared(packet, host, pin.lan)
    }

    /// The flow that nobody has answered, if it is by this port of the uplink's.
    pub(crate) fn waiting(&self, out_key: &Key, id: Id, port: u16) -> Option<(usize, Pin)> {
        let generation = self.site.uplinks[&id].generation;
        [UNREPLIED, INVITED].into_iter().find_map(|table| {
            let pin = self.state.pins[table].get(out_key)?;
            let is_it = (pin.uplink, pin.generation) == (id, generation);
            (is_it && pin.shared == Shared::Out(port)).then_some((table, pin))
        })
    }

    /// For a mapping, but nobody has asked for it.
    fn invited(&mut self, packet: &Packet<'_>, out_key: Key, id: Id) -> Result<Outcome, Stop> {
        let host = out_key.inside;
        if !self.is_outside(packet.from.0) {
            return Err(DropReason::Martian.into());
        }
        if !self.lets_in(packet, id, host) {
            return Err(DropReason::Filtered.into());
        }
        let lan = self.site.neighbour(host.0)?;
        may_leave(packet.hop_limit, packet.frame, lan.1)?;
        let pin = Pin {
            uplink: id,
            generation: self.site.uplinks[&id].generation,
            by_lan: false,
            lan,
            created: (self.site.now >> 30) as u32,
            shared: Shared::Out(packet.to.1),
            out: first_traffic(packet, self.site.now),
            into: Traffic::default(),
        };
        self.state.pins[INVITED].write(out_key, pin)?;
        self.deliver_shared(packet, host, lan)
    }
}
