//! ICMP errors (RFC 5508 section 4): they go the way of the packet that they quote, and what they
//! quote is as its sender sent it.

use pointsman_ebpf::memory::sequence::{End, Interface};
use pointsman_ebpf::verdict::{DropReason, PassReason};

use super::packet::{ICMP, Packet, TCP, UDP, address, word};
use super::rewrite::{translate_addresses, translate_ports};
use super::state::{ANY, Flow, Key, Translation};
use super::sum::{set_header, set_transport, sum};
use super::{Model, Outcome, Stop};

/// A gateway sums no more than an Ethernet frame carries.
const SUMMED: usize = 1504;

impl Model {
    pub(crate) fn icmp_error(&mut self, packet: &Packet<'_>) -> Result<Outcome, Stop> {
        let icmp = &packet.frame[packet.transport..packet.end];
        if !packet.more && icmp.len() <= SUMMED && sum(icmp) != 0xffff {
            return Err(DropReason::BadChecksum.into());
        }
        let quote = Quote::read(&icmp[8..]).ok_or(DropReason::IcmpMismatch)?;
        // It goes back to whoever sent what it quotes.
        if packet.to.0 != quote.from.0 {
            return Err(DropReason::IcmpMismatch.into());
        }
        let Some(flow) = self.quoted_flow(packet, &quote) else {
            return self.of_no_flow(packet, &quote);
        };
        let from = packet.from.0;
        if flow.routed && !flow.is_out() && self.is_spoofed(from) {
            return Err(DropReason::Martian.into());
        }
        self.site.may_pass(packet, &flow)?;
        let before = &packet.frame[14..packet.end];
        let header = packet.transport - 14;
        let mut ip = before.to_vec();
        let loose = quote.translate(&mut ip[header + 8..], &flow);
        // Whoever it is in the LAN that sends the error, the flow's public address does; who may leave
        // as it is does that itself.
        let itself = flow.routed && self.site.is_routed(from) && self.site.owner(from).is_none();
        let source = flow.translation.source.filter(|_| !itself).map(|(address, _)| (address, 0));
        translate_addresses(&mut ip, Translation { source, ..flow.translation });
        let mut loose: Vec<usize> = loose.into_iter().map(|at| packet.transport + 8 + at).collect();
        loose.extend(set_transport(before, &mut ip).map(|at| at + 14));
        Ok(self.leave(packet, ip, &flow, loose))
    }

    /// The flow whose packets go the way of the error: back to the quoted packet's sender.
    fn quoted_flow(&self, packet: &Packet<'_>, quote: &Quote) -> Option<Flow> {
        let uplink = self.site.realm(packet.came, packet.to.0);
        let key = Key { uplink, protocol: quote.protocol, from: quote.to, to: quote.from };
        let holding = |flow: &&Flow| self.site.holds(flow);
        if let Some(flow) = self.state.established.get(&key).filter(holding) {
            return Some(*flow);
        }
        if packet.came == Interface::Lan {
            let unreplied = self.state.unreplied.get(&key).filter(holding);
            return unreplied.or_else(|| self.state.invited.get(&key).filter(holding)).copied();
        }
        if uplink == Some(ANY) {
            let out_key = Key { uplink: None, from: quote.from, to: quote.to, ..key };
            return self.routed_unanswered(&out_key).map(|(_, out)| out.back(&out_key, out.mac));
        }
        let id = uplink?;
        let target = self.target(id, quote.protocol, quote.to, quote.from).ok()?;
        let generation = self.site.uplinks[&id].generation;
        let out_key = Key { uplink: None, from: target.host, to: quote.to, ..key };
        let is_of = |out: &&Flow| {
            out.is_out()
                && out.translation.source == Some(quote.from)
                && (out.uplink, out.generation) == (id, generation)
        };
        let out = self.state.unreplied.get(&out_key).filter(is_of);
        let out = out.or_else(|| self.state.invited.get(&out_key).filter(is_of))?;
        let translation = Translation { source: None, destination: Some(target.host) };
        Some(Flow { translation, ..*out })
    }

    /// An error about something that the gateway itself has sent is the kernel's.
    fn of_no_flow(&self, packet: &Packet<'_>, quote: &Quote) -> Result<Outcome, Stop> {
        let has_ports = matches!(quote.protocol, TCP | UDP | ICMP);
        Err(match self.site.owner(quote.from.0) {
            Some(owner)
                if owner.kernel
                    && (owner.uplink.is_none()
                        || !has_ports
                        || !self.site.may_hand_out(quote.protocol, quote.from.1)) =>
            {
                PassReason::Local.into()
            }
            None if packet.came == Interface::Lan && self.site.is_of_lan(packet.to.0) => {
                return self.within_lan(packet);
            }
            _ => DropReason::IcmpMismatch.into(),
        })
    }
}

/// The packet that an error quotes.
struct Quote {
    header: usize,
    protocol: u8,
    from: End,
    to: End,
}

impl Quote {
    /// Reads as much as it takes to know the flow.
    fn read(ip: &[u8]) -> Option<Self> {
        let header = usize::from(ip.first()? & 15) * 4;
        if ip[0] >> 4 != 4 || header < 20 || ip.len() < header {
            return None;
        }
        let is_later = word(ip, 6) & 0x1fff != 0;
        if is_later || sum(&ip[..header]) != 0xffff {
            return None;
        }
        let (protocol, transport) = (ip[9], &ip[header..]);
        let (mut from, mut to) = ((address(ip, 12), 0), (address(ip, 16), 0));
        match protocol {
            TCP | UDP if transport.len() >= 4 => {
                (from.1, to.1) = (word(transport, 0), word(transport, 2));
            }
            ICMP if transport.len() >= 8 => match transport[0] {
                8 => from.1 = word(transport, 4),
                0 => to.1 = word(transport, 4),
                _ => return None,
            },
            TCP | UDP | ICMP => return None,
            _ => {}
        }
        Some(Self { header, protocol, from, to })
    }

    /// Makes the quoted packet what it was before it was translated: its source is where the error
    /// goes, its destination where the error comes from. Gives where its transport checksum is.
    fn translate(&self, ip: &mut [u8], flow: &Flow) -> Option<usize> {
        let before = ip.to_vec();
        let Translation { source, destination } = flow.translation;
        let back = Translation { source: destination, destination: source };
        translate_addresses(ip, back);
        translate_ports(&mut ip[self.header..], self.protocol, back);
        set_header(ip);
        set_transport(&before, ip).filter(|_| self.protocol != UDP)
    }
}
