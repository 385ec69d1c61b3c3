//! Which uplink a new flow would take: as the data plane chooses, by the same code.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::sync::Arc;

use ipnet::Ipv6Net;
use pointsman_ebpf::abi::{
    Bucket, Flow, FlowKey, Group, Ipv6, Ipv6Mode, Masquerade, Nat64, Opener, Pin, Placement,
    ROUTED_SIDE, SitePrefix, Uplink6, uplink_of,
};
use pointsman_ebpf::path::{bucket_of, bucket_of6};

/// What new flows are shared out by: what the data plane has of it, in the daemon's own memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    /// The key of the hash that shares out the flows.
    pub hash_key: [u64; 2],
    /// The only group.
    pub group: Group,
    /// Its buckets.
    pub buckets: Arc<[Bucket]>,
    /// The uplinks that may send, a bit each by identifier.
    pub alive: u64,
    /// Those that translate what private sources of IPv4 send.
    pub nat44: u64,
    /// The generation of each side of an uplink that all is known of that a packet needs.
    pub generations: BTreeMap<u8, u32>,
    /// The same for IPv6, by identifier.
    pub uplinks6: BTreeMap<u8, Uplink6>,
    /// The prefix of NAT64.
    pub nat64: Nat64,
    /// The site's own prefixes, those of IPv4 that are routed as they are among them, mapped.
    pub site_prefixes: BTreeMap<Ipv6Net, SitePrefix>,
}

/// Where a flow would go that is not where it would be chosen to go today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// The uplink that the flow is on, by identifier.
    pub from: u8,
    /// The one that a new flow would take.
    pub to: u8,
    /// Whether the host outside knows the flow by another address then.
    pub is_seen: bool,
}

impl Selection {
    /// The move of a flow within IPv4, of which this is the entry from the LAN, if it would have one and may
    /// leave its uplink.
    pub fn of_flow(&self, key: &FlowKey, flow: &Flow) -> Option<Move> {
        let routes = self.generations.range(ROUTED_SIDE..).next().is_some();
        let prefix = self.prefix_of(&key.source().into()).filter(|_| routes);
        let (uplinks, side) = prefix.map_or((self.nat44, 0), |site| (site.uplinks, ROUTED_SIDE));
        // Beyond its uplink, nobody knows what was opened from there by another address.
        if flow.opener == Opener::Remote as u8 && !flow.is_routed() {
            return None;
        }
        if self.generations.get(&flow.uplink) != Some(&flow.generation) {
            return None;
        }
        let bucket = bucket_of(self.hash_key, self.group.sticky, key);
        let to = self.choose(bucket, uplinks)?;
        self.generations.get(&(side + to))?;
        self.between(uplink_of(flow.uplink), to, !flow.is_routed() || side == 0)
    }

    /// The same of one through NAT64, between these addresses of IPv6; `key` is what the LAN's packets
    /// have in IPv6.
    pub fn of_flow64(&self, ends: (Ipv6, Ipv6), key: &FlowKey, flow: &Flow) -> Option<Move> {
        let is_current = self.generations.get(&flow.uplink) == Some(&flow.generation);
        if flow.opener == Opener::Remote as u8 || !is_current {
            return None;
        }
        let bucket = bucket_of6(self.hash_key, self.group.sticky, ends, key);
        let to = self.choose(bucket, self.nat44)?;
        self.generations.get(&to)?;
        self.between(flow.uplink, to, true)
    }

    /// The same of one of IPv6.
    pub fn of_pin(&self, key: &FlowKey, pin: &Pin) -> Option<Move> {
        let from = self.uplinks6.get(&pin.uplink)?;
        let site = self.prefix_of(&pin.inside)?;
        if from.generation != pin.generation || pin.masquerade == Masquerade::In as u8 {
            return None;
        }
        let ends = (pin.inside, pin.outside);
        let bucket = bucket_of6(self.hash_key, self.group.sticky, ends, key);
        let to = self.choose(bucket, site.uplinks)?;
        let is_routed = |uplink: &Uplink6| uplink.mode == Ipv6Mode::Routed as u8;
        let is_seen = !(is_routed(from) && is_routed(self.uplinks6.get(&to)?));
        if pin.opener == Opener::Remote as u8 && is_seen {
            return None;
        }
        self.between(pin.uplink, to, is_seen)
    }

    fn choose(&self, bucket: u32, uplinks: u64) -> Option<u8> {
        let usable = self.group.usable & self.alive & uplinks;
        self.group.choose(*self.buckets.get(bucket as usize)?, usable, Placement::NONE)
    }

    /// A flow whose uplink is dead moves by itself.
    fn between(&self, from: u8, to: u8, is_seen: bool) -> Option<Move> {
        let is_alive = self.alive >> (from & 63) & 1 == 1;
        (from != to && is_alive).then_some(Move { from, to, is_seen })
    }

    /// What is known of the longest prefix that holds the address.
    fn prefix_of(&self, address: &Ipv6) -> Option<&SitePrefix> {
        let address = Ipv6Addr::from(address.octets());
        let holding = self.site_prefixes.iter().filter(|(prefix, _)| prefix.contains(&address));
        holding.max_by_key(|(prefix, _)| prefix.prefix_len()).map(|(_, site)| site)
    }
}

#[cfg(test)]
#[path = "selection/tests.rs"]
mod tests;
