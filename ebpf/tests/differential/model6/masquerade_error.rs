//! ICMPv6 errors about flows of hosts behind an uplink's one address (RFC 5508 section 4).

use pointsman_ebpf::abi::Direction;
use pointsman_ebpf::verdict::{DropReason, PassReason};

use super::leave::Rewrite;
use super::packet::{ICMPV6, Packet, TCP, UDP};
use super::quote::Quote;
use super::site::{Id, LanSide, may_leave};
use super::state::{End, Key, Pin};
use super::{Model6, Outcome, Stop};
use crate::model::sum::sum;

/// A gateway sums no more than an Ethernet frame carries.
const SUMMED: usize = 1504;

/// RFC 5508 REQ-3: what is not whole cannot be checked.
fn check_sum(packet: &Packet<'_>) -> Result<(), DropReason> {
    let icmp = &packet.frame[packet.transport..packet.end];
    if packet.is_first_fragment() || icmp.len() > SUMMED {
        return Ok(());
    }
    let len = (icmp.len() as u16).to_be_bytes();
    let pseudo = [&packet.frame[22..54], &len, &[0, ICMPV6]].concat();
    if sum(&[&pseudo[..], icmp].concat()) == 0xffff { Ok(()) } else { Err(DropReason::BadChecksum) }
}

impl Model6 {
    /// About what has left by the public address: it goes to who has sent that.
    pub(crate) fn error_for_public(&self, packet: &Packet<'_>, id: Id) -> Result<Outcome, Stop> {
        let public = self.site.uplinks[&id].public();
        let quote = Quote::read(packet).filter(|quote| quote.from.0 == public);
        let quote = quote.ok_or(PassReason::Local)?;
        let Some((host, lan)) = self.sender_of(&quote, id) else {
            let has_ports = matches!(quote.protocol, TCP | UDP | ICMPV6);
            return Err(match has_ports && self.may_hand_out(quote.from.1) {
                true => DropReason::IcmpMismatch.into(),
                false => PassReason::Local.into(),
            });
        };
        check_sum(packet)?;
        if !self.is_outside(packet.from.0) {
            return Err(DropReason::Martian.into());
        }
        may_leave(packet.hop_limit, packet.frame, lan.1)?;
        let rewrite = Rewrite {
            destination: Some(host.0),
            quoted_source: Some(host.0),
            quoted_port: Some((true, host.1)),
            ..Rewrite::default()
        };
        Ok(self.reach(packet, lan, (id, Direction::In), rewrite))
    }

    /// The LAN host that has sent what is quoted.
    fn sender_of(&self, quote: &Quote, id: Id) -> Option<(End, LanSide)> {
        let key = quote.left(quote.from.0);
        let generation = self.site.uplinks[&id].generation;
        if let Some((pin, host)) = self.state.back(&key, (id, generation)) {
            return Some((host, pin.lan));
        }
        let host = self.owner((id, quote.protocol), quote.from.1)?;
        let (_, pin) = self.waiting(&Key { inside: host, ..key }, id, quote.from.1)?;
        Some((host, pin.lan))
    }

    /// About what has come in for the public address, by the port that the flow's pin says.
    pub(crate) fn error_of_shared(
        &self,
        packet: &Packet<'_>,
        (pin, port): (&Pin, u16),
    ) -> Result<Outcome, Stop> {
        check_sum(packet)?;
        if !self.site.sends(pin) {
            return Err(DropReason::NoUplink.into());
        }
        self.may_send_error(packet, pin)?;
        self.may_leave_by(packet, pin.uplink)?;
        let public = Some(self.site.uplinks[&pin.uplink].public());
        let rewrite = Rewrite {
            source: public,
            quoted_destination: public,
            quoted_port: Some((false, port)),
            ..Rewrite::default()
        };
        Ok(self.leave_by(packet, pin.uplink, rewrite))
    }
}
