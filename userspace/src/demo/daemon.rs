//! The real daemon, as a process of its own in the gateway.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use pointsman_lab::{Site, plan::SERVER};
use tempfile::TempDir;
use tokio::{
    runtime::{self, Runtime},
    time::timeout,
};

use crate::api::{ClientError, fetch_status, status::UplinkStatus};

/// The daemon's program: this one.
const PROGRAM: &str = "/proc/self/exe";

// Names of the daemon's files in its directory.
const CONFIG: &str = "pointsman.toml";
const SOCKET: &str = "pointsman.sock";
const LOG: &str = "pointsman.log";

/// The time from one probe of an uplink to the next.
const PROBE_INTERVAL: Duration = Duration::from_millis(100);

/// How long the daemon may take to detach.
const STOP_BOUND: Duration = Duration::from_secs(2);

/// How long a dying daemon may take to be dead.
const DEATH_BOUND: Duration = Duration::from_millis(200);

/// How often a process that is to end is looked at.
const EXIT_INTERVAL: Duration = Duration::from_millis(5);

/// How long the daemon may take to answer, before it is asked again.
const ANSWER_BOUND: Duration = Duration::from_secs(1);

/// How many lines of the daemon's log are shown when it fails.
const LOG_LINES: usize = 20;

/// A running daemon. It is stopped when this is dropped, and its files are removed. The kernel
/// kills it if this process ends in another way.
pub(super) struct Daemon {
    child: Child,
    directory: TempDir,
    runtime: Runtime,
}

impl Daemon {
    /// Starts the daemon in the gateway, from the calling thread, with whose end the daemon ends.
    pub(super) fn start(site: &Site) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("pointsman-demo-").tempdir().context(
            "cannot make a directory for the daemon's files; set TMPDIR to another place",
        )?;
        let path = |name| directory.path().join(name);
        let file = path(CONFIG);
        let text = configuration(site, &path(SOCKET));
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        let log = path(LOG);
        let log = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the runtime that asks the daemon")?;
        let child = site
            .gateway
            .command(PROGRAM)
            .args(["run", "--config"])
            .arg(file)
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("cannot share the daemon's log")?)
            .stderr(log)
            .spawn()
            .context("cannot start the daemon")?;
        Ok(Self { child, directory, runtime })
    }

    /// What the daemon says of its uplinks, in the order of its configuration. `None` while it does
    /// not answer yet.
    pub(super) fn uplinks(&mut self) -> Result<Option<Vec<UplinkStatus>>> {
        if let Some(status) = self.exit_status()? {
            return Err(self.ended(status));
        }
        let socket = self.directory.path().join(SOCKET);
        let answer = async { timeout(ANSWER_BOUND, fetch_status(&socket)).await };
        match self.runtime.block_on(answer) {
            Ok(Ok(status)) => Ok(Some(status.uplinks)),
            Ok(Err(ClientError::Unreachable { .. })) | Err(_) => Ok(None),
            // The connections of a daemon that dies break a moment before its end can be seen.
            Ok(Err(error)) => match self.await_exit(DEATH_BOUND)? {
                Some(status) => Err(self.ended(status)),
                None => Err(error.into()),
            },
        }
    }

    /// The last lines of the daemon's log.
    pub(super) fn log(&self) -> String {
        let text = fs::read_to_string(self.directory.path().join(LOG)).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        let first = lines.len().saturating_sub(LOG_LINES);
        lines[first..].join("\n")
    }

    /// Tells the daemon to detach and end, and waits for it.
    pub(super) fn stop(mut self) -> Result<()> {
        match self.terminate()? {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(self.ended(status)),
            None => bail!("the daemon did not end within {STOP_BOUND:?} of SIGTERM"),
        }
    }

    /// Sends SIGTERM and waits. `None`: the daemon goes on.
    fn terminate(&mut self) -> Result<Option<ExitStatus>> {
        if let Some(status) = self.exit_status()? {
            return Ok(Some(status));
        }
        let process = Pid::from_raw(self.child.id() as i32);
        kill(process, Signal::SIGTERM).context("cannot stop the daemon")?;
        self.await_exit(STOP_BOUND)
    }

    /// Waits until the daemon has ended. `None`: it goes on.
    fn await_exit(&mut self, bound: Duration) -> Result<Option<ExitStatus>> {
        let deadline = Instant::now() + bound;
        while Instant::now() < deadline {
            if let Some(status) = self.exit_status()? {
                return Ok(Some(status));
            }
            thread::sleep(EXIT_INTERVAL);
        }
        Ok(None)
    }

    fn ended(&self, status: ExitStatus) -> anyhow::Error {
        anyhow!("the daemon has ended, {status}; it said:\n{}", self.log())
    }

    fn exit_status(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("cannot watch the daemon")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if !matches!(self.terminate(), Ok(Some(_))) {
            // If even this fails there is no process, or none of ours.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The configuration file of the demonstration's gateway. By default both uplinks weigh the same.
/// A client keeps to one for each server, whatever else it has open: so it is seen that new flows come back.
fn configuration(site: &Site, socket: &Path) -> String {
    let interval = PROBE_INTERVAL.as_millis();
    let timeout = interval / 2;
    let uplinks: String = site
        .uplinks
        .iter()
        .map(|uplink| {
            let (name, interface) = (uplink.isp.label(), uplink.access.near().name());
            let gateway = uplink.isp_address;
            format!(
                "\n[[uplink]]\n\
                 name = \"{name}\"\n\
                 interface = \"{interface}\"\n\
                 gateway = \"{gateway}\"\n\
                 \n\
                 \x20   [uplink.health]\n\
                 \x20   probes = [{{ kind = \"icmp\", target = \"{SERVER}\" }}]\n\
                 \x20   interval = \"{interval}ms\"\n\
                 \x20   timeout = \"{timeout}ms\"\n\
                 \x20   down_after = 3\n\
                 \x20   up_after = 3\n"
            )
        })
        .collect();
    let names: Vec<_> =
        site.uplinks.iter().map(|uplink| format!("\"{}\"", uplink.isp.label())).collect();
    let names = names.join(", ");
    let lan = site.lan.near().name();
    // A literal string, in which a path stands as it is.
    let state = socket.with_file_name("state");
    let (socket, state) = (socket.display(), state.display());
    format!(
        "[lan]\ninterfaces = [\"{lan}\"]\n{uplinks}\n[[group]]\nname = \"default\"\nuplinks = [{names}]\n\
         sticky = \"source-destination\"\n\n[api]\nsocket = '{socket}'\n[state]\npins = false\ndirectory = '{state}'\n"
    )
}
