use std::collections::BTreeSet;
use std::sync::Arc;

use aya::Ebpf;
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, DevMap, HashMap, Map, MapData, MapError, PerCpuArray, ProgramArray};
use ipnet::{Ipv4Net, Ipv6Net};
use pointsman_ebpf::abi::{
    ABI_VERSION, AddressOwner, Bucket, COUNTERS, Counter, CounterId, Direction, Forward, Group,
    Ipv4, Ipv6, LanNetwork, LocalAddress, LocalFilter, MAX_UPLINKS, Nat64, PORT_SLOTS, Port,
    Settings, SitePrefix, UPLINK_SIDES, Uplink, Uplink6, Vlan,
};
use pointsman_ebpf::wire::Tags;

use super::Dataplane;
use super::attach::{AttachError, Mode};
use super::carry_over::{CarryOver, carry_counters};
use super::contents::Contents;
use super::error::{LoadError, TableError, errno};
use super::handshakes::Handshakes;
use super::links::{Frames, Links};
use super::liveness::Liveness;
use super::load::{NAT64, PORTS, UPLINKS, UPLINKS6, VLANS, load_object, take};
use super::memo::{self, Memo, MemoMap, Names};
use super::pins::{Pins, Tables, namespace};
use super::section::Section;
use super::stages::load_stages;
use super::swept::SweptMaps;
use super::tables::Layout;
use super::wanted::Wanted;
use crate::config::{Offloads, TableSizes};
use crate::nic::{Ethtool, Keeper, Remark};
use crate::uplink::Carried;

/// The XDP object, as the build script has made it, for aya's loader.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/pointsman-xdp"));

/// The data plane in the kernel. All of it ends with this value, programs detach and maps go, unless it is
/// kept: see [`Self::keep`].
pub struct Kernel {
    object: Ebpf,
    pins: Option<Arc<Pins>>,
    is_kept: bool,
    /// Where the tables are kept.
    tables: Tables,
    /// From the tables that these take the place of.
    carry_over: Option<CarryOver>,
    memo: Memo,
    /// Whether the map has that.
    is_memo_written: bool,
    memo_map: MemoMap,
    links: Links,
    /// After `links`: a NIC is put back as it was when the program has left it.
    offloads: Keeper<Ethtool>,
    liveness: Arc<Liveness>,
    handshakes: Handshakes,
    settings: Array<MapData, Settings>,
    ports: Section<Port, PORT_SLOTS>,
    vlans: Section<Tags, PORT_SLOTS>,
    uplinks: Section<Uplink, UPLINK_SIDES>,
    groups: Array<MapData, Group>,
    buckets: Array<MapData, Bucket>,
    pool: Array<MapData, Ipv4>,
    forwards: Array<MapData, Forward>,
    own_ports: Array<MapData, u64>,
    local: HashMap<MapData, LocalAddress, AddressOwner>,
    local_filter: Array<MapData, u64>,
    /// What is in `local`.
    local_addresses: BTreeSet<LocalAddress>,
    uplinks6: Section<Uplink6, MAX_UPLINKS>,
    nat64: Section<Nat64, 1>,
    addresses6: Array<MapData, Ipv6>,
    site_prefixes: LpmTrie<MapData, [u8; 16], SitePrefix>,
    lan_networks: LpmTrie<MapData, Ipv4, LanNetwork>,
    counters: PerCpuArray<MapData, Counter>,
    egress: DevMap<MapData>,
    /// Never written again, but kept: without a descriptor of it the kernel empties it.
    _stages: ProgramArray<MapData>,
}

/// What a daemon before has left.
#[derive(Clone, Debug, Default)]
pub struct Inheritance {
    /// What the tables of policy held.
    pub contents: Contents,
    /// What they hold now: less, where other tables take their place.
    pub installed: Contents,
    /// Whose the numbers in them are.
    pub names: Names,
}

