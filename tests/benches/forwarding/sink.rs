//! The end of a chain, and what comes back from there.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use aya::{Ebpf, EbpfLoader, maps::PerCpuArray, programs::xdp::XdpLink};
use pointsman_lab::{Mac, xdp::OBJECT};

use crate::{
    PACED_FLOWS,
    chain::Hosts,
    gateway::Kind,
    object::{attach, load},
    service::{Family, Service},
    traffic::{Finding, TTL},
};

/// Frames by [`Finding`].
pub(crate) type Found = [u64; Finding::ALL.len()];

/// All frames, whatever was found in them.
pub(crate) fn total(found: &Found) -> u64 {
    found.iter().sum()
}

/// The sink's programs, one of which is attached, and the one that takes what returns to the
/// generator.
pub(crate) struct Sink {
    object: Ebpf,
    family: Family,
    link: Option<XdpLink>,
    _returns: XdpLink,
}

impl Sink {
    /// Attaches the sink that looks at little.
    pub(crate) fn new(hosts: &Hosts, kind: Kind, service: Service, ends: u32) -> Result<Self> {
        let nic = hosts.wan.far();
        let family = if kind.routes() { service.family_beyond() } else { service.family() };
        let Mac([a, b, c, d, e, f]) = nic.mac();
        let mac = [[a, b, c, d], [0, 0, e, f]].map(u32::from_be_bytes);
        let ttl = u32::from(TTL) - u32::from(kind.routes());
        let [lan_vlan, wan_vlan] = kind.vlans().map(u32::from);
        let [lan, remote] = service.sent();
        let arriving = if kind.routes() { service.translated() } else { service.sent() };
        let shared = if kind.routes() { service.shared() } else { 0 };
        let mut object = EbpfLoader::new()
            .override_global("SINK_MAC", &mac, true)
            .override_global("SINK_SOURCE", &kind.sources(), true)
            .override_global("SINK_TTL", &ttl, true)
            .override_global("SINK_ENDS", &ends, true)
            .override_global("SINK_VLAN", &wan_vlan, true)
            .override_global("RETURNS_VLAN", &lan_vlan, true)
            .override_global("SINK_PREFIXES", &arriving, true)
            .override_global("SINK_SHARED", &shared, true)
            .override_global("RETURNS_PREFIXES", &[remote, lan], true)
            .map_max_entries("SINK_TRANSLATIONS", service.verified_flows())
            .map_max_entries("SINK_SEQUENCES", PACED_FLOWS)
            .map_max_entries("RETURNS_SEQUENCES", PACED_FLOWS)
            .load(OBJECT)?;
        let link = attach(&mut object, &family.program("sink"), nic)?;
        let returns = attach(&mut object, &service.family().program("returns"), hosts.lan.far())?;
        Ok(Self { object, family, link: Some(link), _returns: returns })
    }

    /// Lets the program of this name, of the sink's family, take over.
    pub(crate) fn switch_to(&mut self, name: &str) -> Result<()> {
        let link = self.link.take().context("the sink is not attached")?;
        let program = load(&mut self.object, &self.family.program(name))?;
        let id = program.attach_to_link(link)?;
        self.link = Some(program.take_link(id)?);
        Ok(())
    }

    /// What has arrived at the sink since the beginning.
    pub(crate) fn found(&self) -> Result<Found> {
        self.read("SINK_FOUND")
    }

    /// What has come back to the generator since the beginning.
    pub(crate) fn returned(&self) -> Result<Found> {
        self.read("RETURNS_FOUND")
    }

    /// Waits until `frames` have arrived since `before`, but no longer than `bound`. Returns what
    /// has.
    pub(crate) fn wait_for(&self, before: Found, frames: u64, bound: Duration) -> Result<Found> {
        wait(before, frames, bound, || self.found())
    }

    /// The same of what comes back.
    pub(crate) fn wait_for_returns(
        &self,
        before: Found,
        frames: u64,
        bound: Duration,
    ) -> Result<Found> {
        wait(before, frames, bound, || self.returned())
    }

    /// How many public addresses and ports, towards their destinations, were seen since the
    /// beginning, each of which stood for one flow only.
    pub(crate) fn translations(&self) -> Result<u64> {
        let [translations] = self.read("SINK_CLAIMED")?;
        Ok(translations)
    }

    fn read<const N: usize>(&self, name: &str) -> Result<[u64; N]> {
        let map = self.object.map(name).with_context(|| format!("the object lacks {name}"))?;
        let map = PerCpuArray::<_, u64>::try_from(map)?;
        let mut values = [0; N];
        for (index, value) in (0..).zip(&mut values) {
            *value = map.get(&index, 0)?.iter().sum();
        }
        Ok(values)
    }
}

fn wait(
    before: Found,
    frames: u64,
    bound: Duration,
    read: impl Fn() -> Result<Found>,
) -> Result<Found> {
    let deadline = Instant::now() + bound;
    loop {
        let mut found = read()?;
        for (found, before) in found.iter_mut().zip(before) {
            *found -= before;
        }
        if total(&found) >= frames || Instant::now() > deadline {
            return Ok(found);
        }
        // The kernel may need a moment of this CPU for the last frames.
        thread::sleep(Duration::from_millis(1));
    }
}
