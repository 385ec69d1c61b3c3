//! A site with the daemon in its gateway, for the tests that send packets through it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use pointsman::api::status::Status;
use pointsman_lab::plan::SERVER;
use pointsman_lab::{LabError, Namespace, Site, wait_until};
use tempfile::TempDir;

/// How long anything may take that happens at once.
pub(crate) const BOUND: Duration = Duration::from_secs(20);

const POINTSMAN: &str = env!("CARGO_BIN_EXE_pointsman");

/// The configuration of a site with two uplinks; the API's socket is in `directory`.
pub(crate) fn configuration(directory: &Path) -> String {
    let cable = format!(
        "[[uplink]]\n\
         name = \"cable\"\n\
         interface = \"wan1\"\n\
         health = {}\n",
        health()
    );
    single_configuration(directory, &cable)
}

/// The configuration of a site with one uplink, and what `more` adds.
pub(crate) fn single_configuration(directory: &Path, more: &str) -> String {
    let socket = directory.join("api.sock");
    format!(
        "[lan]\n\
         interfaces = [\"lan0\"]\n\
         [[uplink]]\n\
         name = \"fiber\"\n\
         interface = \"wan0\"\n\
         gateway = \"203.0.113.1\"\n\
         weight = 3\n\
         health = {}\n\
         {more}\
         [state]\n\
         pins = false\n\
         directory = \"{}\"\n\
         [api]\n\
         socket = \"{}\"\n",
        health(),
        directory.join("state").display(),
        socket.display()
    )
}

fn health() -> String {
    format!("{{ probes = [{{ kind = \"icmp\", target = \"{SERVER}\" }}], interval = \"50ms\" }}")
}

/// A site whose gateway runs the daemon.
pub(crate) struct Gateway {
    pub(crate) site: Site,
    pub(crate) directory: TempDir,
    pub(crate) daemon: Daemon,
}

impl Gateway {
    /// Starts the daemon in the gateway of a site, and waits until all uplinks are up. The API's socket
    /// is in the directory that the configuration is for.
    pub(crate) fn configured(site: Site, configuration: impl FnOnce(&Path) -> String) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pointsman.toml");
        fs::write(&file, configuration(directory.path())).unwrap();
        let daemon = Daemon::start(&site.gateway, &file);
        let gateway = Self { site, directory, daemon };
        gateway.wait_for("all uplinks are up", |status| {
            status.uplinks.iter().all(|uplink| uplink.state == "up")
        });
        gateway
    }

    pub(crate) fn status(&self) -> Status {
        let output = pointsman(
            &self.site.gateway,
            &["status", "--json", "--socket"],
            &[&self.directory.path().join("api.sock")],
        );
        assert!(output.status.success(), "{output:?}\n{}", self.daemon.log());
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub(crate) fn wait_for(&self, what: &str, mut condition: impl FnMut(&Status) -> bool) {
        let mut last = None;
        let waited = wait_until(what, BOUND, || {
            let status = self.status();
            let holds = condition(&status);
            last = Some(status);
            Ok::<_, LabError>(holds)
        });
        if let Err(error) = waited {
            panic!("{error}\n{last:#?}\n{}", self.daemon.log());
        }
    }
}

impl Drop for Gateway {
    /// A test that fails says how the gateway is.
    fn drop(&mut self) {
        if thread::panicking() {
            let arguments = ["status", "--json", "--socket"];
            let socket = self.directory.path().join("api.sock");
            let status = pointsman(&self.site.gateway, &arguments, &[&socket]);
            let status = String::from_utf8_lossy(&status.stdout).into_owned();
            eprintln!("{status}\n{}", self.daemon.log());
        }
    }
}

/// A running daemon, and what it has said.
pub(crate) struct Daemon {
    pub(crate) process: Child,
    log: Arc<Mutex<String>>,
}

impl Daemon {
    /// Starts the daemon and waits until it is ready.
    pub(crate) fn start(host: &Namespace, file: &Path) -> Self {
        let mut process = host
            .command(POINTSMAN)
            .args(["run", "--config"])
            .arg(file)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(process.stderr.take().unwrap());
        let log = Arc::new(Mutex::new(String::new()));
        let writer = Arc::clone(&log);
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                *writer.lock().unwrap() += &format!("{line}\n");
            }
        });
        let daemon = Self { process, log };
        daemon.wait_for_log("ready");
        daemon
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    fn wait_for_log(&self, text: &str) {
        let waited =
            wait_until(&format!("the log has {text:?}"), BOUND, || Ok(self.log().contains(text)));
        if let Err(error) = waited {
            panic!("{error}; it has\n{}", self.log());
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs another `pointsman` to its end.
pub(crate) fn pointsman(host: &Namespace, arguments: &[&str], paths: &[&Path]) -> Output {
    host.command(POINTSMAN).args(arguments).args(paths).output().unwrap()
}
