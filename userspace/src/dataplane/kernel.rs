use std::collections::BTreeSet;
use std::sync::Arc;

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, DevMap, HashMap, Map, MapData, MapError, PerCpuArray, ProgramArray};
use aya::util::KernelVersion;
use aya::{Ebpf, EbpfLoader};
use ipnet::{Ipv4Net, Ipv6Net};
use pointsman_ebpf::abi::{
    AddressOwner, Bucket, COUNTERS, Counter, CounterId, Direction, Forward, Group, Ipv4, Ipv6,
    LanNetwork, LocalAddress, LocalFilter, MAX_UPLINKS, Nat64, PORT_SLOTS, Port, Settings,
    SitePrefix, UPLINK_SIDES, Uplink, Uplink6, Vlan,
};
use pointsman_ebpf::wire::Tags;

use super::Dataplane;
use super::attach::{AttachError, Mode};
use super::error::{LoadError, TableError, errno};
use super::handshakes::Handshakes;
use super::links::{Frames, Links};
use super::liveness::Liveness;
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

/// The sections of the object's data with the [`Port`]s and the [`Uplink`]s.
const PORTS: &str = ".data.ports";
const VLANS: &str = ".data.vlans";
const UPLINKS: &str = ".data.uplinks";
const UPLINKS6: &str = ".data.uplinks6";
const NAT64: &str = ".data.nat64";

/// The oldest kernel with all that the object needs: frames of several pages (5.18), global functions
/// that take pointers (5.12), the coarse clock (5.11), and links of XDP programs (5.9).
const KERNEL: (u8, u8, u16) = (5, 18, 0);

/// The data plane in the kernel. All of it ends with this value: programs detach and maps go.
pub struct Kernel {
    object: Ebpf,
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

impl Kernel {
    /// Loads the programs with tables of these sizes, and attaches nothing yet. The maps that are
    /// swept are handed out apart.
    ///
    /// # Errors
    /// Where the kernel is too old or refuses, or the process may not.
    pub fn load(sizes: &TableSizes) -> Result<(Self, SweptMaps), LoadError> {
        // Where the version is not to be had, the kernel says itself what it cannot do.
        if let Ok(version) = KernelVersion::current() {
            check_version(version)?;
        }
        let layout = Layout::new(sizes);
        let mut loader = EbpfLoader::new();
        layout.apply(&mut loader);
        let mut object = loader.load(OBJECT).map_err(|error| match errno(&error) {
            Some(libc::EPERM) => LoadError::Permission,
            _ => LoadError::Object(Box::new(error)),
        })?;
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
        let kernel = Self {
            links: Links::default(),
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
        Ok((kernel, swept))
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

/// Refuses a kernel that lacks what the object needs.
fn check_version(found: KernelVersion) -> Result<(), LoadError> {
    let (major, minor, patch) = KERNEL;
    if found >= KernelVersion::new(major, minor, patch) {
        return Ok(());
    }
    // The code is that of the kernel's `KERNEL_VERSION` macro.
    let code = found.code();
    Err(LoadError::KernelTooOld {
        found: format!("{}.{}", code >> 16, code >> 8 & 0xff),
        needed: format!("{major}.{minor}"),
    })
}

fn take<T: TryFrom<Map>>(object: &mut Ebpf, name: &'static str) -> Result<T, LoadError> {
    object.take_map(name).and_then(|map| T::try_from(map).ok()).ok_or(LoadError::Map(name))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_kernel_is_named_with_the_one_that_is_needed() {
        let error = check_version(KernelVersion::new(5, 17, 22)).unwrap_err();
        assert_eq!(error.to_string(), "the kernel is Linux 5.17; Pointsman needs 5.18 or later");
        check_version(KernelVersion::new(5, 18, 0)).unwrap();
        check_version(KernelVersion::new(6, 1, 0)).unwrap();
    }
}
