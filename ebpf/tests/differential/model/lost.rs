//! From the LAN: of an established flow whose uplink cannot send, or has another address.

use pointsman_ebpf::memory::site::lan;
use pointsman_ebpf::verdict::{DropReason, Verdict};

use super::packet::{ACK, FIN, Packet, RST, SYN, TCP};
use super::state::{Flow, Key};
use super::sum::{set_header, sum};
use super::{Choices, Model, Outcome, Stop};

/// What a group says of its flows.
const RESET: u8 = 1;
const HOLD: u8 = 2;

impl Model {
    /// What becomes of a packet of such a flow; nothing where it may go over to another uplink.
    pub(crate) fn lost(
        &mut self,
        packet: &Packet<'_>,
        key: &Key,
        choices: &dyn Choices,
    ) -> Result<Option<Outcome>, Stop> {
        let Some(flow) = self.state.established.get(key).copied() else { return Ok(None) };
        let policy = self.site.setup.on_failure;
        let has_address = flow.generation == self.site.uplinks[&flow.uplink].generation;
        if self.state.invited.contains_key(key) {
            return Ok(None);
        }
        if policy == HOLD && has_address {
            return Err(DropReason::Held.into());
        }
        if policy != RESET || packet.protocol != TCP || !flow.by_lan || !flow.is_out() {
            return Ok(None);
        }
        if packet.is_reset() {
            if !has_address {
                return Err(DropReason::Unsolicited.into());
            }
            self.site.may_pass(packet, &flow)?;
            let now = self.site.now;
            if let Some(flow) = self.state.established.get_mut(key) {
                flow.traffic.note(packet, now);
            }
            return Ok(Some(self.forward(packet, &flow)));
        }
        if packet.flags & SYN != 0 || !self.goes_elsewhere(packet, &flow, choices) {
            return Ok(None);
        }
        let now = self.site.now;
        if let Some(flow) = self.state.established.get_mut(key) {
            flow.traffic.seen |= 8;
            flow.traffic.last = (now >> 30) as u32;
        }
        let verdict = Verdict::Answer { egress: lan::EGRESS, reason: DropReason::Reset };
        Ok(Some(Outcome { verdict, frame: reset(packet), loose: Vec::new() }))
    }

    /// Whether another address would have to do for it.
    fn goes_elsewhere(&mut self, packet: &Packet<'_>, flow: &Flow, choices: &dyn Choices) -> bool {
        let address = flow.translation.source.map(|(address, _)| address);
        let next = self.choose(packet, choices, |uplink| uplink.translates);
        next.is_some_and(|id| {
            let addresses = &self.site.uplinks[&id].addresses;
            id != flow.uplink || !address.is_some_and(|address| addresses.contains(&address))
        })
    }
}

/// What a host without this connection would send (RFC 9293 section 3.10.7.1).
fn reset(packet: &Packet<'_>) -> Vec<u8> {
    let tcp = &packet.frame[packet.transport..];
    let data = packet.body().saturating_sub(usize::from(tcp[12] >> 4) * 4) as u32;
    let mut answer = [&tcp[2..4], &tcp[..2]].concat();
    if packet.flags & ACK != 0 {
        answer.extend(&tcp[8..12]);
        answer.extend([0, 0, 0, 0, 0x50, RST]);
    } else {
        let fin = u32::from(packet.flags & FIN != 0);
        answer.extend([0; 4]);
        answer.extend(packet.sequence.wrapping_add(data + fin).to_be_bytes());
        answer.extend([0x50, RST | ACK]);
    }
    answer.extend([0; 6]);
    let (server, host) = (packet.to.0, packet.from.0);
    let covered = [&server[..], &host, &[0, TCP, 0, 20], &answer].concat();
    answer[16..18].copy_from_slice(&(!sum(&covered)).to_be_bytes());
    let mut ip = vec![0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, TCP, 0, 0];
    ip.extend([server, host].concat());
    set_header(&mut ip);
    [&packet.frame[6..12], &packet.frame[..6], &[8, 0], &ip, &answer].concat()
}
