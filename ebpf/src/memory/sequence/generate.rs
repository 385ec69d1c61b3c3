//! Sequences at random: of few hosts, servers and ports, so that they meet often.

mod routing;

use std::vec::Vec;

use super::{
    Body, Bytes, End, Interface, Packet, Sequence, Setup, Step, Tagging, bytes, public_addresses,
};
use crate::memory::Random;
use crate::memory::routed;
use crate::memory::site::lan;

/// What sequences are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Everything.
    Any,
    /// To run on the kernel too: no random number is drawn, for no two hosts have a port in common;
    /// time does not pass, and but for what is alive nothing changes.
    Kernel,
}

const SERVERS: [[u8; 4]; 3] = [[192, 0, 2, 53], [192, 0, 2, 54], [198, 18, 0, 1]];
const SERVER_PORTS: [u16; 3] = [53, 80, 4001];
const HOST_PORTS: [u16; 4] = [4000, 4001, 4002, 4007];

/// Addresses that are treated apart.
const ODD_ADDRESSES: [[u8; 4]; 11] = [
    [10, 1, 0, 1],
    [10, 1, 0, 4],
    [10, 1, 255, 255],
    [10, 1, 0, 0],
    [10, 20, 0, 2],
    [10, 20, 255, 255],
    [127, 0, 0, 1],
    [255, 255, 255, 255],
    [0, 0, 0, 0],
    [169, 254, 0, 1],
    [224, 0, 0, 1],
];

/// TCP options: segment sizes alone, behind others, at odd places, cut short, and malformed.
const TCP_OPTIONS: [&[u8]; 12] = [
    &[],
    &[2, 4, 5, 180],
    &[2, 4, 5, 181],
    &[1, 2, 4, 0xff, 0xff, 0, 0, 0],
    &[1, 1, 1, 2, 4, 9, 1, 0],
    &[3, 3, 7, 2, 4, 5, 180, 0],
    &[2, 4, 2, 24, 1, 1, 4, 2],
    &[0, 0, 0, 0, 2, 4, 5, 180],
    &[2, 3, 5, 180],
    &[4, 0, 2, 4, 5, 180, 0, 0],
    &[1, 1, 2, 4],
    &[8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 4, 5, 200, 1],
];

const IP_OPTIONS: [&[u8]; 3] = [&[7, 3, 4, 0], &[1, 1, 1, 1, 0x94, 4, 0, 0], &[0x44; 40]];

/// A sequence.
pub fn generate(random: &mut Random, profile: Profile) -> Sequence {
    let mut generator = Generator { random, profile, steps: Vec::new(), fragments: Vec::new() };
    let setup = generator.setup();
    let longest = if profile == Profile::Kernel { 200 } else { 100 };
    let count = 10 + generator.below(longest);
    for _ in 0..count {
        let step = generator.step(&setup);
        if let Step::Send(packet) | Step::Reply(_, packet) = &step
            && packet.fragment & 0x3fff == 0x2000
        {
            generator.fragments.push(step.clone());
        }
        generator.steps.push(step);
    }
    Sequence { setup, steps: generator.steps }
}

