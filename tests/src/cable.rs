use std::time::{Duration, Instant};

use aya::programs::xdp::XdpLink;

use crate::{LabError, Mac, Namespace, Nic, Relay, wait_until, xdp};

/// How long the two ends of a cable may take to see each other.
const CARRIER_BOUND: Duration = Duration::from_secs(5);

/// Which ends of a cable have the XDP program that hands every frame to the kernel.
///
/// The far end of an interface that an XDP program redirects to needs a program itself, else what
/// is redirected vanishes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pass {
    /// No end.
    #[default]
    None,
    /// The far end.
    Far,
    /// Both ends.
    Both,
}

/// How a cable is made. The default suits hosts whose packets are counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct CableOptions {
    /// Which ends pass frames by XDP.
    pub pass: Pass,
    /// Whether senders leave checksums and segmentation to the far end. Off by default: a frame
    /// that XDP redirects would keep its unfinished checksum.
    pub transmit_offload: bool,
    /// Whether receivers merge the packets of a flow. Off by default, so that one packet sent is
    /// one packet counted.
    pub receive_offload: bool,
}

/// A cable between two hosts: a veth pair, with one queue at each end. Where it is impaired, it is
/// two of them, and a [`Relay`] in between.
///
/// The MACs tell the cables of a host apart: the last byte is 1 at the near end and 2 at the far
/// one, and the byte before it is the near end's interface index.
///
/// The pair itself lasts as long as both hosts. Dropping this detaches only the XDP programs.
#[derive(Debug)]
pub struct Cable {
    near: Nic,
    far: Nic,
    /// The relay's ends, the near one first, if there is a relay.
    ports: Vec<Nic>,
    /// Attached programs, for as long as there is a cable.
    _links: Vec<XdpLink>,
}

impl Cable {
    /// Lays a cable and waits until both ends are up and see each other. The ends have no
    /// addresses. Interface names have at most 15 bytes.
    ///
    /// # Errors
    ///
    /// Where `ip` is missing, a name is taken, or XDP does not attach.
    pub fn new(
        near: &Namespace,
        near_name: &str,
        far: &Namespace,
        far_name: &str,
        options: CableOptions,
    ) -> Result<Self, LabError> {
        let (near, far) = ends(near, near_name, far, far_name);
        connect(&near, &far)?;
        for nic in [&near, &far] {
            nic.set_transmit_offload(options.transmit_offload)?;
            nic.set_receive_offload(options.receive_offload)?;
        }
        let programmed: &[&Nic] = match options.pass {
            Pass::None => &[],
            Pass::Far => &[&far],
            Pass::Both => &[&near, &far],
        };
        let links = attach_pass(programmed)?;
        let cable = Self { near, far, ports: Vec::new(), _links: links };
        cable.near.set_up(true)?;
        cable.restore()?;
        Ok(cable)
    }

    /// Lays a cable that can be impaired while it is in use, by what is returned beside it, and
    /// only for as long as that is there. The seed decides which frames are meant.
    ///
    /// Senders finish checksums and segmentation themselves, whatever the options say: frames are
    /// carried as they are. They have an MTU of at most 1500 bytes.
    ///
    /// # Errors
    ///
    /// As [`Self::new`], or where the kernel has no packet sockets.
    pub fn impaired(
        near: &Namespace,
        near_name: &str,
        far: &Namespace,
        far_name: &str,
        options: CableOptions,
        seed: u64,
    ) -> Result<(Self, Relay), LabError> {
        let (near, far) = ends(near, near_name, far, far_name);
        let middle = Namespace::new("relay")?;
        let Mac([.., number, _]) = near.mac;
        let ports = [("near", near.index, 3), ("far", far.index, 4)].map(|(name, other, end)| {
            nic(&middle, name, middle.free_index(Some(other)), number, end)
        });
        connect(&near, &ports[0])?;
        connect(&ports[1], &far)?;
        for nic in [&near, &far] {
            nic.set_transmit_offload(false)?;
            nic.set_receive_offload(options.receive_offload)?;
        }
        for port in &ports {
            port.set_transmit_offload(false)?;
            port.set_receive_offload(false)?;
        }
        // To what is redirected out of an end, the relay's port is the far end.
        let programmed: &[&Nic] = match options.pass {
            Pass::None => &[],
            Pass::Far => &[&ports[0], &far],
            Pass::Both => &[&near, &ports[0], &ports[1], &far],
        };
        let links = attach_pass(programmed)?;
        ports[1].set_up(true)?;
        far.set_up(true)?;
        let relay = Relay::start(&ports, seed)?;
        let cable = Self { near, far, ports: ports.into(), _links: links };
        cable.near.set_up(true)?;
        cable.restore()?;
        Ok((cable, relay))
    }

