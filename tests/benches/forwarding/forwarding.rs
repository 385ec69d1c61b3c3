//! How fast packets of flows that are known are forwarded.

use anyhow::{Context as _, Result};

use crate::{
    Effort, MIN_FRAMES, UNANSWERED,
    chain::Chain,
    flows::{Flows, Lan},
    gateway::Kind,
    report::{Row, median},
};

/// A chain for each gateway.
pub(crate) struct Bench(Vec<Chain>);

impl Bench {
    pub(crate) fn new() -> Result<Self> {
        let chain = |kind| {
            Chain::new(kind, Lan::Ordinary)
                .with_context(|| format!("cannot build the chain of {kind}"))
        };
        Ok(Self(Kind::ALL.into_iter().map(chain).collect::<Result<_>>()?))
    }

    /// A row for each number of flows, and one of flows that nobody has answered.
    pub(crate) fn measure(&mut self, effort: &Effort) -> Result<(Vec<Row>, Row)> {
        let rows = effort
            .flows
            .iter()
            .map(|&flows| row(&mut self.0, Flows::new(flows), effort))
            .collect::<Result<_>>()?;
        self.0.retain(|chain| chain.kind().routes());
        for chain in &mut self.0 {
            chain.forget_flows()?;
        }
        let unanswered = row(&mut self.0, UNANSWERED, effort)?;
        Ok((rows, unanswered))
    }
}

/// One row: the flows are set up, then the chains take turns.
fn row(chains: &mut [Chain], flows: Flows, effort: &Effort) -> Result<Row> {
    let answered = flows != UNANSWERED;
    let mut turns = Vec::new();
    for chain in chains {
        let kind = chain.kind();
        let rate = chain.set_up(flows, answered).with_context(|| describe(kind, flows))?;
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
                .with_context(|| format!("{}, round {round}", describe(kind, flows)))?;
            rates.push(rate);
        }
    }
    for (chain, ..) in &mut turns {
        let kind = chain.kind();
        chain
            .verify(flows)
            .with_context(|| format!("{}, after the last round", describe(kind, flows)))?;
    }
    Ok(Row::new(flows.count, |kind| {
        let (.., rates) = turns.iter().find(|(chain, ..)| chain.kind() == kind)?;
        median(rates)
    }))
}

fn describe(kind: Kind, flows: Flows) -> String {
    format!("{kind} at {} flows", flows.count)
}
