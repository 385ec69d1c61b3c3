//! A multihoming gateway of IPv6, written from the RFCs (4291, 4443, 4787, 4890, 5382, 5508, 5722, 6092, 6296,
//! 7112, 8200, 8678) and from what Pointsman says that it does, to be compared with the path, with which it
//! has nothing in common but the words of its verdicts.
//!
//! The place in the table of buckets, and ports that are drawn at random, it does not predict, but checks.

mod answer;
mod error;
mod fragment;
mod hairpin;
mod inbound;
pub(crate) mod leave;
pub(crate) mod lost;
pub(crate) mod mapping;
mod masquerade;
mod masquerade_error;
mod nptv6;
mod outbound;
pub(crate) mod packet;
mod quote;
pub(crate) mod site;
pub(crate) mod state;
mod transport;

use std::collections::BTreeMap;

use pointsman_ebpf::memory::sequence::Interface;
use pointsman_ebpf::memory::sequence6::{Setup6, Step6};
use pointsman_ebpf::verdict::{PassReason, Verdict};

use super::model::tokens::Tokens;
use super::model::{Outcome, Stop};
use mapping::Observed;
use packet::Kind;
use site::{Id, Site};
use state::{Key, Pin, Shared, State, Together};

/// The gateway.
pub(crate) struct Model6 {
    pub(crate) site: Site,
    pub(crate) state: State,
    tokens: Tokens,
    /// The order of the uplinks that flows were seen to have.
    buckets: BTreeMap<Together, [Id; 2]>,
    /// The order of the uplinks in the bucket that the gateway under test has looked up for the packet,
    /// if it has.
    pub(crate) ranking: Option<[Id; 2]>,
    /// What it has made of a mapping, likewise.
    pub(crate) observed: Observed,
    /// What was chosen that must not be.
    pub(crate) faults: Vec<String>,
}

impl Model6 {
    pub(crate) fn new(setup: &Setup6) -> Self {
        let site = Site::new(setup);
        Self {
            tokens: Tokens::new(setup.icmp, site.now),
            state: State::new(setup),
            site,
            buckets: BTreeMap::new(),
            ranking: None,
            observed: Observed::default(),
            faults: Vec::new(),
        }
    }

    /// An event that is no packet and no sweep.
    pub(crate) fn apply(&mut self, step: &Step6) {
        self.site.apply(step);
    }

    /// Removes some pins, which `salt` decides, and says which of each table; and mappings that no flow has.
    pub(crate) fn sweep(&mut self, salt: u32) -> [Vec<Key>; 3] {
        let is_over = |key: &Key, pin: &Pin| {
            // Both directions of a flow are over at once.
            let inside = if let Shared::In(host) = pin.shared { host } else { key.inside };
            let ends = inside.0 ^ key.outside.0;
            let sum = salt ^ ends as u32 ^ u32::from(inside.1 ^ key.outside.1);
            sum.wrapping_mul(0x9e37_79b9) >> 30 == 0
        };
        let swept = self.state.pins.each_mut().map(|table| table.remove_if(is_over));
        let flows = self.state.pins.iter().flat_map(|table| table.iter());
        let uplinks = &self.site.uplinks;
        let is_current = |id: Id, generation| uplinks[&id].generation == generation;
        self.state.mappings.sweep(flows, is_current);
        swept
    }

    /// A packet comes in.
    pub(crate) fn packet(&mut self, came: Interface, frame: &[u8]) -> Outcome {
        let untouched = |verdict| Outcome { verdict, frame: frame.to_vec(), loose: Vec::new() };
        match self.judge(came, frame) {
            Ok(outcome) => outcome,
            Err((_, Stop::Pass(reason))) => untouched(Verdict::Pass(reason)),
            Err((_, Stop::Drop(reason))) => untouched(Verdict::Drop(reason)),
            Err((kind, Stop::Answer(reason, word))) => {
                let told = self.answer(came, frame, kind, reason, word);
                told.unwrap_or_else(|| untouched(Verdict::Drop(reason)))
            }
        }
    }

    fn judge(&mut self, came: Interface, frame: &[u8]) -> Result<Outcome, (Kind, Stop)> {
        let of_none = |stop: Stop| (Kind::Odd, stop);
        let mac = self.site.mac(came).ok_or(of_none(PassReason::UnknownPort.into()))?;
        let packet = packet::read(frame, came, mac).map_err(of_none)?;
        let outcome = match (packet.kind, came) {
            (_, Interface::Lan) => self.by_lan(&packet),
            _ => self.by_uplink(&packet),
        };
        outcome.map_err(|stop| (packet.kind, stop))
    }
}
