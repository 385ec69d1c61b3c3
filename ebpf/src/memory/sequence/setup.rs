//! The gateways that sequences start with.

use core::net::Ipv4Addr;

use super::{Interface, Tagging};
use crate::abi::{
    AddressOwner, Forward, Inbound, Ipv4, Ipv4Prefix, L4Port, LanSide, MAX_UPLINKS, Mac, MacPair,
    POOL_ADDRESSES, PortRange,
};
use crate::memory::MemoryTables;
use crate::memory::routed::{self, Carriage};
use crate::memory::site::{self, A, B, Provider, lan};
use crate::path::Tables as _;

/// The time that sequences start at, in nanoseconds.
const START: u64 = 1 << 40;

/// How a gateway starts. It is [`site::gateway`], and:
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// How many random numbers it has drawn already.
    pub drawn: u8,
    /// A [`Filtering`](crate::abi::Filtering), by number.
    pub filtering: u8,
    /// The ports that it hands out.
    pub nat_ports: (u16, u16),
    /// How many mappings a host may have.
    pub host_mappings: u32,
    /// How many unanswered flows a host may have.
    pub host_unreplied: u32,
    /// How many entries of established flows there may be.
    pub flows: u32,
    /// How many entries of mappings there may be.
    pub bindings: u32,
    /// How many of [`FORWARDS`] hold.
    pub forwards: u8,
    /// The MTU of the LAN, and of both uplinks.
    pub mtu: [u16; 3],
    /// How many ICMP messages there may be in a second, and at once.
    pub icmp: (u32, u32),
    /// How many public addresses each uplink has.
    pub pool: u8,
    /// A [`Sticky`](crate::abi::Sticky), by number.
    pub sticky: u8,
    /// An [`OnFailure`](crate::abi::OnFailure), by number.
    pub on_failure: u8,
    /// Whether all flows prefer the first uplink, or every other one the second.
    pub one_first: bool,
    /// The VLAN tags of its frames.
    pub tagging: Tagging,
    /// How its uplinks carry IPv4.
    pub routing: Routing,
}

/// How both uplinks of a gateway carry IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Routing {
    /// Whether each translates, or routes [`routed::PREFIX`], or both.
    pub carriage: [Carriage; 2],
    /// Whether only answers come in for the prefix.
    pub answers_only: bool,
}

impl Default for Routing {
    fn default() -> Self {
        Self { carriage: [Carriage::Nat44; 2], answers_only: false }
    }
}

impl Routing {
    /// Whether an uplink routes the prefix.
    pub fn is_any(&self) -> bool {
        self.carriage.iter().any(|carriage| *carriage != Carriage::Nat44)
    }

    /// How the uplink carries IPv4.
    pub fn of(&self, provider: &Provider) -> Carriage {
        let [a, b] = self.carriage;
        if provider.id == A.id { a } else { b }
    }
}

/// A port forward.
#[derive(Clone, Copy, Debug)]
pub struct ForwardRule {
    /// The protocol.
    pub protocol: u8,
    /// The first and the last public port.
    pub ports: (u16, u16),
    /// The host, and its port that the first public port stands for.
    pub host: super::End,
    /// Whether it holds for the first, and for the second uplink.
    pub uplinks: (bool, bool),
    /// The only sender that it takes, if there is one.
    pub source: Option<[u8; 4]>,
    /// Whether the host's MAC is known.
    pub resolved: bool,
}

/// The forwards that a gateway may have, in order.
pub const FORWARDS: [ForwardRule; 4] = [
    ForwardRule {
        protocol: 6,
        ports: (8001, 8001),
        host: ([10, 1, 0, 4], 22),
        uplinks: (true, true),
        source: Some([192, 0, 2, 54]),
        resolved: true,
    },
    ForwardRule {
        protocol: 6,
        ports: (8000, 8003),
        host: ([10, 1, 0, 3], 80),
        uplinks: (true, true),
        source: None,
        resolved: true,
    },
    ForwardRule {
        protocol: 17,
        ports: (8000, 8001),
        host: ([10, 1, 0, 4], 4000),
        uplinks: (true, false),
        source: None,
        resolved: true,
    },
    ForwardRule {
        protocol: 6,
        ports: (8004, 8004),
        host: ([10, 1, 0, 9], 8004),
        uplinks: (true, true),
        source: None,
        resolved: false,
    },
];

/// The MAC of a host of the LAN.
pub const fn mac_of(host: [u8; 4]) -> [u8; 6] {
    [2, 0, 0, 1, 0, host[3]]
}

/// The addresses of an uplink when it has the address of this index, the first one the kernel's too.
pub fn public_addresses(uplink: Interface, index: u8, pool: u8) -> impl Iterator<Item = [u8; 4]> {
    let [a, b, c, d] = match uplink {
        Interface::B => B.address.octets(),
        _ => A.address.octets(),
    };
    (0..pool.max(1)).map(move |place| [a, b, c, d + index * 4 + place])
}

