use super::{Frame, Protocol, Wire};
use crate::abi::Ipv6;

/// The length of an IPv6 header without extension headers, in bytes.
pub const IPV6_LEN: usize = size_of::<Ipv6Header>();

/// An IPv6 header (RFC 8200 section 3). 40 bytes, big-endian.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Ipv6Header {
    /// Version, traffic class and flow label.
    pub version_class_flow: [u8; 4],
    payload_length: [u8; 2],
    /// The type of what follows, as an IP protocol number.
    pub next_header: u8,
    /// How many more routers the packet may cross.
    pub hop_limit: u8,
    source: [[u8; 8]; 2],
    destination: [[u8; 8]; 2],
}

// SAFETY: bytes and arrays of bytes in order.
unsafe impl Wire for Ipv6Header {}

impl Ipv6Header {
    /// Offset of the hop limit from the start of the header.
    pub const HOP_LIMIT: usize = 7;
    /// Offset of the source address.
    pub const SOURCE: usize = 8;
    /// Offset of the destination address.
    pub const DESTINATION: usize = 24;

    /// The version field: 6.
    #[inline(always)]
    pub fn version(&self) -> u8 {
        self.version_class_flow[0] >> 4
    }

    /// The length of all that follows the header, in bytes, extension headers included.
    #[inline(always)]
    pub fn payload_len(&self) -> usize {
        usize::from(u16::from_be_bytes(self.payload_length))
    }

    /// The source address.
    #[inline(always)]
    pub fn source(&self) -> Ipv6 {
        Ipv6::from_wire(self.source)
    }

    /// The destination address.
    #[inline(always)]
    pub fn destination(&self) -> Ipv6 {
        Ipv6::from_wire(self.destination)
    }

    /// The header of a packet of the gateway's own, with the precedence of internetwork control, as
    /// for IPv4 (RFC 1812 section 4.3.2.5).
    #[inline(always)]
    pub fn own(payload_len: u16, next_header: u8, source: Ipv6, destination: Ipv6) -> Self {
        Self {
            version_class_flow: [0x6c, 0, 0, 0],
            payload_length: payload_len.to_be_bytes(),
            next_header,
            hop_limit: 64,
            source: source.to_wire(),
            destination: destination.to_wire(),
        }
    }

    /// The header of a packet that was one of IPv4, its hop limit what it leaves with (RFC 7915 section
    /// 4.1).
    #[inline(always)]
    pub fn translated(
        traffic_class: u8,
        payload_len: u16,
        next_header: u8,
        hop_limit: u8,
        [source, destination]: [Ipv6; 2],
    ) -> Self {
        Self {
            version_class_flow: [0x60 | traffic_class >> 4, traffic_class << 4, 0, 0],
            payload_length: payload_len.to_be_bytes(),
            next_header,
            hop_limit,
            source: source.to_wire(),
            destination: destination.to_wire(),
        }
    }

    /// Differentiated services and congestion notification.
    #[inline(always)]
    pub fn traffic_class(&self) -> u8 {
        let [first, second, ..] = self.version_class_flow;
        first << 4 | second >> 4
    }

    /// The sum of the pseudo-header for a checksum over `len` bytes of this protocol (RFC 8200
    /// section 8.1), not folded, in words as the machine loads them.
    #[inline(always)]
    pub fn pseudo_header(source: Ipv6, destination: Ipv6, protocol: u8, len: u16) -> u64 {
        let tail = [u16::from_ne_bytes(len.to_be_bytes()), u16::from_ne_bytes([0, protocol])];
        let [a, b] = [source.sum(), destination.sum()];
        let [c, d] = tail.map(u64::from);
        a + b + c + d
    }
}

/// The most extension headers that are walked through.
const MAX_EXTENSIONS: usize = 8;

/// The most bytes of them.
const MAX_EXTENSIONS_LEN: usize = 200;

/// Where a routing header says how many hops are left.
const SEGMENTS_LEFT: usize = 3;

/// What the extension headers of a packet lead to, as one word, for a global BPF function returns
/// nothing larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upper(u64);

/// Why the extension headers of a packet lead to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtensionError {
    /// The packet, or the frame, ends before they do.
    Truncated,
    /// There are more, or longer ones, than are walked through.
    TooMany,
    /// A first fragment ends before they do (RFC 7112 section 5).
    Fragmented,
}

impl Upper {
    const TRUNCATED: u64 = 1 << 63;
    const TOO_MANY: u64 = 1 << 62;
    const FRAGMENTED: u64 = 1 << 61;

