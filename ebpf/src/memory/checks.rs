//! The checksums of a frame, checked and set the long way: nothing here is shared with the path.

use core::ops::Range;
use std::format;
use std::string::{String, ToString as _};
use std::vec::Vec;

const ETHERNET: usize = 14;

/// Checks the IPv4 header checksum and that of TCP, UDP or ICMP.
///
/// # Errors
/// What is wrong, for people.
pub fn verify(frame: &[u8]) -> Result<(), String> {
    verify_header(frame)?;
    verify_transport(frame)
}

/// Checks the IPv4 header checksum.
///
/// # Errors
/// What is wrong, for people.
pub fn verify_header(frame: &[u8]) -> Result<(), String> {
    let layout = Layout::of(frame).ok_or("no whole IPv4 packet")?;
    match checksum(&[slice(frame, &layout.header)]) {
        0 => Ok(()),
        rest => Err(format!("the IPv4 header checksum is off by {rest:#06x}")),
    }
}

/// Checks the checksum of TCP, UDP or ICMP. Fragments and other protocols have none to check.
///
/// # Errors
/// What is wrong, for people.
pub fn verify_transport(frame: &[u8]) -> Result<(), String> {
    let layout = Layout::of(frame).ok_or("no whole IPv4 packet")?;
    if layout.fragment {
        return Ok(());
    }
    let Some(field) = layout.checksum_field(frame)? else {
        return Ok(());
    };
    if layout.protocol == UDP && slice(frame, &field) == [0, 0] {
        return Ok(());
    }
    match layout.transport_checksum(frame) {
        0 => Ok(()),
        rest => Err(format!("the checksum of protocol {} is off by {rest:#06x}", layout.protocol)),
    }
}

/// Checks the checksums of the packet that an ICMP error quotes: that of its header, and that of its
/// transport where all of it is quoted. A frame that is no ICMP error has none to check.
///
/// # Errors
/// What is wrong, for people.
pub fn verify_quote(frame: &[u8]) -> Result<(), String> {
    let layout = Layout::of(frame).ok_or("no whole IPv4 packet")?;
    let icmp = slice(frame, &layout.body);
    if layout.protocol != ICMP || layout.fragment || !matches!(icmp.first(), Some(3 | 11 | 12)) {
        return Ok(());
    }
    let quote = icmp.get(8..).ok_or("the ICMP header is cut short")?;
    let header_len = quote.first().map_or(0, |first| usize::from(first & 15) * 4);
    let header = quote.get(..header_len).filter(|header| header.len() >= 20);
    let rest = checksum(&[header.ok_or("the quoted header is cut short")?]);
    if rest != 0 {
        return Err(format!("the quoted header checksum is off by {rest:#06x}"));
    }
    let quoted = [frame.get(..ETHERNET).unwrap_or_default(), quote].concat();
    if Layout::of(&quoted).is_none() {
        return Ok(());
    }
    verify_transport(&quoted).map_err(|error| format!("in the quoted packet, {error}"))
}

/// Sets both checksums, as far as the frame has them. UDP without a checksum stays without.
pub fn repair_checksums(frame: &mut [u8]) {
    let Some(layout) = Layout::of(frame) else {
        return;
    };
    let at = layout.header.start + 10;
    set(frame, &(at..at + 2), 0);
    let sum = checksum(&[slice(frame, &layout.header)]);
    set(frame, &(at..at + 2), sum);

    let Ok(Some(field)) = layout.checksum_field(frame) else {
        return;
    };
    let udp = layout.protocol == UDP;
    if layout.fragment || udp && slice(frame, &field) == [0, 0] {
        return;
    }
    set(frame, &field, 0);
    let sum = match layout.transport_checksum(frame) {
        0 if udp => 0xffff,
        sum => sum,
    };
    set(frame, &field, sum);
}

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// Where the parts of a frame are.
struct Layout {
    header: Range<usize>,
    body: Range<usize>,
    protocol: u8,
    fragment: bool,
}

