//! A prefix of the site's own for the gateway that tests run ([`super::site`]), which its uplinks route
//! as it is.

use core::net::Ipv4Addr;

use super::MemoryTables;
use super::site::{self, MTU, PROVIDERS, Provider, lan};
use super::site6::lan_side;
use crate::abi::{
    AddressOwner, Bucket, Inbound, Ipv4, Ipv4Prefix, Ipv6, MAX_UPLINKS, Mac, MacPair, Uplink,
};

/// The prefix.
pub const PREFIX: Ipv4Addr = Ipv4Addr::new(198, 19, 4, 0);

/// How many of its bits count.
pub const PREFIX_LEN: u8 = 24;

/// The gateway's own address of it.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(198, 19, 4, 1);

/// That of the LAN's first host.
pub const HOST: Ipv4Addr = Ipv4Addr::new(198, 19, 4, 2);

/// That of the second host.
pub const OTHER: Ipv4Addr = Ipv4Addr::new(198, 19, 4, 3);

/// That of a host whose MAC nobody knows.
pub const SILENT: Ipv4Addr = Ipv4Addr::new(198, 19, 4, 9);

/// One that the LAN has no way to.
pub const NOBODY: Ipv4Addr = Ipv4Addr::new(198, 19, 4, 99);

/// How an uplink carries IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carriage {
    /// It translates.
    Nat44,
    /// It routes the prefix as it is.
    Routed,
    /// It does both.
    Both,
}

/// [`site::gateway`], of which A, and B, carry IPv4 like this, and this comes in for the prefix.
pub fn gateway(
    bucket: impl Fn(u32) -> Bucket + 'static,
    carriage: [Carriage; 2],
    inbound: Inbound,
) -> MemoryTables {
    let mut tables = site::gateway(bucket);
    for (provider, carriage) in PROVIDERS.iter().zip(carriage) {
        if carriage != Carriage::Nat44 {
            route(&mut tables, provider, inbound);
        }
        if carriage == Carriage::Routed {
            stop_translating(&mut tables, provider);
        }
    }
    tables
}

/// The side of the uplink by which it routes.
pub const fn side(provider: &Provider) -> usize {
    MAX_UPLINKS + provider.id as usize
}

/// The prefix as the tables have it.
pub fn key() -> (Ipv6, u8) {
    (Ipv4::new(PREFIX.octets()).into(), 96 + PREFIX_LEN)
}

/// Has an uplink route the prefix, with the generation 1.
pub fn route(tables: &mut MemoryTables, provider: &Provider, inbound: Inbound) {
    let prefix = Ipv4Prefix { network: PREFIX.to_bits(), mask: u32::MAX << (32 - PREFIX_LEN) };
    if let Some(settings) = &mut tables.settings {
        settings.routed = 1;
    }
    site::add_lan_network(tables, PREFIX, PREFIX_LEN, true);
    tables.ipv6.prefixes.entry(key()).or_default().uplinks |= provider.bit();
    if let Some(port) = tables.ports.get_mut(&provider.ifindex) {
        port.routed_count = 1;
        port.routed[0] = prefix;
    }
    if let Some(uplink) = tables.uplinks.get_mut(side(provider)) {
        *uplink = Uplink {
            generation: 1,
            macs: MacPair::new(Mac::new(provider.gateway_mac), Mac::new(provider.mac)),
            egress: provider.egress,
            mtu: MTU,
            inbound: inbound as u8,
            ..Uplink::default()
        };
    }
    tables.local.insert(Ipv4::new(GATEWAY.octets()).into(), AddressOwner::KERNEL);
    for (host, mac) in neighbours() {
        let side = mac.map(|mac| lan_side(mac, MTU));
        tables.ipv6.neighbours.insert(Ipv4::new(host.octets()).into(), side);
    }
}

/// The hosts that have addresses of the prefix, and their MACs.
pub const fn neighbours() -> [(Ipv4Addr, Option<[u8; 6]>); 3] {
    [(HOST, Some(lan::HOST_MAC)), (OTHER, Some(lan::OTHER_MAC)), (SILENT, None)]
}

/// Has an uplink translate nothing any more: its address is the kernel's alone.
fn stop_translating(tables: &mut MemoryTables, provider: &Provider) {
    if let Some(settings) = &mut tables.settings {
        settings.nat44 &= !provider.bit();
    }
    if let Some(uplink) = tables.uplinks.get_mut(usize::from(provider.id)) {
        *uplink = Uplink::default();
    }
    tables.local.insert(Ipv4::new(provider.address.octets()).into(), AddressOwner::KERNEL);
}
