use aya::maps::{HashMap, Map, MapData};
use aya::{Ebpf, Pod};
use pointsman_ebpf::abi::{Binding, DigestKey, Flow, FlowKey, Host, Ipv4, Pin};
use pointsman_ebpf::table::{BINDING_WORDS, FLOW_WORDS, HashKey, PIN_WORDS};

use super::batch::BatchMap;
use super::error::LoadError;
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
        Ok(Self {
            established: take_sets(object, "FLOWS", Some("FLOWS_FILTER"), hash_key)?,
            unreplied: take_sets(object, "UNREPLIED", None, hash_key)?,
            invited: take_sets(object, "INVITED", None, hash_key)?,
            bindings: take_sets(object, "BINDINGS", Some("BINDINGS_FILTER"), hash_key)?,
            hosts: take(object, "HOSTS")?,
            pins: take_sets(object, "PINS", Some("PINS_FILTER"), hash_key)?,
            unreplied_pins: take_sets(object, "UNREPLIED_PINS", None, hash_key)?,
            invited_pins: take_sets(object, "INVITED_PINS", None, hash_key)?,
            digest_key,
        })
    }
}

fn take<K: Pod, V: Pod>(
    object: &mut Ebpf,
    name: &'static str,
) -> Result<BatchMap<K, V>, LoadError> {
    object
        .take_map(name)
        .and_then(|map| HashMap::<MapData, K, V>::try_from(map).ok())
        .map(|map| BatchMap::new(name, map))
        .ok_or(LoadError::Map(name))
}

fn take_sets<T: Pod, const N: usize>(
    object: &mut Ebpf,
    name: &'static str,
    filters: Option<&'static str>,
    hash_key: HashKey,
) -> Result<SetTable<T, N>, LoadError> {
    let map = take_array(object, name)?;
    let filters = filters.map(|name| take_array(object, name)).transpose()?;
    SetTable::new(name, hash_key, map, filters).map_err(|error| LoadError::Memory(name, error))
}

fn take_array(object: &mut Ebpf, name: &'static str) -> Result<MapData, LoadError> {
    match object.take_map(name) {
        Some(Map::Array(map)) => Ok(map),
        _ => Err(LoadError::Map(name)),
    }
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
