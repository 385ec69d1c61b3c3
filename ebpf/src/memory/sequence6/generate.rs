//! Sequences at random: of few hosts, servers and ports, so that they meet often.

use std::vec::Vec;

use super::values::{
    EXTENSIONS, HOST_PORTS, ODD_ADDRESSES, ODD_SUFFIXES, SERVER_PORTS, SERVERS, TCP_OPTIONS,
    number_of,
};
use super::{Address, End, Mappings6, Packet6, Sequence6, Setup6, Step6};
use crate::memory::packet6::Body6;
use crate::memory::sequence::{Bytes, Interface, Profile, Tagging, bytes};
use crate::memory::site::{A, B};
use crate::memory::site6::{Carriage, provided};
use crate::memory::{Random, site6};

/// A sequence.
pub fn generate(random: &mut Random, profile: Profile) -> Sequence6 {
    let (steps, fragments) = (Vec::new(), Vec::new());
    let mut generator = Generator { random, profile, steps, fragments, own_ports: false };
    let setup = generator.setup();
    generator.own_ports = profile == Profile::Kernel && setup.carriage.contains(&Carriage::Nat66);
    let longest = if profile == Profile::Kernel { 200 } else { 100 };
    for _ in 0..10 + generator.below(longest) {
        let step = generator.step(&setup);
        if let Step6::Send(packet) | Step6::Reply(_, packet) = &step
            && packet.fragment & 0xfff9 == 1
        {
            generator.fragments.push(step.clone());
        }
        generator.steps.push(step);
    }
    Sequence6 { setup, steps: generator.steps }
}

struct Generator<'a> {
    random: &'a mut Random,
    profile: Profile,
    steps: Vec<Step6>,
    /// The steps of first fragments: later ones follow.
    fragments: Vec<Step6>,
    /// Whether each host has ports, and identifiers, that no other has, so that none is drawn at random.
    own_ports: bool,
}

