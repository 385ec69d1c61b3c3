//! What has lived through much, beside what has just begun and is told the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::time::{Duration, Instant};

use pointsman::config::Config;
use pointsman::control::{Controller, Installer, Interface, Policy, Ranking};
use pointsman::netlink::{Snapshot, Update};
use pointsman::uplink::State;
use pointsman_ebpf::abi::{
    AddressOwner, LocalAddress, MAX_UPLINKS, POOL_ADDRESSES, PortRole, ROUTED_SIDE, Settings,
    uplink_of,
};

use super::content::Content;
use super::gateway::{Gateway, HASH_KEY};

/// By how many fields more than what has just begun the state of what has lived may be described: by what is
/// remembered of uplinks that lack something at present.
const REMEMBERED: usize = 150;

/// A policy with names in place of the numbers that uplinks and ports happen to have.
#[derive(Debug, PartialEq)]
struct Portrait {
    settings: Settings,
    translating: Vec<String>,
    interfaces: BTreeMap<String, (Interface, String)>,
    usable: Vec<String>,
    sticky: u8,
    tiers: Vec<Vec<(String, u32)>>,
    local: BTreeMap<LocalAddress, (bool, Option<String>)>,
    own_ports: BTreeMap<u32, u64>,
    lan_networks: String,
}

impl Portrait {
    fn new(policy: &Policy, names: &BTreeMap<u8, String>) -> Self {
        let named = |mask: u64| {
            let ids = (0..MAX_UPLINKS as u8).filter(|id| mask >> id & 1 == 1);
            let mut names: Vec<String> = ids.map(|id| name(names, id)).collect();
            names.sort();
            names
        };
        let interface = |interface: &Interface| {
            let mut known = interface.clone();
            let is_uplink = known.port.role == PortRole::Uplink as u8;
            let of = if is_uplink { name(names, known.port.uplink) } else { String::new() };
            (known.port.egress, known.port.uplink) = (0, 0);
            (known.name.clone(), (known, of))
        };
        let owner =
            |owner: &AddressOwner| (owner.is_kernel(), owner.uplink().map(|id| name(names, id)));
        let groups = policy.groups.values().next();
        let group = groups.map(|(group, _)| *group).unwrap_or_default();
        Self {
            settings: Settings { nat44: 0, ..policy.settings },
            translating: named(policy.settings.nat44),
            interfaces: policy.interfaces.values().map(interface).collect(),
            usable: named(group.usable),
            sticky: group.sticky,
            tiers: groups.map(|(_, ranking)| tiers(ranking)).unwrap_or_default(),
            local: policy.local.iter().map(|(address, of)| (*address, owner(of))).collect(),
            own_ports: policy.own_ports.words().collect(),
            lan_networks: format!("{:?}", policy.lan_networks),
        }
    }
}

fn tiers(ranking: &Ranking) -> Vec<Vec<(String, u32)>> {
    let tier = |tier: &Vec<pointsman::control::Candidate>| {
        tier.iter().map(|candidate| (candidate.name.clone(), candidate.weight)).collect()
    };
    ranking.tiers.iter().map(tier).collect()
}

fn name(names: &BTreeMap<u8, String>, id: u8) -> String {
    names.get(&id).cloned().unwrap_or_else(|| format!("number {id}"))
}

fn names(controller: &Controller) -> BTreeMap<u8, String> {
    let uplinks = controller.uplinks().iter();
    uplinks.map(|uplink| (uplink.id(), uplink.config().name.clone())).collect()
}

/// What the controller knows, with those addresses alone that it uses, where it uses one: one that begins would
/// take another one perhaps, and one that has an address keeps it.
fn in_use(controller: &Controller) -> Snapshot {
    let mut facts = controller.facts().clone();
    for uplink in controller.uplinks() {
        let Some((index, address)) = uplink.ifindex().zip(uplink.address()) else { continue };
        if facts.ipv4_addresses(index).any(|(own, _)| own == address) {
            facts.addresses.retain(|it, _| it.index != index || it.address == address);
        }
    }
    facts
}

/// What follows from the configuration and the facts alone is the same for a controller that knows nothing else.
///
/// # Errors
/// What is not.
pub(crate) fn same_policy(gateway: &Gateway) -> Result<(), String> {
    let mut fresh = Controller::new(gateway.wanted.clone(), HASH_KEY, 1, gateway.now);
    fresh.update(Update::Resync(in_use(&gateway.controller)), gateway.now);
    fresh.update(Update::Resync(gateway.controller.facts().clone()), gateway.now);
    same_portrait(&gateway.controller, &fresh)
}

fn same_portrait(lived: &Controller, fresh: &Controller) -> Result<(), String> {
    let (old, new) = (lived.policy(), fresh.policy());
    let (old_names, new_names) = (names(lived), names(fresh));
    let (a, b) = (Portrait::new(&old, &old_names), Portrait::new(&new, &new_names));
    if a != b {
        return Err(difference("it has decided", &a, &b));
    }
    // What is remembered of an uplink that lacks something now, only what has lived can know.
    let (old, new) = (records(&old, &old_names), records(&new, &new_names));
    for (side, record) in new {
        if old.get(&side) != Some(&record) {
            let known = old.get(&side);
            return Err(format!("{side:?} is {known:?}, and after a fresh start {record:?}"));
        }
    }
    Ok(())
}

