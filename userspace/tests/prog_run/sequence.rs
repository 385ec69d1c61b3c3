//! Random sequences: the loaded object keeps its own state from packet to packet, as the host does.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use pointsman_ebpf::abi::Counter;
use pointsman_ebpf::memory::site::{self, A, B, SERVER, lan};
use pointsman_ebpf::memory::{PacketBuilder, Random, answer_to, repair_checksums};
use pointsman_ebpf::verdict::Verdict;

use crate::kernel::{ENTRIES, Kernel, action};
use crate::tables::{Flows, Written};

/// A test run takes some 25 ms.
const PACKETS: usize = 2000;

#[test]
fn the_kernel_does_what_the_host_does() {
    let mut tables = site::gateway(site::share_evenly);
    // The clocks differ, and with them what a bucket of tokens holds.
    if let Some(settings) = &mut tables.settings {
        settings.icmp_burst = 0;
    }
    let mut kernel = Kernel::load(ENTRIES, ENTRIES);
    kernel.write(&tables, lan::IFINDEX, &mut Written::default());
    let mut packets = Packets { random: Random::new(4), sent: Vec::new() };
    for number in 0..PACKETS {
        if number % 100 == 99 {
            let alive = [A.bit() | B.bit(), A.bit(), B.bit()][packets.random.below(3)];
            tables.set_alive(alive);
            kernel.set("SWITCH", 0, alive);
        }
        let (ifindex, frame) = packets.next();
        let mut expected = frame.clone();
        let verdict = tables.run(&mut expected, ifindex);
        kernel.set_ingress(&tables, ifindex);
        let (action, output) = kernel.run(&frame);
        assert_eq!(
            (action, &output),
            (self::action(verdict), &expected),
            "packet {number} on {ifindex}: {verdict:?} on the host\n{frame:02x?}\n{tables}",
        );
        if let Verdict::Forward { .. } = verdict
            && ifindex == lan::IFINDEX
        {
            packets.sent.push(output);
        }
    }
    let counts: BTreeMap<u32, Counter> =
        tables.counts().iter().map(|(id, counter)| (id.index(), counter)).collect();
    assert_eq!(kernel.counters(), counts, "on the host:\n{}", tables.counts());
    kernel.assert_holds(&tables, &Flows::of(&tables));
}

/// Random packets, of which no two hosts use one source port: so every flow keeps its own port, and
/// no random number of the kernel's is drawn.
struct Packets {
    random: Random,
    sent: Vec<Vec<u8>>,
}

impl Packets {
    fn next(&mut self) -> (u32, Vec<u8>) {
        let (ifindex, mut frame) = if self.sent.is_empty() || self.random.below(2) == 0 {
            (lan::IFINDEX, self.opening())
        } else {
            let frame = &self.sent[self.random.below(self.sent.len())];
            let provider = if frame[6..12] == A.mac { A } else { B };
            (provider.ifindex, answer_to(frame))
        };
        if self.random.below(3) == 0 {
            self.mutate(&mut frame);
            if self.random.below(2) == 0 {
                repair_checksums(&mut frame);
            }
        }
        (ifindex, frame)
    }

    fn opening(&mut self) -> Vec<u8> {
        let number = self.random.below(1024);
        let host = Ipv4Addr::from(lan::HOST.to_bits() + number as u32 / 16);
        let from = SocketAddrV4::new(host, 2000 + number as u16);
        let server = Ipv4Addr::from(SERVER.to_bits() + self.random.below(8) as u32);
        let to = SocketAddrV4::new(server, 443);
        let packet = match self.random.below(4) {
            0 => PacketBuilder::tcp(from, to, [2, 16, 17, 20][self.random.below(4)]),
            1 => PacketBuilder::udp(from, to),
            2 => PacketBuilder::udp(from, to).without_checksum(),
            _ => PacketBuilder::echo_request(from, server),
        };
        let options = [0; 40];
        let options = &options[..self.random.below(11) * 4];
        let payload = [0xa5; 32];
        let payload = &payload[..self.random.below(33)];
        packet.options(options).payload(payload).build()
    }

    /// Cuts the frame, down to the Ethernet header, the least that a run takes; or changes a byte,
    /// but for what decides the source port, which would make two flows want one port.
    fn mutate(&mut self, frame: &mut Vec<u8>) {
        let transport = 14 + usize::from(frame[14] & 0x0f) * 4;
        let value = self.random.word() as u8;
        match self.random.below(8) {
            0 => frame.truncate(14 + self.random.below(frame.len() - 14)),
            1 => frame[14] = [0x44, 0x65, 0x05][self.random.below(3)],
            2..=5 => {
                let at = [0, 12, 13, 16, 17, 20, 21, 22, 23, 24, 25][self.random.below(11)];
                frame[at] = value;
            }
            _ => {
                let at = transport + 8 + self.random.below(frame.len() - transport - 8 + 1);
                if let Some(byte) = frame.get_mut(at) {
                    *byte = value;
                }
            }
        }
    }
}
