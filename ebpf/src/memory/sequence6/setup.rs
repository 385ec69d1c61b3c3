use crate::abi::{Inbound, PortRange};
use crate::memory::site::{self, A, B, PROVIDERS, lan};
use crate::memory::site6::{self, Carriage};
use crate::memory::{MemoryTables, PIN_TABLES};
use crate::path::Tables as _;

use super::Step6;
use crate::memory::sequence::{Interface, Tagging};

/// The time that sequences start at, in nanoseconds.
const START: u64 = 1 << 40;

/// How a gateway starts. It is [`site6::gateway`], and:
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup6 {
    /// How each uplink carries IPv6.
    pub carriage: [Carriage; 2],
    /// By which uplinks anything comes in.
    pub inbound: [bool; 2],
    /// The MTU of the LAN, and of both uplinks.
    pub mtu: [u16; 3],
    /// How many ICMPv6 messages there may be in a second, and at once.
    pub icmp: (u32, u32),
    /// How many established, unanswered and invited flows there may be.
    pub pins: [u32; 3],
    /// A [`Sticky`](crate::abi::Sticky), by number.
    pub sticky: u8,
    /// An [`OnFailure`](crate::abi::OnFailure), by number.
    pub on_failure: u8,
    /// Whether all flows prefer the first uplink, or every other one the second.
    pub one_first: bool,
    /// Whether the gateway knows any LAN host's MAC without having seen the host.
    pub neighbours: bool,
    /// The VLAN tags of its frames.
    pub tagging: Tagging,
    /// What holds of mappings.
    pub mappings: Mappings6,
}

/// What holds of mappings, where hosts share an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mappings6 {
    /// How many random numbers the gateway has drawn already.
    pub drawn: u8,
    /// A [`Filtering`](crate::abi::Filtering), by number.
    pub filtering: u8,
    /// The ports that it hands out.
    pub nat_ports: (u16, u16),
    /// How many mappings a host may have.
    pub of_host: u32,
    /// How many entries of mappings there may be.
    pub entries: u32,
}

impl Default for Mappings6 {
    fn default() -> Self {
        let (of_host, entries) = (1_000_000, 1_000_000);
        Self { drawn: 0, filtering: 0, nat_ports: (1024, 65535), of_host, entries }
    }
}

impl Mappings6 {
    fn prepare(&self, tables: &mut MemoryTables) {
        for _ in 0..self.drawn {
            let _ = tables.random();
        }
        tables.set_binding_capacity(self.entries as usize);
        if let Some(settings) = &mut tables.settings {
            let (first, last) = self.nat_ports;
            settings.nat_ports = PortRange { first, last };
            settings.filtering = self.filtering;
            settings.host_mappings_max = self.of_host;
        }
    }
}

impl Setup6 {
    /// The tables of the gateway.
    pub fn tables(&self) -> MemoryTables {
        let bucket = if self.one_first { site::prefer_a } else { site::share_evenly };
        let mut tables = site6::gateway(bucket, self.carriage);
        tables.set_now(START);
        if let Some(group) = &mut tables.group {
            group.sticky = self.sticky;
            group.on_failure = self.on_failure;
        }
        if let Some(settings) = &mut tables.settings {
            (settings.icmp_rate, settings.icmp_burst) = self.icmp;
        }
        for (table, pins) in PIN_TABLES.into_iter().zip(self.pins) {
            tables.ipv6.set_pin_capacity(table, pins as usize);
        }
        let [lan_mtu, mtu_a, mtu_b] = self.mtu;
        for (ifindex, mtu) in [(lan::IFINDEX, lan_mtu), (A.ifindex, mtu_a), (B.ifindex, mtu_b)] {
            if let Some(port) = tables.ports.get_mut(&ifindex) {
                port.mtu = mtu;
            }
        }
        for (provider, mtu) in [(A, mtu_a), (B, mtu_b)] {
            if let Some(uplink) = tables.ipv6.uplinks.get_mut(usize::from(provider.id)) {
                uplink.mtu = mtu;
            }
        }
        if self.neighbours {
            for side in tables.ipv6.neighbours.values_mut().flatten() {
                *side = crate::abi::LanSide::new(side.macs(), side.egress(), lan_mtu);
            }
        } else {
            tables.ipv6.neighbours.clear();
        }
        invite(&mut tables, self.inbound);
        self.mappings.prepare(&mut tables);
        self.tagging.prepare(&mut tables);
        tables
    }
}

fn invite(tables: &mut MemoryTables, inbound: [bool; 2]) {
    for (provider, all) in PROVIDERS.iter().zip(inbound) {
        if let Some(uplink) = tables.ipv6.uplinks.get_mut(usize::from(provider.id)) {
            uplink.inbound = if all { Inbound::All } else { Inbound::Answers } as u8;
        }
    }
}

fn mask(a: bool, b: bool) -> u64 {
    (if a { A.bit() } else { 0 }) | if b { B.bit() } else { 0 }
}

impl Step6 {
    /// Changes the tables, if it is no packet and no sweep: that depends on what there is.
    pub fn apply(&self, tables: &mut MemoryTables) {
        match *self {
            Self::Wait(milliseconds) => {
                tables.set_now(tables.now() + u64::from(milliseconds) * 1_000_000);
            }
            Self::Alive(a, b) => tables.set_alive(mask(a, b)),
            Self::Prefer(a, b) => {
                if let Some(group) = &mut tables.group {
                    group.preferred = mask(a, b);
                }
            }
            Self::Use(a, b) => {
                if let Some(group) = &mut tables.group {
                    group.usable = mask(a, b);
                }
            }
            Self::Invite(a, b) => invite(tables, [a, b]),
            Self::Renew(interface) => {
                let id = if interface == Interface::B { B.id } else { A.id };
                let uplink = tables.ipv6.uplinks.get_mut(usize::from(id));
                if let Some(uplink) = uplink.filter(|uplink| uplink.generation != 0) {
                    uplink.generation += 1;
                }
            }
            Self::Send(_) | Self::Reply(..) | Self::Error(..) | Self::Sweep(_) | Self::Nothing => {}
        }
    }
}