impl Kernel {
    /// Loads the programs with tables of these sizes, and attaches nothing yet. The maps that are
    /// swept are handed out apart.
    ///
    /// With pins, the tables that are kept there are gone on with, if they are such as these programs know; what
    /// was in them is handed out too. Where they are of other sizes, they are replaced, and their flows carried
    /// over: see [`Self::keep`].
    ///
    /// # Errors
    /// Where the kernel is too old or refuses, or the process may not.
    pub fn load(
        sizes: &TableSizes,
        pins: Option<Pins>,
    ) -> Result<(Self, SweptMaps, Option<Inheritance>), LoadError> {
        let memo = pins.as_ref().and_then(|pins| pins.memo().ok().flatten());
        let known = memo.clone().filter(Memo::is_of_this_abi);
        let layout = match &known {
            Some(memo) => Layout::with_keys(sizes, memo.hash_key, memo.digest_key),
            None => Layout::new(sizes),
        };
        let goes_on = known.as_ref().is_some_and(|memo| memo.tables == *sizes);
        let tables = if memo.is_some() && !goes_on { Tables::Next } else { Tables::Current };
        if let Some(pins) = pins.as_ref().filter(|_| !goes_on) {
            pins.make_place(tables).map_err(LoadError::Pins)?;
        }
        let mut object = load_object(&layout, pins.as_ref().map(|pins| (pins, tables)))?;
        // Before anything is attached, so that no packet ends between two stages.
        let stages = load_stages(&mut object)?;
        let mut array = |name| match object.take_map(name) {
            Some(Map::Array(map)) => Ok(map),
            _ => Err(LoadError::Map(name)),
        };
        let (switch, monitors) = (array("SWITCH")?, array("MONITORS")?);
        let liveness = Liveness::new(&switch, &monitors).map_err(LoadError::Shared)?;
        let handshakes = Handshakes::new(&array("HANDSHAKES")?).map_err(LoadError::Shared)?;
        let swept = SweptMaps::take(&mut object, layout.hash_key, layout.digest_key)?;
        let pins = pins.map(Arc::new);
        let names = known.as_ref().map(|memo| memo.names.clone()).unwrap_or_default();
        let offloads = memo.as_ref().map(|memo| memo.offloads.clone()).unwrap_or_default();
        let word = Memo {
            abi: ABI_VERSION,
            namespace: namespace().unwrap_or_default(),
            tables: *sizes,
            hash_key: layout.hash_key,
            digest_key: layout.digest_key,
            names,
            offloads,
        };
        let mut kernel = Self {
            links: Links::new(pins.clone()),
            pins,
            is_kept: memo.is_some(),
            tables,
            carry_over: None,
            memo: word,
            is_memo_written: goes_on,
            memo_map: take(&mut object, memo::MAP)?,
            offloads: Keeper::new(Ethtool),
            liveness: Arc::new(liveness),
            handshakes,
            settings: take(&mut object, "SETTINGS")?,
            ports: take(&mut object, PORTS)?,
            vlans: take(&mut object, VLANS)?,
            uplinks: take(&mut object, UPLINKS)?,
            groups: take(&mut object, "GROUPS")?,
            buckets: take(&mut object, "BUCKETS")?,
            pool: take(&mut object, "POOL")?,
            forwards: take(&mut object, "FORWARDS")?,
            own_ports: take(&mut object, "OWN_PORTS")?,
            local: take(&mut object, "LOCAL")?,
            local_filter: take(&mut object, "LOCAL_FILTER")?,
            local_addresses: BTreeSet::new(),
            uplinks6: take(&mut object, UPLINKS6)?,
            nat64: take(&mut object, NAT64)?,
            addresses6: take(&mut object, "ADDRESSES6")?,
            site_prefixes: take(&mut object, "SITE_PREFIXES")?,
            lan_networks: take(&mut object, "LAN_NETWORKS")?,
            counters: take(&mut object, "COUNTER")?,
            egress: take(&mut object, "EGRESS")?,
            _stages: stages,
            object,
        };
        kernel.offloads.inherit(kernel.memo.offloads.clone());
        let inheritance = match known {
            Some(known) if goes_on => Some(kernel.go_on(known)?),
            Some(known) => Some(kernel.replace(&known)?),
            None => None,
        };
        if let Some(other) = memo.filter(|memo| !memo.is_of_this_abi()) {
            log::warn!(
                "the data plane of a daemon before is of another version (ABI {}, and this is {ABI_VERSION}), \
                 so its flows and counters are not gone on with",
                other.abi
            );
        }
        // An uplink whose deadline has passed is to stay out when there are no deadlines any more.
        if let Some(inheritance) = &inheritance {
            kernel.liveness.switch().set_alive(inheritance.contents.alive);
        }
        kernel.liveness.forget_sessions();
        Ok((kernel, swept, inheritance))
    }

