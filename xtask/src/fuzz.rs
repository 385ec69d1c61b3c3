//! `fuzz`.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use clap::Args;

use crate::{
    setup::{self, Scope},
    step::{Step, command},
};

/// How long, and from where.
#[derive(Args)]
pub(crate) struct Options {
    /// For how many seconds.
    #[arg(long, default_value_t = 60)]
    pub(crate) seconds: u64,
    /// Where the random numbers start: the time, unless it is said. It is printed.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
}

/// Runs random sequences of packets and events of IPv4, of IPv6 and of NAT64, by turns, through the path on the
/// host and through the models of each, on all cores. Fails where they differ, with a sequence that shows it.
pub(crate) fn fuzz(options: &Options) -> Result<()> {
    setup::ensure(Scope::Build)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| now.as_secs());
    let mut cargo = command("cargo");
    cargo
        .args(["test", "--quiet", "--release", "--package", "pointsman-ebpf"])
        .args(["--test", "differential", "--", "--ignored", "--exact", "fuzz::for_a_time"])
        .arg("--nocapture")
        .env("POINTSMAN_FUZZ_SECONDS", options.seconds.to_string())
        .env("POINTSMAN_FUZZ_SEED", options.seed.unwrap_or(now).to_string());
    Step::new("path and model over random sequences", cargo).pass_output().run()
}
