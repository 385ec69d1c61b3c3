use std::{io, process::Command, process::Stdio};

use crate::{Cable, CableOptions, LabError, Namespace, Pass};

/// Why the laboratory may not run here. Each is one sentence for the user.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The process may not do what is needed.
    #[error("the laboratory makes network namespaces, which needs root; run it with sudo")]
    NotRoot,
    /// iproute2 is missing.
    #[error("the laboratory needs the command `ip` ({0}); install the package iproute2")]
    NoIp(io::Error),
    /// The kernel, or what confines the process, does not let the laboratory work.
    #[error(
        "the laboratory does not work here: {0}; it needs a kernel with network namespaces, veth \
         and XDP, and a container must be privileged"
    )]
    Unable(LabError),
}

/// Whether the laboratory can run here: it tries, with two hosts and a cable between them.
///
/// # Errors
///
/// What is missing.
pub fn may_run() -> Result<(), Refusal> {
    Command::new("ip")
        .arg("-Version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(Refusal::NoIp)?;
    try_cable().map_err(|error| {
        let not_root = !nix::unistd::geteuid().is_root();
        match error {
            LabError::Namespace { source, .. }
                if not_root && source.kind() == io::ErrorKind::PermissionDenied =>
            {
                Refusal::NotRoot
            }
            error => Refusal::Unable(error),
        }
    })
}

fn try_cable() -> Result<(), LabError> {
    let near = Namespace::new("near")?;
    let far = Namespace::new("far")?;
    let options = CableOptions { pass: Pass::Far, ..CableOptions::default() };
    Cable::new(&near, "near0", &far, "far0", options).map(drop)
}