    /// Goes on with the tables that are there.
    fn go_on(&mut self, known: Memo) -> Result<Inheritance, LoadError> {
        let contents = self.pins.as_deref().map(Contents::kept).transpose()?.unwrap_or_default();
        self.local_addresses = contents.local.keys().copied().collect();
        Ok(Inheritance { installed: contents.clone(), contents, names: known.names })
    }

    /// Goes on with what is in the tables that these take the place of.
    fn replace(&mut self, known: &Memo) -> Result<Inheritance, LoadError> {
        let Some(pins) = self.pins.as_deref() else { return Ok(Inheritance::default()) };
        let contents = Contents::kept(pins)?;
        let mut carry_over = CarryOver::new(pins, known)?;
        carry_over.run()?;
        carry_counters(pins, &mut self.counters)?;
        self.carry_over = Some(carry_over);
        let installed = Contents { alive: contents.alive, ..Contents::default() };
        Ok(Inheritance { installed, contents, names: known.names.clone() })
    }

    /// Leaves word of whose the numbers are that tables will hold.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn remember(&mut self, names: Names) -> Result<(), TableError> {
        let memo = Memo { names, offloads: self.offloads.switched_off(), ..self.memo.clone() };
        if memo != self.memo || !self.is_memo_written {
            self.memo_map.write(&memo)?;
            self.memo = memo;
            self.is_memo_written = true;
        }
        Ok(())
    }

    /// Keeps the data plane when this value ends: programs stay attached and tables stay, unless it is to be
    /// [forsaken](Self::forsake). Without pins, nothing is kept.
    ///
    /// Whatever a daemon before has left and this one has not taken over goes.
    ///
    /// # Errors
    /// Where the programs cannot be kept. The data plane ends with this value then.
    pub fn keep(&mut self) -> Result<(), LoadError> {
        self.links.detach_inherited();
        for ifindex in self.offloads.switched_off().into_keys() {
            if !self.links.is_attached(ifindex) {
                self.offloads.release(ifindex).iter().for_each(Remark::log);
            }
        }
        let Some(pins) = &self.pins else { return Ok(()) };
        self.is_kept = false;
        // What was opened while interfaces went over, one after the other.
        if let Some(Err(error)) = self.carry_over.take().map(|mut carry_over| carry_over.run()) {
            log::error!("{error}; flows that were opened at the last moment are lost");
        }
        if self.tables == Tables::Next {
            pins.promote().map_err(LoadError::Pins)?;
            self.tables = Tables::Current;
        }
        pins.settle_stages().map_err(LoadError::Pins)?;
        self.is_kept = true;
        Ok(())
    }

    /// Whether the data plane stays when this value ends.
    pub fn is_kept(&self) -> bool {
        self.is_kept
    }

    /// Ends the data plane with this value, also where it is kept.
    pub fn forsake(&mut self) {
        self.is_kept = false;
    }

    /// Who is alive, in memory that the data plane shares.
    pub fn liveness(&self) -> Arc<Liveness> {
        Arc::clone(&self.liveness)
    }

    /// How much has been forwarded through this uplink.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn carried(&self, uplink: u8) -> Result<Carried, TableError> {
        let packets = |direction| {
            let index = CounterId::forwarded(uplink, direction).index();
            let values = self.counters.get(&index, 0).map_err(TableError::reading("COUNTER"))?;
            Ok(values.iter().map(|counter| counter.packets).sum())
        };
        Ok(Carried { sent: packets(Direction::Out)?, received: packets(Direction::In)? })
    }

    /// What is counted of handshakes.
    pub fn handshakes(&self) -> &Handshakes {
        &self.handshakes
    }

    /// What the data plane wants to be told: neighbours. To be taken once, in a Tokio runtime with I/O.
    ///
    /// # Errors
    /// Where it was taken already, or the runtime cannot wait for it.
    pub fn take_wanted(&mut self) -> Result<Wanted, LoadError> {
        Wanted::take(&mut self.object)
    }

    /// Says what is done about offloads that XDP does not work with, of interfaces that are or will
    /// be attached. Unless set, they are warned of.
    pub fn set_offloads(&mut self, policy: Offloads) {
        self.offloads.set_policy(policy).iter().for_each(Remark::log);
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        let Some(pins) = &self.pins else { return };
        if self.is_kept {
            self.offloads.abandon();
        } else if let Err(error) = pins.remove() {
            log::error!("the data plane is not removed: {error}; `pointsman down` does that");
        }
    }
}

