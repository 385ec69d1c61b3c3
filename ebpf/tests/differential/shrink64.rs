//! What of a sequence of NAT64 can be simpler.

use pointsman_ebpf::memory::sequence::{Bytes, Packet, Tagging};
use pointsman_ebpf::memory::sequence6::Packet6;
use pointsman_ebpf::memory::sequence64::{Sequence64, Step64};

use super::shrink::Shrink;

impl Shrink for Sequence64 {
    fn truncate(&mut self, steps: usize) {
        self.steps.truncate(steps);
    }

    fn simpler(&self) -> impl Iterator<Item = Self> {
        let with = |at: usize, step: Step64| {
            let mut sequence = self.clone();
            sequence.steps[at] = step;
            sequence
        };
        let is_left = |at: &usize| !matches!(self.steps[*at], Step64::Nothing);
        let places = (0..self.steps.len()).filter(is_left);
        let cut = places.clone().map(move |at| with(at, Step64::Nothing));
        let simpler = places.flat_map(move |at| {
            let steps = simpler_steps(&self.steps[at]);
            steps.into_iter().map(move |step| with(at, step))
        });
        const MANY: u32 = 1_000_000;
        let mut setups = [(); 4].map(|()| self.setup.clone());
        setups[0].four.tagging = Tagging::default();
        let four = &mut setups[1].four;
        (four.host_mappings, four.host_unreplied) = (MANY, MANY);
        (four.flows, four.bindings) = (MANY, MANY);
        (four.forwards, four.pool, four.one_first) = (0, 1, true);
        four.on_failure = 0;
        setups[2].four.mtu = [1500; 3];
        setups[3].prefix = ([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);
        let setups = setups.into_iter().filter(|setup| *setup != self.setup);
        let setups = setups.map(|setup| Self { setup, ..self.clone() });
        cut.chain(simpler).chain(setups)
    }

    fn without_gaps(&self) -> Self {
        let is_gap = |step: &&Step64| matches!(step, Step64::Nothing);
        let place = |old: usize| old - self.steps[..old].iter().filter(is_gap).count();
        let kept = self.steps.iter().filter(|step| !is_gap(step));
        let steps = kept.map(|step| match step.clone() {
            Step64::Reply(to, four, six) => Step64::Reply(place(to), four, six),
            Step64::Error(about, four, six) => Step64::Error(place(about), four, six),
            step => step,
        });
        Self { setup: self.setup.clone(), steps: steps.collect() }
    }
}

fn simpler_steps(step: &Step64) -> Vec<Step64> {
    match step {
        Step64::Send(packet) => simpler6(packet).into_iter().map(Step64::Send).collect(),
        Step64::Reply(to, four, six) => both(four, six, |four, six| Step64::Reply(*to, four, six)),
        Step64::Error(about, four, six) => {
            both(four, six, |four, six| Step64::Error(*about, four, six))
        }
        _ => Vec::new(),
    }
}

fn both(four: &Packet, six: &Packet6, step: impl Fn(Packet, Packet6) -> Step64) -> Vec<Step64> {
    let fours = simpler4(four).into_iter().map(|four| step(four, six.clone()));
    let sixes = simpler6(six).into_iter().map(|six| step(four.clone(), six));
    fours.chain(sixes).collect()
}

/// The packets that are simpler in one way, if that makes a difference.
fn different<P: Clone + std::fmt::Debug>(packet: &P, simplify: &[fn(&mut P)]) -> Vec<P> {
    let all = simplify.iter().map(|simplify| {
        let mut simple = packet.clone();
        simplify(&mut simple);
        simple
    });
    all.filter(|simple| format!("{simple:?}") != format!("{packet:?}")).collect()
}

fn simpler4(packet: &Packet) -> Vec<Packet> {
    different(
        packet,
        &[
            |packet| packet.ttl = 64,
            |packet| packet.fragment = 0,
            |packet| packet.options = Bytes::default(),
            |packet| packet.payload = 6,
            |packet| packet.padding = 0,
            |packet| packet.damage = [None; 4],
            |packet| packet.repaired = false,
            |packet| packet.cut = None,
        ],
    )
}

fn simpler6(packet: &Packet6) -> Vec<Packet6> {
    different(
        packet,
        &[
            |packet| packet.hop_limit = 64,
            |packet| packet.fragment = 0,
            |packet| packet.extensions = Bytes::default(),
            |packet| packet.payload = 6,
            |packet| packet.quoted = u16::MAX,
            |packet| packet.padding = 0,
            |packet| packet.damage = [None; 2],
            |packet| packet.repaired = false,
            |packet| packet.cut = None,
        ],
    )
}
