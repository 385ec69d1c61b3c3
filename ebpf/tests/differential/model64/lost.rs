//! From the LAN: of an established flow whose uplink cannot send, or has another address.

use pointsman_ebpf::verdict::DropReason;

use super::Model64;
use super::outbound::as_four;
use crate::model::state::{Flow, Key};
use crate::model::{Choices, Outcome, Stop};
use crate::model6::lost::{HOLD, RESET, reset};
use crate::model6::packet::{Packet, SYN, TCP};

impl Model64 {
    /// What becomes of a packet of such a flow; nothing where it may go over to another uplink.
    pub(super) fn lost(
        &mut self,
        packet: &Packet<'_>,
        key: Key,
        flow: &Flow,
        choices: &dyn Choices,
    ) -> Result<Option<Outcome>, Stop> {
        let policy = self.four.site.setup.on_failure;
        let has_address = flow.generation == self.four.site.uplinks[&flow.uplink].generation;
        if policy == HOLD && has_address {
            return Err(DropReason::Held.into());
        }
        if policy != RESET || packet.protocol != TCP || !flow.by_lan {
            return Ok(None);
        }
        let four = as_four(packet, &key);
        let now = self.four.site.now;
        if packet.is_reset() {
            if !has_address {
                return Ok(None);
            }
            self.may_leave(packet, flow.uplink)?;
            if let Some(flow) = self.four.state.established.get_mut(&key) {
                flow.traffic.note(&four, now);
            }
            return Ok(Some(self.leave(packet, flow, key.to.0)));
        }
        if packet.flags & SYN != 0 {
            return Ok(None);
        }
        let next = self.four.choose(&four, choices, |uplink| uplink.translates);
        let address = flow.translation.source.map(|(address, _)| address);
        let stays = next.is_none_or(|id| {
            let addresses = &self.four.site.uplinks[&id].addresses;
            id == flow.uplink && address.is_some_and(|address| addresses.contains(&address))
        });
        if stays {
            return Ok(None);
        }
        if let Some(flow) = self.four.state.established.get_mut(&key) {
            flow.traffic.seen |= 8;
            flow.traffic.last = (now >> 30) as u32;
        }
        Ok(Some(reset(packet)))
    }
}
