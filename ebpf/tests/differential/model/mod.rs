//! A NAT gateway, written from the RFCs (791, 792, 1812, 1858, 3022, 3128, 4787, 5382, 5508) and
//! from what Pointsman says that it does, to be compared with the path.
//!
//! It has nothing in common with the path but the words of its verdicts: it reads and writes bytes
//! by itself, sums whole packets, and keeps ordinary maps. It is slow and it is plain.
//!
//! What the gateway may choose at random it does not predict, but checks: a port, a public address
//! of several, and the place in the table of buckets ([`Choices`]).

mod answer;
mod bucket;
mod flow;
mod fragment;
mod hairpin;
mod icmp;
pub(crate) mod inbound;
mod lost;
mod mapping;
pub(crate) mod outbound;
pub(crate) mod packet;
mod rewrite;
mod routed;
pub(crate) mod site;
pub(crate) mod state;
pub(crate) mod sum;
mod sweep;
pub(crate) mod tokens;

use pointsman_ebpf::memory::sequence::{End, Interface, Step};
use pointsman_ebpf::verdict::{DropReason, PassReason, Verdict};

use packet::{Kind, Packet};
use site::{Id, Site};
use state::State;
pub(crate) use sweep::Swept;
use tokens::Tokens;

/// What the gateway under test has chosen.
pub(crate) trait Choices {
    /// The order of the uplinks in the bucket that it looked up, if it looked one up.
    fn ranking(&self) -> Option<[Id; 2]>;

    /// The public end that a LAN host's end has on an uplink's generation, towards a remote address
    /// where that matters.
    fn public(&self, mapping: &state::MappingKey, generation: u32) -> Option<End>;

    /// Why it has dropped the packet, if it has.
    fn reason(&self) -> Option<DropReason>;
}

/// What must become of a packet.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    pub(crate) frame: Vec<u8>,
    /// Where checksums stand for which zero and all ones are the same (RFC 1624 section 3).
    pub(crate) loose: Vec<usize>,
}

/// Why a packet does not go on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stop {
    Pass(PassReason),
    Drop(DropReason),
    /// The sender is told; of a packet that is too big, with the MTU.
    Answer(DropReason, u16),
}

impl From<DropReason> for Stop {
    fn from(reason: DropReason) -> Self {
        Self::Drop(reason)
    }
}

impl From<PassReason> for Stop {
    fn from(reason: PassReason) -> Self {
        Self::Pass(reason)
    }
}

/// The gateway.
pub(crate) struct Model {
    pub(crate) site: Site,
    pub(crate) state: State,
    pub(crate) tokens: Tokens,
    buckets: bucket::Buckets,
    /// What was chosen that must not be.
    pub(crate) faults: Vec<String>,
}

impl Model {
    pub(crate) fn new(site: Site) -> Self {
        let state = State::new(&site.setup);
        let tokens = Tokens::new(site.setup.icmp, site.now);
        Self { site, state, tokens, buckets: Default::default(), faults: Vec::new() }
    }

    /// An event that is no packet and no sweep.
    pub(crate) fn apply(&mut self, step: &Step) {
        self.site.apply(step);
    }

    /// A packet comes in.
    pub(crate) fn packet(
        &mut self,
        came: Interface,
        frame: &[u8],
        choices: &dyn Choices,
    ) -> Outcome {
        let untouched = |verdict| Outcome { verdict, frame: frame.to_vec(), loose: Vec::new() };
        match self.judge(came, frame, choices) {
            Ok(outcome) => outcome,
            Err(Stop::Pass(reason)) => untouched(Verdict::Pass(reason)),
            Err(Stop::Drop(reason)) => untouched(Verdict::Drop(reason)),
            Err(Stop::Answer(reason, mtu)) => self
                .answer(came, frame, reason, mtu)
                .unwrap_or_else(|| untouched(Verdict::Drop(reason))),
        }
    }

    fn judge(
        &mut self,
        came: Interface,
        frame: &[u8],
        choices: &dyn Choices,
    ) -> Result<Outcome, Stop> {
        let mac = self.site.mac(came).ok_or(PassReason::UnknownPort)?;
        let packet = packet::read(frame, came, mac)?;
        match (packet.kind, came) {
            (Kind::Later, _) => self.later_fragment(&packet),
            (Kind::Error, _) => self.icmp_error(&packet),
            (_, Interface::Lan) => self.outbound(&packet, choices),
            _ if self.site.realm(came, packet.to.0) == Some(state::ANY) => {
                self.routed_inbound(&packet)
            }
            _ => self.inbound(&packet),
        }
    }

    fn fault(&mut self, fault: String) {
        self.faults.push(fault);
    }

    /// What becomes of a packet to the gateway itself, or to nobody.
    fn not_translated(&self, packet: &Packet<'_>, none: DropReason) -> Stop {
        match self.site.owner(packet.to.0) {
            Some(owner) if owner.kernel => PassReason::Local.into(),
            _ => none.into(),
        }
    }
}