impl Layout {
    fn of(frame: &[u8]) -> Option<Self> {
        let packet = frame.get(ETHERNET..)?;
        if frame.get(12..14)? != [0x08, 0x00] || packet.first()? >> 4 != 4 {
            return None;
        }
        let header_len = usize::from(packet.first()? & 15) * 4;
        let total_len = usize::from(u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]));
        if header_len < 20 || total_len < header_len || packet.len() < total_len {
            return None;
        }
        Some(Self {
            header: ETHERNET..ETHERNET + header_len,
            body: ETHERNET + header_len..ETHERNET + total_len,
            protocol: *packet.get(9)?,
            fragment: packet.get(6)? & 0x3f != 0 || *packet.get(7)? != 0,
        })
    }

    /// Where the transport checksum is; nothing for a protocol that has none here.
    fn checksum_field(&self, frame: &[u8]) -> Result<Option<Range<usize>>, String> {
        let (offset, header_len) = match self.protocol {
            ICMP => (2, 8),
            TCP => (16, 20),
            UDP => (6, 8),
            _ => return Ok(None),
        };
        if self.body.len() < header_len {
            return Err("the transport header is cut short".to_string());
        }
        if self.protocol == UDP && !(8..=self.body.len()).contains(&self.udp_len(frame)) {
            return Err("the UDP length does not fit the packet".to_string());
        }
        let at = self.body.start + offset;
        Ok(Some(at..at + 2))
    }

    fn udp_len(&self, frame: &[u8]) -> usize {
        let at = self.body.start + 4;
        match slice(frame, &(at..at + 2)) {
            [high, low] => usize::from(u16::from_be_bytes([*high, *low])),
            _ => 0,
        }
    }

    /// The checksum over pseudo-header (not for ICMP) and body, the field itself included.
    fn transport_checksum(&self, frame: &[u8]) -> u16 {
        let len = if self.protocol == UDP { self.udp_len(frame) } else { self.body.len() };
        let mut pseudo_header = Vec::new();
        if self.protocol != ICMP {
            let addresses = self.header.start + 12..self.header.start + 20;
            pseudo_header.extend(slice(frame, &addresses));
            pseudo_header.extend([0, self.protocol]);
            pseudo_header.extend((len as u16).to_be_bytes());
        }
        let body = self.body.start..self.body.start + len;
        checksum(&[&pseudo_header, slice(frame, &body)])
    }
}

fn slice<'a>(frame: &'a [u8], range: &Range<usize>) -> &'a [u8] {
    frame.get(range.clone()).unwrap_or_default()
}

fn set(frame: &mut [u8], range: &Range<usize>, value: u16) {
    if let Some(field) = frame.get_mut(range.clone()) {
        field.copy_from_slice(&value.to_be_bytes());
    }
}

/// The Internet checksum (RFC 1071), from its definition: the one's complement of the
/// one's-complement sum of big-endian 16-bit words. All parts but the last have an even length.
pub(super) fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u32;
    for part in parts {
        for pair in part.chunks(2) {
            let word = match pair {
                [high, low] => u16::from_be_bytes([*high, *low]),
                [high] => u16::from_be_bytes([*high, 0]),
                _ => 0,
            };
            sum += u32::from(word);
            if sum > 0xffff {
                sum -= 0xffff;
            }
        }
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use super::*;

    /// The header that Wikipedia's article on the IPv4 checksum works through: b861.
    const HEADER: [u8; 20] = [
        0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0x00,
        0x01, 0xc0, 0xa8, 0x00, 0xc7,
    ];

    #[test]
    fn a_published_header_is_right() {
        assert_eq!(checksum(&[&HEADER]), 0);
    }

    #[test]
    fn a_flipped_bit_is_found_and_repaired() {
        let mut frame = crate::memory::PacketBuilder::udp(
            "10.1.0.2:5000".parse().unwrap(),
            "192.0.2.53:53".parse().unwrap(),
        )
        .payload(b"odd")
        .build();
        assert_eq!(verify(&frame), Ok(()));
        let good = frame.clone();
        for at in [16, 26, 34, 40, 44] {
            frame[at] ^= 1;
            assert!(verify(&frame).is_err(), "byte {at}");
            frame[at] ^= 1;
        }
        frame[24] ^= 1;
        frame[40] ^= 1;
        repair_checksums(&mut frame);
        assert_eq!(frame, good);
    }

    #[test]
    fn a_flipped_bit_of_a_quote_is_found() {
        let quoted = crate::memory::PacketBuilder::udp(
            "203.0.113.2:5000".parse().unwrap(),
            "192.0.2.53:53".parse().unwrap(),
        );
        let error = |quote: &[u8]| {
            let addresses = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(203, 0, 113, 2));
            let (from, to) = addresses;
            crate::memory::PacketBuilder::icmp_error(from, to, [11, 0], [0; 4], quote).build()
        };
        for (len, wrong) in [(usize::MAX, true), (28, false)] {
            let quote = quoted.quoted(len);
            assert_eq!(verify_quote(&error(&quote)), Ok(()));
            let mut changed = quote.clone();
            changed[12] ^= 1;
            assert!(verify_quote(&error(&changed)).is_err(), "{len}");
            let mut changed = quote;
            changed[20] ^= 1;
            assert_eq!(verify_quote(&error(&changed)).is_err(), wrong, "{len}");
        }
    }
}
