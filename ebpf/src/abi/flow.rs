use super::{Ipv4, L4Port, MacPair, assert_layout};

/// The realm of every LAN interface in a [`FlowKey`]; an uplink's is its identifier plus one.
pub const LAN_REALM: u8 = 0;

/// What identifies one direction of a flow, as its packets arrive. 16 bytes.
///
/// For ICMP echo the identifier stands where the originator's port would: `source_port` of a
/// request, `destination_port` of a reply; the other port is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C)]
pub struct FlowKey {
    /// Source address of the packet as it arrives.
    pub source: Ipv4,
    /// Destination address of the packet as it arrives.
    pub destination: Ipv4,
    /// Source port, or the identifier of an echo request.
    pub source_port: L4Port,
    /// Destination port, or the identifier of an echo reply.
    pub destination_port: L4Port,
    /// IP protocol number.
    pub protocol: u8,
    /// Where the packet came in: [`LAN_REALM`], or the uplink's identifier plus one.
    pub realm: u8,
    /// Always zero.
    pub reserved: u16,
}

assert_layout!(FlowKey, size 16, align 4,
    source: 4, destination: 4, source_port: 2, destination_port: 2, protocol: 1, realm: 1,
    reserved: 2);

/// Which way the packets of a flow entry go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Direction {
    /// From the LAN to an uplink: the source is rewritten.
    Out = 0,
    /// From an uplink to the LAN: the destination is rewritten.
    In = 1,
}

/// When the last packet of a direction passed, in [`ticks`], in the upper 32 bits; what has passed
/// so far, as the bits named here, in the lower ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark(pub u64);

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
    pub const fn new(last_seen: u32, seen: u32) -> Self {
        Self((last_seen as u64) << 32 | seen as u64)
    }

    /// When the last packet passed, in [`ticks`].
    #[inline(always)]
    pub const fn last_seen(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The bits of what has passed.
    #[inline(always)]
    pub const fn seen(self) -> u32 {
        self.0 as u32
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
    /// A [`Mark`]: when the last packet passed, and what passed. Written when it changes, so once a
    /// tick for a flow that only carries data.
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
    /// In: from the LAN interface to the LAN host. Out: the same, so that a host that has moved can
    /// be told; an uplink's own MACs are in its [`super::Uplink`].
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

impl FlowKey {
    /// The key under which the other direction of the flow is kept.
    pub fn peer<M>(&self, flow: &Flow<M>) -> Self {
        if flow.direction == Direction::Out as u8 {
            Self {
                source: self.destination,
                destination: flow.address,
                source_port: self.destination_port,
                destination_port: flow.port,
                protocol: self.protocol,
                realm: flow.uplink + 1,
                reserved: 0,
            }
        } else {
            Self {
                source: flow.address,
                destination: self.source,
                source_port: flow.port,
                destination_port: self.source_port,
                protocol: self.protocol,
                realm: LAN_REALM,
                reserved: 0,
            }
        }
    }
}

/// The data plane's coarse time for flows: nanoseconds of the monotonic clock over 2^30, a little
/// more than a second.
pub const fn ticks(monotonic_ns: u64) -> u32 {
    (monotonic_ns >> 30) as u32
}

/// The number of whole [`ticks`] that are at least this many seconds.
pub const fn seconds_to_ticks(seconds: u64) -> u32 {
    ((seconds * 1_000_000_000) >> 30) as u32 + 1
}
