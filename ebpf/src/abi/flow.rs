use core::fmt;

use super::{Ipv4, L4Port, MacPair, assert_layout};

/// The realm of every LAN interface in a [`FlowKey`]; an uplink's is its identifier plus one.
pub const LAN_REALM: u8 = 0;

/// What identifies one direction of a flow, as its packets arrive. 16 bytes: the addresses as they
/// stand in the IPv4 header, the ports as they stand in the transport header, the protocol, the
/// realm, and two bytes of zero.
///
/// For ICMP echo the identifier stands where the originator's port would: the source port of a
/// request, the destination port of a reply; the other port is zero.
///
/// It is two words, taken apart by shifts, and not seven fields: it lives on the BPF stack, and the
/// compiler stores fields in pieces, some of which the verifier calls misaligned.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C)]
pub struct FlowKey {
    addresses: u64,
    transport: u64,
}

assert_layout!(FlowKey, size 16, align 8, addresses: 8, transport: 8);

impl FlowKey {
    /// From the addresses, ports and protocol of a packet, and the realm that it came in by:
    /// [`LAN_REALM`], or the uplink's identifier plus one.
    #[inline(always)]
    pub const fn new(
        (source, source_port): (Ipv4, L4Port),
        (destination, destination_port): (Ipv4, L4Port),
        protocol: u8,
        realm: u8,
    ) -> Self {
        let ports = pack(source_port.to_le() as u64, destination_port.to_le() as u64, 16);
        let tail = (protocol as u64) << 32 | (realm as u64) << 40;
        Self {
            addresses: u64::from_le(pack(source.to_le() as u64, destination.to_le() as u64, 32)),
            transport: u64::from_le(ports | tail),
        }
    }

    /// The source address.
    #[inline(always)]
    pub const fn source(&self) -> Ipv4 {
        Ipv4::from_le(self.addresses.to_le() as u32)
    }

    /// The destination address.
    #[inline(always)]
    pub const fn destination(&self) -> Ipv4 {
        Ipv4::from_le((self.addresses.to_le() >> 32) as u32)
    }

    /// The source port, or the identifier of an echo request.
    #[inline(always)]
    pub const fn source_port(&self) -> L4Port {
        L4Port::from_le(self.transport.to_le() as u16)
    }

    /// The destination port, or the identifier of an echo reply.
    #[inline(always)]
    pub const fn destination_port(&self) -> L4Port {
        L4Port::from_le((self.transport.to_le() >> 16) as u16)
    }

    /// The IP protocol number.
    #[inline(always)]
    pub const fn protocol(&self) -> u8 {
        (self.transport.to_le() >> 32) as u8
    }

    /// Where the packet came in: [`LAN_REALM`], or the uplink's identifier plus one.
    #[inline(always)]
    pub const fn realm(&self) -> u8 {
        (self.transport.to_le() >> 40) as u8
    }

    /// The key under which the other direction of the flow is kept.
    #[inline(always)]
    pub const fn peer<M>(&self, flow: &Flow<M>) -> Self {
        let remote = if flow.direction == Direction::Out as u8 {
            (self.destination(), self.destination_port())
        } else {
            (self.source(), self.source_port())
        };
        let translated = (flow.address, flow.port);
        if flow.direction == Direction::Out as u8 {
            Self::new(remote, translated, self.protocol(), flow.uplink + 1)
        } else {
            Self::new(translated, remote, self.protocol(), LAN_REALM)
        }
    }
}

/// Two numbers in one word, the second from bit `shift` on.
#[inline(always)]
const fn pack(low: u64, high: u64, shift: u32) -> u64 {
    low | high << shift
}

impl fmt::Debug for FlowKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FlowKey")
            .field("source", &(self.source(), self.source_port()))
            .field("destination", &(self.destination(), self.destination_port()))
            .field("protocol", &self.protocol())
            .field("realm", &self.realm())
            .finish()
    }
}

/// Which way the packets of a flow entry go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Direction {
    /// From the LAN to an uplink: the source is rewritten.
    Out = 0,
    /// From an uplink to the LAN: the destination is rewritten.
    In = 1,
}

/// What the data plane notes of a direction's packets, in one word: when the last one passed, in
/// [`ticks`], in the upper 32 bits; the [`Epoch`] of that, in the next 24; and what has passed so
/// far, as the bits named here, in the lowest 8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark(pub u64);

