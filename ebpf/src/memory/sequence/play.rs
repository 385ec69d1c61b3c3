//! From steps to frames, and to what the tables then are.

use std::vec;
use std::vec::Vec;

use super::passage::Passages;
use super::setup::{limit, readdress};
use super::{Body, Bytes, Interface, Packet, Setup, Step, mac_of};
use crate::abi::L4Port;
use crate::memory::site::{A, B, lan};
use crate::memory::{MemoryTables, repair_checksums};
use crate::path::Tables as _;
use crate::verdict::Verdict;

const ETHERNET: usize = 14;
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ECHO_REQUEST: u8 = 8;
const ECHO_REPLY: u8 = 0;
const ACK: u8 = 16;

impl Interface {
    /// The kernel's index.
    pub const fn ifindex(self) -> u32 {
        match self {
            Self::Lan => lan::IFINDEX,
            Self::A => A.ifindex,
            Self::B => B.ifindex,
            Self::Stranger => 9,
        }
    }

    /// The MACs of a packet that comes in: its receiver's, and its sender's.
    fn macs(self, source: [u8; 4]) -> [[u8; 6]; 2] {
        match self {
            Self::A => [A.mac, A.gateway_mac],
            Self::B => [B.mac, B.gateway_mac],
            Self::Lan | Self::Stranger => [lan::MAC, mac_of(source)],
        }
    }

    /// The interface with this index in the device map.
    pub(crate) fn of_egress(egress: u16) -> Self {
        match egress {
            lan::EGRESS => Self::Lan,
            slot if slot == A.egress => Self::A,
            slot if slot == B.egress => Self::B,
            _ => Self::Stranger,
        }
    }
}

/// Makes the frames of a sequence, as it is played.
#[derive(Debug, Default)]
pub struct Player {
    passages: Passages,
}

impl Player {
    /// The frame of the next step, and where it comes in. Nothing where the step is no packet, or
    /// is about one that was not.
    pub fn frame(&self, step: &Step) -> Option<(Interface, Vec<u8>)> {
        match step {
            Step::Send(packet) => Some((packet.interface, packet.frame(&[]))),
            Step::Reply(to, packet) => self.reply(*to, packet),
            Step::Error(about, packet) => self.error(*about, packet),
            _ => None,
        }
    }

    /// What became of the steps so far.
    pub(crate) fn passages(&self) -> &Passages {
        &self.passages
    }

    /// Notes what became of the step: what [`Self::frame`] gave, and the frame after the verdict.
    pub fn played(&mut self, input: Option<(Interface, Vec<u8>)>, after: Option<(Verdict, &[u8])>) {
        self.passages.note(input, after);
    }

    fn reply(&self, to: usize, packet: &Packet) -> Option<(Interface, Vec<u8>)> {
        let (interface, sent) = self.passages.sent(to)?;
        let ends = Ends::of(sent)?;
        let body = match (ends.protocol, &packet.body) {
            (TCP, body @ Body::Tcp(..)) => body.clone(),
            (TCP, _) => Body::Tcp(ACK, 2, Bytes::default()),
            (UDP, body @ Body::Udp { .. }) => body.clone(),
            (UDP, _) => Body::Udp { checksum: true },
            (ICMP, _) if ends.icmp_type == ECHO_REQUEST => Body::Icmp(ECHO_REPLY, 0),
            (ICMP, _) if ends.icmp_type == ECHO_REPLY => Body::Icmp(ECHO_REQUEST, 0),
            // An error is not answered.
            (ICMP, _) => return None,
            (protocol, _) => Body::Other(protocol),
        };
        let packet = Packet {
            interface,
            source: (ends.destination, ends.ports.1),
            destination: (ends.source, ends.ports.0),
            body,
            ..packet.clone()
        };
        Some((interface, packet.frame(&[])))
    }

    fn error(&self, about: usize, packet: &Packet) -> Option<(Interface, Vec<u8>)> {
        let (interface, quote) = self.passages.blamed(about, packet.interface)?;
        let sender: [u8; 4] = quote.get(12..16)?.try_into().ok()?;
        // Few errors are about themselves.
        let destination = if packet.destination.1 == 0 { packet.destination.0 } else { sender };
        let packet = Packet { interface, destination: (destination, 0), ..packet.clone() };
        Some((interface, packet.frame(quote)))
    }
}

/// What a reply is made from.
struct Ends {
    protocol: u8,
    icmp_type: u8,
    source: [u8; 4],
    destination: [u8; 4],
    ports: (u16, u16),
}

impl Ends {
    fn of(frame: &[u8]) -> Option<Self> {
        let word = |at: usize| {
            let bytes = frame.get(at..at + 2)?;
            Some(u16::from_be_bytes(bytes.try_into().ok()?))
        };
        if word(20)? & 0x1fff != 0 {
            // A later fragment has no ports.
            return None;
        }
        let transport = ETHERNET + usize::from(frame.get(ETHERNET)? & 15) * 4;
        let protocol = *frame.get(23)?;
        let ports = match protocol {
            ICMP => (word(transport + 4)?, word(transport + 4)?),
            TCP | UDP => (word(transport)?, word(transport + 2)?),
            _ => (0, 0),
        };
        Some(Self {
            protocol,
            icmp_type: frame.get(transport).copied().unwrap_or_default(),
            source: frame.get(26..30)?.try_into().ok()?,
            destination: frame.get(30..34)?.try_into().ok()?,
            ports,
        })
    }
}

