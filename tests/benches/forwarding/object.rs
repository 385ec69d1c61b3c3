//! Loading, attaching and wiring programs of the laboratory's object.

use anyhow::{Context as _, Result};
use aya::{
    Ebpf,
    maps::DevMap,
    programs::{Xdp, XdpMode, xdp::XdpLink},
};
use pointsman_lab::{Mac, Nic};

/// A program of the object, loaded or not.
pub(crate) fn program<'a>(object: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    let program = object.program_mut(name).with_context(|| format!("the object lacks {name}"))?;
    Ok(program.try_into()?)
}

/// A program of the object, loaded now if it was not.
pub(crate) fn load<'a>(object: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    let program = program(object, name)?;
    if program.fd().is_err() {
        program.load().with_context(|| format!("{name} does not load"))?;
    }
    Ok(program)
}

/// Attaches a program of the object, until the link is dropped.
pub(crate) fn attach(object: &mut Ebpf, name: &str, nic: &Nic) -> Result<XdpLink> {
    let program = load(object, name)?;
    let link = nic
        .namespace()
        .run(|| program.attach_to_if_index(nic.index(), XdpMode::Driver))
        .with_context(|| format!("cannot attach {name} to {}", nic.name()))?;
    Ok(program.take_link(link)?)
}

/// Puts an interface in the first slot of a device map.
pub(crate) fn set_egress(object: &mut Ebpf, map: &str, nic: &Nic) -> Result<()> {
    let map = object.map_mut(map).with_context(|| format!("the object lacks {map}"))?;
    let mut map: DevMap<_> = map.try_into()?;
    // The kernel looks the index up in the namespace of the thread that asks.
    nic.namespace()
        .run(|| map.set(0, nic.index(), None, 0))
        .with_context(|| format!("cannot redirect to {}", nic.name()))
}

/// The first 12 bytes of a frame, as the words that the machine stores.
pub(crate) fn macs(destination: Mac, source: Mac) -> [u32; 3] {
    let (Mac([a, b, c, d, e, f]), Mac([g, h, i, j, k, l])) = (destination, source);
    [[a, b, c, d], [e, f, g, h], [i, j, k, l]].map(u32::from_ne_bytes)
}
