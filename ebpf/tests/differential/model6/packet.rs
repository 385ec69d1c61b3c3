//! What a router reads of a frame, from its bytes (RFC 8200 sections 3 and 4; RFC 768, 4443, 9293).

use pointsman_ebpf::memory::sequence::Interface;
use pointsman_ebpf::verdict::{DropReason, PassReason};

use crate::model::Stop;
pub(crate) use crate::model::packet::word;

pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMPV6: u8 = 58;

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const ACK: u8 = 16;

/// An address as a number.
pub(crate) type Address = u128;

/// What a packet is to a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It may open a flow.
    Opens,
    /// It may only belong to one: resets and echo replies.
    Belongs,
    /// A fragment without ports.
    Later,
    /// An ICMPv6 error.
    Error,
    /// A message of the link.
    OfLink,
    /// ICMPv6 that nobody knows, or what is no packet at all.
    Odd,
}

/// What a fragment header says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fragment {
    /// In bytes.
    pub(crate) offset: usize,
    pub(crate) more: bool,
    pub(crate) identification: u32,
    /// Where, behind the fixed header, the fragment header ends.
    pub(crate) end: usize,
}

/// A packet.
#[derive(Clone, Debug)]
pub(crate) struct Packet<'f> {
    pub(crate) frame: &'f [u8],
    pub(crate) came: Interface,
    pub(crate) kind: Kind,
    pub(crate) protocol: u8,
    pub(crate) from: (Address, u16),
    pub(crate) to: (Address, u16),
    pub(crate) hop_limit: u8,
    /// Where the upper layer's header starts, and where the packet ends, in the frame.
    pub(crate) transport: usize,
    pub(crate) end: usize,
    pub(crate) fragment: Fragment,
    /// Control bits and sequence number of TCP.
    pub(crate) flags: u8,
    pub(crate) sequence: u32,
}

impl Packet<'_> {
    pub(crate) fn is_reset(&self) -> bool {
        self.protocol == TCP && self.flags & RST != 0
    }

    pub(crate) fn is_first_fragment(&self) -> bool {
        self.fragment.offset == 0 && self.fragment.more
    }
}

pub(crate) fn address(bytes: &[u8], at: usize) -> Address {
    u128::from_be_bytes(bytes[at..at + 16].try_into().expect("sixteen bytes"))
}

/// What the extension headers of `payload` lead to: the upper layer's protocol, its place, and what the
/// last fragment header has said. A payload that is cut short ends them.
pub(crate) fn walk(first: u8, payload: &[u8]) -> Result<(u8, usize, Fragment), DropReason> {
    let (mut next, mut at, mut fragment) = (first, 0, Fragment::default());
    let mut headers = 0;
    loop {
        if at > 200 {
            return Err(DropReason::ExtensionHeaders);
        }
        let is_extension = matches!(next, 0 | 43 | 44 | 51 | 60);
        if fragment.offset != 0 || !is_extension {
            return Ok((next, at, fragment));
        }
        if headers == 8 {
            return Err(DropReason::ExtensionHeaders);
        }
        // RFC 7112 section 5.
        let short = if fragment.more { DropReason::FragmentTiny } else { DropReason::Truncated };
        let header = payload.get(at..at + 8).ok_or(short)?;
        let len = match next {
            44 => 8,
            51 => (usize::from(header[1]) + 2) * 4,
            _ => (usize::from(header[1]) + 1) * 8,
        };
        if payload.len() < at + len {
            return Err(short);
        }
        at += len;
        if next == 44 {
            let said = word(header, 2);
            fragment = Fragment {
                offset: usize::from(said >> 3) * 8,
                more: said & 1 == 1,
                identification: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
                end: at,
            };
        }
        next = header[0];
        headers += 1;
    }
}

/// Reads a frame that came in by an interface with this MAC.
pub(crate) fn read(frame: &[u8], came: Interface, mac: [u8; 6]) -> Result<Packet<'_>, Stop> {
    let ethernet = frame.get(..14).ok_or(DropReason::Truncated)?;
    if ethernet[..6] != mac {
        return Err(PassReason::NotForUs.into());
    }
    assert_eq!(ethernet[12..], [0x86, 0xdd], "sequences are of IPv6 only");
    let ip = &frame[14..];
    if ip.len() < 40 {
        return Err(DropReason::Truncated.into());
    }
    if ip[0] >> 4 != 6 {
        return Err(DropReason::BadHeader.into());
    }
    let end = 40 + usize::from(word(ip, 4));
    if ip.len() < end {
        return Err(DropReason::Truncated.into());
    }
    let (protocol, extensions, fragment) = walk(ip[6], &ip[40..end])?;
    let mut packet = Packet {
        frame,
        came,
        kind: Kind::Later,
        protocol,
        from: (address(ip, 8), 0),
        to: (address(ip, 24), 0),
        hop_limit: ip[7],
        transport: 54 + extensions,
        end: 14 + end,
        fragment,
        flags: 0,
        sequence: 0,
    };
    if fragment.offset == 0 {
        read_upper(&mut packet)?;
    }
    Ok(packet)
}

fn read_upper(packet: &mut Packet<'_>) -> Result<(), Stop> {
    let body = &packet.frame[packet.transport..packet.end];
    let needed = match packet.protocol {
        TCP => 20,
        UDP | ICMPV6 => 8,
        _ => 0,
    };
    if body.len() < needed {
        let tiny = packet.fragment.more;
        return Err(if tiny { DropReason::FragmentTiny } else { DropReason::Truncated }.into());
    }
    packet.kind = Kind::Opens;
    match packet.protocol {
        TCP => {
            packet.flags = body[13];
            packet.sequence = u32::from_be_bytes([body[4], body[5], body[6], body[7]]);
            if packet.flags & RST != 0 {
                packet.kind = Kind::Belongs;
            }
            (packet.from.1, packet.to.1) = (word(body, 0), word(body, 2));
        }
        UDP => (packet.from.1, packet.to.1) = (word(body, 0), word(body, 2)),
        ICMPV6 => match (body[0], body[1]) {
            // The identifier is the port of whoever asks.
            (128, 0) => packet.from.1 = word(body, 4),
            (129, 0) => (packet.kind, packet.to.1) = (Kind::Belongs, word(body, 4)),
            (1..=4, _) => packet.kind = Kind::Error,
            (130..=137 | 143, _) => packet.kind = Kind::OfLink,
            _ => packet.kind = Kind::Odd,
        },
        _ => {}
    }
    Ok(())
}