impl Dataplane for Kernel {
    fn set_alive(&mut self, alive: u64) {
        // What the data plane needs to know of an uplink was written by system calls before.
        self.liveness.switch().set_alive(alive);
    }

    fn attach(
        &mut self,
        interface: &str,
        ifindex: u32,
        frames: Frames,
    ) -> Result<Mode, AttachError> {
        // First, for drivers refuse a program while they merge packets.
        self.offloads.take(interface, ifindex).iter().for_each(Remark::log);
        self.links.attach(&mut self.object, interface, ifindex, frames)
    }

    fn is_attached(&self, ifindex: u32) -> bool {
        self.links.is_attached(ifindex)
    }

    fn detach(&mut self, ifindex: u32) {
        self.links.detach(ifindex);
        self.offloads.release(ifindex).iter().for_each(Remark::log);
    }

    fn expect_tags(&mut self, ifindex: u32) {
        self.offloads.expect_tags(ifindex).iter().for_each(Remark::log);
    }

    fn set_egress(&mut self, slot: u16, ifindex: Option<u32>) -> Result<(), TableError> {
        let slot = u32::from(slot);
        // No interface has the index zero: the kernel frees the slot.
        self.egress.set(slot, ifindex.unwrap_or(0), None, 0).map_err(TableError::writing("EGRESS"))
    }

    fn set_vlan(&mut self, slot: u16, vlan: Vlan) -> Result<(), TableError> {
        self.vlans.set(u32::from(slot), Tags::of(vlan)).map_err(TableError::writing(VLANS))
    }

    fn set_settings(&mut self, settings: &Settings) -> Result<(), TableError> {
        self.settings.set(0, settings, 0).map_err(TableError::writing("SETTINGS"))
    }

    fn set_port(&mut self, slot: u32, port: &Port) -> Result<(), TableError> {
        self.ports.set(slot, *port).map_err(TableError::writing(PORTS))
    }

    fn set_uplink(&mut self, side: u8, uplink: &Uplink) -> Result<(), TableError> {
        self.uplinks.set(u32::from(side), *uplink).map_err(TableError::writing(UPLINKS))
    }

    fn set_group(&mut self, id: u8, group: &Group) -> Result<(), TableError> {
        self.groups.set(u32::from(id), group, 0).map_err(TableError::writing("GROUPS"))
    }

    fn set_bucket(&mut self, index: u32, bucket: Bucket) -> Result<(), TableError> {
        self.buckets.set(index, bucket, 0).map_err(TableError::writing("BUCKETS"))
    }

    fn set_pool(&mut self, index: u32, address: Ipv4) -> Result<(), TableError> {
        self.pool.set(index, address, 0).map_err(TableError::writing("POOL"))
    }

