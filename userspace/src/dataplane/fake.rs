use std::collections::{BTreeMap, BTreeSet};

use ipnet::{Ipv4Net, Ipv6Net};

use pointsman_ebpf::abi::{
    AddressOwner, Bucket, COUNTERS, Counter, Forward, Group, Ipv4, Ipv6, LanNetwork, LocalAddress,
    Nat64, Port, Settings, SitePrefix, Uplink, Uplink6, Vlan,
};

use super::{AttachError, Dataplane, Frames, Mode, TableError};

/// A data plane that remembers what it was told, and in which order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Fake {
    pub(crate) alive: u64,
    /// What was done, in words, without the writes of buckets.
    pub(crate) log: Vec<String>,
    pub(crate) attached: BTreeMap<u32, Frames>,
    /// Interfaces that have a program already.
    pub(crate) busy: BTreeSet<u32>,
    /// Interfaces that another loses its program over when they are attached, and which.
    pub(crate) loses: BTreeMap<u32, u32>,
    /// After how many writes and attachments the next one fails, once.
    pub(crate) refuses_after: Option<usize>,
    /// Whether writes of uplinks fail.
    pub(crate) refuses_uplinks: bool,
    /// Whether writes of ports fail.
    pub(crate) refuses_ports: bool,
    pub(crate) egress: BTreeMap<u16, u32>,
    pub(crate) vlans: BTreeMap<u16, Vlan>,
    pub(crate) settings: Settings,
    pub(crate) ports: BTreeMap<u32, Port>,
    pub(crate) uplinks: BTreeMap<u8, Uplink>,
    pub(crate) groups: BTreeMap<u8, Group>,
    pub(crate) buckets: BTreeMap<u32, Bucket>,
    pub(crate) pool: BTreeMap<u32, Ipv4>,
    pub(crate) forwards: BTreeMap<u32, Forward>,
    pub(crate) own_ports: BTreeMap<u32, u64>,
    pub(crate) local: BTreeMap<LocalAddress, AddressOwner>,
    pub(crate) bucket_writes: usize,
    pub(crate) uplinks6: BTreeMap<u8, Uplink6>,
    pub(crate) nat64: Nat64,
    pub(crate) addresses6: BTreeMap<u16, Ipv6>,
    pub(crate) site_prefixes: BTreeMap<Ipv6Net, SitePrefix>,
    pub(crate) lan_networks: BTreeMap<Ipv4Net, LanNetwork>,
}

impl Fake {
    /// What it holds: a value that is the default counts as none.
    pub(crate) fn content(&self) -> Self {
        fn given<K: Ord + Copy, V: Default + PartialEq + Copy>(
            map: &BTreeMap<K, V>,
        ) -> BTreeMap<K, V> {
            let given = map.iter().filter(|(_, value)| **value != V::default());
            given.map(|(key, value)| (*key, *value)).collect()
        }
        Self {
            log: Vec::new(),
            bucket_writes: 0,
            vlans: given(&self.vlans),
            ports: given(&self.ports),
            uplinks: given(&self.uplinks),
            groups: given(&self.groups),
            pool: given(&self.pool),
            forwards: given(&self.forwards),
            own_ports: given(&self.own_ports),
            uplinks6: given(&self.uplinks6),
            addresses6: given(&self.addresses6),
            refuses_after: None,
            ..self.clone()
        }
    }

    /// Lets one more write or attachment be tried, unless it is the one that fails.
    fn is_refused(&mut self) -> bool {
        match self.refuses_after {
            Some(0) => {
                self.refuses_after = None;
                true
            }
            Some(left) => {
                self.refuses_after = Some(left - 1);
                false
            }
            None => false,
        }
    }

    /// As the kernel answers a write of a map.
    fn write(&mut self, map: &'static str) -> Result<(), TableError> {
        if self.is_refused() { Err(refused(map)) } else { Ok(()) }
    }
}

impl Dataplane for Fake {
    fn set_alive(&mut self, alive: u64) {
        self.log.push(format!("alive {alive:b}"));
        self.alive = alive;
    }

    fn attach(
        &mut self,
        interface: &str,
        ifindex: u32,
        frames: Frames,
    ) -> Result<Mode, AttachError> {
        if self.busy.contains(&ifindex) {
            self.attached.remove(&ifindex);
            return Err(AttachError::Busy { interface: interface.to_owned(), occupant: None });
        }
        if self.is_refused() {
            self.attached.remove(&ifindex);
            let reason = "no memory".to_owned();
            return Err(AttachError::Refused { interface: interface.to_owned(), reason });
        }
        self.log.push(format!("attach {interface}"));
        if let Some(lost) = self.loses.remove(&ifindex) {
            self.attached.remove(&lost);
        }
        self.attached.insert(ifindex, frames);
        Ok(Mode::Native)
    }

    fn is_attached(&self, ifindex: u32) -> bool {
        self.attached.contains_key(&ifindex)
    }

    fn detach(&mut self, ifindex: u32) {
        self.log.push(format!("detach {ifindex}"));
        self.attached.remove(&ifindex);
    }

