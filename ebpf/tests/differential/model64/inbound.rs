//! From an uplink (RFC 6146 section 3.5; RFC 7915 section 4).

use pointsman_ebpf::abi::Direction;
use pointsman_ebpf::memory::site::lan;
use pointsman_ebpf::memory::site6::{self, INTERNAL, within};
use pointsman_ebpf::verdict::{DropReason, Verdict};

use super::translate::to_six;
use super::{Model64, framed};
use crate::model::inbound::is_of_ipv6;
use crate::model::packet::{ICMP, Packet, TCP, UDP, word};
use crate::model::site::Id;
use crate::model::state::{Datagram, Flow, PublicKey, Translation};
use crate::model::{Outcome, Stop};
use crate::model6::packet::Address;

impl Model64 {
    /// A packet that is neither a later fragment nor an error.
    pub(super) fn inbound(&mut self, packet: &Packet<'_>, id: Id) -> Option<Result<Outcome, Stop>> {
        let key = packet.key(Some(id));
        let established = self.four.state.established.get(&key).copied();
        if let Some(flow) = established.filter(|flow| self.holds(flow)) {
            self.inside(&flow)?;
            return Some(self.deliver(packet, &flow, Some(true)));
        }
        let inside = self.target(id, packet.protocol, packet.to)?;
        Some(self.of_mapping(packet, id, inside))
    }

    /// The end of a host of IPv6 that a public end stands for.
    pub(super) fn target(
        &self,
        id: Id,
        protocol: u8,
        public: ([u8; 4], u16),
    ) -> Option<(Address, u16)> {
        let outer = PublicKey { uplink: id, protocol, public, remote: [0; 4] };
        let mapped = self.four.state.publics.get(&outer)?;
        let is_current = mapped.generation == self.four.site.uplinks[&id].generation;
        (is_current && is_of_ipv6(mapped.end)).then(|| (self.hosts.of(mapped.end.0), mapped.end.1))
    }

    /// The unanswered or uninvited flow from `inside` whose answers come from this end to this public one.
    pub(super) fn waiting(
        &self,
        inside: (Address, u16),
        (remote, public): (([u8; 4], u16), ([u8; 4], u16)),
        protocol: u8,
        id: Id,
    ) -> Option<(bool, Flow)> {
        let key = self.out_key(inside, remote, protocol);
        let generation = self.four.site.uplinks[&id].generation;
        let is_of = |flow: &&Flow| {
            flow.translation.source == Some(public)
                && (flow.uplink, flow.generation) == (id, generation)
        };
        let state = &self.four.state;
        let unreplied = state.unreplied.get(&key).filter(is_of).map(|flow| (true, *flow));
        unreplied.or_else(|| Some((false, *state.invited.get(&key).filter(is_of)?)))
    }

    /// Of no established flow, for a mapping.
    fn of_mapping(
        &mut self,
        packet: &Packet<'_>,
        id: Id,
        inside: (Address, u16),
    ) -> Result<Outcome, Stop> {
        let key = self.out_key(inside, packet.from, packet.protocol);
        let (now, generation) = (self.four.site.now, self.four.site.uplinks[&id].generation);
        let destination = Some(key.from);
        let into = Flow {
            translation: Translation { source: None, destination },
            uplink: id,
            routed: false,
            generation,
            by_lan: true,
            mac: [0; 6],
            traffic: packet.first_traffic(now),
        };
        match self.waiting(inside, (packet.from, packet.to), packet.protocol, id) {
            Some((true, out)) => {
                let into = Flow { mac: out.mac, ..into };
                self.may_reach(packet)?;
                if packet.is_reset() {
                    return self.deliver(packet, &into, None);
                }
                self.four.state.establish(key, out, into)?;
                self.four.state.unreplied.remove(&key);
                self.four.answered(key.from.0);
                self.deliver(packet, &into, Some(true))
            }
            Some((false, out)) => {
                self.may_reach(packet)?;
                let noted = self.four.state.invited.get_mut(&key).expect("it is waiting");
                noted.traffic.note(packet, now);
                self.deliver(packet, &Flow { mac: out.mac, ..into }, None)
            }
            None => {
                self.may_come(packet, id, key.from)?;
                let mac = self.next_hop(inside.0)?;
                self.may_reach(packet)?;
                let translation = Translation { source: Some(packet.to), destination: None };
                let out = Flow { translation, by_lan: false, mac, ..into };
                self.four.state.invited.insert(key, out);
                self.deliver(packet, &Flow { mac, ..into }, None)
            }
        }
    }

