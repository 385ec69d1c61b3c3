use core::net::Ipv6Addr;
use core::ops::Range;
use std::vec::Vec;

use super::checks6::repair_checksums6;
use super::sequence::Bytes;
use super::site::lan;
use crate::wire::ETHERNET_LEN;

/// An address and a port, or an echo's identifier.
pub type End6 = (Ipv6Addr, u16);

/// A frame to be built: Ethernet, IPv6 with extension headers, and TCP, UDP, an ICMPv6 echo, another
/// message of ICMPv6, or any other protocol.
///
/// An end of an echo is written like an end of TCP and UDP: its port is the identifier.
#[derive(Clone, Debug)]
pub struct PacketBuilder6 {
    macs: [[u8; 6]; 2],
    source: End6,
    destination: End6,
    traffic_class: u8,
    hop_limit: u8,
    extensions: Bytes,
    fragment: u16,
    identification: u32,
    body: Body6,
    payload: Vec<u8>,
    padding: usize,
}

/// An upper layer's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body6 {
    /// TCP, with these control bits, sequence number and options.
    Tcp(u8, u32, Bytes),
    /// UDP.
    Udp,
    /// An echo request, or a reply.
    Echo {
        /// Whether it is a reply.
        reply: bool,
    },
    /// A message of ICMPv6 of this type and code, and the last four bytes of its header.
    Message([u8; 2], [u8; 4]),
    /// Nothing: the payload is right behind the last extension header.
    Other(u8),
}

const TCP: u8 = 6;
const UDP: u8 = 17;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const ICMPV6: u8 = 58;
const ECHO_REQUEST: u8 = 128;
const ECHO_REPLY: u8 = 129;

impl PacketBuilder6 {
    /// From the LAN's host to the gateway's MAC, until [`Self::macs`] says otherwise.
    pub fn new(source: End6, destination: End6, body: Body6) -> Self {
        Self {
            macs: [lan::HOST_MAC, lan::MAC],
            source,
            destination,
            traffic_class: 0,
            hop_limit: 64,
            extensions: Bytes::default(),
            fragment: 0,
            identification: 0x1234_5678,
            body,
            payload: b"points".to_vec(),
            padding: 0,
        }
    }

    /// A TCP segment with these control bits ([`crate::wire::tcp_flags`]).
    pub fn tcp(source: End6, destination: End6, flags: u8) -> Self {
        Self::new(source, destination, Body6::Tcp(flags, 1, Bytes::default()))
    }

    /// A UDP datagram.
    pub fn udp(source: End6, destination: End6) -> Self {
        Self::new(source, destination, Body6::Udp)
    }

    /// An ICMPv6 error of this type and code (RFC 4443 section 3), with the last four bytes of its
    /// header, about the packet of which `quote` is the beginning: [`Self::quoted`].
    pub fn error(
        source: Ipv6Addr,
        destination: Ipv6Addr,
        type_and_code: [u8; 2],
        rest: [u8; 4],
        quote: &[u8],
    ) -> Self {
        let body = Body6::Message(type_and_code, rest);
        Self::new((source, 0), (destination, 0), body).payload(quote)
    }

    /// The MACs of sender and receiver.
    #[must_use]
    pub fn macs(self, source: [u8; 6], destination: [u8; 6]) -> Self {
        Self { macs: [source, destination], ..self }
    }

    /// Another source. The port of an echo reply's source says nothing.
    #[must_use]
    pub fn from(self, source: End6) -> Self {
        Self { source, ..self }
    }

    /// Another destination. The port of an echo request's destination says nothing.
    #[must_use]
    pub fn to(self, destination: End6) -> Self {
        Self { destination, ..self }
    }

    /// Another source address.
    #[must_use]
    pub fn from_address(self, address: Ipv6Addr) -> Self {
        Self { source: (address, self.source.1), ..self }
    }

    /// Another destination address.
    #[must_use]
    pub fn to_address(self, address: Ipv6Addr) -> Self {
        Self { destination: (address, self.destination.1), ..self }
    }

    /// The traffic class; zero until then.
    #[must_use]
    pub fn traffic_class(self, traffic_class: u8) -> Self {
        Self { traffic_class, ..self }
    }

    /// The hop limit; 64 until then.
    #[must_use]
    pub fn hop_limit(self, hop_limit: u8) -> Self {
        Self { hop_limit, ..self }
    }

