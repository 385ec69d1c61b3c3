use std::collections::BTreeMap;

use aya::maps::{Array, DevMap, HashMap, Map, MapData, MapError, PerCpuArray};
use aya::programs::Xdp;
use aya::programs::xdp::XdpLink;
use aya::util::KernelVersion;
use aya::{Ebpf, EbpfLoader};
use pointsman_ebpf::abi::{
    Bucket, COUNTERS, Counter, Flow, FlowKey, Group, LocalAddress, Port, Settings, Uplink,
};

use super::attach::{self, AttachError, Mode};
use super::error::{LoadError, TableError, errno};
use super::switch::Switch;
use super::{Dataplane, FlowTable};

/// The XDP object, as the build script has made it, for aya's loader.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/pointsman-xdp"));

/// The program's name in the object.
const PROGRAM: &str = "pointsman";

/// The oldest kernel with all that the object needs: global functions that take pointers (5.12),
/// the coarse clock (5.11), and links of XDP programs (5.9).
const KERNEL: (u8, u8, u16) = (5, 12, 0);

/// The data plane in the kernel. All of it ends with this value: programs detach and maps go.
pub struct Kernel {
    object: Ebpf,
    links: BTreeMap<u32, Attached>,
    /// Whether an interface has had to be attached generically, so that all are, until the daemon
    /// ends. A program that runs natively cannot send a packet to an interface whose driver has no
    /// XDP: the kernel drops it after the program has returned.
    generic: bool,
    switch: Switch,
    settings: Array<MapData, Settings>,
    ports: Array<MapData, Port>,
    uplinks: Array<MapData, Uplink>,
    groups: Array<MapData, Group>,
    buckets: Array<MapData, Bucket>,
    local: HashMap<MapData, LocalAddress, u8>,
    counters: PerCpuArray<MapData, Counter>,
    egress: DevMap<MapData>,
}

/// An interface that the program is attached to.
struct Attached {
    name: String,
    mode: Mode,
    /// None where it was detached to go over to another mode, and that failed.
    link: Option<XdpLink>,
}

