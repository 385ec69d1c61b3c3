use super::{Frame, Wire, checksum};
use crate::abi::Ipv4;

/// The length of an IPv4 header without options, in bytes.
pub const IPV4_LEN: usize = size_of::<Ipv4Header>();

/// An IPv4 header without its options (RFC 791 section 3.1). 20 bytes, big-endian.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Ipv4Header {
    version_ihl: u8,
    /// Differentiated services and congestion notification.
    pub traffic_class: u8,
    total_length: [u8; 2],
    /// Identification, for reassembly.
    pub identification: [u8; 2],
    fragment: [u8; 2],
    /// Time to live.
    pub ttl: u8,
    /// Protocol number.
    pub protocol: u8,
    /// Header checksum.
    pub checksum: [u8; 2],
    source: [u8; 4],
    destination: [u8; 4],
}

// SAFETY: bytes and arrays of bytes in order.
unsafe impl Wire for Ipv4Header {}

impl Ipv4Header {
    /// Where fields stand, from the start of the header.
    pub const TTL: usize = 8;
    /// Offset of the header checksum.
    pub const CHECKSUM: usize = 10;
    /// Offset of the source address.
    pub const SOURCE: usize = 12;
    /// Offset of the destination address.
    pub const DESTINATION: usize = 16;
    /// The flag that no router may fragment the packet.
    pub const DONT_FRAGMENT: u16 = 0x4000;
    /// The flag of every fragment but the last.
    pub const MORE_FRAGMENTS: u16 = 0x2000;

    /// The version field: 4.
    #[inline(always)]
    pub fn version(&self) -> u8 {
        self.version_ihl >> 4
    }

    /// The header's length in bytes, options included.
    #[inline(always)]
    pub fn header_len(&self) -> usize {
        usize::from(self.version_ihl & 0x0f) * 4
    }

    /// The packet's length in bytes, header included.
    #[inline(always)]
    pub fn total_len(&self) -> usize {
        usize::from(u16::from_be_bytes(self.total_length))
    }

    /// Whether the header is one without options, of a packet in one piece.
    #[inline(always)]
    pub fn is_plain(&self) -> bool {
        self.version_ihl == 0x45 && !self.is_fragment()
    }

    /// The same header, of which [`Self::is_plain`], and of this protocol: so the compiler knows what
    /// is the same in all of them, and leaves out what others need.
    #[inline(always)]
    #[must_use]
    pub fn known_plain(self, protocol: u8) -> Self {
        Self { version_ihl: 0x45, fragment: [self.fragment[0] & 0xc0, 0], protocol, ..self }
    }

    /// Whether the packet is a fragment: the first (more to come) or a later one (an offset).
    #[inline(always)]
    pub fn is_fragment(&self) -> bool {
        u16::from_be_bytes(self.fragment) & 0x3fff != 0
    }

    /// Whether fragments of the datagram follow.
    #[inline(always)]
    pub fn more_fragments(&self) -> bool {
        u16::from_be_bytes(self.fragment) & 0x2000 != 0
    }

    /// Where in the datagram's payload a fragment starts, in bytes: zero for the first.
    #[inline(always)]
    pub fn fragment_offset(&self) -> usize {
        usize::from(u16::from_be_bytes(self.fragment) & 0x1fff) * 8
    }

    /// The header of a datagram of the gateway's own, without options, its checksum set.
    ///
    /// It is sent whole (RFC 6864 section 4.1: an atomic datagram needs no identification), with
    /// the precedence of internetwork control (RFC 1812 section 4.3.2.5).
    pub fn own(total_len: u16, protocol: u8, source: Ipv4, destination: Ipv4) -> Self {
        let whole = (0, Self::DONT_FRAGMENT);
        Self::new(0xc0, total_len, whole, (64, protocol), [source, destination])
    }

    /// The sum of the pseudo-header for the checksum of TCP or UDP, not folded, in words as the machine loads them
    /// (RFC 9293 section 3.1). Of a header without options.
    #[inline(always)]
    pub fn pseudo_header(&self) -> u64 {
        let len = (self.total_len() - IPV4_LEN) as u16;
        let tail = [u16::from_ne_bytes(len.to_be_bytes()), u16::from_ne_bytes([0, self.protocol])];
        let addresses = [self.source, self.destination].map(u32::from_ne_bytes);
        let ([a, b], [c, d]) = (addresses.map(u64::from), tail.map(u64::from));
        a + b + c + d
    }

