use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use pointsman_ebpf::abi::{HandshakeCounts, MAX_UPLINKS, PORT_SLOTS};

use super::drain::Drains;
use super::failback::Failback;
use super::forward::Target;
use super::last_resort;
use super::prefixes::internal_prefix;
use super::register::Register;
use super::uplink::ControlledUplink;
use super::uplink6::Surroundings;
use crate::config::{self, Config};
use crate::dataplane::{Inheritance, Names};
use crate::netlink::{Link, Snapshot, Update};
use crate::ports::PortSet;
use crate::probe::ProbeEvent;
use crate::uplink::{Carried, State, Verdict};

/// An uplink that has gone over to another state, or that has become the last resort or is it no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The uplink's name.
    pub uplink: String,
    /// What it is now, and why.
    pub verdict: Verdict,
    /// Whether it carries traffic although it is down.
    pub is_last_resort: bool,
}

/// Decides what the data plane is to do, from configuration, facts and probes.
#[derive(Clone, Debug)]
pub struct Controller {
    pub(super) config: Config,
    facts: Snapshot,
    pub(super) uplinks: Vec<ControlledUplink>,
    pub(super) drains: Drains,
    /// The hosts of port forwards.
    targets: BTreeMap<Ipv4Addr, Target>,
    pub(super) ids: Register,
    pub(super) slots: Register,
    pub(super) hash_key: [u64; 2],
    /// The ports of the gateway's own sockets.
    pub(super) socket_ports: PortSet,
    next_generation: u32,
    pub(super) failback: Failback,
}

impl Controller {
    /// A controller that knows no facts yet. The key is for the hash that shares out the flows, and
    /// must be hard to guess; generations count from the one given, which must be above those that
    /// a data plane may have from before.
    pub fn new(config: Config, hash_key: [u64; 2], generation: u32, now: Instant) -> Self {
        let mut controller = Self::blank(config.clone(), hash_key, generation);
        controller.configure(config, now);
        controller
    }

    fn blank(config: Config, hash_key: [u64; 2], generation: u32) -> Self {
        Self {
            config,
            facts: Snapshot::default(),
            uplinks: Vec::new(),
            drains: Drains::new(),
            targets: BTreeMap::new(),
            ids: Register::new(MAX_UPLINKS as u16),
            slots: Register::new(PORT_SLOTS as u16),
            hash_key,
            socket_ports: PortSet::default(),
            next_generation: generation,
            failback: Failback::default(),
        }
    }

    /// A controller as [`Self::new`] that goes on with what another has left in the data plane, which was alive
    /// as far as this is: numbers, the hash's key, generations and states stay, as far as the configuration and
    /// the facts allow.
    pub fn inheriting(
        config: Config,
        inheritance: &Inheritance,
        generation: u32,
        facts: Update,
        now: Instant,
    ) -> Self {
        let Inheritance { contents, names, .. } = inheritance;
        let hash_key = contents.settings.map(|settings| settings.hash_key).unwrap_or_default();
        let mut controller = Self::blank(config.clone(), hash_key, generation);
        controller.ids.restore(&names.uplinks);
        controller.slots.restore(&names.slots);
        controller.configure(config, now);
        let known = |uplink: &&mut ControlledUplink| {
            names.uplinks.get(&uplink.config.name) == Some(&u16::from(uplink.id))
        };
        for uplink in controller.uplinks.iter_mut().filter(known) {
            uplink.inherit(contents);
        }
        controller.update(facts, now);
        for uplink in controller.uplinks.iter_mut().filter(known) {
            uplink.monitor.inherit(contents.alive >> uplink.id & 1 == 1, now);
        }
        // Who is in use now has not come back: it was so before.
        controller.failback = Failback::default();
        controller.observe(now, |_| ());
        controller
    }

    /// The numbers that the data plane has for uplinks and interfaces.
    pub fn names(&self) -> Names {
        Names { uplinks: self.ids.numbers().clone(), slots: self.slots.numbers().clone() }
    }