impl Kernel {
    /// Loads the program with a table of so many flow entries, and attaches nothing yet. The flow
    /// table is handed out apart, for the sweep.
    ///
    /// # Errors
    /// Where the kernel is too old or refuses, or the process may not.
    pub fn load(flows_max: u32) -> Result<(Self, FlowMap), LoadError> {
        // Where the version is not to be had, the kernel says itself what it cannot do.
        if let Ok(version) = KernelVersion::current() {
            check_version(version)?;
        }
        let mut object = EbpfLoader::new()
            .map_max_entries("FLOWS", flows_max)
            .load(OBJECT)
            .map_err(|error| match errno(&error) {
                Some(libc::EPERM) => LoadError::Permission,
                _ => LoadError::Object(Box::new(error)),
            })?;
        let program = program(&mut object).ok_or(LoadError::Map(PROGRAM))?;
        program.load().map_err(|error| match errno(&error) {
            Some(libc::EPERM) => LoadError::Permission,
            _ => LoadError::Program(Box::new(error)),
        })?;
        let Some(Map::Array(switch)) = object.take_map("SWITCH") else {
            return Err(LoadError::Map("SWITCH"));
        };
        let flows = FlowMap(take(&mut object, "FLOWS")?);
        let kernel = Self {
            links: BTreeMap::new(),
            generic: false,
            switch: Switch::new(&switch).map_err(LoadError::Switch)?,
            settings: take(&mut object, "SETTINGS")?,
            ports: take(&mut object, "PORTS")?,
            uplinks: take(&mut object, "UPLINKS")?,
            groups: take(&mut object, "GROUPS")?,
            buckets: take(&mut object, "BUCKETS")?,
            local: take(&mut object, "LOCAL")?,
            counters: take(&mut object, "COUNTER")?,
            egress: take(&mut object, "EGRESS")?,
            object,
        };
        Ok((kernel, flows))
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

fn program(object: &mut Ebpf) -> Option<&mut Xdp> {
    object.program_mut(PROGRAM)?.try_into().ok()
}

fn take<T: TryFrom<Map>>(object: &mut Ebpf, name: &'static str) -> Result<T, LoadError> {
    object.take_map(name).and_then(|map| T::try_from(map).ok()).ok_or(LoadError::Map(name))
}

/// Attaches an interface anew where it is not attached generically yet, because of the interface
/// `cause`.
fn go_generic(
    program: &mut Xdp,
    ifindex: u32,
    attached: &mut Attached,
    cause: &str,
) -> Result<(), AttachError> {
    if attached.mode == Mode::Generic && attached.link.is_some() {
        return Ok(());
    }
    // An interface does not have programs of both modes at a time.
    attached.link = None;
    let (link, mode) = attach::attach(program, &attached.name, ifindex, true)?;
    log::warn!("{}: attached anew ({mode}), because {cause} is", attached.name);
    attached.mode = mode;
    attached.link = Some(link);
    Ok(())
}

impl Dataplane for Kernel {
    fn set_alive(&mut self, alive: u64) {
        self.switch.store(alive);
    }

    fn attach(&mut self, interface: &str, ifindex: u32) -> Result<Mode, AttachError> {
        let program = program(&mut self.object).ok_or_else(|| AttachError::Refused {
            interface: interface.to_owned(),
            reason: format!("the object has no program {PROGRAM}"),
        })?;
        let (link, mode) = attach::attach(program, interface, ifindex, self.generic)?;
        if mode == Mode::Generic {
            self.generic = true;
            // Where this fails, the next call goes on with what is left.
            for (ifindex, attached) in &mut self.links {
                go_generic(program, *ifindex, attached, interface)?;
            }
        }
        self.links.insert(ifindex, Attached { name: interface.to_owned(), mode, link: Some(link) });
        Ok(mode)
    }

    fn detach(&mut self, ifindex: u32) {
        self.links.remove(&ifindex);
    }

    fn set_egress(&mut self, slot: u16, ifindex: Option<u32>) -> Result<(), TableError> {
        let slot = u32::from(slot);
        // No interface has the index zero: the kernel frees the slot.
        self.egress.set(slot, ifindex.unwrap_or(0), None, 0).map_err(TableError::writing("EGRESS"))
    }

    fn set_settings(&mut self, settings: &Settings) -> Result<(), TableError> {
        self.settings.set(0, settings, 0).map_err(TableError::writing("SETTINGS"))
    }

    fn set_port(&mut self, slot: u32, port: &Port) -> Result<(), TableError> {
        self.ports.set(slot, port, 0).map_err(TableError::writing("PORTS"))
    }

    fn set_uplink(&mut self, id: u8, uplink: &Uplink) -> Result<(), TableError> {
        self.uplinks.set(u32::from(id), uplink, 0).map_err(TableError::writing("UPLINKS"))
    }

    fn set_group(&mut self, id: u8, group: &Group) -> Result<(), TableError> {
        self.groups.set(u32::from(id), group, 0).map_err(TableError::writing("GROUPS"))
    }

    fn set_bucket(&mut self, index: u32, bucket: Bucket) -> Result<(), TableError> {
        self.buckets.set(index, bucket, 0).map_err(TableError::writing("BUCKETS"))
    }

    fn set_local(&mut self, address: LocalAddress, present: bool) -> Result<(), TableError> {
        let written =
            if present { self.local.insert(address, 1, 0) } else { self.local.remove(&address) };
        written.or_else(unless_absent).map_err(TableError::writing("LOCAL"))
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

/// The flow table in the kernel.
pub struct FlowMap(HashMap<MapData, FlowKey, Flow>);

impl FlowTable for FlowMap {
    fn keys(&self) -> impl Iterator<Item = Result<FlowKey, TableError>> {
        self.0.keys().map(|key| key.map_err(TableError::reading("FLOWS")))
    }

    fn get(&self, key: &FlowKey) -> Result<Option<Flow>, TableError> {
        match self.0.get(key, 0) {
            Ok(flow) => Ok(Some(flow)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(TableError::reading("FLOWS")(error)),
        }
    }

    fn remove(&mut self, key: &FlowKey) -> Result<(), TableError> {
        self.0.remove(key).or_else(unless_absent).map_err(TableError::writing("FLOWS"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_kernel_is_named_with_the_one_that_is_needed() {
        let error = check_version(KernelVersion::new(5, 11, 22)).unwrap_err();
        assert_eq!(error.to_string(), "the kernel is Linux 5.11; Pointsman needs 5.12 or later");
        check_version(KernelVersion::new(5, 12, 0)).unwrap();
        check_version(KernelVersion::new(6, 1, 0)).unwrap();
    }
}