impl Setup {
    /// The tables of the gateway.
    pub fn tables(&self) -> MemoryTables {
        let bucket = if self.one_first { site::prefer_a } else { site::share_evenly };
        let Routing { carriage, answers_only } = self.routing;
        let inbound = if answers_only { Inbound::Answers } else { Inbound::All };
        let mut tables = routed::gateway(bucket, carriage, inbound);
        if let Some(group) = &mut tables.group {
            group.sticky = self.sticky;
            group.on_failure = self.on_failure;
        }
        for _ in 0..self.drawn {
            let _ = tables.random();
        }
        tables.set_now(START);
        tables.set_flow_capacity(crate::path::FlowTable::Established, self.flows as usize);
        tables.set_binding_capacity(self.bindings as usize);
        let rules = FORWARDS.iter().take(usize::from(self.forwards));
        tables.forwards = rules.clone().map(|rule| rule.entry(self)).collect();
        if let Some(settings) = &mut tables.settings {
            let (first, last) = self.nat_ports;
            settings.nat_ports = PortRange { first, last };
            settings.filtering = self.filtering;
            settings.forwards = u32::from(self.forwards);
            (settings.icmp_rate, settings.icmp_burst) = self.icmp;
        }
        limit(&mut tables, self.host_mappings, self.host_unreplied);
        for rule in rules {
            for port in rule.ports.0..=rule.ports.1 {
                tables.keep_port(rule.protocol == 17, L4Port::from_host(port));
            }
        }
        let [lan_mtu, mtu_a, mtu_b] = self.mtu;
        for (ifindex, mtu) in [(lan::IFINDEX, lan_mtu), (A.ifindex, mtu_a), (B.ifindex, mtu_b)] {
            if let Some(port) = tables.ports.get_mut(&ifindex) {
                port.mtu = mtu;
            }
        }
        for (provider, mtu) in [(A, mtu_a), (B, mtu_b)] {
            readdress(&mut tables, self, &provider, 0);
            for side in [usize::from(provider.id), routed::side(&provider)] {
                if let Some(uplink) = tables.uplinks.get_mut(side).filter(|it| it.generation != 0) {
                    uplink.mtu = mtu;
                }
            }
        }
        for side in tables.ipv6.neighbours.values_mut().flatten() {
            *side = LanSide::new(side.macs(), side.egress(), lan_mtu);
        }
        self.tagging.prepare(&mut tables);
        tables
    }
}

impl ForwardRule {
    fn entry(&self, setup: &Setup) -> Forward {
        let ([address, prefix], known) = match self.source {
            Some(source) => ([Ipv4Addr::from(source).to_bits(), u32::MAX], 1),
            None => ([u32::MAX, 0], 0),
        };
        let mut sources = [Ipv4Prefix::default(); 4];
        sources[0] = Ipv4Prefix { network: address, mask: prefix };
        let macs = MacPair::new(Mac::new(mac_of(self.host.0)), Mac::new(lan::MAC));
        let side = LanSide::new(macs, lan::EGRESS, setup.mtu[0]);
        Forward {
            uplinks: if self.uplinks.0 { A.bit() } else { 0 }
                | if self.uplinks.1 { B.bit() } else { 0 },
            address: Ipv4::new(self.host.0),
            ports: PortRange { first: self.ports.0, last: self.ports.1 },
            port: self.host.1,
            protocol: self.protocol,
            source_count: known,
            lan: if self.resolved { side } else { LanSide::default() },
            sources,
            ..Forward::default()
        }
    }
}

/// Sets how many mappings and unanswered flows a host may have.
pub(super) fn limit(tables: &mut MemoryTables, mappings: u32, unreplied: u32) {
    if let Some(settings) = &mut tables.settings {
        settings.host_mappings_max = mappings;
        settings.host_unreplied_max = unreplied;
    }
}

/// Gives an uplink the addresses of an index, and with any but the first call another generation.
pub(super) fn readdress(tables: &mut MemoryTables, setup: &Setup, provider: &Provider, index: u8) {
    let interface = if provider.id == A.id { Interface::A } else { Interface::B };
    if setup.routing.of(provider) == Carriage::Routed {
        readdress_interface(tables, provider, public_addresses(interface, index, 1));
        return;
    }
    tables.local.retain(|_, owner| owner.uplink() != Some(provider.id));
    for (place, address) in public_addresses(interface, index, setup.pool).enumerate() {
        let first = place == 0;
        let (shared, translated) =
            (AddressOwner::shared(provider.id), AddressOwner::translated(provider.id));
        let address = Ipv4::new(address);
        tables.local.insert(address.into(), if first { shared } else { translated });
        let place = usize::from(provider.id) % MAX_UPLINKS * POOL_ADDRESSES + place;
        tables.pool.insert(place as u32, address);
        if first && let Some(uplink) = tables.uplinks.get_mut(usize::from(provider.id)) {
            uplink.generation += 1;
            uplink.address = address;
            uplink.pool = setup.pool.max(1);
        }
        if first && let Some(port) = tables.ports.get_mut(&provider.ifindex) {
            port.address = address;
        }
    }
}

/// The same of one whose address nothing is translated to: it is the kernel's alone.
fn readdress_interface(
    tables: &mut MemoryTables,
    provider: &Provider,
    addresses: impl Iterator<Item = [u8; 4]>,
) {
    let Some(port) = tables.ports.get_mut(&provider.ifindex) else { return };
    for address in addresses.map(Ipv4::new) {
        tables.local.remove(&port.address.into());
        tables.local.insert(address.into(), AddressOwner::KERNEL);
        port.address = address;
    }
}
