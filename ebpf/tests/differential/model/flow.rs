//! Flows: which one a packet belongs to, whether it may go on, and what is noted of it.

use pointsman_ebpf::verdict::DropReason;

use super::packet::{ACK, FIN, Packet, RST, SYN, TCP};
use super::site::{Id, Site};
use super::state::{Flow, Key, State, Traffic, Translation};
use super::{Model, Stop};

/// How far before what was noted, and how far after, a reset's sequence number may lie.
const BEHIND: u32 = 1 << 16;
const AHEAD: u32 = 1 << 28;

impl Packet<'_> {
    pub(crate) fn key(&self, uplink: Option<Id>) -> Key {
        Key { uplink, protocol: self.protocol, from: self.from, to: self.to }
    }

    /// The bits of [`Traffic::seen`].
    fn seen(&self) -> u8 {
        let flags = if self.protocol == TCP { self.flags } else { 0 };
        let bit = |is: bool, bit: u8| if is { bit } else { 0 };
        1 | bit(flags & (ACK | SYN) == ACK, 2) | bit(flags & FIN != 0, 4) | bit(flags & RST != 0, 8)
    }

    /// The traffic of a direction that this is the first packet of.
    pub(crate) fn first_traffic(&self, now: u64) -> Traffic {
        Traffic { last: (now >> 30) as u32, seen: self.seen(), sequence: None }
    }
}

impl Site {
    /// Whether the flow still holds: its uplink has the address that it had, and, if it is sent to,
    /// is alive.
    pub(crate) fn holds(&self, flow: &Flow) -> bool {
        let uplink = &self.uplinks[&flow.uplink];
        // Another address for translation is nothing to what is routed.
        let generation = if flow.routed { 1 } else { uplink.generation };
        flow.generation == generation && (!flow.is_out() || uplink.alive)
    }

    /// Whether a packet may go on by a flow.
    pub(crate) fn may_pass(&self, packet: &Packet<'_>, flow: &Flow) -> Result<(), Stop> {
        let mtu = if flow.is_out() { self.uplinks[&flow.uplink].mtu } else { self.setup.mtu[0] };
        self.may_leave(packet, mtu)
    }

    /// Whether its time to live, and its length, let it leave by an interface.
    pub(crate) fn may_leave(&self, packet: &Packet<'_>, mtu: u16) -> Result<(), Stop> {
        if packet.ttl <= 1 {
            return Err(Stop::Answer(DropReason::TtlExceeded, 0));
        }
        if packet.frame.len() > 14 + usize::from(mtu) {
            return Err(Stop::Answer(DropReason::TooBig, mtu));
        }
        Ok(())
    }
}

impl Traffic {
    /// Notes a packet. A reset out of nowhere leaves no trace, and nor does a SYN in the middle of
    /// a connection (RFC 5382 section 5; RFC 5961).
    pub(crate) fn note(&mut self, packet: &Packet<'_>, now: u64) {
        let last = (now >> 30) as u32;
        let over = self.seen & 2 == 0 || self.seen & (4 | 8) != 0;
        let begins = packet.protocol == TCP && packet.flags & SYN != 0 && over;
        let seen = if begins { 0 } else { self.seen } | packet.seen();
        if (last, seen) == (self.last, self.seen) {
            return;
        }
        if packet.is_reset() {
            let plausible = self.sequence.is_none_or(|noted| {
                let ahead = packet.sequence.wrapping_sub(noted.wrapping_sub(BEHIND));
                ahead <= BEHIND + AHEAD
            });
            if !plausible {
                return;
            }
        } else if packet.protocol == TCP {
            self.sequence = Some(packet.sequence);
        }
        (self.last, self.seen) = (last, seen);
    }
}

impl State {
    /// Makes a flow an established one: both directions, or none.
    pub(crate) fn establish(&mut self, key: Key, flow: Flow, back: Flow) -> Result<(), DropReason> {
        let back_key = flow.peer(&key);
        if !self.established.contains_key(&back_key) && !self.has_flow_room() {
            return Err(DropReason::FlowTableFull);
        }
        self.established.insert(back_key, back);
        if !self.established.contains_key(&key) && !self.has_flow_room() {
            self.established.remove(&back_key);
            return Err(DropReason::FlowTableFull);
        }
        self.established.insert(key, flow);
        Ok(())
    }
}

impl Flow {
    /// The other direction, of which nothing has passed.
    pub(crate) fn back(&self, key: &Key, mac: [u8; 6]) -> Self {
        let Translation { source, destination } = self.translation;
        Self {
            translation: Translation {
                source: destination.map(|_| key.to),
                destination: source.map(|_| key.from),
            },
            mac,
            traffic: Traffic::default(),
            ..*self
        }
    }
}

impl Model {
    /// The established flow of a packet, which it is noted in, if it may pass.
    pub(crate) fn established(
        &mut self,
        key: &Key,
        packet: &Packet<'_>,
    ) -> Option<Result<Flow, Stop>> {
        let now = self.site.now;
        let flow = self.state.established.get_mut(key)?;
        if !self.site.holds(flow) {
            return None;
        }
        if key.uplink.is_none() && flow.is_out() {
            // What comes for a host goes where its packets come from.
            flow.mac = packet.sender();
            let back = flow.peer(key);
            if let Some(back) = self.state.established.get_mut(&back)
                && back.translation.destination == Some(key.from)
            {
                back.mac = packet.sender();
            }
        }
        let flow = self.state.established.get_mut(key)?;
        if let Err(stop) = self.site.may_pass(packet, flow) {
            return Some(Err(stop));
        }
        flow.traffic.note(packet, now);
        Some(Ok(*flow))
    }
}
