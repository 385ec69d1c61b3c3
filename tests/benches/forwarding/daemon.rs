//! Pointsman itself.

use std::{
    fs::{self, File},
    io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Child, Command, Output},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use pointsman_lab::{LabError, plan, wait_until};
use tempfile::TempDir;

use crate::{TABLE_ENTRIES, chain::Hosts, flows::Lan, gateway::Gateway, service::Service};

/// How long the daemon may take to be ready.
const READY: Duration = Duration::from_secs(10);

/// The daemon, in the gateway's host.
pub(crate) struct Daemon {
    program: PathBuf,
    child: Child,
    directory: TempDir,
}

impl Gateway for Daemon {
    fn state(&self) -> Option<String> {
        let status = self.status(&[]).ok()?;
        Some(format!(
            "{}{}",
            String::from_utf8_lossy(&status.stdout),
            String::from_utf8_lossy(&status.stderr)
        ))
    }
}

impl Daemon {
    /// Starts the daemon, and waits until its uplink takes flows.
    pub(crate) fn start(hosts: &Hosts, service: Service, lan: Lan) -> Result<Self> {
        let program = program()?;
        let directory = tempfile::tempdir().context("cannot make a directory for the daemon")?;
        let file = directory.path().join("pointsman.toml");
        fs::write(&file, configuration(&socket(&directory), service, lan))?;
        let log = File::create(log(&directory))?;
        let child = hosts
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
        wait_until("Pointsman has its uplink up", READY, || Ok::<_, LabError>(daemon.is_ready()))
            .with_context(|| daemon.complaint())?;
        Ok(daemon)
    }

    /// Runs `pointsman status`.
    fn status(&self, arguments: &[&str]) -> io::Result<Output> {
        Command::new(&self.program)
            .arg("status")
            .args(arguments)
            .arg("--socket")
            .arg(socket(&self.directory))
            .output()
    }

    /// Whether the daemon answers, and says that its uplink is up and knows its next hops.
    fn is_ready(&self) -> bool {
        let Ok(output) = self.status(&["--json"]) else {
            return false;
        };
        let Ok(status) = serde_json::from_slice::<serde_json::Value>(&output.stdout) else {
            return false;
        };
        let uplink = &status["uplinks"][0];
        uplink["state"] == "up"
            && uplink["gateway_mac"].is_string()
            && uplink["ipv6"]["missing"].is_null()
    }

    /// What the daemon wrote.
    fn complaint(&self) -> String {
        let log = fs::read_to_string(log(&self.directory)).unwrap_or_default();
        format!("Pointsman does not get ready; it wrote:\n{log}")
    }
}

fn socket(directory: &TempDir) -> PathBuf {
    directory.path().join("pointsman.sock")
}

fn log(directory: &TempDir) -> PathBuf {
    directory.path().join("log")
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

/// One uplink, which is up while it has a carrier, flows that outlast the run, and room for all
/// that are answered, and for the mappings of all of the LAN's ends.
fn configuration(socket: &Path, service: Service, lan: Lan) -> String {
    let addresses: Vec<_> = (0..lan.addresses())
        .map(|number| format!("\"{}\"", Ipv4Addr::from(u32::from(plan::gateway(0)) + number)))
        .collect();
    let (nat, max) = match (lan, service) {
        // The share of a host is not what limits it here, and none of its flows is answered.
        (Lan::Opening { .. }, _) => ("unreplied_per_host = 1048576\n", String::new()),
        (Lan::Ordinary, Service::Nat44) => ("", format!("max = {TABLE_ENTRIES}\n")),
        // The default has room for all that are measured.
        (Lan::Ordinary, _) => ("", String::new()),
    };
    format!(
        "[lan]\n\
         interfaces = [\"lan0\"]\n\
         [[uplink]]\n\
         name = \"isp\"\n\
         interface = \"wan0\"\n\
         gateway = \"{}\"\n\
         ipv4 = {{ addresses = [{}] }}\n\
         {}\
         [nat]\n\
         {nat}\
         {}\
         [timers]\n\
         udp = \"1h\"\n\
         [flows]\n\
         {max}\
         mappings = {}\n\
         [state]\n\
         pins = false\n\
         directory = \"{}\"\n\
         [api]\n\
         socket = \"{}\"\n",
        plan::isp(0),
        addresses.join(", "),
        service.uplink_setting(),
        service.section(),
        2 << lan.ends(),
        socket.with_file_name("state").display(),
        socket.display(),
    )
}

/// The daemon's binary, as cargo builds it beside its benchmarks.
fn program() -> Result<PathBuf> {
    let this = std::env::current_exe().context("cannot find this program")?;
    let program = this
        .ancestors()
        .nth(2)
        .context("this program is not where cargo puts benchmarks")?
        .join("pointsman");
    ensure!(
        program.exists(),
        "there is no {}; build it with `cargo build --release --package pointsman`",
        program.display()
    );
    Ok(program)
}
