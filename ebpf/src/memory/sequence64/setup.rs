use crate::memory::sequence::Setup;
use crate::memory::sequence6::{Address, address_of};
use crate::memory::site::{self, lan};
use crate::memory::site6::{self, INTERNAL, entry, lan_side, within};
use crate::memory::{MemoryTables, site64};

/// How a gateway starts. It is that of [`Setup`], and:
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup64 {
    /// What IPv4 has.
    pub four: Setup,
    /// The prefix that IPv4 addresses stand in.
    pub prefix: (Address, u8),
    /// Whether the gateway knows any host of IPv6 without having seen it.
    pub neighbours: bool,
}

impl Setup64 {
    /// The tables of the gateway.
    pub fn tables(&self) -> MemoryTables {
        let mut tables = self.four.tables();
        let (prefix, len) = self.prefix;
        site64::translate(&mut tables, (address_of(prefix), len));
        site6::add_local(&mut tables, site6::GATEWAY, lan::EGRESS);
        let [mtu, ..] = self.four.mtu;
        debug_assert!(mtu <= site::MTU);
        let hosts = [
            (site6::HOST, Some(lan::HOST_MAC)),
            (site6::OTHER, Some(lan::OTHER_MAC)),
            (site6::SILENT, None),
        ];
        for (host, mac) in hosts.into_iter().filter(|_| self.neighbours) {
            let side = mac.map(|mac| lan_side(mac, mtu));
            tables.ipv6.neighbours.insert(entry(within(INTERNAL, host)), side);
        }
        tables
    }
}
