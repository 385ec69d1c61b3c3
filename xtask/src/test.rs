//! `test`.

use std::{panic, process::Command, thread};

use anyhow::Result;
use clap::Args;

use crate::{
    privilege::Privilege,
    setup::{self, Scope},
    step::{Step, command, target_dir},
};

/// The packages whose tests make network namespaces, and so run as root.
const LABORATORY: [&str; 2] = ["pointsman-lab", "pointsman"];
/// The rest of the workspace. One package of the laboratory holds programs for the BPF target only.
const OTHERS: &str =
    "--workspace --exclude pointsman-lab --exclude pointsman --exclude pointsman-lab-ebpf";
/// The package that Miri interprets.
const PACKET_PATH: &str = "pointsman-ebpf";

/// What to test: everything, unless something narrower is asked for.
#[derive(Args, Default)]
pub(crate) struct Options {
    /// Tests this package only (may be repeated).
    #[arg(short, long = "package", value_name = "PACKAGE")]
    pub(crate) packages: Vec<String>,
    /// Runs this file of the laboratory's tests only.
    #[arg(long = "test", value_name = "FILE", conflicts_with = "packages")]
    pub(crate) file: Option<String>,
    /// Runs Miri also when not everything is tested.
    #[arg(long)]
    pub(crate) miri: bool,
    /// Runs only the tests whose names contain this.
    pub(crate) filter: Option<String>,
    /// Arguments for the test binaries, as `--nocapture`.
    #[arg(last = true, value_name = "ARGS")]
    pub(crate) args: Vec<String>,
}

impl Options {
    /// Adds the filter and the arguments for the test binaries.
    fn append_to(&self, cargo: &mut Command) {
        cargo.args(&self.filter).arg("--").args(&self.args);
    }
}

/// Which of the suites run, and on which packages.
#[derive(Debug, PartialEq, Eq)]
struct Plan<'a> {
    /// How cargo is told the packages that are tested as the user, if there are any.
    unprivileged: Option<Vec<&'a str>>,
    /// Which packages of the laboratory are tested.
    laboratory: Vec<&'a str>,
    miri: bool,
}

impl<'a> Plan<'a> {
    fn new(options: &'a Options) -> Self {
        if options.file.is_some() {
            return Self {
                unprivileged: None,
                laboratory: LABORATORY.to_vec(),
                miri: options.miri,
            };
        }
        if options.packages.is_empty() {
            return Self {
                unprivileged: Some(OTHERS.split(' ').collect()),
                laboratory: LABORATORY.to_vec(),
                miri: options.miri || (options.filter.is_none() && options.args.is_empty()),
            };
        }
        let packages = options.packages.iter().map(String::as_str);
        let (laboratory, others): (Vec<_>, Vec<_>) =
            packages.partition(|package| LABORATORY.contains(package));
        let others: Vec<_> =
            others.into_iter().flat_map(|package| ["--package", package]).collect();
        Self {
            unprivileged: (!others.is_empty()).then_some(others),
            laboratory,
            miri: options.miri,
        }
    }
}

/// Runs the tests, from cheap to dear.
pub(crate) fn test(options: &Options) -> Result<()> {
    let plan = Plan::new(options);
    setup::ensure(if plan.miri { Scope::Tests } else { Scope::Laboratory })?;
    if let Some(packages) = &plan.unprivileged {
        let mut cargo = command("cargo");
        cargo.arg("test").args(packages);
        options.append_to(&mut cargo);
        Step::new("unit and property tests", cargo).pass_output().run()?;
    }
    if plan.miri {
        run_miri(options)?;
    }
    if !plan.laboratory.is_empty() {
        let mut cargo = command("cargo");
        cargo.arg("test").args(Privilege::find()?.cargo_args());
        for package in &plan.laboratory {
            cargo.args(["--package", package]);
        }
        if let Some(file) = &options.file {
            cargo.args(["--test", file]);
        }
        options.append_to(&mut cargo);
        Step::new("tests in the laboratory", cargo).pass_output().run()?;
    }
    Ok(())
}