/// The sides of uplinks, by name and whether it is the routed one, and their addresses.
fn records(
    policy: &Policy,
    names: &BTreeMap<u8, String>,
) -> BTreeMap<(String, bool), (pointsman_ebpf::abi::Uplink, String)> {
    let record = |(side, record): (&u8, &pointsman_ebpf::abi::Uplink)| {
        let id = uplink_of(*side);
        let first = u32::from(id) * POOL_ADDRESSES as u32;
        let pool = policy.pool.range(first..first + POOL_ADDRESSES as u32);
        let pool: Vec<_> = pool.map(|(_, address)| *address).collect();
        let plain = pointsman_ebpf::abi::Uplink { generation: 0, egress: 0, ..*record };
        ((name(names, id), *side >= ROUTED_SIDE), (plain, format!("{pool:?}")))
    };
    policy.uplinks.iter().map(record).collect()
}

/// The data plane has what a fresh installer writes.
///
/// # Errors
/// What differs.
pub(crate) fn same_content(gateway: &Gateway) -> Result<(), String> {
    let mut fresh = Content::default();
    let (policy, alive) = (gateway.policy(), gateway.controller.alive());
    Installer::default().install(&mut fresh, &policy, alive);
    if fresh != gateway.plane.content {
        return Err(difference("the data plane has", &gateway.plane.content, &fresh));
    }
    Ok(())
}

/// Lets both see the same weather, and compares what they have become. The lived one is told all that is true, and
/// all that it waits for has passed.
///
/// # Errors
/// What differs.
pub(crate) fn same_end(lived: &mut Gateway, weather: u64, base: Instant) -> Result<(), String> {
    let config: Config = lived.wanted.clone();
    let mut fresh = Gateway::start(&config, super::mischief::Mischief::None, base);
    fresh.resync(in_use(&lived.controller));
    fresh.resync(lived.controller.facts().clone());
    for gateway in [&mut *lived, &mut fresh] {
        live_through(gateway, weather);
    }
    same_portrait(&lived.controller, &fresh.controller)?;
    let (a, b) = (standing(lived), standing(&fresh));
    if a != b {
        let reasons = lived.uplinks().map(|uplink| {
            format!("{}: {}", uplink.config().name, uplink.verdict().describe(lived.now))
        });
        let reasons: Vec<_> = reasons.collect();
        return Err(format!(
            "its uplinks are {a:?}, and after a fresh start {b:?}, for {}",
            reasons.join("; ")
        ));
    }
    let (a, b) = (size(&lived.controller), size(&fresh.controller));
    if a > b + REMEMBERED {
        return Err(format!("its state has {a} fields, and after a fresh start {b}"));
    }
    Ok(())
}

/// Every probe is answered or is not, and every session is up or down, as the bits of the weather say.
fn live_through(gateway: &mut Gateway, weather: u64) {
    const OUTCOMES: usize = 12;
    const LONG: Duration = Duration::from_secs(120);
    for number in 0..gateway.wanted.uplinks.len() as u8 {
        let (name, probes) = gateway.uplink(number);
        let is_fine = |bit: usize| weather >> (usize::from(number) * 8 + bit) & 3 != 0;
        let to = if is_fine(0) { super::event::Session::Up } else { super::event::Session::Down };
        gateway.session(&name, to);
        for (bit, probe) in (2..).zip(&probes) {
            (0..OUTCOMES).for_each(|_| gateway.probed(&name, probe, is_fine(bit)));
        }
    }
    gateway.pass(LONG);
    // Also what is suspected for its silence speaks: what it carries is looked at all the time, so also when it
    // is tried again.
    for number in 0..gateway.wanted.uplinks.len() as u8 {
        let (name, _) = gateway.uplink(number);
        (0..2).for_each(|_| gateway.carry(&name, 1, 1));
    }
    gateway.pass(LONG);
}

/// How each uplink is, and whether one is a last resort: which one, depends on who was up last.
fn standing(gateway: &Gateway) -> (BTreeMap<String, u8>, bool) {
    let rank = |state| match state {
        State::Testing | State::Down => 0,
        State::Degraded => 1,
        State::Up => 2,
    };
    let uplinks = gateway.uplinks();
    let ranks = uplinks.map(|uplink| (uplink.config().name.clone(), rank(uplink.verdict().state)));
    (ranks.collect(), gateway.uplinks().any(|uplink| uplink.is_last_resort()))
}

/// The lines, of a description, by which what has lived and what is fresh differ.
fn difference(what: &str, lived: &impl fmt::Debug, fresh: &impl fmt::Debug) -> String {
    let (lived, fresh) = (format!("{lived:#?}"), format!("{fresh:#?}"));
    let without = |text: &str, other: &str| {
        let others: BTreeSet<&str> = other.lines().collect();
        let lines: Vec<&str> = text.lines().filter(|line| !others.contains(line)).collect();
        lines.join("\n")
    };
    let (only_lived, only_fresh) = (without(&lived, &fresh), without(&fresh, &lived));
    format!("{what}\n{only_lived}\nand a fresh start\n{only_fresh}")
}

/// How many fields it takes to describe a state.
fn size(state: &impl fmt::Debug) -> usize {
    struct Fields(usize);
    impl Write for Fields {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0 += text.bytes().filter(|byte| *byte == b',').count();
            Ok(())
        }
    }
    let mut fields = Fields(0);
    // Counting does not fail.
    let _ = write!(fields, "{state:?}");
    fields.0
}
