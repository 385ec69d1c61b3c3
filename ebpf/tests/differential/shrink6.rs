//! What of a sequence of IPv6 can be simpler.

use pointsman_ebpf::memory::Body6;
use pointsman_ebpf::memory::sequence::{Bytes, Tagging};
use pointsman_ebpf::memory::sequence6::{Packet6, Sequence6, Setup6, Step6};

use super::shrink::Shrink;

impl Shrink for Sequence6 {
    fn truncate(&mut self, steps: usize) {
        self.steps.truncate(steps);
    }

    fn simpler(&self) -> impl Iterator<Item = Self> {
        let with = |at: usize, step: Step6| {
            let mut sequence = self.clone();
            sequence.steps[at] = step;
            sequence
        };
        let is_left = |at: &usize| !matches!(self.steps[*at], Step6::Nothing);
        let places = (0..self.steps.len()).filter(is_left);
        let cut = places.clone().map(move |at| with(at, Step6::Nothing));
        let simpler = places.flat_map(move |at| {
            let packets = match &self.steps[at] {
                Step6::Send(packet) | Step6::Reply(_, packet) | Step6::Error(_, packet) => {
                    simpler_packets(packet)
                }
                _ => Vec::new(),
            };
            packets.into_iter().map(move |packet| {
                let step = match &self.steps[at] {
                    Step6::Reply(to, _) => Step6::Reply(*to, packet),
                    Step6::Error(about, _) => Step6::Error(*about, packet),
                    _ => Step6::Send(packet),
                };
                with(at, step)
            })
        });
        let setups = simpler_setups(&self.setup).into_iter();
        let setups = setups.map(|setup| Self { setup, ..self.clone() });
        cut.chain(simpler).chain(setups)
    }

    fn without_gaps(&self) -> Self {
        let is_gap = |step: &&Step6| matches!(step, Step6::Nothing);
        let place = |old: usize| old - self.steps[..old].iter().filter(is_gap).count();
        let kept = self.steps.iter().filter(|step| !is_gap(step));
        let steps = kept.map(|step| match step.clone() {
            Step6::Reply(to, packet) => Step6::Reply(place(to), packet),
            Step6::Error(about, packet) => Step6::Error(place(about), packet),
            step => step,
        });
        Self { setup: self.setup.clone(), steps: steps.collect() }
    }
}

fn simpler_packets(packet: &Packet6) -> Vec<Packet6> {
    let plain = Packet6::default();
    let mut simpler = Vec::new();
    let mut unless = |is_simple: bool, simplify: &dyn Fn(&mut Packet6)| {
        if !is_simple {
            let mut simple = packet.clone();
            simplify(&mut simple);
            simpler.push(simple);
        }
    };
    unless(packet.hop_limit == plain.hop_limit, &|packet| packet.hop_limit = 64);
    unless(packet.fragment == 0, &|packet| packet.fragment = 0);
    unless(packet.identification == 7, &|packet| packet.identification = 7);
    unless(packet.extensions.0.is_empty(), &|packet| packet.extensions = Bytes::default());
    unless(packet.payload == plain.payload, &|packet| packet.payload = 6);
    unless(packet.quoted == u16::MAX, &|packet| packet.quoted = u16::MAX);
    unless(packet.padding == 0, &|packet| packet.padding = 0);
    unless(packet.damage == [None; 2], &|packet| packet.damage = [None; 2]);
    unless(!packet.repaired, &|packet| packet.repaired = false);
    unless(packet.cut.is_none(), &|packet| packet.cut = None);
    if let Body6::Tcp(flags, sequence, options) = &packet.body {
        let body = Body6::Tcp(*flags, *sequence, Bytes::default());
        unless(options.0.is_empty(), &|packet| packet.body = body.clone());
        unless(false, &|packet| packet.body = Body6::Udp);
    }
    simpler
}

fn simpler_setups(setup: &Setup6) -> Vec<Setup6> {
    let simplify: [fn(&mut Setup6); 12] = [
        |setup| setup.tagging = Tagging::default(),
        |setup| setup.one_first = true,
        |setup| setup.mappings.filtering = 0,
        |setup| setup.mappings.nat_ports = (1024, 65535),
        |setup| setup.mappings.of_host = 1_000_000,
        |setup| setup.mappings.entries = 1_000_000,
        |setup| setup.mtu = [1500; 3],
        |setup| setup.sticky = 0,
        |setup| setup.on_failure = 0,
        |setup| setup.pins = [1_000_000; 3],
        |setup| setup.inbound = [false; 2],
        |setup| setup.icmp = (5, 3),
    ];
    let all = simplify.into_iter().map(|simplify| {
        let mut simple = setup.clone();
        simplify(&mut simple);
        simple
    });
    all.filter(|simple| simple != setup).collect()
}
