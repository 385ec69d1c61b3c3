//! The command line.

mod capability;
mod check;
mod run;
mod status;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::ConfigError;
use crate::control::{StartError, Unfit};

/// The exit code where the configuration is wrong.
const CONFIGURATION: u8 = 2;

/// A multihoming gateway for Linux: several uplinks, one XDP data plane.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Be the gateway, in the foreground, until SIGINT or SIGTERM. SIGHUP reads the file again.
    Run(ConfigFile),
    /// Say what is wrong with a configuration file, without touching the network.
    Check(ConfigFile),
    /// Show how the running daemon and its uplinks are.
    Status(status::Arguments),
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
        Command::Run(file) => run::run(file.config),
        Command::Check(file) => check::check(&file.config),
        Command::Status(arguments) => status::status(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", message(&error));
            ExitCode::from(exit_code(&error))
        }
    }
}

/// What is said of an error. A configuration's errors bring their own place along.
fn message(error: &anyhow::Error) -> String {
    match error.downcast_ref::<ConfigError>() {
        Some(error) => error.to_string(),
        None => format!("pointsman: {error:#}"),
    }
}

fn exit_code(error: &anyhow::Error) -> u8 {
    let unfit = matches!(error.downcast_ref::<StartError>(), Some(StartError::Unfit(_)))
        || error.is::<Unfit>();
    if error.is::<ConfigError>() || unfit { CONFIGURATION } else { 1 }
}
