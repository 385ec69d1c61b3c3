use core::net::{Ipv4Addr, SocketAddrV4};
use core::ops::Range;
use std::vec::Vec;

use super::checks::repair_checksums;
use super::site::lan;
use crate::wire::ETHERNET_LEN;

/// A frame to be built: Ethernet, IPv4, and TCP, UDP, ICMP echo, an ICMP error or any other protocol.
///
/// An end of an echo is written like an end of TCP and UDP: its port is the identifier, as in
/// [`crate::abi::FlowKey`].
#[derive(Clone, Debug)]
pub struct PacketBuilder {
    destination_mac: [u8; 6],
    source_mac: [u8; 6],
    source: Ipv4Addr,
    destination: Ipv4Addr,
    type_of_service: u8,
    identification: u16,
    ttl: u8,
    fragment: u16,
    options: Vec<u8>,
    transport: Transport,
    payload: Vec<u8>,
    padding: usize,
}

#[derive(Clone, Debug)]
enum Transport {
    Tcp {
        source: u16,
        destination: u16,
        flags: u8,
        /// That of the segment, and the one that it acknowledges.
        numbers: [u32; 2],
        window: u16,
        options: Vec<u8>,
    },
    Udp {
        source: u16,
        destination: u16,
        checksum: bool,
    },
    Echo {
        icmp_type: u8,
        identifier: u16,
    },
    Error {
        type_and_code: [u8; 2],
        rest: [u8; 4],
    },
    Other {
        protocol: u8,
    },
}

const ECHO_REPLY: u8 = 0;
const ECHO_REQUEST: u8 = 8;

/// The flag of every fragment but the last (RFC 791 section 3.1).
const MORE_FRAGMENTS: u16 = 0x2000;

impl PacketBuilder {
    /// A TCP segment with these control bits ([`crate::wire::tcp_flags`]).
    pub fn tcp(source: SocketAddrV4, destination: SocketAddrV4, flags: u8) -> Self {
        let transport = Transport::Tcp {
            source: source.port(),
            destination: destination.port(),
            flags,
            numbers: [1, 2],
            window: u16::MAX,
            options: Vec::new(),
        };
        Self::new(*source.ip(), *destination.ip(), transport)
    }

    /// A UDP datagram.
    pub fn udp(source: SocketAddrV4, destination: SocketAddrV4) -> Self {
        let transport = Transport::Udp {
            source: source.port(),
            destination: destination.port(),
            checksum: true,
        };
        Self::new(*source.ip(), *destination.ip(), transport)
    }

    /// An ICMP echo request, whose identifier is the source's port.
    pub fn echo_request(source: SocketAddrV4, destination: Ipv4Addr) -> Self {
        let transport = Transport::Echo { icmp_type: ECHO_REQUEST, identifier: source.port() };
        Self::new(*source.ip(), destination, transport)
    }

    /// An ICMP echo reply, whose identifier is the destination's port.
    pub fn echo_reply(source: Ipv4Addr, destination: SocketAddrV4) -> Self {
        let transport = Transport::Echo { icmp_type: ECHO_REPLY, identifier: destination.port() };
        Self::new(source, *destination.ip(), transport)
    }

    /// An ICMP error of this type and code (RFC 792), with the last four bytes of its header, about
    /// the packet of which `quote` is the beginning: [`Self::quoted`].
    pub fn icmp_error(
        source: Ipv4Addr,
        destination: Ipv4Addr,
        type_and_code: [u8; 2],
        rest: [u8; 4],
        quote: &[u8],
    ) -> Self {
        Self::new(source, destination, Transport::Error { type_and_code, rest }).payload(quote)
    }

    /// A packet of another protocol, its payload directly behind the IPv4 header.
    pub fn other(protocol: u8, source: Ipv4Addr, destination: Ipv4Addr) -> Self {
        Self::new(source, destination, Transport::Other { protocol })
    }

    /// From the LAN's host to the gateway, until [`Self::macs`] says otherwise.
    fn new(source: Ipv4Addr, destination: Ipv4Addr, transport: Transport) -> Self {
        Self {
            destination_mac: lan::MAC,
            source_mac: lan::HOST_MAC,
            source,
            destination,
            type_of_service: 0,
            identification: 0x1234,
            ttl: 64,
            fragment: 0,
            options: Vec::new(),
            transport,
            payload: b"points".to_vec(),
            padding: 0,
        }
    }

    /// The MACs of sender and receiver.
    #[must_use]
    pub fn macs(mut self, source: [u8; 6], destination: [u8; 6]) -> Self {
        self.source_mac = source;
        self.destination_mac = destination;
        self
    }

