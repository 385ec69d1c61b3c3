//! What a data plane's tables hold.

use std::collections::BTreeMap;

use ipnet::{Ipv4Net, Ipv6Net};
use pointsman::control::Ranking;
use pointsman::dataplane::{AttachError, Dataplane, Frames, Mode, TableError};
use pointsman_ebpf::abi::{
    AddressOwner, Bucket, Counter, Forward, Group, Ipv4, Ipv6, LanNetwork, LocalAddress, Nat64,
    Port, Settings, SitePrefix, Uplink, Uplink6, Vlan,
};

/// All that was written and is not the default, which stands for nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Content {
    pub(crate) alive: u64,
    pub(crate) attached: BTreeMap<u32, Frames>,
    pub(crate) egress: BTreeMap<u16, u32>,
    pub(crate) vlans: BTreeMap<u16, Vlan>,
    pub(crate) settings: Settings,
    pub(crate) ports: BTreeMap<u32, Port>,
    pub(crate) uplinks: BTreeMap<u8, Uplink>,
    pub(crate) groups: BTreeMap<u8, Group>,
    pub(crate) rankings: BTreeMap<u8, Ranking>,
    pub(crate) pool: BTreeMap<u32, Ipv4>,
    pub(crate) forwards: BTreeMap<u32, Forward>,
    pub(crate) own_ports: BTreeMap<u32, u64>,
    pub(crate) local: BTreeMap<LocalAddress, AddressOwner>,
    pub(crate) uplinks6: BTreeMap<u8, Uplink6>,
    pub(crate) nat64: Nat64,
    pub(crate) addresses6: BTreeMap<u16, Ipv6>,
    pub(crate) site_prefixes: BTreeMap<Ipv6Net, SitePrefix>,
    pub(crate) lan_networks: BTreeMap<Ipv4Net, LanNetwork>,
}

/// Sets an element of a table; nothing and the default take it away.
fn put<K: Ord, V: Default + PartialEq>(table: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value.filter(|value| *value != V::default()) {
        Some(value) => table.insert(key, value),
        None => table.remove(&key),
    };
}

/// The same, where the default is a value as any other.
fn put_any<K: Ord, V>(table: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => table.insert(key, value),
        None => table.remove(&key),
    };
}

impl Dataplane for Content {
    fn set_alive(&mut self, alive: u64) {
        self.alive = alive;
    }

    fn attach(&mut self, _: &str, ifindex: u32, frames: Frames) -> Result<Mode, AttachError> {
        self.attached.insert(ifindex, frames);
        Ok(Mode::Native)
    }

    fn is_attached(&self, ifindex: u32) -> bool {
        self.attached.contains_key(&ifindex)
    }

    fn expect_tags(&mut self, _: u32) {}

    fn detach(&mut self, ifindex: u32) {
        self.attached.remove(&ifindex);
    }

    fn set_egress(&mut self, slot: u16, ifindex: Option<u32>) -> Result<(), TableError> {
        put(&mut self.egress, slot, ifindex);
        Ok(())
    }

    fn set_vlan(&mut self, slot: u16, vlan: Vlan) -> Result<(), TableError> {
        put(&mut self.vlans, slot, Some(vlan));
        Ok(())
    }

    fn set_settings(&mut self, settings: &Settings) -> Result<(), TableError> {
        self.settings = *settings;
        Ok(())
    }

    fn set_port(&mut self, slot: u32, port: &Port) -> Result<(), TableError> {
        put(&mut self.ports, slot, Some(*port));
        Ok(())
    }

    fn set_uplink(&mut self, side: u8, uplink: &Uplink) -> Result<(), TableError> {
        put(&mut self.uplinks, side, Some(*uplink));
        Ok(())
    }

    fn set_group(&mut self, id: u8, group: &Group) -> Result<(), TableError> {
        put(&mut self.groups, id, Some(*group));
        Ok(())
    }

    /// Not by this: by [`Self::set_ranking`].
    fn set_bucket(&mut self, _: u32, _: Bucket) -> Result<(), TableError> {
        Ok(())
    }

    fn set_ranking(&mut self, group: u8, ranking: &Ranking) -> Result<(), TableError> {
        self.rankings.insert(group, ranking.clone());
        Ok(())
    }

    fn set_pool(&mut self, index: u32, address: Ipv4) -> Result<(), TableError> {
        put(&mut self.pool, index, Some(address));
        Ok(())
    }

    fn set_forward(&mut self, index: u32, forward: &Forward) -> Result<(), TableError> {
        put(&mut self.forwards, index, Some(*forward));
        Ok(())
    }

    fn set_own_ports(&mut self, word: u32, ports: u64) -> Result<(), TableError> {
        put(&mut self.own_ports, word, Some(ports));
        Ok(())
    }

    fn set_local(
        &mut self,
        address: LocalAddress,
        owner: Option<AddressOwner>,
    ) -> Result<(), TableError> {
        put_any(&mut self.local, address, owner);
        Ok(())
    }

    fn set_uplink6(&mut self, id: u8, uplink: &Uplink6) -> Result<(), TableError> {
        put(&mut self.uplinks6, id, Some(*uplink));
        Ok(())
    }

    fn set_nat64(&mut self, nat64: &Nat64) -> Result<(), TableError> {
        self.nat64 = *nat64;
        Ok(())
    }

    fn set_address6(&mut self, slot: u16, address: Ipv6) -> Result<(), TableError> {
        put(&mut self.addresses6, slot, Some(address));
        Ok(())
    }

    fn set_site_prefix(
        &mut self,
        prefix: Ipv6Net,
        known: Option<&SitePrefix>,
    ) -> Result<(), TableError> {
        put_any(&mut self.site_prefixes, prefix, known.copied());
        Ok(())
    }

    fn set_lan_network(
        &mut self,
        prefix: Ipv4Net,
        network: Option<&LanNetwork>,
    ) -> Result<(), TableError> {
        put_any(&mut self.lan_networks, prefix, network.copied());
        Ok(())
    }

    fn counters(&self) -> Result<Vec<Counter>, TableError> {
        Ok(Vec::new())
    }
}
