//! The command line.

mod capability;
mod check;
mod daemon;
mod diff;
mod down;
mod drain;
mod host;
mod output;
mod rebalance;
mod run;
mod status;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::ConfigError;
use crate::control::StartError;
use crate::demo;

/// The exit code where the configuration is wrong.
const CONFIGURATION: u8 = 2;

/// The exit code of `check --host` where the host is not fit for the gateway.
const HOST: u8 = 3;

/// A multihoming gateway for Linux: several uplinks, one XDP data plane.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Be the gateway, in the foreground. SIGHUP reads the file again. SIGTERM ends the daemon, and packets
    /// go on without it until `pointsman down`, or the next daemon; SIGINT ends both.
    Run(ConfigFile),
    /// Say what is wrong with a configuration file, and with --host, with this host's interfaces
    /// for it; with --diff, what the running daemon would change. Nothing is changed.
    Check(check::Arguments),
    /// Remove the data plane that a daemon has left in the kernel, after ending the daemon if there is one.
    Down(ConfigFile),
    /// Show how the running daemon and its uplinks are.
    Status(status::Arguments),
    /// Give an uplink no new flows, and let those that it has end, as before maintenance of it.
    Drain(drain::DrainArguments),
    /// Give a drained uplink new flows again.
    Undrain(drain::UndrainArguments),
    /// Move flows back to the uplinks that new ones take, gently.
    Rebalance(rebalance::Arguments),
    /// Show, on a network of its own, what a gateway with two providers does when one of them
    /// fails.
    Demo(demo::Args),
}

/// Which configuration.
#[derive(clap::Args)]
struct ConfigFile {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", default_value = "/etc/pointsman/pointsman.toml")]
    config: PathBuf,
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Run(file) => run::run(file.config).map(succeeded),
        Command::Check(arguments) => check::check(&arguments),
        Command::Down(file) => down::down(&file).map(succeeded),
        Command::Status(arguments) => status::status(&arguments).map(succeeded),
        Command::Drain(arguments) => drain::drain(&arguments),
        Command::Undrain(arguments) => drain::undrain(&arguments).map(succeeded),
        Command::Rebalance(arguments) => rebalance::rebalance(&arguments).map(succeeded),
        Command::Demo(arguments) => demo::run(arguments),
    };
    result.unwrap_or_else(|error| {
        eprintln!("{}", message(&error));
        ExitCode::from(exit_code(&error))
    })
}

fn succeeded((): ()) -> ExitCode {
    ExitCode::SUCCESS
}

/// What is said of an error: it and its causes in one sentence, without a cause that an error has
/// told already. A configuration's errors bring their own place along.
fn message(error: &anyhow::Error) -> String {
    if let Some(error) = error.downcast_ref::<ConfigError>() {
        return error.to_string();
    }
    let mut sentence = "pointsman".to_owned();
    for cause in error.chain().map(ToString::to_string) {
        if !sentence.contains(&cause) {
            sentence += &format!(": {cause}");
        }
    }
    sentence
}

fn exit_code(error: &anyhow::Error) -> u8 {
    let unfit = matches!(error.downcast_ref::<StartError>(), Some(StartError::Unfit(_)));
    if error.is::<ConfigError>() || unfit { CONFIGURATION } else { 1 }
}

#[cfg(test)]
mod tests {
    use std::io;

    use anyhow::Context as _;

    use super::*;
    use crate::control::Unfit;

    #[test]
    fn a_cause_is_told_once() {
        let told = crate::dataplane::LoadError::Shared(io::Error::other("no memory"));
        let error = Err::<(), _>(told).context("cannot start").unwrap_err();
        assert_eq!(
            message(&error),
            "pointsman: cannot start: cannot map what the data plane shares into memory: no memory"
        );
    }

    #[test]
    fn configurations_have_an_exit_code_of_their_own() {
        let error = crate::config::parse("p.toml", "").unwrap_err();
        assert_eq!(exit_code(&error.into()), 2);
        let unfit = Unfit::NoInterface { user: "the LAN".into(), interface: "lan0".into() };
        assert_eq!(exit_code(&StartError::Unfit(unfit).into()), 2);
        assert_eq!(exit_code(&anyhow::anyhow!("else")), 1);
    }
}
