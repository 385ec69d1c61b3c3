//! What started the daemon, if it wants to know how that goes (sd_notify(3)).

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// The service manager, or nobody.
pub(super) struct Supervisor {
    /// When to say that the daemon is alive: twice in the time after which it is taken for dead.
    due: Option<Interval>,
}

impl Supervisor {
    /// That of the process. In a Tokio runtime with time.
    pub(super) fn new() -> Self {
        let patience = sd_notify::watchdog_enabled().filter(|patience| *patience > Duration::ZERO);
        let due = patience.map(|patience| {
            let mut due = interval(patience / 2);
            due.set_missed_tick_behavior(MissedTickBehavior::Delay);
            due
        });
        Self { due }
    }

    /// The gateway works, with so many uplinks of all.
    pub(super) fn ready(&self, up: usize, all: usize) {
        tell(&[NotifyState::Ready, NotifyState::Status(&status(up, all))]);
    }

    /// The configuration is being read again, until [`Self::ready`].
    pub(super) fn reloading(&self) {
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            tell(&[NotifyState::Reloading, now]);
        }
    }

    /// So many uplinks work.
    pub(super) fn status(&self, up: usize, all: usize) {
        tell(&[NotifyState::Status(&status(up, all))]);
    }

    /// The daemon ends.
    pub(super) fn stopping(&self) {
        tell(&[NotifyState::Stopping]);
    }

    /// Waits until it is time to say that the daemon is alive, and says it; for ever, where nobody asks.
    pub(super) async fn alive(&mut self) {
        match &mut self.due {
            Some(due) => {
                due.tick().await;
                tell(&[NotifyState::Watchdog]);
            }
            None => std::future::pending().await,
        }
    }
}

fn status(up: usize, all: usize) -> String {
    format!("{up} of {all} uplinks are up")
}

/// Tells the service manager, if there is one.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        log::warn!("the service manager is not told: {error}");
    }
}
