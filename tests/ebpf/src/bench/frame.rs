//! The benchmark's frames, as they are written and as they are read.

use aya_ebpf::programs::XdpContext;

use super::{
    packet,
    traffic::{FRAME_LEN, Flow, TAG_LEN, TTL, UDP},
};

/// IP protocol number of TCP.
pub(crate) const TCP: u8 = 6;

/// Where a datagram has its flow's number, from the start of the frame.
pub(crate) const UDP_NUMBER: usize = 42;

/// Where a segment has it.
pub(crate) const TCP_NUMBER: usize = 54;

/// The flags of TCP (RFC 9293 section 3.1).
pub(crate) const SYN: u16 = 0x02;
pub(crate) const ACK: u16 = 0x10;

/// How the frames are addressed.
#[derive(Clone, Copy)]
pub(crate) struct Link {
    /// The first 12 bytes.
    pub(crate) macs: [u32; 3],
    /// The VLAN whose tag the frames have, or zero where they have none.
    pub(crate) vlan: u32,
}

/// What stands before the type, in a frame with a tag (IEEE 802.1Q).
#[repr(C, packed)]
struct Tagged {
    macs: [u32; 3],
    kind: u16,
    vlan: u16,
}

/// Writes a frame, if the packet has room: one without a tag, or with the link's.
#[inline(always)]
pub(crate) fn write<T>(context: &XdpContext, link: Link, frame: T) -> Option<()> {
    let untagged = packet::<T>(context, tag_len(link.vlan))?;
    // SAFETY: the packet is long enough, and the type has no alignment of its own.
    unsafe { untagged.write(frame) };
    if link.vlan != 0 {
        let vlan = (link.vlan as u16).to_be();
        let tagged = Tagged { macs: link.macs, kind: 0x8100_u16.to_be(), vlan };
        // SAFETY: as above.
        unsafe { packet::<Tagged>(context, 0)?.write(tagged) };
    }
    Some(())
}

/// How much longer a tag makes a frame.
#[inline(always)]
const fn tag_len(vlan: u32) -> usize {
    if vlan == 0 { 0 } else { TAG_LEN }
}

/// What stands before the transport header. All in network byte order, as below.
#[repr(C, packed)]
struct Headers {
    macs: [u32; 3],
    ethertype: u16,
    version_and_service: u16,
    total_length: u16,
    identification: u16,
    fragment: u16,
    ttl_and_protocol: u16,
    header_checksum: u16,
    source: u32,
    destination: u32,
    source_port: u16,
    destination_port: u16,
}

/// A whole frame with a datagram of UDP. The flow's number is the payload, as often as it fits: of zeros in
/// its place, the compiler makes a call, and that in frames with a tag only.
#[repr(C, packed)]
struct Datagram {
    headers: Headers,
    length: u16,
    checksum: u16,
    numbers: [u32; NUMBERS],
    padding: u16,
}

/// How often a datagram has its flow's number.
const NUMBERS: usize = 4;

/// A whole frame with a segment of TCP, which has it once.
#[repr(C, packed)]
struct Segment {
    headers: Headers,
    sequence: u32,
    acknowledgment: u32,
    offset_and_flags: u16,
    window: u16,
    checksum: u16,
    urgent: u16,
    number: u32,
    zeros: u16,
}

const _: () = assert!(size_of::<Datagram>() == FRAME_LEN && size_of::<Segment>() == FRAME_LEN);

const TOTAL_LENGTH: u16 = FRAME_LEN as u16 - 14;
const TRANSPORT_LENGTH: u16 = TOTAL_LENGTH - 20;
const VERSION_AND_SERVICE: u16 = 0x4500;
const DO_NOT_FRAGMENT: u16 = 0x4000;
const DATA_OFFSET: u16 = 5 << 12;

#[inline(always)]
const fn headers(macs: [u32; 3], flow: &Flow, protocol: u8) -> Headers {
    let ttl_and_protocol = (TTL as u16) << 8 | protocol as u16;
    let sum = VERSION_AND_SERVICE as u32
        + TOTAL_LENGTH as u32
        + DO_NOT_FRAGMENT as u32
        + ttl_and_protocol as u32
        + words(flow.source)
        + words(flow.destination);
    Headers {
        macs,
        ethertype: 0x0800_u16.to_be(),
        version_and_service: VERSION_AND_SERVICE.to_be(),
        total_length: TOTAL_LENGTH.to_be(),
        identification: 0,
        fragment: DO_NOT_FRAGMENT.to_be(),
        ttl_and_protocol: ttl_and_protocol.to_be(),
        header_checksum: checksum(sum).to_be(),
        source: flow.source.to_be(),
        destination: flow.destination.to_be(),
        source_port: flow.source_port.to_be(),
        destination_port: flow.destination_port.to_be(),
    }
}

/// The sum over the pseudo-header and the ports, which both protocols have.
#[inline(always)]
const fn transport_sum(flow: &Flow, protocol: u8) -> u32 {
    let addresses = words(flow.source) + words(flow.destination);
    let ports = flow.source_port as u32 + flow.destination_port as u32;
    addresses + ports + protocol as u32 + TRANSPORT_LENGTH as u32
}

/// Writes a datagram of a flow, if the packet has room.
#[inline(always)]
pub(crate) fn write_datagram(
    context: &XdpContext,
    link: Link,
    flow: &Flow,
    number: u32,
) -> Option<()> {
    let payload = NUMBERS as u32 * words(number);
    let sum = transport_sum(flow, UDP) + u32::from(TRANSPORT_LENGTH) + payload;
    let checksum = checksum(sum);
    let datagram = Datagram {
        headers: headers(link.macs, flow, UDP),
        length: TRANSPORT_LENGTH.to_be(),
        // Zero would say that there is none (RFC 768).
        checksum: if checksum == 0 { 0xffff } else { checksum.to_be() },
        numbers: [number.to_be(); NUMBERS],
        padding: 0,
    };
    write(context, link, datagram)
}

