//! Going over to what the file says now: whole, or not at all.

use std::path::Path;
use std::time::Instant;

use super::{Daemon, followed};
use crate::config::{self, Config, ConfigError, Difference};
use crate::control::successor::{Successor, replace};
use crate::control::{Controller, InstallError, Unfit};

/// Why a configuration does not take the place of the one that holds.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReloadError {
    /// There is none in the file.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Something that is different does not fit the host.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The data plane refuses some of it. It has been given back what it had.
    #[error("it cannot be installed: {0}")]
    Install(#[from] InstallError),
}

/// What a file would change if it were read now.
#[derive(Debug)]
pub struct Comparison {
    /// What is different in it.
    pub differences: Vec<Difference>,
    /// Why it would be refused, if it would.
    pub refusal: Option<Unfit>,
}

impl Daemon {
    /// Reads the file again. One that is wrong, or that cannot be installed, changes nothing.
    pub(super) fn reload(&mut self) {
        let file = self.config_file.clone();
        self.supervisor.reloading();
        let error = match self.read_again(&file) {
            Ok(differences) => {
                let file = file.display();
                for difference in &differences {
                    log::info!("{file}: {difference}");
                }
                let nothing = if differences.is_empty() { ", nothing is different" } else { "" };
                log::info!("{file}: read again{nothing}");
                None
            }
            Err(error) => {
                log::error!("{}: the configuration stays as it was:\n{error}", file.display());
                Some(error.to_string())
            }
        };
        self.last_reload_error = error;
        self.reloads += 1;
        self.tell_ready();
    }

    fn read_again(&mut self, file: &Path) -> Result<Vec<Difference>, ReloadError> {
        let (config, warnings) = config::load(file)?;
        for warning in warnings {
            log::warn!("{warning}");
        }
        let successor = Successor::new(&self.controller, config, Instant::now());
        if let Some(unfit) = successor.refusal(&self.controller) {
            return Err(unfit.into());
        }
        self.go_over(successor)
    }

    fn go_over(&mut self, successor: Successor) -> Result<Vec<Difference>, ReloadError> {
        let Successor { differences, controller, changes } = successor;
        // What does not work already is no reason to refuse something else.
        let standing = self.install();
        // Before a number is used that another daemon is to know.
        self.dataplane.remember(controller.names()).map_err(InstallError::from)?;
        self.dataplane.set_offloads(controller.config().host.offloads);
        let of = |controller: &Controller| (controller.policy(), controller.alive());
        let (old, new) = (of(&self.controller), of(&controller));
        let plane = (&mut self.installer, &mut self.dataplane);
        if let Err(error) = replace(plane, &old, &new, &standing) {
            self.controller.pass_over_generations(&controller);
            self.dataplane.set_offloads(self.controller.config().host.offloads);
            self.apply(&[]);
            return Err(error.into());
        }
        self.controller = controller;
        let config = self.controller.config();
        self.sweeper.set_timers(&config.timers);
        self.watcher.follow(followed(config));
        self.apply(&changes);
        Ok(differences)
    }

    /// Says what a reload of this configuration would change.
    pub(super) fn compare(&self, config: Config) -> Comparison {
        let successor = Successor::new(&self.controller, config, Instant::now());
        let refusal = successor.refusal(&self.controller);
        Comparison { differences: successor.differences, refusal }
    }
}