struct Generator<'a> {
    random: &'a mut Random,
    profile: Profile,
    steps: Vec<Step>,
    /// The steps of first fragments: later ones follow.
    fragments: Vec<Step>,
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

    fn setup(&mut self) -> Setup {
        let kernel = self.profile == Profile::Kernel;
        let small = !kernel && self.one_in(3);
        let few = |generator: &mut Self, most: usize| {
            if kernel || !generator.one_in(3) {
                1_000_000
            } else {
                1 + generator.below(most) as u32
            }
        };
        Setup {
            drawn: self.below(200) as u8,
            filtering: self.pick(&[0, 0, 1, 2]),
            nat_ports: if small { (4000, 4007) } else { (1024, 65535) },
            host_mappings: few(self, 6),
            host_unreplied: few(self, 6),
            flows: few(self, 12),
            bindings: few(self, 24),
            forwards: self.pick(&[0, 1, 2, 4]),
            mtu: self.pick(&[[1500; 3], [1500, 1400, 1500], [1300, 1500, 1400]]),
            icmp: if kernel { (1_000_000, 1000) } else { (1 + self.below(5) as u32, 3) },
            pool: self.pick(&[1, 1, 3]),
            sticky: self.pick(&[0, 1, 2]),
            on_failure: self.pick(&[0, 0, 1, 2]),
            one_first: self.one_in(2),
            tagging: self.tagging(),
            routing: self.routing(),
        }
    }

    fn tagging(&mut self) -> Tagging {
        if !self.one_in(3) {
            return Tagging::default();
        }
        Tagging([(); 3].map(|()| self.below(Tagging::KINDS) as u8))
    }

    fn step(&mut self, setup: &Setup) -> Step {
        let earlier = self.steps.len();
        if earlier > 0 {
            // Mostly what was not long ago.
            let about = earlier - 1 - self.below(earlier.min(12));
            match self.below(20) {
                0..=6 => {
                    let packet = self.packet(setup);
                    return Step::Reply(about, packet);
                }
                7..=8 => return self.error(about, setup),
                9 if !self.fragments.is_empty() => return self.tail(),
                10..=11 => return self.event(),
                _ => {}
            }
        }
        let packet = self.packet(setup);
        Step::Send(packet)
    }

    fn event(&mut self) -> Step {
        let (one, other) = (self.one_in(2), self.one_in(2));
        if self.profile == Profile::Kernel {
            return Step::Alive(one, other);
        }
        let uplink = if one { Interface::A } else { Interface::B };
        match self.below(16) {
            0..=4 => Step::Wait(self.pick(&[1, 300, 1100, 5000, 400_000])),
            5..=8 => Step::Alive(one || self.one_in(2), other || self.one_in(2)),
            9 => Step::Prefer(one, other),
            10..=11 => Step::Readdress(uplink, self.below(3) as u8),
            12..=13 => Step::Sweep(self.random.word() as u32),
            14 => match self.below(2) {
                0 => Step::Filter(self.below(3) as u8),
                _ => Step::Limit(self.below(5) as u32, self.below(5) as u32),
            },
            _ => Step::Keep(one, self.pick(&HOST_PORTS)),
        }
    }

    /// A packet from anywhere to anywhere, as a step may send or change it.
    fn packet(&mut self, setup: &Setup) -> Packet {
        let body = self.body();
        let mut packet = match self.below(10) {
            0..=5 => self.opening(body),
            6 => self.hairpin(body, setup),
            _ => self.unasked(body, setup),
        };
        if setup.routing.is_any() {
            self.route(&mut packet);
        }
        let is_host = self.profile == Profile::Kernel && packet.interface == Interface::Lan;
        if self.one_in(20) && !is_host {
            packet.source.0 = self.pick(&ODD_ADDRESSES);
        }
        if self.one_in(20) {
            packet.destination.0 = self.pick(&ODD_ADDRESSES);
        }
        self.shape(&mut packet);
        packet
    }

    fn body(&mut self) -> Body {
        match self.below(16) {
            0..=6 => {
                let flags = self.pick(&[2, 2, 2, 18, 16, 16, 17, 4, 20, 0]);
                let sequence = self.pick(&[1, 1000, 0x7000_0000, 0xffff_fff0]);
                let options: &[u8] = self.pick(&TCP_OPTIONS);
                Body::Tcp(flags, sequence, bytes(options))
            }
            7..=10 => Body::Udp { checksum: !self.one_in(4) },
            11..=13 => Body::Icmp(self.pick(&[8, 8, 8, 0, 13]), self.pick(&[0, 0, 0, 0, 0, 1])),
            _ => Body::Other(self.pick(&[47, 50, 132, 4, 58])),
        }
    }

    /// From a LAN host to a server.
    fn opening(&mut self, body: Body) -> Packet {
        let destination = (self.pick(&SERVERS), self.pick(&SERVER_PORTS));
        Packet { source: self.host(&body), destination, body, ..Packet::default() }
    }

    /// From a LAN host to a public address.
    fn hairpin(&mut self, body: Body, setup: &Setup) -> Packet {
        let source = self.host(&body);
        Packet { source, destination: self.public(setup).1, body, ..Packet::default() }
    }

    /// From beyond an uplink.
    fn unasked(&mut self, body: Body, setup: &Setup) -> Packet {
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
        let mut source = (self.pick(&SERVERS), self.pick(&SERVER_PORTS));
        if self.one_in(30) {
            // As a DHCP server answers.
            (source.1, destination.1) = (67, 68);
        }
        Packet { interface, source, destination, body, ..Packet::default() }
    }

    /// An end in the LAN.
    fn host(&mut self, body: &Body) -> End {
        let host = self.below(3) as u8;
        let port = self.pick(&HOST_PORTS);
        let own = self.profile == Profile::Kernel;
        // Other protocols would meet by their addresses alone.
        let host = if own && matches!(body, Body::Other(_)) { 0 } else { host };
        let port = if own { port + 100 * u16::from(host) } else { port };
        ([10, 1, 0, 2 + host], port)
    }

    /// A public address of an uplink, and a port that is perhaps somebody's.
    fn public(&mut self, setup: &Setup) -> (Interface, End) {
        let uplink = if self.one_in(2) { Interface::A } else { Interface::B };
        let index = if self.one_in(4) { self.below(3) as u8 } else { 0 };
        let addresses: Vec<_> = public_addresses(uplink, index, setup.pool).collect();
        let address = self.pick(&addresses);
        let port = match self.below(6) {
            0..=2 => self.pick(&HOST_PORTS),
            3 => self.pick(&[22, 4003, 4100, 4200, 60000]),
            _ => 8000 + self.below(6) as u16,
        };
        (uplink, (address, port))
    }

    /// What may be odd about any packet.
    fn shape(&mut self, packet: &mut Packet) {
        if self.one_in(8) {
            packet.ttl = self.pick(&[0, 1, 1, 2, 255]);
        }
        if self.one_in(10) {
            let options: &[u8] = self.pick(&IP_OPTIONS);
            packet.options = bytes(options);
        }
        if self.one_in(12) {
            packet.payload = self.pick(&[1240, 1300, 1400, 1440, 1452, 1472, 1480, 0, 1]);
        }
        if self.one_in(10) {
            packet.padding = 1 + self.below(20) as u8;
        }
        if self.one_in(10) {
            packet.fragment = self.pick(&[0x2000, 0x2000, 0x2000, 0x4000, 0x8000, 1, 0x2001]);
            packet.identification = self.below(3) as u16;
            packet.payload = self.pick(&[packet.payload, 8, 0, 16]);
            if self.one_in(16) {
                // Too short for its transport header.
                packet.damage[1] = Some((17, 20 + packet.options.0.len() as u8 + 4));
            }
        }
        if self.one_in(12) {
            self.damage(packet);
        }
    }

    /// Changes bytes of the header, or anywhere, or cuts the frame.
    fn damage(&mut self, packet: &mut Packet) {
        let kernel = self.profile == Profile::Kernel;
        let value = self.pick(&[0, 1, 4, 0x40, 0x45, 0x46, 0x65, 0xff]);
        let value = if self.one_in(2) { value } else { self.random.word() as u8 };
        let mut at = match self.below(3) {
            0 => self.pick(&[0, 14, 16, 17, 20, 23, 24]),
            1 => 34 + self.below(16) as u16,
            _ => self.below(80) as u16,
        };
        // On the kernel, a host has its own ports.
        let transport = 34 + packet.options.0.len() as u16;
        let is_end = (26..30).contains(&at) || (transport..transport + 8).contains(&at);
        if kernel && (at == 14 || at == 23 || is_end) {
            at = 24;
        }
        packet.damage[0] = Some((at, value));
        packet.repaired = self.one_in(2);
        match self.below(12) {
            0..2 => {
                let least = if kernel { 14 } else { 0 };
                packet.cut = Some(least + self.below(60) as u16);
            }
            // Another protocol than IPv4, with a VLAN of its own or none.
            2 => {
                let [high, low] = self.pick(&[[0x81, 0], [0x88, 0xa8], [8, 6]]);
                let third = self.pick(&[0, 0x45, 0xfe]);
                packet.damage =
                    [Some((12, high)), Some((13, low)), Some((14, third)), Some((38, third))];
                packet.damage[3] = packet.damage[3].filter(|_| third == 0xfe);
            }
            // Another MAC of the host's.
            3 => packet.damage[0] = Some((11, value & 7)),
            _ => {}
        }
    }

    /// An ICMP error about what an earlier step sent.
    fn error(&mut self, about: usize, setup: &Setup) -> Step {
        let template = self.packet(setup);
        let message = self.pick(&[(3, 4), (3, 3), (11, 0), (12, 0), (3, 1)]);
        let quoted = match self.below(8) {
            0 => self.below(60) as u16,
            1 => 600,
            _ => self.pick(&[28, 36, 40, 48, 128]),
        };
        let options: &[u8] = if self.one_in(6) { self.pick(&IP_OPTIONS) } else { &[] };
        let mut packet = Packet {
            body: Body::Error {
                message,
                quoted,
                repaired: self.one_in(2),
                options: Bytes(options.to_vec()),
            },
            interface: if self.one_in(2) { Interface::A } else { Interface::B },
            payload: self.pick(&[0, 0, 0, 4]),
            damage: [None; 4],
            repaired: true,
            cut: None,
            fragment: if self.one_in(20) { 0x2000 } else { 0 },
            ..template
        };
        // The destination's port says whether the error goes elsewhere than it should.
        packet.destination.1 = u16::from(!self.one_in(15));
        if self.one_in(4) {
            let quote = 42 + packet.options.0.len() as u16;
            let at = quote + self.below(28) as u16;
            packet.damage[0] = Some((at, self.random.word() as u8));
            packet.repaired = !self.one_in(4);
        }
        if self.one_in(3) {
            packet.source.0 = self.pick(&SERVERS);
        } else if self.one_in(2) {
            let inner = [lan::OTHER, routed::OTHER, routed::NOBODY];
            packet.source.0 = inner.get(self.below(3)).unwrap_or(&lan::OTHER).octets();
        }
        Step::Error(about, packet)
    }

    /// A later fragment of a datagram.
    fn tail(&mut self) -> Step {
        let place = self.below(self.fragments.len());
        let Some(mut step) = self.fragments.get(place).cloned() else {
            return Step::Nothing;
        };
        let (Step::Send(packet) | Step::Reply(_, packet)) = &mut step else {
            return step;
        };
        let len = match &packet.body {
            Body::Tcp(_, _, options) => 20 + options.0.len(),
            Body::Other(_) => 0,
            _ => 8,
        };
        let end = (len + usize::from(packet.payload)).div_ceil(8) as u16;
        let offset = self.pick(&[end, end, end, end + 1, end.saturating_sub(1), 1]);
        packet.fragment = offset & 0x1fff | if self.one_in(3) { 0x2000 } else { 0 };
        packet.ttl = self.pick(&[64, 64, 64, 1]);
        step
    }
}
