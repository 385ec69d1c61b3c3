//! From the LAN (RFC 6146 section 3.5; RFC 7915 section 5).

use pointsman_ebpf::abi::Direction;
use pointsman_ebpf::memory::site6::{self, INTERNAL};
use pointsman_ebpf::verdict::{DropReason, Verdict};

use super::translate::{to_four, to_v4};
use super::{Model64, framed};
use crate::model::outbound::refused;
use crate::model::packet::{self as packet4};
use crate::model::site::{self, Id};
use crate::model::state::{Flow, Key, Traffic, Translation};
use crate::model::{Choices, Outcome, Stop};
use crate::model6::packet::{ICMPV6, Kind, Packet, TCP, UDP, walk};
use crate::model6::site::is_martian;

/// What stands for the protocol number that is ICMP's in IPv4 and nobody's in IPv6.
const NOBODY: u8 = 254;

/// The tables of flows that know of what is sent from the LAN.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Table {
    Established,
    Unreplied,
    Invited,
}

impl Model64 {
    pub(super) fn by_lan(
        &mut self,
        packet: &Packet<'_>,
        choices: &dyn Choices,
    ) -> Result<Outcome, Stop> {
        let key = self.prefix.extract(packet.to.0).map(|remote| self.key(packet, remote));
        match packet.kind {
            Kind::Later => return self.later_from_lan(packet),
            Kind::Error => return self.error_from_lan(packet),
            Kind::Opens | Kind::Belongs => {
                if let Some((table, key)) = key.and_then(|key| self.known(packet, key)) {
                    return self.go_on(packet, table, key);
                }
            }
            _ => {}
        }
        self.may_send(packet)?;
        if matches!(packet.kind, Kind::OfLink | Kind::Odd) {
            return Err(DropReason::Icmp.into());
        }
        if packet.hop_limit <= 1 {
            return Err(Stop::Answer(DropReason::TtlExceeded, 0));
        }
        let site = &self.four.site;
        let is_outside = |key: &Key| {
            let to = key.to.0;
            !site::is_martian(to) && !site.is_of_lan(to) && site.owner(to).is_none()
        };
        let key = key.filter(is_outside).ok_or(Stop::Answer(DropReason::Nat64Destination, 0))?;
        let invited = self.four.state.invited.get(&key).copied();
        if let Some(invited) = invited.filter(|invited| self.holds(invited)) {
            self.may_leave(packet, invited.uplink)?;
            self.accept(packet, key, invited)?;
            return self.go_on(packet, Table::Established, key);
        }
        let old = self.four.state.established.get(&key).copied();
        if let Some(old) = old.filter(|_| invited.is_none())
            && let Some(outcome) = self.lost(packet, key, &old, choices)?
        {
            return Ok(outcome);
        }
        if packet.kind == Kind::Belongs {
            return Err(DropReason::Unsolicited.into());
        }
        // Nobody beyond the uplink knows the flow by another address.
        if invited.is_some() || old.is_some_and(|old| !old.by_lan) {
            return Err(Stop::Answer(DropReason::NoUplink, 0));
        }
        let table = self.open(packet, key, old.is_some(), choices)?;
        self.go_on(packet, table, key)
    }

    /// The key of a packet's flow.
    fn key(&self, packet: &Packet<'_>, remote: [u8; 4]) -> Key {
        let protocol = if packet.protocol == packet4::ICMP { NOBODY } else { packet.protocol };
        self.out_key(packet.from, (remote, packet.to.1), to_v4(protocol))
    }

    /// Whether the sender is of the site.
    pub(super) fn may_send(&self, packet: &Packet<'_>) -> Result<(), DropReason> {
        let from = packet.from.0;
        if is_martian(from) || from == site6::GATEWAY.to_bits() {
            return Err(DropReason::Martian);
        }
        let is_of_site = from >> 80 == INTERNAL.0.to_bits() >> 80;
        is_of_site.then_some(()).ok_or(DropReason::ForeignSource)
    }

