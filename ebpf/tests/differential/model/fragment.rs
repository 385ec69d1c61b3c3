//! Later fragments: they go where the first one went (RFC 4787 section 11).

use pointsman_ebpf::memory::sequence::Interface;
use pointsman_ebpf::verdict::DropReason;

use super::packet::Packet;
use super::rewrite::translate_addresses;
use super::{Model, Outcome, Stop};

impl Model {
    pub(crate) fn later_fragment(&mut self, packet: &Packet<'_>) -> Result<Outcome, Stop> {
        let key = self.datagram_key(packet);
        let known = self.state.datagrams.get(&key);
        let Some(datagram) = known.filter(|datagram| self.site.holds(&datagram.flow)) else {
            let within = packet.came == Interface::Lan
                && self.site.is_of_lan(packet.to.0)
                && self.site.owner(packet.to.0).is_none();
            if within {
                return self.within_lan(packet);
            }
            return Err(self.not_translated(packet, DropReason::FragmentWithoutFirst));
        };
        // RFC 3128: it would replace what the first one was let through for.
        if packet.offset < datagram.first {
            return Err(DropReason::FragmentOverlap.into());
        }
        self.site.may_pass(packet, &datagram.flow)?;
        let mut ip = packet.frame[14..packet.end].to_vec();
        translate_addresses(&mut ip, datagram.flow.translation);
        Ok(self.leave(packet, ip, &datagram.flow, Vec::new()))
    }
}
