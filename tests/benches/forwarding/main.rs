//! How fast packets are forwarded and flows set up, by Pointsman and by others (see
//! [`gateway::Kind`]), and what a flood does to established flows ([`flood`]). Packets are those of
//! NAT44 but in the rows of other services ([`service`]).
//!
//! Every gateway stands in a chain of its own, from a generator through the gateway to a sink. All
//! but the gateway is the same in every chain, and one CPU does all the work. The chains take
//! turns, and what counts is the median of many short bursts. Absolute figures are the machine's:
//! compare within one run only.
//!
//! Each flow is set up by a frame of its own and the answer to it before anything is timed, and all
//! frames of that are checked in full, as are those of one more frame for each flow before the
//! first burst and after the last. The flows of a row stay, and are among those of the next: at
//! every row a table holds that row's flows and no others.

mod chain;
mod conntrack;
mod daemon;
mod flood;
mod flows;
mod forwarding;
mod gateway;
mod generator;
mod link;
mod nptv6;
mod object;
mod opening;
mod reference;
mod report;
mod service;
mod sink;
#[path = "../../ebpf/src/bench/traffic.rs"]
mod traffic;
mod vlan;

use std::{process::ExitCode, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, ValueEnum};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

use flood::Flood;
use report::Report;

/// The numbers of flows that are forwarded: powers of two.
const FLOWS: [u32; 4] = [256, 16_384, 262_144, 1_048_576];

/// The same for other services than NAT44.
const SERVICE_FLOWS: [u32; 2] = [256, 16_384];

/// Flows that nobody answers, beside the others.
const UNANSWERED: flows::Flows = flows::Flows { first: 1 << 23, count: 16_384 };

/// Flows that a chain for NAT44 may have checked in full.
const VERIFIED_FLOWS: u32 = FLOWS[FLOWS.len() - 1] + UNANSWERED.count;

/// Entries that a flow table has room for: the two of every flow, and half as many again.
const TABLE_ENTRIES: u32 = 3 * FLOWS[FLOWS.len() - 1];

/// How many TCP flows stand the flood.
const PACED_FLOWS: u32 = 1000;

/// The fewest frames in a burst, for the slow gateways and for the first burst of a row.
const MIN_FRAMES: u32 = 100_000;

#[derive(Parser)]
#[command(about = "Measures how fast packets are forwarded, by Pointsman and by others")]
struct Arguments {
    /// Print the result as one JSON object on the last line
    #[arg(long)]
    json: bool,
    /// Take fewer and shorter bursts
    #[arg(long)]
    quick: bool,
    /// Measure this only
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// What `cargo bench` passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// What can be measured alone.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// How fast new flows are set up
    Opening,
    /// What a flood does to established flows
    Flood,
    /// How fast packets of known flows are forwarded
    Forwarding,
    /// The same, of all that is not NAT44
    Services,
}

/// How much is measured.
struct Effort {
    /// The numbers of flows: of [`FLOWS`].
    flows: &'static [u32],
    /// Bursts of each chain in a row.
    rounds: usize,
    /// How long each is.
    burst: Duration,
    /// How long each flood is.
    flood: Duration,
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
        let [burst, flood] = [100, 2000].map(Duration::from_millis);
        Effort { flows: &[FLOWS[0], FLOWS[1], FLOWS[3]], rounds: 9, burst, flood }
    } else {
        let [burst, flood] = [250, 10_000].map(Duration::from_millis);
        Effort { flows: &FLOWS, rounds: 25, burst, flood }
    };
    pointsman_lab::may_run()?;
    let wanted = |part| arguments.only.is_none_or(|only| only == part);
    let mut report = Report::default();
    // Each part's chains go before those of the next are built: all share the machine's memory.
    if wanted(Part::Opening) {
        let mut benches = opening::Bench::all()?;
        report.openings =
            on_one_cpu(|| benches.iter_mut().map(|bench| bench.measure(&effort)).collect())?;
    }
    if wanted(Part::Flood) {
        let mut bench = flood::Bench::new()?;
        report.floods = on_one_cpu(|| bench.measure(&effort))?.into();
    }
    if wanted(Part::Forwarding) {
        let mut bench = forwarding::Bench::new()?;
        let (rows, unanswered) = on_one_cpu(|| bench.measure(&effort))?;
        report.rows = rows;
        report.unanswered = Some(unanswered);
    }
    if wanted(Part::Forwarding) || arguments.only == Some(Part::Services) {
        let mut benches = forwarding::ServiceBench::all()?;
        let measure = |bench: &mut forwarding::ServiceBench| bench.measure(&effort);
        let rows: Vec<_> = on_one_cpu(|| benches.iter_mut().map(measure).collect::<Result<_>>())?;
        report.services = rows.into_iter().flatten().collect();
    }
    report.print(arguments.json)?;
    ensure!(report.floods.iter().all(Flood::is_harmless), "a flood disturbs established flows");
    Ok(())
}

/// Runs what measures on one CPU, where no ordinary task disturbs it. Daemons that this thread has
/// started run where the system likes.
fn on_one_cpu<T: Send>(measure: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            claim_cpu()?;
            measure()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Puts this thread, and those that it starts, on one CPU, before all ordinary tasks.
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
    if let Err(error) = pointsman_lab::claim_realtime() {
        eprintln!("other tasks may disturb the measurement: no real-time scheduling here: {error}");
    }
    Ok(())
}