    /// Goes over to another configuration. What it has in common with the old one stays as it is.
    pub fn configure(&mut self, config: Config, now: Instant) -> Vec<Change> {
        let predecessors: Vec<Option<String>> = { config.uplinks.iter() }
            .map(|uplink| {
                let old = uplink.predecessor(&self.config.uplinks, &config.uplinks);
                old.map(|old| old.name.clone())
            })
            .collect();
        for (uplink, old) in config.uplinks.iter().zip(&predecessors) {
            if let Some(old) = old {
                self.ids.rename(old, &uplink.name);
                if let Some(until) = self.drains.remove(old) {
                    self.drains.insert(uplink.name.clone(), until);
                }
            }
        }
        self.ids.assign(config.uplinks.iter().map(|uplink| uplink.name.as_str()));
        self.slots.assign(ports(&config).iter().map(String::as_str));
        let mut old = std::mem::take(&mut self.uplinks);
        for (wanted, predecessor) in config.uplinks.iter().zip(predecessors) {
            // The configuration has no more uplinks than there are identifiers.
            let Some(id) = self.ids.get(&wanted.name) else {
                continue;
            };
            let kept = old
                .iter()
                .position(|uplink| {
                    Some(&uplink.config.name) == predecessor.as_ref()
                        && uplink.config.port_name() == wanted.port_name()
                })
                .map(|position| old.swap_remove(position));
            self.uplinks.push(match kept {
                Some(mut uplink) => {
                    uplink.reconfigure(wanted.clone(), now);
                    uplink
                }
                None => ControlledUplink::new(id as u8, wanted.clone(), now),
            });
        }
        let mut known = std::mem::take(&mut self.targets);
        self.targets = { config.forwards.iter().map(|forward| forward.address) }
            .map(|address| {
                let target = known.remove(&address).unwrap_or_else(|| Target::new(address));
                (address, target)
            })
            .collect();
        self.config = config;
        self.forget_drains();
        self.observe(now, |_| ())
    }

    /// Gives none of the generations that another controller, which this one was copied to, has given.
    pub(super) fn pass_over_generations(&mut self, other: &Self) {
        self.next_generation = other.next_generation;
    }

    /// Takes in which ports sockets of the gateway have, or may take.
    pub fn set_socket_ports(&mut self, ports: PortSet) {
        self.socket_ports = ports;
    }

    /// Takes in what the kernel tells.
    pub fn update(&mut self, update: Update, now: Instant) -> Vec<Change> {
        match update {
            Update::Resync(snapshot) => self.facts = snapshot,
            Update::Fact(fact) => self.facts.apply(fact),
        }
        self.observe(now, |_| ())
    }

    /// Takes in the outcome of a probe of the uplink with this name.
    pub fn probed(&mut self, uplink: &str, event: ProbeEvent, now: Instant) -> Vec<Change> {
        self.observe(now, |uplinks| {
            if let Some(uplink) = uplinks.iter_mut().find(|u| u.config.name == uplink) {
                uplink.probed(event, now);
            }
        })
    }

    /// Takes in how much each uplink has carried by `now`, by identifier. Returns who is in another state then,
    /// or nothing where that makes no difference.
    pub fn carried(
        &mut self,
        mut carried: impl FnMut(u8) -> Option<Carried>,
        now: Instant,
    ) -> Option<Vec<Change>> {
        let mut differs = false;
        for uplink in self.uplinks.iter_mut().filter(|uplink| uplink.is_listened_to()) {
            if let Some(carried) = carried(uplink.id) {
                differs |= uplink.carried(carried, now);
            }
        }
        differs.then(|| self.observe(now, |_| ()))
    }

    /// Whether it is of use to know what uplinks carry.
    pub fn listens(&self) -> bool {
        self.uplinks.iter().any(ControlledUplink::is_listened_to)
    }

    /// Takes in what has been counted of each uplink's handshakes by `now`, by identifier.
    pub fn shook_hands(&mut self, counts: impl Fn(u8) -> HandshakeCounts, now: Instant) {
        for uplink in &mut self.uplinks {
            uplink.shook_hands(&counts(uplink.id), now);
        }
    }

    /// Lets time pass: to be called at the [`Self::deadline`], at least.
    pub fn tick(&mut self, now: Instant) -> Vec<Change> {
        self.observe(now, |_| ())
    }

    /// When time alone will change the state of an uplink, or whether it is drained, or have flows given back.
    pub fn deadline(&self) -> Option<Instant> {
        let states = self.uplinks.iter().filter_map(|uplink| uplink.monitor().deadline());
        states.chain(self.drain_deadline()).chain(self.failback.deadline()).min()
    }