    /// The end that was named first. It loses carrier when the cable is cut.
    pub fn near(&self) -> &Nic {
        &self.near
    }

    /// The other end.
    pub fn far(&self) -> &Nic {
        &self.far
    }

    /// Cuts the cable: the far end goes down, so the near end loses carrier. Of a cable that can be
    /// impaired, it is the relay's end that does, and the far end keeps its carrier. Returns the
    /// moment before the cut.
    ///
    /// # Errors
    ///
    /// Where the far end no longer exists.
    pub fn cut(&self) -> Result<Instant, LabError> {
        let before = Instant::now();
        self.peer().set_up(false)?;
        Ok(before)
    }

    /// Mends the cable, and waits until both ends have carrier. Routes that the far end had
    /// through the cable, other than to its own networks, are not restored.
    ///
    /// # Errors
    ///
    /// Where an end no longer exists, or the near end is down.
    pub fn restore(&self) -> Result<(), LabError> {
        self.peer().set_up(true)?;
        let what = format!("{} and {} have carrier", self.near.name, self.far.name);
        let mut waiting = [&self.near, &self.far].into_iter().chain(&self.ports).peekable();
        wait_until(&what, CARRIER_BOUND, || {
            while let Some(nic) = waiting.peek()
                && nic.has_carrier()?
            {
                waiting.next();
            }
            Ok(waiting.peek().is_none())
        })
    }

    /// What the near end is connected to.
    fn peer(&self) -> &Nic {
        self.ports.first().unwrap_or(&self.far)
    }
}

/// The two ends of a cable that is yet to be laid.
fn ends(near: &Namespace, near_name: &str, far: &Namespace, far_name: &str) -> (Nic, Nic) {
    let near_index = near.free_index(None);
    // Equal indices make the kernel take a veth for an interface without a peer, and then it
    // tells of lost carrier up to a second late.
    let far_index = far.free_index(Some(near_index));
    let number = near_index as u8;
    (nic(near, near_name, near_index, number, 1), nic(far, far_name, far_index, number, 2))
}

/// An end of the cable with this number.
fn nic(namespace: &Namespace, name: &str, index: u32, number: u8, end: u8) -> Nic {
    let mac = Mac([2, 0, 0, 0, number, end]);
    Nic { namespace: namespace.clone(), name: name.to_owned(), index, mac }
}

/// Makes a veth pair.
fn connect(one: &Nic, other: &Nic) -> Result<(), LabError> {
    one.namespace.ip(&format!(
        "link add {} type veth peer {} netns {}",
        link(one),
        link(other),
        other.namespace.path(),
    ))
}

/// One end as ip-link(8) describes it.
fn link(nic: &Nic) -> String {
    format!("name {} index {} address {} numtxqueues 1 numrxqueues 1", nic.name, nic.index, nic.mac)
}

fn attach_pass(nics: &[&Nic]) -> Result<Vec<XdpLink>, LabError> {
    nics.iter().map(|nic| xdp::attach_pass(nic)).collect()
}
