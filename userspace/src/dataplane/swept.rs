use aya::maps::{HashMap, Map, MapData};
use aya::{Ebpf, Pod};
use pointsman_ebpf::abi::{Binding, DigestKey, Flow, FlowKey, Host, Ipv4, Pin};
use pointsman_ebpf::table::{BINDING_WORDS, FLOW_WORDS, HashKey, PIN_WORDS};

use super::batch::BatchMap;
use super::error::LoadError;
use super::pins::{Pins, Tables};
use super::set_table::SetTable;
use super::sweep::{PinTable, SweptTable, SweptTables};

/// The maps of a loaded object that are swept.
pub struct SweptMaps {
    established: SetTable<Flow, FLOW_WORDS>,
    unreplied: SetTable<Flow, FLOW_WORDS>,
    invited: SetTable<Flow, FLOW_WORDS>,
    bindings: SetTable<Binding, BINDING_WORDS>,
    hosts: BatchMap<Ipv4, Host>,
    pins: SetTable<Pin, PIN_WORDS>,
    unreplied_pins: SetTable<Pin, PIN_WORDS>,
    invited_pins: SetTable<Pin, PIN_WORDS>,
    digest_key: DigestKey,
}

impl SweptMaps {
    /// Takes the maps out of an object that was loaded with these keys.
    ///
    /// # Errors
    /// Where one is missing, or of another kind, or cannot be mapped into memory.
    pub fn take(
        object: &mut Ebpf,
        hash_key: HashKey,
        digest_key: DigestKey,
    ) -> Result<Self, LoadError> {
        Self::find(&mut |name| object.take_map(name), hash_key, digest_key)
    }

    /// The maps that are kept there, of tables with these keys.
    ///
    /// # Errors
    /// As for [`Self::take`].
    pub(super) fn kept(
        pins: &Pins,
        tables: Tables,
        hash_key: HashKey,
        digest_key: DigestKey,
    ) -> Result<Self, LoadError> {
        Self::find(&mut |name| pins.map(tables, name).ok(), hash_key, digest_key)
    }

    fn find(
        map: &mut dyn FnMut(&str) -> Option<Map>,
        hash_key: HashKey,
        digest_key: DigestKey,
    ) -> Result<Self, LoadError> {
        Ok(Self {
            established: sets(map, "FLOWS", Some("FLOWS_FILTER"), hash_key)?,
            unreplied: sets(map, "UNREPLIED", None, hash_key)?,
            invited: sets(map, "INVITED", None, hash_key)?,
            bindings: sets(map, "BINDINGS", Some("BINDINGS_FILTER"), hash_key)?,
            hosts: hash_map(map, "HOSTS")?,
            pins: sets(map, "PINS", Some("PINS_FILTER"), hash_key)?,
            unreplied_pins: sets(map, "UNREPLIED_PINS", None, hash_key)?,
            invited_pins: sets(map, "INVITED_PINS", None, hash_key)?,
            digest_key,
        })
    }
}

fn hash_map<K: Pod, V: Pod>(
    map: &mut dyn FnMut(&str) -> Option<Map>,
    name: &'static str,
) -> Result<BatchMap<K, V>, LoadError> {
    map(name)
        .and_then(|map| HashMap::<MapData, K, V>::try_from(map).ok())
        .map(|map| BatchMap::new(name, map))
        .ok_or(LoadError::Map(name))
}

fn sets<T: Pod, const N: usize>(
    map: &mut dyn FnMut(&str) -> Option<Map>,
    name: &'static str,
    filters: Option<&'static str>,
    hash_key: HashKey,
) -> Result<SetTable<T, N>, LoadError> {
    let mut array = |name| match map(name) {
        Some(Map::Array(map)) => Ok(map),
        _ => Err(LoadError::Map(name)),
    };
    let sets = array(name)?;
    let filters = filters.map(array).transpose()?;
    SetTable::new(name, hash_key, sets, filters).map_err(|error| LoadError::Memory(name, error))
}

impl SweptTables for SweptMaps {
    fn established(&mut self) -> &mut dyn SweptTable<FlowKey, Flow> {
        &mut self.established
    }

    fn unreplied(&mut self) -> &mut dyn SweptTable<FlowKey, Flow> {
        &mut self.unreplied
    }

    fn invited(&mut self) -> &mut dyn SweptTable<FlowKey, Flow> {
        &mut self.invited
    }

    fn bindings(&mut self) -> &mut dyn SweptTable<FlowKey, Binding> {
        &mut self.bindings
    }

    fn hosts(&mut self) -> &mut dyn SweptTable<Ipv4, Host> {
        &mut self.hosts
    }

    fn digest_key(&self) -> DigestKey {
        self.digest_key
    }

    fn pins(&mut self, table: PinTable) -> &mut dyn SweptTable<FlowKey, Pin> {
        match table {
            PinTable::Established => &mut self.pins,
            PinTable::Unreplied => &mut self.unreplied_pins,
            PinTable::Invited => &mut self.invited_pins,
        }
    }
}
