//! What a packet is when it leaves (RFC 6296; RFC 9293 section 3.7.1 for segment sizes).

use pointsman_ebpf::abi::Direction;
use pointsman_ebpf::memory::site::lan;
use pointsman_ebpf::verdict::Verdict;

use super::packet::{Address, Packet, SYN, TCP, word};
use super::quote::Quote;
use super::site::{Id, LanSide};
use super::state::{End, First, Pin, Shared};
use super::transport::{port_place, settle};
use super::{Model6, Outcome, Stop};
use crate::model::sum;

/// What addresses a packet and, of an error, its quote get.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rewrite {
    pub(crate) source: Option<Address>,
    pub(crate) destination: Option<Address>,
    pub(crate) quoted_source: Option<Address>,
    pub(crate) quoted_destination: Option<Address>,
    /// The port of the source, or else of the destination, where it is translated; likewise of the quote.
    pub(crate) port: Option<(bool, u16)>,
    pub(crate) quoted_port: Option<(bool, u16)>,
}

impl Model6 {
    /// Sends a packet of a flow, which may leave, by its uplink.
    pub(crate) fn send(&mut self, packet: &Packet<'_>, pin: &Pin) -> Result<Outcome, Stop> {
        let uplink = &self.site.uplinks[&pin.uplink];
        let source = Some(uplink.show(packet.from.0)?);
        let mtu = pin.lan.1.min(uplink.mtu);
        let first = (pin.uplink, uplink.generation, packet.from.0, pin.lan);
        self.leave_word(packet, packet.from.0, first);
        let port = match pin.shared {
            Shared::Out(port) => Some((true, port)),
            _ => None,
        };
        let rewrite = Rewrite { source, port, ..Rewrite::default() };
        Ok(clamped(packet, mtu, self.leave_by(packet, pin.uplink, rewrite)))
    }

    /// Sends a packet of a flow, which may be delivered, to its LAN host.
    pub(crate) fn deliver(
        &mut self,
        packet: &Packet<'_>,
        inside: Address,
        lan: LanSide,
    ) -> Result<Outcome, Stop> {
        let uplink = self.site.uplink_of(packet.came).expect("it came by one");
        let (id, generation, mtu) = (uplink.provider.id, uplink.generation, uplink.mtu.min(lan.1));
        self.leave_word(packet, inside, (id, generation, inside, lan));
        let rewrite = Rewrite { destination: Some(inside), ..Rewrite::default() };
        Ok(clamped(packet, mtu, self.reach(packet, lan, (id, Direction::In), rewrite)))
    }

    /// Likewise, where it shares an address.
    pub(crate) fn deliver_shared(
        &mut self,
        packet: &Packet<'_>,
        host: End,
        lan: LanSide,
    ) -> Result<Outcome, Stop> {
        let uplink = self.site.uplink_of(packet.came).expect("it came by one");
        let (id, generation, mtu) = (uplink.provider.id, uplink.generation, uplink.mtu.min(lan.1));
        self.leave_word(packet, packet.to.0, (id, generation, host.0, lan));
        let port = Some((false, host.1));
        let rewrite = Rewrite { destination: Some(host.0), port, ..Rewrite::default() };
        Ok(clamped(packet, mtu, self.reach(packet, lan, (id, Direction::In), rewrite)))
    }

    /// The first fragment of a packet leaves word for the others.
    fn leave_word(
        &mut self,
        packet: &Packet<'_>,
        inside: Address,
        (uplink, generation, host, lan): (Id, u32, Address, LanSide),
    ) {
        if packet.is_first_fragment() {
            let len = packet.end - 54 - packet.fragment.end;
            let first = First { len, uplink, generation, host, lan };
            self.state.fragments.insert(self.fragment_key(packet, inside), first);
        }
    }

    /// The packet as it leaves by an uplink.
    pub(crate) fn leave_by(&self, packet: &Packet<'_>, id: Id, rewrite: Rewrite) -> Outcome {
        let provider = self.site.uplinks[&id].provider;
        let verdict =
            Verdict::Forward { egress: provider.egress, uplink: id, direction: Direction::Out };
        rewritten(packet, verdict, [provider.gateway_mac, provider.mac], rewrite)
    }

