//! The end of a chain.

use anyhow::{Context as _, Result};
use aya::{
    Ebpf, EbpfLoader,
    maps::{HashMap, MapData, PerCpuArray},
    programs::xdp::XdpLink,
};
use pointsman_lab::{Mac, Nic, xdp::OBJECT};

use crate::{
    TABLE_ENTRIES,
    gateway::Kind,
    object::{attach, load, program},
    traffic::{Finding, TTL},
};

/// Frames by [`Finding`].
pub(crate) type Found = [u64; Finding::ALL.len()];

/// The sink's programs, one of which is attached.
pub(crate) struct Sink {
    object: Ebpf,
    link: Option<XdpLink>,
}

impl Sink {
    /// Attaches the sink that looks at little.
    pub(crate) fn new(nic: &Nic, kind: Kind) -> Result<Self> {
        let Mac([a, b, c, d, e, f]) = nic.mac();
        let mac = [[a, b, c, d], [0, 0, e, f]].map(u32::from_be_bytes);
        let ttl = u32::from(TTL) - u32::from(kind.routes());
        let mut object = EbpfLoader::new()
            .override_global("SINK_MAC", &mac, true)
            .override_global("SINK_SOURCE", &kind.sources(), true)
            .override_global("SINK_TTL", &ttl, true)
            .map_max_entries("SINK_TRANSLATIONS", TABLE_ENTRIES)
            .load(OBJECT)?;
        load(&mut object, "sink_verify")?;
        let link = attach(&mut object, "sink", nic)?;
        Ok(Self { object, link: Some(link) })
    }

    /// Lets the program of this name take over.
    pub(crate) fn switch_to(&mut self, name: &str) -> Result<()> {
        let link = self.link.take().context("the sink is not attached")?;
        let program = program(&mut self.object, name)?;
        let id = program.attach_to_link(link)?;
        self.link = Some(program.take_link(id)?);
        Ok(())
    }

    /// What was found since the beginning.
    pub(crate) fn found(&self) -> Result<Found> {
        let map = self.object.map("SINK_FOUND").context("the object lacks SINK_FOUND")?;
        let map = PerCpuArray::<_, u64>::try_from(map)?;
        let mut found = Found::default();
        for (index, found) in (0..).zip(&mut found) {
            *found = map.get(&index, 0)?.iter().sum();
        }
        Ok(found)
    }

    /// How many public addresses and ports, towards their destinations, were seen since
    /// [`Self::forget`], each of which stood for one flow only.
    pub(crate) fn translations(&mut self) -> Result<usize> {
        let mut count = 0;
        for key in self.translations_map()?.keys() {
            key?;
            count += 1;
        }
        Ok(count)
    }

    /// Forgets the translations seen.
    pub(crate) fn forget(&mut self) -> Result<()> {
        let mut map = self.translations_map()?;
        let keys = map.keys().collect::<Result<Vec<_>, _>>()?;
        for key in keys {
            map.remove(&key)?;
        }
        Ok(())
    }

    fn translations_map(&mut self) -> Result<HashMap<&mut MapData, [u32; 3], u32>> {
        let map = self
            .object
            .map_mut("SINK_TRANSLATIONS")
            .context("the object lacks SINK_TRANSLATIONS")?;
        Ok(map.try_into()?)
    }
}