    /// Lets `change` happen, and then what follows from the facts. Returns who is in another state.
    pub(super) fn observe(
        &mut self,
        now: Instant,
        change: impl FnOnce(&mut [ControlledUplink]),
    ) -> Vec<Change> {
        change(&mut self.uplinks);
        self.settle_drains(now);
        let mut generation = || {
            let generation = self.next_generation.max(1);
            self.next_generation = generation.wrapping_add(1);
            generation
        };
        let internal = internal_prefix(&self.config, &self.facts);
        let mut taken = Vec::new();
        for uplink in &mut self.uplinks {
            let around = Surroundings { internal, taken: &taken };
            uplink.refresh(&self.facts, around, now, &mut generation);
            taken.extend(uplink.address6());
        }
        for target in self.targets.values_mut() {
            target.refresh(&self.facts, lan_links(&self.config, &self.facts));
        }
        let last_resort = last_resort::choose(&self.config.group, &self.uplinks, now);
        for (index, uplink) in self.uplinks.iter_mut().enumerate() {
            uplink.is_last_resort = last_resort == Some(index);
        }
        let wishes = self.wishes();
        self.failback.observe(wishes, now);
        let changed = self.uplinks.iter_mut().filter_map(|uplink| {
            let is_last_resort = uplink.is_last_resort();
            let role = (uplink.verdict().state, is_last_resort);
            (std::mem::replace(&mut uplink.told, role) != role).then(|| Change {
                uplink: uplink.config.name.clone(),
                verdict: uplink.verdict().clone(),
                is_last_resort,
            })
        });
        changed.collect()
    }

    /// The uplinks that may carry traffic, a bit each by identifier.
    pub fn alive(&self) -> u64 {
        self.those(|uplink| uplink.is_up() || uplink.is_last_resort())
    }

    /// The uplinks that others are to be preferred to, a bit each by identifier: not those that are down,
    /// for an uplink that dies is to be one store, to the switch.
    pub(super) fn degraded(&self) -> u64 {
        self.those(|uplink| uplink.verdict().state == State::Degraded)
    }

    /// The uplinks of which something is so, a bit each by identifier.
    pub(super) fn those(&self, are: impl Fn(&ControlledUplink) -> bool) -> u64 {
        let those = self.uplinks.iter().filter(|uplink| are(uplink));
        those.fold(0, |mask, uplink| mask | 1 << uplink.id)
    }

    /// The neighbours of which the kernel is to find the MAC now, by interface.
    pub fn resolutions_due(&mut self, now: Instant) -> Vec<(u32, IpAddr)> {
        let of = |(ifindex, address): (u32, Ipv4Addr)| (ifindex, IpAddr::from(address));
        let of6 = |(ifindex, address): (u32, Ipv6Addr)| (ifindex, IpAddr::from(address));
        let gateways = self.uplinks.iter_mut().flat_map(|uplink| {
            [
                uplink.resolution_due(now).map(of),
                uplink.resolution_due6(now).map(of6),
                uplink.router_due(now),
            ]
        });
        let targets = self.targets.values_mut().map(|target| target.resolution_due(now).map(of));
        gateways.chain(targets).flatten().collect()
    }

    /// The configuration that holds.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What is known of the kernel.
    pub fn facts(&self) -> &Snapshot {
        &self.facts
    }

    /// The uplinks, in the order of the file.
    pub fn uplinks(&self) -> &[ControlledUplink] {
        &self.uplinks
    }

    /// The LAN interfaces that are there, with their indices.
    pub fn lan_links(&self) -> impl Iterator<Item = (&str, u32, &Link)> {
        lan_links(&self.config, &self.facts)
    }

    /// The host of port forwards that has this address.
    pub fn target(&self, address: Ipv4Addr) -> Option<&Target> {
        self.targets.get(&address)
    }
}

pub(super) fn lan_links<'c>(
    config: &'c Config,
    facts: &'c Snapshot,
) -> impl Iterator<Item = (&'c str, u32, &'c Link)> {
    config.lan.interfaces.iter().filter_map(|name| {
        let (index, link) = facts.link_named(name)?;
        Some((name.as_str(), index, link))
    })
}

/// The names of all ports of a configuration.
fn ports(config: &Config) -> Vec<String> {
    let uplinks = config.uplinks.iter().map(config::Uplink::port_name);
    config.lan.interfaces.iter().cloned().chain(uplinks).collect()
}
