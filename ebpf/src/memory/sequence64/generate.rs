//! Sequences at random: of few hosts, servers and ports, so that they meet often.

use core::net::Ipv6Addr;
use std::vec;
use std::vec::Vec;

use super::{Sequence64, Setup64, Step64};
use crate::abi::{Ipv4, Nat64};
use crate::memory::packet6::Body6;
use crate::memory::sequence::{
    self, Body, Bytes, Interface, Packet, Profile, Routing, Step, bytes,
};
use crate::memory::sequence6::{Address, Packet6};
use crate::memory::site6::{self, INTERNAL, Prefix, entry, within};
use crate::memory::{Random, site64};

const SERVERS: [[u8; 4]; 3] = [[192, 0, 2, 53], [192, 0, 2, 54], [198, 18, 0, 1]];
const SERVER_PORTS: [u16; 3] = [53, 80, 4001];
const HOST_PORTS: [u16; 4] = [4000, 4001, 4002, 4007];

/// Addresses of IPv4 that are treated apart.
const ODD: [[u8; 4]; 8] = [
    [10, 1, 0, 2],
    [10, 9, 9, 9],
    [172, 20, 0, 1],
    [192, 168, 3, 4],
    [203, 0, 113, 2],
    [127, 0, 0, 1],
    [224, 0, 0, 1],
    [0, 0, 0, 0],
];

/// Addresses of IPv6 that nobody in the LAN may send from.
const ODD_SOURCES: [Address; 6] = [
    [0xfd00, 1, 0, 1, 0, 0, 0, 1],
    [0xfe80, 0, 0, 0, 0, 0, 0, 2],
    [0xff02, 0, 0, 0, 0, 0, 0, 1],
    [0; 8],
    [0x2001, 0xdb8, 0x77, 1, 0, 0, 0, 2],
    [0x64, 0xff9b, 0, 0, 0, 0, 0xc000, 0x235],
];

/// Prefixes of all lengths.
const PREFIXES: [Prefix; 7] = [
    site64::WELL_KNOWN,
    (Ipv6Addr::new(0x2001, 0xdb9, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2001, 0xdb9, 0x6400, 0, 0, 0, 0, 0), 40),
    (Ipv6Addr::new(0x2001, 0xdb9, 0x64, 0, 0, 0, 0, 0), 48),
    (Ipv6Addr::new(0x2001, 0xdb9, 0x64, 0x6400, 0, 0, 0, 0), 56),
    (Ipv6Addr::new(0x2001, 0xdb9, 0x64, 0x64, 0, 0, 0, 0), 64),
    (Ipv6Addr::new(0x2001, 0xdb9, 0x64, 0x64, 0, 7, 0, 0), 96),
];

const TCP_OPTIONS: [&[u8]; 5] = [
    &[],
    &[2, 4, 5, 180],
    &[1, 2, 4, 0xff, 0xff, 0, 0, 0],
    &[3, 3, 7, 2, 4, 5, 180, 0],
    &[2, 3, 5, 180],
];

/// Extension headers, of each the type and the length.
const EXTENSIONS: [&[u8]; 7] = [
    &[0, 0],
    &[60, 1, 43, 0],
    &[43, 2],
    &[44, 0],
    &[0, 0, 44, 0, 60, 0],
    &[60, 0, 60, 0, 60, 0, 60, 0, 60, 0, 60, 0, 60, 0, 60, 0, 60, 0],
    &[60, 24, 44, 0],
];

/// Options of IPv4: routes to go, and gone, and others.
const OPTIONS: [&[u8]; 5] = [
    &[1, 131, 7, 4, 10, 9, 8, 7],
    &[131, 7, 8, 10, 9, 8, 7, 0],
    &[137, 3, 4, 0],
    &[7, 7, 4, 0, 0, 0, 0, 137],
    &[0, 131, 7, 4],
];

