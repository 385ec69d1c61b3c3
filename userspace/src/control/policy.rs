use std::collections::{BTreeMap, BTreeSet};

use ipnet::{Ipv4Net, Ipv6Net};
use pointsman_ebpf::abi::{
    AddressOwner, Forward, Group, Ipv4, Ipv6, LanNetwork, LocalAddress, Nat64, Port, PortKey,
    PortRole, Settings, SitePrefix, Uplink, Uplink6, Vlan,
};

use super::Ranking;
use crate::dataplane::Frames;
use crate::ports::PortSet;

/// An interface that the program is to be attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name, for messages.
    pub name: String,
    /// What the data plane is to know of it, or of a VLAN of it.
    pub port: Port,
    /// The kernel's index of its own interface of that VLAN, where there is one.
    pub own: Option<u32>,
}

/// All that the maps are to hold, but for who is alive.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    /// What holds for the whole gateway.
    pub settings: Settings,
    /// Interfaces that are there, by egress slot.
    pub interfaces: BTreeMap<u16, Interface>,
    /// The indexes of those that frames with VLAN tags come in by, ours or the kernel's.
    pub tagged: BTreeSet<u32>,
    /// Sides of uplinks of which all is known that a packet needs: by identifier, and that by which it
    /// routes by that plus [`ROUTED_SIDE`](pointsman_ebpf::abi::ROUTED_SIDE).
    pub uplinks: BTreeMap<u8, Uplink>,
    /// Public addresses of those uplinks, by their place among those of all.
    pub pool: BTreeMap<u32, Ipv4>,
    /// Port forwards by index.
    pub forwards: BTreeMap<u32, Forward>,
    /// The ports that are never handed out.
    pub own_ports: PortSet,
    /// Groups by identifier, with who is to be preferred, and what their buckets are made from.
    pub groups: BTreeMap<u8, (Group, Ranking)>,
    /// The gateway's own addresses, and whose they are.
    pub local: BTreeMap<LocalAddress, AddressOwner>,
    /// Uplinks of which all is known that a packet of IPv6 needs, by identifier.
    pub uplinks6: BTreeMap<u8, Uplink6>,
    /// The prefix of NAT64.
    pub nat64: Nat64,
    /// The gateway's own IPv6 addresses on interfaces, by egress slot.
    pub addresses6: BTreeMap<u16, Ipv6>,
    /// The LAN's IPv4 prefixes.
    pub lan_networks: BTreeMap<Ipv4Net, LanNetwork>,
    /// The site's IPv6 prefixes, and those of IPv4 that are routed as they are, mapped.
    pub site_prefixes: BTreeMap<Ipv6Net, SitePrefix>,
}

impl Interface {
    /// The ports that it is known by: of a VLAN of the LAN, also that which the kernel's routes lead to.
    fn ports(&self) -> impl Iterator<Item = (&str, Port)> {
        let own = self.own.filter(|_| self.port.role == PortRole::Lan as u8);
        let routed = own.map(|ifindex| Port { ifindex, vlan: Vlan::NONE, ..self.port });
        [Some(self.port), routed].into_iter().flatten().map(|port| (&*self.name, port))
    }
}

impl Policy {
    /// The tags that frames leave with, by egress slot, where they have any.
    pub fn vlans(&self) -> BTreeMap<u16, Vlan> {
        let vlans = self.interfaces.iter().map(|(slot, interface)| (*slot, interface.port.vlan));
        vlans.filter(|(_, vlan)| *vlan != Vlan::NONE).collect()
    }

    /// Which frames of the interface with this index are the gateway's.
    pub fn frames(&self, ifindex: u32) -> Frames {
        let mut ports = self.interfaces.values().map(|interface| interface.port);
        if ports.any(|port| port.key() == PortKey::untagged(ifindex)) {
            Frames::Any
        } else {
            Frames::Tagged
        }
    }

    /// The table of ports by slot. An interface finds no place where too many others have an index
    /// near its own, modulo the size; the second value has the names of those.
    pub fn ports(&self) -> (BTreeMap<u32, Port>, Vec<String>) {
        let mut slots = BTreeMap::new();
        let mut left_over = Vec::new();
        for (name, port) in self.interfaces.values().flat_map(Interface::ports) {
            let mut of_key = port.key().slots().map(|slot| slot as u32);
            let free = of_key.find(|slot| !slots.contains_key(slot));
            match free {
                Some(slot) => {
                    slots.insert(slot, port);
                }
                None => left_over.push(name.to_owned()),
            }
        }
        (slots, left_over)
    }
}

#[cfg(test)]
mod tests {
    use pointsman_ebpf::abi::PORT_SLOTS;

    use super::*;

    #[test]
    fn ports_are_where_the_data_plane_looks() {
        let size = PORT_SLOTS as u32;
        let interfaces = [255, 255 + size, 1, 2, 255 + 2 * size, 255 + 3 * size, 255 + 4 * size]
            .into_iter()
            .zip(0..)
            .map(|(ifindex, slot)| {
                let port = Port { ifindex, ..Port::default() };
                let name = format!("eth{slot}");
                (slot, Interface { name, port, own: None })
            })
            .collect();
        let policy = Policy { interfaces, ..Policy::default() };
        let (ports, left_over) = policy.ports();
        let ports: Vec<_> = ports.iter().map(|(slot, port)| (*slot, port.ifindex)).collect();
        let expected = [(0, 255 + size), (1, 1), (2, 2), (255, 255)];
        assert_eq!(ports, expected);
        assert_eq!(left_over, ["eth4", "eth5", "eth6"]);
    }
}
