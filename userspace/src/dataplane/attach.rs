use std::fmt;

use aya::programs::{ProgramError, Xdp, XdpMode, xdp::XdpLink};

use super::error::{errno, innermost};
use super::occupant::Occupant;

/// The largest MTU with which drivers commonly take a program whose frames they hand over in one page,
/// in bytes: a page less the headroom of XDP (`XDP_PACKET_HEADROOM`), the kernel's record at its end
/// (`struct skb_shared_info`), and the header of Ethernet with a tag. Some drivers differ by some bytes.
pub const NATIVE_MTU: u32 = 4096 - 256 - 320 - 18;

/// How the program is attached to an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// By the driver, before a packet becomes a socket buffer.
    Native,
    /// By the kernel, after that.
    Generic,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native => "native",
            Self::Generic => "generic",
        })
    }
}

/// Why the program could not be attached to an interface.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// There is a program already.
    #[error(
        "an XDP program is already attached to {interface}{}; end the daemon that has attached \
         it, and what it has left, with `pointsman down`, or detach it with `ip link set dev {interface} \
         xdp off`",
        named(occupant.as_ref())
    )]
    Busy {
        /// The interface.
        interface: String,
        /// The program, where it could be found out.
        occupant: Option<Occupant>,
    },
    /// The process may not.
    #[error(
        "attaching to {interface} is not permitted; run as root, or with the capabilities CAP_BPF, \
         CAP_NET_ADMIN and CAP_NET_RAW"
    )]
    Permission {
        /// The interface.
        interface: String,
    },
    /// There is no such interface.
    #[error("there is no interface {interface} any more; see `ip link`")]
    Missing {
        /// The interface.
        interface: String,
    },
    /// Neither driver nor kernel takes it.
    #[error("the kernel does not attach an XDP program to {interface}: {reason}")]
    Refused {
        /// The interface.
        interface: String,
        /// What the kernel says.
        reason: String,
    },
}

fn named(occupant: Option<&Occupant>) -> String {
    occupant.map_or_else(String::new, |occupant| format!(" ({occupant})"))
}

/// Attaches natively, or else generically, by a link that detaches when it is dropped. With
/// `generic` it does not try the first.
pub(super) fn attach(
    program: &mut Xdp,
    interface: &str,
    ifindex: u32,
    generic: bool,
) -> Result<(XdpLink, Mode), AttachError> {
    if generic {
        return Ok((attach_generic(program, interface, ifindex)?, Mode::Generic));
    }
    let native = match link(program, ifindex, XdpMode::Driver) {
        Ok(link) => return Ok((link, Mode::Native)),
        Err(error) => error,
    };
    if let Some(error) = final_error(&native, interface, ifindex) {
        return Err(error);
    }
    let link = attach_generic(program, interface, ifindex)?;
    log::warn!(
        "{interface}: its driver does not attach natively ({}), so generic XDP is used on all \
         interfaces, which takes several times the CPU time for each packet; where it does not hand \
         over frames of several pages, it wants an MTU of {NATIVE_MTU} or somewhat less",
        innermost(&native)
    );
    Ok((link, Mode::Generic))
}

fn attach_generic(
    program: &mut Xdp,
    interface: &str,
    ifindex: u32,
) -> Result<XdpLink, AttachError> {
    link(program, ifindex, XdpMode::Skb).map_err(|error| {
        final_error(&error, interface, ifindex).unwrap_or_else(|| AttachError::Refused {
            interface: interface.to_owned(),
            reason: innermost(&error),
        })
    })
}

fn link(program: &mut Xdp, ifindex: u32, mode: XdpMode) -> Result<XdpLink, ProgramError> {
    let id = program.attach_to_if_index(ifindex, mode)?;
    program.take_link(id)
}

/// An error that another mode would not mend.
fn final_error(error: &ProgramError, interface: &str, ifindex: u32) -> Option<AttachError> {
    let interface = interface.to_owned();
    match errno(error)? {
        // EEXIST: there is one of the other mode.
        libc::EBUSY | libc::EEXIST => {
            let occupant = Occupant::of(ifindex);
            Some(AttachError::Busy { interface, occupant })
        }
        libc::EPERM | libc::EACCES => Some(AttachError::Permission { interface }),
        libc::ENODEV => Some(AttachError::Missing { interface }),
        _ => None,
    }
}