    /// The packet as it goes from one LAN host to another.
    pub(crate) fn cross(&self, packet: &Packet<'_>, (mac, _): LanSide) -> Outcome {
        let verdict = Verdict::Lan { egress: lan::EGRESS };
        rewritten(packet, verdict, [mac, lan::MAC], Rewrite::default())
    }

    /// The packet as it reaches a LAN host.
    pub(crate) fn reach(
        &self,
        packet: &Packet<'_>,
        (mac, _): LanSide,
        (uplink, direction): (Id, Direction),
        rewrite: Rewrite,
    ) -> Outcome {
        let verdict = Verdict::Forward { egress: lan::EGRESS, uplink, direction };
        rewritten(packet, verdict, [mac, lan::MAC], rewrite)
    }
}

fn rewritten(
    packet: &Packet<'_>,
    verdict: Verdict,
    macs: [[u8; 6]; 2],
    rewrite: Rewrite,
) -> Outcome {
    let mut frame = packet.frame.to_vec();
    frame[..12].copy_from_slice(&macs.concat());
    frame[21] = packet.hop_limit - 1;
    let quote = packet.transport + 8;
    for (at, address) in [
        (22, rewrite.source),
        (38, rewrite.destination),
        (quote + 8, rewrite.quoted_source),
        (quote + 24, rewrite.quoted_destination),
    ] {
        if let Some(address) = address {
            frame[at..at + 16].copy_from_slice(&address.to_be_bytes());
        }
    }
    let loose = translate_ports(packet, &mut frame, rewrite);
    Outcome { verdict, frame, loose }
}

/// Writes ports, and the checksums that are over them. Gives where those are.
fn translate_ports(packet: &Packet<'_>, frame: &mut [u8], rewrite: Rewrite) -> Vec<usize> {
    let mut loose = Vec::new();
    let mut settled = |frame: &mut [u8], start: usize, upper: usize, protocol: u8| {
        let before = &packet.frame[start..packet.end];
        let at = settle(before, &mut frame[start..packet.end], upper - start, protocol);
        loose.extend(at.map(|at| start + at));
    };
    if let Some((is_source, port)) = rewrite.port {
        let at = packet.transport + port_place(packet.protocol, is_source);
        frame[at..at + 2].copy_from_slice(&port.to_be_bytes());
        settled(frame, 14, packet.transport, packet.protocol);
    }
    if let Some((is_source, port)) = rewrite.quoted_port {
        let quote = Quote::read(packet).expect("it quotes a packet with ports");
        let start = packet.transport + 8;
        let upper = start + quote.upper;
        let at = upper + port_place(quote.protocol, is_source);
        frame[at..at + 2].copy_from_slice(&port.to_be_bytes());
        settled(frame, start, upper, quote.protocol);
        settled(frame, 14, packet.transport, packet.protocol);
    }
    loose
}

/// Lowers the segment size that a SYN offers to what packets of `mtu` bytes have room for.
fn clamped(packet: &Packet<'_>, mtu: u16, mut outcome: Outcome) -> Outcome {
    if packet.protocol != TCP || packet.flags & SYN == 0 {
        return outcome;
    }
    let tcp = &mut outcome.frame[packet.transport..packet.end];
    let before = sum::sum(tcp);
    let Some(at) = segment_size(tcp).filter(|at| word(tcp, *at) > mtu - 60) else {
        return outcome;
    };
    tcp[at..at + 2].copy_from_slice(&(mtu - 60).to_be_bytes());
    // As right, or as wrong by as much, as it was.
    tcp[16..18].fill(0);
    let without = sum::sum(tcp);
    let field = sum::sum(&[before.to_be_bytes(), (!without).to_be_bytes()].concat());
    tcp[16..18].copy_from_slice(&field.to_be_bytes());
    outcome.loose.push(packet.transport + 16);
    outcome
}

/// Where the value of the option stands.
pub(crate) fn segment_size(tcp: &[u8]) -> Option<usize> {
    let end = (usize::from(tcp[12] >> 4) * 4).min(tcp.len());
    let mut at = 20;
    while at < end {
        at += match (tcp[at], tcp.get(at + 1)) {
            (1, _) => 1,
            (2, Some(4)) => return (at + 4 <= end).then_some(at + 2),
            (0 | 2, _) | (_, None | Some(0 | 1)) => return None,
            (_, Some(len)) => usize::from(*len),
        };
    }
    None
}
