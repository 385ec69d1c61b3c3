//! What the cases of liveness share: a session by the uplink A, its packets, and what must become of them.
//!
//! The clock of the loaded object is not the host's, so deadlines are past by far, or far ahead.

use std::net::{Ipv4Addr, SocketAddrV4};

use pointsman_ebpf::abi::{L4Port, Monitor, Sequence, SharedU64, Watch};
use pointsman_ebpf::memory::site::{A, Provider};
use pointsman_ebpf::memory::{MemoryTables, PacketBuilder, PutOff};
use pointsman_ebpf::path::Tables as _;
use pointsman_ebpf::verdict::{PassReason, Verdict};

pub(super) use super::super::harness::Gateway;
use super::super::harness::{coming, public};

/// The port of sessions over one hop (RFC 5881 section 4), of their echoes, and of those over several hops
/// (RFC 5883 section 5).
pub(super) const SINGLE_HOP: u16 = 3784;
pub(super) const ECHO: u16 = 3785;
pub(super) const MULTIHOP: u16 = 4784;

/// The host's clock, in nanoseconds.
pub(super) const NOW: u64 = 1 << 40;

/// What the host's clock counts as one tick of the scheduler, in nanoseconds.
pub(super) const TICK: u64 = 1 << 22;

/// The session's detection time, in nanoseconds: of so many years that its end is ahead by whichever clock.
pub(super) const DETECTION: u64 = 1 << 61;

/// A deadline that is as far ahead.
pub(super) const AHEAD: u64 = 1 << 62;

/// A silence that no daemon keeps, in nanoseconds.
pub(super) const NEVER: u64 = i64::MAX as u64;

/// A mandatory section: version 1, Up, detection multiplier 3, both discriminators, 50 ms, and no echo (RFC 5880
/// section 4.1).
pub(super) const CONTROL: [u8; 24] = [
    0x20, 0xc0, 3, 24, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0, 0, 0xc3, 0x50, 0, 0,
    0xc3, 0x50, 0, 0, 0, 0,
];

/// The other system's end.
pub(super) const PEER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 1), 49_152);

/// Packets over one hop, without authentication.
pub(super) const PLAIN: Watch = Watch::new(SINGLE_HOP, 255, 0, Sequence::None);

/// A gateway that watches the uplink A for such packets like [`CONTROL`].
pub(super) fn gateway(watch: Watch) -> Gateway {
    watching(Gateway::new(), watch)
}

/// The same of any gateway, which has sockets of BFD then.
pub(super) fn watching(mut gateway: Gateway, watch: Watch) -> Gateway {
    for port in [SINGLE_HOP, ECHO, MULTIHOP] {
        gateway.tables.keep_port(true, L4Port::from_host(port));
    }
    gateway.tables.set_now(NOW);
    gateway.tables.put_off(A.id, AHEAD);
    let monitor = monitor(&gateway.tables, &A);
    store(&monitor.control, CONTROL);
    monitor.detection.store(DETECTION);
    monitor.heard.store(u64::MAX);
    monitor.silence.store(NEVER);
    monitor.watch.store(watch.0);
    gateway
}

/// What is known of an uplink's session.
pub(super) fn monitor<'a>(tables: &'a MemoryTables, by: &Provider) -> &'a Monitor<SharedU64> {
    &tables.monitors[usize::from(by.id)]
}

/// Puts bytes of a packet into words of a monitor.
pub(super) fn store(words: &[SharedU64; 3], bytes: [u8; 24]) {
    for (word, bytes) in words.iter().zip(bytes.as_chunks().0) {
        word.store(u64::from_ne_bytes(*bytes));
    }
}

/// A packet of the session with this payload.
pub(super) fn packet(payload: &[u8]) -> PacketBuilder {
    coming(PacketBuilder::udp(PEER, public(&A, SINGLE_HOP)), &A).ttl(255).payload(payload)
}

/// A mandatory section in which this byte is another one.
pub(super) fn with(at: usize, byte: u8) -> [u8; 24] {
    let mut control = CONTROL;
    control[at] = byte;
    control
}

impl Gateway {
    /// The frame from A puts off the deadline of A by the detection time, and is consumed.
    #[track_caller]
    pub(super) fn hears(&self, frame: &[u8]) {
        let put_off = PutOff::from([(A.id, DETECTION)]);
        self.expect_hearing(A.ifindex, frame, Verdict::Heard, frame, &put_off);
    }

    /// The frame from A puts off the deadline of A by so many nanoseconds, and the kernel gets it too.
    #[track_caller]
    pub(super) fn hears_and_passes(&self, frame: &[u8], by: u64) {
        let put_off = PutOff::from([(A.id, by)]);
        self.expect_hearing(A.ifindex, frame, Verdict::Pass(PassReason::Local), frame, &put_off);
    }

    /// The kernel gets the frame from A, and nobody's deadline is put off.
    #[track_caller]
    pub(super) fn ignores(&self, frame: &[u8]) {
        self.passes(A.ifindex, frame, PassReason::Local);
    }

    /// The deadlines of these uplinks have passed since the last packet.
    pub(crate) fn miss(&self, uplinks: &[Provider]) {
        for uplink in uplinks {
            self.tables.put_off(uplink.id, 1);
        }
        self.next_tick();
    }

    /// The scheduler's next tick.
    pub(super) fn next_tick(&self) {
        self.tables.set_now(self.tables.now() + TICK);
    }
}
