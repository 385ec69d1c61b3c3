//! `pointsman demo`: the main job, shown on a network of its own.
//!
//! The demonstration makes a LAN, a gateway, two providers and a server beyond them out of network
//! namespaces, runs the real daemon in the gateway, and sends real packets through it, while it
//! cuts one provider in two ways. What it tells is what its packets met: every one is recorded with
//! the time at which it was sent and the uplink that its answer shows.

mod daemon;
mod echo;
mod history;
mod live;
mod measure;
mod message;
mod report;
mod scenario;
mod screen;
mod traffic;
mod worker;

use std::{
    io::{self, IsTerminal as _, Write},
    process::ExitCode,
};

use anyhow::{Context as _, Result};

use self::{report::Report, screen::Screen, worker::Stop};

/// The exit code of a program that was ended by SIGINT, as shells have it.
const INTERRUPTED: u8 = 130;

/// Options of `pointsman demo`.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct Args {
    /// Print the result as one JSON object, on the last line of standard output; all else goes to
    /// standard error.
    #[arg(long)]
    pub json: bool,
}

/// Runs the demonstration. It needs root, and nothing else: no configuration, no network.
///
/// It succeeds if all flows recovered from both cuts and new flows were assigned as before. Asked
/// to stop by SIGINT or SIGTERM, it ends soon, with exit code 130. Whichever way it ends, nothing
/// is left of it.
///
/// # Errors
///
/// Where the laboratory may not run, or the daemon does not come up or dies.
pub fn run(args: Args) -> Result<ExitCode> {
    let stop = Stop::default();
    let flag = stop.clone();
    ctrlc::set_handler(move || flag.set()).context("cannot watch for signals")?;
    let result = if args.json {
        let err = io::stderr();
        let terminal = err.is_terminal();
        show(err, terminal, &stop)
    } else {
        let out = io::stdout();
        let terminal = out.is_terminal();
        show(out, terminal, &stop)
    };
    match result {
        // A signal from the terminal goes to all processes, so anything may have failed by it.
        Err(_) if stop.is_set() => Ok(INTERRUPTED.into()),
        Err(error) => Err(error),
        Ok(report) => {
            if args.json {
                writeln!(io::stdout(), "{}", report.json()?).context("cannot write the result")?;
            }
            Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

fn show(out: impl Write, terminal: bool, stop: &Stop) -> Result<Report> {
    pointsman_lab::may_run()?;
    let mut screen = Screen::new(out, terminal);
    let report = scenario::play(&mut screen, stop)?;
    screen.line("")?;
    screen.line(&report.table())?;
    for sentence in report.sentences() {
        screen.line(&sentence)?;
    }
    Ok(report)
}
