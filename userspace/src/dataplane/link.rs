use std::path::PathBuf;

use aya::pin::PinError;
use aya::programs::links::{FdLink, LinkError, PinnedLink};
use aya::programs::xdp::XdpLink;
use aya::programs::{ProgramError, Xdp};

use super::detach::detach_kept;

/// What attaches a program to an interface. It detaches when it is dropped, unless it is kept.
pub(super) struct Link {
    link: XdpLink,
    /// Where it is kept.
    pin: Option<PathBuf>,
}

/// Why a link is not kept. It has gone with that.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeepError {
    /// The kernel has attached the program by other means than a link.
    #[error(transparent)]
    NoLink(#[from] LinkError),
    /// It takes none there.
    #[error(transparent)]
    Pin(#[from] PinError),
}

impl Link {
    /// One that ends with the daemon.
    pub(super) fn passing(link: XdpLink) -> Self {
        Self { link, pin: None }
    }

    /// Keeps a link in a file.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub(super) fn keep(link: XdpLink, path: PathBuf) -> Result<Self, KeepError> {
        let pinned = FdLink::try_from(link)?.pin(&path)?;
        Ok(Self::kept(pinned, path)?)
    }

    /// One that is kept in a file already.
    ///
    /// # Errors
    /// Where it is of another kind of program.
    pub(super) fn kept(link: PinnedLink, path: PathBuf) -> Result<Self, LinkError> {
        Ok(Self { link: FdLink::from(link).try_into()?, pin: Some(path) })
    }

    /// Puts a program in the place of the one before, between two packets. Where that fails, the interface
    /// has none.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub(super) fn replace(self, program: &mut Xdp) -> Result<Self, ProgramError> {
        let Self { link, pin } = self;
        let replaced = program.attach_to_link(link).and_then(|id| program.take_link(id));
        match replaced {
            Ok(link) => Ok(Self { link, pin }),
            Err(error) => {
                forget(pin);
                Err(error)
            }
        }
    }

    /// Detaches the program, whether it is kept or not.
    pub(super) fn detach(self) {
        forget(self.pin);
    }
}

/// Detaches what is kept.
fn forget(pin: Option<PathBuf>) {
    if let Some(Err(error)) = pin.map(|path| detach_kept(&path)) {
        log::error!("a program stays attached: {error}; `pointsman down` removes it");
    }
}
