use std::collections::BTreeMap;
use std::sync::Arc;

use aya::Ebpf;
use aya::programs::Xdp;
use pointsman_ebpf::path::Stage;

use super::attach::{self, AttachError, Mode};
use super::error::innermost;
use super::link::Link;
use super::pins::Pins;
use super::stages;

/// Which frames of an interface are the gateway's: with which program they begin. Other frames are seen to
/// as well, after one program more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frames {
    /// Those without VLAN tags, and others perhaps.
    Any,
    /// Those with tags only.
    Tagged,
}

impl Frames {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::Any, Self::Tagged];

    /// The stage whose program is attached.
    pub const fn first(self) -> Stage {
        match self {
            Self::Any => Stage::Established,
            Self::Tagged => Stage::Tagged,
        }
    }
}

/// The interfaces that the programs are attached to. They detach with this value, unless they are kept.
pub(super) struct Links {
    attached: BTreeMap<u32, Attached>,
    /// What a daemon before has kept, and this one has not taken over yet.
    inherited: BTreeMap<u32, (Mode, Link)>,
    /// Where they are kept.
    pins: Option<Arc<Pins>>,
    /// Whether an interface has had to be attached generically, so that all are, until the daemon
    /// ends. A program that runs natively cannot send a packet to an interface whose driver has no
    /// XDP: the kernel drops it after the program has returned.
    generic: bool,
}

struct Attached {
    name: String,
    frames: Frames,
    mode: Mode,
    /// None where it was detached to go over to another mode, and that failed.
    link: Option<Link>,
}

impl Links {
    /// Those that are kept there already, if they are to be kept; or none.
    pub(super) fn new(pins: Option<Arc<Pins>>) -> Self {
        let kept = pins.iter().flat_map(|pins| pins.attachments());
        let inherited: BTreeMap<_, _> = kept
            .filter_map(|kept| {
                let link = Link::kept(kept.link, kept.path).ok()?;
                Some((kept.ifindex, (kept.mode, link)))
            })
            .collect();
        let generic = inherited.values().any(|(mode, _)| *mode == Mode::Generic);
        Self { attached: BTreeMap::new(), inherited, pins, generic }
    }

    /// Attaches a program of the object, all of which are loaded, as
    /// [`Dataplane::attach`](super::Dataplane::attach) says. One takes the place of the other between two
    /// packets. Where the interface has to be attached generically, the others are attached anew.
    ///
    /// # Errors
    /// As there.
    pub(super) fn attach(
        &mut self,
        object: &mut Ebpf,
        interface: &str,
        ifindex: u32,
        frames: Frames,
    ) -> Result<Mode, AttachError> {
        let inherited = self.inherited.remove(&ifindex);
        let before = { self.attached.remove(&ifindex) }
            .and_then(|attached| Some((attached.mode, attached.link?)))
            .or(inherited);
        let program = first(object, interface, frames)?;
        if let Some((mode, link)) = before {
            if self.generic == (mode == Mode::Generic) {
                match link.replace(program) {
                    Ok(link) => {
                        self.insert(interface, ifindex, frames, (link, mode));
                        return Ok(mode);
                    }
                    // The old link has gone with it, and the interface is like any other.
                    Err(error) => log::warn!(
                        "{interface}: one program does not take the place of the other ({}), so it is \
                         attached anew",
                        innermost(&error)
                    ),
                }
            } else {
                link.detach();
            }
        }
        let (link, mode) = attach(self.pins.as_deref(), program, interface, ifindex, self.generic)?;
        if mode == Mode::Generic {
            self.generic = true;
            for (ifindex, attached) in &mut self.attached {
                let changed =
                    attached.go_generic(object, self.pins.as_deref(), *ifindex, interface);
                if let Err(error) = changed {
                    log::error!("{error}");
                }
            }
        }
        self.insert(interface, ifindex, frames, (link, mode));
        Ok(mode)
    }

    /// Whether an interface has a program.
    pub(super) fn is_attached(&self, ifindex: u32) -> bool {
        self.attached.get(&ifindex).is_some_and(|attached| attached.link.is_some())
    }

    fn insert(
        &mut self,
        interface: &str,
        ifindex: u32,
        frames: Frames,
        (link, mode): (Link, Mode),
    ) {
        let attached = Attached { name: interface.to_owned(), frames, mode, link: Some(link) };
        self.attached.insert(ifindex, attached);
    }

    /// Detaches from an interface, if one is.
    pub(super) fn detach(&mut self, ifindex: u32) {
        let attached = self.attached.remove(&ifindex).and_then(|attached| attached.link);
        let inherited = self.inherited.remove(&ifindex).map(|(_, link)| link);
        attached.into_iter().chain(inherited).for_each(Link::detach);
    }

    /// Detaches from the interfaces that a daemon before had and this one has not.
    pub(super) fn detach_inherited(&mut self) {
        let inherited = std::mem::take(&mut self.inherited);
        inherited.into_values().for_each(|(_, link)| link.detach());
    }
}

impl Attached {
    /// Attaches the program anew where it is not attached generically yet, because of the interface
    /// `cause`.
    fn go_generic(
        &mut self,
        object: &mut Ebpf,
        pins: Option<&Pins>,
        ifindex: u32,
        cause: &str,
    ) -> Result<(), AttachError> {
        if self.mode == Mode::Generic && self.link.is_some() {
            return Ok(());
        }
        // An interface does not have programs of both modes at a time.
        if let Some(link) = self.link.take() {
            link.detach();
        }
        let program = first(object, &self.name, self.frames)?;
        let (link, mode) = attach(pins, program, &self.name, ifindex, true)?;
        log::warn!("{}: attached anew ({mode}), because {cause} is", self.name);
        self.mode = mode;
        self.link = Some(link);
        Ok(())
    }
}

/// Attaches a program, and keeps that where it is to be kept and can be.
fn attach(
    pins: Option<&Pins>,
    program: &mut Xdp,
    interface: &str,
    ifindex: u32,
    generic: bool,
) -> Result<(Link, Mode), AttachError> {
    let (link, mode) = attach::attach(program, interface, ifindex, generic)?;
    let Some(pins) = pins else {
        return Ok((Link::passing(link), mode));
    };
    match Link::keep(link, pins.link_path(ifindex, mode)) {
        Ok(link) => Ok((link, mode)),
        // It has gone.
        Err(error) => {
            log::error!(
                "{interface}: the program is attached only as long as the daemon runs, for it cannot be \
                 kept: {}",
                innermost(&error)
            );
            let (link, mode) = attach::attach(program, interface, ifindex, generic)?;
            Ok((Link::passing(link), mode))
        }
    }
}

/// The program that is attached where these frames are expected.
fn first<'a>(
    object: &'a mut Ebpf,
    interface: &str,
    frames: Frames,
) -> Result<&'a mut Xdp, AttachError> {
    let stage = frames.first();
    stages::program(object, stage).ok_or_else(|| AttachError::Refused {
        interface: interface.to_owned(),
        reason: format!("the object has no program {}", stage.program()),
    })
}
