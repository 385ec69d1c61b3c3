//! The Internet checksum over whole packets (RFC 1071), and what a translated packet must hold.

use super::packet::{ICMP, TCP, UDP};

/// The one's-complement sum of 16-bit words, big-endian, an odd last byte padded with zero.
pub(crate) fn sum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// Sets the header checksum of an IPv4 packet.
pub(crate) fn set_header(ip: &mut [u8]) {
    let len = usize::from(ip[0] & 15) * 4;
    ip[10..12].fill(0);
    let checksum = !sum(&ip[..len]);
    ip[10..12].copy_from_slice(&checksum.to_be_bytes());
}

/// Where the checksum of a protocol's header stands.
pub(crate) fn place(protocol: u8) -> Option<usize> {
    match protocol {
        TCP => Some(16),
        UDP => Some(6),
        ICMP => Some(2),
        _ => None,
    }
}

/// Sets the transport checksum of an IPv4 packet that was `before`, so that it is as right, or as
/// wrong by as much, as that one's was: an error of the sender's is the receiver's to find. Of a
/// first fragment, or of a packet that is quoted in part, only a part is there to sum, and the same
/// holds. Gives where the checksum is, if there is one.
pub(crate) fn set_transport(before: &[u8], ip: &mut [u8]) -> Option<usize> {
    let (protocol, header) = (ip[9], usize::from(ip[0] & 15) * 4);
    let at = header + place(protocol)?;
    if ip.len() < at + 2 || protocol == UDP && before[at..at + 2] == [0, 0] {
        return None;
    }
    let covered = |ip: &[u8]| {
        let pseudo = if protocol == ICMP { &[][..] } else { &ip[12..20] };
        [pseudo, &ip[header..]].concat()
    };
    let wanted = sum(&covered(before));
    ip[at..at + 2].fill(0);
    let without = sum(&covered(ip));
    // One's-complement subtraction.
    let field = sum(&[wanted.to_be_bytes(), (!without).to_be_bytes()].concat());
    let field = match field {
        // Zero says that there is none (RFC 768).
        0 | 0xffff if protocol == UDP => 0xffff,
        0xffff => 0,
        field => field,
    };
    ip[at..at + 2].copy_from_slice(&field.to_be_bytes());
    Some(at)
}
