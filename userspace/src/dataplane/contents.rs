use std::collections::BTreeMap;

use aya::Pod;
use aya::maps::lpm_trie::LpmTrie;
use aya::maps::{Array, DevMap, HashMap, Map, MapData, MapError};
use ipnet::{Ipv4Net, Ipv6Net};
use pointsman_ebpf::abi::{
    AddressOwner, Forward, Group, Ipv4, Ipv6, LanNetwork, LocalAddress, MAX_UPLINKS, Nat64,
    PORT_SLOTS, Port, Settings, SitePrefix, UPLINK_SIDES, Uplink, Uplink6, Vlan,
};
use pointsman_ebpf::wire::Tags;

use super::TableError;
use super::liveness::Liveness;
use super::load::{NAT64, PORTS, UPLINKS, UPLINKS6, VLANS};
use super::pins::{Pins, Tables};
use super::section::Section;

/// What the tables of policy hold. An element that has its default value is not there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contents {
    /// The uplinks that may send, a bit each by identifier: not those whose deadline has passed.
    pub alive: u64,
    /// The settings, where any have been written.
    pub settings: Option<Settings>,
    /// The kernel's index of the interface of an egress slot.
    pub egress: BTreeMap<u16, u32>,
    /// The tags of an egress slot.
    pub vlans: BTreeMap<u16, Vlan>,
    /// The ports by slot of their table.
    pub ports: BTreeMap<u32, Port>,
    /// Uplinks by side.
    pub uplinks: BTreeMap<u8, Uplink>,
    /// Groups by identifier.
    pub groups: BTreeMap<u8, Group>,
    /// Public addresses by index.
    pub pool: BTreeMap<u32, Ipv4>,
    /// Port forwards by index.
    pub forwards: BTreeMap<u32, Forward>,
    /// Words of [`OwnPorts`](pointsman_ebpf::abi::OwnPorts).
    pub own_ports: BTreeMap<u32, u64>,
    /// The gateway's own addresses.
    pub local: BTreeMap<LocalAddress, AddressOwner>,
    /// Uplinks for IPv6 by identifier.
    pub uplinks6: BTreeMap<u8, Uplink6>,
    /// The prefix of NAT64.
    pub nat64: Nat64,
    /// The gateway's own IPv6 address by egress slot.
    pub addresses6: BTreeMap<u16, Ipv6>,
    /// The site's prefixes.
    pub site_prefixes: BTreeMap<Ipv6Net, SitePrefix>,
    /// The LAN's IPv4 prefixes.
    pub lan_networks: BTreeMap<Ipv4Net, LanNetwork>,
}

impl Contents {
    /// What the tables hold that are kept there: of this ABI.
    ///
    /// # Errors
    /// Where the kernel refuses to read them.
    pub(super) fn kept(pins: &Pins) -> Result<Self, TableError> {
        let vlans = section::<Tags, PORT_SLOTS>(pins, VLANS)?;
        Ok(Self {
            alive: switch(pins)?.switch().alive(),
            settings: array::<u32, _>(pins, "SETTINGS")?.remove(&0),
            egress: devices(pins, "EGRESS")?,
            vlans: elements(vlans.all().iter().map(|tags| tags.vlan())),
            ports: elements(section::<_, PORT_SLOTS>(pins, PORTS)?.all().iter().copied()),
            uplinks: elements(section::<_, UPLINK_SIDES>(pins, UPLINKS)?.all().iter().copied()),
            groups: array(pins, "GROUPS")?,
            pool: array(pins, "POOL")?,
            forwards: array(pins, "FORWARDS")?,
            own_ports: array(pins, "OWN_PORTS")?,
            local: entries(pins, "LOCAL")?,
            uplinks6: elements(section::<_, MAX_UPLINKS>(pins, UPLINKS6)?.all().iter().copied()),
            nat64: section::<_, 1>(pins, NAT64)?.get(0).copied().unwrap_or_default(),
            addresses6: array(pins, "ADDRESSES6")?,
            site_prefixes: prefixes(pins, "SITE_PREFIXES", |address: [u8; 16], length| {
                Ipv6Net::new(address.into(), length).ok()
            })?,
            lan_networks: prefixes(pins, "LAN_NETWORKS", |address: Ipv4, length| {
                Ipv4Net::new(address.octets().into(), length).ok()
            })?,
        })
    }
}