    /// Whether a mapping takes what nobody has asked for (RFC 6146 section 3.5.1).
    fn may_come(
        &self,
        packet: &Packet<'_>,
        id: Id,
        host: ([u8; 4], u16),
    ) -> Result<(), DropReason> {
        let four = &self.four;
        // RFC 6052 section 3.1: what would come from no address of the prefix is dropped.
        let is_there = self.prefix.extract(self.prefix.embed(packet.from.0)).is_some();
        if four.is_spoofed(packet.from.0) || !is_there {
            return Err(DropReason::Martian);
        }
        let is_let_in = match four.site.setup.filtering {
            0 => true,
            1 => four.is_permitted(id, packet.protocol, packet.to, packet.from.0, host),
            _ => false,
        };
        (is_let_in && !packet.is_reset()).then_some(()).ok_or(DropReason::Filtered)
    }

    /// The MAC of a host that has not sent anything lately, as far as the kernel knows.
    fn next_hop(&self, host: Address) -> Result<[u8; 6], DropReason> {
        let is = |suffix| self.neighbours && within(INTERNAL, suffix).to_bits() == host;
        match () {
            () if is(site6::HOST) => Ok(lan::HOST_MAC),
            () if is(site6::OTHER) => Ok(lan::OTHER_MAC),
            () if is(site6::SILENT) => Err(DropReason::NeighbourUnknown),
            () => Err(DropReason::NoLanRoute),
        }
    }

    /// Whether a packet may go to the LAN.
    fn may_reach(&self, packet: &Packet<'_>) -> Result<(), Stop> {
        if packet.ttl <= 1 {
            return Err(Stop::Answer(DropReason::TtlExceeded, 0));
        }
        if is_source_routed(packet) {
            return Err(Stop::Answer(DropReason::SourceRoute, 0));
        }
        let is_fragment = packet.more || packet.offset != 0;
        match packet.protocol {
            TCP | UDP => {}
            ICMP if !is_fragment => {}
            _ => return Err(DropReason::Nat64Untranslatable.into()),
        }
        let (added, mtu) = (if is_fragment { 28 } else { 20 }, self.four.site.setup.mtu[0]);
        if 20 + packet.body() + added > usize::from(mtu) {
            return Err(Stop::Answer(DropReason::TooBig, mtu - added as u16));
        }
        let is_udp = packet.protocol == UDP && packet.offset == 0;
        // Section 4.5: nobody can sum what is not all there.
        if is_udp && packet.more && word(packet.frame, packet.transport + 6) == 0 {
            return Err(DropReason::Nat64Untranslatable.into());
        }
        Ok(())
    }

    /// Delivers a packet by its flow's entry, if it may be, which is noted in that if it is there.
    fn deliver(
        &mut self,
        packet: &Packet<'_>,
        flow: &Flow,
        noted: Option<bool>,
    ) -> Result<Outcome, Stop> {
        self.may_reach(packet)?;
        let now = self.four.site.now;
        if noted.is_some() {
            let key = packet.key(Some(flow.uplink));
            let entry = self.four.state.established.entry(key);
            entry.and_modify(|flow| flow.traffic.note(packet, now));
        }
        if packet.is_first_fragment() {
            let datagram = Datagram { flow: *flow, first: packet.body() };
            let key = self.four.datagram_key(packet);
            self.four.state.datagrams.insert(key, datagram);
        }
        Ok(self.reach(packet, flow))
    }

    fn reach(&self, packet: &Packet<'_>, flow: &Flow) -> Outcome {
        let inside = self.inside(flow).expect("it is of a host of IPv6");
        let from = self.prefix.embed(packet.from.0);
        let made = to_six(packet, from, inside, self.segment_limit(flow));
        let verdict =
            Verdict::Forward { egress: lan::EGRESS, uplink: flow.uplink, direction: Direction::In };
        let frame = framed([flow.mac, lan::MAC], &made.packet, &packet.frame[packet.end..]);
        Outcome { verdict, frame, loose: made.loose.map(|at| 14 + at).into_iter().collect() }
    }

    /// A later fragment goes the way of the first.
    pub(super) fn later_from_uplink(
        &mut self,
        packet: &Packet<'_>,
    ) -> Option<Result<Outcome, Stop>> {
        let key = self.four.datagram_key(packet);
        let Datagram { flow, first } = *self.four.state.datagrams.get(&key)?;
        if !self.holds(&flow) {
            return None;
        }
        self.inside(&flow)?;
        if packet.offset < first {
            return Some(Err(DropReason::FragmentOverlap.into()));
        }
        Some(self.may_reach(packet).map(|()| self.reach(packet, &flow)))
    }
}

/// Whether its options name routers that it has yet to come by (RFC 791 section 3.1).
pub(super) fn is_source_routed(packet: &Packet<'_>) -> bool {
    let mut options = &packet.frame[34..packet.transport];
    while let [kind, rest @ ..] = options {
        let size = match (kind, rest) {
            (0, _) => return false,
            (1, _) => 1,
            (131 | 137, [size, pointer, ..]) if pointer <= size => return true,
            (_, [size, ..]) if *size >= 2 => usize::from(*size),
            _ => return false,
        };
        options = options.get(size..).unwrap_or_default();
    }
    false
}
