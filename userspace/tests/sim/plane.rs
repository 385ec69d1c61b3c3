//! The data plane of a simulated host: the tables of the real packet path in memory, which can refuse writes.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;

use ipnet::{Ipv4Net, Ipv6Net};
use pointsman::control::Ranking;
use pointsman::dataplane::{AttachError, Dataplane, Frames, Mode, TableError};
use pointsman_ebpf::abi::{
    AddressOwner, Bucket, Counter, Forward, Group, Ipv4, Ipv6, LanNetwork, LocalAddress,
    MAX_UPLINKS, Nat64, Port, PortRole, ROUTED_SIDE, Settings, SitePrefix, Uplink, Uplink6, Vlan,
};
use pointsman_ebpf::memory::MemoryTables;
use pointsman_ebpf::path::Tables as _;

use super::content::Content;
use super::event::Refusal;
use super::mischief::Mischief;

/// The only group that there is.
const GROUP: u8 = 0;

pub(crate) struct Plane {
    pub(crate) tables: MemoryTables,
    pub(crate) content: Content,
    /// Whom the controller lets carry traffic: nobody else may by the time of the first write.
    pub(crate) allowed: u64,
    /// The uplinks whose BFD deadlines have passed, a bit each.
    pub(crate) silent: u64,
    /// The first breach that was seen in the midst of an installation.
    pub(crate) breach: Option<String>,
    refusal: Option<Refused>,
    /// The kernel's indexes of interfaces that were taken away.
    gone: BTreeSet<u32>,
    writes: u64,
    asked: Rc<Cell<u32>>,
    mischief: Mischief,
    /// What [`Mischief::LowersLate`] holds back.
    late: Option<u64>,
}

/// What is refused at present.
enum Refused {
    Writes(u64),
    Attach(u32),
}

impl Plane {
    /// Empty, and as good as the mischief lets it be.
    pub(crate) fn new(mischief: Mischief) -> Self {
        Self {
            tables: MemoryTables::new(1),
            content: Content::default(),
            allowed: 0,
            silent: 0,
            breach: None,
            refusal: None,
            gone: BTreeSet::new(),
            writes: 0,
            asked: Rc::default(),
            mischief,
            late: None,
        }
    }

    /// Refuses from now on what is said; an interface is by the kernel's index, if it is there.
    pub(crate) fn refuse(&mut self, refusal: Refusal, index: impl FnOnce(u8) -> Option<u32>) {
        self.refusal = match refusal {
            Refusal::Writes { one_of } => Some(Refused::Writes(u64::from(one_of).max(1))),
            Refusal::Attach { interface } => index(interface).map(Refused::Attach),
        };
    }

    /// Refuses nothing any more.
    pub(crate) fn relent(&mut self) {
        self.refusal = None;
    }

    /// The kernel takes the program along with an interface.
    pub(crate) fn interface_gone(&mut self, ifindex: u32) {
        self.content.attached.remove(&ifindex);
        self.content.egress.retain(|_, index| *index != ifindex);
        self.gone.insert(ifindex);
    }

    /// The index, among the group's, of the bucket that was looked at last.
    pub(crate) fn asked(&self) -> u32 {
        self.asked.get()
    }

    /// An installation is done.
    pub(crate) fn settled(&mut self) {
        if let Some(alive) = self.late.take() {
            self.throw(alive);
        }
    }

    /// Who may send, as the path sees it.
    pub(crate) fn alive(&self) -> u64 {
        self.tables.alive()
    }

    fn throw(&mut self, alive: u64) {
        self.tables.set_alive(alive);
        self.content.alive = alive;
    }

    /// Before a write of a map.
    fn write(&mut self, map: &'static str) -> Result<(), TableError> {
        let alive = self.content.alive;
        if alive & !self.allowed != 0 {
            self.note(format!("{map} is written while the switch has {alive:b}"));
        }
        self.writes += 1;
        match self.refusal {
            Some(Refused::Writes(one_of)) if self.writes.is_multiple_of(one_of) => {
                Err(refused(map))
            }
            _ => Ok(()),
        }
    }

    /// Takes note of a breach.
    pub(crate) fn note(&mut self, breach: String) {
        self.breach.get_or_insert(breach);
    }

