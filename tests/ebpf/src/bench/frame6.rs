//! The benchmark's IPv6 frames: what they have that IPv4 frames do not.

use aya_ebpf::programs::XdpContext;

use super::{
    frame::{Frame, Link, checksum, words, write},
    traffic::{FRAME_LEN_IPV6, Flow, Prefix, TTL, UDP},
};

/// Where a datagram has its flow's number, from the start of the frame.
pub(crate) const NUMBER: usize = 62;

/// The length of the datagram.
pub(crate) const DATAGRAM_LEN: u16 = FRAME_LEN_IPV6 as u16 - 54;

/// A frame that is long enough for IPv6.
pub(crate) type Frame6 = Frame<FRAME_LEN_IPV6>;

/// A whole frame with a datagram of UDP, in network byte order. The flow's number is the payload,
/// and zeros.
#[repr(C, packed)]
struct Datagram {
    macs: [u32; 3],
    ethertype: u16,
    version_class_and_label: u32,
    payload_length: u16,
    next_header: u8,
    hop_limit: u8,
    source: [u32; 4],
    destination: [u32; 4],
    source_port: u16,
    destination_port: u16,
    length: u16,
    checksum: u16,
    number: u32,
    zeros: [u16; 7],
}

const _: () = assert!(size_of::<Datagram>() == FRAME_LEN_IPV6);

/// Writes a datagram of a flow, if the packet has room. The prefixes are of the source and of the
/// destination.
#[inline(always)]
pub(crate) fn write_datagram6(
    context: &XdpContext,
    link: Link,
    [source, destination]: [Prefix; 2],
    flow: &Flow,
    number: u32,
) -> Option<()> {
    // RFC 8200 section 8.1.
    let sum = address_sum(source, flow.source)
        + address_sum(destination, flow.destination)
        + 2 * u32::from(DATAGRAM_LEN)
        + u32::from(UDP)
        + u32::from(flow.source_port)
        + u32::from(flow.destination_port)
        + words(number);
    let checksum = checksum(sum);
    let datagram = Datagram {
        macs: link.macs,
        ethertype: 0x86dd_u16.to_be(),
        version_class_and_label: 0x6000_0000_u32.to_be(),
        payload_length: DATAGRAM_LEN.to_be(),
        next_header: UDP,
        hop_limit: TTL,
        source: address(source, flow.source),
        destination: address(destination, flow.destination),
        source_port: flow.source_port.to_be(),
        destination_port: flow.destination_port.to_be(),
        length: DATAGRAM_LEN.to_be(),
        // Zero is not allowed.
        checksum: if checksum == 0 { 0xffff } else { checksum.to_be() },
        number: number.to_be(),
        zeros: [0; 7],
    };
    write(context, link, datagram)
}

#[inline(always)]
const fn address([a, b, c]: Prefix, host: u32) -> [u32; 4] {
    [a.to_be(), b.to_be(), c.to_be(), host.to_be()]
}

#[inline(always)]
const fn address_sum([a, b, c]: Prefix, host: u32) -> u32 {
    words(a) + words(b) + words(c) + words(host)
}

impl Frame6 {
    /// Whether the address at this offset has this prefix.
    #[inline(always)]
    pub(crate) fn has_prefix(&self, offset: usize, [a, b, c]: Prefix) -> bool {
        self.word(offset) == a && self.word(offset + 4) == b && self.word(offset + 8) == c
    }

    /// Makes the frame an answer to itself: both ends change places, which no checksum notices.
    #[inline(always)]
    pub(crate) fn turn(&self) {
        self.link().exchange(0, 6, 6);
        self.exchange(22, 38, 16);
        self.exchange(54, 56, 2);
    }
}