/// Runs Miri over everything at once that it is run over: each of its processes takes one CPU only.
fn run_miri(options: &Options) -> Result<()> {
    let mut suites =
        miri(&["--lib", "--test=properties", "--test=race", "--test=table", "--test=differential"]);
    options.append_to(&mut suites);
    let suites = Step::new("the packet path under Miri", suites).pass_output();
    let mut cases = miri(&["--test=cases"]);
    if options.filter.is_some() || !options.args.is_empty() {
        options.append_to(&mut cases);
    } else {
        cases.arg("--").args(MIRI_CASES).args(["--skip", "flood"]);
    }
    // In the midst of the other's output, its own would be read by nobody.
    let cases = Step::new("cases of the packet path under Miri", cases).hide_output();
    thread::scope(|scope| {
        let cases = scope.spawn(|| cases.run());
        let suites = suites.run();
        let cases = cases.join().unwrap_or_else(|panic| panic::resume_unwind(panic));
        suites.and(cases)
    })
}

/// The cases that run under Miri: those that reach every access to a frame. A case takes seconds
/// there, and there are hundreds.
const MIRI_CASES: [&str; 7] = [
    "cases::translation",
    "cases::mss",
    "cases::fragments",
    "cases::icmp_errors::",
    "cases::malformed",
    "ipv6::mss",
    "ipv6::malformed",
];

/// Miri over suites of the library that runs in the kernel.
fn miri(suites: &[&str]) -> Command {
    let mut cargo = command("cargo");
    cargo
        .args(["+nightly", "miri", "test", "--package", PACKET_PATH])
        .args(suites)
        .arg("--target-dir")
        .arg(target_dir("miri"))
        // Miri is hundreds of times slower than the machine. Regressions are kept by ordinary runs:
        // a file is not to be had in Miri's isolation, which keeps a run reproducible.
        .env("PROPTEST_CASES", "4")
        .env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "true")
        // A packet has no alignment: an access that is aligned by luck is an error.
        .env(
            "MIRIFLAGS",
            "-Zmiri-strict-provenance -Zmiri-symbolic-alignment-check \
             -Zmiri-env-forward=PROPTEST_CASES \
             -Zmiri-env-forward=PROPTEST_DISABLE_FAILURE_PERSISTENCE",
        );
    cargo
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_arguments_everything_runs() {
        let options = Options::default();
        let plan = Plan::new(&options);
        assert!(plan.unprivileged.is_some() && plan.laboratory == LABORATORY && plan.miri);
    }

    #[test]
    fn a_filter_leaves_miri_out_unless_asked_for() {
        let mut options = Options { filter: Some("nat".to_owned()), ..Options::default() };
        let plan = Plan::new(&options);
        assert!(plan.unprivileged.is_some() && plan.laboratory == LABORATORY && !plan.miri);
        options.miri = true;
        assert!(Plan::new(&options).miri);
    }

    #[test]
    fn a_file_is_the_laboratory_s() {
        let options = Options { file: Some("forwarding".to_owned()), ..Options::default() };
        let plan = Plan { unprivileged: None, laboratory: LABORATORY.to_vec(), miri: false };
        assert_eq!(Plan::new(&options), plan);
    }

    #[test]
    fn packages_go_to_the_suite_that_runs_them() {
        let mut options = Options {
            packages: vec![PACKET_PATH.to_owned(), "pointsman".to_owned()],
            ..Options::default()
        };
        let mut plan = Plan {
            unprivileged: Some(vec!["--package", PACKET_PATH]),
            laboratory: vec!["pointsman"],
            miri: false,
        };
        assert_eq!(Plan::new(&options), plan);

        options.packages.remove(0);
        plan.unprivileged = None;
        assert_eq!(Plan::new(&options), plan);
    }
}