/// A sequence.
pub fn generate(random: &mut Random, profile: Profile) -> Sequence64 {
    let mut sequence = sequence::generate(random, profile);
    sequence.setup.routing = Routing::default();
    let mut generator = Generator {
        random,
        profile,
        prefix: site64::WELL_KNOWN,
        steps: Vec::new(),
        fragments: Vec::new(),
        four: sequence.steps.into_iter(),
    };
    if !generator.one_in(3) {
        generator.prefix = generator.pick(&PREFIXES, site64::WELL_KNOWN);
    }
    let setup = Setup64 {
        four: sequence.setup,
        prefix: (generator.prefix.0.segments(), generator.prefix.1),
        neighbours: !generator.one_in(6),
    };
    for _ in 0..20 + generator.below(100) {
        let step = generator.step();
        generator.note(&step);
        generator.steps.push(step);
    }
    Sequence64 { setup, steps: generator.steps }
}

struct Generator<'a> {
    random: &'a mut Random,
    profile: Profile,
    prefix: Prefix,
    steps: Vec<Step64>,
    /// The steps of first fragments: later ones follow.
    fragments: Vec<Step64>,
    /// Steps of IPv4 alone, which are taken in among the others.
    four: vec::IntoIter<Step>,
}

impl Generator<'_> {
    fn below(&mut self, bound: usize) -> usize {
        self.random.below(bound.max(1))
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T], other: T) -> T {
        let place = self.below(from.len());
        from.get(place).copied().unwrap_or(other)
    }

    fn any<T: Copy + Default>(&mut self, from: &[T]) -> T {
        self.pick(from, T::default())
    }

    fn note(&mut self, step: &Step64) {
        let is_first = match step {
            Step64::Send(packet) => packet.fragment & 0xfff9 == 1,
            Step64::Reply(_, four, six) => {
                four.fragment & 0x3fff == 0x2000 || six.fragment & 0xfff9 == 1
            }
            _ => false,
        };
        if is_first {
            self.fragments.push(step.clone());
        }
    }

    fn step(&mut self) -> Step64 {
        let earlier = self.steps.len();
        if earlier == 0 {
            return Step64::Send(self.packet6());
        }
        // Mostly what was not long ago.
        let about = earlier - 1 - self.below(earlier.min(12));
        match self.below(20) {
            0..=5 => Step64::Reply(about, self.packet4(), self.packet6()),
            6..=8 => self.error(about),
            9 if !self.fragments.is_empty() => self.tail(),
            10..=12 => self.four(about),
            13 => self.unasked(),
            _ => Step64::Send(self.packet6()),
        }
    }

    /// A step of IPv4 alone.
    fn four(&mut self, about: usize) -> Step64 {
        let is_kernel = self.profile == Profile::Kernel;
        match self.four.next() {
            Some(Step::Alive(a, b)) => Step64::Four(Step::Alive(a, b)),
            // With hosts of IPv4, those of IPv6 would have ports in common.
            _ if is_kernel => Step64::Nothing,
            Some(Step::Reply(_, packet)) => Step64::Reply(about, packet, self.packet6()),
            Some(Step::Error(_, packet)) => Step64::Error(about, packet, Packet6::default()),
            Some(Step::Sweep(_)) | None => Step64::Nothing,
            Some(step) => Step64::Four(step),
        }
    }

    /// The address of IPv6 that stands for one of IPv4.
    fn embedded(&self, address: [u8; 4]) -> Address {
        let (prefix, len) = self.prefix;
        let nat64 = Nat64::new(entry(prefix), len).unwrap_or_default();
        Ipv6Addr::from(nat64.embed(Ipv4::new(address)).octets()).segments()
    }

    fn host(&mut self) -> Address {
        let suffix = self.pick(&[site6::HOST, site6::HOST, site6::OTHER], site6::HOST);
        let suffix = if self.one_in(8) { site6::SILENT } else { suffix };
        within(INTERNAL, suffix).segments()
    }

    /// From the LAN to a server; a step may turn it round, or make an error of it.
    fn packet6(&mut self) -> Packet6 {
        let server = if self.one_in(20) { self.any(&ODD) } else { self.any(&SERVERS) };
        let host = self.host();
        let [.., last] = host;
        let own = if self.profile == Profile::Kernel { last * 10 } else { 0 };
        let mut packet = Packet6 {
            source: (host, self.any(&HOST_PORTS) + own),
            destination: (self.embedded(server), self.any(&SERVER_PORTS)),
            body: self.body6(),
            ..Packet6::default()
        };
        if self.one_in(25) {
            packet.source.0 = self.any(&ODD_SOURCES);
        }
        if self.one_in(30) {
            // Nothing stands there, but for the longest prefix.
            packet.destination.0[7] ^= 1;
        }
        if self.one_in(12) {
            packet.hop_limit = self.any(&[0, 1, 1, 2, 255]);
        }
        if self.one_in(10) {
            let extensions: &[u8] = self.any(&EXTENSIONS);
            packet.extensions = bytes(extensions);
        }
        if self.one_in(8) {
            packet.payload =
                self.any(&[1184, 1212, 1232, 1240, 1300, 1352, 1400, 1440, 1452, 0, 1, 2, 3]);
        }
        if self.one_in(10) {
            packet.padding = 1 + self.below(20) as u8;
        }
        if self.one_in(8) {
            packet.fragment = self.any(&[1, 1, 1, 1, 0, 6, 8, 9]);
            packet.identification = self.below(3) as u32 + 0x10000 * self.below(2) as u32;
            packet.payload = self.any(&[packet.payload, 8, 0, 16]);
            if !self.one_in(8) {
                packet.extensions.0.extend([44, 0]);
            }
        }
        if self.one_in(6) {
            self.damage6(&mut packet);
        }
        packet
    }

    fn body6(&mut self) -> Body6 {
        match self.below(18) {
            0..=6 => {
                let flags = self.any(&[2, 2, 18, 16, 16, 17, 4, 20, 0]);
                let sequence = self.any(&[1, 1000, 0x7000_0000, 0xffff_fff0]);
                let options: &[u8] = self.any(&TCP_OPTIONS);
                Body6::Tcp(flags, sequence, bytes(options))
            }
            7..=11 => Body6::Udp,
            12..=14 => Body6::Echo { reply: self.one_in(5) },
            15 => Body6::Message([self.any(&[135, 133, 143, 130, 100, 128, 127, 3]), 1], [0; 4]),
            // A payload in the place of ports is seldom of ports that are handed out.
            _ if self.profile == Profile::Kernel => Body6::Other(self.any(&[1, 47, 59, 4])),
            _ => Body6::Other(self.any(&[1, 17, 47, 50, 59, 132, 4])),
        }
    }

    /// Another traffic class or MAC, a source route, or any other byte.
    fn damage6(&mut self, packet: &mut Packet6) {
        let value = self.random.word() as u8;
        packet.repaired = !self.one_in(3);
        packet.damage = match self.below(8) {
            0..=2 => [Some((14, 0x60 | value & 15)), Some((15, value & 0xf0 | 3))],
            3 => [Some((11, value & 7)), None],
            4..=5 => {
                packet.extensions =
                    if self.one_in(2) { bytes(&[43, 2]) } else { bytes(&[60, 0, 43, 0]) };
                let at = if packet.extensions.0.len() == 2 { 57 } else { 65 };
                [Some((at, value & 3)), None]
            }
            6 => {
                packet.cut = Some(20 + self.below(90) as u16);
                [None; 2]
            }
            _ if self.profile == Profile::Kernel => [None; 2],
            _ => [Some((54 + self.below(30) as u16, value)), None],
        };
    }

    /// What comes in by an uplink; a step may turn it round.
    fn packet4(&mut self) -> Packet {
        let mut packet = Packet {
            interface: if self.one_in(2) { Interface::A } else { Interface::B },
            body: self.body4(),
            ..Packet::default()
        };
        if self.one_in(12) {
            packet.ttl = self.any(&[0, 1, 1, 2, 255]);
        }
        if self.one_in(8) {
            let options: &[u8] = self.any(&OPTIONS);
            packet.options = bytes(options);
        }
        if self.one_in(8) {
            packet.payload = self.any(&[1232, 1252, 1272, 1400, 1432, 1452, 1472, 0, 1, 3]);
        }
        if self.one_in(10) {
            packet.padding = 1 + self.below(20) as u8;
        }
        if self.one_in(7) {
            packet.fragment = self.any(&[0x2000, 0x2000, 0x2000, 0x4000, 1, 0x2001]);
            packet.identification = self.below(3) as u16;
            packet.payload = self.any(&[packet.payload, 8, 0, 16]);
        }
        if self.one_in(8) {
            let value = self.random.word() as u8;
            packet.repaired = !self.one_in(3);
            packet.damage[0] = Some(match self.below(4) {
                0..=1 => (15, value),
                _ => (34 + self.below(30) as u16, value),
            });
            if self.one_in(6) {
                packet.cut = Some(20 + self.below(60) as u16);
            }
        }
        packet
    }

    fn body4(&mut self) -> Body {
        match self.below(4) {
            0..=1 => Body::Tcp(self.any(&[18, 18, 16, 16, 17, 4, 20, 2]), 1000, {
                let options: &[u8] = self.any(&TCP_OPTIONS);
                bytes(options)
            }),
            _ => Body::Udp { checksum: !self.one_in(3) },
        }
    }

    /// To a port that may be somebody's, from anybody.
    fn unasked(&mut self) -> Step64 {
        let packet = self.packet4();
        let public =
            if packet.interface == Interface::A { [203, 0, 113, 2] } else { [198, 51, 100, 2] };
        let source = if self.one_in(20) { self.any(&ODD) } else { self.any(&SERVERS) };
        let body =
            if self.one_in(5) { Body::Icmp(self.any(&[0, 0, 8, 13]), 0) } else { packet.body };
        let own = if self.profile == Profile::Kernel { self.any(&[20, 20, 30]) } else { 0 };
        Step64::Four(Step::Send(Packet {
            source: (source, self.any(&SERVER_PORTS)),
            destination: (public, self.any(&HOST_PORTS) + own),
            body,
            ..packet
        }))
    }

    /// An error about what an earlier step sent.
    fn error(&mut self, about: usize) -> Step64 {
        let (four, six) = (self.error4(), self.error6());
        Step64::Error(about, four, six)
    }

    fn error4(&mut self) -> Packet {
        let packet = self.packet4();
        let message = match self.below(8) {
            0..=2 => (3, 4),
            3..=4 => (3, self.below(17) as u8),
            5 => (11, self.below(2) as u8),
            _ => (12, self.below(3) as u8),
        };
        let body = Body::Error {
            message,
            quoted: match self.below(8) {
                0 => self.below(70) as u16,
                1 => 1400,
                _ => self.any(&[28, 28, 48, 60, 128, 548]),
            },
            repaired: !self.one_in(10),
            options: if self.one_in(10) { bytes(&[7, 3, 4, 0]) } else { Bytes::default() },
        };
        let is_whole = !self.one_in(15);
        let mut error = Packet {
            source: (self.any(&SERVERS), 0),
            // The destination's port says whether the error goes elsewhere than it should.
            destination: ([203, 0, 113, 2], u16::from(!self.one_in(15))),
            body,
            payload: self.any(&[0, 0, 0, 4]),
            damage: [None; 4],
            repaired: !self.one_in(10),
            cut: None,
            ..packet
        };
        if is_whole {
            error.fragment = 0;
        }
        if !self.one_in(8) {
            error.options = Bytes::default();
        }
        // What stands in the last word of the header: a pointer, a length, an MTU.
        if error.options.0.is_empty() && self.one_in(2) {
            let word = match message {
                (12, _) => [self.below(44) as u8, 0, 0, 0],
                (3, 4) => {
                    let [high, low] = self
                        .any(&[0_u16, 0, 68, 1279, 1300, 1400, 1480, 2000, 65535])
                        .to_be_bytes();
                    [0, 0, high, low]
                }
                _ => [0, self.any(&[0, 5, 7, 8, 12, 32]), 0, 0],
            };
            let mut at = 37;
            error.damage = word.map(|byte| {
                at += 1;
                Some((at, byte))
            });
        }
        if self.one_in(8) {
            error.damage[0] = Some((42 + self.below(48) as u16, self.random.word() as u8));
        }
        error
    }

    fn error6(&mut self) -> Packet6 {
        let packet = self.packet6();
        let (kind, code) = match self.below(8) {
            0..=1 => (2, self.below(2) as u8),
            2..=4 => (1, self.below(7) as u8),
            5 => (3, self.below(2) as u8),
            _ => (4, self.below(3) as u8),
        };
        let rest = match kind {
            4 => [0, self.any(&[0, 0, 0, 1]), 0, self.below(44) as u8],
            2 => {
                let [high, low] =
                    self.any(&[0_u16, 1280, 1300, 1400, 1420, 1500, 65535]).to_be_bytes();
                [self.any(&[0, 0, 0, 1]), 0, high, low]
            }
            _ => [self.any(&[0, 0, 0, 5, 6, 7, 16]), 0, 0, 0],
        };
        let is_whole = !self.one_in(15);
        let mut error = Packet6 {
            body: Body6::Message([kind, code], rest),
            interface: Interface::Lan,
            payload: self.any(&[0, 0, 0, 4]),
            quoted: match self.below(8) {
                0 => self.below(90) as u16,
                1 => 1400,
                _ => self.any(&[44, 48, 60, 80, 128]),
            },
            damage: [None; 2],
            repaired: !self.one_in(12),
            cut: None,
            ..packet
        };
        if is_whole {
            error.fragment = 0;
            if !self.one_in(8) {
                error.extensions = Bytes::default();
            }
        }
        error.destination.1 = u16::from(!self.one_in(15));
        match self.below(10) {
            0 => {
                error.damage = [Some((62 + self.below(60) as u16, self.random.word() as u8)), None];
            }
            1 => error.damage = [Some((14, 0x6a)), Some((15, 0x50))],
            2 => {
                error.extensions = bytes(&[43, 2]);
                error.damage[0] = Some((57, self.below(2) as u8));
            }
            _ => {}
        }
        error
    }

    /// A later fragment of a packet.
    fn tail(&mut self) -> Step64 {
        let place = self.below(self.fragments.len());
        let mut step = self.fragments.get(place).cloned().unwrap_or(Step64::Nothing);
        let (more, ttl) = (self.any(&[0, 0, 1]), self.any(&[64, 64, 64, 1]));
        let about = self.any(&[0, 0, 0, 8, -8]);
        let offset = |header: usize, payload: u16| {
            let end = (header + usize::from(payload)).next_multiple_of(8) as i32;
            (end + about).max(8) as u16
        };
        if let Step64::Reply(_, packet, _) = &mut step {
            let header =
                if let Body::Tcp(_, _, options) = &packet.body { 20 + options.0.len() } else { 8 };
            packet.fragment = (offset(header, packet.payload) / 8) | (more << 13);
            packet.ttl = ttl;
        }
        if let Step64::Send(packet) | Step64::Reply(_, _, packet) = &mut step {
            let header = match &packet.body {
                Body6::Tcp(_, _, options) => 20 + options.0.len(),
                Body6::Other(_) => 0,
                _ => 8,
            };
            packet.fragment = offset(header, packet.payload) | more;
            packet.hop_limit = ttl;
        }
        step
    }
}