    /// Whether all that packets need of an uplink is in the tables, as far as it can be seen there.
    pub(crate) fn has_all_of(&self, id: u8) -> bool {
        let Content { uplinks, egress, attached, ports, vlans, .. } = &self.content;
        let sides = [id, ROUTED_SIDE + id];
        let mut records = sides.iter().filter_map(|side| uplinks.get(side)).peekable();
        records.peek().is_some()
            && records.all(|record| {
                egress.get(&record.egress).is_some_and(|ifindex| {
                    let is_port = |port: &&Port| {
                        (port.ifindex, port.egress, port.uplink) == (*ifindex, record.egress, id)
                            && port.role == PortRole::Uplink as u8
                            && vlans.get(&record.egress).copied().unwrap_or_default() == port.vlan
                    };
                    attached.contains_key(ifindex) && ports.values().any(|port| is_port(&port))
                })
            })
    }
}

fn refused(map: &'static str) -> TableError {
    TableError { action: "write", map, reason: "the kernel refuses".into() }
}

impl Dataplane for Plane {
    fn set_alive(&mut self, alive: u64) {
        let raised = alive & !self.content.alive;
        for id in (0..MAX_UPLINKS as u8).filter(|id| raised >> id & 1 == 1) {
            if !self.has_all_of(id) {
                self.note(format!("uplink {id} is alive before all of it is in place"));
            }
        }
        if self.mischief == Mischief::LowersLate && raised == 0 {
            self.late = Some(alive);
        } else {
            self.late = None;
            self.throw(alive);
        }
    }

    fn attach(
        &mut self,
        interface: &str,
        ifindex: u32,
        frames: Frames,
    ) -> Result<Mode, AttachError> {
        let name = || interface.to_owned();
        if self.gone.contains(&ifindex) {
            return Err(AttachError::Missing { interface: name() });
        }
        if matches!(self.refusal, Some(Refused::Attach(refused)) if refused == ifindex) {
            self.content.attached.remove(&ifindex);
            let interface = name();
            return Err(AttachError::Busy { interface, occupant: None });
        }
        self.content.attach(interface, ifindex, frames)
    }

    fn is_attached(&self, ifindex: u32) -> bool {
        self.content.is_attached(ifindex)
    }

    fn expect_tags(&mut self, _: u32) {}

    fn detach(&mut self, ifindex: u32) {
        self.content.detach(ifindex);
    }

    fn set_egress(&mut self, slot: u16, ifindex: Option<u32>) -> Result<(), TableError> {
        self.write("EGRESS")?;
        if ifindex.is_some_and(|ifindex| self.gone.contains(&ifindex)) {
            return Err(refused("EGRESS"));
        }
        self.content.set_egress(slot, ifindex)
    }

    fn set_vlan(&mut self, slot: u16, vlan: Vlan) -> Result<(), TableError> {
        self.write("VLANS")?;
        self.tables.vlans.insert(slot, vlan);
        self.content.set_vlan(slot, vlan)
    }

    fn set_settings(&mut self, settings: &Settings) -> Result<(), TableError> {
        self.write("SETTINGS")?;
        self.tables.settings = Some(*settings);
        self.content.set_settings(settings)
    }

    fn set_port(&mut self, slot: u32, port: &Port) -> Result<(), TableError> {
        self.write("PORTS")?;
        if *port == Port::default() {
            self.tables.ports.remove(&slot);
        } else {
            self.tables.ports.insert(slot, *port);
        }
        self.content.set_port(slot, port)
    }

    fn set_uplink(&mut self, side: u8, uplink: &Uplink) -> Result<(), TableError> {
        self.write("UPLINKS")?;
        let mut uplink = *uplink;
        let known = self.content.uplinks.get(&side).copied().unwrap_or_default();
        if self.mischief == Mischief::KeepsGeneration && known.generation != 0 {
            uplink.generation = uplink.generation.min(known.generation);
        }
        let is_alive = side < ROUTED_SIDE && self.content.alive >> side & 1 == 1;
        if is_alive && known.generation != uplink.generation {
            self.note(format!("uplink {side} changes its address while it is alive"));
        }
        if let Some(record) = self.tables.uplinks.get_mut(usize::from(side)) {
            *record = uplink;
        }
        self.content.set_uplink(side, &uplink)
    }

