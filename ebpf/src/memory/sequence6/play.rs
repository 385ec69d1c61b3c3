//! From steps to frames.

use core::net::Ipv6Addr;
use std::vec::Vec;

use super::{Address, End, Packet6, Step6};
use crate::memory::checks6::Layout;
use crate::memory::packet6::{Body6, PacketBuilder6};
use crate::memory::repair_checksums6;
use crate::memory::sequence::{Bytes, Interface, Passages};
use crate::memory::site::{A, B, lan};
use crate::verdict::Verdict;

const ICMPV6: u8 = 58;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ECHO_REQUEST: u8 = 128;
const ECHO_REPLY: u8 = 129;
const ACK: u8 = 16;

/// The MAC of a host of the LAN.
pub const fn mac_of(host: Address) -> [u8; 6] {
    [2, 0, 0, 1, 0, host[7] as u8]
}

/// The address that these words are.
pub const fn address_of([a, b, c, d, e, f, g, h]: Address) -> Ipv6Addr {
    Ipv6Addr::new(a, b, c, d, e, f, g, h)
}

/// Makes the frames of a sequence, as it is played.
#[derive(Debug, Default)]
pub struct Player6 {
    passages: Passages,
}

impl Player6 {
    /// The frame of the next step, and where it comes in. Nothing where the step is no packet, or
    /// is about one that was not.
    pub fn frame(&self, step: &Step6) -> Option<(Interface, Vec<u8>)> {
        match step {
            Step6::Send(packet) => Some((packet.interface, packet.frame(&[]))),
            Step6::Reply(to, packet) => self.reply(*to, packet),
            Step6::Error(about, packet) => self.error(*about, packet),
            _ => None,
        }
    }

    /// Notes what became of the step: what [`Self::frame`] gave, and the frame after the verdict.
    pub fn played(&mut self, input: Option<(Interface, Vec<u8>)>, after: Option<(Verdict, &[u8])>) {
        self.passages.note(input, after);
    }

    fn reply(&self, to: usize, packet: &Packet6) -> Option<(Interface, Vec<u8>)> {
        let (interface, sent) = self.passages.sent(to)?;
        let ends = Ends::of(sent)?;
        let body = match (ends.protocol, &packet.body) {
            (TCP, body @ Body6::Tcp(..)) => body.clone(),
            (TCP, _) => Body6::Tcp(ACK, 2, Bytes::default()),
            (UDP, _) => Body6::Udp,
            (ICMPV6, _) if ends.icmp_type == ECHO_REQUEST => Body6::Echo { reply: true },
            (ICMPV6, _) if ends.icmp_type == ECHO_REPLY => Body6::Echo { reply: false },
            // An error is not answered.
            (ICMPV6, _) => return None,
            (protocol, _) => Body6::Other(protocol),
        };
        let packet = Packet6 {
            interface,
            source: ends.destination,
            destination: ends.source,
            body,
            ..packet.clone()
        };
        Some((interface, packet.frame(&[])))
    }

    fn error(&self, about: usize, packet: &Packet6) -> Option<(Interface, Vec<u8>)> {
        let (interface, quote) = self.passages.blamed(about, packet.interface)?;
        let sender = address(quote.get(8..24)?)?;
        // Few errors are about themselves.
        let destination = if packet.destination.1 == 0 { packet.destination.0 } else { sender };
        let quote = quote.get(..usize::from(packet.quoted)).unwrap_or(quote);
        let packet = Packet6 { interface, destination: (destination, 0), ..packet.clone() };
        Some((interface, packet.frame(quote)))
    }
}

/// The words of an address's sixteen octets.
fn address(octets: &[u8]) -> Option<Address> {
    let octets: [u8; 16] = octets.try_into().ok()?;
    Some(Ipv6Addr::from(octets).segments())
}

/// What a reply is made from.
struct Ends {
    protocol: u8,
    icmp_type: u8,
    source: End,
    destination: End,
}

impl Ends {
    fn of(frame: &[u8]) -> Option<Self> {
        let layout = Layout::of(frame)?;
        if layout.is_later {
            // It has no ports.
            return None;
        }
        let transport = layout.body.start;
        let word = |at: usize| {
            let bytes = frame.get(at..at + 2)?;
            Some(u16::from_be_bytes(bytes.try_into().ok()?))
        };
        let ports = match layout.protocol {
            ICMPV6 => (word(transport + 4)?, word(transport + 4)?),
            TCP | UDP => (word(transport)?, word(transport + 2)?),
            _ => (0, 0),
        };
        Some(Self {
            protocol: layout.protocol,
            icmp_type: frame.get(transport).copied().unwrap_or_default(),
            source: (address(frame.get(22..38)?)?, ports.0),
            destination: (address(frame.get(38..54)?)?, ports.1),
        })
    }
}

impl Packet6 {
    /// The frame. An ICMPv6 error quotes `quote`.
    fn frame(&self, quote: &[u8]) -> Vec<u8> {
        let [source_mac, destination_mac] = match self.interface {
            Interface::A => [A.gateway_mac, A.mac],
            Interface::B => [B.gateway_mac, B.mac],
            Interface::Lan | Interface::Stranger => [mac_of(self.source.0), lan::MAC],
        };
        let end = |(address, port): End| (address_of(address), port);
        let mut payload = quote.to_vec();
        payload.extend((0..self.payload).map(|at| (at as u8).wrapping_mul(37)));
        let extensions: Vec<[u8; 2]> =
            self.extensions.0.chunks_exact(2).filter_map(|pair| pair.try_into().ok()).collect();
        let packet =
            PacketBuilder6::new(end(self.source), end(self.destination), self.body.clone());
        let mut frame = packet
            .macs(source_mac, destination_mac)
            .extensions(&extensions)
            .fragment(self.fragment)
            .identification(self.identification)
            .hop_limit(self.hop_limit)
            .payload(&payload)
            .padding(usize::from(self.padding))
            .build();
        for (at, value) in self.damage.into_iter().flatten() {
            if let Some(byte) = frame.get_mut(usize::from(at)) {
                *byte = value;
            }
        }
        if self.repaired {
            repair_checksums6(&mut frame);
        }
        frame.truncate(self.cut.map_or(usize::MAX, usize::from));
        frame
    }
}
