//! `build` and `build-and-run`.

use std::os::unix::process::CommandExt as _;

use anyhow::{Context as _, Result};

use crate::{
    privilege::Privilege,
    setup::{self, Scope},
    step::{Step, command, render, workspace_root},
};

/// Builds the XDP object and the daemon.
pub(crate) fn build() -> Result<()> {
    setup::ensure(Scope::Build)?;
    compile()
}

/// Builds, then becomes `pointsman` with `args`, or `pointsman demo` without.
pub(crate) fn build_and_run(args: &[String]) -> Result<()> {
    setup::ensure(Scope::Laboratory)?;
    let privilege = Privilege::find()?;
    compile()?;

    // Cargo knows where the binary is, and replaces itself by it: signals and exit code pass
    // through.
    let mut cargo = command("cargo");
    cargo
        .args(["run", "--quiet", "--release", "--package", "pointsman", "--bin", "pointsman"])
        // Not by changing directory: the paths in `args` are the user's.
        .arg("--manifest-path")
        .arg(workspace_root().join("Cargo.toml"))
        .args(privilege.cargo_args())
        .arg("--");
    if args.is_empty() {
        cargo.arg("demo");
    } else {
        cargo.args(args);
    }
    let line = render(&cargo);
    Err(cargo.exec()).with_context(|| format!("`{line}` does not start"))
}

fn compile() -> Result<()> {
    let mut cargo = command("cargo");
    cargo.args(["build", "--release", "--package", "pointsman"]);
    Step::new("building the XDP object and the daemon", cargo).run()
}
