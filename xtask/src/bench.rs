//! `bench`.

use std::os::unix::process::CommandExt as _;

use anyhow::{Context as _, Result};

use crate::{
    privilege::Privilege,
    setup::{self, Scope},
    step::{Step, command, render, workspace_root},
};

const BENCHMARK: [&str; 5] = ["bench", "--package", "pointsman-lab", "--bench", "forwarding"];

/// Builds the benchmark, then becomes it: its standard output is passed on unaltered.
pub(crate) fn bench(args: &[String]) -> Result<()> {
    setup::ensure(Scope::Laboratory)?;
    let privilege = Privilege::find()?;
    // The benchmark starts the daemon from beside its own directory.
    let mut daemon = command("cargo");
    daemon.args(["build", "--release", "--package", "pointsman"]);
    Step::new("building the daemon", daemon).run()?;
    let mut build = command("cargo");
    build.args(BENCHMARK).arg("--no-run");
    Step::new("building the benchmark", build).run()?;

    let mut cargo = command("cargo");
    cargo
        .args(BENCHMARK)
        .arg("--quiet")
        .args(privilege.cargo_args())
        .arg("--")
        .args(args)
        .current_dir(workspace_root());
    let line = render(&cargo);
    Err(cargo.exec()).with_context(|| format!("`{line}` does not start"))
}
