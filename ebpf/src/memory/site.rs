//! The gateway that tests run: one LAN and two uplinks. Its addresses are those of the lab.
//!
//! Interface indices, egress slots and uplink identifiers all differ, so that one that is taken
//! for another shows.

use core::net::Ipv4Addr;
use std::boxed::Box;

use super::MemoryTables;
use crate::abi::{
    ABI_VERSION, AddressOwner, Bucket, Group, Ipv4, LanNetwork, Mac, MacPair, OnFailure, Port,
    PortRange, PortRole, Settings, Sticky, Uplink, Vlan,
};

/// What the LAN's interface and addresses are.
pub mod lan {
    use core::net::Ipv4Addr;

    /// The kernel's index of the interface.
    pub const IFINDEX: u32 = 1;
    /// The interface's index in the device map.
    pub const EGRESS: u16 = 10;
    /// The interface's MAC.
    pub const MAC: [u8; 6] = [2, 0, 0, 1, 0, 1];
    /// The network.
    pub const NETWORK: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 0);
    /// The length of the prefix.
    pub const PREFIX: u8 = 16;
    /// The gateway's address.
    pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
    /// A host's address.
    pub const HOST: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);
    /// The host's MAC.
    pub const HOST_MAC: [u8; 6] = [2, 0, 0, 1, 0, 2];
    /// A network behind a router of the LAN.
    pub const BEHIND_ROUTER: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 0);
    /// The length of its prefix.
    pub const BEHIND_ROUTER_PREFIX: u8 = 16;
    /// Another host's address.
    pub const OTHER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 3);
    /// The other host's MAC.
    pub const OTHER_MAC: [u8; 6] = [2, 0, 0, 1, 0, 3];
}

/// A provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Provider {
    /// The uplink's identifier.
    pub id: u8,
    /// The kernel's index of the interface.
    pub ifindex: u32,
    /// The interface's index in the device map.
    pub egress: u16,
    /// The interface's MAC.
    pub mac: [u8; 6],
    /// The gateway's public address.
    pub address: Ipv4Addr,
    /// The next hop's MAC.
    pub gateway_mac: [u8; 6],
}

impl Provider {
    /// The uplink's bit in a mask of uplinks.
    pub const fn bit(&self) -> u64 {
        1 << self.id
    }
}

/// The first provider.
pub const A: Provider = Provider {
    id: 4,
    ifindex: 2,
    egress: 11,
    mac: [2, 0, 0, 2, 0, 2],
    address: Ipv4Addr::new(203, 0, 113, 2),
    gateway_mac: [2, 0, 0, 2, 0, 1],
};

/// The second provider.
pub const B: Provider = Provider {
    id: 7,
    ifindex: 3,
    egress: 12,
    mac: [2, 0, 0, 3, 0, 2],
    address: Ipv4Addr::new(198, 51, 100, 2),
    gateway_mac: [2, 0, 0, 3, 0, 1],
};

/// Both providers.
pub const PROVIDERS: [Provider; 2] = [A, B];

/// A server beyond both providers.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 53);

/// The largest IPv4 packet that any interface takes, in bytes.
pub const MTU: u16 = 1500;

/// The ports that translation hands out.
pub const NAT_PORTS: PortRange = PortRange { first: 1024, last: 65535 };

/// How many ICMP messages of its own the gateway may send in a second.
pub const ICMP_RATE: u32 = 1000;

/// How many of them at once.
pub const ICMP_BURST: u32 = 50;

/// The gateway with both uplinks alive, their generation 1, flows hashed one by one, and the
/// buckets that `bucket` says: [`prefer_a`], [`share_evenly`], or any other.
pub fn gateway(bucket: impl Fn(u32) -> Bucket + 'static) -> MemoryTables {
    let mut tables = MemoryTables::new(1);
    let lan = port(lan::IFINDEX, lan::EGRESS, lan::MAC, PortRole::Lan, 0);
    tables.ports.insert(lan::IFINDEX, lan);
    let mut all = 0;
    for provider in PROVIDERS {
        add_uplink(&mut tables, &provider);
        all |= provider.bit();
    }
    tables.local.insert(Ipv4::new(lan::GATEWAY.octets()).into(), AddressOwner::KERNEL);
    add_lan_network(&mut tables, lan::NETWORK, lan::PREFIX, true);
    add_lan_network(&mut tables, lan::BEHIND_ROUTER, lan::BEHIND_ROUTER_PREFIX, false);
    tables.set_alive(all);
    tables.group = Some(Group {
        preferred: all,
        usable: all,
        sticky: Sticky::Flow as u8,
        on_failure: OnFailure::Rehome as u8,
        reserved: [0; 6],
    });
    tables.bucket = Box::new(bucket);
    tables.settings = Some(settings());
    tables
}

/// Buckets that all rank A before B.
pub fn prefer_a(_index: u32) -> Bucket {
    Bucket::new([A.id, B.id])
}

/// Buckets that rank A and B first by turns.
pub fn share_evenly(index: u32) -> Bucket {
    if index.is_multiple_of(2) { Bucket::new([A.id, B.id]) } else { Bucket::new([B.id, A.id]) }
}

fn settings() -> Settings {
    Settings {
        hash_key: [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908],
        abi_version: ABI_VERSION,
        nat_ports: NAT_PORTS,
        host_mappings_max: u32::MAX,
        host_unreplied_max: u32::MAX,
        icmp_rate: ICMP_RATE,
        icmp_burst: ICMP_BURST,
        nat44: A.bit() | B.bit(),
        ..Settings::default()
    }
}

/// Makes a prefix one of the LAN's: on the link of an interface, or behind a router.
pub fn add_lan_network(tables: &mut MemoryTables, network: Ipv4Addr, length: u8, is_on_link: bool) {
    let key = (Ipv4::new(network.octets()), length);
    tables.lan_networks.insert(key, LanNetwork::new(u32::from(length), is_on_link));
}

fn add_uplink(tables: &mut MemoryTables, provider: &Provider) {
    let Provider { id, ifindex, egress, mac, .. } = *provider;
    let address = Ipv4::new(provider.address.octets());
    let port = port(ifindex, egress, mac, PortRole::Uplink, id);
    tables.ports.insert(ifindex, Port { address, ..port });
    tables.local.insert(address.into(), AddressOwner::shared(id));
    if let Some(uplink) = tables.uplinks.get_mut(usize::from(id)) {
        *uplink = Uplink {
            generation: 1,
            address,
            macs: MacPair::new(Mac::new(provider.gateway_mac), Mac::new(mac)),
            egress,
            mtu: MTU,
            pool: 1,
            inbound: 0,
            reserved: [0; 6],
        };
    }
}

fn port(ifindex: u32, egress: u16, mac: [u8; 6], role: PortRole, uplink: u8) -> Port {
    Port {
        ifindex,
        vlan: Vlan::NONE,
        egress,
        mtu: MTU,
        mac: Mac::new(mac),
        role: role as u8,
        uplink,
        address: Ipv4::new(lan::GATEWAY.octets()),
        ..Port::default()
    }
}
