//! How a verb becomes root where it must: network namespaces and XDP are root's.

use anyhow::{Result, bail};
use nix::unistd::geteuid;

use crate::setup;

/// How to run a command as root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Privilege {
    /// This process is root.
    Root,
    /// Through `sudo`.
    Sudo,
}

impl Privilege {
    /// Finds out how to run a command as root here.
    ///
    /// # Errors
    ///
    /// When this process is not root and there is no `sudo`.
    pub(crate) fn find() -> Result<Self> {
        if geteuid().is_root() {
            Ok(Self::Root)
        } else if setup::is_installed("sudo") {
            Ok(Self::Sudo)
        } else {
            bail!("this needs root, and there is no `sudo`: run it as root, or install sudo");
        }
    }

    /// Arguments that make cargo run what it has built as root, the build itself staying the
    /// user's.
    pub(crate) fn cargo_args(self) -> &'static [&'static str] {
        match self {
            Self::Root => &[],
            // By `cfg`, so that the name of the host's target need not be known.
            Self::Sudo => {
                &["--config", r#"target.'cfg(target_os = "linux")'.runner = ["sudo", "-E"]"#]
            }
        }
    }
}
