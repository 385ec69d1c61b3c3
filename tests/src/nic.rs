mod statistics;

use std::{ffi::c_char, fmt, io, os::fd::AsRawFd as _, ptr};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use crate::{LabError, Namespace};

/// Commands of `SIOCETHTOOL`, from linux/ethtool.h.
const ETHTOOL_GLINK: u32 = 0x0a;
const ETHTOOL_STXCSUM: u32 = 0x17;
const ETHTOOL_SGRO: u32 = 0x2c;

/// The argument of the commands above: `struct ethtool_value`.
#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

nix::ioctl_readwrite_bad!(siocgifflags, libc::SIOCGIFFLAGS, libc::ifreq);
nix::ioctl_write_ptr_bad!(siocsifflags, libc::SIOCSIFFLAGS, libc::ifreq);
nix::ioctl_readwrite_bad!(siocethtool, libc::SIOCETHTOOL, libc::ifreq);

/// A MAC address, in the order of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// One end of a cable: a network interface of a host.
#[derive(Clone, Debug)]
pub struct Nic {
    pub(crate) namespace: Namespace,
    pub(crate) name: String,
    pub(crate) index: u32,
    pub(crate) mac: Mac,
}

impl Nic {
    /// The host.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The interface's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The kernel's index of the interface, in its namespace.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The interface's own MAC.
    pub fn mac(&self) -> Mac {
        self.mac
    }

    /// Whether the interface is up and has carrier, and so does not lose what is sent by it.
    ///
    /// # Errors
    ///
    /// Where the interface no longer exists.
    pub fn has_carrier(&self) -> Result<bool, LabError> {
        self.request("read the state of", |name| {
            // A new interface counts as running until the kernel has seen to its carrier, and drops
            // all frames until then. Since Linux 6.8 this question makes the kernel do so first.
            let carrier = ethtool(name, ETHTOOL_GLINK, 0)? != 0;
            Ok(carrier && flags(name)? & libc::IFF_RUNNING != 0)
        })
    }

    /// Brings the interface up or takes it down. The kernel forgets the routes of an interface
    /// that goes down, but not its addresses and what follows from those.
    ///
    /// # Errors
    ///
    /// Where the interface no longer exists.
    pub fn set_up(&self, up: bool) -> Result<(), LabError> {
        let action = if up { "bring up" } else { "take down" };
        self.request(action, |name| set_up(name, up))
    }

    /// Whether the interface leaves checksums and segmentation to the far end, as if it were a
    /// card that can do them.
    pub(crate) fn set_transmit_offload(&self, on: bool) -> Result<(), LabError> {
        self.request("set the transmit offload of", |name| switch(name, ETHTOOL_STXCSUM, on))
    }

    /// Whether the interface merges the packets of a flow that it receives.
    pub(crate) fn set_receive_offload(&self, on: bool) -> Result<(), LabError> {
        self.request("set the receive offload of", |name| switch(name, ETHTOOL_SGRO, on))
    }

    fn request<T: Send>(
        &self,
        action: &'static str,
        f: impl FnOnce(&str) -> io::Result<T> + Send,
    ) -> Result<T, LabError> {
        self.namespace.run(|| f(&self.name)).map_err(|source| LabError::Device {
            action,
            device: self.name.clone(),
            label: self.namespace.label().to_owned(),
            source,
        })
    }
}

/// Brings an interface of the calling thread's namespace up or takes it down.
pub(crate) fn set_up(name: &str, up: bool) -> io::Result<()> {
    let old = flags(name)?;
    let new = if up { old | libc::IFF_UP } else { old & !libc::IFF_UP };
    let mut request = request_for(name)?;
    // The kernel's field is a short; the flags above it cannot be set this way.
    request.ifr_ifru.ifru_flags = new as i16;
    let socket = control_socket()?;
    // SAFETY: the kernel reads the name and the flags of this request.
    unsafe { siocsifflags(socket.as_raw_fd(), &raw const request) }?;
    Ok(())
}

/// The `IFF_` flags of an interface of the calling thread's namespace.
fn flags(name: &str) -> io::Result<i32> {
    let mut request = request_for(name)?;
    let socket = control_socket()?;
    // SAFETY: the kernel reads the name, and writes the flags of this request.
    unsafe { siocgifflags(socket.as_raw_fd(), &raw mut request) }?;
    // SAFETY: the flags are the member that the request above has written.
    Ok(i32::from(unsafe { request.ifr_ifru.ifru_flags }))
}

fn switch(name: &str, command: u32, on: bool) -> io::Result<()> {
    ethtool(name, command, on.into()).map(drop)
}

/// Sends a command to an interface of the calling thread's namespace, and returns the answer.
fn ethtool(name: &str, command: u32, data: u32) -> io::Result<u32> {
    let mut value = EthtoolValue { command, data };
    let mut request = request_for(name)?;
    request.ifr_ifru.ifru_data = (&raw mut value).cast::<c_char>();
    let socket = control_socket()?;
    // SAFETY: the request points to a value of the kind that the command takes, which outlives
    // the call.
    unsafe { siocethtool(socket.as_raw_fd(), &raw mut request) }?;
    Ok(value.data)
}

/// Any socket will do: it is the way to the interfaces of the calling thread's namespace.
fn control_socket() -> io::Result<std::os::fd::OwnedFd> {
    Ok(socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?)
}

fn request_for(name: &str) -> io::Result<libc::ifreq> {
    let mut request = libc::ifreq {
        ifr_name: [0; libc::IFNAMSIZ],
        ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_data: ptr::null_mut() },
    };
    // One byte stays zero, which ends the name.
    if name.len() >= libc::IFNAMSIZ {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "an interface's name has at most 15 bytes",
        ));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as c_char;
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_is_written_as_people_write_it() {
        assert_eq!(Mac([2, 0, 0, 0, 0x10, 1]).to_string(), "02:00:00:00:10:01");
    }

    #[test]
    fn a_name_that_is_too_long_is_an_error() {
        assert!(request_for("abcdefghijklmno").is_ok());
        assert!(request_for("abcdefghijklmnop").is_err());
    }
}
