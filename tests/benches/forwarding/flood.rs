//! What a flood from the LAN does to established TCP flows: whether they lose a segment, or their
//! pace.
//!
//! One CPU does all the work, so a gateway that spends too long on the flood makes segments late,
//! and one that has no room for the flows any more loses them.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use crate::{
    Effort, PACED_FLOWS,
    chain::{Chain, Outcome, TAIL},
    flows::{Flows, Lan},
    gateway::Kind,
    generator::Pace,
    report::{median, millions},
    service::Service,
    traffic::Finding,
};

/// Known flows, of which the highest rate is that of the chain.
const KNOWN: Flows = Flows::new(16_384);

/// Segments a second, of all TCP flows together: 50 of each.
const SEGMENT_RATE: f64 = PACED_FLOWS as f64 * 50.0;

/// The least share of its pace that the flows are to keep.
const KEPT: f64 = 0.99;

/// What became of the TCP flows beside one flood.
#[derive(Serialize)]
pub(crate) struct Flood {
    /// Whether its frames were of established flows: that is the control. Else, all random.
    pub(crate) is_known: bool,
    /// Millions of its frames a second.
    pub(crate) mpps: f64,
    /// How many of its frames reached the sink, of those sent.
    pub(crate) forwarded: f64,
    /// Segments sent on the TCP flows.
    pub(crate) segments: u64,
    /// How many did not reach the sink or whose answer did not come back, in order and unharmed.
    pub(crate) lost: u64,
    /// The share of their pace that the TCP flows kept.
    pub(crate) pace: f64,
    /// By how much a segment was late at most, in milliseconds.
    pub(crate) latest_ms: f64,
}

impl Flood {
    /// Whether the TCP flows were undisturbed.
    pub(crate) fn is_harmless(&self) -> bool {
        self.lost == 0 && self.pace >= KEPT
    }
}

/// The chain.
pub(crate) struct Bench(Chain);

impl Bench {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(Chain::new(Kind::Pointsman, Service::Nat44, Lan::Ordinary)?))
    }

    /// Finds what the chain forwards, and floods it with half as much: first with known flows, then
    /// with new ones.
    pub(crate) fn measure(&mut self, effort: &Effort) -> Result<[Flood; 2]> {
        let chain = &mut self.0;
        let rate = chain.set_up(KNOWN, true)?.context("the flood has no chain")?;
        let frames = (rate * effort.burst.as_secs_f64()) as u32;
        let rates = (0..effort.rounds).map(|_| chain.burst(frames)).collect::<Result<Vec<_>>>()?;
        let rate = median(&rates).context("nothing was measured")? / 2.0;
        let pace = Pace {
            flows: PACED_FLOWS,
            interval: Duration::from_secs_f64(1.0 / SEGMENT_RATE),
            flood_interval: Duration::from_secs_f64(1.0 / rate),
        };
        chain.aim_with(KNOWN, &pace)?;
        chain
            .converse("generate_syn", "sink_paced", PACED_FLOWS)
            .context("while the TCP flows are set up")?;
        let control = flood(chain, true, &pace, effort.flood)?;
        let flood = flood(chain, false, &pace, effort.flood)?;
        Ok([control, flood])
    }
}

fn flood(chain: &mut Chain, is_known: bool, pace: &Pace, length: Duration) -> Result<Flood> {
    let name = if is_known { "generate_beside_known" } else { "generate_beside_random" };
    let [segments, others] = [pace.interval, pace.flood_interval]
        .map(|interval| length.as_secs_f64() / interval.as_secs_f64());
    chain.sink.switch_to("sink_paced")?;
    let (found, returned) = (chain.sink.found()?, chain.sink.returned()?);
    let (time, schedule) = chain.generator()?.run_paced(name, (segments + others) as u32)?;
    let sent = u64::from(schedule.segments);
    let returned = chain.sink.wait_for_returns(returned, sent, TAIL)?;
    // How much of the flood arrives is the gateway's choice.
    let found = chain.sink.wait_for(found, 0, Duration::ZERO)?;
    chain.sink.switch_to("sink")?;
    let good = returned[Finding::Good as usize];
    let outcome = Outcome { sent, found: returned, time };
    if good != sent {
        eprintln!(
            "the TCP flows beside the flood: {}\n{}",
            outcome.describe(),
            chain.state().unwrap_or_default()
        );
    }
    let arrived = found[Finding::Good as usize].saturating_sub(good);
    ensure!(
        found.iter().skip(1).sum::<u64>() == 0 || good != sent,
        "frames of the flood are not as they should be: {}",
        Outcome { sent, found, time }.describe()
    );
    Ok(Flood {
        is_known,
        mpps: millions(1.0 / pace.flood_interval.as_secs_f64()),
        forwarded: (arrived as f64 / others * 1e3).round() / 1e3,
        segments: sent,
        lost: sent - good,
        pace: length.as_secs_f64() / time.as_secs_f64(),
        latest_ms: schedule.latest as f64 / 1e6,
    })
}