    /// Where the packet's flow is known, and can go on.
    fn known(&self, packet: &Packet<'_>, key: Key) -> Option<(Table, Key)> {
        let state = &self.four.state;
        let holds = |flow: Option<&Flow>| flow.is_some_and(|flow| self.holds(flow));
        let table = if holds(state.established.get(&key)) {
            Table::Established
        } else if holds(state.unreplied.get(&key)) {
            Table::Unreplied
        } else if packet.is_reset() && holds(state.invited.get(&key)) {
            // Whoever refuses a flow does not make it an established one.
            Table::Invited
        } else {
            return None;
        };
        Some((table, key))
    }

    fn flow(&mut self, table: Table, key: &Key) -> Option<&mut Flow> {
        let state = &mut self.four.state;
        match table {
            Table::Established => state.established.get_mut(key),
            Table::Unreplied => state.unreplied.get_mut(key),
            Table::Invited => state.invited.get_mut(key),
        }
    }

    /// Sends a packet of a known flow, if it may leave, and notes it.
    fn go_on(&mut self, packet: &Packet<'_>, table: Table, key: Key) -> Result<Outcome, Stop> {
        let uplink = self.flow(table, &key).expect("the flow is known").uplink;
        self.may_leave(packet, uplink)?;
        let (four, now) = (as_four(packet, &key), self.four.site.now);
        let flow = self.flow(table, &key).expect("the flow is known");
        flow.mac = four.sender();
        flow.traffic.note(&four, now);
        let flow = *flow;
        if table == Table::Established
            && let Some(back) = self.four.state.established.get_mut(&flow.peer(&key))
            && back.translation.destination == Some(key.from)
        {
            back.mac = flow.mac;
        }
        if packet.is_first_fragment() {
            let fragments = (packet.from.0, packet.to.0, packet.fragment.identification);
            let len = packet.end - 54 - packet.fragment.end;
            self.fragments.insert(fragments, (len, flow));
        }
        Ok(self.leave(packet, &flow, key.to.0))
    }

    /// Whether a packet may leave by an uplink.
    pub(super) fn may_leave(&self, packet: &Packet<'_>, uplink: Id) -> Result<(), Stop> {
        if packet.hop_limit <= 1 {
            return Err(Stop::Answer(DropReason::TtlExceeded, 0));
        }
        if let Some(pointer) = source_route(packet) {
            return Err(Stop::Answer(DropReason::SourceRoute, pointer));
        }
        let is_fragment = packet.fragment.offset != 0 || packet.fragment.more;
        match packet.protocol {
            TCP | UDP => {}
            ICMPV6 if !is_fragment => {}
            _ => return Err(DropReason::Nat64Untranslatable.into()),
        }
        let mtu = self.four.site.uplinks[&uplink].mtu;
        if 20 + packet.end - packet.transport > usize::from(mtu) {
            let header = if packet.fragment.end != 0 { 8 } else { 0 };
            return Err(Stop::Answer(DropReason::TooBig, (mtu + 20 + header).max(1280)));
        }
        Ok(())
    }

    pub(super) fn leave(&self, packet: &Packet<'_>, flow: &Flow, remote: [u8; 4]) -> Outcome {
        let public = flow.translation.source.expect("it is translated");
        let made = to_four(packet, public, remote, self.segment_limit(flow));
        let provider = &self.four.site.uplinks[&flow.uplink].provider;
        let macs = [provider.gateway_mac, provider.mac];
        let verdict = Verdict::Forward {
            egress: provider.egress,
            uplink: provider.id,
            direction: Direction::Out,
        };
        let frame = framed(macs, &made.packet, &packet.frame[packet.end..]);
        Outcome { verdict, frame, loose: made.loose.map(|at| 14 + at).into_iter().collect() }
    }

