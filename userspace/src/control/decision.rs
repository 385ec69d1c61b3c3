use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use pointsman_ebpf::abi::{
    ABI_VERSION, AddressOwner, Forward, Group, Inbound, Ipv4, Ipv4Prefix, Ipv6, Ipv6Mode, LanSide,
    LocalAddress, Mac, MacPair, Nat64, POOL_ADDRESSES, Port, PortRange, PortRole, ROUTED_PREFIXES,
    Settings, Uplink6, Vlan,
};

use super::Controller;
use super::attachment::{Attachment, is_tagged};
use super::buckets::{Candidate, Ranking};
use super::forward::to_record;
use super::policy::{Interface, Policy};
use super::routed::set_routed;
use super::uplink::{ControlledUplink, packet_size};
use crate::bfd::{ECHO_PORT, Mode};
use crate::config::PortProtocol;
use crate::ports::PortSet;

/// The only group that there is.
const DEFAULT_GROUP: u8 = 0;

impl Controller {
    /// What the maps are to hold.
    pub fn policy(&self) -> Policy {
        let interfaces = self.config().lan.interfaces.iter().filter_map(|name| self.lan_port(name));
        let interfaces =
            interfaces.chain(self.uplinks().iter().filter_map(|uplink| self.uplink_port(uplink)));
        let interfaces: BTreeMap<u16, Interface> = interfaces.collect();
        let tagged = interfaces
            .values()
            .map(|interface| &interface.port)
            .filter(|port| port.vlan != Vlan::NONE || is_tagged(self.facts(), port.ifindex));
        let uplinks = self.uplinks().iter().flat_map(|uplink| {
            let egress = self.slots.get(&uplink.config.port_name());
            egress.into_iter().flat_map(|egress| uplink.to_records(egress))
        });
        let pool = self.uplinks().iter().flat_map(|uplink| {
            (u32::from(uplink.id) * POOL_ADDRESSES as u32..).zip(uplink.pool().iter().copied())
        });
        Policy {
            settings: self.settings(),
            tagged: tagged.map(|port| port.ifindex).collect(),
            uplinks: uplinks.collect(),
            pool: pool.collect(),
            forwards: (0..).zip(self.forwards()).collect(),
            own_ports: self.own_ports(),
            groups: BTreeMap::from([(DEFAULT_GROUP, self.group())]),
            local: self.local(),
            uplinks6: self.uplinks6(),
            nat64: self.nat64(),
            addresses6: self.addresses6(),
            site_prefixes: self.site_prefixes(),
            lan_networks: self.lan_networks(),
            interfaces,
        }
    }

    fn uplinks6(&self) -> BTreeMap<u8, Uplink6> {
        let closed = self.closed();
        let uplinks = self.uplinks().iter().filter_map(|uplink| {
            let egress = self.slots.get(&uplink.config.port_name())?;
            let mut record = uplink.to_record6(egress)?;
            // Who sends to a prefix that several uplinks route does not choose among them.
            if closed >> uplink.id & 1 == 1 && record.mode != Ipv6Mode::Routed as u8 {
                record.inbound = Inbound::Answers as u8;
            }
            Some((uplink.id, record))
        });
        uplinks.collect()
    }

    /// The configuration has no prefix that is none of NAT64.
    fn nat64(&self) -> Nat64 {
        let prefix = self.config().nat64;
        let nat64 = prefix.and_then(|prefix| {
            Nat64::new(Ipv6::new(prefix.network().octets()), prefix.prefix_len())
        });
        nat64.unwrap_or_default()
    }

    fn addresses6(&self) -> BTreeMap<u16, Ipv6> {
        let of = |name: &str, ifindex: u32| {
            Some((self.slots.get(name)?, Ipv6::new(self.own_address6(ifindex)?.octets())))
        };
        let lan = self.lan_links().filter_map(|(name, ifindex, _)| of(name, ifindex));
        let uplinks = self.uplinks().iter();
        let addresses = lan
            .chain(uplinks.filter_map(|uplink| of(&uplink.config.port_name(), uplink.ifindex()?)));
        addresses.collect()
    }

    fn lan_port(&self, name: &str) -> Option<(u16, Interface)> {
        let attachment = Attachment::find(self.facts(), name, Vlan::NONE)?;
        let (ifindex, _) = attachment.own?;
        let address = self.facts().ipv4_addresses(ifindex).next().map(|(address, _)| address);
        self.port(name, &attachment, PortRole::Lan, 0, address)
    }

    fn uplink_port(&self, uplink: &ControlledUplink) -> Option<(u16, Interface)> {
        let config = &uplink.config;
        let attachment = Attachment::find(self.facts(), &config.interface, config.vlan)?;
        let name = config.port_name();
        let port = self.port(&name, &attachment, PortRole::Uplink, uplink.id, uplink.address());
        port.map(|(egress, mut interface)| {
            if let Some(routed) = &config.routed {
                set_routed(&mut interface.port, routed);
            }
            (egress, interface)
        })
    }

    fn port(
        &self,
        name: &str,
        attachment: &Attachment<'_>,
        role: PortRole,
        uplink: u8,
        address: Option<Ipv4Addr>,
    ) -> Option<(u16, Interface)> {
        let egress = self.slots.get(name)?;
        let (ifindex, below) = attachment.below;
        let port = Port {
            ifindex,
            vlan: attachment.vlan,
            egress,
            mtu: packet_size(attachment.mtu()),
            mac: Mac::new(attachment.mac()?),
            role: role as u8,
            uplink,
            routed_count: 0,
            reserved: [0; 5],
            routed: [Ipv4Prefix::default(); ROUTED_PREFIXES],
            address: address.map_or_else(Ipv4::default, to_ipv4),
        };
        // The kernel's routes lead to an interface of its own.
        let own = attachment.own.map(|(index, _)| index).filter(|index| *index != ifindex);
        Some((egress, Interface { name: below.name.clone(), port, own }))
    }

