//! Packets of one version made of those of the other (RFC 7915 sections 4.1, 4.5, 5.1 and 5.5).

use crate::model::packet::{ICMP, Packet as Packet4, SYN, TCP, UDP, word};
use crate::model::sum::{place, set_header, sum};
use crate::model6::leave::segment_size;
use crate::model6::packet::{Address, ICMPV6, Kind, Packet as Packet6};

/// A packet without a link header, and where its transport checksum stands, if zero and all ones are the
/// same there.
pub(crate) struct Made {
    pub(crate) packet: Vec<u8>,
    pub(crate) loose: Option<usize>,
}

/// What a transport checksum is over, besides the transport header and what follows it (RFC 9293 section
/// 3.1; RFC 768; RFC 8200 section 8.1): nothing for ICMP of IPv4.
pub(crate) fn pseudo4(from: [u8; 4], to: [u8; 4], protocol: u8, len: usize) -> Vec<u8> {
    if protocol == ICMP {
        return Vec::new();
    }
    [&from[..], &to, &[0, protocol], &(len as u16).to_be_bytes()].concat()
}

pub(crate) fn pseudo6(from: Address, to: Address, protocol: u8, len: usize) -> Vec<u8> {
    let tail = [&(len as u32).to_be_bytes()[..], &[0, 0, 0, protocol]].concat();
    [&from.to_be_bytes()[..], &to.to_be_bytes(), &tail].concat()
}

/// The protocol that stands for the other version's.
pub(crate) fn to_v4(protocol: u8) -> u8 {
    if protocol == ICMPV6 { ICMP } else { protocol }
}

pub(crate) fn to_v6(protocol: u8) -> u8 {
    if protocol == ICMP { ICMPV6 } else { protocol }
}

/// A header of IPv4 with a right checksum.
pub(crate) fn header4(
    class: u8,
    len: usize,
    word: [u16; 2],
    (ttl, protocol): (u8, u8),
    ends: [[u8; 4]; 2],
) -> Vec<u8> {
    let mut header = vec![0x45, class];
    header.extend((20 + len as u16).to_be_bytes());
    header.extend(word.map(u16::to_be_bytes).concat());
    header.extend([ttl, protocol, 0, 0]);
    header.extend(ends.concat());
    set_header(&mut header);
    header
}

/// A header of IPv6 whose flow label is zero.
pub(crate) fn header6(
    class: u8,
    len: usize,
    (hops, next): (u8, u8),
    [from, to]: [Address; 2],
) -> Vec<u8> {
    let mut header = vec![0x60 | class >> 4, class << 4, 0, 0];
    header.extend((len as u16).to_be_bytes());
    header.extend([next, hops]);
    header.extend(from.to_be_bytes());
    header.extend(to.to_be_bytes());
    header
}

/// The differentiated services and the congestion notification of a packet of IPv6.
pub(crate) fn class6(ip: &[u8]) -> u8 {
    ip[0] << 4 | ip[1] >> 4
}

/// Lowers the segment size that a SYN offers to `limit`, and keeps the checksum as right, or as wrong by
/// as much, as it was.
fn clamp(tcp: &mut [u8], limit: u16) {
    let Some(at) = segment_size(tcp).filter(|at| word(tcp, *at) > limit) else { return };
    let wanted = sum(tcp);
    tcp[at..at + 2].copy_from_slice(&limit.to_be_bytes());
    settle(tcp, TCP, (wanted, &[]));
}

/// Sets the checksum so that the sum over the pseudo-header and the transport header, and what there is
/// behind it, is this one. Zero says for UDP that there is none, and stays so.
pub(crate) fn settle(upper: &mut [u8], protocol: u8, (wanted, pseudo): (u16, &[u8])) {
    let Some(at) = place(to_v4(protocol)).filter(|at| at + 2 <= upper.len()) else { return };
    if protocol == UDP && upper[at..at + 2] == [0, 0] {
        return;
    }
    upper[at..at + 2].fill(0);
    let without = sum(&[pseudo, upper].concat());
    let field = sum(&[wanted.to_be_bytes(), (!without).to_be_bytes()].concat());
    let field = match field {
        0 | 0xffff if protocol == UDP => 0xffff,
        0xffff => 0,
        field => field,
    };
    upper[at..at + 2].copy_from_slice(&field.to_be_bytes());
}

