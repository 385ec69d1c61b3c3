use std::io;

/// What can go wrong between the daemon and a NIC's driver.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The socket could not be made, read or written.
    #[error("the kernel's generic netlink socket failed: {0}")]
    Socket(#[source] io::Error),
    /// The kernel does not have what is asked.
    #[error("the kernel has no generic netlink family {family:?}, which comes with {needs}")]
    NoFamily {
        /// The family.
        family: &'static str,
        /// The kernel that has it.
        needs: &'static str,
    },
    /// The kernel or the driver refused.
    #[error("the kernel refused: {0}")]
    Refused(#[source] io::Error),
    /// The kernel has accepted a change, and the driver has not made it.
    #[error("its driver keeps it as it was")]
    Kept,
    /// The answer has not what was asked for.
    #[error("the kernel's answer has no {0}")]
    Answer(&'static str),
}

impl Error {
    /// Whether the interface is gone.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Self::Refused(error) if error.raw_os_error() == Some(libc::ENODEV))
    }
}
