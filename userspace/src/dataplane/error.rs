use aya::EbpfError;
use aya::programs::ProgramError;

/// Why the data plane could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The process may not.
    #[error(
        "loading the XDP program is not permitted; run as root, or with the capabilities \
         CAP_BPF, CAP_NET_ADMIN and CAP_NET_RAW"
    )]
    Permission,
    /// The kernel lacks what the program needs.
    #[error("the kernel is Linux {found}; Pointsman needs {needed} or later")]
    KernelTooOld {
        /// The version of the kernel.
        found: String,
        /// The oldest version with all that the program needs.
        needed: String,
    },
    /// The object or a map of it was refused.
    #[error(
        "the kernel refused the maps of the XDP program ({}); it needs Linux 5.18 or later and \
         the memory that `pointsman check` prints, which [flows] sizes",
        innermost(.0)
    )]
    Object(#[source] Box<EbpfError>),
    /// The verifier, or the loader before it, refused a program.
    #[error("the kernel refused the XDP program {0}: {1}")]
    Program(&'static str, #[source] Box<ProgramError>),
    /// A program is missing in the object: the object is of another version.
    #[error("the XDP object does not have the program {0}")]
    NoProgram(&'static str),
    /// A program could not be put where the others find it.
    #[error("the kernel does not put the XDP program {0} in its place: {1}")]
    Stage(&'static str, #[source] Box<aya::maps::MapError>),
    /// A map is missing in the object, or is of another kind: the object is of another version.
    #[error("the XDP object does not have the map {0} as this daemon knows it")]
    Map(&'static str),
    /// A table could not be mapped into memory.
    #[error("cannot map the table {0} into memory: {1}")]
    Memory(&'static str, #[source] std::io::Error),
    /// The directory that keeps the data plane does not.
    #[error(
        "cannot keep the data plane: {0}; see [state] pins, or set it to false to keep nothing"
    )]
    Pins(#[source] std::io::Error),
    /// What is kept could not be read.
    #[error(transparent)]
    Contents(#[from] TableError),
    /// What the data plane shares could not be mapped into memory.
    #[error("cannot map what the data plane shares into memory: {0}")]
    Shared(#[source] std::io::Error),
}

/// A map that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} the map {map}: {reason}")]
pub struct TableError {
    /// `read` or `write`.
    pub action: &'static str,
    /// The map's name in the object.
    pub map: &'static str,
    /// What the kernel says.
    pub reason: String,
}

impl TableError {
    pub(super) fn reading<E: std::error::Error + 'static>(
        map: &'static str,
    ) -> impl FnOnce(E) -> Self {
        move |error| Self { action: "read", map, reason: innermost(&error) }
    }

    pub(super) fn writing<E: std::error::Error + 'static>(
        map: &'static str,
    ) -> impl FnOnce(E) -> Self {
        move |error| Self { action: "write", map, reason: innermost(&error) }
    }
}

/// The last error of a chain: what the kernel said, without the layers around it.
pub(super) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// The kernel's error number in a chain of errors.
pub(super) fn errno(error: &(dyn std::error::Error + 'static)) -> Option<i32> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(number) =
            error.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error)
        {
            return Some(number);
        }
        next = error.source();
    }
    None
}
