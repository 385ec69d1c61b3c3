//! The directory on a BPF file system that keeps the data plane when the daemon ends.
//!
//! It has `maps/NAME`, all that the programs share with the daemon; `links/IFINDEX_MODE`, what attaches the
//! programs; and `stages`, the map of the programs themselves, which holds them too. While interfaces go over to
//! other programs, `stages_NUMBER` has those, and while tables are replaced by others, `next` has those.
//!
//! Who has it locked is its daemon. The lock goes with the process, whatever ends it.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use aya::maps::{Map, MapData, MapError};
use aya::programs::links::PinnedLink;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MsFlags, mount};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

use super::attach::Mode;
use super::detach::detach_kept;
use super::memo::{self, Memo, MemoMap};

/// Where the BPF file system is on every host that has one.
const BPF_FS: &str = "/sys/fs/bpf";

/// The map of the programs.
const STAGES: &str = "stages";

/// Why the directory is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum PinsError {
    /// Another daemon has it.
    #[error(
        "another daemon has the data plane in {}; stop it, or set [state] pins to another directory",
        .0.display()
    )]
    InUse(PathBuf),
    /// It is of another network namespace.
    #[error(
        "the data plane in {} is of another network namespace; set [state] pins to another directory, or remove \
         that one there with `pointsman down`",
        .0.display()
    )]
    Elsewhere(PathBuf),
    /// It is not on a BPF file system, or cannot be made or read.
    #[error("cannot keep the data plane in {}: {reason}", path.display())]
    Refused {
        /// The directory.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
}

/// Which tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tables {
    /// Those that packets are looked up in, or were last.
    Current,
    /// Those that are to take their place.
    Next,
}

impl Tables {
    const fn directory(self) -> &'static str {
        match self {
            Self::Current => "maps",
            Self::Next => "next",
        }
    }
}

/// The directory, locked.
#[derive(Debug)]
pub struct Pins {
    path: PathBuf,
    /// Where the map of this daemon's programs is kept until all interfaces have them.
    pub(super) stages: PathBuf,
    _lock: Flock<File>,
}

/// What attaches a program to an interface.
pub(super) struct Attachment {
    pub(super) ifindex: u32,
    pub(super) mode: Mode,
    pub(super) link: PinnedLink,
    pub(super) path: PathBuf,
}

impl Pins {
    /// Locks the directory, which is made where there is none. The BPF file system is mounted where hosts have
    /// it, if it is to be there and is not.
    ///
    /// # Errors
    /// Where another daemon has it, or it cannot be made.
    pub fn open(path: &Path) -> Result<Self, PinsError> {
        let refused = |reason: String| PinsError::Refused { path: path.to_owned(), reason };
        if path.starts_with(BPF_FS) && !is_bpf_fs(Path::new(BPF_FS)) {
            let source = Some("bpf");
            mount(source, BPF_FS, source, MsFlags::empty(), None::<&str>).map_err(|error| {
                refused(format!(
                    "{BPF_FS} cannot be mounted ({error}); `mount -t bpf bpf {BPF_FS}`"
                ))
            })?;
        }
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(path).map_err(|error| {
            refused(format!("{error}; set [state] pins to a directory that can be made"))
        })?;
        if !is_bpf_fs(path) {
            return Err(refused(format!(
                "it is not on a BPF file system; set [state] pins to one below {BPF_FS}"
            )));
        }
        let directory = File::open(path).map_err(|error| refused(error.to_string()))?;
        let lock = Flock::lock(directory, FlockArg::LockExclusiveNonblock);
        let lock = lock.map_err(|(_, error)| match error {
            Errno::EWOULDBLOCK => PinsError::InUse(path.to_owned()),
            error => refused(error.to_string()),
        })?;
        let number = stages_left(path).max().map_or(0, |left| left.wrapping_add(1));
        let stages = path.join(format!("{STAGES}_{number}"));
        Ok(Self { path: path.to_owned(), stages, _lock: lock })
    }

    /// What the daemon before has left word of, if tables are there.
    ///
    /// # Errors
    /// Where they are of another network namespace than the calling thread's.
    pub fn memo(&self) -> Result<Option<Memo>, PinsError> {
        let map = self.map(Tables::Current, memo::MAP).ok();
        let memo = map.and_then(|map| MemoMap::try_from(map).ok()).and_then(|map| map.read());
        match memo {
            Some(memo) if Some(memo.namespace) != namespace() => {
                Err(PinsError::Elsewhere(self.path.clone()))
            }
            memo => Ok(memo),
        }
    }