/// A number that changes about once a second and costs next to nothing to read: the scheduler's
/// ticks over 256, 24 bits of it. How long it lasts depends on the kernel's tick rate, so it only
/// tells whether it is time to look at the clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Epoch(u32);

impl Epoch {
    /// The epoch of this many ticks of the scheduler.
    #[inline(always)]
    pub const fn of_jiffies(jiffies: u64) -> Self {
        Self((jiffies >> 8) as u32 & 0xff_ffff)
    }
}

impl Mark {
    /// Some packet.
    pub const ANY: u32 = 1 << 0;
    /// A TCP segment with ACK and without SYN.
    pub const ACK: u32 = 1 << 1;
    /// A TCP segment with FIN.
    pub const FIN: u32 = 1 << 2;
    /// A TCP segment with RST.
    pub const RST: u32 = 1 << 3;

    /// A mark of this time and these bits.
    #[inline(always)]
    pub const fn new(last_seen: u32, epoch: Epoch, seen: u32) -> Self {
        Self((last_seen as u64) << 32 | (epoch.0 as u64) << 8 | (seen & 0xff) as u64)
    }

    /// When the last packet passed, in [`ticks`].
    #[inline(always)]
    pub const fn last_seen(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The epoch of when the last packet passed.
    #[inline(always)]
    pub const fn epoch(self) -> Epoch {
        Epoch((self.0 >> 8) as u32 & 0xff_ffff)
    }

    /// The bits of what has passed.
    #[inline(always)]
    pub const fn seen(self) -> u32 {
        self.0 as u32 & 0xff
    }
}

/// One direction of a flow: all that a packet needs to be rewritten and sent. 64 bytes, a cache
/// line, so that an element of the hash map (48 bytes of the kernel's, the key, the value) is two.
///
/// The key of the other direction follows from an entry and its key: [`FlowKey::peer`].
///
/// `M` is an atomic in the data plane, which marks entries while other CPUs read them, and a
/// plain integer in the daemon, which reads copies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Flow<M = u64> {
    /// A [`Mark`]: when the last packet passed, and what passed. Written when it changes, so once
    /// an epoch for a flow that only carries data.
    pub mark: M,
    /// The generation of the uplink that the entry was made for.
    pub generation: u32,
    /// Replaces the source address (out) or the destination address (in).
    pub address: Ipv4,
    /// Replaces the source port (out) or the destination port (in), or the echo identifier.
    pub port: L4Port,
    /// What the IPv4 header checksum changes by, the TTL's decrement included: the
    /// one's-complement sum of ~m + m' (RFC 1624 section 3).
    pub header_delta: u16,
    /// What the transport checksum changes by, likewise.
    pub transport_delta: u16,
    /// The egress interface's index in the device map.
    pub egress: u16,
    /// In: from the LAN interface to the LAN host. Out: the same pair, for whoever reads the table;
    /// what an uplink's frames carry is in its [`super::Uplink`].
    pub macs: MacPair,
    /// When the entry was made, in [`ticks`].
    pub created: u32,
    /// The largest IPv4 packet that the egress interface takes, in bytes.
    pub mtu: u16,
    /// The uplink's identifier.
    pub uplink: u8,
    /// A [`Direction`].
    pub direction: u8,
    /// The group that chose the uplink.
    pub group: u32,
    /// Always zero.
    pub reserved: [u64; 2],
}

assert_layout!(Flow, size 64, align 8,
    mark: 8, generation: 4, address: 4, port: 2, header_delta: 2, transport_delta: 2, egress: 2,
    macs: 12, created: 4, mtu: 2, uplink: 1, direction: 1, group: 4, reserved: 16);
const _: () = assert!(size_of::<Flow<super::SharedU64>>() == 64);

/// The data plane's coarse time for flows: nanoseconds of the monotonic clock over 2^30, a little
/// more than a second.
pub const fn ticks(monotonic_ns: u64) -> u32 {
    (monotonic_ns >> 30) as u32
}

/// The number of whole [`ticks`] that are at least this many seconds.
pub const fn seconds_to_ticks(seconds: u64) -> u32 {
    ((seconds * 1_000_000_000) >> 30) as u32 + 1
}
