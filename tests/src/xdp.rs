//! The laboratory's XDP programs.

use std::sync::Mutex;

use aya::{
    Ebpf,
    programs::{ProgramError, Xdp, XdpMode, xdp::XdpLink},
};

use crate::{LabError, Nic};

/// The object with all of the laboratory's programs, for aya's loader.
pub static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/pointsman-lab-xdp"));

/// The object as it was loaded for [`attach_pass`], once for all interfaces of the process.
static LOADED: Mutex<Option<Ebpf>> = Mutex::new(None);

/// Attaches the program that hands every frame to the kernel. It is detached when the link is
/// dropped.
pub(crate) fn attach_pass(nic: &Nic) -> Result<XdpLink, LabError> {
    // The value is replaced as a whole, so a panic elsewhere has left it in order.
    let mut loaded = LOADED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let object = match &mut *loaded {
        Some(object) => object,
        none => none.insert(Ebpf::load(OBJECT).map_err(|error| LabError::Load(Box::new(error)))?),
    };
    attach(object, nic).map_err(|source| LabError::Attach {
        device: nic.name().to_owned(),
        label: nic.namespace().label().to_owned(),
        source: Box::new(source),
    })
}

fn attach(object: &mut Ebpf, nic: &Nic) -> Result<XdpLink, ProgramError> {
    let program: &mut Xdp =
        object.program_mut("pass").expect("the object has the program").try_into()?;
    if program.fd().is_err() {
        program.load()?;
    }
    let link = nic.namespace().run(|| program.attach_to_if_index(nic.index(), XdpMode::Driver))?;
    program.take_link(link)
}