    fn settings(&self) -> Settings {
        let nat = &self.config().nat;
        Settings {
            hash_key: self.hash_key,
            abi_version: ABI_VERSION,
            nat_ports: PortRange { first: *nat.ports.start(), last: *nat.ports.end() },
            host_mappings_max: nat.mappings_per_host,
            host_unreplied_max: nat.unreplied_per_host,
            icmp_rate: nat.icmp_rate,
            icmp_burst: nat.icmp_burst,
            // The configuration has no more than there is room for.
            forwards: self.config().forwards.len() as u32,
            filtering: nat.filtering as u8,
            lan_interface: self.lan_links().next().map_or(0, |(_, ifindex, _)| ifindex),
            ipv6: self.carries_ipv6().into(),
            routed: self.uplinks().iter().any(|uplink| uplink.config.routed.is_some()).into(),
            reserved: [0; 5],
            nat44: { self.uplinks().iter().filter(|uplink| uplink.translates()) }
                .fold(0, |uplinks, uplink| uplinks | 1 << uplink.id),
            closed: self.closed(),
        }
    }

    /// Whether the LAN has anything of IPv6 to send: to an uplink that carries it, or through NAT64.
    fn carries_ipv6(&self) -> bool {
        let mut uplinks = self.uplinks().iter();
        self.config().nat64.is_some() || uplinks.any(|uplink| uplink.config.ipv6.is_some())
    }

    fn forwards(&self) -> impl Iterator<Item = Forward> {
        self.config().forwards.iter().map(|forward| {
            let uplinks = forward.uplinks.iter().filter_map(|index| {
                let uplink = self.config().uplinks.get(*index)?;
                self.ids.get(&uplink.name)
            });
            let uplinks = uplinks.fold(0, |uplinks, id| uplinks | 1 << id);
            to_record(forward, uplinks, self.lan_side(forward.address).unwrap_or_default())
        })
    }

    /// How a host of port forwards is reached, where that is known.
    fn lan_side(&self, host: Ipv4Addr) -> Option<LanSide> {
        let (ifindex, interface, mac) = self.target(host)?.way()?;
        let link = self.facts().links.get(&ifindex)?;
        let macs = MacPair::new(Mac::new(mac), Mac::new(link.mac?));
        Some(LanSide::new(macs, self.slots.get(interface)?, packet_size(link.mtu)))
    }

    /// The ports that are never handed out: of the gateway's own sockets, reserved ones, those that forwards
    /// are for, and that which BFD's echo packets come back to, which is no socket's.
    fn own_ports(&self) -> PortSet {
        let mut ports = self.socket_ports.clone();
        for (protocol, reserved) in &self.config().nat.reserved_ports {
            ports.insert(*protocol, reserved.clone());
        }
        for forward in &self.config().forwards {
            ports.insert(forward.protocol, forward.ports.clone());
        }
        if self.uplinks().iter().any(|uplink| uplink.bfd_mode() == Some(Mode::Echo)) {
            ports.insert(PortProtocol::Udp, ECHO_PORT..=ECHO_PORT);
        }
        ports
    }

    pub(super) fn group(&self) -> (Group, Ranking) {
        let candidate = |index: &usize| {
            let uplink = self.config().uplinks.get(*index)?;
            Some(Candidate {
                name: uplink.name.clone(),
                id: self.ids.get(&uplink.name)? as u8,
                weight: uplink.weight,
            })
        };
        let config = &self.config().group;
        let mut tiers: Vec<Vec<Candidate>> =
            config.tiers.iter().map(|tier| tier.iter().filter_map(candidate).collect()).collect();
        // The order within a tier means nothing: a file in another order writes no bucket anew.
        for tier in &mut tiers {
            tier.sort_by(|a, b| a.name.cmp(&b.name));
        }
        let members =
            tiers.iter().flatten().fold(0, |members, candidate| members | 1 << candidate.id);
        let usable = members & !self.closed();
        let group = Group {
            preferred: usable & !self.degraded(),
            usable,
            sticky: config.sticky as u8,
            on_failure: config.on_failure as u8,
            reserved: [0; 6],
        };
        (group, Ranking { tiers })
    }

    /// The kernel's addresses and the uplinks' public ones. What two uplinks have is the first's.
    fn local(&self) -> BTreeMap<LocalAddress, AddressOwner> {
        let mut local: BTreeMap<LocalAddress, AddressOwner> = { self.facts().local_addresses() }
            .map(|address| match address {
                IpAddr::V4(address) => to_ipv4(address).into(),
                IpAddr::V6(address) => address.octets().into(),
            })
            .map(|address| (address, AddressOwner::KERNEL))
            .collect();
        for uplink in self.uplinks() {
            let public = uplink.public_addresses().iter().map(|address| to_ipv4(*address).into());
            let public6 = uplink.address6().map(|address| address.octets().into());
            for address in public.chain(public6) {
                let owner = local.entry(address).or_insert(AddressOwner::translated(uplink.id));
                if *owner == AddressOwner::KERNEL {
                    *owner = AddressOwner::shared(uplink.id);
                }
            }
        }
        local
    }
}

fn to_ipv4(address: Ipv4Addr) -> Ipv4 {
    Ipv4::new(address.octets())
}
