//! How fast new flows are set up: the maximum connection establishment rate of RFC 9693 section
//! 4.4, over datagrams that all have addresses and ports of their own.
//!
//! The gateway waits for no one in this chain, and the generator for the gateway, so the rate at
//! which frames are sent is the highest at which none is lost; one that does not arrive is a
//! failure.

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::{
    Effort,
    chain::Chain,
    flows::{Flows, Lan},
    gateway::Kind,
    report::{median, millions},
    service::Service,
};

/// What is new about the flows.
#[derive(Clone, Copy)]
enum Novelty {
    /// Where they go: their LAN ends have other flows already.
    Remote,
    /// Also the LAN end: each needs a mapping of its own.
    End,
}

/// Millions of flows a second.
#[derive(Serialize)]
pub(crate) struct Opening {
    /// Whether each flow needs a mapping of its own, where mappings are independent of the
    /// destination.
    pub(crate) new_mappings: bool,
    pub(crate) pointsman_mfps: f64,
    pub(crate) masquerade_mfps: f64,
}

/// The chains that one row needs.
pub(crate) struct Bench {
    novelty: Novelty,
    chains: [Chain; 2],
}

impl Novelty {
    /// The LAN's ends, as a power of two.
    fn ends(self) -> u32 {
        match self {
            Self::Remote => 14,
            Self::End => 18,
        }
    }

    /// Flows in a burst, and bursts at most.
    fn burst(self) -> (u32, usize) {
        match self {
            Self::Remote => (1 << 17, usize::MAX),
            // All bursts together have as many ends as there are.
            Self::End => (1 << 15, 7),
        }
    }
}

impl Bench {
    /// Builds the chains of all rows.
    pub(crate) fn all() -> Result<Vec<Self>> {
        [Novelty::Remote, Novelty::End].into_iter().map(Self::new).collect()
    }

    fn new(novelty: Novelty) -> Result<Self> {
        let chain = |kind| {
            let lan = Lan::Opening { ends: novelty.ends() };
            let mut chain = Chain::new(kind, Service::Nat44, lan)?;
            chain.aim_at(Flows::new(1 << 22))?;
            anyhow::Ok(chain)
        };
        Ok(Self { novelty, chains: [chain(Kind::Pointsman)?, chain(Kind::Masquerade)?] })
    }

    /// The chains take turns, each time with flows that are new.
    pub(crate) fn measure(&mut self, effort: &Effort) -> Result<Opening> {
        let (flows, most) = self.novelty.burst();
        let mut rates = [Vec::new(), Vec::new()];
        for round in 1..=effort.rounds.min(most) {
            for (chain, rates) in self.chains.iter_mut().zip(&mut rates) {
                let kind = chain.kind();
                let rate = chain
                    .open(flows)
                    .with_context(|| format!("{kind} with new flows, round {round}"))?;
                rates.push(rate);
            }
        }
        let [pointsman_mfps, masquerade_mfps] =
            rates.map(|rates| median(&rates).map_or(0.0, millions));
        Ok(Opening {
            new_mappings: matches!(self.novelty, Novelty::End),
            pointsman_mfps,
            masquerade_mfps,
        })
    }
}