    /// The LAN answers what came in unasked.
    fn accept(&mut self, packet: &Packet<'_>, key: Key, invited: Flow) -> Result<(), DropReason> {
        let traffic = as_four(packet, &key).first_traffic(self.four.site.now);
        let back = Flow { traffic: invited.traffic, ..invited.back(&key, invited.mac) };
        self.four.state.establish(key, Flow { traffic, ..invited }, back)?;
        self.four.state.invited.remove(&key);
        Ok(())
    }

    /// A flow that is new, or that leaves an uplink which cannot take it any more.
    fn open(
        &mut self,
        packet: &Packet<'_>,
        key: Key,
        moves: bool,
        choices: &dyn Choices,
    ) -> Result<Table, Stop> {
        let four = as_four(packet, &key);
        let id = self.four.choose(&four, choices, |uplink| uplink.translates);
        let id = id.ok_or(Stop::Answer(DropReason::NoUplink, 0))?;
        self.may_leave(packet, id)?;
        let taken = self.four.state.host(key.from.0).unreplied;
        if !moves && taken >= u64::from(self.four.site.setup.host_unreplied) {
            return Err(refused(DropReason::HostUnreplied));
        }
        let public = self.four.obtain(&four, id, choices).map_err(refused)?;
        self.four.permit(&four, id, public).map_err(refused)?;
        let flow = Flow {
            translation: Translation { source: Some(public), destination: None },
            uplink: id,
            routed: false,
            generation: self.four.site.uplinks[&id].generation,
            by_lan: true,
            mac: four.sender(),
            traffic: four.first_traffic(self.four.site.now),
        };
        if !moves {
            self.four.wait_for_answer(key, flow);
            return Ok(Table::Unreplied);
        }
        let back = Flow { traffic: Traffic::default(), ..flow.back(&key, flow.mac) };
        self.four.state.establish(key, flow, back).map_err(refused)?;
        Ok(Table::Established)
    }

    /// A later fragment goes the way of the first (RFC 6146 section 3.4; RFC 5722).
    fn later_from_lan(&mut self, packet: &Packet<'_>) -> Result<Outcome, Stop> {
        let key = (packet.from.0, packet.to.0, packet.fragment.identification);
        let (len, flow) =
            self.fragments.get(&key).copied().ok_or(DropReason::FragmentWithoutFirst)?;
        if packet.fragment.offset < len {
            return Err(DropReason::FragmentOverlap.into());
        }
        if !self.holds(&flow) {
            return Err(DropReason::NoUplink.into());
        }
        self.may_leave(packet, flow.uplink)?;
        let remote = self.prefix.extract(packet.to.0).expect("the first one went there");
        Ok(self.leave(packet, &flow, remote))
    }
}

/// The packet as the model of IPv4 wants it to know of its flow: of this key.
pub(super) fn as_four<'f>(packet: &Packet<'f>, key: &Key) -> packet4::Packet<'f> {
    packet4::Packet {
        frame: packet.frame,
        came: packet.came,
        kind: packet4::Kind::Opens,
        protocol: key.protocol,
        from: key.from,
        to: key.to,
        ttl: packet.hop_limit,
        transport: packet.transport,
        end: packet.end,
        identification: 0,
        offset: packet.fragment.offset,
        more: packet.fragment.more,
        flags: packet.flags,
        sequence: packet.sequence,
    }
}

/// Where in the packet it stands how many hops of its last source route are left, if any is.
pub(super) fn source_route(packet: &Packet<'_>) -> Option<u16> {
    let ip = &packet.frame[14..packet.end];
    let (mut next, mut at, mut found) = (ip[6], 40, None);
    while 14 + at < packet.transport {
        if next == 43 && ip[at + 3] != 0 {
            found = Some(at as u16 + 3);
        }
        // Of one header alone, where it ends: what follows it is of no protocol that has another.
        let header = &ip[at..];
        let one = [&[59][..], &header[1..]].concat();
        let (_, len, _) = walk(next, &one).expect("the packet was read");
        (next, at) = (header[0], at + len);
    }
    found
}