    fn set_forward(&mut self, index: u32, forward: &Forward) -> Result<(), TableError> {
        self.forwards.set(index, forward, 0).map_err(TableError::writing("FORWARDS"))
    }

    fn set_own_ports(&mut self, word: u32, ports: u64) -> Result<(), TableError> {
        self.own_ports.set(word, ports, 0).map_err(TableError::writing("OWN_PORTS"))
    }

    fn set_local(
        &mut self,
        address: LocalAddress,
        owner: Option<AddressOwner>,
    ) -> Result<(), TableError> {
        match owner {
            Some(owner) => self.local.insert(address, owner, 0),
            None => self.local.remove(&address).or_else(unless_absent),
        }
        .map_err(TableError::writing("LOCAL"))?;
        match owner {
            Some(_) => self.local_addresses.insert(address),
            None => self.local_addresses.remove(&address),
        };
        for (index, word) in (0..).zip(LocalFilter::of(&self.local_addresses).words) {
            self.local_filter.set(index, word, 0).map_err(TableError::writing("LOCAL_FILTER"))?;
        }
        Ok(())
    }

    fn set_uplink6(&mut self, id: u8, uplink: &Uplink6) -> Result<(), TableError> {
        let known = self.uplinks6.get(u32::from(id)).map(|known| known.generation);
        let mut set = |uplink| {
            self.uplinks6.set(u32::from(id), uplink).map_err(TableError::writing(UPLINKS6))
        };
        if known != Some(uplink.generation) {
            // A packet that comes meanwhile may read of both, and what it notes would stay. The generation
            // is the first that is written: it notes the one before, or none, while the rest changes.
            set(Uplink6 { generation: 0, ..*uplink })?;
        }
        set(*uplink)
    }

    fn set_nat64(&mut self, nat64: &Nat64) -> Result<(), TableError> {
        self.nat64.set(0, *nat64).map_err(TableError::writing(NAT64))
    }

    fn set_address6(&mut self, slot: u16, address: Ipv6) -> Result<(), TableError> {
        let slot = u32::from(slot);
        self.addresses6.set(slot, address, 0).map_err(TableError::writing("ADDRESSES6"))
    }

    fn set_site_prefix(
        &mut self,
        prefix: Ipv6Net,
        known: Option<&SitePrefix>,
    ) -> Result<(), TableError> {
        let key = Key::new(u32::from(prefix.prefix_len()), prefix.network().octets());
        match known {
            Some(known) => self.site_prefixes.insert(&key, known, 0),
            None => self.site_prefixes.remove(&key).or_else(unless_absent),
        }
        .map_err(TableError::writing("SITE_PREFIXES"))
    }

    fn set_lan_network(
        &mut self,
        prefix: Ipv4Net,
        network: Option<&LanNetwork>,
    ) -> Result<(), TableError> {
        let address = Ipv4::new(prefix.network().octets());
        let key = Key::new(u32::from(prefix.prefix_len()), address);
        match network {
            Some(network) => self.lan_networks.insert(&key, network, 0),
            None => self.lan_networks.remove(&key).or_else(unless_absent),
        }
        .map_err(TableError::writing("LAN_NETWORKS"))
    }

    fn counters(&self) -> Result<Vec<Counter>, TableError> {
        (0..COUNTERS)
            .map(|index| {
                let values = self.counters.get(&index, 0)?;
                Ok(values.iter().fold(Counter::default(), |sum, value| Counter {
                    packets: sum.packets + value.packets,
                    bytes: sum.bytes + value.bytes,
                }))
            })
            .collect::<Result<_, MapError>>()
            .map_err(TableError::reading("COUNTER"))
    }
}

/// That an element is gone already is what its removal is for.
fn unless_absent(error: MapError) -> Result<(), MapError> {
    match errno(&error) {
        Some(libc::ENOENT) => Ok(()),
        _ => Err(error),
    }
}
