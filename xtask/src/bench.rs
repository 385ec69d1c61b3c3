//! `bench`.

use std::os::unix::process::CommandExt as _;

use anyhow::{Context as _, Result};

use crate::{
    privilege::Privilege,
    setup::{self, Scope},
    step::{Step, command, render, workspace_root},
};

const BENCHMARK: [&str; 4] = ["bench", "--package", "pointsman-lab", "--bench"];

/// The benchmark that is run unless another is named, and the others.
const DEFAULT: &str = "forwarding";
const OTHERS: [&str; 1] = ["failover"];

/// Builds the benchmark, then becomes it: its standard output is passed on unaltered.
pub(crate) fn bench(args: &[String]) -> Result<()> {
    let (name, args) = chosen(args);
    setup::ensure(Scope::Laboratory)?;
    let privilege = Privilege::find()?;
    // The benchmark starts the daemon from beside its own directory.
    let mut daemon = command("cargo");
    daemon.args(["build", "--release", "--package", "pointsman"]);
    Step::new("building the daemon", daemon).run()?;
    let mut build = command("cargo");
    build.args(BENCHMARK).arg(name).arg("--no-run");
    Step::new("building the benchmark", build).run()?;

    let mut cargo = command("cargo");
    cargo
        .args(BENCHMARK)
        .arg(name)
        .arg("--quiet")
        .args(privilege.cargo_args())
        .arg("--")
        .args(args)
        .current_dir(workspace_root());
    let line = render(&cargo);
    Err(cargo.exec()).with_context(|| format!("`{line}` does not start"))
}

/// Which benchmark is meant, and its arguments.
fn chosen(args: &[String]) -> (&str, &[String]) {
    match args {
        [first, rest @ ..] if OTHERS.contains(&first.as_str()) => (first, rest),
        _ => (DEFAULT, args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_benchmark_is_named_first_or_not_at_all() {
        let args = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(chosen(&args(&["--json"])), ("forwarding", &args(&["--json"])[..]));
        let named = args(&["failover", "--json"]);
        assert_eq!(chosen(&named), ("failover", &args(&["--json"])[..]));
        assert_eq!(chosen(&[]), ("forwarding", &[][..]));
    }
}
