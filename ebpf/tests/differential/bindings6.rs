//! What the tables of the gateway under test hold of mappings of IPv6, and the same of the model's.

use std::collections::BTreeMap;

use pointsman_ebpf::abi::{
    Binding, FlowKey, Host, HostDigest, Ipv4, Ipv6, L4Port, NAT66_SIDE, to_ipv4,
};
use pointsman_ebpf::memory::site::PROVIDERS;
use pointsman_ebpf::memory::{DIGEST_KEY, MemoryTables};
use pointsman_ebpf::path::Tables as _;

use super::model6::mapping::{Mappings, Realm};
use super::model6::packet::{Address, Packet};
use super::model6::site::Id;
use super::model6::state::End;
use super::plain6::{entry_end, number};

/// What an entry says: an address that stands for another, a port, the uplink's generation, and the LAN host.
type Side = (Ipv4, u16, u32, Address);

fn digest(address: Address) -> HostDigest {
    HostDigest::new(&DIGEST_KEY, Ipv6::new(address.to_be_bytes()))
}

fn inner_key((uplink, protocol): Realm, host: End) -> FlowKey {
    let digest = digest(host.0);
    let end = (digest.account(), entry_end(host).1);
    FlowKey::internal(end, digest.rest(), to_ipv4(protocol), NAT66_SIDE | uplink)
}

fn outer_key((uplink, protocol): Realm, port: u16, sender: Ipv4) -> FlowKey {
    let public = (Ipv4::default(), L4Port::from_host(port));
    FlowKey::external(sender, public, to_ipv4(protocol), NAT66_SIDE | uplink)
}

/// All that the tables hold.
pub(crate) fn entries(tables: &MemoryTables) -> BTreeMap<FlowKey, Side> {
    let side = |binding: &Binding| {
        let host = number(binding.lan.to_ipv6());
        assert_eq!(binding.rest, digest(host).rest(), "{binding:?}");
        (binding.address, binding.port.to_host(), binding.generation, host)
    };
    tables.bindings().into_iter().map(|(key, binding)| (key, side(&binding))).collect()
}

/// All that the tables are to hold.
pub(crate) fn wanted(mappings: &Mappings) -> BTreeMap<FlowKey, Side> {
    let mut wanted = BTreeMap::new();
    for ((realm, host), (port, generation)) in &mappings.ports {
        let side = (Ipv4::default(), *port, *generation, host.0);
        wanted.insert(inner_key(*realm, *host), side);
    }
    let outer =
        |(host, generation): &(End, u32)| (digest(host.0).account(), host.1, *generation, host.0);
    for ((realm, port), owner) in &mappings.owners {
        wanted.insert(outer_key(*realm, *port, Ipv4::default()), outer(owner));
    }
    for ((realm, port, sender), owner) in &mappings.permissions {
        wanted.insert(outer_key(*realm, *port, digest(*sender).sender()), outer(owner));
    }
    wanted
}

/// What hosts are held to have.
pub(crate) fn counts(tables: &MemoryTables) -> BTreeMap<Ipv4, u64> {
    let counted = tables.hosts().into_iter().filter(|(_, host)| *host != Host::default());
    counted
        .map(|(account, host)| {
            assert_eq!(host.unreplied, 0, "unanswered flows of IPv6 are not counted");
            (account, host.mappings)
        })
        .collect()
}

/// What hosts are to be held to have.
pub(crate) fn wanted_counts(mappings: &Mappings) -> BTreeMap<Ipv4, u64> {
    let counts = mappings.counts.iter().filter(|(_, count)| **count != 0);
    counts.map(|(host, count)| (digest(*host).account(), u64::from(*count))).collect()
}

/// Removes from the tables what the model's sweep has left nothing of, and sets what hosts have.
pub(crate) fn sweep(tables: &MemoryTables, mappings: &Mappings) {
    let (wanted, counts) = (wanted(mappings), wanted_counts(mappings));
    for (key, _) in tables.bindings() {
        if !wanted.contains_key(&key) {
            tables.remove_binding(&key);
        }
    }
    for (account, _) in tables.hosts() {
        let mappings = counts.get(&account).copied().unwrap_or_default();
        tables.set_host(account, &Host { mappings, ..Host::default() });
    }
}

/// The public ports of a packet's source, with the generations that they are of.
pub(crate) fn ports(tables: &MemoryTables, packet: &Packet<'_>) -> BTreeMap<Id, (u16, u32)> {
    let port = |id: Id| {
        let binding = tables.binding(&inner_key((id, packet.protocol), packet.from))?;
        Some((id, (binding.port.to_host(), binding.generation)))
    };
    PROVIDERS.iter().filter_map(|provider| port(provider.id)).collect()
}
