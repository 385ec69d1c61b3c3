use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use tempfile::TempDir;

use crate::LabError;

/// A BPF file system of the thread that has made it, and of the programs that it starts. It goes with them, and
/// what is only kept there goes with it.
#[derive(Debug)]
pub struct BpfFs {
    directory: TempDir,
}

impl BpfFs {
    /// Mounts one in a new directory, for which the thread gets a mount namespace of its own.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn new() -> Result<Self, LabError> {
        let failed = |reason: String| LabError::BpfFs { reason };
        let directory = tempfile::Builder::new().prefix("pointsman-bpf-").tempdir();
        let directory = directory.map_err(|error| failed(error.to_string()))?;
        let nowhere = None::<&str>;
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        unshare(CloneFlags::CLONE_NEWNS)
            .and_then(|()| mount(nowhere, "/", nowhere, private, nowhere))
            .and_then(|()| {
                let source = Some("bpf");
                mount(source, directory.path(), source, MsFlags::empty(), nowhere)
            })
            .map_err(|error| failed(error.to_string()))?;
        Ok(Self { directory })
    }

    /// Takes no more, or does again.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn set_read_only(&self, is_read_only: bool) -> Result<(), LabError> {
        let flags = if is_read_only { MsFlags::MS_RDONLY } else { MsFlags::empty() };
        let remounted = mount(
            Some("bpf"),
            self.path(),
            None::<&str>,
            MsFlags::MS_REMOUNT | flags,
            None::<&str>,
        );
        remounted.map_err(|error| LabError::BpfFs { reason: error.to_string() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A directory on it that nobody has made yet.
    pub fn pins(&self) -> PathBuf {
        self.path().join("pointsman")
    }
}

impl Drop for BpfFs {
    fn drop(&mut self) {
        // The directory is removed after this.
        if let Err(error) = umount2(self.path(), MntFlags::MNT_DETACH) {
            eprintln!("{} stays mounted: {error}", self.path().display());
        }
    }
}
