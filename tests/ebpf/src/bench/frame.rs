//! The benchmark's frames, as they are written and as they are read.

use aya_ebpf::programs::XdpContext;

use super::{
    packet,
    traffic::{FRAME_LEN, Flow, TTL, UDP},
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

/// A whole frame with a datagram of UDP. The flow's number is the payload, and zeros.
#[repr(C, packed)]
struct Datagram {
    headers: Headers,
    length: u16,
    checksum: u16,
    number: u32,
    zeros: [u16; 7],
}

/// A whole frame with a segment of TCP, likewise.
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
    macs: [u32; 3],
    flow: &Flow,
    number: u32,
) -> Option<()> {
    let frame = packet::<Datagram>(context)?;
    let sum = transport_sum(flow, UDP) + u32::from(TRANSPORT_LENGTH) + words(number);
    let checksum = checksum(sum);
    let datagram = Datagram {
        headers: headers(macs, flow, UDP),
        length: TRANSPORT_LENGTH.to_be(),
        // Zero would say that there is none (RFC 768).
        checksum: if checksum == 0 { 0xffff } else { checksum.to_be() },
        number: number.to_be(),
        zeros: [0; 7],
    };
    // SAFETY: the packet is long enough, and the type has no alignment of its own.
    unsafe { frame.write(datagram) };
    Some(())
}

/// Writes a segment of a flow, if the packet has room.
#[inline(always)]
pub(crate) fn write_segment(
    context: &XdpContext,
    macs: [u32; 3],
    flow: &Flow,
    number: u32,
    (flags, sequence): (u16, u32),
) -> Option<()> {
    let frame = packet::<Segment>(context)?;
    let offset_and_flags = DATA_OFFSET | flags;
    let sum = transport_sum(flow, TCP)
        + words(sequence)
        + u32::from(offset_and_flags)
        + 0xffff
        + words(number);
    let segment = Segment {
        headers: headers(macs, flow, TCP),
        sequence: sequence.to_be(),
        acknowledgment: 0,
        offset_and_flags: offset_and_flags.to_be(),
        window: 0xffff,
        checksum: checksum(sum).to_be(),
        urgent: 0,
        number: number.to_be(),
        zeros: 0,
    };
    // SAFETY: as for a datagram.
    unsafe { frame.write(segment) };
    Some(())
}

/// A frame as it came, to be read and written at any offset below [`FRAME_LEN`].
pub(crate) struct Frame(*mut u8);

impl Frame {
    /// The packet, if it is long enough.
    #[inline(always)]
    pub(crate) fn of(context: &XdpContext) -> Option<Self> {
        packet::<[u8; FRAME_LEN]>(context).map(|start| Self(start.cast()))
    }

    #[inline(always)]
    pub(crate) fn byte(&self, offset: usize) -> u8 {
        // SAFETY: all offsets are constants below `FRAME_LEN`, as the verifier checks.
        unsafe { self.0.add(offset).read() }
    }

    #[inline(always)]
    pub(crate) fn half(&self, offset: usize) -> u16 {
        // SAFETY: as for `byte`.
        u16::from_be(unsafe { self.0.add(offset).cast::<u16>().read_unaligned() })
    }

    #[inline(always)]
    pub(crate) fn word(&self, offset: usize) -> u32 {
        // SAFETY: as for `byte`.
        u32::from_be(unsafe { self.0.add(offset).cast::<u32>().read_unaligned() })
    }

    #[inline(always)]
    fn set_half(&self, offset: usize, value: u16) {
        // SAFETY: as for `byte`.
        unsafe { self.0.add(offset).cast::<u16>().write_unaligned(value.to_be()) }
    }

    #[inline(always)]
    fn set_word(&self, offset: usize, value: u32) {
        // SAFETY: as for `byte`.
        unsafe { self.0.add(offset).cast::<u32>().write_unaligned(value.to_be()) }
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

    /// Makes the frame an answer to itself: both ends change places, which no checksum notices, and
    /// a SYN is acknowledged.
    #[inline(always)]
    pub(crate) fn turn(&self) {
        let [a, b, c] = [self.half(0), self.half(2), self.half(4)];
        for offset in [0, 2, 4] {
            self.set_half(offset, self.half(offset + 6));
        }
        self.set_half(6, a);
        self.set_half(8, b);
        self.set_half(10, c);
        let (source, destination) = (self.word(26), self.word(30));
        self.set_word(26, destination);
        self.set_word(30, source);
        let (source, destination) = (self.half(34), self.half(36));
        self.set_half(34, destination);
        self.set_half(36, source);
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
const fn words(value: u32) -> u32 {
    (value >> 16) + (value & 0xffff)
}

/// The Internet checksum of this sum (RFC 1071).
#[inline(always)]
const fn checksum(sum: u32) -> u16 {
    !(words(words(sum)) as u16)
}

/// Whether a sum over a checksum and all that it covers is as it should be (RFC 1071).
#[inline(always)]
pub(crate) const fn adds_up(sum: u32) -> bool {
    words(words(sum)) == 0xffff
}
