use aya::maps::{HashMap, MapData};
use aya::{Ebpf, Pod};
use pointsman_ebpf::abi::{Binding, Flow, FlowKey, Host, Ipv4};

use super::batch::BatchMap;
use super::error::LoadError;
use super::sweep::{SweptTable, SweptTables};

/// The maps of a loaded object that are swept.
pub struct SweptMaps {
    established: BatchMap<FlowKey, Flow>,
    unreplied: BatchMap<FlowKey, Flow>,
    invited: BatchMap<FlowKey, Flow>,
    bindings: BatchMap<FlowKey, Binding>,
    hosts: BatchMap<Ipv4, Host>,
}

impl SweptMaps {
    /// Takes the maps out of a loaded object.
    ///
    /// # Errors
    /// Where one is missing, or of another kind.
    pub fn take(object: &mut Ebpf) -> Result<Self, LoadError> {
        Ok(Self {
            established: take(object, "FLOWS")?,
            unreplied: take(object, "UNREPLIED")?,
            invited: take(object, "INVITED")?,
            bindings: take(object, "BINDINGS")?,
            hosts: take(object, "HOSTS")?,
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
}
