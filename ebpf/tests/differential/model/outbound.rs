//! From the LAN.

use pointsman_ebpf::memory::site::lan;
use pointsman_ebpf::verdict::{DropReason, PassReason, Verdict};

use super::packet::{Kind, Packet};
use super::site::is_martian;
use super::state::{Flow, Key, Traffic, Translation};
use super::sum::set_header;
use super::{Choices, Model, Outcome, Stop};

impl Packet<'_> {
    /// The sender's MAC.
    pub(crate) fn sender(&self) -> [u8; 6] {
        let mut mac = [0; 6];
        mac.copy_from_slice(&self.frame[6..12]);
        mac
    }
}

/// Whoever asked for something that there is not enough of is told so (RFC 5508 section 7.1).
pub(crate) fn refused(reason: DropReason) -> Stop {
    Stop::Answer(reason, 0)
}

impl Model {
    pub(crate) fn outbound(
        &mut self,
        packet: &Packet<'_>,
        choices: &dyn Choices,
    ) -> Result<Outcome, Stop> {
        let key = packet.key(None);
        if packet.kind != Kind::Other {
            if let Some(flow) = self.established(&key, packet) {
                return Ok(self.forward(packet, &flow?));
            }
            if let Some(flow) = self.unreplied(&key, packet) {
                return Ok(self.forward(packet, &flow?));
            }
            if self.is_waiting(&key) {
                return self.hairpin_known(packet, key);
            }
        }
        if let Some(owner) = self.site.owner(packet.to.0) {
            return match owner.uplink {
                Some(uplink) if packet.kind != Kind::Other => self.hairpin(packet, uplink, choices),
                _ => Err(PassReason::Local.into()),
            };
        }
        if self.site.is_of_lan(packet.to.0) {
            return self.within_lan(packet);
        }
        // Nobody else speaks for the gateway.
        if self.site.owner(packet.from.0).is_some() {
            return Err(DropReason::Martian.into());
        }
        if packet.kind == Kind::Other {
            return Err(DropReason::Icmp.into());
        }
        if packet.ttl <= 1 {
            return Err(Stop::Answer(DropReason::TtlExceeded, 0));
        }
        if let Some(flow) = self.state.invited.get(&key).copied()
            && self.site.holds(&flow)
        {
            self.site.may_pass(packet, &flow)?;
            if !packet.is_reset() {
                self.accept(packet, key, flow)?;
            }
            return Ok(self.forward(packet, &flow));
        }
        if self.site.is_routed(packet.from.0) {
            return self.route(packet, key, choices);
        }
        if let Some(outcome) = self.lost(packet, &key, choices)? {
            return Ok(outcome);
        }
        if packet.kind == Kind::Belongs {
            return Err(DropReason::Unsolicited.into());
        }
        let flow = self.open(packet, key, choices)?;
        Ok(self.forward(packet, &flow))
    }

    /// What becomes of a packet from one LAN host to another: the kernel knows a way to some.
    pub(crate) fn within_lan(&self, packet: &Packet<'_>) -> Result<Outcome, Stop> {
        let from = packet.from.0;
        if is_martian(from) || self.site.owner(from).is_some() {
            return Err(DropReason::Martian.into());
        }
        let mac = match self.site.next_hop(packet.to.0) {
            Some(Some(mac)) => mac,
            Some(None) => return Err(PassReason::LanNeighbour.into()),
            None => return Err(DropReason::LanToLan.into()),
        };
        self.site.may_leave(packet, self.site.setup.mtu[0])?;
        let mut ip = packet.frame[14..packet.end].to_vec();
        ip[8] = packet.ttl - 1;
        set_header(&mut ip);
        let trailer = &packet.frame[packet.end..];
        let frame = [&[mac, lan::MAC].concat()[..], &[8, 0], &ip, trailer].concat();
        Ok(Outcome { verdict: Verdict::Lan { egress: lan::EGRESS }, frame, loose: Vec::new() })
    }

    /// The unanswered flow of a packet to an uplink, in which it is noted, if it may pass.
    fn unreplied(&mut self, key: &Key, packet: &Packet<'_>) -> Option<Result<Flow, Stop>> {
        let flow = self.state.unreplied.get_mut(key)?;
        if !self.site.holds(flow) || flow.is_hairpin() {
            return None;
        }
        flow.mac = packet.sender();
        if let Err(stop) = self.site.may_pass(packet, flow) {
            return Some(Err(stop));
        }
        flow.traffic.note(packet, self.site.now);
        Some(Ok(*flow))
    }

    /// The LAN answers what came in unasked.
    fn accept(&mut self, packet: &Packet<'_>, key: Key, invited: Flow) -> Result<(), DropReason> {
        let back = Flow { traffic: invited.traffic, ..invited.back(&key, invited.mac) };
        let traffic = packet.first_traffic(self.site.now);
        self.state.establish(key, Flow { traffic, ..invited }, back)?;
        self.state.invited.remove(&key);
        Ok(())
    }

    /// A flow that is new, or that leaves an uplink which cannot take it any more.
    fn open(&mut self, packet: &Packet<'_>, key: Key, choices: &dyn Choices) -> Result<Flow, Stop> {
        if is_martian(packet.from.0) || is_martian(packet.to.0) {
            return Err(DropReason::Martian.into());
        }
        // Nobody beyond the uplink knows the flow by another address.
        let old = self.state.established.get(&key);
        if self.state.invited.contains_key(&key) || old.is_some_and(|old| !old.by_lan) {
            return Err(Stop::Answer(DropReason::NoUplink, 0));
        }
        let moves = old.is_some();
        let id = self
            .choose(packet, choices, |uplink| uplink.translates)
            .ok_or(Stop::Answer(DropReason::NoUplink, 0))?;
        self.site.may_leave(packet, self.site.uplinks[&id].mtu)?;
        let taken = self.state.host(packet.from.0).unreplied;
        if !moves && taken >= u64::from(self.site.setup.host_unreplied) {
            return Err(refused(DropReason::HostUnreplied));
        }
        let public = self.obtain(packet, id, choices).map_err(refused)?;
        self.permit(packet, id, public).map_err(refused)?;
        let flow = Flow {
            translation: Translation { source: Some(public), destination: None },
            uplink: id,
            routed: false,
            generation: self.site.uplinks[&id].generation,
            by_lan: true,
            mac: packet.sender(),
            traffic: packet.first_traffic(self.site.now),
        };
        if moves {
            let back = Flow { traffic: Traffic::default(), ..flow.back(&key, flow.mac) };
            self.state.establish(key, flow, back).map_err(refused)?;
        } else {
            self.wait_for_answer(key, flow);
        }
        self.state.host(packet.from.0).placement = Some(id);
        Ok(flow)
    }

    /// Notes a flow of the LAN's that nobody has answered.
    pub(crate) fn wait_for_answer(&mut self, key: Key, flow: Flow) {
        if self.state.unreplied.insert(key, flow).is_none() {
            self.state.host(key.from.0).unreplied += 1;
        }
    }

    /// A host has one unanswered flow less.
    pub(crate) fn answered(&mut self, host: [u8; 4]) {
        let host = self.state.host(host);
        host.unreplied = host.unreplied.saturating_sub(1);
    }
}