fn open<T: TryFrom<Map, Error = MapError>>(
    pins: &Pins,
    name: &'static str,
) -> Result<T, TableError> {
    pins.map(Tables::Current, name).and_then(T::try_from).map_err(TableError::reading(name))
}

fn switch(pins: &Pins) -> Result<Liveness, TableError> {
    let map = |name| match pins.map(Tables::Current, name).map_err(TableError::reading(name))? {
        Map::Array(map) => Ok(map),
        _ => Err(TableError::reading(name)(MapError::ElementNotFound)),
    };
    let (switch, monitors) = (map("SWITCH")?, map("MONITORS")?);
    Liveness::new(&switch, &monitors).map_err(TableError::reading("SWITCH"))
}

fn section<T: Pod + Default, const N: usize>(
    pins: &Pins,
    name: &'static str,
) -> Result<Section<T, N>, TableError> {
    open(pins, name)
}

/// The elements that are not as they were at first, by index.
fn elements<K, V>(all: impl IntoIterator<Item = V>) -> BTreeMap<K, V>
where
    K: TryFrom<u32> + Ord,
    V: Default + PartialEq,
{
    let written = (0..).zip(all).filter(|(_, value)| *value != V::default());
    written.filter_map(|(index, value)| Some((K::try_from(index).ok()?, value))).collect()
}

/// The same of an array.
fn array<K, V>(pins: &Pins, name: &'static str) -> Result<BTreeMap<K, V>, TableError>
where
    K: TryFrom<u32> + Ord,
    V: Pod + Default + PartialEq,
{
    let map: Array<MapData, V> = open(pins, name)?;
    let all: Result<Vec<_>, MapError> = map.iter().collect();
    Ok(elements(all.map_err(TableError::reading(name))?))
}

/// The interfaces that slots stand for.
fn devices(pins: &Pins, name: &'static str) -> Result<BTreeMap<u16, u32>, TableError> {
    let map: DevMap<MapData> = open(pins, name)?;
    let mut devices = BTreeMap::new();
    for slot in 0..map.len() {
        match map.get(slot, 0) {
            Ok(device) => {
                devices.extend(u16::try_from(slot).ok().map(|slot| (slot, device.if_index)));
            }
            Err(MapError::KeyNotFound) => {}
            Err(error) => return Err(TableError::reading(name)(error)),
        }
    }
    Ok(devices)
}

/// All that is in a hash map.
fn entries<K: Pod + Ord, V: Pod>(
    pins: &Pins,
    name: &'static str,
) -> Result<BTreeMap<K, V>, TableError> {
    let map: HashMap<MapData, K, V> = open(pins, name)?;
    map.iter().collect::<Result<_, _>>().map_err(TableError::reading(name))
}

/// All prefixes of a trie; `net` makes one of an address and a length.
fn prefixes<K: Pod, V: Pod, N: Ord>(
    pins: &Pins,
    name: &'static str,
    net: impl Fn(K, u8) -> Option<N>,
) -> Result<BTreeMap<N, V>, TableError> {
    let map: LpmTrie<MapData, K, V> = open(pins, name)?;
    let mut prefixes = BTreeMap::new();
    for entry in &map {
        let (key, value) = entry.map_err(TableError::reading(name))?;
        let length = u8::try_from(key.prefix_len()).ok();
        prefixes.extend(length.and_then(|length| net(key.data(), length)).map(|net| (net, value)));
    }
    Ok(prefixes)
}