    /// A header without options, its checksum set, of a packet of so many bytes, with this
    /// identification, and these flags and offset.
    #[inline(always)]
    pub fn new(
        traffic_class: u8,
        total_len: u16,
        (identification, fragment): (u16, u16),
        (ttl, protocol): (u8, u8),
        [source, destination]: [Ipv4; 2],
    ) -> Self {
        let mut header = Self {
            version_ihl: 0x45,
            traffic_class,
            total_length: total_len.to_be_bytes(),
            identification: identification.to_be_bytes(),
            fragment: fragment.to_be_bytes(),
            ttl,
            protocol,
            checksum: [0; 2],
            source: source.octets(),
            destination: destination.octets(),
        };
        let words = [
            u16::from_ne_bytes([header.version_ihl, header.traffic_class]),
            u16::from_ne_bytes(header.total_length),
            u16::from_ne_bytes(header.identification),
            u16::from_ne_bytes(header.fragment),
            u16::from_ne_bytes([header.ttl, header.protocol]),
        ];
        let mut sum = 0;
        for address in [source, destination] {
            sum += u64::from(u32::from_ne_bytes(address.octets()));
        }
        for word in words {
            sum += u64::from(word);
        }
        header.checksum = (!checksum::fold(sum)).to_ne_bytes();
        header
    }

    /// Flags and fragment offset.
    #[inline(always)]
    pub fn fragment_word(&self) -> u16 {
        u16::from_be_bytes(self.fragment)
    }

    /// Whether there is a source route with hops left among the options of the header, which starts at
    /// `offset` of the frame (RFC 791 section 3.1).
    #[inline(always)]
    pub fn is_source_routed<F: Frame>(&self, frame: &F, offset: usize) -> bool {
        self.header_len() > IPV4_LEN
            && find_source_route(frame, offset + IPV4_LEN, self.header_len() - IPV4_LEN)
    }

    /// The source address.
    #[inline(always)]
    pub fn source(&self) -> Ipv4 {
        Ipv4::new(self.source)
    }

    /// The destination address.
    #[inline(always)]
    pub fn destination(&self) -> Ipv4 {
        Ipv4::new(self.destination)
    }

    /// Whether the checksum of the header, which starts at `offset` of the frame, is right (RFC
    /// 1071). Nothing where the frame ends before the header does.
    #[inline(always)]
    pub fn verify<F: Frame>(&self, frame: &F, offset: usize) -> Option<bool> {
        let mut sum = 0;
        for word in frame.read::<[[u8; 4]; 5]>(offset)? {
            sum += u64::from(u32::from_ne_bytes(word));
        }
        if self.header_len() > IPV4_LEN {
            sum += sum_options(frame, offset + IPV4_LEN, self.header_len() - IPV4_LEN)?;
        }
        Some(checksum::is_right(sum))
    }
}

/// The most bytes of options that a header can have.
const MAX_OPTIONS: usize = 40;

/// Loose and strict source routes (RFC 791 section 3.1).
const SOURCE_ROUTES: [u8; 2] = [131, 137];

/// Goes through options byte by byte, for the reason that [`super::mss::find`] does.
#[inline(never)]
fn find_source_route<F: Frame>(frame: &F, offset: usize, len: usize) -> bool {
    let mut next = 0;
    for at in 0..MAX_OPTIONS {
        if at >= len {
            break;
        }
        if at < next {
            continue;
        }
        let Some([kind, size, pointer]) = frame.read::<[u8; 3]>(offset + at) else { break };
        match kind {
            0 => break,
            1 => next = at + 1,
            // What follows the last option is none of it.
            _ if SOURCE_ROUTES.contains(&kind) && at + 2 < len && pointer <= size => return true,
            _ if size < 2 => break,
            _ => next = at + usize::from(size),
        }
    }
    false
}

/// The sum of the options' 32-bit words, in the machine's own order.
#[inline(never)]
fn sum_options<F: Frame>(frame: &F, offset: usize, len: usize) -> Option<u64> {
    let mut sum = 0;
    for at in (0..MAX_OPTIONS).step_by(4) {
        if at >= len {
            break;
        }
        sum += u64::from(u32::from_ne_bytes(frame.read(offset + at)?));
    }
    Some(sum)
}
