//! What a packet is when it leaves (RFC 3022 section 4; RFC 9293 section 3.7.1 for segment sizes).

use pointsman_ebpf::abi::Direction;
use pointsman_ebpf::memory::sequence::End;
use pointsman_ebpf::memory::site::lan;
use pointsman_ebpf::verdict::Verdict;

use super::packet::{ICMP, Packet, SYN, TCP, UDP, word};
use super::site::Id;
use super::state::{Datagram, Flow, Key, Translation};
use super::sum::{set_header, set_transport};
use super::{Model, Outcome};

impl Model {
    /// Sends a packet that has ports on by its flow. A first fragment leaves word for the others.
    pub(crate) fn forward(&mut self, packet: &Packet<'_>, flow: &Flow) -> Outcome {
        if packet.is_first_fragment() {
            let datagram = Datagram { flow: *flow, first: packet.body() };
            self.state.datagrams.insert(self.datagram_key(packet), datagram);
        }
        let before = &packet.frame[14..packet.end];
        let mut ip = before.to_vec();
        let header = packet.transport - 14;
        if packet.protocol == TCP && packet.flags & SYN != 0 {
            self.clamp(&mut ip[header..], packet, flow);
        }
        let translation = flow.translation;
        translate_addresses(&mut ip, translation);
        translate_ports(&mut ip[header..], packet.protocol, translation);
        let loose = set_transport(before, &mut ip);
        let loose = loose.filter(|_| packet.protocol != UDP).map(|at| at + 14);
        self.leave(packet, ip, flow, loose.into_iter().collect())
    }

    /// A translated packet, as it leaves: one hop further, and to its next.
    pub(crate) fn leave(
        &self,
        packet: &Packet<'_>,
        mut ip: Vec<u8>,
        flow: &Flow,
        loose: Vec<usize>,
    ) -> Outcome {
        ip[8] = packet.ttl - 1;
        set_header(&mut ip);
        let (direction, egress, macs) = if flow.is_out() {
            let provider = self.site.uplinks[&flow.uplink].provider;
            (Direction::Out, provider.egress, [provider.gateway_mac, provider.mac])
        } else {
            let into = if flow.is_hairpin() { Direction::Hairpin } else { Direction::In };
            (into, lan::EGRESS, [flow.mac, lan::MAC])
        };
        let trailer = &packet.frame[packet.end..];
        let frame = [&macs.concat()[..], &[8, 0], &ip, trailer].concat();
        let uplink = self.uplink_crossed(packet, flow);
        let verdict = Verdict::Forward { egress, uplink, direction };
        Outcome { verdict, frame, loose }
    }

    /// The uplink that a packet comes in by, or leaves by.
    fn uplink_crossed(&self, packet: &Packet<'_>, flow: &Flow) -> Id {
        self.site.uplink_of(packet.came).map_or(flow.uplink, |uplink| uplink.provider.id)
    }

    /// What the fragments of a datagram have in common (RFC 791 section 3.2).
    pub(crate) fn datagram_key(&self, packet: &Packet<'_>) -> Key {
        Key {
            uplink: self.site.realm(packet.came, packet.to.0),
            protocol: packet.protocol,
            from: (packet.from.0, packet.identification),
            to: (packet.to.0, 0),
        }
    }

    /// Lowers the maximum segment size to what the interfaces that the flow crosses take.
    fn clamp(&self, tcp: &mut [u8], packet: &Packet<'_>, flow: &Flow) {
        let lan_mtu = self.site.setup.mtu[0];
        let mtu = if flow.is_hairpin() {
            lan_mtu
        } else {
            lan_mtu.min(self.site.uplinks[&self.uplink_crossed(packet, flow)].mtu)
        };
        let limit = mtu - 40;
        let end = (usize::from(tcp[12] >> 4) * 4).min(tcp.len());
        let mut at = 20;
        while at < end {
            let len = match (tcp[at], tcp.get(at + 1)) {
                (0, _) | (2.., None) => return,
                (1, _) => 1,
                (2, Some(4)) if at + 4 <= end => {
                    if word(tcp, at + 2) > limit {
                        tcp[at + 2..at + 4].copy_from_slice(&limit.to_be_bytes());
                    }
                    return;
                }
                (2, _) | (_, Some(0 | 1)) => return,
                (_, Some(len)) => usize::from(*len),
            };
            at += len;
        }
    }
}

/// Puts the translated addresses into an IPv4 header.
pub(crate) fn translate_addresses(ip: &mut [u8], translation: Translation) {
    let ends = [(12, translation.source), (16, translation.destination)];
    for (at, end) in ends.into_iter().filter_map(|(at, end)| Some((at, end?))) {
        ip[at..at + 4].copy_from_slice(&end.0);
    }
}

/// Puts the translated ports, or the identifier of an echo, into a transport header.
pub(crate) fn translate_ports(transport: &mut [u8], protocol: u8, translation: Translation) {
    let mut put = |at: usize, end: Option<End>| {
        if let Some((_, port)) = end {
            transport[at..at + 2].copy_from_slice(&port.to_be_bytes());
        }
    };
    match protocol {
        TCP | UDP => {
            put(0, translation.source);
            put(2, translation.destination);
        }
        // Of a request the source has the identifier, of a reply the destination.
        ICMP => {
            let identifier_of =
                if is_request(transport) { translation.source } else { translation.destination };
            let transport_at = 4;
            if let Some((_, port)) = identifier_of {
                transport[transport_at..transport_at + 2].copy_from_slice(&port.to_be_bytes());
            }
        }
        _ => {}
    }
}

/// Whether an ICMP message is an echo request.
fn is_request(icmp: &[u8]) -> bool {
    icmp[0] == 8
}
