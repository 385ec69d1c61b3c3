//! A prefix of the site's own, which its uplinks route as it is (RFC 1812; BCP 38).

use pointsman_ebpf::memory::routed;
use pointsman_ebpf::verdict::DropReason;

use super::outbound::refused;
use super::packet::{Kind, Packet};
use super::site::{Site, is_martian};
use super::state::{ANY, Flow, Key, Traffic, Translation};
use super::{Choices, Model, Outcome, Stop};

impl Site {
    /// How a host of the prefix is reached, if the kernel knows a way; perhaps without a MAC.
    pub(crate) fn next_hop(&self, address: [u8; 4]) -> Option<Option<[u8; 6]>> {
        let of = |host: std::net::Ipv4Addr| host.octets() == address;
        let known = routed::neighbours().into_iter().find(|(host, _)| of(*host));
        known.filter(|_| self.is_routed(address)).map(|(_, mac)| mac)
    }
}

impl Model {
    /// The flow of this key that has not been answered, and whether it is the LAN that is to.
    pub(crate) fn routed_unanswered(&self, out_key: &Key) -> Option<(bool, Flow)> {
        let is_routed = |flow: &&Flow| flow.routed;
        let unreplied = self.state.unreplied.get(out_key).filter(is_routed);
        let invited = || self.state.invited.get(out_key).filter(is_routed);
        unreplied.map(|flow| (false, *flow)).or_else(|| invited().map(|flow| (true, *flow)))
    }

    /// For the prefix, by an uplink that routes it.
    pub(crate) fn routed_inbound(&mut self, packet: &Packet<'_>) -> Result<Outcome, Stop> {
        let key = packet.key(Some(ANY));
        let out_key = Key { uplink: None, from: key.to, to: key.from, ..key };
        if packet.kind != Kind::Other {
            if let Some(flow) = self.established(&key, packet) {
                return Ok(self.forward(packet, &flow?));
            }
            if let Some((is_invited, out)) = self.routed_unanswered(&out_key) {
                let into = out.back(&out_key, out.mac);
                self.site.may_pass(packet, &into)?;
                if is_invited {
                    let now = self.site.now;
                    let noted = self.state.invited.entry(out_key);
                    noted.and_modify(|out| out.traffic.note(packet, now));
                } else if !packet.is_reset() {
                    let traffic = packet.first_traffic(self.site.now);
                    self.state.establish(out_key, out, Flow { traffic, ..into })?;
                    self.state.unreplied.remove(&out_key);
                    self.answered(out_key.from.0);
                }
                return Ok(self.forward(packet, &into));
            }
        }
        let out = self.invite(packet)?;
        self.state.invited.insert(out_key, out);
        Ok(self.forward(packet, &out.back(&out_key, out.mac)))
    }

    /// What the LAN would answer by to something that nobody has asked for.
    fn invite(&self, packet: &Packet<'_>) -> Result<Flow, Stop> {
        if self.site.owner(packet.to.0).is_some() {
            return Err(self.not_translated(packet, DropReason::Unsolicited));
        }
        if self.is_spoofed(packet.from.0) {
            return Err(DropReason::Martian.into());
        }
        if packet.kind == Kind::Other {
            return Err(DropReason::Icmp.into());
        }
        if self.site.setup.routing.answers_only {
            return Err(DropReason::Filtered.into());
        }
        if packet.kind == Kind::Belongs {
            return Err(DropReason::Unsolicited.into());
        }
        let hop = self.site.next_hop(packet.to.0).ok_or(DropReason::NoLanRoute)?;
        let mac = hop.ok_or(DropReason::NeighbourUnknown)?;
        self.site.may_leave(packet, self.site.setup.mtu[0])?;
        let uplink = self.site.uplink_of(packet.came).map(|uplink| uplink.provider.id);
        Ok(Flow {
            translation: Translation { source: Some(packet.to), destination: None },
            uplink: uplink.ok_or(DropReason::NotReady)?,
            routed: true,
            generation: 1,
            by_lan: false,
            mac,
            traffic: packet.first_traffic(self.site.now),
        })
    }

    /// From the prefix, and of no flow that can go on: a new one, or one that takes another uplink.
    pub(crate) fn route(
        &mut self,
        packet: &Packet<'_>,
        key: Key,
        choices: &dyn Choices,
    ) -> Result<Outcome, Stop> {
        if is_martian(packet.from.0) || is_martian(packet.to.0) {
            return Err(DropReason::Martian.into());
        }
        let established = self.state.established.get(&key).copied();
        let invited = self.state.invited.get(&key).copied().filter(|_| established.is_none());
        let old = established.or(invited);
        if packet.kind == Kind::Belongs && old.is_none() {
            return Err(DropReason::Unsolicited.into());
        }
        let id = self.choose(packet, choices, |uplink| uplink.routes);
        let id = id.ok_or(Stop::Answer(DropReason::NoUplink, 0))?;
        self.site.may_leave(packet, self.site.uplinks[&id].mtu)?;
        let flow = Flow {
            translation: Translation { source: Some(packet.from), destination: None },
            uplink: id,
            routed: true,
            generation: 1,
            by_lan: old.is_none_or(|old| old.by_lan),
            mac: packet.sender(),
            traffic: packet.first_traffic(self.site.now),
        };
        let mut back = flow.back(&key, flow.mac);
        if established.is_some() {
            // What has come in so far is still known.
            let came = self.state.established.get(&flow.peer(&key));
            back.traffic = came.map_or_else(Traffic::default, |came| came.traffic);
            self.state.establish(key, flow, back).map_err(refused)?;
        } else if let Some(invited) = invited {
            if !packet.is_reset() {
                back.traffic = invited.traffic;
                self.state.establish(key, flow, back).map_err(refused)?;
                self.state.invited.remove(&key);
            }
        } else {
            let taken = self.state.host(packet.from.0).unreplied;
            if taken >= u64::from(self.site.setup.host_unreplied) {
                return Err(refused(DropReason::HostUnreplied));
            }
            self.wait_for_answer(key, flow);
        }
        if flow.by_lan {
            self.state.host(packet.from.0).placement = Some(id);
        }
        Ok(self.forward(packet, &flow))
    }
}
