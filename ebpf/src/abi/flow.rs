use core::fmt;

use super::{HostDigest, Ipv4, Ipv6, L4Port, LanSide, ROUTED_SIDE, assert_layout};
use crate::wire::Protocol;

/// The realm of every LAN interface in a [`FlowKey`]; an uplink's is its identifier plus one.
pub const LAN_REALM: u8 = 0;

/// The realm of IPv6 packets from the LAN that NAT64 translates: in the place of the addresses, their
/// keys have a digest.
pub const NAT64_REALM: u8 = 0x80;

/// The realm of what comes in by any uplink for a prefix that the uplink routes as it is.
pub const ROUTED_REALM: u8 = ROUTED_SIDE + 1;

/// The realm of what comes in for flows that go by this side of an uplink.
#[inline(always)]
const fn realm_of(side: u8) -> u8 {
    if side < ROUTED_SIDE { side + 1 } else { ROUTED_REALM }
}

/// What identifies one direction of a flow, as its packets arrive. 16 bytes: the addresses as they
/// stand in the IPv4 header, the ports as they stand in the transport header, the protocol, the
/// realm, one byte that only the keys of bindings use, and one of zero.
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
    /// [`LAN_REALM`], [`ROUTED_REALM`], or the uplink's identifier plus one.
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

    /// As [`Self::new`], with a digest that stands for both addresses.
    #[inline(always)]
    pub(super) const fn of_digest(
        digest: u64,
        source_port: L4Port,
        destination_port: L4Port,
        protocol: u8,
    ) -> Self {
        let zero = Ipv4::new([0; 4]);
        let key = Self::new((zero, source_port), (zero, destination_port), protocol, LAN_REALM);
        Self { addresses: digest, ..key }
    }

    /// The key as two words: addresses, and all else. Of the second, as a little-endian number, no
    /// more than the lowest 49 bits are ever set.
    #[inline(always)]
    pub const fn words(&self) -> [u64; 2] {
        [self.addresses, self.transport]
    }

    /// The key of these [`Self::words`].
    #[inline(always)]
    pub const fn from_words([addresses, transport]: [u64; 2]) -> Self {
        Self { addresses, transport }
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

    /// Where the packet came in: [`LAN_REALM`], [`ROUTED_REALM`], or the uplink's identifier plus one.
    #[inline(always)]
    pub const fn realm(&self) -> u8 {
        (self.transport.to_le() >> 40) as u8
    }

    /// The source's address and port.
    #[inline(always)]
    pub const fn from(&self) -> (Ipv4, L4Port) {
        (self.source(), self.source_port())
    }

    /// The destination's address and port.
    #[inline(always)]
    pub const fn to(&self) -> (Ipv4, L4Port) {
        (self.destination(), self.destination_port())
    }

    /// The key under which the other direction of the flow is kept: what the answers to its
    /// translated packets look like. Of flows through NAT64 see [`Self::inward64`].
    #[inline(always)]
    pub const fn peer<M>(&self, flow: &Flow<M>) -> Self {
        let translated = (flow.address, flow.port);
        if flow.direction == Direction::Out as u8 {
            Self::new(self.to(), translated, self.protocol(), realm_of(flow.uplink))
        } else if flow.direction == Direction::In as u8 {
            Self::new(translated, self.from(), self.protocol(), LAN_REALM)
        } else {
            let other = (flow.other_address, flow.other_port);
            Self::new(other, translated, self.protocol(), LAN_REALM)
        }
    }

    /// The key of the [`Binding`](super::Binding) of a public address and port of an uplink: what
    /// its inbound packets look like, whoever sends them. `remote` is zero, but for protocols that
    /// are translated by pairs of addresses, and for what `filtering = "address"` permits.
    #[inline(always)]
    pub const fn external(remote: Ipv4, public: (Ipv4, L4Port), protocol: u8, uplink: u8) -> Self {
        Self::new((remote, L4Port::new([0; 2])), public, protocol, uplink + 1)
    }

    /// The key of the [`Binding`](super::Binding) of a LAN host's address and port on an uplink,
    /// `remote` as for [`Self::external`].
    #[inline(always)]
    pub const fn internal(host: (Ipv4, L4Port), remote: Ipv4, protocol: u8, uplink: u8) -> Self {
        let key = Self::new(host, (remote, L4Port::new([0; 2])), protocol, uplink + 1);
        Self { transport: key.transport | (1_u64 << 48).to_le(), ..key }
    }

    /// The key of a flow through NAT64, of what comes from the LAN: by [`Self::pinned`], which is the
    /// key of the same packet were it to stay one of IPv6.
    #[inline(always)]
    #[must_use]
    pub const fn nat64(self) -> Self {
        Self { transport: self.transport | ((NAT64_REALM as u64) << 40).to_le(), ..self }
    }

    /// The key of what comes in by the uplink of a flow through NAT64, `out` being its entry from the LAN
    /// under this key.
    #[inline(always)]
    pub const fn inward64<M>(&self, out: &Flow<M>) -> Self {
        let remote = (out.other_address, self.destination_port());
        Self::new(remote, (out.address, out.port), to_ipv4(self.protocol()), out.uplink + 1)
    }

    /// Whether it was made by [`Self::internal`].
    #[inline(always)]
    pub const fn is_internal(&self) -> bool {
        self.transport.to_le() >> 48 & 1 == 1
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
    /// From the LAN to the LAN by a public address: source and destination are rewritten (RFC 4787
    /// section 6).
    Hairpin = 2,
    /// From the LAN to an uplink, and from IPv6 to IPv4 (RFC 6146).
    Out64 = 3,
    /// From an uplink to the LAN, and from IPv4 to IPv6.
    In64 = 4,
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

/// One direction of a flow: all that a packet needs to be rewritten and sent. 64 bytes, which is a
/// cache line of its [`table`](crate::table).
///
/// The key of the other direction follows from an entry and its key: [`FlowKey::peer`].
///
/// The fields are in groups of eight bytes, those that are mostly constant first, for the compiler
/// stores several small ones as one word, which the verifier wants aligned.
///
/// `M` is an atomic in the data plane, which marks entries while other CPUs read them, and a
/// plain integer in the daemon, which reads copies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Flow<M = u64> {
    /// A [`Mark`]: when the last packet passed, and what passed. Written when it changes, so once
    /// an epoch for a flow that only carries data.
    pub mark: M,
    /// A [`Progress`] of TCP, written together with the mark. Of a datagram in fragments: how many
    /// bytes of it the first fragment carries.
    pub progress: M,
    /// The generation of the uplink that the entry was made for.
    pub generation: u32,
    /// Replaces the source address (out, hairpin, out64) or the destination address (in). In64: the
    /// first four octets of the LAN host's address.
    pub address: Ipv4,
    /// Replaces the source port (out, hairpin) or the destination port (in), or the echo
    /// identifier.
    pub port: L4Port,
    /// What the IPv4 header checksum changes by, the TTL's decrement included: the
    /// one's-complement sum of ~m + m' (RFC 1624 section 3). In64: the next two octets of the LAN host's
    /// address. Out64: half of [`HostDigest::rest`].
    pub header_delta: u16,
    /// What the transport checksum changes by, likewise.
    pub transport_delta: u16,
    /// Hairpin: replaces the destination port. In64: the next two octets of the LAN host's address.
    /// Out64: the other half of [`HostDigest::rest`].
    pub other_port: L4Port,
    /// How the LAN host is reached that the flow goes to (in, hairpin) or comes from (out). How the
    /// uplink's next hop is, is in its [`super::Uplink`].
    pub lan: LanSide,
    /// Hairpin: replaces the destination address. Out64: the same. In64: the next four octets of the
    /// LAN host's address.
    pub other_address: Ipv4,
    /// In64: the last four octets of the LAN host's address. Out64: its [`HostDigest::account`]. Zero
    /// elsewhere.
    pub rest: Ipv4,
    /// A [`Direction`].
    pub direction: u8,
    /// The group that chose the uplink.
    pub group: u8,
    /// An [`Opener`].
    pub opener: u8,
    /// The identifier of the uplink whose address the flow is translated to; of a flow that is routed
    /// as it is, that of the uplink by which it leaves, plus [`ROUTED_SIDE`].
    pub uplink: u8,
    /// When the entry was made, in [`ticks`].
    pub created: u32,
}

assert_layout!(Flow, size 64, align 8,
    mark: 8, progress: 8, generation: 4, address: 4, port: 2, header_delta: 2, transport_delta: 2,
    other_port: 2, lan: 16, other_address: 4, rest: 4, direction: 1, group: 1, opener: 1,
    uplink: 1, created: 4);
const _: () = assert!(size_of::<Flow<super::SharedU64>>() == 64);

impl<M> Flow<M> {
    /// Whether addresses and ports stay as they are.
    #[inline(always)]
    pub const fn is_routed(&self) -> bool {
        self.uplink >= ROUTED_SIDE
    }

    /// The same entry with other words for what the data plane writes: `with` of each.
    pub fn map<N>(&self, with: impl Fn(&M) -> N) -> Flow<N> {
        Flow {
            mark: with(&self.mark),
            progress: with(&self.progress),
            generation: self.generation,
            address: self.address,
            port: self.port,
            header_delta: self.header_delta,
            transport_delta: self.transport_delta,
            lan: self.lan,
            created: self.created,
            uplink: self.uplink,
            direction: self.direction,
            other_address: self.other_address,
            other_port: self.other_port,
            group: self.group,
            opener: self.opener,
            rest: self.rest,
        }
    }

    /// Notes the address of [`Self::inside`].
    #[inline(always)]
    pub const fn set_inside(&mut self, address: Ipv6) {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = address.octets();
        self.address = Ipv4::new([a, b, c, d]);
        self.header_delta = u16::from_ne_bytes([e, f]);
        self.other_port = L4Port::new([g, h]);
        self.other_address = Ipv4::new([i, j, k, l]);
        self.rest = Ipv4::new([m, n, o, p]);
    }

    /// Whether the flow goes through NAT64.
    #[inline(always)]
    pub const fn is_nat64(&self) -> bool {
        self.direction == Direction::Out64 as u8 || self.direction == Direction::In64 as u8
    }

    /// In64, and of a datagram of IPv6 in fragments that comes in: the address of the LAN host that it goes
    /// to.
    #[inline(always)]
    pub const fn inside(&self) -> Ipv6 {
        let [a, b, c, d] = self.address.octets();
        let [e, f] = self.header_delta.to_ne_bytes();
        let [g, h] = self.other_port.octets();
        let [i, j, k, l] = self.other_address.octets();
        let [m, n, o, p] = self.rest.octets();
        Ipv6::new([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p])
    }

    /// Out64: what stands for the LAN host that the flow comes from.
    #[inline(always)]
    pub const fn host_digest(&self) -> HostDigest {
        let [a, b] = self.header_delta.to_ne_bytes();
        let [c, d] = self.other_port.octets();
        HostDigest::from_parts(self.rest, Ipv4::new([a, b, c, d]))
    }
}

/// The protocol number that ICMP has in IPv6, where this is its number in IPv4; any other stays.
#[inline(always)]
pub const fn to_ipv6(protocol: u8) -> u8 {
    if protocol == Protocol::ICMP { Protocol::ICMPV6 } else { protocol }
}

/// The reverse of [`to_ipv6`].
#[inline(always)]
pub const fn to_ipv4(protocol: u8) -> u8 {
    if protocol == Protocol::ICMPV6 { Protocol::ICMP } else { protocol }
}

/// Who sent the first packet of a flow, as [`Flow::opener`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opener {
    /// A LAN host: the flow may go over to another uplink.
    Lan = 0,
    /// Someone beyond the uplink. To a mapping or a forward, the flow stays on this uplink; one that is
    /// routed may go over to another.
    Remote = 1,
}

/// How far a direction of a TCP connection has come: the sequence number of the segment that was
/// noted last, and whether there was one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress(pub u64);

impl Progress {
    const KNOWN: u64 = 1 << 32;

    /// Of a segment with this sequence number.
    #[inline(always)]
    pub const fn new(sequence: u32) -> Self {
        Self(Self::KNOWN | sequence as u64)
    }

    /// Whether a reset of this sequence number can be of the connection: nothing contradicts it,
    /// or it lies at most `BEHIND` before and `AHEAD` after what was noted. The note may be as old
    /// as an epoch.
    #[inline(always)]
    pub const fn is_plausible(self, sequence: u32) -> bool {
        let ahead = sequence.wrapping_sub(self.0 as u32).wrapping_add(Self::BEHIND);
        self.0 & Self::KNOWN == 0 || ahead <= Self::BEHIND + Self::AHEAD
    }

    /// The largest window without scaling: what was sent before and overtaken by what was noted.
    pub const BEHIND: u32 = 1 << 16;
    /// What a flow of 800 Mbit/s sends in an epoch of 2.56 s.
    pub const AHEAD: u32 = 1 << 28;
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
