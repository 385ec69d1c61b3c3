use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use ipnet::Ipv4Net;
use pointsman_ebpf::abi::{
    ABI_VERSION, Group, LAN_PREFIXES, LanPrefix, LocalAddress, MAX_UPLINKS, Mac, PORT_SLOTS, Port,
    PortRange, PortRole, Settings,
};

use super::buckets::{Candidate, Ranking};
use super::policy::{Interface, Policy};
use super::register::Register;
use super::uplink::{ControlledUplink, packet_size};
use crate::config::Config;
use crate::netlink::{Link, Snapshot, Update};
use crate::probe::ProbeEvent;
use crate::uplink::{State, Verdict};

/// The only group that there is.
const DEFAULT_GROUP: u8 = 0;

/// An uplink that has gone over to another state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The uplink's name.
    pub uplink: String,
    /// What it is now, and why.
    pub verdict: Verdict,
}

/// Decides what the data plane is to do, from configuration, facts and probes.
#[derive(Clone, Debug)]
pub struct Controller {
    config: Config,
    facts: Snapshot,
    uplinks: Vec<ControlledUplink>,
    ids: Register,
    slots: Register,
    hash_key: [u64; 2],
    next_generation: u32,
}

impl Controller {
    /// A controller that knows no facts yet. The key is for the hash that shares out the flows, and
    /// must be hard to guess; generations count from the one given, which must be above those that
    /// a data plane may have from before.
    pub fn new(config: Config, hash_key: [u64; 2], generation: u32, now: Instant) -> Self {
        let mut controller = Self {
            config: config.clone(),
            facts: Snapshot::default(),
            uplinks: Vec::new(),
            ids: Register::new(MAX_UPLINKS as u16),
            slots: Register::new(PORT_SLOTS as u16),
            hash_key,
            next_generation: generation,
        };
        controller.configure(config, now);
        controller
    }

