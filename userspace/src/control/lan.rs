//! What the data plane is to know of the LAN's IPv4 prefixes: those that uplinks route as they are, those
//! on a link, and those that the kernel has a route to by a LAN interface, so that they are behind a router
//! there.
//!
//! Any such route of the kernel's makes its prefix the LAN's, whatever other routes lead to it or to a part
//! of it: those by other interfaces may be a million, and are not known.

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

    /// The prefixes that uplinks route as they are.
    fn own_prefixes(&self) -> impl Iterator<Item = Ipv4Net> {
        let routed = self.config().uplinks.iter().filter_map(|uplink| uplink.routed.as_ref());
        routed.flat_map(|routed| &routed.prefixes).copied()
    }

    /// The prefixes that a route leads to by a LAN interface, most of them once.
    fn prefixes_behind_routers(&self) -> impl Iterator<Item = Ipv4Net> {
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

    /// So many of the LAN's prefixes, if there are as many. Those of the site's own are of the LAN wherever
    /// they are, and come first.
    fn networks(&self, most: usize) -> BTreeMap<Ipv4Net, LanNetwork> {
        let on_link: BTreeSet<Ipv4Net> = self.on_link_prefixes().collect();
        let nearby = self.own_prefixes().chain(on_link.iter().copied());
        let mut networks = BTreeMap::new();
        for prefix in nearby.chain(self.prefixes_behind_routers()) {
            if networks.len() == most {
                break;
            }
            let network =
                LanNetwork::new(u32::from(prefix.prefix_len()), on_link.contains(&prefix));
            networks.entry(prefix).or_insert(network);
        }
        networks
    }
}