    fn set_egress(&mut self, slot: u16, ifindex: Option<u32>) -> Result<(), TableError> {
        self.write("EGRESS")?;
        self.log.push(format!("egress {slot}"));
        match ifindex {
            Some(ifindex) => self.egress.insert(slot, ifindex),
            None => self.egress.remove(&slot),
        };
        Ok(())
    }

    fn expect_tags(&mut self, ifindex: u32) {
        self.log.push(format!("tags {ifindex}"));
    }

    fn set_vlan(&mut self, slot: u16, vlan: Vlan) -> Result<(), TableError> {
        self.write("VLAN")?;
        self.log.push(format!("vlan {slot}"));
        self.vlans.insert(slot, vlan);
        Ok(())
    }

    fn set_settings(&mut self, settings: &Settings) -> Result<(), TableError> {
        self.write("SETTINGS")?;
        self.log.push("settings".into());
        self.settings = *settings;
        Ok(())
    }

    fn set_port(&mut self, slot: u32, port: &Port) -> Result<(), TableError> {
        self.write("PORT")?;
        if self.refuses_ports {
            return Err(refused("PORTS"));
        }
        self.log.push(format!("port {slot}"));
        self.ports.insert(slot, *port);
        Ok(())
    }

    fn set_uplink(&mut self, id: u8, uplink: &Uplink) -> Result<(), TableError> {
        self.write("UPLINK")?;
        if self.refuses_uplinks {
            return Err(refused("UPLINKS"));
        }
        self.log.push(format!("uplink {id}"));
        self.uplinks.insert(id, *uplink);
        Ok(())
    }

    fn set_group(&mut self, id: u8, group: &Group) -> Result<(), TableError> {
        self.write("GROUP")?;
        self.log.push(format!("group {id}"));
        self.groups.insert(id, *group);
        Ok(())
    }

    fn set_bucket(&mut self, index: u32, bucket: Bucket) -> Result<(), TableError> {
        self.write("BUCKET")?;
        self.bucket_writes += 1;
        self.buckets.insert(index, bucket);
        Ok(())
    }

    fn set_pool(&mut self, index: u32, address: Ipv4) -> Result<(), TableError> {
        self.write("POOL")?;
        self.log.push(format!("pool {index}"));
        self.pool.insert(index, address);
        Ok(())
    }

    fn set_forward(&mut self, index: u32, forward: &Forward) -> Result<(), TableError> {
        self.write("FORWARD")?;
        self.log.push(format!("forward {index}"));
        self.forwards.insert(index, *forward);
        Ok(())
    }

    fn set_own_ports(&mut self, word: u32, ports: u64) -> Result<(), TableError> {
        self.write("OWN_PORTS")?;
        self.log.push(format!("own ports {word}"));
        self.own_ports.insert(word, ports);
        Ok(())
    }

    fn set_local(
        &mut self,
        address: LocalAddress,
        owner: Option<AddressOwner>,
    ) -> Result<(), TableError> {
        self.write("LOCAL")?;
        self.log.push("local".into());
        match owner {
            Some(owner) => self.local.insert(address, owner),
            None => self.local.remove(&address),
        };
        Ok(())
    }

    fn set_uplink6(&mut self, id: u8, uplink: &Uplink6) -> Result<(), TableError> {
        self.write("UPLINK6")?;
        self.log.push(format!("uplink6 {id}"));
        self.uplinks6.insert(id, *uplink);
        Ok(())
    }

    fn set_nat64(&mut self, nat64: &Nat64) -> Result<(), TableError> {
        self.write("NAT64")?;
        self.log.push("nat64".into());
        self.nat64 = *nat64;
        Ok(())
    }

    fn set_address6(&mut self, slot: u16, address: Ipv6) -> Result<(), TableError> {
        self.write("ADDRESS6")?;
        self.log.push(format!("address6 {slot}"));
        self.addresses6.insert(slot, address);
        Ok(())
    }

    fn set_site_prefix(
        &mut self,
        prefix: Ipv6Net,
        known: Option<&SitePrefix>,
    ) -> Result<(), TableError> {
        self.write("SITE_PREFIX")?;
        self.log.push(format!("prefix {prefix}"));
        match known {
            Some(known) => self.site_prefixes.insert(prefix, *known),
            None => self.site_prefixes.remove(&prefix),
        };
        Ok(())
    }

    fn set_lan_network(
        &mut self,
        prefix: Ipv4Net,
        network: Option<&LanNetwork>,
    ) -> Result<(), TableError> {
        self.write("LAN_NETWORK")?;
        self.log.push(format!("lan {prefix}"));
        match network {
            Some(network) => self.lan_networks.insert(prefix, *network),
            None => self.lan_networks.remove(&prefix),
        };
        Ok(())
    }

    fn counters(&self) -> Result<Vec<Counter>, TableError> {
        Ok(vec![Counter::default(); COUNTERS as usize])
    }
}

fn refused(map: &'static str) -> TableError {
    TableError { action: "write", map, reason: "out of memory".into() }
}