    fn set_group(&mut self, id: u8, group: &Group) -> Result<(), TableError> {
        self.write("GROUPS")?;
        if self.mischief == Mischief::KeepsMasks && self.content.groups.contains_key(&id) {
            return Ok(());
        }
        if id == GROUP {
            self.tables.group = Some(*group);
        }
        self.content.set_group(id, group)
    }

    /// Not by this: by [`Self::set_ranking`].
    fn set_bucket(&mut self, _: u32, _: Bucket) -> Result<(), TableError> {
        self.write("BUCKETS")
    }

    fn set_ranking(&mut self, group: u8, ranking: &Ranking) -> Result<(), TableError> {
        self.write("BUCKETS")?;
        let (asked, known) = (Rc::clone(&self.asked), ranking.clone());
        self.tables.bucket = Box::new(move |index| {
            asked.set(index);
            known.bucket(index)
        });
        self.content.set_ranking(group, ranking)
    }

    fn set_pool(&mut self, index: u32, address: Ipv4) -> Result<(), TableError> {
        self.write("POOL")?;
        self.tables.pool.insert(index, address);
        self.content.set_pool(index, address)
    }

    fn set_forward(&mut self, index: u32, forward: &Forward) -> Result<(), TableError> {
        self.write("FORWARDS")?;
        let at = index as usize;
        if self.tables.forwards.len() <= at {
            self.tables.forwards.resize(at + 1, Forward::default());
        }
        self.tables.forwards[at] = *forward;
        self.content.set_forward(index, forward)
    }

    fn set_own_ports(&mut self, word: u32, ports: u64) -> Result<(), TableError> {
        self.write("OWN_PORTS")?;
        self.tables.own_ports.insert(word, ports);
        self.content.set_own_ports(word, ports)
    }

    fn set_local(
        &mut self,
        address: LocalAddress,
        owner: Option<AddressOwner>,
    ) -> Result<(), TableError> {
        self.write("LOCAL")?;
        match owner {
            None if self.mischief == Mischief::KeepsAddresses => return Ok(()),
            None => self.tables.local.remove(&address),
            Some(owner) => self.tables.local.insert(address, owner),
        };
        self.content.set_local(address, owner)
    }

    fn set_uplink6(&mut self, id: u8, uplink: &Uplink6) -> Result<(), TableError> {
        self.write("UPLINKS6")?;
        if let Some(record) = self.tables.ipv6.uplinks.get_mut(usize::from(id)) {
            *record = *uplink;
        }
        self.content.set_uplink6(id, uplink)
    }

    fn set_nat64(&mut self, nat64: &Nat64) -> Result<(), TableError> {
        self.write("NAT64")?;
        self.tables.ipv6.nat64 = *nat64;
        self.content.set_nat64(nat64)
    }

    fn set_address6(&mut self, slot: u16, address: Ipv6) -> Result<(), TableError> {
        self.write("ADDRESSES6")?;
        self.tables.ipv6.addresses.insert(slot, address);
        self.content.set_address6(slot, address)
    }

    fn set_site_prefix(
        &mut self,
        prefix: Ipv6Net,
        known: Option<&SitePrefix>,
    ) -> Result<(), TableError> {
        self.write("SITE_PREFIXES")?;
        let key = (Ipv6::new(prefix.network().octets()), prefix.prefix_len());
        match known {
            Some(known) => self.tables.ipv6.prefixes.insert(key, *known),
            None => self.tables.ipv6.prefixes.remove(&key),
        };
        self.content.set_site_prefix(prefix, known)
    }

    fn set_lan_network(
        &mut self,
        prefix: Ipv4Net,
        network: Option<&LanNetwork>,
    ) -> Result<(), TableError> {
        self.write("LAN_NETWORKS")?;
        let key = (Ipv4::new(prefix.network().octets()), prefix.prefix_len());
        match network {
            Some(network) => self.tables.lan_networks.insert(key, *network),
            None => self.tables.lan_networks.remove(&key),
        };
        self.content.set_lan_network(prefix, network)
    }

    fn counters(&self) -> Result<Vec<Counter>, TableError> {
        self.content.counters()
    }
}
