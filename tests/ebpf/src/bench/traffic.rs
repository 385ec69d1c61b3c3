//! What the traffic of the benchmark looks like. The programs and their loader share this file.

/// The length of every IPv4 frame: the 64 bytes of Ethernet's shortest, without the check sequence
/// that a card would add.
pub(crate) const FRAME_LEN: usize = 60;

/// The length of a VLAN tag (IEEE 802.1Q), which makes a frame as much longer.
pub(crate) const TAG_LEN: usize = 4;

/// The length of every IPv6 frame: the same datagram behind a header that is 20 bytes longer.
pub(crate) const FRAME_LEN_IPV6: usize = FRAME_LEN + 20;

/// The first 96 bits of IPv6 addresses, in words of host byte order. What follows them in an
/// address of a flow is the flow's IPv4 address (as in RFC 6052 section 2.2).
pub(crate) type Prefix = [u32; 3];

/// Time to live, or hop limit, of the frames as they are sent.
pub(crate) const TTL: u8 = 64;

/// IP protocol number of UDP.
pub(crate) const UDP: u8 = 17;

/// How many LAN hosts send: a power of two.
const HOSTS: u32 = 256;

/// How many ports, and hosts, the numbers of a LAN host's first sockets are spread over.
const SPREAD: u32 = 64;

/// The destination port of every flow: discard (RFC 863).
const DESTINATION_PORT: u16 = 9;

/// The first source port of all.
const FIRST_SOURCE_PORT: u16 = 20_000;

/// The network of the LAN hosts, 10.1.1.0/24, in host byte order.
pub(crate) const LAN_HOSTS: u32 = 0x0a01_0100;

/// The first of the destinations, 198.18.0.0/15 (RFC 2544), in host byte order.
const DESTINATION_HOSTS: u32 = 0xc612_0000;

/// What the packets of one flow carry, in host byte order.
#[derive(Clone, Copy)]
pub(crate) struct Flow {
    /// The LAN host's address.
    pub(crate) source: u32,
    /// The address that it sends to.
    pub(crate) destination: u32,
    /// The LAN host's port.
    pub(crate) source_port: u16,
    /// The port that it sends to.
    pub(crate) destination_port: u16,
}

/// The flow of this number, below 2^24, where the LAN has 2^`ends` addresses with a port: from 8 to
/// 18. The first as many flows are of one end each, and the next as many of the same ends again, to
/// other destinations.
///
/// Four LAN hosts use the same ports: a gateway with one public address whose mappings are
/// independent of the destination must give three of them others. Their destinations are not the
/// same, so one whose mappings do depend on it can keep all ports, at less cost.
#[inline(always)]
pub(crate) const fn flow(number: u32, ends: u32) -> Flow {
    let end = number & ((1 << ends) - 1);
    let host = end & (HOSTS - 1);
    let port = host / 4 * SPREAD + end / HOSTS;
    Flow {
        source: LAN_HOSTS + host,
        destination: DESTINATION_HOSTS + (number >> ends) * SPREAD + (host & (SPREAD - 1)),
        source_port: FIRST_SOURCE_PORT + port as u16,
        destination_port: DESTINATION_PORT,
    }
}

/// The addresses of all LAN hosts.
#[cfg(not(target_arch = "bpf"))]
pub(crate) fn lan_hosts() -> impl Iterator<Item = std::net::Ipv4Addr> {
    (LAN_HOSTS..LAN_HOSTS + HOSTS).map(std::net::Ipv4Addr::from)
}

/// What a sink found in a frame. The discriminant indexes its counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Finding {
    /// All as it should be.
    Good,
    /// Not addressed to the sink's MAC.
    Station,
    /// A source address that is not the gateway's, or not the one that the flow is to have.
    Source,
    /// A wrong time to live, or hop limit.
    Ttl,
    /// Not a frame of the right length and protocol, or to another destination than the flow's.
    Shape,
    /// A wrong checksum in the IPv4 header.
    HeaderChecksum,
    /// A wrong UDP or TCP checksum.
    TransportChecksum,
    /// The public address and port of another flow towards the same destination.
    Shared,
    /// Not the one that follows the one before it in its TCP flow.
    Sequence,
}

impl Finding {
    /// Every finding, by index.
    pub(crate) const ALL: [Self; 9] = [
        Self::Good,
        Self::Station,
        Self::Source,
        Self::Ttl,
        Self::Shape,
        Self::HeaderChecksum,
        Self::TransportChecksum,
        Self::Shared,
        Self::Sequence,
    ];
}
