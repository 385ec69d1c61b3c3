//! What a router reads of a frame, from its bytes (RFC 791, 792, 768, 9293; RFC 1812 section 5.2.2).

use pointsman_ebpf::memory::sequence::{End, Interface};
use pointsman_ebpf::verdict::{DropReason, PassReason};

use super::Stop;
use super::sum::sum;

pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const ACK: u8 = 16;

/// What a packet is to a translator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It may open a flow.
    Opens,
    /// It may only belong to one: resets and echo replies.
    Belongs,
    /// A fragment without ports.
    Later,
    /// An ICMP error.
    Error,
    /// ICMP that is neither.
    Other,
}

/// An IPv4 packet.
#[derive(Clone, Debug)]
pub(crate) struct Packet<'f> {
    pub(crate) frame: &'f [u8],
    pub(crate) came: Interface,
    pub(crate) kind: Kind,
    pub(crate) protocol: u8,
    pub(crate) from: End,
    pub(crate) to: End,
    pub(crate) ttl: u8,
    /// Where the transport header starts, and where the IPv4 packet ends, in the frame.
    pub(crate) transport: usize,
    pub(crate) end: usize,
    pub(crate) identification: u16,
    /// Fragment offset in bytes, and whether more fragments follow.
    pub(crate) offset: usize,
    pub(crate) more: bool,
    /// Control bits and sequence number of TCP.
    pub(crate) flags: u8,
    pub(crate) sequence: u32,
}

impl Packet<'_> {
    pub(crate) fn is_reset(&self) -> bool {
        self.protocol == TCP && self.flags & RST != 0
    }

    pub(crate) fn is_first_fragment(&self) -> bool {
        self.offset == 0 && self.more
    }

    /// How many bytes follow the IPv4 header.
    pub(crate) fn body(&self) -> usize {
        self.end - self.transport
    }
}

pub(crate) fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

pub(crate) fn address(bytes: &[u8], at: usize) -> [u8; 4] {
    [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]
}

/// Reads a frame that came in by an interface with this MAC.
pub(crate) fn read(frame: &[u8], came: Interface, mac: [u8; 6]) -> Result<Packet<'_>, Stop> {
    let ethernet = frame.get(..14).ok_or(DropReason::Truncated)?;
    if ethernet[..6] != mac {
        return Err(PassReason::NotForUs.into());
    }
    if ethernet[12..14] != [8, 0] {
        return Err(not_ipv4(frame));
    }
    let ip = &frame[14..];
    if ip.len() < 20 {
        return Err(DropReason::Truncated.into());
    }
    let (header, total) = (usize::from(ip[0] & 15) * 4, usize::from(word(ip, 2)));
    if ip[0] >> 4 != 4 || header < 20 || total < header {
        return Err(DropReason::BadHeader.into());
    }
    if ip.len() < total {
        return Err(DropReason::Truncated.into());
    }
    if sum(&ip[..header]) != 0xffff {
        return Err(DropReason::BadChecksum.into());
    }
    let fragment = word(ip, 6);
    let mut packet = Packet {
        frame,
        came,
        kind: Kind::Later,
        protocol: ip[9],
        from: (address(ip, 12), 0),
        to: (address(ip, 16), 0),
        ttl: ip[8],
        transport: 14 + header,
        end: 14 + total,
        identification: word(ip, 4),
        offset: usize::from(fragment & 0x1fff) * 8,
        more: fragment & 0x2000 != 0,
        flags: 0,
        sequence: 0,
    };
    if packet.offset == 0 {
        read_transport(&mut packet)?;
    }
    Ok(packet)
}

fn read_transport(packet: &mut Packet<'_>) -> Result<(), Stop> {
    let body = &packet.frame[packet.transport..packet.end];
    let needed = match packet.protocol {
        TCP => 20,
        UDP | ICMP => 8,
        _ => 0,
    };
    if body.len() < needed {
        // RFC 1858 section 3.
        let tiny = packet.more;
        return Err(if tiny { DropReason::FragmentTiny } else { DropReason::Truncated }.into());
    }
    packet.kind = Kind::Opens;
    match packet.protocol {
        TCP => {
            packet.flags = body[13];
            packet.sequence = u32::from_be_bytes(address(body, 4));
            if packet.flags & RST != 0 {
                packet.kind = Kind::Belongs;
            }
        }
        UDP => {}
        ICMP => {
            let identifier = word(body, 4);
            match (body[0], body[1]) {
                (8, 0) => packet.from.1 = identifier,
                (0, 0) => (packet.kind, packet.to.1) = (Kind::Belongs, identifier),
                (3 | 11 | 12, _) => packet.kind = Kind::Error,
                _ => packet.kind = Kind::Other,
            }
            return Ok(());
        }
        _ => return Ok(()),
    }
    (packet.from.1, packet.to.1) = (word(body, 0), word(body, 2));
    Ok(())
}

/// A frame of something else. Those of IPv6 are the other model's.
fn not_ipv4(frame: &[u8]) -> Stop {
    match [frame[12], frame[13]] {
        [0x81, 0] | [0x88, 0xa8] => match frame.get(14..16) {
            None => DropReason::Truncated.into(),
            Some([high, low]) if high & 15 == 0 && *low == 0 => DropReason::PriorityTag.into(),
            Some(_) => PassReason::Vlan.into(),
        },
        _ => PassReason::NotIp.into(),
    }
}