    /// The extension headers: of each its type, and its second byte, which says how long it is. A
    /// fragment header, of type 44, says what [`Self::fragment`] does.
    #[must_use]
    pub fn extensions(self, types_and_lengths: &[[u8; 2]]) -> Self {
        Self { extensions: Bytes(types_and_lengths.concat()), ..self }
    }

    /// The second word of fragment headers: offset, and whether more follow (RFC 8200 section 4.5).
    #[must_use]
    pub fn fragment(self, offset_and_more: u16) -> Self {
        Self { fragment: offset_and_more, ..self }
    }

    /// The identification, which the fragments of a packet have in common.
    #[must_use]
    pub fn identification(self, identification: u32) -> Self {
        Self { identification, ..self }
    }

    /// The sequence number of a TCP segment; 1 until then.
    #[must_use]
    pub fn sequence(mut self, number: u32) -> Self {
        if let Body6::Tcp(_, sequence, _) = &mut self.body {
            *sequence = number;
        }
        self
    }

    /// The options of a TCP segment: a multiple of four bytes, 40 at most, whatever they say.
    #[must_use]
    pub fn tcp_options(mut self, bytes: &[u8]) -> Self {
        assert!(bytes.len() <= 40 && bytes.len().is_multiple_of(4));
        if let Body6::Tcp(_, _, options) = &mut self.body {
            *options = Bytes(bytes.to_vec());
        }
        self
    }

    /// What follows the upper layer's header.
    #[must_use]
    pub fn payload(self, payload: &[u8]) -> Self {
        Self { payload: payload.to_vec(), ..self }
    }

    /// Bytes behind the packet, as a NIC adds to a short frame.
    #[must_use]
    pub fn padding(self, padding: usize) -> Self {
        Self { padding, ..self }
    }

    /// The frame, its checksum right. Of a later fragment, what stands there is no header.
    pub fn build(&self) -> Vec<u8> {
        let mut frame = self.frame(&self.extensions.0, &self.upper());
        repair_checksums6(&mut frame);
        frame.resize(frame.len() + self.padding, 0xa5);
        frame
    }

    /// How many bytes the packet has from the upper layer's header on.
    pub fn body_len(&self) -> usize {
        self.upper().len()
    }

    /// The fragment that carries these bytes of what is from the upper layer's header on, whose
    /// checksum is that of the whole packet. The fragment header is the last extension header.
    ///
    /// # Panics
    /// Where the range does not start at a multiple of eight within the packet.
    pub fn fragment_of(&self, bytes: Range<usize>) -> Vec<u8> {
        assert!(bytes.start.is_multiple_of(8) && bytes.end <= self.body_len());
        let whole = Self { padding: 0, ..self.clone() }.build();
        let start = whole.len() - self.body_len();
        let more = u16::from(bytes.end < self.body_len());
        let fragment = bytes.start as u16 | more;
        let body = whole.get(start + bytes.start..start + bytes.end).unwrap_or_default();
        let extensions = [&self.extensions.0[..], &[FRAGMENT, 0]].concat();
        Self { fragment, ..self.clone() }.frame(&extensions, body)
    }

    /// The packet in so many fragments, in order, all but the last of one length.
    pub fn fragments(&self, count: usize) -> Vec<Vec<u8>> {
        let len = self.body_len();
        let step = len.div_ceil(count).next_multiple_of(8);
        (0..len).step_by(step).map(|at| self.fragment_of(at..len.min(at + step))).collect()
    }

    /// The first `len` bytes of the packet, or all, as an ICMPv6 error quotes it.
    pub fn quoted(&self, len: usize) -> Vec<u8> {
        let frame = Self { padding: 0, ..self.clone() }.build();
        let packet = frame.get(ETHERNET_LEN..).unwrap_or_default();
        packet.get(..len).unwrap_or(packet).to_vec()
    }

