//! What the service manager is told (sd_notify(3)).

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pointsman_lab::Site;

use crate::support::{BOUND, configuration};

/// Waits for a message with this line.
fn expect(manager: &UnixDatagram, line: &str) {
    let mut heard = Vec::new();
    loop {
        let mut bytes = [0; 4096];
        let length = manager.recv(&mut bytes).unwrap_or_else(|e| panic!("{line}: {e}; {heard:?}"));
        let message = String::from_utf8(bytes[..length].to_vec()).unwrap();
        if message.lines().any(|told| told.starts_with(line)) {
            return;
        }
        heard.push(message);
    }
}

struct Running(Child);

impl Running {
    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id() as i32), signal).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_service_manager_is_told_of_start_life_reload_and_end() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pointsman.toml");
    fs::write(&file, configuration(directory.path())).unwrap();
    let socket = directory.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(BOUND)).unwrap();
    let site = Site::builder().build().unwrap();
    let mut command = site.gateway.command(env!("CARGO_BIN_EXE_pointsman"));
    let command = command.args(["run", "--config"]).arg(&file).stderr(Stdio::null());
    let command = command.env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "200000");
    let mut daemon = Running(command.spawn().unwrap());
    expect(&manager, "READY=1");
    expect(&manager, "WATCHDOG=1");
    expect(&manager, "STATUS=2 of 2 uplinks are up");
    expect(&manager, "WATCHDOG=1");
    daemon.signal(Signal::SIGHUP);
    expect(&manager, "RELOADING=1");
    expect(&manager, "READY=1");
    daemon.signal(Signal::SIGTERM);
    expect(&manager, "STOPPING=1");
    assert!(daemon.0.wait().unwrap().success());
}
