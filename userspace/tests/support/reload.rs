//! Giving a running daemon another configuration.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::Gateway;

impl Gateway {
    /// Writes the configuration file anew and tells the daemon.
    pub(crate) fn reload(&self, configuration: &str) {
        fs::write(self.directory.path().join("pointsman.toml"), configuration).unwrap();
        kill(Pid::from_raw(self.daemon.process.id() as i32), Signal::SIGHUP).unwrap();
    }
}
