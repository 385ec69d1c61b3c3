//! How long traffic is interrupted when an uplink dies: `cargo xtask bench failover`.
//!
//! A site with two uplinks, the daemon in its gateway. The client sends 10,000 packets a second on 64 flows, about
//! half of them by either uplink, and the server sends each back. Then the first uplink is cut: its carrier goes,
//! or its cable swallows everything in both directions while the carrier stays. The outage is the time from the
//! cut to the first packet, of any flow of the dead uplink, from which on none of theirs is lost, by when it was
//! sent: a packet counts as lost if either direction has lost it. Packets that
//! were on their way at the cut do not count. Traffic ends before the uplink is mended, so what moves back with
//! it is not seen.
//!
//! A figure is refused where a flow has not left the dead uplink, or traffic was not nearly whole outside the
//! outage.

mod cut;
mod daemon;
mod detector;
mod peer;
mod report;
mod traffic;

use std::{env, fs, num::NonZeroU32, path::PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use pointsman_lab::Site;

use cut::cut;
use daemon::Daemon;
use detector::Detector;
use peer::Peer;
use report::{Figures, HEADS};
use traffic::{Echo, FLOWS};

/// Decides what the cable does that is left to chance, which is nothing here.
const SEED: u64 = 1;

/// Measures how long traffic is interrupted when an uplink dies.
#[derive(Debug, Parser)]
struct Arguments {
    /// Ends with all figures as one line of JSON.
    #[arg(long)]
    json: bool,
    /// Cuts five times of each kind, and not fifty.
    #[arg(long)]
    quick: bool,
    /// Only what is noticed by these.
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["carrier", "bfd", "liveness", "icmp"])]
    only: Vec<Detector>,
    /// Where the picture goes: failover.svg in the directory `target` unless it is given.
    #[arg(long)]
    svg: Option<PathBuf>,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let cuts = if arguments.quick { 5 } else { 50 };
    eprintln!("{HEADS}");
    let mut all = Vec::new();
    for detector in &arguments.only {
        let figures = measure(*detector, cuts)?;
        eprintln!("{}", figures.line());
        all.push(figures);
    }
    let picture = arguments.svg.map_or_else(default_picture, Ok)?;
    fs::write(&picture, report::svg(&all))
        .with_context(|| format!("cannot write {}", picture.display()))?;
    eprintln!("The picture is {}.", picture.display());
    if arguments.json {
        println!("{}", report::json(&all));
    }
    if !all.iter().all(Figures::is_met) {
        bail!("not every goal is met");
    }
    Ok(())
}

/// Beside the directory of the profile that this program was built by.
fn default_picture() -> Result<PathBuf> {
    let own = env::current_exe().context("cannot find this program")?;
    let target = own.ancestors().nth(3);
    Ok(target.context("this program is not where cargo puts benchmarks")?.join("failover.svg"))
}

fn measure(detector: Detector, cuts: usize) -> Result<Figures> {
    let site = Site::builder().client_addresses(FLOWS).impaired(SEED).build()?;
    let _echo = Echo::start(&site.server)?;
    let mut peers = Vec::new();
    if detector.has_session() {
        for (uplink, number) in site.uplinks.iter().zip(1..) {
            peers.push(Peer::start(uplink, NonZeroU32::MIN.saturating_add(number))?);
        }
    }
    let daemon = Daemon::start(&site, detector)?;
    let outages: Vec<_> = (0..cuts)
        .map(|number| {
            cut(&site, &daemon, detector).with_context(|| format!("{detector:?}, cut {number}"))
        })
        .collect::<Result<_>>()?;
    Ok(Figures::new(detector, &outages))
}
