use core::net::{Ipv4Addr, SocketAddrV4};
use std::vec;
use std::vec::Vec;

use super::checks::repair_checksums;
use super::site::lan;

/// A frame to be built: Ethernet, IPv4, and TCP, UDP, ICMP echo or any other protocol.
///
/// An end of an echo is written like an end of TCP and UDP: its port is the identifier, as in
/// [`crate::abi::FlowKey`].
#[derive(Clone, Debug)]
pub struct PacketBuilder {
    destination_mac: [u8; 6],
    source_mac: [u8; 6],
    source: Ipv4Addr,
    destination: Ipv4Addr,
    ttl: u8,
    fragment: u16,
    options: Vec<u8>,
    transport: Transport,
    payload: Vec<u8>,
    padding: usize,
}

#[derive(Clone, Debug)]
enum Transport {
    Tcp { source: u16, destination: u16, flags: u8 },
    Udp { source: u16, destination: u16, checksum: bool },
    Echo { icmp_type: u8, identifier: u16 },
    Other { protocol: u8 },
}

const ECHO_REPLY: u8 = 0;
const ECHO_REQUEST: u8 = 8;

impl PacketBuilder {
    /// A TCP segment with these control bits ([`crate::wire::tcp_flags`]).
    pub fn tcp(source: SocketAddrV4, destination: SocketAddrV4, flags: u8) -> Self {
        let transport =
            Transport::Tcp { source: source.port(), destination: destination.port(), flags };
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
            Transport::Echo { .. } | Transport::Other { .. } => {}
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
            Transport::Echo { .. } | Transport::Other { .. } => {}
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
        let transport = self.transport();
        let header_len = 20 + self.options.len();
        let total_len = (header_len + transport.len() + self.payload.len()) as u16;

        let mut frame = Vec::new();
        frame.extend(self.destination_mac);
        frame.extend(self.source_mac);
        frame.extend([0x08, 0x00]);
        frame.extend([0x40 | (header_len / 4) as u8, 0]);
        frame.extend(total_len.to_be_bytes());
        frame.extend([0x12, 0x34]);
        frame.extend(self.fragment.to_be_bytes());
        frame.extend([self.ttl, self.protocol(), 0, 0]);
        frame.extend(self.source.octets());
        frame.extend(self.destination.octets());
        frame.extend(&self.options);
        frame.extend(transport);
        frame.extend(&self.payload);
        repair_checksums(&mut frame);
        frame.resize(frame.len() + self.padding, 0xa5);
        frame
    }

    fn protocol(&self) -> u8 {
        match self.transport {
            Transport::Tcp { .. } => 6,
            Transport::Udp { .. } => 17,
            Transport::Echo { .. } => 1,
            Transport::Other { protocol } => protocol,
        }
    }

    /// The transport header. Its checksum is zero, or for UDP with one, anything else.
    fn transport(&self) -> Vec<u8> {
        let mut header = Vec::new();
        match self.transport {
            Transport::Tcp { source, destination, flags } => {
                header.extend(source.to_be_bytes());
                header.extend(destination.to_be_bytes());
                header.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
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
            Transport::Other { .. } => header = vec![],
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
