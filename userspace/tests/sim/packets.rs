//! Packets through the real path, over what the installer has written: where new flows go, and where those stay that
//! are there.

use std::net::{Ipv4Addr, SocketAddrV4};

use pointsman::control::{Candidate, ControlledUplink, Ranking};
use pointsman::uplink::State;
use pointsman_ebpf::abi::{Direction, PortRole};
use pointsman_ebpf::memory::{PacketBuilder, answer_to};
use pointsman_ebpf::verdict::{DropReason, Verdict};

use super::gateway::Gateway;

const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 80), 4433);
const HOST_MAC: [u8; 6] = [2, 0, 0, 9, 0, 9];

/// How many flows are followed.
const FOLLOWED: usize = 4;

/// The LAN's hosts and their flows.
#[derive(Default)]
pub(crate) struct Hosts {
    begun: u16,
    flows: Vec<Flow>,
}

/// A flow that was answered.
struct Flow {
    source: SocketAddrV4,
    at: Place,
}

/// Where a packet has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    uplink: u8,
    generation: u32,
    /// The source's address and port.
    public: [u8; 6],
}

impl Hosts {
    /// Forgets all flows: the data plane has.
    pub(crate) fn forget(&mut self) {
        self.flows.clear();
    }

    /// Sends a packet of every flow that is followed, and one of a new flow.
    ///
    /// # Errors
    /// What is wrong with where they went.
    pub(crate) fn send(&mut self, gateway: &Gateway) -> Result<(), String> {
        let Some(lan) = Lan::find(gateway) else { return Ok(()) };
        for flow in &mut self.flows {
            let (verdict, frame) = lan.send(gateway, flow.source);
            let Some(place) = judge(gateway, verdict, &frame)? else { continue };
            let (id, generation) = (flow.at.uplink, flow.at.generation);
            let record = gateway.plane.content.uplinks.get(&id);
            let is_there = gateway.plane.alive() >> id & 1 == 1
                && record.is_some_and(|record| record.generation == generation);
            if is_there && place != flow.at {
                return Err(format!(
                    "a flow of a living uplink goes from {:?} to {place:?}",
                    flow.at
                ));
            }
            flow.at = place;
        }
        self.begun = self.begun.wrapping_add(1);
        let [high, low] = self.begun.to_be_bytes();
        let source = SocketAddrV4::new(Ipv4Addr::new(10, 1, 2 + high, low), 2000 + self.begun);
        let (verdict, frame) = lan.send(gateway, source);
        let asked = gateway.plane.asked();
        let Some(at) = judge(gateway, verdict, &frame)? else { return Ok(()) };
        if gateway.is_whole && Some(at.uplink) != wanted(gateway, asked) {
            let wanted = wanted(gateway, asked);
            return Err(format!("a new flow takes uplink {}, and not {wanted:?}", at.uplink));
        }
        if self.flows.len() < FOLLOWED && answered(gateway, at.uplink, &frame) {
            self.flows.push(Flow { source, at });
        }
        Ok(())
    }
}

/// The way from the LAN into the gateway.
struct Lan {
    ifindex: u32,
    mac: [u8; 6],
}

impl Lan {
    /// Where the LAN has one at present.
    fn find(gateway: &Gateway) -> Option<Self> {
        let (_, ifindex, link) = gateway.controller.lan_links().next()?;
        let mac = link.mac?;
        let content = &gateway.plane.content;
        let mut ports = content.ports.values();
        let is_served = ports.any(|port| {
            (port.ifindex, port.role) == (ifindex, PortRole::Lan as u8) && port.mac.octets() == mac
        });
        let has_address = gateway.controller.facts().ipv4_addresses(ifindex).next().is_some();
        let is_whole = is_served && has_address && content.attached.contains_key(&ifindex);
        is_whole.then_some(Self { ifindex, mac })
    }

    fn send(&self, gateway: &Gateway, source: SocketAddrV4) -> (Verdict, Vec<u8>) {
        let packet = PacketBuilder::udp(source, SERVER).macs(HOST_MAC, self.mac);
        let mut frame = packet.build();
        let verdict = gateway.plane.tables.run(&mut frame, self.ifindex);
        (verdict, frame)
    }
}

/// Whether the server's answer to a frame came back to the host.
fn answered(gateway: &Gateway, uplink: u8, frame: &[u8]) -> bool {
    let known = gateway.uplinks().find(|known| known.id() == uplink);
    let Some(ifindex) = known.and_then(ControlledUplink::ifindex) else { return false };
    let verdict = gateway.plane.tables.run(&mut answer_to(frame), ifindex);
    matches!(verdict, Verdict::Forward { direction: Direction::In, .. })
}