impl Packet {
    /// The frame. An ICMP error quotes `quote`.
    fn frame(&self, quote: &[u8]) -> Vec<u8> {
        let transport = self.transport(quote);
        let header_len = 20 + self.options.0.len();
        let total_len = header_len + transport.len() + usize::from(self.payload);
        let mut frame = self.interface.macs(self.source.0).concat();
        frame.extend([8, 0, 0x40 | (header_len / 4) as u8, 0]);
        frame.extend((total_len as u16).to_be_bytes());
        frame.extend(self.identification.to_be_bytes());
        frame.extend(self.fragment.to_be_bytes());
        frame.extend([self.ttl, self.body.protocol(), 0, 0]);
        frame.extend(self.source.0);
        frame.extend(self.destination.0);
        frame.extend(&self.options.0);
        frame.extend(transport);
        frame.extend((0..self.payload).map(|at| (at as u8).wrapping_mul(37)));
        repair_checksums(&mut frame);
        frame.resize(frame.len() + usize::from(self.padding), 0xa5);
        for (at, value) in self.damage.into_iter().flatten() {
            if let Some(byte) = frame.get_mut(usize::from(at)) {
                *byte = value;
            }
        }
        if let Body::Error { repaired: true, .. } = self.body {
            repair_header(frame.get_mut(ETHERNET + header_len + 8..).unwrap_or_default());
        }
        if self.repaired {
            repair_checksums(&mut frame);
        }
        frame.truncate(self.cut.map_or(usize::MAX, usize::from));
        frame
    }

    /// The transport header. Its checksum is zero, or for UDP with one, anything else.
    fn transport(&self, quote: &[u8]) -> Vec<u8> {
        let ports = [self.source.1.to_be_bytes(), self.destination.1.to_be_bytes()].concat();
        match &self.body {
            Body::Tcp(flags, sequence, options) => {
                let offset = ((20 + options.0.len()) / 4) as u8;
                let mut header = [&ports[..], &sequence.to_be_bytes(), &[0, 0, 0, 2]].concat();
                header.extend([offset << 4, *flags, 0xff, 0xff, 0, 0, 0, 0]);
                header.extend(&options.0);
                header
            }
            Body::Udp { checksum } => {
                let len = 8 + self.payload;
                [&ports[..], &len.to_be_bytes(), &u16::from(*checksum).to_be_bytes()].concat()
            }
            Body::Icmp(icmp_type, code) => {
                let reply = *icmp_type == ECHO_REPLY;
                let identifier = if reply { self.destination.1 } else { self.source.1 };
                let [high, low] = identifier.to_be_bytes();
                vec![*icmp_type, *code, 0, 0, high, low, 0, 1]
            }
            Body::Other(_) => vec![],
            Body::Error { message: (icmp_type, code), quoted, options, .. } => {
                let header = [*icmp_type, *code, 0, 0, 0, 0, 5, 0];
                let mut quote = with_options(quote, &options.0);
                quote.truncate(usize::from(*quoted));
                [&header[..], &quote].concat()
            }
        }
    }
}

impl Body {
    fn protocol(&self) -> u8 {
        match self {
            Self::Tcp(..) => TCP,
            Self::Udp { .. } => UDP,
            Self::Icmp(..) | Self::Error { .. } => ICMP,
            Self::Other(protocol) => *protocol,
        }
    }
}

/// An IPv4 packet with options that it did not have.
fn with_options(packet: &[u8], options: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    if packet.first() == Some(&0x45) && packet.len() >= 20 && !options.is_empty() {
        packet.splice(20..20, options.iter().copied());
        if let Some(first) = packet.first_mut() {
            *first += (options.len() / 4) as u8;
        }
        repair_header(&mut packet);
    }
    packet
}

/// Sets the checksum of an IPv4 header, as far as there is one.
fn repair_header(packet: &mut [u8]) {
    let len = packet.first().map_or(0, |first| usize::from(first & 15) * 4);
    let Some(header) = packet.get_mut(..len).filter(|header| header.len() >= 20) else {
        return;
    };
    let words = header.chunks_exact(2).enumerate().filter(|(at, _)| *at != 5);
    let mut sum: u32 =
        words.map(|(_, word)| word.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte))).sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    if let Some(field) = header.get_mut(10..12) {
        field.copy_from_slice(&(!sum as u16).to_be_bytes());
    }
}

impl Step {
    /// Changes the tables, if it is no packet and no sweep: that depends on what there is.
    pub fn apply(&self, tables: &mut MemoryTables, setup: &Setup) {
        match *self {
            Self::Wait(milliseconds) => {
                tables.set_now(tables.now() + u64::from(milliseconds) * 1_000_000);
            }
            Self::Alive(a, b) => tables.set_alive(mask(a, b)),
            Self::Prefer(a, b) => {
                if let Some(group) = &mut tables.group {
                    group.preferred = mask(a, b);
                }
            }
            Self::Readdress(uplink, index) => {
                let provider = if uplink == Interface::B { B } else { A };
                readdress(tables, setup, &provider, index);
            }
            Self::Filter(filtering) => {
                if let Some(settings) = &mut tables.settings {
                    settings.filtering = filtering;
                }
            }
            Self::Limit(mappings, unreplied) => limit(tables, mappings, unreplied),
            Self::Keep(udp, port) => tables.keep_port(udp, L4Port::from_host(port)),
            Self::Send(_) | Self::Reply(..) | Self::Error(..) | Self::Sweep(_) | Self::Nothing => {}
        }
    }
}

fn mask(a: bool, b: bool) -> u64 {
    (if a { A.bit() } else { 0 }) | if b { B.bit() } else { 0 }
}