    /// Another source. The port of an echo reply's source says nothing.
    #[must_use]
    pub fn from(mut self, end: SocketAddrV4) -> Self {
        self.source = *end.ip();
        match &mut self.transport {
            Transport::Tcp { source, .. } | Transport::Udp { source, .. } => *source = end.port(),
            Transport::Echo { icmp_type: ECHO_REQUEST, identifier } => *identifier = end.port(),
            Transport::Echo { .. } | Transport::Error { .. } | Transport::Other { .. } => {}
        }
        self
    }

    /// Another destination. The port of an echo request's destination says nothing.
    #[must_use]
    pub fn to(mut self, end: SocketAddrV4) -> Self {
        self.destination = *end.ip();
        match &mut self.transport {
            Transport::Tcp { destination, .. } | Transport::Udp { destination, .. } => {
                *destination = end.port();
            }
            Transport::Echo { icmp_type: ECHO_REPLY, identifier } => *identifier = end.port(),
            Transport::Echo { .. } | Transport::Error { .. } | Transport::Other { .. } => {}
        }
        self
    }

    /// The second byte of the header (RFC 2474); zero until then.
    #[must_use]
    pub fn type_of_service(mut self, type_of_service: u8) -> Self {
        self.type_of_service = type_of_service;
        self
    }

    /// The identification, which the fragments of a datagram have in common.
    #[must_use]
    pub fn identification(mut self, identification: u16) -> Self {
        self.identification = identification;
        self
    }

    /// The sequence number of a TCP segment; 1 until then.
    #[must_use]
    pub fn sequence(mut self, number: u32) -> Self {
        if let Transport::Tcp { numbers: [sequence, _], .. } = &mut self.transport {
            *sequence = number;
        }
        self
    }

    /// The acknowledgment number of a TCP segment, whether it says that it has one or not; 2 until then.
    #[must_use]
    pub fn acknowledgment(mut self, number: u32) -> Self {
        if let Transport::Tcp { numbers: [_, acknowledgment], .. } = &mut self.transport {
            *acknowledgment = number;
        }
        self
    }

    /// The window of a TCP segment; the largest until then.
    #[must_use]
    pub fn window(mut self, bytes: u16) -> Self {
        if let Transport::Tcp { window, .. } = &mut self.transport {
            *window = bytes;
        }
        self
    }

    /// The options of a TCP segment: as many bytes as its header has room for, 40, and a multiple of
    /// four, whatever they say.
    #[must_use]
    pub fn tcp_options(mut self, bytes: &[u8]) -> Self {
        assert!(bytes.len() <= 40 && bytes.len().is_multiple_of(4));
        if let Transport::Tcp { options, .. } = &mut self.transport {
            *options = bytes.to_vec();
        }
        self
    }

    /// The time to live; 64 until then.
    #[must_use]
    pub fn ttl(mut self, ttl: u8) -> Self {
        self.ttl = ttl;
        self
    }

    /// The third word of the header: flags and fragment offset (RFC 791 section 3.1).
    #[must_use]
    pub fn fragment(mut self, flags_and_offset: u16) -> Self {
        self.fragment = flags_and_offset;
        self
    }

    /// IPv4 options: as many bytes as a header has room for, 40, and a multiple of four.
    #[must_use]
    pub fn options(mut self, options: &[u8]) -> Self {
        assert!(options.len() <= 40 && options.len().is_multiple_of(4));
        self.options = options.to_vec();
        self
    }

    /// What follows the transport header.
    #[must_use]
    pub fn payload(mut self, payload: &[u8]) -> Self {
        self.payload = payload.to_vec();
        self
    }

    /// UDP without a checksum (RFC 768).
    #[must_use]
    pub fn without_checksum(mut self) -> Self {
        if let Transport::Udp { checksum, .. } = &mut self.transport {
            *checksum = false;
        }
        self
    }

    /// Bytes behind the IPv4 packet, as a NIC adds to a short frame.
    #[must_use]
    pub fn padding(mut self, bytes: usize) -> Self {
        self.padding = bytes;
        self
    }

    /// The frame, its checksums right.
    pub fn build(&self) -> Vec<u8> {
        let mut frame = self.frame(self.fragment, &self.body());
        repair_checksums(&mut frame);
        frame.resize(frame.len() + self.padding, 0xa5);
        frame
    }

    /// How many bytes the packet has behind its IPv4 header.
    pub fn body_len(&self) -> usize {
        self.body().len()
    }

    /// The fragment that carries these bytes of what is behind the IPv4 header, all options
    /// included. The transport checksum is that of the whole datagram.
    ///
    /// # Panics
    /// Where the range does not start at a multiple of eight within the datagram.
    pub fn fragment_of(&self, bytes: Range<usize>) -> Vec<u8> {
        assert!(bytes.start.is_multiple_of(8) && bytes.end <= self.body_len());
        let whole = Self { fragment: 0, padding: 0, ..self.clone() }.build();
        let start = whole.len() - self.body_len();
        let more = if bytes.end < self.body_len() { MORE_FRAGMENTS } else { 0 };
        let body = whole.get(start + bytes.start..start + bytes.end).unwrap_or_default();
        let mut frame = self.frame(more | (bytes.start / 8) as u16, body);
        repair_checksums(&mut frame);
        frame
    }

