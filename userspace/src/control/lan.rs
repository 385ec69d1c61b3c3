//! What the data plane is to know of the LAN's IPv4 prefixes.

use std::collections::BTreeMap;

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
        let mut networks = BTreeMap::new();
        for prefix in self.on_link_prefixes() {
            if networks.len() == most {
                break;
            }
            networks.insert(prefix, LanNetwork::new(u32::from(prefix.prefix_len()), true));
        }
        networks
    }
}
