//! Loading the object: with tables of its own, or with those that a daemon before has kept.

use aya::maps::Map;
use aya::util::KernelVersion;
use aya::{Ebpf, EbpfLoader};
use pointsman_ebpf::abi::{MAX_UPLINKS, Nat64, PORT_SLOTS, Port, UPLINK_SIDES, Uplink, Uplink6};
use pointsman_ebpf::wire::Tags;

use super::error::{LoadError, errno};
use super::kernel::OBJECT;
use super::pins::{Pins, Tables};
use super::section::Section;
use super::stages::STAGES;
use super::tables::Layout;

/// The sections of the object's data that packets are looked up in, each with its symbol.
pub(super) const PORTS: &str = ".data.ports";
pub(super) const VLANS: &str = ".data.vlans";
pub(super) const UPLINKS: &str = ".data.uplinks";
pub(super) const UPLINKS6: &str = ".data.uplinks6";
pub(super) const NAT64: &str = ".data.nat64";

/// The maps that are kept: all but those that packets are carried in from one program to the next, which are
/// of the same making as the programs, and the programs' constants.
pub(super) const KEPT: [&str; 37] = [
    "ADDRESSES6",
    "ATTEMPTS",
    "BINDINGS",
    "BINDINGS_FILTER",
    "BUCKETS",
    "COUNTER",
    "EGRESS",
    "FLOWS",
    "FLOWS_FILTER",
    "FORWARDS",
    "FRAGMENTS",
    "GROUPS",
    "HANDSHAKES",
    "HOSTS",
    "INVITED",
    "INVITED_PINS",
    "LAN_NETWORKS",
    "LOCAL",
    "LOCAL_FILTER",
    "MEMO",
    "MONITORS",
    "OWN_PORTS",
    "PINS",
    "PINS_FILTER",
    "POOL",
    "SETTINGS",
    "SITE_PREFIXES",
    "SWITCH",
    "TOKENS",
    "UNREPLIED",
    "UNREPLIED_PINS",
    "WANTED",
    PORTS,
    VLANS,
    UPLINKS,
    UPLINKS6,
    NAT64,
];

/// The oldest kernel with all that the object needs: frames of several pages (5.18), global functions
/// that take pointers (5.12), the coarse clock (5.11), and links of XDP programs (5.9).
const KERNEL: (u8, u8, u16) = (5, 18, 0);

/// Loads the object with tables of this layout. With pins, they are those that are kept there, and are made where
/// there are none.
///
/// # Errors
/// Where the kernel is too old or refuses, or the process may not.
pub(super) fn load_object(
    layout: &Layout,
    pins: Option<(&Pins, Tables)>,
) -> Result<Ebpf, LoadError> {
    // Where the version is not to be had, the kernel says itself what it cannot do.
    if let Ok(version) = KernelVersion::current() {
        check_version(version)?;
    }
    let mut loader = EbpfLoader::new();
    layout.apply(&mut loader);
    // The loader writes the sections of a map that it finds as it does those of a new one.
    let sections = pins.and_then(|(pins, tables)| Sections::kept(pins, tables));
    if let Some(sections) = &sections {
        loader
            .override_global("PORTS", sections.ports.all().as_slice(), true)
            .override_global("VLANS", sections.vlans.all().as_slice(), true)
            .override_global("UPLINKS", sections.uplinks.all().as_slice(), true)
            .override_global("UPLINKS6", sections.uplinks6.all().as_slice(), true)
            .override_global("NAT64", sections.nat64.all().as_slice(), true);
    }
    if let Some((pins, tables)) = pins {
        for name in KEPT {
            loader.map_pin_path(name, pins.map_path(tables, name));
        }
        loader.map_pin_path(STAGES, &pins.stages);
    }
    loader.load(OBJECT).map_err(|error| match errno(&error) {
        Some(libc::EPERM) if pins.is_none() => LoadError::Permission,
        _ => LoadError::Object(Box::new(error)),
    })
}

/// The sections as they are kept.
struct Sections {
    ports: Section<Port, PORT_SLOTS>,
    vlans: Section<Tags, PORT_SLOTS>,
    uplinks: Section<Uplink, UPLINK_SIDES>,
    uplinks6: Section<Uplink6, MAX_UPLINKS>,
    nat64: Section<Nat64, 1>,
}

impl Sections {
    fn kept(pins: &Pins, tables: Tables) -> Option<Self> {
        let map = |name| pins.map(tables, name).ok();
        Some(Self {
            ports: map(PORTS)?.try_into().ok()?,
            vlans: map(VLANS)?.try_into().ok()?,
            uplinks: map(UPLINKS)?.try_into().ok()?,
            uplinks6: map(UPLINKS6)?.try_into().ok()?,
            nat64: map(NAT64)?.try_into().ok()?,
        })
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

/// Takes a map out of a loaded object.
///
/// # Errors
/// Where it is missing, or of another kind.
pub(super) fn take<T: TryFrom<Map>>(object: &mut Ebpf, name: &'static str) -> Result<T, LoadError> {
    object.take_map(name).and_then(|map| T::try_from(map).ok()).ok_or(LoadError::Map(name))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

    use super::*;

    #[test]
    fn an_old_kernel_is_named_with_the_one_that_is_needed() {
        let error = check_version(KernelVersion::new(5, 17, 22)).unwrap_err();
        assert_eq!(error.to_string(), "the kernel is Linux 5.17; Pointsman needs 5.18 or later");
        check_version(KernelVersion::new(5, 18, 0)).unwrap();
        check_version(KernelVersion::new(6, 1, 0)).unwrap();
    }

    #[test]
    fn every_map_is_kept_or_is_one_program_s() {
        let object = object::File::parse(OBJECT).unwrap();
        let name_of = |index| object.section_by_index(index).unwrap().name().unwrap().to_owned();
        let in_maps = object
            .symbols()
            .filter(|symbol| symbol.section_index().is_some_and(|index| name_of(index) == "maps"));
        let maps = in_maps.map(|symbol| symbol.name().unwrap().to_owned());
        let sections = object.sections().map(|section| section.name().unwrap().to_owned());
        let sections =
            sections.filter(|name| [".data", ".bss"].iter().any(|start| name.starts_with(start)));
        let found: BTreeSet<_> = maps.chain(sections).collect();
        let own = ["LEFT", "LEFT6", "STAGES", ".data.digest", ".data.hash"];
        let expected = KEPT.into_iter().chain(own).map(str::to_owned);
        assert_eq!(found, expected.collect());
    }
}
