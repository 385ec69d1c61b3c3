//! Makes a sequence that fails as small as it can.

use std::fmt::Debug;

use pointsman_ebpf::memory::sequence::{
    Body, Bytes, Packet, Routing, Sequence, Setup, Step, Tagging,
};

/// A sequence that can be made smaller.
pub(crate) trait Shrink: Clone + Debug {
    /// Leaves out what comes behind so many steps.
    fn truncate(&mut self, steps: usize);

    /// All that is one change simpler.
    fn simpler(&self) -> impl Iterator<Item = Self>;

    /// Without what was cut out: steps that refer to others by their place refer to the new one.
    #[must_use]
    fn without_gaps(&self) -> Self;
}

/// The smallest sequence found that still fails, and how it does. `play` says at which step a
/// sequence fails.
pub(crate) fn shrink<S: Shrink, D>(
    sequence: &S,
    mut play: impl FnMut(&S) -> Result<(), (usize, D)>,
) -> (S, (usize, D)) {
    let mut best = sequence.clone();
    let mut difference = match play(&best) {
        Err(difference) => difference,
        Ok(()) => panic!("a sequence that does not fail is not to be shrunk: {sequence:?}"),
    };
    loop {
        best.truncate(difference.0 + 1);
        let smaller = best.simpler().find_map(|candidate| {
            let difference = play(&candidate).err()?;
            Some((candidate, difference))
        });
        match smaller {
            Some(smaller) => (best, difference) = smaller,
            None => break,
        }
    }
    let best = best.without_gaps();
    let difference = play(&best).err().unwrap_or(difference);
    (best, difference)
}

impl Shrink for Sequence {
    fn truncate(&mut self, steps: usize) {
        self.steps.truncate(steps);
    }

    fn simpler(&self) -> impl Iterator<Item = Self> {
        simpler(self)
    }

    fn without_gaps(&self) -> Self {
        without_gaps(self)
    }
}

fn simpler(sequence: &Sequence) -> impl Iterator<Item = Sequence> {
    let cut = (0..sequence.steps.len()).filter_map(|at| {
        let mut sequence = sequence.clone();
        if matches!(sequence.steps[at], Step::Nothing) {
            return None;
        }
        sequence.steps[at] = Step::Nothing;
        Some(sequence)
    });
    let simpler = (0..sequence.steps.len()).flat_map(|at| {
        let (Step::Send(packet) | Step::Reply(_, packet) | Step::Error(_, packet)) =
            &sequence.steps[at]
        else {
            return Vec::new();
        };
        let with = |simple: Packet| {
            let mut sequence = sequence.clone();
            if let Step::Send(packet) | Step::Reply(_, packet) | Step::Error(_, packet) =
                &mut sequence.steps[at]
            {
                *packet = simple;
            }
            sequence
        };
        simpler_packets(packet).into_iter().map(with).collect()
    });
    cut.chain(simpler).chain(simpler_setups(sequence))
}

fn simpler_packets(packet: &Packet) -> Vec<Packet> {
    let plain = Packet::default();
    let mut simpler = Vec::new();
    let mut unless = |is_simple: bool, simple: Packet| {
        if !is_simple {
            simpler.push(simple);
        }
    };
    unless(packet.ttl == plain.ttl, Packet { ttl: plain.ttl, ..packet.clone() });
    unless(packet.fragment == 0, Packet { fragment: 0, ..packet.clone() });
    unless(packet.options.0.is_empty(), Packet { options: Bytes::default(), ..packet.clone() });
    unless(packet.payload == plain.payload, Packet { payload: plain.payload, ..packet.clone() });
    unless(packet.padding == 0, Packet { padding: 0, ..packet.clone() });
    unless(packet.damage == [None; 4], Packet { damage: [None; 4], ..packet.clone() });
    unless(!packet.repaired, Packet { repaired: false, ..packet.clone() });
    unless(packet.cut.is_none(), Packet { cut: None, ..packet.clone() });
    if let Body::Tcp(flags, sequence, options) = &packet.body {
        let body = Body::Tcp(*flags, *sequence, Bytes::default());
        unless(options.0.is_empty(), Packet { body, ..packet.clone() });
        unless(false, Packet { body: plain.body.clone(), ..packet.clone() });
    }
    simpler
}

fn simpler_setups(sequence: &Sequence) -> Vec<Sequence> {
    const MANY: u32 = 1_000_000;
    let simplify: [fn(&mut Setup); 16] = [
        |setup| setup.tagging = Tagging::default(),
        |setup| setup.routing = Routing::default(),
        |setup| setup.routing.answers_only = false,
        |setup| setup.one_first = true,
        |setup| setup.filtering = 0,
        |setup| setup.nat_ports = (1024, 65535),
        |setup| setup.forwards = 0,
        |setup| setup.mtu = [1500; 3],
        |setup| setup.pool = 1,
        |setup| setup.sticky = 0,
        |setup| setup.on_failure = 0,
        |setup| setup.drawn = 0,
        |setup| setup.host_mappings = MANY,
        |setup| setup.host_unreplied = MANY,
        |setup| setup.flows = MANY,
        |setup| setup.bindings = MANY,
    ];
    let all = simplify.into_iter().map(|simplify| {
        let mut sequence = sequence.clone();
        simplify(&mut sequence.setup);
        sequence
    });
    all.filter(|simple| simple.setup != sequence.setup).collect()
}

fn without_gaps(sequence: &Sequence) -> Sequence {
    let place = |old: usize| {
        sequence.steps[..old].iter().filter(|step| !matches!(step, Step::Nothing)).count()
    };
    let kept = sequence.steps.iter().filter(|step| !matches!(step, Step::Nothing));
    let steps = kept.map(|step| match step.clone() {
        Step::Reply(to, packet) => Step::Reply(place(to), packet),
        Step::Error(about, packet) => Step::Error(place(about), packet),
        step => step,
    });
    Sequence { setup: sequence.setup.clone(), steps: steps.collect() }
}
