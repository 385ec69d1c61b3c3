//! How fast packets are forwarded, by Pointsman and by others: see [`gateway::Kind`].
//!
//! Every gateway stands in a chain of its own, from a generator through the gateway to a sink. All
//! but the gateway is the same in every chain, and one CPU does all the work. The chains take
//! turns, and what counts is the median of many short bursts. Absolute figures are the machine's:
//! compare within one run only.
//!
//! Each flow is set up by a frame of its own before anything is timed, and all frames of that are
//! checked in full, as are those of one more frame for each flow after the last burst. The flows
//! of a row stay, and are among those of the next: at every row a table holds that row's flows and
//! no others.

mod chain;
mod daemon;
mod gateway;
mod object;
mod reference;
mod report;
mod sink;
#[path = "../../ebpf/src/bench/traffic.rs"]
mod traffic;

use std::{io, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result};
use clap::Parser;
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

use chain::Chain;
use gateway::Kind;
use report::{Report, Row, median};

/// The numbers of flows: powers of two.
const FLOWS: [u32; 3] = [256, 16_384, 262_144];

/// Entries that a flow table has room for: the two of every flow, and as many again.
const TABLE_ENTRIES: u32 = 4 * FLOWS[FLOWS.len() - 1];

/// The fewest frames in a burst, for the slow gateways and for the first burst of a row.
const MIN_FRAMES: u32 = 100_000;

#[derive(Parser)]
#[command(about = "Measures how fast packets are forwarded, by Pointsman and by others")]
struct Arguments {
    /// Print the result as one JSON object on the last line
    #[arg(long)]
    json: bool,
    /// Take fewer and shorter bursts: under a minute
    #[arg(long)]
    quick: bool,
    /// What `cargo bench` passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// How much is measured.
struct Effort {
    rounds: usize,
    burst: Duration,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let effort = if arguments.quick {
        Effort { rounds: 11, burst: Duration::from_millis(100) }
    } else {
        Effort { rounds: 25, burst: Duration::from_millis(250) }
    };
    pointsman_lab::may_run()?;
    let mut chains = Kind::ALL
        .into_iter()
        .map(|kind| Chain::new(kind).with_context(|| format!("cannot build the chain of {kind}")))
        .collect::<Result<Vec<_>>>()?;
    // Not before: the daemon is to run where the system likes.
    claim_cpu()?;
    let rows = FLOWS
        .into_iter()
        .map(|flows| measure(&mut chains, flows, &effort))
        .collect::<Result<_>>()?;
    Report { rows }.print(arguments.json)
}

/// Puts this thread, and those that it starts, on one CPU, where no ordinary task disturbs them.
fn claim_cpu() -> Result<()> {
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this).context("cannot ask for the CPUs")?;
    let last = (0..CpuSet::count())
        .rev()
        .find(|&cpu| allowed.is_set(cpu).unwrap_or(false))
        .context("there is no CPU to run on")?;
    let mut one = CpuSet::new();
    one.set(last)?;
    sched_setaffinity(this, &one).with_context(|| format!("cannot move to CPU {last}"))?;
    let lowest = libc::sched_param { sched_priority: 1 };
    // SAFETY: the kernel reads the parameter during the call.
    if unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const lowest) } != 0 {
        let error = io::Error::last_os_error();
        eprintln!("other tasks may disturb the measurement: no real-time scheduling here: {error}");
    }
    Ok(())
}

/// One row: the flows are set up, then the chains take turns.
fn measure(chains: &mut [Chain], flows: u32, effort: &Effort) -> Result<Row> {
    let mut turns = Vec::new();
    for chain in chains {
        let kind = chain.kind();
        let rate = chain.set_up(flows).with_context(|| format!("{kind} at {flows} flows"))?;
        if let Some(rate) = rate {
            let frames = (rate * effort.burst.as_secs_f64()) as u32;
            turns.push((chain, frames.max(MIN_FRAMES), Vec::new()));
        }
    }
    for round in 1..=effort.rounds {
        for (chain, frames, rates) in &mut turns {
            let kind = chain.kind();
            let rate = chain
                .burst(*frames)
                .with_context(|| format!("{kind} at {flows} flows, round {round}"))?;
            rates.push(rate);
        }
    }
    for (chain, ..) in &mut turns {
        let kind = chain.kind();
        chain
            .verify(flows)
            .with_context(|| format!("{kind} at {flows} flows, after the last round"))?;
    }
    Ok(Row::new(flows, |kind| {
        let (.., rates) = turns.iter().find(|(chain, ..)| chain.kind() == kind)?;
        median(rates)
    }))
}
