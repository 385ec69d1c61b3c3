use std::time::{Duration, Instant};

use aya::programs::xdp::XdpLink;

use crate::{LabError, Mac, Namespace, Nic, wait_until, xdp};

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

/// A cable between two hosts: a veth pair, with one queue at each end.
///
/// The MACs tell the cables of a host apart: the last byte is 1 at the near end and 2 at the far
/// one, and the byte before it is the near end's interface index.
///
/// The pair itself lasts as long as both hosts. Dropping this detaches only the XDP programs.
#[derive(Debug)]
pub struct Cable {
    near: Nic,
    far: Nic,
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
        let near_index = near.free_index(None);
        // Equal indices make the kernel take a veth for an interface without a peer, and then it
        // tells of lost carrier up to a second late.
        let far_index = far.free_index(Some(near_index));
        let nic = |namespace: &Namespace, name: &str, index, end| Nic {
            namespace: namespace.clone(),
            name: name.to_owned(),
            index,
            mac: Mac([2, 0, 0, 0, near_index as u8, end]),
        };
        let near = nic(near, near_name, near_index, 1);
        let far = nic(far, far_name, far_index, 2);

        near.namespace.ip(&format!(
            "link add {} type veth peer {} netns {}",
            link(&near),
            link(&far),
            far.namespace.path(),
        ))?;
        for nic in [&near, &far] {
            nic.set_transmit_offload(options.transmit_offload)?;
            nic.set_receive_offload(options.receive_offload)?;
        }
        let mut links = Vec::new();
        if options.pass == Pass::Both {
            links.push(xdp::attach_pass(&near)?);
        }
        if options.pass != Pass::None {
            links.push(xdp::attach_pass(&far)?);
        }
        let cable = Self { near, far, _links: links };
        cable.near.set_up(true)?;
        cable.restore()?;
        Ok(cable)
    }

    /// The end that was named first. It loses carrier when the cable is cut.
    pub fn near(&self) -> &Nic {
        &self.near
    }

    /// The other end.
    pub fn far(&self) -> &Nic {
        &self.far
    }

    /// Cuts the cable: the far end goes down, so the near end loses carrier. Returns the moment
    /// before the cut.
    ///
    /// # Errors
    ///
    /// Where the far end no longer exists.
    pub fn cut(&self) -> Result<Instant, LabError> {
        let before = Instant::now();
        self.far.set_up(false)?;
        Ok(before)
    }

    /// Mends the cable, and waits until both ends have carrier. Routes that the far end had
    /// through the cable, other than to its own networks, are not restored.
    ///
    /// # Errors
    ///
    /// Where an end no longer exists, or the near end is down.
    pub fn restore(&self) -> Result<(), LabError> {
        self.far.set_up(true)?;
        let what = format!("{} and {} have carrier", self.near.name, self.far.name);
        wait_until(&what, CARRIER_BOUND, || Ok(self.near.has_carrier()? && self.far.has_carrier()?))
    }
}

/// One end as ip-link(8) describes it.
fn link(nic: &Nic) -> String {
    format!("name {} index {} address {} numtxqueues 1 numrxqueues 1", nic.name, nic.index, nic.mac)
}
