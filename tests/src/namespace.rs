use std::{
    fs::{self, File},
    io,
    os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd},
    panic,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread::{self, JoinHandle},
};

use nix::sched::{CloneFlags, setns, unshare};

use crate::{LabError, nic};

/// Index of the first cable's end in a namespace. Lower ones belong to the loopback interface and
/// to the fallback devices that some kernels make in every namespace (`tunl0`, `sit0`).
const FIRST_INDEX: u32 = 16;

/// A host of the laboratory: a network namespace, and a label for people.
///
/// The namespace has no name in the file system. It exists while one of these is in use, or a
/// thread, process or socket in it, and the kernel removes it, with its interfaces, after that. So
/// a process that is killed leaves nothing behind, and laboratories cannot disturb each other.
///
/// A new namespace has its loopback interface up, does not forward, does not filter by reverse
/// path, and has IPv6 off, so that no router solicitation or multicast report disturbs counters.
/// Clones are the same host.
#[derive(Clone, Debug)]
pub struct Namespace(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    label: String,
    file: OwnedFd,
    next_index: AtomicU32,
}

impl Namespace {
    /// Makes a host.
    ///
    /// # Errors
    ///
    /// Where the process may not make namespaces, or change settings in one.
    pub fn new(label: &str) -> Result<Self, LabError> {
        let failed = |source| LabError::Namespace { label: label.to_owned(), source };
        // Only this thread moves to the new namespace, and it ends at once.
        let file = thread::scope(|scope| {
            spawn_scoped(scope, label, || {
                unshare(CloneFlags::CLONE_NEWNET)?;
                // Not /proc/self: that is the main thread.
                File::open("/proc/thread-self/ns/net").map(OwnedFd::from)
            })
        })
        .map_err(failed)?;

        let namespace = Self(Arc::new(Inner {
            label: label.to_owned(),
            file,
            next_index: AtomicU32::new(FIRST_INDEX),
        }));
        namespace.calm()?;
        Ok(namespace)
    }

    /// Gives the namespace its settings, whatever the machine's own are: a new namespace inherits
    /// those.
    fn calm(&self) -> Result<(), LabError> {
        self.sysctl("net.ipv4.ip_forward", "0")?;
        for scope in ["all", "default"] {
            self.sysctl(&format!("net.ipv4.conf.{scope}.rp_filter"), "0")?;
            match self.sysctl(&format!("net.ipv6.conf.{scope}.disable_ipv6"), "1") {
                // A kernel without IPv6 has none to switch off.
                Err(LabError::Sysctl { source, .. })
                    if source.kind() == io::ErrorKind::NotFound => {}
                result => result?,
            }
        }
        self.run(|| nic::set_up("lo", true)).map_err(|source| LabError::Device {
            action: "bring up",
            device: "lo".to_owned(),
            label: self.label().to_owned(),
            source,
        })
    }

    /// The host's name in messages.
    pub fn label(&self) -> &str {
        &self.0.label
    }

    /// A path at which other processes find the namespace while this process holds it.
    pub fn path(&self) -> String {
        let fd = self.0.file.as_raw_fd();
        format!("/proc/{}/fd/{fd}", std::process::id())
    }

    /// What a person types, as root, before a command that is to run in this host.
    pub fn enter_command(&self) -> String {
        format!("nsenter --net={}", self.path())
    }

    /// Runs `f` on a new thread in the namespace, and waits for it. Sockets that it opens stay in
    /// the namespace. A panic of `f` goes on in the caller.
    ///
    /// # Panics
    ///
    /// If the process lost the right to enter its own namespace, or can start no thread.
    pub fn run<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            spawn_scoped(scope, self.label(), || {
                self.enter();
                f()
            })
        })
    }

    /// Starts a thread that lives in the namespace. Threads that it starts are there too.
    ///
    /// # Panics
    ///
    /// If no thread can be started. The thread itself panics if it cannot enter the namespace.
    pub fn spawn_thread<T: Send + 'static>(
        &self,
        name: &str,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let namespace = self.clone();
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                namespace.enter();
                f()
            })
            .expect("the system should have a thread left")
    }

    /// Moves the calling thread, for good.
    fn enter(&self) {
        if let Err(errno) = setns(self, CloneFlags::CLONE_NEWNET) {
            panic!("cannot enter the namespace of `{}`: {errno}", self.label());
        }
    }

    /// Writes a kernel setting of this namespace: `net.ipv4.ip_forward`, or, where a part has dots
    /// of its own, `net/ipv4/conf/wan0.5/rp_filter`.
    ///
    /// # Errors
    ///
    /// [`LabError::Sysctl`] where there is no such setting or the kernel does not take the value.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<(), LabError> {
        let path = if key.contains('/') {
            format!("/proc/sys/{key}")
        } else {
            format!("/proc/sys/{}", key.replace('.', "/"))
        };
        // Below /proc/sys/net is what belongs to the namespace of the thread that opens the file.
        self.run(|| fs::write(path, value)).map_err(|source| LabError::Sysctl {
            key: key.to_owned(),
            value: value.to_owned(),
            label: self.label().to_owned(),
            source,
        })
    }

    /// An interface index that no cable in this namespace has had, and which is not `other`.
    pub(crate) fn free_index(&self, other: Option<u32>) -> u32 {
        let next = || self.0.next_index.fetch_add(1, Ordering::Relaxed);
        match next() {
            index if Some(index) == other => next(),
            index => index,
        }
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.file.as_fd()
    }
}

/// Runs `f` on a thread named `label` and waits for it; a panic goes on in the caller.
fn spawn_scoped<'scope, T: Send + 'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    label: &str,
    f: impl FnOnce() -> T + Send + 'scope,
) -> T {
    thread::Builder::new()
        .name(label.to_owned())
        .spawn_scoped(scope, f)
        .expect("the system should have a thread left")
        .join()
        .unwrap_or_else(|panic| panic::resume_unwind(panic))
}
