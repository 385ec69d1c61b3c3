//! The checksums of a frame of IPv6, checked and set the long way: nothing here is shared with the
//! path.

use core::ops::Range;
use std::format;
use std::string::String;
use std::vec::Vec;

use super::checks::checksum;

const ETHERNET: usize = 14;
const FIXED: usize = 40;

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// Checks the checksum of TCP, UDP or ICMPv6. Fragments and other protocols have none to check. Of
/// an ICMPv6 error, also that of the quoted packet, where all of it is quoted.
///
/// # Errors
/// What is wrong, for people.
pub fn verify6(frame: &[u8]) -> Result<(), String> {
    let layout = Layout::of(frame).ok_or("no whole IPv6 packet")?;
    layout.verify(frame)?;
    let body = frame.get(layout.body.clone()).unwrap_or_default();
    if layout.protocol != ICMPV6 || !matches!(body.first(), Some(1..=4)) {
        return Ok(());
    }
    let quote = body.get(8..).ok_or("the ICMPv6 header is cut short")?;
    let quoted = [frame.get(..ETHERNET).unwrap_or_default(), quote].concat();
    // Of a part, there is no telling.
    let Some(layout) = Layout::of(&quoted) else { return Ok(()) };
    layout.verify(&quoted).map_err(|error| format!("in the quoted packet, {error}"))
}

/// Sets the checksum of TCP, UDP or ICMPv6, as far as the frame has one.
pub fn repair_checksums6(frame: &mut [u8]) {
    let Some(layout) = Layout::of(frame) else { return };
    let Some(field) = layout.field() else { return };
    if let Some(place) = frame.get_mut(field.clone()) {
        place.fill(0);
    }
    let sum = match layout.sum(frame) {
        // It is not optional (RFC 8200 section 8.1).
        0 if layout.protocol == UDP => 0xffff,
        sum => sum,
    };
    if let Some(place) = frame.get_mut(field) {
        place.copy_from_slice(&sum.to_be_bytes());
    }
}

/// Where the parts of a frame are.
pub(super) struct Layout {
    /// What follows the last extension header.
    pub(super) body: Range<usize>,
    pub(super) protocol: u8,
    is_fragment: bool,
    /// Whether it is a fragment, and not the first.
    pub(super) is_later: bool,
}

impl Layout {
    pub(super) fn of(frame: &[u8]) -> Option<Self> {
        let packet = frame.get(ETHERNET..)?;
        if packet.first()? >> 4 != 6 {
            return None;
        }
        let payload = usize::from(u16::from_be_bytes([*packet.get(4)?, *packet.get(5)?]));
        let end = ETHERNET + FIXED + payload;
        let (mut protocol, mut at) = (*packet.get(6)?, ETHERNET + FIXED);
        let (mut is_fragment, mut is_later) = (false, false);
        while matches!(protocol, 0 | 43 | 44 | 51 | 60) && !is_fragment {
            let header = frame.get(at..at + 8)?;
            let [next, len, high, low, ..] = *header else { return None };
            let fragment = if protocol == 44 { u16::from_be_bytes([high, low]) & !6 } else { 0 };
            (is_fragment, is_later) = (fragment != 0, fragment > 1);
            at += match protocol {
                44 => 8,
                51 => usize::from(len) * 4 + 8,
                _ => usize::from(len) * 8 + 8,
            };
            protocol = next;
        }
        let is_whole = at <= end && end <= frame.len();
        is_whole.then_some(Self { body: at..end, protocol, is_fragment, is_later })
    }

    /// Where the checksum is, if there is one to check.
    fn field(&self) -> Option<Range<usize>> {
        let (offset, header) = match self.protocol {
            TCP => (16, 20),
            UDP => (6, 8),
            ICMPV6 => (2, 4),
            _ => return None,
        };
        let at = self.body.start + offset;
        (!self.is_fragment && self.body.len() >= header).then_some(at..at + 2)
    }

    /// The checksum over pseudo-header (RFC 8200 section 8.1) and body, the field itself included.
    fn sum(&self, frame: &[u8]) -> u16 {
        let addresses = frame.get(ETHERNET + 8..ETHERNET + FIXED).unwrap_or_default();
        let mut pseudo_header = Vec::from(addresses);
        pseudo_header.extend((self.body.len() as u32).to_be_bytes());
        pseudo_header.extend([0, 0, 0, self.protocol]);
        checksum(&[&pseudo_header, frame.get(self.body.clone()).unwrap_or_default()])
    }

    fn verify(&self, frame: &[u8]) -> Result<(), String> {
        if self.field().is_none() {
            return Ok(());
        }
        match self.sum(frame) {
            0 => Ok(()),
            rest => {
                Err(format!("the checksum of protocol {} is off by {rest:#06x}", self.protocol))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An echo request from ::1 to itself, its checksum not set.
    const ECHO: &str = "00000000000000000000000086dd\
        600d5de800103a400000000000000000000000000000000100000000000000000000000000000001\
        80000000000100010102030405060708";

    fn bytes(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte =
            |pair: &[u8]| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(byte).collect()
    }

    #[test]
    fn a_sum_by_hand_is_right() {
        let mut frame = bytes(ECHO);
        repair_checksums6(&mut frame);
        let sum: u32 = 1 + 1 + 16 + 58 + 0x8000 + 1 + 1 + 0x0102 + 0x0304 + 0x0506 + 0x0708;
        assert_eq!(frame.get(56..58), Some(&(!(sum as u16)).to_be_bytes()[..]));
        assert_eq!(verify6(&frame), Ok(()));
    }

    #[test]
    fn a_flipped_bit_is_found() {
        let mut frame = bytes(ECHO);
        repair_checksums6(&mut frame);
        for at in [21, 25, 40, 54, 56, 69] {
            let mut changed = frame.clone();
            if let Some(byte) = changed.get_mut(at) {
                *byte ^= 1;
            }
            assert_eq!(verify6(&changed).is_err(), at != 21, "byte {at}");
        }
    }
}