    fn frame(&self, extensions: &[u8], upper: &[u8]) -> Vec<u8> {
        let headers: Vec<[u8; 2]> =
            extensions.chunks_exact(2).filter_map(|pair| pair.try_into().ok()).collect();
        let types = headers.iter().map(|[kind, _]| *kind).chain([self.protocol()]);
        let mut types = types.collect::<Vec<_>>().into_iter();
        let first = types.next().unwrap_or_default();
        let chain: Vec<u8> = headers
            .iter()
            .zip(types)
            .flat_map(|(header, next)| self.extension(*header, next))
            .collect();
        let [source_mac, destination_mac] = self.macs;
        let mut frame = [destination_mac, source_mac].concat();
        frame.extend([0x86, 0xdd, 0x60 | self.traffic_class >> 4, self.traffic_class << 4, 0, 0]);
        frame.extend(((chain.len() + upper.len()) as u16).to_be_bytes());
        frame.extend([first, self.hop_limit]);
        frame.extend(self.source.0.octets());
        frame.extend(self.destination.0.octets());
        frame.extend(chain);
        frame.extend(upper);
        frame
    }

    /// An extension header. What options it has are padding (RFC 8200 section 4.2).
    fn extension(&self, [kind, len]: [u8; 2], next: u8) -> Vec<u8> {
        let size = match kind {
            FRAGMENT => 8,
            AUTHENTICATION => usize::from(len) * 4 + 8,
            _ => usize::from(len) * 8 + 8,
        };
        let mut header = [next, len].to_vec();
        if kind == FRAGMENT {
            header.extend(self.fragment.to_be_bytes());
            header.extend(self.identification.to_be_bytes());
        }
        header.resize(size, 0);
        header
    }

    fn protocol(&self) -> u8 {
        match self.body {
            Body6::Tcp(..) => TCP,
            Body6::Udp => UDP,
            Body6::Echo { .. } | Body6::Message(..) => ICMPV6,
            Body6::Other(protocol) => protocol,
        }
    }

    /// The upper layer's header, its checksum zero, and what follows it.
    fn upper(&self) -> Vec<u8> {
        let mut upper = Vec::new();
        match &self.body {
            Body6::Tcp(flags, sequence, options) => {
                upper.extend(self.source.1.to_be_bytes());
                upper.extend(self.destination.1.to_be_bytes());
                upper.extend(sequence.to_be_bytes());
                let words = 5 + (options.0.len() / 4) as u8;
                upper.extend([0, 0, 0, 2, words << 4, *flags, 0xff, 0xff, 0, 0, 0, 0]);
                upper.extend(&options.0);
            }
            Body6::Udp => {
                upper.extend(self.source.1.to_be_bytes());
                upper.extend(self.destination.1.to_be_bytes());
                upper.extend((8 + self.payload.len() as u16).to_be_bytes());
                upper.extend([0; 2]);
            }
            Body6::Echo { reply } => {
                let (icmp_type, identifier) = match reply {
                    true => (ECHO_REPLY, self.destination.1),
                    false => (ECHO_REQUEST, self.source.1),
                };
                upper.extend([icmp_type, 0, 0, 0]);
                upper.extend(identifier.to_be_bytes());
                upper.extend([0, 1]);
            }
            Body6::Message(type_and_code, rest) => {
                upper.extend(type_and_code);
                upper.extend([0; 2]);
                upper.extend(rest);
            }
            Body6::Other(_) => {}
        }
        upper.extend(&self.payload);
        upper
    }
}

/// What the receiver of a frame of TCP, UDP or an echo without extension headers sends back to its
/// sender: MACs, addresses and ports swapped, and a hop limit of 64. A frame that is too short stays as
/// it is in part.
pub fn answer_to6(frame: &[u8]) -> Vec<u8> {
    const TRANSPORT: usize = 54;
    let mut answer = frame.to_vec();
    let mut copy = |from: Range<usize>, to: usize| {
        if let (Some(bytes), Some(place)) =
            (frame.get(from.clone()), answer.get_mut(to..to + from.len()))
        {
            place.copy_from_slice(bytes);
        }
    };
    copy(0..6, 6);
    copy(6..12, 0);
    copy(22..38, 38);
    copy(38..54, 22);
    let is_echo = frame.get(20) == Some(&ICMPV6);
    if !is_echo {
        copy(TRANSPORT..TRANSPORT + 2, TRANSPORT + 2);
        copy(TRANSPORT + 2..TRANSPORT + 4, TRANSPORT);
    }
    if let Some(hop_limit) = answer.get_mut(21) {
        *hop_limit = 64;
    }
    if let Some(icmp_type) = answer.get_mut(TRANSPORT).filter(|_| is_echo) {
        *icmp_type ^= ECHO_REQUEST ^ ECHO_REPLY;
    }
    repair_checksums6(&mut answer);
    answer
}
