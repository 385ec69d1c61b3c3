//! The loaded XDP program against the path on the host: the same packets, the same tables, and
//! every packet must come out of both alike. It fails where the compiler, the verifier or a helper
//! makes of the path something else than it says.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use aya::maps::{Array, HashMap, MapData, PerCpuArray, xdp::DevMap};
use aya::programs::{TestRun as _, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader, Pod};
use pointsman::dataplane::OBJECT;
use pointsman_ebpf::abi::{
    BUCKETS_PER_GROUP, Bucket, COUNTERS, Counter, Group, LocalAddress, Port, Settings, Uplink,
};
use pointsman_ebpf::memory::site::{self, A, B, PROVIDERS, SERVER, lan};
use pointsman_ebpf::memory::{MemoryTables, PacketBuilder, Random, answer_to, repair_checksums};
use pointsman_ebpf::verdict::Verdict;

const PACKETS: usize = 20_000;

/// A test run comes in by the loopback interface.
const LOOPBACK: u32 = 1;

/// `xdp_action`.
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const XDP_REDIRECT: u32 = 4;

#[test]
fn the_kernel_does_what_the_host_does() {
    let tables = site::gateway(site::share_evenly);
    let mut kernel = Kernel::load(&tables);
    let mut packets = Packets { random: Random::new(4), sent: Vec::new() };
    for number in 0..PACKETS {
        if number % 1000 == 999 {
            let alive = [A.bit() | B.bit(), A.bit(), B.bit()][packets.random.below(3)];
            tables.set_alive(alive);
            kernel.set("SWITCH", 0, alive);
        }
        let (ifindex, frame) = packets.next();
        let mut expected = frame.clone();
        let verdict = tables.run(&mut expected, ifindex);
        let (action, output) = kernel.run(&tables, ifindex, &frame);
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
}

fn action(verdict: Verdict) -> u32 {
    match verdict {
        Verdict::Forward { .. } => XDP_REDIRECT,
        Verdict::Pass(_) => XDP_PASS,
        Verdict::Drop(_) => XDP_DROP,
    }
}

/// The loaded object.
struct Kernel {
    object: Ebpf,
}

impl Kernel {
    /// Loads the object and writes into its maps what the host's tables hold.
    fn load(tables: &MemoryTables) -> Self {
        let object = EbpfLoader::new().load(OBJECT).expect("the object loads as root");
        let mut kernel = Self { object };
        let program: &mut Xdp = kernel.object.program_mut("pointsman").unwrap().try_into().unwrap();
        program.load().unwrap();
        kernel.set("SWITCH", 0, A.bit() | B.bit());
        kernel.set::<Settings>("SETTINGS", 0, tables.settings.unwrap());
        kernel.set::<Group>("GROUPS", 0, tables.group.unwrap());
        for index in 0..BUCKETS_PER_GROUP as u32 {
            kernel.set::<Bucket>("BUCKETS", index, (tables.bucket)(index));
        }
        for provider in PROVIDERS {
            let uplink = tables.uplinks[usize::from(provider.id)];
            kernel.set::<Uplink>("UPLINKS", u32::from(provider.id), uplink);
        }
        let local = kernel.object.map_mut("LOCAL").unwrap();
        let mut local = HashMap::<&mut MapData, LocalAddress, u8>::try_from(local).unwrap();
        for address in &tables.local {
            local.insert(address, 1, 0).unwrap();
        }
        let egress = kernel.object.map_mut("EGRESS").unwrap();
        let mut egress = DevMap::<&mut MapData>::try_from(egress).unwrap();
        for slot in [lan::EGRESS, A.egress, B.egress] {
            // A test run redirects nothing; any interface will do.
            egress.set(u32::from(slot), LOOPBACK, None, 0).unwrap();
        }
        kernel
    }

    fn set<T: Pod>(&mut self, map: &str, index: u32, value: T) {
        let map = self.object.map_mut(map).unwrap();
        Array::<&mut MapData, T>::try_from(map).unwrap().set(index, value, 0).unwrap();
    }

    /// Runs a frame as if it came in by the interface: the loopback interface takes its part.
    fn run(&mut self, tables: &MemoryTables, ifindex: u32, frame: &[u8]) -> (u32, Vec<u8>) {
        let port = Port { ifindex: LOOPBACK, ..tables.ports[&ifindex] };
        self.set("PORTS", LOOPBACK, port);
        let program: &mut Xdp = self.object.program_mut("pointsman").unwrap().try_into().unwrap();
        let mut output = vec![0; frame.len() + 256];
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        options.data_out = Some(&mut output);
        let result = program.test_run(options).unwrap();
        let length = result.data_size_out as usize;
        output.truncate(length);
        (result.return_value, output)
    }

    /// The counters that are not zero, by index, summed over the CPUs.
    fn counters(&self) -> BTreeMap<u32, Counter> {
        let map = self.object.map("COUNTER").unwrap();
        let counters = PerCpuArray::<&MapData, Counter>::try_from(map).unwrap();
        let add = |sum: Counter, counter: &Counter| Counter {
            packets: sum.packets + counter.packets,
            bytes: sum.bytes + counter.bytes,
        };
        (0..COUNTERS)
            .map(|index| {
                let values = counters.get(&index, 0).unwrap();
                (index, values.iter().fold(Counter::default(), add))
            })
            .filter(|(_, counter)| *counter != Counter::default())
            .collect()
    }
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