    /// Right behind the fixed header.
    #[inline(always)]
    pub const fn direct(protocol: u8) -> Self {
        Self::new(protocol, 0, 0, [0; 2])
    }

    #[inline(always)]
    const fn new(protocol: u8, len: usize, fragment: u16, places: [usize; 2]) -> Self {
        let [fragment_at, routed_at] = places;
        let places = fragment_at as u64 | (routed_at as u64) << 8;
        Self(protocol as u64 | (len as u64) << 8 | (fragment as u64) << 16 | places << 32)
    }

    /// The protocol of the upper layer, or of what stands for it.
    #[inline(always)]
    pub const fn protocol(self) -> u8 {
        self.0 as u8
    }

    /// How many bytes of extension headers come before it.
    #[inline(always)]
    pub const fn extensions_len(self) -> usize {
        (self.0 >> 8 & 0xff) as usize
    }

    /// Of a fragment: where it starts in what is fragmented, in bytes, plus one for all but the last;
    /// zero also of what is whole.
    #[inline(always)]
    pub const fn fragment(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// Where the fragment header stands behind the fixed header, if there is one.
    #[inline(always)]
    pub const fn fragment_header(self) -> Option<usize> {
        ((self.0 >> 32 & 0xff) as usize).checked_sub(1)
    }

    /// Where it stands behind the fixed header how many hops of a source route are left, if any is.
    #[inline(always)]
    pub const fn segments_left(self) -> Option<usize> {
        ((self.0 >> 40 & 0xff) as usize).checked_sub(1)
    }

    /// The word itself.
    #[inline(always)]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// What [`Self::to_bits`], or the error's word, stands for.
    ///
    /// # Errors
    /// Where the extension headers lead to nothing.
    #[inline(always)]
    pub const fn from_bits(bits: u64) -> Result<Self, ExtensionError> {
        if bits & Self::TRUNCATED != 0 {
            Err(ExtensionError::Truncated)
        } else if bits & Self::TOO_MANY != 0 {
            Err(ExtensionError::TooMany)
        } else if bits & Self::FRAGMENTED != 0 {
            Err(ExtensionError::Fragmented)
        } else {
            Ok(Self(bits))
        }
    }
}

/// Walks through the extension headers of a packet (RFC 8200 section 4), the first of which is of
/// type `next` and stands at `start` of the frame, up to `len` bytes. Gives [`Upper::to_bits`], or
/// what stands for an error there.
///
/// A later fragment is not looked into: what follows its fragment header is no header.
#[inline(always)]
pub fn walk<F: Frame>(frame: &F, start: usize, next: u8, len: usize) -> u64 {
    let (mut next, mut at) = (next, 0);
    let (mut fragment, mut fragment_at, mut routed_at) = (0, 0, 0);
    for _ in 0..MAX_EXTENSIONS {
        if at > MAX_EXTENSIONS_LEN {
            return Upper::TOO_MANY;
        }
        if !is_extension(next) || fragment & !1 != 0 {
            return Upper::new(next, at, fragment, [fragment_at, routed_at]).to_bits();
        }
        let cut_short = if fragment & 1 == 0 { Upper::TRUNCATED } else { Upper::FRAGMENTED };
        let Some([following, length, high, low]) = frame.read::<[u8; 4]>(start + at) else {
            return cut_short;
        };
        let size = match next {
            Protocol::FRAGMENT => 8,
            // In words of four bytes, less two (RFC 4302 section 2.2).
            Protocol::AUTHENTICATION => (usize::from(length) + 2) * 4,
            _ => (usize::from(length) + 1) * 8,
        };
        if at + size > len {
            return cut_short;
        }
        if next == Protocol::FRAGMENT {
            // The two bits between are reserved, and ignored.
            fragment = u16::from_be_bytes([high, low]) & !6;
            fragment_at = at + 1;
        }
        // RFC 8200 section 4.4.
        if next == Protocol::ROUTING && low != 0 {
            routed_at = at + SEGMENTS_LEFT + 1;
        }
        at += size;
        next = following;
    }
    if is_extension(next) && fragment & !1 == 0 || at > MAX_EXTENSIONS_LEN {
        return Upper::TOO_MANY;
    }
    Upper::new(next, at, fragment, [fragment_at, routed_at]).to_bits()
}

/// Whether a header of this type is followed by others.
#[inline(always)]
pub const fn is_extension(next: u8) -> bool {
    matches!(
        next,
        Protocol::HOP_BY_HOP
            | Protocol::ROUTING
            | Protocol::FRAGMENT
            | Protocol::AUTHENTICATION
            | Protocol::DESTINATION_OPTIONS
    )
}
