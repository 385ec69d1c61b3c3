//! What is to take the place of a controller whose configuration is another one now, and how its policy
//! takes the place of the other's: all of it, or nothing.

use std::time::Instant;

use super::startup::unfit;
use super::{Change, Controller, InstallError, Installer, Policy, Unfit};
use crate::config::{self, Config, Difference};
use crate::dataplane::{AttachError, Dataplane};

/// A controller with another configuration, which knows all that the one before it knows.
pub(super) struct Successor {
    /// What is different in the configuration.
    pub(super) differences: Vec<Difference>,
    pub(super) controller: Controller,
    /// Whose state is another by that.
    pub(super) changes: Vec<Change>,
}

impl Successor {
    /// With a configuration, but for what takes a restart: the tables have their sizes, the API its socket, and
    /// what is kept its place.
    pub(super) fn new(held: &Controller, mut config: Config, now: Instant) -> Self {
        let old = held.config();
        let differences = config::diff(old, &config);
        config.tables = old.tables;
        config.api = old.api.clone();
        config.state = old.state.clone();
        let mut controller = held.clone();
        let changes = controller.configure(config, now);
        Self { differences, controller, changes }
    }

    /// What does not fit the host because of what is different. What did not before is no mistake in the
    /// file: an interface may have been pulled out since the start.
    pub(super) fn refusal(&self, held: &Controller) -> Option<Unfit> {
        let before = unfit(held);
        unfit(&self.controller).into_iter().find(|unfit| !before.contains(unfit))
    }
}

/// A policy, and the uplinks that may carry traffic.
type Decision = (Policy, u64);

/// Installs the new policy in the place of the old one, which is installed but for what is `standing` in its
/// way. Where something else is in the way of the new one, the old one is installed again.
///
/// An interface that has just vanished is no obstacle: the kernel will tell of it.
///
/// # Errors
/// The first thing that is in the way of the new one. Interfaces that both policies have keep the program
/// in either case, and so do those of the old one in this.
pub(super) fn replace(
    (installer, dataplane): (&mut Installer, &mut impl Dataplane),
    (old, old_alive): &Decision,
    (new, new_alive): &Decision,
    standing: &[InstallError],
) -> Result<(), InstallError> {
    let is_new = |error: &InstallError| {
        let text = error.to_string();
        !matches!(error, InstallError::Attach(AttachError::Missing { .. }))
            && standing.iter().all(|standing| standing.to_string() != text)
    };
    let errors = installer.install_beside(dataplane, new, *new_alive);
    match errors.into_iter().find(is_new) {
        None => {
            installer.detach(dataplane, new);
            Ok(())
        }
        Some(error) => {
            // Networks that are not the LAN's after all: their flows go on by uplinks.
            drop(installer.take_joined());
            // What does not work now is tried again with each installation.
            drop(installer.install(dataplane, old, *old_alive));
            Err(error)
        }
    }
}
