//! Packets that are right, and what random changes make of them.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};

use pointsman_ebpf::memory::site::{A, B, PROVIDERS, SERVER, lan};
use pointsman_ebpf::memory::{PacketBuilder, Random, answer_to, repair_checksums};

/// Addresses that are treated apart.
const ODD_ADDRESSES: [Ipv4Addr; 8] = [
    lan::GATEWAY,
    lan::OTHER,
    A.address,
    B.address,
    Ipv4Addr::LOCALHOST,
    Ipv4Addr::BROADCAST,
    Ipv4Addr::UNSPECIFIED,
    Ipv4Addr::new(169, 254, 0, 1),
];

/// Where the fields stand that decide most, and so are worth changing: types, lengths, protocol,
/// ports, flags.
const FIELDS: [usize; 14] = [12, 13, 14, 15, 16, 17, 20, 21, 22, 23, 34, 35, 36, 47];

pub(crate) struct Packets {
    random: Random,
}

impl Packets {
    pub(crate) fn new(random: Random) -> Self {
        Self { random }
    }

    /// The next frame, and the interface that it comes in by. `sent` are frames that left by an
    /// uplink.
    pub(crate) fn next(&mut self, sent: &VecDeque<Vec<u8>>) -> (u32, Vec<u8>) {
        let (ifindex, mut frame) = match self.random.below(10) {
            0 => self.unasked(),
            1..=4 if !sent.is_empty() => {
                let frame = &sent[self.random.below(sent.len())];
                Self::answer(frame)
            }
            _ => (lan::IFINDEX, self.opening()),
        };
        if self.one_in(2) {
            for _ in 0..=self.random.below(4) {
                self.mutate(&mut frame);
            }
            if self.one_in(2) {
                repair_checksums(&mut frame);
            }
        }
        let strange = self.one_in(500);
        (if strange { 9 } else { ifindex }, frame)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.random.below(from.len())]
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.random.below(bound) == 0
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.random.word() as u8).collect()
    }

    /// From one of 1024 ends in the LAN to one of 32 beyond.
    fn opening(&mut self) -> Vec<u8> {
        let host = lan::HOST.to_bits() + self.random.below(64) as u32;
        let mut from = SocketAddrV4::new(host.into(), 1000 + self.random.below(16) as u16 * 100);
        let server = SERVER.to_bits() + self.random.below(8) as u32;
        let mut to = SocketAddrV4::new(server.into(), 440 + self.random.below(4) as u16);
        if self.one_in(50) {
            to.set_ip(self.pick(&ODD_ADDRESSES));
        }
        if self.one_in(100) {
            from.set_ip(self.pick(&ODD_ADDRESSES));
        }
        let packet = self.between(from, to);
        self.shaped(packet)
    }

    /// From an uplink, to the gateway or a host, without a flow.
    fn unasked(&mut self) -> (u32, Vec<u8>) {
        let provider = self.pick(&PROVIDERS);
        let to = self.pick(&[provider.address, lan::HOST, lan::GATEWAY]);
        let from = SocketAddrV4::new(SERVER, 443);
        let packet = self.between(from, SocketAddrV4::new(to, 5000));
        let packet = packet.macs(provider.gateway_mac, provider.mac);
        (provider.ifindex, self.shaped(packet))
    }

    fn between(&mut self, from: SocketAddrV4, to: SocketAddrV4) -> PacketBuilder {
        let flags = self.pick(&[2, 16, 16, 17, 24, 4, 20]);
        match self.random.below(10) {
            0..4 => PacketBuilder::tcp(from, to, flags),
            4..7 => PacketBuilder::udp(from, to),
            7 => PacketBuilder::udp(from, to).without_checksum(),
            8 => PacketBuilder::echo_request(from, *to.ip()),
            _ => match self.random.below(4) {
                0 => PacketBuilder::other(self.random.word() as u8, *from.ip(), *to.ip()),
                1 => PacketBuilder::echo_reply(*from.ip(), to),
                _ => PacketBuilder::echo_request(from, *to.ip()),
            },
        }
    }

    fn shaped(&mut self, mut packet: PacketBuilder) -> Vec<u8> {
        if self.one_in(4) {
            let words = self.random.below(11);
            packet = packet.options(&self.bytes(words * 4));
        }
        if self.one_in(20) {
            packet = packet.ttl(self.random.below(3) as u8);
        }
        if self.one_in(50) {
            packet = packet.fragment(self.random.word() as u16);
        }
        let len =
            if self.one_in(200) { 1450 + self.random.below(50) } else { self.random.below(40) };
        let payload = self.bytes(len);
        let padding = self.pick(&[0, 0, 0, 6, 17]);
        packet.payload(&payload).padding(padding).build()
    }

    /// What comes back for a frame that left by an uplink.
    fn answer(frame: &[u8]) -> (u32, Vec<u8>) {
        let ifindex = if frame[6..12] == A.mac { A.ifindex } else { B.ifindex };
        (ifindex, answer_to(frame))
    }

    /// One change: to a byte, to a field that decides much, to the length, or to an address.
    fn mutate(&mut self, frame: &mut Vec<u8>) {
        let value = self.random.word() as u8;
        let at = match self.random.below(8) {
            0 => return frame.truncate(self.random.below(frame.len() + 1)),
            1 => return frame.extend(self.bytes(4)),
            2 => {
                let header = self.pick(&[0x45, 0x46, 0x4f, 0x44, 0x65]);
                return set(frame, 14, header);
            }
            3 => {
                let whole = frame.len().saturating_sub(14) as u8;
                return set(frame, 17, whole);
            }
            4 => {
                let ether_type = self.pick(&[[0x86, 0xdd], [0x81, 0], [8, 6], [8, 0]]);
                set(frame, 12, ether_type[0]);
                return set(frame, 13, ether_type[1]);
            }
            5 | 6 => self.pick(&FIELDS),
            _ => self.random.below(70),
        };
        set(frame, at, value);
    }
}

fn set(frame: &mut [u8], at: usize, value: u8) {
    if let Some(byte) = frame.get_mut(at) {
        *byte = value;
    }
}