/// Writes a segment of a flow, if the packet has room.
#[inline(always)]
pub(crate) fn write_segment(
    context: &XdpContext,
    link: Link,
    flow: &Flow,
    number: u32,
    (flags, sequence): (u16, u32),
) -> Option<()> {
    let offset_and_flags = DATA_OFFSET | flags;
    let sum = transport_sum(flow, TCP)
        + words(sequence)
        + u32::from(offset_and_flags)
        + 0xffff
        + words(number);
    let segment = Segment {
        headers: headers(link.macs, flow, TCP),
        sequence: sequence.to_be(),
        acknowledgment: 0,
        offset_and_flags: offset_and_flags.to_be(),
        window: 0xffff,
        checksum: checksum(sum).to_be(),
        urgent: 0,
        number: number.to_be(),
        zeros: 0,
    };
    write(context, link, segment)
}

/// A frame as it came, to be read and written at any offset below `LEN`: without its tag.
pub(crate) struct Frame<const LEN: usize> {
    /// The type and all that follows are counted from here.
    start: *mut u8,
    /// The MACs are here.
    link: *mut u8,
}

/// A frame that is long enough for IPv4.
pub(crate) type Frame4 = Frame<FRAME_LEN>;

impl<const LEN: usize> Frame<LEN> {
    /// The packet, if it is long enough, and has the tag of this VLAN, or none where that is zero.
    #[inline(always)]
    pub(crate) fn of(context: &XdpContext, vlan: u32) -> Option<Self> {
        let start: *mut u8 = packet::<[u8; LEN]>(context, tag_len(vlan))?.cast();
        let link: *mut u8 = packet::<Tagged>(context, 0)?.cast();
        let frame = Self { start, link };
        let tag = (frame.link().half(12), frame.link().half(14));
        (vlan == 0 || tag == (0x8100, vlan as u16)).then_some(frame)
    }

    /// The frame with its tag, as far as to that.
    #[inline(always)]
    pub(crate) fn link(&self) -> Self {
        Self { start: self.link, link: self.link }
    }

    /// The MAC that it is sent to: the first four bytes, and the other two.
    #[inline(always)]
    pub(crate) fn station(&self) -> [u32; 2] {
        let link = self.link();
        [link.word(0), u32::from(link.half(4))]
    }

    /// Whether that is a group's.
    #[inline(always)]
    pub(crate) fn is_to_group(&self) -> bool {
        self.link().byte(0) & 1 != 0
    }

    #[inline(always)]
    pub(crate) fn byte(&self, offset: usize) -> u8 {
        // SAFETY: all offsets are constants below `LEN`, as the verifier checks.
        unsafe { self.start.add(offset).read() }
    }

    #[inline(always)]
    pub(crate) fn half(&self, offset: usize) -> u16 {
        // SAFETY: as for `byte`.
        u16::from_be(unsafe { self.start.add(offset).cast::<u16>().read_unaligned() })
    }

    #[inline(always)]
    pub(crate) fn word(&self, offset: usize) -> u32 {
        // SAFETY: as for `byte`.
        u32::from_be(unsafe { self.start.add(offset).cast::<u32>().read_unaligned() })
    }

    #[inline(always)]
    fn set_half(&self, offset: usize, value: u16) {
        // SAFETY: as for `byte`.
        unsafe { self.start.add(offset).cast::<u16>().write_unaligned(value.to_be()) }
    }

    /// The sum of the words between two even offsets.
    #[inline(always)]
    pub(crate) fn sum(&self, from: usize, to: usize) -> u32 {
        let mut sum = 0;
        let mut offset = from;
        while offset < to {
            sum += u32::from(self.half(offset));
            offset += 2;
        }
        sum
    }

    /// Lets as many bytes, an even number, at either offset change places.
    #[inline(always)]
    pub(crate) fn exchange(&self, one: usize, other: usize, length: usize) {
        let mut offset = 0;
        while offset < length {
            let half = self.half(one + offset);
            self.set_half(one + offset, self.half(other + offset));
            self.set_half(other + offset, half);
            offset += 2;
        }
    }
}

impl Frame4 {
    /// Makes the frame an answer to itself: both ends change places, which no checksum notices, and
    /// a SYN is acknowledged.
    #[inline(always)]
    pub(crate) fn turn(&self) {
        self.link().exchange(0, 6, 6);
        self.exchange(26, 30, 4);
        self.exchange(34, 36, 2);
        if self.byte(23) == TCP && self.half(46) & (SYN | ACK) == SYN {
            self.set_half(46, self.half(46) | ACK);
            // RFC 1624 section 3: the word was without the flag.
            let sum = u32::from(!self.half(50)) + u32::from(ACK);
            self.set_half(50, !(words(sum) as u16));
        }
    }
}

/// The sum of the two words.
#[inline(always)]
pub(crate) const fn words(value: u32) -> u32 {
    (value >> 16) + (value & 0xffff)
}

/// The Internet checksum of this sum (RFC 1071).
#[inline(always)]
pub(crate) const fn checksum(sum: u32) -> u16 {
    !(words(words(sum)) as u16)
}

/// Whether a sum over a checksum and all that it covers is as it should be (RFC 1071).
#[inline(always)]
pub(crate) const fn adds_up(sum: u32) -> bool {
    words(words(sum)) == 0xffff
}
