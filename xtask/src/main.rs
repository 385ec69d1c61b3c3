//! `cargo xtask VERB`: sets up, builds, tests and measures Pointsman.
//!
//! It depends on almost nothing, so that it compiles in seconds on a machine where nothing else is
//! set up. All that it says itself goes to standard error. Standard output belongs to what it runs.

mod bench;
mod fuzz;
mod lint;
mod mutation;
mod privilege;
mod run;
mod setup;
mod sim;
mod step;
mod test;
mod tidy;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

/// Sets up, builds, tests and measures Pointsman.
///
/// Every verb first makes sure that what it needs is installed.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
enum Verb {
    /// Says what is missing on this machine, and installs it.
    Setup,
    /// Builds the XDP object and the daemon, optimised.
    Build,
    /// Builds, then runs `pointsman demo`, or `pointsman ARGS`, as root.
    BuildAndRun {
        /// Arguments for `pointsman`, in place of `demo`.
        #[arg(last = true, value_name = "ARGS")]
        args: Vec<String>,
    },
    /// Runs the unit and property tests, the laboratory's tests as root, and Miri.
    Test(test::Options),
    /// Runs random packets and events through the packet path and through a model of NAT.
    Fuzz(fuzz::Options),
    /// Runs the control plane on simulated hosts, where anything happens at random.
    Sim(sim::Options),
    /// Checks that the tests of the packet path catch deliberate bugs.
    Mutate {
        /// Only the bugs whose description contains this.
        filter: Option<String>,
    },
    /// Checks style, formatting, lints on the host and the BPF target, and documentation.
    Lint,
    /// Measures forwarding in the laboratory, or, as `bench failover`, how long traffic is interrupted when an
    /// uplink dies; `--quick` and `--json` are the usual arguments.
    Bench {
        /// Arguments for the benchmark.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
        args: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run(Verb::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Without a backtrace: what failed is nearly always a child process, and has said why.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> Result<()> {
    match verb {
        Verb::Setup => {
            setup::ensure(setup::Scope::Tests)?;
            step::say("everything that Pointsman needs is installed");
            Ok(())
        }
        Verb::Build => run::build(),
        Verb::BuildAndRun { args } => run::build_and_run(&args),
        Verb::Test(options) => test::test(&options),
        Verb::Fuzz(options) => fuzz::fuzz(&options),
        Verb::Sim(options) => sim::sim(&options),
        Verb::Mutate { filter } => mutation::mutate(filter.as_deref().unwrap_or_default()),
        Verb::Lint => lint::lint(),
        Verb::Bench { args } => bench::bench(&args),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::Verb;

    fn parse(line: &str) -> Result<Verb, clap::Error> {
        Verb::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_command_line_is_consistent() {
        Verb::command().debug_assert();
    }

    #[test]
    fn arguments_of_pointsman_follow_two_dashes() {
        let verb = parse("xtask build-and-run -- status --json");
        assert!(matches!(verb, Ok(Verb::BuildAndRun { args }) if args == ["status", "--json"]));
        assert!(parse("xtask build-and-run status").is_err());
    }

    #[test]
    fn arguments_of_the_benchmark_follow_at_once() {
        let verb = parse("xtask bench --json --quick");
        assert!(matches!(verb, Ok(Verb::Bench { args }) if args == ["--json", "--quick"]));
    }

    #[test]
    fn a_filter_may_be_followed_by_arguments_of_the_test_binaries() {
        let line = "xtask test -p pointsman nat --miri -- --nocapture";
        let Ok(Verb::Test(options)) = parse(line) else {
            panic!("the line is valid");
        };
        assert_eq!(options.packages, ["pointsman"]);
        assert_eq!(options.filter.as_deref(), Some("nat"));
        assert_eq!(options.args, ["--nocapture"]);
        assert!(options.miri);
    }
}
