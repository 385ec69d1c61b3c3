//! The daemon in the gateway.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command},
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use pointsman_lab::{LabError, Site, plan, wait_until};
use tempfile::TempDir;

use crate::{detector::Detector, peer};

/// How long the uplinks may take to be up.
const BOUND: Duration = Duration::from_secs(30);

pub(crate) struct Daemon {
    program: PathBuf,
    child: Child,
    directory: TempDir,
}

impl Daemon {
    /// Starts it, and waits until both uplinks are up.
    pub(crate) fn start(site: &Site, detector: Detector) -> Result<Self> {
        let program = program()?;
        let directory = tempfile::tempdir().context("cannot make a directory for the daemon")?;
        let file = directory.path().join("pointsman.toml");
        let socket = directory.path().join("api.sock");
        let configuration = format!(
            "[lan]\ninterfaces = [\"lan0\"]\n{}{}[api]\nsocket = \"{}\"\n[state]\npins = false\ndirectory = \"{}\"\n",
            uplink("fiber", 0, detector),
            uplink("cable", 1, detector),
            socket.display(),
            directory.path().join("state").display()
        );
        fs::write(&file, configuration)?;
        let log = File::create(directory.path().join("log"))?;
        let child = site
            .gateway
            .command(&program)
            .arg("run")
            .arg("--config")
            .arg(&file)
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let daemon = Self { program, child, directory };
        daemon.wait_until_all_are_up()?;
        Ok(daemon)
    }

    /// Waits until both uplinks are up.
    pub(crate) fn wait_until_all_are_up(&self) -> Result<()> {
        let is_up = || Ok::<_, LabError>(self.states() == ["up", "up"]);
        wait_until("both uplinks are up", BOUND, is_up).with_context(|| {
            let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
            format!("the states are {:?}; the daemon wrote:\n{log}", self.states())
        })
    }

    fn states(&self) -> Vec<String> {
        let output = Command::new(&self.program)
            .args(["status", "--json", "--socket"])
            .arg(self.directory.path().join("api.sock"))
            .output();
        let status = output
            .ok()
            .and_then(|output| serde_json::from_slice::<serde_json::Value>(&output.stdout).ok());
        let uplinks = status.as_ref().and_then(|status| status["uplinks"].as_array());
        let state = |uplink: &serde_json::Value| uplink["state"].as_str().map(str::to_owned);
        uplinks.into_iter().flatten().filter_map(state).collect()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        kill(Pid::from_raw(self.child.id() as i32), signal).context("the daemon is gone")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended, or be stopped.
        let _ = self.signal(Signal::SIGCONT);
        let _ = self.signal(Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

fn uplink(name: &str, index: usize, detector: Detector) -> String {
    let health = match detector {
        Detector::Carrier => String::new(),
        Detector::Icmp => format!(
            "health = {{ probes = [{{ kind = \"icmp\", target = \"{}\" }}], interval = \"100ms\", \
             down_after = 3 }}\n",
            plan::SERVER
        ),
        Detector::Bfd | Detector::Liveness => format!(
            "health = {{ bfd = {{ interval = \"{}ms\", multiplier = {} }} }}\n",
            peer::INTERVAL.as_millis(),
            peer::MULTIPLIER
        ),
    };
    format!(
        "[[uplink]]\nname = \"{name}\"\ninterface = \"wan{index}\"\ngateway = \"{}\"\n{health}",
        plan::isp(index)
    )
}

/// The daemon was built beside the benchmark's directory.
fn program() -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot find this program")?;
    let directory = own.ancestors().nth(2);
    Ok(directory.context("this program is not where cargo puts benchmarks")?.join("pointsman"))
}