    /// The datagram in so many fragments, in order, all but the last of one length.
    pub fn fragments(&self, count: usize) -> Vec<Vec<u8>> {
        let len = self.body_len();
        let step = len.div_ceil(count).next_multiple_of(8);
        (0..len).step_by(step).map(|at| self.fragment_of(at..len.min(at + step))).collect()
    }

    /// The first `len` bytes of the IPv4 packet, or all, as an ICMP error quotes it.
    pub fn quoted(&self, len: usize) -> Vec<u8> {
        let frame = Self { padding: 0, ..self.clone() }.build();
        let packet = frame.get(ETHERNET_LEN..).unwrap_or_default();
        packet.get(..len).unwrap_or(packet).to_vec()
    }

    /// What is behind the IPv4 header, its checksum not set.
    fn body(&self) -> Vec<u8> {
        let mut body = self.transport();
        body.extend(&self.payload);
        body
    }

    /// The frame with this third word of the IPv4 header and this body, no checksum set.
    fn frame(&self, fragment: u16, body: &[u8]) -> Vec<u8> {
        let header_len = 20 + self.options.len();
        let total_len = (header_len + body.len()) as u16;
        let mut frame = Vec::new();
        frame.extend(self.destination_mac);
        frame.extend(self.source_mac);
        frame.extend([0x08, 0x00]);
        frame.extend([0x40 | (header_len / 4) as u8, self.type_of_service]);
        frame.extend(total_len.to_be_bytes());
        frame.extend(self.identification.to_be_bytes());
        frame.extend(fragment.to_be_bytes());
        frame.extend([self.ttl, self.protocol(), 0, 0]);
        frame.extend(self.source.octets());
        frame.extend(self.destination.octets());
        frame.extend(&self.options);
        frame.extend(body);
        frame
    }

    fn protocol(&self) -> u8 {
        match self.transport {
            Transport::Tcp { .. } => 6,
            Transport::Udp { .. } => 17,
            Transport::Echo { .. } | Transport::Error { .. } => 1,
            Transport::Other { protocol } => protocol,
        }
    }

    /// The transport header. Its checksum is zero, or for UDP with one, anything else.
    fn transport(&self) -> Vec<u8> {
        let mut header = Vec::new();
        match self.transport {
            Transport::Tcp { source, destination, flags, numbers, window, ref options } => {
                header.extend(source.to_be_bytes());
                header.extend(destination.to_be_bytes());
                header.extend(numbers.into_iter().flat_map(u32::to_be_bytes));
                let words = 5 + (options.len() / 4) as u8;
                header.extend([words << 4, flags]);
                header.extend(window.to_be_bytes());
                header.extend([0; 4]);
                header.extend(options);
            }
            Transport::Udp { source, destination, checksum } => {
                header.extend(source.to_be_bytes());
                header.extend(destination.to_be_bytes());
                header.extend((8 + self.payload.len() as u16).to_be_bytes());
                header.extend(u16::from(checksum).to_be_bytes());
            }
            Transport::Echo { icmp_type, identifier } => {
                header.extend([icmp_type, 0, 0, 0]);
                header.extend(identifier.to_be_bytes());
                header.extend([0, 1]);
            }
            Transport::Error { type_and_code: [icmp_type, code], rest } => {
                header.extend([icmp_type, code, 0, 0]);
                header.extend(rest);
            }
            Transport::Other { .. } => {}
        }
        header
    }
}

/// What the receiver of a frame of TCP, UDP or ICMP echo sends back to its sender: MACs, addresses
/// and ports swapped, and a TTL of 64. A frame that is too short stays as it is in part.
pub fn answer_to(frame: &[u8]) -> Vec<u8> {
    const TTL: usize = 22;
    const PROTOCOL: usize = 23;
    let mut answer = frame.to_vec();
    let byte = |at: usize| frame.get(at).copied().unwrap_or_default();
    let transport = 14 + usize::from(byte(14) & 15) * 4;
    swap(&mut answer, 0, 6, 6);
    swap(&mut answer, 26, 30, 4);
    if byte(PROTOCOL) == 1 {
        set(&mut answer, transport, ECHO_REPLY);
    } else {
        swap(&mut answer, transport, transport + 2, 2);
    }
    set(&mut answer, TTL, 64);
    repair_checksums(&mut answer);
    answer
}

/// Swaps the `len` bytes at two places.
fn swap(frame: &mut [u8], a: usize, b: usize, len: usize) {
    if b + len <= frame.len() {
        for at in 0..len {
            frame.swap(a + at, b + at);
        }
    }
}

fn set(frame: &mut [u8], at: usize, value: u8) {
    if let Some(byte) = frame.get_mut(at) {
        *byte = value;
    }
}
