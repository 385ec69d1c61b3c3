//! What the data plane is to know of the site's prefixes.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use ipnet::{Ipv4Net, Ipv6Net};
use pointsman_ebpf::abi::SitePrefix;

use super::Controller;
use super::controller::lan_links;
use crate::config::{Config, Ipv6Mode};
use crate::netlink::Snapshot;

/// The length of the prefix that a site draws for its unique local addresses (RFC 4193 section 3.1).
const UNIQUE_LOCAL_LENGTH: u8 = 48;

impl Controller {
    /// Every prefix of the site, and which uplinks its packets may take.
    pub(super) fn site_prefixes(&self) -> BTreeMap<Ipv6Net, SitePrefix> {
        let mut known: BTreeMap<Ipv6Net, SitePrefix> = BTreeMap::new();
        let internal = internal_prefix(self.config(), self.facts());
        for uplink in self.uplinks() {
            let Some(config) = &uplink.config.ipv6 else { continue };
            // One that cannot carry anything yet is not chosen.
            let bit = if uplink.carries_ipv6() { 1 << uplink.id } else { 0 };
            let mut add = |prefix: Ipv6Net, bound: bool| {
                let entry = known.entry(prefix).or_default();
                entry.uplinks |= bit;
                entry.is_bound |= u8::from(bound);
            };
            match config.mode {
                Ipv6Mode::Nptv6 | Ipv6Mode::Nat66 => {
                    config.internal.or(internal).into_iter().for_each(|prefix| add(prefix, false));
                    for prefix in &config.prefixes {
                        known.entry(*prefix).or_default().translated_by = uplink.id + 1;
                    }
                }
                Ipv6Mode::Routed => config.prefixes.iter().for_each(|prefix| add(*prefix, false)),
                Ipv6Mode::Source => config.prefixes.iter().for_each(|prefix| add(*prefix, true)),
            }
        }
        inherit(&mut known);
        if !known.is_empty() || self.config().nat64.is_some() {
            self.add_foreign(&mut known);
        }
        known.extend(self.routed_prefixes());
        known
    }

    /// Those of IPv4 that are routed as they are, mapped (RFC 4291 section 2.5.5.2).
    fn routed_prefixes(&self) -> BTreeMap<Ipv6Net, SitePrefix> {
        let mut known: BTreeMap<Ipv6Net, SitePrefix> = BTreeMap::new();
        for uplink in self.uplinks() {
            let bit = if uplink.routes() { 1 << uplink.id } else { 0 };
            let prefixes = uplink.config.routed.iter().flat_map(|routed| &routed.prefixes);
            for prefix in prefixes.filter_map(mapped) {
                known.entry(prefix).or_default().uplinks |= bit;
            }
        }
        inherit(&mut known);
        known
    }

    /// What is on a LAN interface's link, and no uplink takes packets from: to leave it would be to
    /// leak.
    fn add_foreign(&self, known: &mut BTreeMap<Ipv6Net, SitePrefix>) {
        for prefix in self.lan_prefixes6() {
            if !known.keys().any(|covering| covering.contains(&prefix)) {
                known.insert(prefix, SitePrefix { is_foreign: 1, ..SitePrefix::default() });
            }
        }
    }

    /// The IPv6 prefixes that are on the link of a LAN interface, but for those of link-local
    /// addresses.
    fn lan_prefixes6(&self) -> impl Iterator<Item = Ipv6Net> {
        self.lan_links()
            .flat_map(|(_, ifindex, _)| self.facts().ipv6_addresses(ifindex))
            .filter(|(address, _)| !address.is_unicast_link_local())
            .filter_map(|(address, length)| Ipv6Net::new(address, length).ok())
            .map(|prefix| prefix.trunc())
    }

    /// The gateway's own address on an interface, for messages to who is behind it: one that can be
    /// reached from beyond the link, where there is one.
    pub(super) fn own_address6(&self, ifindex: u32) -> Option<Ipv6Addr> {
        let addresses = || self.facts().ipv6_addresses(ifindex).map(|(address, _)| address);
        addresses().find(|address| !address.is_unicast_link_local()).or_else(|| addresses().next())
    }
}

/// The prefix of the LAN's unique local addresses: what is translated where the configuration does not
/// say it.
pub(super) fn internal_prefix(config: &Config, facts: &Snapshot) -> Option<Ipv6Net> {
    let addresses = lan_links(config, facts).flat_map(|(_, index, _)| facts.ipv6_addresses(index));
    let local = addresses.map(|(address, _)| address).find(Ipv6Addr::is_unique_local)?;
    Ipv6Net::new(local, UNIQUE_LOCAL_LENGTH).ok().map(|prefix| prefix.trunc())
}

/// The prefix of the IPv6 addresses that stand for those of an IPv4 one.
fn mapped(prefix: &Ipv4Net) -> Option<Ipv6Net> {
    const MAPPED_LENGTH: u8 = 96;
    let network = prefix.network().to_ipv6_mapped();
    Ipv6Net::new(network, MAPPED_LENGTH + prefix.prefix_len()).ok()
}

/// Of a prefix within another one, packets may also leave by the other's uplinks, if both are the
/// site's own: the longest prefix alone counts in the data plane.
fn inherit(known: &mut BTreeMap<Ipv6Net, SitePrefix>) {
    let all: Vec<(Ipv6Net, SitePrefix)> = known.iter().map(|(prefix, it)| (*prefix, *it)).collect();
    for (prefix, entry) in known.iter_mut().filter(|(_, entry)| entry.translated_by == 0) {
        let covering = all.iter().filter(|(other, of)| {
            other != prefix && other.contains(prefix) && of.translated_by == 0 && of.is_bound == 0
        });
        if entry.is_bound == 0 {
            entry.uplinks |= covering.fold(0, |uplinks, (_, of)| uplinks | of.uplinks);
        }
    }
}
