//! How fast packets of flows that are known are forwarded.

use anyhow::{Context as _, Result};

use crate::{
    Effort, MIN_FRAMES, SERVICE_FLOWS, UNANSWERED,
    chain::Chain,
    flows::{Flows, Lan},
    gateway::Kind,
    report::{Row, ServiceRow},
    service::Service,
};

/// A chain for each gateway that does NAT44, or is compared with that.
pub(crate) struct Bench(Vec<Chain>);

impl Bench {
    pub(crate) fn new() -> Result<Self> {
        chains(Service::Nat44, &Kind::ALL).map(Self)
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

/// The chains of another service.
pub(crate) struct ServiceBench {
    service: Service,
    chains: Vec<Chain>,
}

impl ServiceBench {
    /// Builds the chains of all services but NAT44.
    pub(crate) fn all() -> Result<Vec<Self>> {
        let kinds = [Kind::Bare, Kind::Pointsman];
        Service::OTHERS
            .into_iter()
            .map(|service| Ok(Self { service, chains: chains(service, &kinds)? }))
            .collect()
    }

    /// A row for each number of flows.
    pub(crate) fn measure(&mut self, effort: &Effort) -> Result<Vec<ServiceRow>> {
        let service = self.service;
        SERVICE_FLOWS
            .into_iter()
            .map(|flows| {
                let row = row(&mut self.chains, Flows::new(flows), effort)
                    .with_context(|| service.name())?;
                Ok(ServiceRow { service, row })
            })
            .collect()
    }
}

fn chains(service: Service, kinds: &[Kind]) -> Result<Vec<Chain>> {
    let chain = |&kind| {
        Chain::new(kind, service, Lan::Ordinary)
            .with_context(|| format!("cannot build the chain of {kind} for {}", service.name()))
    };
    kinds.iter().map(chain).collect()
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
        Some(rates)
    }))
}

fn describe(kind: Kind, flows: Flows) -> String {
    format!("{kind} at {} flows", flows.count)
}
