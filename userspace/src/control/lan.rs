//! What the data plane is to know of the LAN's IPv4 prefixes: those on a link, and those that the
//! kernel has a route to by a LAN interface, so that they are behind a router there.
//!
//! Any such route makes its prefix the LAN's, whatever other routes lead to it or to a part of it: those
//! by other interfaces may be a million, and are not known.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::Ipv4Net;
use pointsman_ebpf::abi::{LAN_NETWORKS, LanNetwork};

use super::Controller;

impl Controller {
    /// The prefixes that are on the link of a LAN interface.
    pub(super) fn on_link_prefixes(&self) -> impl Iterator<Item = Ipv4Net> {
        self.lan_links()
            .flat_map(|(_, ifindex, _)| self.facts().ipv4_addresses(ifindex))
            .filter_map(|(address, length)| Ipv4Net::new(address, length).ok())
            .map(|prefix| prefix.trunc())
    }

    /// The prefixes that a route leads to by a LAN interface, most of them once.
    fn routed_prefixes(&self) -> impl Iterator<Item = Ipv4Net> {
        let interfaces: BTreeSet<u32> = self.lan_links().map(|(_, index, _)| index).collect();
        let routes = self.facts().routes.iter();
        routes.filter(move |route| interfaces.contains(&route.index)).map(|route| route.prefix)
    }

    /// The LAN's prefixes, as many as the data plane takes.
    pub(super) fn lan_networks(&self) -> BTreeMap<Ipv4Net, LanNetwork> {
        self.networks(LAN_NETWORKS)
    }

    /// Whether there are more than that.
    pub(super) fn has_too_many_lan_networks(&self) -> bool {
        self.networks(LAN_NETWORKS + 1).len() > LAN_NETWORKS
    }

    /// So many of the LAN's prefixes, if there are as many.
    fn networks(&self, most: usize) -> BTreeMap<Ipv4Net, LanNetwork> {
        let on_link = self.on_link_prefixes().map(|prefix| (prefix, true));
        let behind_routers = self.routed_prefixes().map(|prefix| (prefix, false));
        let mut networks = BTreeMap::new();
        for (prefix, is_on_link) in on_link.chain(behind_routers) {
            if networks.len() == most {
                break;
            }
            let network = LanNetwork::new(u32::from(prefix.prefix_len()), is_on_link);
            networks.entry(prefix).or_insert(network);
        }
        networks
    }
}