    /// Goes over to another configuration. What it has in common with the old one stays as it is.
    pub fn configure(&mut self, config: Config, now: Instant) -> Vec<Change> {
        self.ids.assign(config.uplinks.iter().map(|uplink| uplink.name.as_str()));
        self.slots.assign(interfaces(&config));
        let mut old = std::mem::take(&mut self.uplinks);
        for wanted in &config.uplinks {
            // The configuration has no more uplinks than there are identifiers.
            let Some(id) = self.ids.get(&wanted.name) else {
                continue;
            };
            let kept = old
                .iter()
                .position(|uplink| {
                    uplink.config.name == wanted.name && uplink.config.interface == wanted.interface
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
        self.config = config;
        self.observe(now, |_| ())
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

    /// Lets `change` happen, and then what follows from the facts. Returns who is in another state.
    fn observe(
        &mut self,
        now: Instant,
        change: impl FnOnce(&mut [ControlledUplink]),
    ) -> Vec<Change> {
        let before: Vec<State> = self.uplinks.iter().map(|u| u.verdict().state).collect();
        change(&mut self.uplinks);
        let mut generation = || {
            let generation = self.next_generation.max(1);
            self.next_generation = generation.wrapping_add(1);
            generation
        };
        for uplink in &mut self.uplinks {
            uplink.refresh(&self.facts, now, &mut generation);
        }
        self.uplinks
            .iter()
            .zip(before)
            .filter(|(uplink, before)| uplink.verdict().state != *before)
            .map(|(uplink, _)| Change {
                uplink: uplink.config.name.clone(),
                verdict: uplink.verdict().clone(),
            })
            .collect()
    }

    /// The uplinks that may carry traffic, a bit each by identifier.
    pub fn alive(&self) -> u64 {
        self.uplinks
            .iter()
            .filter(|uplink| uplink.is_up())
            .fold(0, |alive, uplink| alive | 1 << uplink.id)
    }

    /// The neighbours of which the kernel is to find the MAC now, by interface.
    pub fn resolutions_due(&mut self, now: Instant) -> Vec<(u32, Ipv4Addr)> {
        self.uplinks.iter_mut().filter_map(|uplink| uplink.resolution_due(now)).collect()
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

    /// What the maps are to hold.
    pub fn policy(&self) -> Policy {
        let lan = self.config.lan.interfaces.iter();
        let interfaces = lan
            .filter_map(|name| self.interface(name, PortRole::Lan, 0))
            .chain(self.uplinks.iter().filter_map(|uplink| {
                self.interface(&uplink.config.interface, PortRole::Uplink, uplink.id)
            }))
            .collect();
        let uplinks = self.uplinks.iter().filter_map(|uplink| {
            let egress = self.slots.get(&uplink.config.interface)?;
            Some((uplink.id, uplink.to_record(egress)?))
        });
        Policy {
            settings: self.settings(),
            interfaces,
            uplinks: uplinks.collect(),
            groups: BTreeMap::from([(DEFAULT_GROUP, self.group())]),
            local: self.local(),
        }
    }

    fn interface(&self, name: &str, role: PortRole, uplink: u8) -> Option<(u16, Interface)> {
        let egress = self.slots.get(name)?;
        let (ifindex, link) = self.facts.link_named(name)?;
        let port = Port {
            ifindex,
            egress,
            mtu: packet_size(link),
            mac: Mac::new(link.mac?),
            role: role as u8,
            uplink,
            reserved: [0; 6],
        };
        let name = name.to_owned();
        Some((egress, Interface { name, port }))
    }

    fn settings(&self) -> Settings {
        let ports = &self.config.nat.ports;
        let mut lan_prefixes = [LanPrefix::default(); LAN_PREFIXES];
        for (to, prefix) in lan_prefixes.iter_mut().zip(self.lan_prefixes()) {
            *to = LanPrefix { network: prefix.network().into(), mask: prefix.netmask().into() };
        }
        Settings {
            hash_key: self.hash_key,
            abi_version: ABI_VERSION,
            nat_ports: PortRange { first: *ports.start(), last: *ports.end() },
            lan_prefixes,
        }
    }

    /// The prefixes that are on the link of a LAN interface. The data plane takes the first
    /// [`LAN_PREFIXES`].
    pub fn lan_prefixes(&self) -> BTreeSet<Ipv4Net> {
        self.lan_links()
            .flat_map(|(_, ifindex, _)| self.facts.ipv4_addresses(ifindex))
            .filter_map(|(address, length)| Ipv4Net::new(address, length).ok())
            .map(|prefix| prefix.trunc())
            .collect()
    }

    /// The LAN interfaces that are there, with their indices.
    pub fn lan_links(&self) -> impl Iterator<Item = (&str, u32, &Link)> {
        self.config.lan.interfaces.iter().filter_map(|name| {
            let (ifindex, link) = self.facts.link_named(name)?;
            Some((name.as_str(), ifindex, link))
        })
    }

    fn group(&self) -> (Group, Ranking) {
        let candidate = |index: &usize| {
            let uplink = self.config.uplinks.get(*index)?;
            Some(Candidate {
                name: uplink.name.clone(),
                id: self.ids.get(&uplink.name)? as u8,
                weight: uplink.weight,
            })
        };
        let config = &self.config.group;
        let mut tiers: Vec<Vec<Candidate>> =
            config.tiers.iter().map(|tier| tier.iter().filter_map(candidate).collect()).collect();
        // The order within a tier means nothing: a file in another order writes no bucket anew.
        for tier in &mut tiers {
            tier.sort_by(|a, b| a.name.cmp(&b.name));
        }
        let members =
            tiers.iter().flatten().fold(0, |members, candidate| members | 1 << candidate.id);
        let group = Group {
            preferred: members,
            usable: members,
            sticky: config.sticky as u8,
            reserved: [0; 7],
        };
        (group, Ranking { tiers })
    }

    fn local(&self) -> BTreeSet<LocalAddress> {
        self.facts
            .local_addresses()
            .map(|address| match address {
                IpAddr::V4(address) => LocalAddress(address.to_ipv6_mapped().octets()),
                IpAddr::V6(address) => LocalAddress(address.octets()),
            })
            .collect()
    }
}

/// The names of all interfaces of a configuration.
fn interfaces(config: &Config) -> impl Iterator<Item = &str> + Clone {
    let uplinks = config.uplinks.iter().map(|uplink| &uplink.interface);
    config.lan.interfaces.iter().chain(uplinks).map(String::as_str)
}