    /// A map of the tables that are there.
    ///
    /// # Errors
    /// Where it is not there, or the kernel refuses.
    pub(super) fn map(&self, tables: Tables, name: &str) -> Result<Map, MapError> {
        let map = MapData::from_pin(self.map_path(tables, name))?;
        Map::from_map_data(map)
    }

    /// Where a map is kept. The kernel takes no names with dots, which those of sections have.
    pub(super) fn map_path(&self, tables: Tables, name: &str) -> PathBuf {
        self.path.join(tables.directory()).join(name.replace('.', "_"))
    }

    /// Makes place for tables: the current ones where there are none that are of use, and the next ones else.
    ///
    /// # Errors
    /// Where the system refuses.
    pub(super) fn make_place(&self, tables: Tables) -> io::Result<()> {
        match tables {
            Tables::Current => self.clear()?,
            Tables::Next => remove_if_there(&self.path.join(tables.directory()))?,
        }
        for name in [tables.directory(), "links"] {
            match fs::create_dir(self.path.join(name)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => made?,
            }
        }
        Ok(())
    }

    /// Has the next tables take the place of the current ones, which go.
    ///
    /// # Errors
    /// Where the system refuses.
    pub(super) fn promote(&self) -> io::Result<()> {
        let [current, next] =
            [Tables::Current, Tables::Next].map(|it| self.path.join(it.directory()));
        remove_if_there(&current)?;
        fs::rename(next, current)
    }

    /// Has the map of this daemon's programs take the place of those that others have left, now that all interfaces
    /// have them: an interface that has others needs theirs, also where the daemon that attached those never came
    /// so far.
    ///
    /// # Errors
    /// Where the system refuses.
    pub(super) fn settle_stages(&self) -> io::Result<()> {
        fs::rename(&self.stages, self.path.join(STAGES))?;
        for left in stages_left(&self.path) {
            remove_if_there(&self.path.join(format!("{STAGES}_{left}")))?;
        }
        Ok(())
    }

    /// Where the link of an interface is kept.
    pub(super) fn link_path(&self, ifindex: u32, mode: Mode) -> PathBuf {
        self.path.join("links").join(format!("{ifindex}_{mode}"))
    }

    /// The interfaces that have programs. Links of another making are not looked at.
    pub(super) fn attachments(&self) -> Vec<Attachment> {
        let entries = fs::read_dir(self.path.join("links")).into_iter().flatten().flatten();
        let attachment = |path: PathBuf| {
            let (ifindex, mode) = path.file_name()?.to_str()?.split_once('_')?;
            let mode =
                [Mode::Native, Mode::Generic].into_iter().find(|it| it.to_string() == mode)?;
            let link = PinnedLink::from_pin(&path).ok()?;
            Some(Attachment { ifindex: ifindex.parse().ok()?, mode, link, path })
        };
        entries.filter_map(|entry| attachment(entry.path())).collect()
    }

    /// Detaches all programs, and removes all that is kept, and the directory.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn remove(&self) -> io::Result<()> {
        self.clear()?;
        fs::remove_dir(&self.path)
    }

    /// The same, without the directory: links first, so that no packet meets half of it.
    pub(super) fn clear(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.path.join("links")).into_iter().flatten() {
            detach_kept(&entry?.path())?;
        }
        for entry in fs::read_dir(&self.path)? {
            remove_if_there(&entry?.path())?;
        }
        Ok(())
    }
}

/// The numbers of maps of programs that daemons have left who had not settled.
fn stages_left(path: &Path) -> impl Iterator<Item = u32> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        entry.file_name().to_str()?.strip_prefix(STAGES)?.strip_prefix('_')?.parse().ok()
    })
}

/// Removes a file, or a directory with all that is in it.
pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn is_bpf_fs(path: &Path) -> bool {
    statfs(path).is_ok_and(|found| found.filesystem_type() == BPF_FS_MAGIC)
}

/// The calling thread's network namespace, by inode.
pub(super) fn namespace() -> Option<u64> {
    fs::metadata("/proc/thread-self/ns/net").ok().map(|namespace| namespace.ino())
}
