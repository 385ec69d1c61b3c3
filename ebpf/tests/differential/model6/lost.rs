//! From the LAN: of an established flow whose uplink cannot send, or has another prefix.

use pointsman_ebpf::memory::site::lan;
use pointsman_ebpf::memory::site6::Carriage;
use pointsman_ebpf::verdict::{DropReason, Verdict};

use super::packet::{ACK, FIN, Packet, RST, SYN, TCP};
use super::site::Uplink;
use super::state::{ESTABLISHED, Key, Pin, Shared, note};
use super::{Model6, Outcome, Stop};
use crate::model::sum::sum;

/// What a group says of its flows.
pub(crate) const RESET: u8 = 1;
pub(crate) const HOLD: u8 = 2;

impl Model6 {
    /// What becomes of a packet of such a flow; nothing where it may go over to another uplink.
    pub(crate) fn lost(
        &mut self,
        packet: &Packet<'_>,
        key: Key,
        pin: &Pin,
    ) -> Result<Option<Outcome>, Stop> {
        let policy = self.site.setup.on_failure;
        let uplink = &self.site.uplinks[&pin.uplink];
        let has_prefix = pin.generation == uplink.generation;
        if policy == HOLD && has_prefix && translates(uplink) {
            return Err(DropReason::Held.into());
        }
        if policy != RESET || packet.protocol != TCP || !pin.by_lan {
            return Ok(None);
        }
        if packet.is_reset() {
            if !has_prefix || !translates(uplink) {
                return Ok(None);
            }
            self.may_leave_by(packet, pin.uplink)?;
            let now = self.site.now;
            if let Some(pin) = self.state.pins[ESTABLISHED].get_mut(&key) {
                note(&mut pin.out, packet, now);
            }
            return self.send(packet, pin).map(Some);
        }
        if packet.flags & SYN != 0 || !self.goes_elsewhere(packet, pin, has_prefix) {
            return Ok(None);
        }
        let now = self.site.now;
        if let Some(pin) = self.state.pins[ESTABLISHED].get_mut(&key) {
            pin.out.seen |= 8;
            pin.out.last = (now >> 30) as u32;
        }
        Ok(Some(reset(packet)))
    }

    /// Whether another address would have to do for it.
    fn goes_elsewhere(&mut self, packet: &Packet<'_>, pin: &Pin, has_prefix: bool) -> bool {
        let from = packet.from.0;
        let Ok(known) = self.prefix_of_source(from) else { return false };
        let Some(id) = self.choose(packet, &known) else { return false };
        let (old, next) = (&self.site.uplinks[&pin.uplink], &self.site.uplinks[&id]);
        let Ok(shown) = next.show(from) else { return false };
        let before = match pin.shared {
            Shared::No if has_prefix => old.show(from).ok(),
            Shared::No => None,
            _ => Some(old.public()),
        };
        before.map_or(translates(next), |before| before != shown)
    }
}

fn translates(uplink: &Uplink) -> bool {
    matches!(uplink.carriage, Carriage::Nptv6(_) | Carriage::Nat66)
}

/// What a host without this connection would send (RFC 9293 section 3.10.7.1).
pub(crate) fn reset(packet: &Packet<'_>) -> Outcome {
    let tcp = &packet.frame[packet.transport..packet.end];
    let data = tcp.len().saturating_sub(usize::from(tcp[12] >> 4) * 4) as u32;
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
    let addresses = [packet.to.0.to_be_bytes(), packet.from.0.to_be_bytes()].concat();
    let covered = [&addresses[..], &[0, TCP, 0, 20], &answer].concat();
    answer[16..18].copy_from_slice(&(!sum(&covered)).to_be_bytes());
    let macs = [&packet.frame[6..12], &packet.frame[..6]].concat();
    let header = [&[0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, TCP, 64][..], &addresses].concat();
    let verdict = Verdict::Answer { egress: lan::EGRESS, reason: DropReason::Reset };
    Outcome { verdict, frame: [macs, header, answer].concat(), loose: Vec::new() }
}
