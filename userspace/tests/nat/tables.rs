//! How many entries the tables of a running daemon have.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use aya::maps::{HashMap, Map, MapData, MapInfo};
use pointsman::dataplane::{SetTable, SweptTable as _};
use pointsman_ebpf::abi::{Binding, Flow, FlowKey, Host, Ipv4};
use pointsman_ebpf::table::{BINDING_WORDS, FLOW_WORDS, HashKey};

use crate::support::Gateway;

/// The tables that traffic fills, by name.
pub(crate) type Entries = BTreeMap<&'static str, usize>;

impl Gateway {
    /// The entries of all tables that traffic fills.
    pub(crate) fn entries(&self) -> Entries {
        let mut entries: Entries = ["FLOWS", "UNREPLIED", "INVITED"]
            .map(|name| (name, self.count_sets::<Flow, FLOW_WORDS>(name)))
            .into();
        entries.insert("BINDINGS", self.count_sets::<Binding, BINDING_WORDS>("BINDINGS"));
        entries.insert("FRAGMENTS", self.count::<FlowKey, Flow>("FRAGMENTS"));
        entries.insert("HOSTS", self.count::<Ipv4, Host>("HOSTS"));
        entries
    }

    fn count_sets<T: aya::Pod, const N: usize>(&self, name: &'static str) -> usize {
        let Map::Array(map) = self.map(name) else { panic!("{name} is no array") };
        // To read all of it takes neither key nor filters.
        let mut table = SetTable::<T, N>::new(name, HashKey::default(), map, None).unwrap();
        let mut count = 0;
        table.read(&mut |keys, _| count += keys.len()).unwrap();
        count
    }

    fn count<K: aya::Pod, V: aya::Pod>(&self, name: &str) -> usize {
        let map = self.map(name);
        let map = HashMap::<MapData, K, V>::try_from(map).unwrap();
        map.keys().map(Result::unwrap).count()
    }

    /// A map that the daemon holds.
    fn map(&self, name: &str) -> Map {
        let directory = PathBuf::from(format!("/proc/{}/fdinfo", self.daemon.process.id()));
        let id = fs::read_dir(directory).unwrap().find_map(|entry| {
            // It may have been closed by now.
            let text = fs::read_to_string(entry.unwrap().path()).unwrap_or_default();
            let id = text.lines().find_map(|line| line.strip_prefix("map_id:"))?;
            let id: u32 = id.trim().parse().unwrap();
            let info = MapInfo::from_id(id).ok()?;
            (info.name_as_str() == Some(name)).then_some(id)
        });
        let id = id.unwrap_or_else(|| panic!("the daemon has no map {name}"));
        Map::from_map_data(MapData::from_id(id).unwrap()).unwrap()
    }
}
