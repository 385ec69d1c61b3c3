//! `lint`.

use std::{env::consts::ARCH, process::Command};

use anyhow::Result;

use crate::{
    setup::{self, Scope},
    step::{Step, command, target_dir},
    tidy,
};

/// Runs every check that does not run the code.
pub(crate) fn lint() -> Result<()> {
    setup::ensure(Scope::Build)?;
    tidy::tidy()?;

    let mut fmt = command("cargo");
    fmt.args(["fmt", "--all", "--check"]);
    Step::new("formatting", fmt).run()?;

    // Before the host, whose build scripts build these too, and would wrap the errors in their own.
    let xdp = clippy_for_bpf("pointsman-ebpf", &["--lib", "--bins"]);
    Step::new("clippy on the packet path, for the BPF target", xdp).run()?;
    let lab = clippy_for_bpf("pointsman-lab-ebpf", &["--bins"]);
    Step::new("clippy on the laboratory's programs, for the BPF target", lab).run()?;

    let mut clippy = command("cargo");
    clippy.args(["clippy", "--all-targets", "--", "-D", "warnings"]);
    Step::new("clippy on the host", clippy).run()?;

    let mut doc = command("cargo");
    doc.args(["doc", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
    Step::new("documentation", doc).run()
}

/// Clippy with the flags by which `aya-build` builds the object.
fn clippy_for_bpf(package: &str, targets: &[&str]) -> Command {
    let mut cargo = command("cargo");
    cargo
        .args(["clippy", "--package", package, "--features", "kernel"])
        .args(targets)
        .args(["--target", "bpfel-unknown-none", "-Z", "build-std=core", "--target-dir"])
        .arg(target_dir("bpf-lint"))
        .args(["--", "-D", "warnings"])
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", format!("--cfg=bpf_target_arch=\"{ARCH}\""));
    cargo
}
