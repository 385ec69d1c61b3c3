//! Later fragments (RFC 8200 section 4.5; RFC 5722).

use pointsman_ebpf::abi::Direction;
use pointsman_ebpf::verdict::{DropReason, PassReason};

use super::leave::Rewrite;
use super::packet::{Address, Packet};
use super::site::may_leave;
use super::state::{First, FragmentKey};
use super::{Model6, Outcome, Stop};
use pointsman_ebpf::memory::sequence::Interface;

impl Model6 {
    pub(crate) fn fragment_key(&self, packet: &Packet<'_>, inside: Address) -> FragmentKey {
        let from_lan = packet.came == Interface::Lan;
        let outside = if from_lan { packet.to.0 } else { packet.from.0 };
        FragmentKey { from_lan, inside, outside, identification: packet.fragment.identification }
    }

    /// What the first one has left for a later one.
    fn first(&self, packet: &Packet<'_>, inside: Address) -> Result<Option<First>, DropReason> {
        let first = self.state.fragments.get(&self.fragment_key(packet, inside)).copied();
        match first {
            Some(first) if packet.fragment.offset < first.len => Err(DropReason::FragmentOverlap),
            first => Ok(first),
        }
    }

    pub(crate) fn later_from_lan(&mut self, packet: &Packet<'_>) -> Result<Outcome, Stop> {
        let Some(first) = self.first(packet, packet.from.0)? else {
            self.may_be_hairpin(packet)?;
            return match self.is_hairpin(packet) {
                true => self.hairpin(packet),
                false => Err(DropReason::FragmentWithoutFirst.into()),
            };
        };
        let uplink = &self.site.uplinks[&first.uplink];
        if !uplink.alive || uplink.generation != first.generation {
            return Err(DropReason::NoUplink.into());
        }
        self.may_leave_by(packet, first.uplink)?;
        let source = Some(uplink.show(packet.from.0)?);
        Ok(self.leave_by(packet, first.uplink, Rewrite { source, ..Rewrite::default() }))
    }

    pub(crate) fn later_from_uplink(
        &mut self,
        packet: &Packet<'_>,
        inside: Address,
    ) -> Result<Outcome, Stop> {
        let Some(first) = self.first(packet, inside)? else {
            let is_kernels = self.site.is_kernels(packet.to.0);
            return Err(if is_kernels {
                PassReason::Local.into()
            } else {
                DropReason::FragmentWithoutFirst.into()
            });
        };
        may_leave(packet.hop_limit, packet.frame, first.lan.1)?;
        let uplink = self.site.uplink_of(packet.came).ok_or(PassReason::UnknownPort)?;
        let by = (uplink.provider.id, Direction::In);
        let rewrite = Rewrite { destination: Some(first.host), ..Rewrite::default() };
        Ok(self.reach(packet, first.lan, by, rewrite))
    }
}
