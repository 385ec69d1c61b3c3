//! From an uplink (RFC 4787 section 5; RFC 5382 section 4).

use pointsman_ebpf::memory::sequence::{End, mac_of};
use pointsman_ebpf::verdict::{DropReason, PassReason};

use super::mapping::remote;
use super::packet::{Kind, Packet, TCP, UDP};
use super::site::{Id, NoTarget, is_martian};
use super::state::{Flow, Key, PublicKey, Translation};
use super::{Model, Outcome, Stop};

/// Who a public end stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) host: End,
    pub(crate) mac: [u8; 6],
    /// By a forward, and not by a mapping.
    pub(crate) forwarded: bool,
    /// Whether the host's MAC is known.
    pub(crate) resolved: bool,
}

/// Why a packet is let in.
#[derive(Clone, Copy)]
enum Admission {
    /// It answers this flow of the LAN's.
    Answer(Flow),
    /// It is not the first of a flow that the LAN has yet to answer.
    Repeated(Flow),
    /// It is the first.
    First,
}

/// Whether an end stands for one of a host of IPv6 (`model64`).
pub(crate) fn is_of_ipv6((address, _): End) -> bool {
    address[..2] == [0, 64]
}

impl Model {
    pub(crate) fn inbound(&mut self, packet: &Packet<'_>) -> Result<Outcome, Stop> {
        let uplink = self.site.uplink_of(packet.came).ok_or(PassReason::UnknownPort)?;
        let (id, generation) = (uplink.provider.id, uplink.generation);
        if packet.kind == Kind::Other {
            return Err(self.not_translated(packet, DropReason::Unsolicited));
        }
        let key = packet.key(Some(id));
        if let Some(flow) = self.established(&key, packet) {
            return Ok(self.forward(packet, &flow?));
        }
        let target = match self.target(id, packet.protocol, packet.from, packet.to) {
            Ok(target) => target,
            Err(NoTarget::Refused) => return Err(DropReason::Filtered.into()),
            Err(NoTarget::Ipv6 | NoTarget::Nobody) => return Err(self.unsolicited(packet)),
        };
        if !target.resolved {
            return Err(DropReason::ForwardUnresolved.into());
        }
        let mut flow = Flow {
            translation: Translation { source: None, destination: Some(target.host) },
            uplink: id,
            routed: false,
            generation,
            by_lan: false,
            mac: target.mac,
            traffic: packet.first_traffic(self.site.now),
        };
        let admission = self.admit(packet, &key, &flow, &target)?;
        if let Admission::Answer(out) | Admission::Repeated(out) = admission {
            // The host's MAC may be another than when the mapping was made.
            flow.mac = out.mac;
        }
        self.site.may_pass(packet, &flow)?;
        self.deliver(packet, key, flow, admission)?;
        Ok(self.forward(packet, &flow))
    }

    /// Who a public end stands for, for a packet from a remote one.
    pub(crate) fn target(
        &self,
        id: Id,
        protocol: u8,
        from: End,
        to: End,
    ) -> Result<Target, NoTarget> {
        let outer =
            PublicKey { uplink: id, protocol, public: to, remote: remote(protocol, from.0) };
        if let Some(mapped) = self.state.publics.get(&outer)
            && mapped.generation == self.site.uplinks[&id].generation
        {
            let (host, mac) = (mapped.end, mapped.mac);
            if is_of_ipv6(host) {
                return Err(NoTarget::Ipv6);
            }
            return Ok(Target { host, mac, forwarded: false, resolved: true });
        }
        let (rule, host) = self.site.forward(protocol, from.0, to, id)?;
        let mac = mac_of(host.0);
        Ok(Target { host, mac, forwarded: true, resolved: rule.resolved })
    }

    /// Why a packet is let in that is of no established flow.
    fn admit(
        &self,
        packet: &Packet<'_>,
        key: &Key,
        flow: &Flow,
        target: &Target,
    ) -> Result<Admission, DropReason> {
        let out_key = flow.peer(key);
        let is_of = |out: &&Flow| {
            out.is_out()
                && out.translation.source == Some(packet.to)
                && (out.uplink, out.generation) == (flow.uplink, flow.generation)
        };
        if let Some(out) = self.state.unreplied.get(&out_key).filter(is_of) {
            return Ok(Admission::Answer(*out));
        }
        if let Some(out) = self.state.invited.get(&out_key).filter(is_of) {
            return Ok(Admission::Repeated(*out));
        }
        let (protocol, from) = (packet.protocol, packet.from.0);
        if self.is_spoofed(from) {
            return Err(DropReason::Martian);
        }
        // What is not by ports is for who has asked.
        let is_free = target.forwarded || remote(protocol, from) == [0; 4];
        let passes_filter = target.forwarded
            || match self.site.setup.filtering {
                0 => true,
                1 => self.is_permitted(flow.uplink, protocol, packet.to, from, target.host),
                _ => false,
            };
        let is_let_in = is_free && passes_filter && !packet.is_reset();
        if is_let_in { Ok(Admission::First) } else { Err(DropReason::Filtered) }
    }

    /// Whether nobody outside can have the address (RFC 1812 section 5.3.7; RFC 2827).
    pub(crate) fn is_spoofed(&self, from: [u8; 4]) -> bool {
        is_martian(from) || self.site.is_of_lan(from) || self.site.owner(from).is_some()
    }

    /// Notes a packet that is let in.
    fn deliver(
        &mut self,
        packet: &Packet<'_>,
        key: Key,
        flow: Flow,
        admission: Admission,
    ) -> Result<(), DropReason> {
        let out_key = flow.peer(&key);
        match admission {
            // Whoever refuses a flow does not make it an established one.
            Admission::Answer(_) if packet.is_reset() => {}
            Admission::Answer(out) => {
                self.state.establish(out_key, out, Flow { by_lan: true, ..flow })?;
                self.state.unreplied.remove(&out_key);
                self.answered(out_key.from.0);
            }
            Admission::Repeated(_) => {
                let now = self.site.now;
                self.state.invited.entry(out_key).and_modify(|out| out.traffic.note(packet, now));
            }
            Admission::First => {
                let translation = Translation { source: Some(packet.to), destination: None };
                self.state.invited.insert(out_key, Flow { translation, ..flow });
            }
        }
        Ok(())
    }

    /// What becomes of a packet that nobody in the LAN has asked for.
    fn unsolicited(&self, packet: &Packet<'_>) -> Stop {
        // An address that the gateway does not have yet comes so (RFC 2131 section 4.1).
        if packet.protocol == UDP && (packet.from.1, packet.to.1) == (67, 68) {
            return PassReason::Local.into();
        }
        // The kernel would refuse what comes to a port of no socket (RFC 5382 section 4.3).
        let has_ports = matches!(packet.protocol, TCP | UDP);
        if has_ports && self.site.may_hand_out(packet.protocol, packet.to.1) {
            return DropReason::Unsolicited.into();
        }
        self.not_translated(packet, DropReason::Unsolicited)
    }
}
