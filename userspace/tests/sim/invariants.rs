//! What must hold after each event.

use std::collections::BTreeMap;
use std::net::IpAddr;

use pointsman::uplink::State;
use pointsman_ebpf::abi::{Ipv4, LocalAddress, ROUTED_SIDE};

use super::gateway::Gateway;
use super::packets::members;
use super::run::Breach;
use super::world::World;

/// What has lived through much decides as what has just begun.
pub(crate) const FRESH: &str = "a reload equals a fresh start";
/// What was written in parts equals what is written at once.
pub(crate) const CONTENT: &str = "the data plane has what a fresh one would have";

fn holds(invariant: &'static str, does: bool, what: impl FnOnce() -> String) -> Result<(), Breach> {
    if does { Ok(()) } else { Err((invariant, what())) }
}

/// Who dies leaves the switch before anything else is written, and who comes back enters it after all else is: a
/// packet may come between any two writes.
pub(crate) fn switched_in_order(gateway: &mut Gateway) -> Result<(), Breach> {
    let breach = gateway.plane.breach.take();
    holds("the switch is thrown in order", breach.is_none(), || breach.unwrap_or_default())
}

/// Who was lost is not believed earlier than hold-down and dampening allow.
pub(crate) fn no_change_too_early(gateway: &mut Gateway) -> Result<(), Breach> {
    let breach = gateway.pace.breach.take();
    let invariant = "no uplink changes faster than dampening allows";
    holds(invariant, breach.is_none(), || breach.unwrap_or_default())
}

/// The controller knows what is true: nothing is lost on the way, and nothing stays that is gone.
pub(crate) fn told_all(gateway: &Gateway, world: &World) -> Result<(), Breach> {
    let facts = gateway.controller.facts();
    holds("the controller knows what is true", *facts == world.truth, || {
        format!("it knows {facts:?}, and true is {:?}", world.truth)
    })
}

/// Alive in the switch is who is fit, or the last resort, and has all in the data plane.
pub(crate) fn switch_equals_health(gateway: &Gateway) -> Result<(), Breach> {
    let fit = gateway.uplinks().filter(|uplink| {
        matches!(uplink.verdict().state, State::Up | State::Degraded) || uplink.is_last_resort()
    });
    let policy = gateway.policy();
    let in_place = fit.filter(|uplink| {
        let sides = [uplink.id(), ROUTED_SIDE + uplink.id()];
        gateway.plane.has_all_of(uplink.id())
            && sides
                .iter()
                .all(|side| policy.uplinks.get(side) == gateway.plane.content.uplinks.get(side))
            && policy.uplinks.get(&uplink.id()).is_some_and(|record| {
                let interface = policy.interfaces.get(&record.egress);
                interface.is_some_and(|interface| {
                    let mut ports = gateway.plane.content.ports.values();
                    ports.any(|port| *port == interface.port)
                })
            })
    });
    let wanted = in_place.fold(0, |mask, uplink| mask | 1 << uplink.id());
    let found = gateway.plane.content.alive;
    holds("the switch equals health", found == wanted, || {
        format!("alive are {found:b}, and fit {wanted:b}")
    })
}

/// Nobody is alive who lacks carrier, address or next hop, or whose session is down, unless that one is the last
/// resort: seen from what is known of the host, whatever is made of it.
pub(crate) fn nobody_alive_lacks_anything(gateway: &Gateway) -> Result<(), Breach> {
    let facts = gateway.controller.facts();
    for (uplink, config) in gateway.uplinks().zip(&gateway.wanted.uplinks) {
        if gateway.plane.content.alive >> uplink.id() & 1 == 0 {
            continue;
        }
        let link = facts.link_named(&config.interface);
        let index = link.filter(|(_, link)| link.admin_up && link.carrier).map(|(index, _)| index);
        let has_address = !config.addresses.is_empty()
            || index.is_some_and(|index| facts.ipv4_addresses(index).next().is_some());
        let next_hop = match config.gateway {
            pointsman::config::Gateway::Address(address) => Some(address),
            pointsman::config::Gateway::Auto => index.and_then(|it| facts.default_gateway(it)),
        };
        let is_silent = index.zip(next_hop).is_none_or(|(index, next_hop)| {
            let key = (index, IpAddr::from(next_hop));
            let known = facts.neighbours.get(&key);
            known.is_some_and(|it| it.state == pointsman::netlink::NeighbourState::Failed)
        });
        let lacks = index.is_none() || !has_address || is_silent;
        let is_down = gateway.without_session.contains(&config.name);
        holds("no dead uplink is alive", !lacks && (!is_down || uplink.is_last_resort()), || {
            format!("{} is alive: {:?}", config.name, uplink.verdict())
        })?;
    }
    Ok(())
}

/// The group's masks: who is a member may be used, and who is not degraded is preferred.
pub(crate) fn masks_equal_health(gateway: &Gateway) -> Result<(), Breach> {
    if !gateway.is_whole {
        return Ok(());
    }
    let usable = members(gateway);
    let degraded = gateway.uplinks().filter(|it| it.verdict().state == State::Degraded);
    let preferred = degraded.fold(usable, |mask, uplink| mask & !(1 << uplink.id()));
    let found = gateway.plane.content.groups.get(&0).copied().unwrap_or_default();
    holds("masks equal health", (found.usable, found.preferred) == (usable, preferred), || {
        format!("they are {found:?}, and to be {usable:b} and {preferred:b}")
    })
}

/// The gateway answers for the addresses that the host or a configuration has, and for no other.
pub(crate) fn own_addresses_are_there(gateway: &Gateway, world: &World) -> Result<(), Breach> {
    if !gateway.is_whole {
        return Ok(());
    }
    let configured = gateway.wanted.uplinks.iter().flat_map(|it| &it.addresses);
    let configured = configured.map(|address| IpAddr::from(*address));
    let of = |address: IpAddr| match address {
        IpAddr::V4(address) => LocalAddress::from(Ipv4::new(address.octets())),
        IpAddr::V6(address) => LocalAddress::from(address.octets()),
    };
    let mut wanted: Vec<LocalAddress> =
        world.truth.local_addresses().chain(configured).map(of).collect();
    wanted.sort();
    wanted.dedup();
    let found: Vec<LocalAddress> = gateway.plane.content.local.keys().copied().collect();
    holds("an address that is gone is nobody's", found == wanted, || {
        format!("the data plane has {found:?}, and there are {wanted:?}")
    })
}

/// No generation is given for an address, or to an uplink, that it has not been for before.
pub(crate) fn generations_are_new(
    gateway: &Gateway,
    known: &mut BTreeMap<u32, String>,
) -> Result<(), Breach> {
    for (side, record) in &gateway.plane.content.uplinks {
        let found = format!("side {side} at {:?}", record.address);
        let before = known.entry(record.generation).or_insert_with(|| found.clone());
        holds("no generation is given twice", *before == found, || {
            format!("{} was {before}, and is {found}", record.generation)
        })?;
    }
    Ok(())
}
