//! BIRD in a provider's namespace.

use std::fs;
use std::path::PathBuf;
use std::process::Child;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pointsman_lab::Namespace;
use tempfile::TempDir;

/// A BIRD that has a BFD session with the gateway, until it is dropped.
pub(crate) struct Bird {
    host: Namespace,
    directory: TempDir,
    process: Child,
}

impl Bird {
    /// Starts it, for a session of this interval and multiplier with a neighbour. `authentication` is
    /// what its configuration says of that.
    pub(crate) fn start(host: &Namespace, neighbour: &str, authentication: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("bird.conf");
        let configuration = format!(
            "router id 192.0.2.1;\n\
             protocol device {{ }}\n\
             protocol bfd {{\n\
               interface \"customer\" {{ interval 10 ms; multiplier 3; {authentication} }};\n\
               neighbor {neighbour} dev \"customer\";\n\
             }}\n"
        );
        fs::write(&file, configuration).unwrap();
        let process = host
            .command("bird")
            .args(["-f", "-c"])
            .arg(&file)
            .arg("-s")
            .arg(directory.path().join("bird.ctl"))
            .spawn()
            .unwrap();
        Self { host: host.clone(), directory, process }
    }

    /// What it says of its session: the state, and the interval and the timeout in seconds.
    pub(crate) fn session(&self) -> Option<(String, f64, f64)> {
        let output = self
            .host
            .command("birdc")
            .arg("-s")
            .arg(self.socket())
            .args(["show", "bfd", "sessions"])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        // Address, interface, state, since, interval, timeout.
        let line = text.lines().find(|line| line.contains(" customer "))?;
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, _, state, _, interval, timeout] = fields[..] else { return None };
        Some((state.to_owned(), interval.parse().ok()?, timeout.parse().ok()?))
    }

    pub(crate) fn is_up(&self) -> bool {
        self.session().is_some_and(|(state, ..)| state == "Up")
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id() as i32), signal).unwrap();
    }

    /// Puts it before all ordinary tasks.
    pub(crate) fn claim_realtime(&self) {
        let pid = self.process.id().to_string();
        let status =
            self.host.command("chrt").args(["--fifo", "--pid", "1", &pid]).status().unwrap();
        assert!(status.success(), "{status}");
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("bird.ctl")
    }
}

impl Drop for Bird {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