/// The packet of IPv6 as one of IPv4 from and to these ends.
pub(crate) fn to_four(
    packet: &Packet6<'_>,
    (from, port): ([u8; 4], u16),
    to: [u8; 4],
    limit: u16,
) -> Made {
    let ip = &packet.frame[14..];
    let mut upper = packet.frame[packet.transport..packet.end].to_vec();
    let protocol = to_v4(packet.protocol);
    let mut checksum = 0;
    if packet.kind != Kind::Later {
        if packet.protocol == TCP && packet.flags & SYN != 0 {
            clamp(&mut upper, limit);
        }
        let len = upper.len();
        checksum = place(protocol).map_or(0, |at| word(&upper, at));
        let before = pseudo6(packet.from.0, packet.to.0, packet.protocol, len);
        let wanted = sum(&[&before[..], &upper].concat());
        let at = if protocol == ICMP { 4 } else { 0 };
        upper[at..at + 2].copy_from_slice(&port.to_be_bytes());
        if protocol == ICMP {
            upper[0] = if upper[0] == 128 { 8 } else { 0 };
        }
        settle(&mut upper, protocol, (wanted, &pseudo4(from, to, protocol, len)));
    }
    let fragment = &packet.fragment;
    let word = if fragment.end != 0 {
        let more = if fragment.more { 0x2000 } else { 0 };
        [fragment.identification as u16, (fragment.offset / 8) as u16 | more]
    } else if 20 + upper.len() <= 1260 {
        // Any number would do; it is the transport checksum.
        [checksum, 0]
    } else {
        [0, 0x4000]
    };
    let hops = (packet.hop_limit - 1, protocol);
    let header = header4(class6(ip), upper.len(), word, hops, [from, to]);
    let loose = place(protocol).filter(|_| protocol != UDP && packet.kind != Kind::Later);
    Made { loose: loose.map(|at| 20 + at), packet: [header, upper].concat() }
}

/// The packet of IPv4 as one of IPv6 from and to these ends.
pub(crate) fn to_six(
    packet: &Packet4<'_>,
    from: Address,
    (to, port): (Address, u16),
    limit: u16,
) -> Made {
    let ip = &packet.frame[14..];
    let mut upper = packet.frame[packet.transport..packet.end].to_vec();
    let (protocol, len) = (to_v6(packet.protocol), upper.len());
    let is_first = packet.offset == 0;
    if is_first {
        if protocol == TCP && packet.flags & SYN != 0 {
            clamp(&mut upper, limit);
        }
        let before = pseudo4(packet.from.0, packet.to.0, packet.protocol, len);
        let wanted = sum(&[&before[..], &upper].concat());
        let pseudo = pseudo6(from, to, protocol, len);
        let at = if protocol == ICMPV6 { 4 } else { 2 };
        upper[at..at + 2].copy_from_slice(&port.to_be_bytes());
        if protocol == ICMPV6 {
            upper[0] = if upper[0] == 8 { 128 } else { 129 };
        }
        if protocol == UDP && upper[6..8] == [0, 0] {
            // IPv6 does not do without.
            upper[6..8].copy_from_slice(&[0xff; 2]);
            settle(&mut upper, protocol, (0xffff, &pseudo));
        } else {
            settle(&mut upper, protocol, (wanted, &pseudo));
        }
    }
    let mut body = Vec::new();
    let mut next = protocol;
    if packet.more || packet.offset != 0 {
        let word = packet.offset as u16 | u16::from(packet.more);
        body.extend([protocol, 0]);
        body.extend(word.to_be_bytes());
        body.extend(u32::from(packet.identification).to_be_bytes());
        next = 44;
    }
    let loose = place(packet.protocol).filter(|_| protocol != UDP && is_first);
    let loose = loose.map(|at| 40 + body.len() + at);
    body.extend(upper);
    let header = header6(ip[1], body.len(), (packet.ttl - 1, next), [from, to]);
    Made { packet: [header, body].concat(), loose }
}
