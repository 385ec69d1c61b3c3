use std::ffi::c_char;
use std::io;
use std::os::fd::AsRawFd as _;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// The command of `SIOCETHTOOL` (linux/ethtool.h).
const GET_DRIVER_INFO: u32 = 3;

/// `struct ethtool_drvinfo`: the command, the driver's name, and what is not used here.
#[repr(C)]
struct DriverInfo {
    command: u32,
    driver: [u8; 32],
    rest: [u32; 40],
}

const _: () = assert!(size_of::<DriverInfo>() == 196);

nix::ioctl_readwrite_bad!(siocethtool, libc::SIOCETHTOOL, libc::ifreq);

/// The name of the driver of an interface of the calling thread's network namespace. The kernel
/// tells it by this call only: its ethtool family has none, and sysfs shows the namespace that it
/// was mounted in.
///
/// # Errors
/// Where there is no such interface, or its driver says nothing of itself.
pub fn driver(interface: &str) -> io::Result<String> {
    let mut info = DriverInfo { command: GET_DRIVER_INFO, driver: [0; 32], rest: [0; 40] };
    let mut request = libc::ifreq {
        ifr_name: name(interface)?,
        ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_data: (&raw mut info).cast::<c_char>() },
    };
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    // SAFETY: the kernel reads the name, which ends with a zero, and the command; it writes a
    // `struct ethtool_drvinfo` to where the request points, which is as long as that, is borrowed
    // by nobody else, and outlives the call.
    unsafe { siocethtool(socket.as_raw_fd(), &raw mut request) }?;
    let length = info.driver.iter().position(|byte| *byte == 0).unwrap_or(info.driver.len());
    Ok(String::from_utf8_lossy(&info.driver[..length]).into_owned())
}

/// The name as the kernel takes it: with at least one zero at its end.
fn name(interface: &str) -> io::Result<[c_char; libc::IFNAMSIZ]> {
    let mut name = [0; libc::IFNAMSIZ];
    if interface.len() >= name.len() {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    for (to, from) in name.iter_mut().zip(interface.bytes()) {
        *to = from as c_char;
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_interface_can_have_has_no_driver() {
        let error = driver("abcdefghijklmnop").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
    }
}
