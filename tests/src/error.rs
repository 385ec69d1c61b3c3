use std::{io, time::Duration};

/// Why the laboratory could not be built or used.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The kernel gave no network namespace.
    #[error("cannot make the network namespace of `{label}`: {source}")]
    Namespace {
        /// The host's label.
        label: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A kernel setting could not be written.
    #[error("cannot set {key} to `{value}` in `{label}`: {source}")]
    Sysctl {
        /// The setting, as sysctl(8) writes it.
        key: String,
        /// The value that was to be set.
        value: String,
        /// The host's label.
        label: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A BPF file system could not be mounted.
    #[error("cannot mount a BPF file system: {reason}")]
    BpfFs {
        /// What the system said.
        reason: String,
    },
    /// A program could not be started.
    #[error("cannot run `{program}` in `{label}`: {source}{}", advice(source))]
    Start {
        /// The program.
        program: String,
        /// The host's label.
        label: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A program ran and failed.
    #[error("`{command}` failed in `{label}`: {message}")]
    Failed {
        /// The program and its arguments, or the line of its batch that failed.
        command: String,
        /// The host's label.
        label: String,
        /// What the program wrote to its standard error, or its exit status.
        message: String,
    },
    /// A request about a network interface failed.
    #[error("cannot {action} {device} in `{label}`: {source}")]
    Device {
        /// What was to be done.
        action: &'static str,
        /// The interface.
        device: String,
        /// The host's label.
        label: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The laboratory's XDP object could not be loaded.
    #[error("cannot load the laboratory's XDP object: {0}")]
    Load(#[source] Box<aya::EbpfError>),
    /// An XDP program could not be loaded or attached.
    #[error("cannot attach an XDP program to {device} in `{label}`: {source}")]
    Attach {
        /// The interface.
        device: String,
        /// The host's label.
        label: String,
        /// What the kernel said.
        source: Box<aya::programs::ProgramError>,
    },
    /// Something that was waited for did not come.
    #[error("waited {bound:?} in vain until {what}")]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        bound: Duration,
    },
    /// A site was asked for that the address plan has no room for.
    #[error("a site has {what} from {min} to {max}, not {value}")]
    Plan {
        /// What there is too many or too few of.
        what: &'static str,
        /// The smallest number.
        min: usize,
        /// The largest number.
        max: usize,
        /// The number that was asked for.
        value: usize,
    },
}

/// What to do about a program that could not be started.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "; install it",
        _ => "",
    }
}