/// Where a packet left, if it did.
///
/// # Errors
/// Where it should not have, or should have.
fn judge(gateway: &Gateway, verdict: Verdict, frame: &[u8]) -> Result<Option<Place>, String> {
    let alive = gateway.plane.alive();
    match verdict {
        Verdict::Forward { uplink, egress, direction: Direction::Out } => {
            let known = gateway.uplinks().find(|known| known.id() == uplink);
            let known =
                known.ok_or_else(|| format!("it leaves by uplink {uplink}, which is none"))?;
            if alive >> uplink & 1 == 0 {
                return Err(format!("it leaves by uplink {uplink}, and alive are {alive:b}"));
            }
            let heard = gateway.plane.content.alive & !gateway.plane.silent;
            if heard >> uplink & 1 == 0 && heard != 0 {
                return Err(format!("it leaves by uplink {uplink}, and heard are {heard:b}"));
            }
            if gateway.plane.content.egress.get(&egress).copied() != known.ifindex() {
                return Err(format!("it leaves by egress slot {egress}, which is not {known:?}"));
            }
            check_addresses(gateway, known, frame)?;
            let mut public = [0; 6];
            public[..4].copy_from_slice(&frame[26..30]);
            public[4..].copy_from_slice(&frame[34..36]);
            let record = gateway.plane.content.uplinks.get(&uplink);
            let generation = record.map_or(0, |record| record.generation);
            Ok(Some(Place { uplink, generation, public }))
        }
        Verdict::Answer { reason: DropReason::NoUplink, .. }
        | Verdict::Drop(DropReason::NoUplink) => {
            let members = members(gateway);
            if gateway.is_whole && members & alive != 0 {
                return Err(format!("no uplink takes it, and alive are {:b}", members & alive));
            }
            Ok(None)
        }
        // Its tables are not all written.
        Verdict::Drop(_) | Verdict::Answer { .. } if !gateway.is_whole => Ok(None),
        other => Err(format!("a packet of the LAN's is {other:?}")),
    }
}

/// Whether a frame goes to the next hop, and from addresses that the uplink has.
fn check_addresses(
    gateway: &Gateway,
    uplink: &ControlledUplink,
    frame: &[u8],
) -> Result<(), String> {
    let facts = gateway.controller.facts();
    let name = &uplink.config().name;
    let (index, link) = facts
        .link_named(&uplink.config().interface)
        .ok_or_else(|| format!("it leaves by {name}, whose interface is gone"))?;
    if link.mac.as_ref().map(<[u8; 6]>::as_slice) != frame.get(6..12) {
        return Err(format!("it leaves by {name} from another MAC than the interface's"));
    }
    let next_hop = uplink.gateway().and_then(|gateway| facts.resolution(index, gateway).mac());
    if next_hop.is_some_and(|mac| Some(&mac[..]) != frame.get(..6)) {
        return Err(format!("it leaves by {name} to another MAC than the next hop's"));
    }
    let source: [u8; 4] = frame[26..30].try_into().map_err(|_| "no frame".to_owned())?;
    let source = Ipv4Addr::from(source);
    let is_configured = uplink.config().addresses.contains(&source);
    if !is_configured && !facts.ipv4_addresses(index).any(|(own, _)| own == source) {
        return Err(format!("it leaves by {name} from {source}, which that does not have"));
    }
    Ok(())
}

/// The group's uplinks, a bit each.
pub(crate) fn members(gateway: &Gateway) -> u64 {
    let tiers = gateway.wanted.group.tiers.iter().flatten();
    let ids = tiers.filter_map(|index| id(gateway, &gateway.wanted.uplinks[*index].name));
    ids.fold(0, |members, id| members | 1 << id)
}

fn id(gateway: &Gateway, name: &str) -> Option<u8> {
    let known = gateway.uplinks().find(|uplink| uplink.config().name == name);
    known.map(ControlledUplink::id)
}

/// The uplink that a new flow is to take which falls on a bucket: the first of its ranking that is alive and not
/// degraded, else the first that is alive.
fn wanted(gateway: &Gateway, bucket: u32) -> Option<u8> {
    let config = &gateway.wanted;
    let candidate = |index: &usize| {
        let uplink = config.uplinks.get(*index)?;
        let id = id(gateway, &uplink.name)?;
        Some(Candidate { name: uplink.name.clone(), id, weight: uplink.weight })
    };
    let tier = |tier: &Vec<usize>| tier.iter().filter_map(candidate).collect();
    let ranking = Ranking { tiers: config.group.tiers.iter().map(tier).collect() };
    let alive = gateway.plane.alive();
    let ranking: Vec<u8> = ranking.bucket(bucket).ranking().collect();
    let is_alive = |id: &&u8| alive >> **id & 1 == 1;
    let is_preferred = |id: &&u8| {
        let known = gateway.uplinks().find(|uplink| uplink.id() == **id);
        known.is_some_and(|uplink| uplink.verdict().state != State::Degraded)
    };
    let mut preferred = ranking.iter().filter(is_alive).filter(is_preferred);
    preferred.next().or_else(|| ranking.iter().find(is_alive)).copied()
}
