use super::{FlowKey, Ipv6, L4Port, LanSide, assert_layout};

/// A flow of IPv6: which uplink it is pinned to, and how its LAN host is reached. 96 bytes. There is one
/// for both directions where packets keep their ports: an address that crosses an uplink follows from
/// the uplink's prefix, so a packet from outside is known by the internal address that it is for.
///
/// Where ports are translated ([`Ipv6Mode::Nat66`](super::Ipv6Mode::Nat66)) there are two, as there are of
/// flows of IPv4: what comes in is known by the public address and port.
///
/// `M` is as for [`Flow`](super::Flow).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Pin<M = u64> {
    /// The LAN host's address.
    pub inside: Ipv6,
    /// The address of who is outside.
    pub outside: Ipv6,
    /// How the LAN host is reached.
    pub lan: LanSide,
    /// The generation of the uplink that it was made for.
    pub generation: u32,
    /// When the entry was made, in [`ticks`](super::ticks).
    pub created: u32,
    /// The uplink's identifier.
    pub uplink: u8,
    /// The group that chose the uplink.
    pub group: u8,
    /// An [`Opener`](super::Opener).
    pub opener: u8,
    /// A [`Masquerade`].
    pub masquerade: u8,
    /// Where ports are translated: replaces the source port ([`Masquerade::Out`]) or the destination port
    /// ([`Masquerade::In`]), or the echo identifier. Zero elsewhere.
    pub port: L4Port,
    /// What the transport checksum changes by there: the one's-complement sum of ~m + m' (RFC 1624 section
    /// 3). Zero elsewhere.
    pub transport_delta: u16,
    /// What has passed from the LAN; nothing of [`Masquerade::In`].
    pub out: Track<M>,
    /// What has passed to the LAN; of [`Masquerade::Out`], [`Track::of_address`] of the public address.
    pub into: Track<M>,
}

assert_layout!(Pin, size 96, align 8,
    inside: 16, outside: 16, lan: 16, generation: 4, created: 4, uplink: 1, group: 1, opener: 1,
    masquerade: 1, port: 2, transport_delta: 2, out: 16, into: 16);
const _: () = assert!(size_of::<Pin<super::SharedU64>>() == 96);

impl Pin {
    /// Where ports are translated: the key of the flow's other pin, this one being that of `key`.
    #[inline(always)]
    pub const fn peer(&self, digest_key: &DigestKey, key: &FlowKey) -> FlowKey {
        let end = if self.masquerade == Masquerade::In as u8 {
            self.inside
        } else {
            self.into.to_address()
        };
        let outside = (self.outside, key.destination_port());
        FlowKey::pinned(digest_key, (end, self.port), outside, key.protocol())
    }
}

/// What of a flow whose ports are translated a [`Pin`] is for, as [`Pin::masquerade`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Masquerade {
    /// Ports are not translated: both directions.
    #[default]
    None = 0,
    /// From the LAN. The source becomes the public address and port.
    Out = 1,
    /// To the LAN. The destination becomes the LAN host's.
    In = 2,
}

/// What the data plane notes of one direction of a flow. 16 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Track<M = u64> {
    /// A [`Mark`](super::Mark): when the last packet passed, and what passed.
    pub mark: M,
    /// A [`Progress`](super::Progress) of TCP, written together with the mark.
    pub progress: M,
}

impl Track {
    /// An address in the place of what is noted.
    #[inline(always)]
    pub const fn of_address(address: Ipv6) -> Self {
        Self { mark: address.upper, progress: address.lower }
    }

    /// The address of [`Self::of_address`].
    #[inline(always)]
    pub const fn to_address(self) -> Ipv6 {
        Ipv6 { upper: self.mark, lower: self.progress }
    }
}

impl<M> Track<M> {
    /// The same with other words: `with` of each.
    pub fn map<N>(&self, with: impl Fn(&M) -> N) -> Track<N> {
        Track { mark: with(&self.mark), progress: with(&self.progress) }
    }
}

impl<M> Pin<M> {
    /// The same entry with other words for what the data plane writes: `with` of each.
    pub fn map<N>(&self, with: impl Fn(&M) -> N) -> Pin<N> {
        Pin {
            inside: self.inside,
            outside: self.outside,
            lan: self.lan,
            generation: self.generation,
            created: self.created,
            uplink: self.uplink,
            group: self.group,
            opener: self.opener,
            masquerade: self.masquerade,
            port: self.port,
            transport_delta: self.transport_delta,
            out: self.out.map(&with),
            into: self.into.map(&with),
        }
    }

    /// Whether it is of a packet between these addresses, of which its key has only a digest. What comes
    /// in for a public address that LAN hosts share does not tell which one it is for.
    #[inline(always)]
    pub fn is_of(&self, from_lan: bool, (inside, outside): (Ipv6, Ipv6)) -> bool {
        let wrong_way = if from_lan { Masquerade::In } else { Masquerade::Out };
        self.outside == outside
            && self.masquerade != wrong_way as u8
            && (self.inside == inside || self.masquerade == Masquerade::In as u8)
    }
}

/// What the digests in the keys of [`Pin`]s are keyed by, so that nobody outside can make two flows
/// that have one in common.
pub type DigestKey = [u64; 12];

impl FlowKey {
    /// The key of a [`Pin`], for which the addresses stand as a digest of 64 bits.
    ///
    /// Two sums that are each strongly universal over random keys (see the hash of
    /// [`table`](crate::table)), over keys that are shifted against each other (the Toeplitz
    /// construction: Black, Halevi, Krawczyk, Krovetz, Rogaway, "UMAC", CRYPTO '99, section 4.2), of
    /// which the upper halves count: two pairs of addresses have both in common once in 2^64 times.
    #[inline(always)]
    pub const fn pinned(
        key: &DigestKey,
        (inside, inside_port): (Ipv6, L4Port),
        (outside, outside_port): (Ipv6, L4Port),
        protocol: u8,
    ) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = *key;
        let words = [inside.upper, inside.lower, outside.upper, outside.lower];
        let upper = a.wrapping_add(sum(words, [c, d, e, f, g, h, i, j]));
        let lower = b.wrapping_add(sum(words, [e, f, g, h, i, j, k, l]));
        let digest = upper >> 32 << 32 | lower >> 32;
        Self::of_digest(digest, inside_port, outside_port, protocol)
    }
}

/// The sum over words of the product of each and its upper half, to both of which a word of the key is added.
#[inline(always)]
const fn sum([a, b, c, d]: [u64; 4], [i, j, k, l, m, n, o, p]: [u64; 8]) -> u64 {
    pair(a, i, j)
        .wrapping_add(pair(b, k, l))
        .wrapping_add(pair(c, m, n))
        .wrapping_add(pair(d, o, p))
}

#[inline(always)]
const fn pair(word: u64, low: u64, high: u64) -> u64 {
    low.wrapping_add(word).wrapping_mul(high.wrapping_add(word >> 32))
}
