use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::ConfigFile;
use super::daemon::{ANSWER_BOUND, ask};
use super::output::say;
use crate::api::{ClientError, stop};
use crate::config;
use crate::dataplane::{Pins, PinsError};
use crate::nic::{Ethtool, Keeper, Remark};

/// How long a daemon may take to end.
const BOUND: Duration = Duration::from_secs(10);

/// How often it is looked at whether it has.
const INTERVAL: Duration = Duration::from_millis(20);

/// Ends the daemon, if there is one, and removes all that it has left in the kernel.
pub(super) fn down(file: &ConfigFile) -> anyhow::Result<()> {
    let (config, _) = config::load(&file.config)?;
    let stopped = stop_daemon(&config.api.socket)?;
    let Some(path) = config.state.pins.as_deref() else {
        return say(if stopped { "the daemon ends" } else { "there was nothing" });
    };
    if !path.exists() && !stopped {
        return say("there was nothing");
    }
    let pins = match await_pins(path) {
        // Of a daemon that could keep nothing, nothing is left.
        Err(PinsError::Refused { .. }) if stopped => return say("the daemon ends"),
        opened => opened?,
    };
    let memo = pins.memo()?;
    pins.remove().with_context(|| format!("cannot remove {}", path.display()))?;
    // When the programs have left the NICs.
    let mut keeper = Keeper::new(Ethtool);
    keeper.inherit(memo.map(|memo| memo.offloads).unwrap_or_default());
    keeper.release_all().iter().for_each(Remark::log);
    say("the data plane is removed")
}

/// Has the daemon that listens there end. Whether there was one.
fn stop_daemon(socket: &Path) -> anyhow::Result<bool> {
    match ask(socket, ANSWER_BOUND, stop(socket)) {
        Ok(()) => Ok(true),
        Err(error) if is_unreachable(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_unreachable(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(ClientError::Unreachable { .. }))
}

/// The directory, once no daemon has it.
fn await_pins(path: &Path) -> Result<Pins, PinsError> {
    let bound = Instant::now() + BOUND;
    loop {
        match Pins::open(path) {
            Err(PinsError::InUse(_)) if Instant::now() < bound => thread::sleep(INTERVAL),
            opened => return opened,
        }
    }
}
