//! From the LAN to a public address, and so to the LAN again (RFC 4787 section 6; RFC 5382 section
//! 7.2): the receiver sees the sender's own mapping.

use pointsman_ebpf::memory::sequence::End;
use pointsman_ebpf::verdict::DropReason;

use super::inbound::Target;
use super::outbound::refused;
use super::packet::{Kind, Packet};
use super::site::{Id, NoTarget, is_martian};
use super::state::{Flow, Key, Traffic, Translation};
use super::{Choices, Model, Outcome, Stop};

impl Model {
    pub(crate) fn hairpin(
        &mut self,
        packet: &Packet<'_>,
        id: Id,
        choices: &dyn Choices,
    ) -> Result<Outcome, Stop> {
        let key = packet.key(None);
        self.open_hairpin(packet, key, id, choices)?;
        self.hairpin_known(packet, key)
    }

    /// More of a flow that nobody has answered, or its answer.
    pub(crate) fn hairpin_known(&mut self, packet: &Packet<'_>, key: Key) -> Result<Outcome, Stop> {
        let flow = self.state.unreplied[&key];
        self.site.may_pass(packet, &flow)?;
        if flow.by_lan {
            let now = self.site.now;
            self.state.unreplied.entry(key).and_modify(|flow| flow.traffic.note(packet, now));
        } else if !packet.is_reset() {
            self.accept_hairpin(packet, key, flow)?;
        }
        Ok(self.forward(packet, &flow))
    }

    /// Whether the packet is of an unanswered flow that its receiver lets in: of one that it does
    /// not, there is only the sender's direction.
    pub(crate) fn is_waiting(&self, key: &Key) -> bool {
        self.state.unreplied.get(key).is_some_and(|flow| {
            self.site.holds(flow)
                && flow.is_hairpin()
                && self.state.unreplied.contains_key(&flow.peer(key))
        })
    }

    /// Makes both directions of a flow between LAN hosts.
    fn open_hairpin(
        &mut self,
        packet: &Packet<'_>,
        key: Key,
        id: Id,
        choices: &dyn Choices,
    ) -> Result<(), Stop> {
        let target = match self.target(id, packet.protocol, packet.from, packet.to) {
            Ok(target) => target,
            Err(NoTarget::Refused) => return Err(DropReason::Filtered.into()),
            Err(NoTarget::Ipv6) => return Err(DropReason::Nat64Untranslatable.into()),
            Err(NoTarget::Nobody) => {
                return Err(self.not_translated(packet, DropReason::Unsolicited));
            }
        };
        if is_martian(packet.from.0) || self.site.owner(packet.from.0).is_some() {
            return Err(DropReason::Martian.into());
        }
        if packet.kind == Kind::Belongs {
            return Err(DropReason::Unsolicited.into());
        }
        if !target.resolved {
            return Err(DropReason::ForwardUnresolved.into());
        }
        self.site.may_leave(packet, self.site.setup.mtu[0])?;
        if self.state.host(packet.from.0).unreplied >= u64::from(self.site.setup.host_unreplied) {
            return Err(refused(DropReason::HostUnreplied));
        }
        // Who is routed is known as it is.
        let source = if self.site.is_routed(packet.from.0) {
            packet.from
        } else {
            let source = self.obtain(packet, id, choices).map_err(refused)?;
            self.permit(packet, id, source).map_err(refused)?;
            source
        };
        let flow = Flow {
            translation: Translation { source: Some(source), destination: Some(target.host) },
            uplink: id,
            routed: false,
            generation: self.site.uplinks[&id].generation,
            by_lan: true,
            mac: target.mac,
            traffic: packet.first_traffic(self.site.now),
        };
        self.wait_for_answer(key, flow);
        if !self.lets_in(packet, source, &target, &key, &flow) {
            return Err(DropReason::Filtered.into());
        }
        let mut back = flow.back(&key, packet.sender());
        back.by_lan = false;
        self.state.unreplied.insert(flow.peer(&key), back);
        Ok(())
    }

    /// Whether the receiver takes packets from the sender's mapping (RFC 4787 section 5): it has
    /// sent something there itself, which perhaps did not get in either.
    fn lets_in(
        &self,
        packet: &Packet<'_>,
        source: End,
        target: &Target,
        key: &Key,
        flow: &Flow,
    ) -> bool {
        if target.forwarded || self.site.setup.filtering == 0 {
            return true;
        }
        let (protocol, public) = (packet.protocol, packet.to);
        self.site.setup.filtering == 1
            && self.is_permitted(flow.uplink, protocol, public, source.0, target.host)
            || self.state.unreplied.contains_key(&flow.peer(key))
    }

    /// The receiver answers.
    fn accept_hairpin(&mut self, packet: &Packet<'_>, key: Key, flow: Flow) -> Result<(), Stop> {
        let traffic = packet.first_traffic(self.site.now);
        let back_key = flow.peer(&key);
        let flow = Flow { traffic, ..flow };
        let back = Flow {
            by_lan: true,
            traffic: Traffic { ..traffic },
            ..flow.back(&key, packet.sender())
        };
        self.state.establish(key, flow, back)?;
        self.state.unreplied.remove(&key);
        self.state.unreplied.remove(&back_key);
        self.answered(back_key.from.0);
        Ok(())
    }
}
