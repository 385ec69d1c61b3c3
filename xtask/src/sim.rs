//! `sim`.

use anyhow::Result;
use clap::Args;

use crate::{
    setup::{self, Scope},
    step::{Step, command},
};

/// How long, from where, and how many.
#[derive(Args)]
pub(crate) struct Options {
    /// For how many seconds.
    #[arg(long, default_value_t = 60)]
    pub(crate) seconds: u64,
    /// The seed of the first run; those that follow have the next ones. The time, unless it is said.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// After how many runs it ends, if there is time for them.
    #[arg(long)]
    pub(crate) runs: Option<u64>,
}

/// Runs the control plane on simulated hosts, on all cores. Fails where something that must hold does not, with the
/// shortest list of events that shows it.
pub(crate) fn sim(options: &Options) -> Result<()> {
    setup::ensure(Scope::Build)?;
    let mut cargo = command("cargo");
    cargo
        .args(["test", "--quiet", "--release", "--package", "pointsman", "--test", "sim"])
        .args(["--", "--ignored", "--exact", "for_a_time", "--nocapture"])
        .env("POINTSMAN_SIM_SECONDS", options.seconds.to_string());
    if let Some(seed) = options.seed {
        cargo.env("POINTSMAN_SIM_SEED", seed.to_string());
    }
    if let Some(runs) = options.runs {
        cargo.env("POINTSMAN_SIM_RUNS", runs.to_string());
    }
    Step::new("the control plane on simulated hosts", cargo).pass_output().run()
}