impl Generator<'_> {
    fn below(&mut self, bound: usize) -> usize {
        self.random.below(bound.max(1))
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    fn pick<T: Copy + Default>(&mut self, from: &[T]) -> T {
        let place = self.below(from.len());
        from.get(place).copied().unwrap_or_default()
    }

    fn setup(&mut self) -> Setup6 {
        use Carriage::{Nat66, None, Nptv6, Routed, Source};
        const PAIRS: [[Carriage; 2]; 16] = [
            [Nat66, Nat66],
            [Nat66, Nat66],
            [Nat66, Nptv6(48)],
            [Nptv6(56), Nat66],
            [Nat66, Routed],
            [Source, Nat66],
            [Nptv6(48), Nptv6(48)],
            [Nptv6(48), Nptv6(56)],
            [Nptv6(56), Nptv6(64)],
            [Nptv6(44), Routed],
            [Nptv6(48), Source],
            [Routed, Routed],
            [Source, Source],
            [Source, Nptv6(48)],
            [Nptv6(56), None],
            [None, None],
        ];
        const MANY: u32 = 1_000_000;
        let seldom = usize::from(!self.one_in(3));
        let kernel = self.profile == Profile::Kernel;
        let place = self.below(PAIRS.len() - seldom);
        let few = |generator: &mut Self| {
            if kernel || !generator.one_in(4) { MANY } else { 1 + generator.below(6) as u32 }
        };
        Setup6 {
            carriage: PAIRS.get(place).copied().unwrap_or([None; 2]),
            inbound: [self.one_in(2), self.one_in(2)],
            mtu: self.pick(&[[1500; 3], [1500, 1400, 1500], [1300, 1500, 1400]]),
            icmp: if kernel { (1_000_000, 1000) } else { (1 + self.below(5) as u32, 3) },
            pins: [few(self), few(self), few(self)],
            sticky: self.pick(&[0, 1, 2]),
            on_failure: self.pick(&[0, 0, 1, 2]),
            one_first: self.one_in(2),
            neighbours: !self.one_in(8),
            tagging: self.tagging(),
            mappings: self.mappings(),
        }
    }

    fn mappings(&mut self) -> Mappings6 {
        let kernel = self.profile == Profile::Kernel;
        let few = |generator: &mut Self, most: usize| match kernel || !generator.one_in(3) {
            true => 1_000_000,
            false => 1 + generator.below(most) as u32,
        };
        Mappings6 {
            drawn: self.below(200) as u8,
            filtering: self.pick(&[0, 0, 1, 2]),
            nat_ports: if !kernel && self.one_in(3) { (4000, 4003) } else { (1024, 65535) },
            of_host: few(self, 6),
            entries: few(self, 24),
        }
    }

    fn tagging(&mut self) -> Tagging {
        if !self.one_in(3) {
            return Tagging::default();
        }
        Tagging([(); 3].map(|()| self.below(Tagging::KINDS) as u8))
    }

    fn step(&mut self, setup: &Setup6) -> Step6 {
        let earlier = self.steps.len();
        if earlier > 0 {
            // Mostly what was not long ago.
            let about = earlier - 1 - self.below(earlier.min(12));
            match self.below(20) {
                0..=6 => return Step6::Reply(about, self.packet(setup)),
                7..=8 => return self.error(about, setup),
                9 if !self.fragments.is_empty() => return self.tail(),
                10..=11 => return self.event(),
                _ => {}
            }
        }
        Step6::Send(self.packet(setup))
    }

    fn event(&mut self) -> Step6 {
        let (one, other) = (self.one_in(2), self.one_in(2));
        if self.profile == Profile::Kernel {
            return Step6::Alive(one, other);
        }
        match self.below(16) {
            0..=3 => Step6::Wait(self.pick(&[1, 300, 1100, 5000, 400_000])),
            4..=8 => Step6::Alive(one || self.one_in(2), other || self.one_in(2)),
            9 => Step6::Prefer(one, other),
            10 => Step6::Use(one || self.one_in(2), other || self.one_in(2)),
            11 => Step6::Invite(one, other),
            12..=13 => Step6::Renew(if one { Interface::A } else { Interface::B }),
            _ => Step6::Sweep(self.random.word() as u32),
        }
    }

    /// A packet from anywhere to anywhere, as a step may send or change it.
    fn packet(&mut self, setup: &Setup6) -> Packet6 {
        let body = self.body();
        let mut packet = match self.below(10) {
            0..=5 => self.opening(body, setup),
            6 if self.one_in(4) => self.crossing(body, setup),
            6 => self.hairpin(body, setup),
            _ => self.unasked(body, setup),
        };
        let keeps_ports = self.own_ports && packet.interface == Interface::Lan;
        if self.one_in(20) && !keeps_ports {
            packet.source.0 = self.pick(&ODD_ADDRESSES);
        }
        if self.one_in(20) {
            packet.destination.0 = self.pick(&ODD_ADDRESSES);
        }
        self.shape(&mut packet);
        packet
    }

    fn body(&mut self) -> Body6 {
        match self.below(18) {
            0..=6 => {
                let flags = self.pick(&[2, 2, 2, 18, 16, 16, 17, 4, 20, 0]);
                let sequence = self.pick(&[1, 1000, 0x7000_0000, 0xffff_fff0]);
                let options: &[u8] = self.pick(&TCP_OPTIONS);
                Body6::Tcp(flags, sequence, bytes(options))
            }
            7..=10 => Body6::Udp,
            11..=13 => Body6::Echo { reply: self.one_in(4) },
            14 => {
                // An echo's identifier would be no port that is handed out.
                let echo = if self.own_ports { 127 } else { 128 };
                let icmp_type =
                    self.pick(&[135, 136, 133, 137, 143, 130, 100, echo, 129, 127, 1, 4]);
                Body6::Message([icmp_type, self.pick(&[0, 1])], [0; 4])
            }
            _ => Body6::Other(self.pick(&[47, 50, 59, 132, 4, 1])),
        }
    }

    /// The address of a LAN host, of a prefix that an uplink takes packets from.
    fn host(&mut self, setup: &Setup6) -> End {
        let [a, b] = setup.carriage;
        let (provider, carriage) = if self.one_in(2) { (A, a) } else { (B, b) };
        let prefix = match carriage {
            Carriage::Routed => site6::ROUTED,
            Carriage::Source => provided(&provider, 48),
            Carriage::Nptv6(_) | Carriage::Nat66 | Carriage::None => site6::INTERNAL,
        };
        let suffix = self.suffix();
        (site6::within(prefix, suffix).segments(), self.port_of(suffix))
    }

    /// A port of the host with this suffix.
    fn port_of(&mut self, suffix: [u16; 5]) -> u16 {
        let own = if self.own_ports { 100 * number_of(suffix) } else { 0 };
        own + self.pick(&HOST_PORTS)
    }

    fn suffix(&mut self) -> [u16; 5] {
        if self.one_in(12) {
            return self.pick(&ODD_SUFFIXES);
        }
        let subnet = u16::from(!self.one_in(6));
        [subnet, 0, 0, 0, self.pick(&[2, 2, 3, 9])]
    }

    /// An address that an uplink shows, or would, and a port that is perhaps somebody's.
    fn public(&mut self, setup: &Setup6) -> (Interface, End) {
        let [a, b] = setup.carriage;
        let (interface, provider, carriage) =
            if self.one_in(2) { (Interface::A, A, a) } else { (Interface::B, B, b) };
        let suffix = self.suffix();
        let address = match carriage {
            Carriage::Nptv6(len) => shown(provided(&provider, len), suffix),
            Carriage::Routed => site6::within(site6::ROUTED, suffix).segments(),
            Carriage::Source => site6::within(provided(&provider, 48), suffix).segments(),
            Carriage::Nat66 => site6::own(&provider).segments(),
            Carriage::None => site6::within(site6::INTERNAL, suffix).segments(),
        };
        (interface, (address, self.port_of(suffix)))
    }

    /// From a LAN host to a server.
    fn opening(&mut self, body: Body6, setup: &Setup6) -> Packet6 {
        let destination = (self.pick(&SERVERS), self.pick(&SERVER_PORTS));
        Packet6 { source: self.host(setup), destination, body, ..Packet6::default() }
    }

    /// From a LAN host to a LAN host.
    fn crossing(&mut self, body: Body6, setup: &Setup6) -> Packet6 {
        let (source, destination) = (self.host(setup), self.host(setup));
        Packet6 { source, destination, body, ..Packet6::default() }
    }

    /// From a LAN host to a public address.
    fn hairpin(&mut self, body: Body6, setup: &Setup6) -> Packet6 {
        let source = self.host(setup);
        Packet6 { source, destination: self.public(setup).1, body, ..Packet6::default() }
    }

    /// From beyond an uplink.
    fn unasked(&mut self, body: Body6, setup: &Setup6) -> Packet6 {
        let (uplink, mut destination) = self.public(setup);
        let interface = match self.below(40) {
            0 => Interface::Stranger,
            1 => Interface::A,
            2 => Interface::B,
            _ => uplink,
        };
        if self.one_in(20) {
            destination.0 = self.pick(&SERVERS);
        }
        let source = match self.below(20) {
            0 => self.host(setup),
            1 => self.public(setup).1,
            _ => (self.pick(&SERVERS), self.pick(&SERVER_PORTS)),
        };
        Packet6 { interface, source, destination, body, ..Packet6::default() }
    }

    /// What may be odd about any packet.
    fn shape(&mut self, packet: &mut Packet6) {
        if self.one_in(10) {
            packet.hop_limit = self.pick(&[0, 1, 1, 2, 255]);
        }
        if self.one_in(8) {
            let extensions: &[u8] = self.pick(&EXTENSIONS);
            packet.extensions = bytes(extensions);
        }
        if self.one_in(12) {
            packet.payload = self.pick(&[1184, 1232, 1292, 1352, 1400, 1440, 1452, 0, 1]);
        }
        if self.one_in(10) {
            packet.padding = 1 + self.below(20) as u8;
        }
        if self.one_in(8) {
            packet.fragment = self.pick(&[1, 1, 1, 0, 6, 8, 9, 7]);
            packet.identification = self.below(3) as u32 + 0x10000 * self.below(2) as u32;
            packet.payload = self.pick(&[packet.payload, 8, 0, 16]);
            if !self.one_in(8) {
                packet.extensions.0.extend([44, 0]);
            }
        }
        if self.one_in(12) {
            self.damage(packet);
        }
    }

    /// Changes bytes of the header, or anywhere but in the type of the frame, or cuts the frame.
    fn damage(&mut self, packet: &mut Packet6) {
        let value = self.pick(&[0, 1, 4, 6, 0x40, 0x60, 44, 58, 60, 0xff]);
        let value = if self.one_in(2) { value } else { self.random.word() as u8 };
        let at = match self.below(3) {
            0 => self.pick(&[0, 14, 18, 19, 20, 21]),
            1 => 54 + self.below(20) as u16,
            _ => self.below(110) as u16,
        };
        let at = if self.own_ports && at >= 20 { 21 } else { at };
        packet.damage = [Some((at, value)).filter(|_| !matches!(at, 12 | 13)), None];
        packet.repaired = self.one_in(2);
        match self.below(8) {
            0 => {
                let least = if self.profile == Profile::Kernel { 14 } else { 0 };
                packet.cut = Some(least + self.below(90) as u16);
            }
            // Another MAC of the host's.
            1 => packet.damage = [Some((11, value & 7)), None],
            _ => {}
        }
    }

    /// An ICMPv6 error about what an earlier step sent.
    fn error(&mut self, about: usize, setup: &Setup6) -> Step6 {
        let template = self.packet(setup);
        let [kind, code, rest] =
            self.pick(&[[1, 4, 0], [1, 0, 0], [2, 0, 5], [3, 0, 0], [4, 1, 6]]);
        let mut packet = Packet6 {
            body: Body6::Message([kind, code], [0, 0, rest, 0]),
            interface: if self.one_in(2) { Interface::A } else { Interface::B },
            payload: self.pick(&[0, 0, 0, 4]),
            quoted: match self.below(8) {
                0 => self.below(90) as u16,
                1 => 600,
                _ => self.pick(&[44, 48, 60, 80, 128]),
            },
            damage: [None; 2],
            repaired: true,
            cut: None,
            ..template
        };
        if !self.one_in(20) {
            (packet.fragment, packet.extensions) = (0, Bytes::default());
        }
        // The destination's port says whether the error goes elsewhere than it should.
        packet.destination.1 = u16::from(!self.one_in(15));
        if self.one_in(4) {
            let at = 62 + self.below(52) as u16;
            packet.damage[0] = Some((at, self.random.word() as u8));
            packet.repaired = !self.one_in(4);
        }
        match self.below(4) {
            0 => packet.source.0 = self.pick(&ODD_ADDRESSES),
            1 => packet.source.0 = self.host(setup).0,
            2 => packet.source.0 = self.pick(&SERVERS),
            _ => {}
        }
        Step6::Error(about, packet)
    }

    /// A later fragment of a packet.
    fn tail(&mut self) -> Step6 {
        let place = self.below(self.fragments.len());
        let Some(mut step) = self.fragments.get(place).cloned() else {
            return Step6::Nothing;
        };
        let (Step6::Send(packet) | Step6::Reply(_, packet)) = &mut step else {
            return step;
        };
        let len = match &packet.body {
            Body6::Tcp(_, _, options) => 20 + options.0.len(),
            Body6::Other(_) => 0,
            _ => 8,
        };
        let end = (len + usize::from(packet.payload)).next_multiple_of(8) as u16;
        let offset = self.pick(&[end, end, end, end + 8, end.saturating_sub(8), 8]);
        packet.fragment = offset | self.pick(&[0, 0, 1]);
        packet.hop_limit = self.pick(&[64, 64, 64, 1]);
        step
    }
}

/// What an uplink with this prefix shows for this suffix behind [`site6::INTERNAL`]; where that is not
/// translated, the suffix behind its own prefix.
fn shown((prefix, len): site6::Prefix, suffix: [u16; 5]) -> Address {
    use crate::abi::PrefixTranslation;
    let internal = (site6::entry(site6::INTERNAL.0), site6::INTERNAL.1);
    let translation = PrefixTranslation::new(internal, (site6::entry(prefix), len));
    let host = site6::within(site6::INTERNAL, suffix);
    match translation.outbound(site6::entry(host)) {
        Ok(external) => core::net::Ipv6Addr::from(external.octets()).segments(),
        Err(_) => site6::within((prefix, len), suffix).segments(),
    }
}
