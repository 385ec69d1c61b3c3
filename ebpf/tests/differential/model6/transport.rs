//! The upper layer of a packet whose addresses and port are others than they were: of TCP, UDP and ICMPv6 the
//! checksum is over them (RFC 8200 section 8.1).

use super::packet::{TCP, UDP};
use crate::model::sum::sum;

/// Where the port stands that tells LAN hosts apart, or the identifier.
pub(crate) fn port_place(protocol: u8, is_source: bool) -> usize {
    match (protocol, is_source) {
        (TCP | UDP, true) => 0,
        (TCP | UDP, false) => 2,
        _ => 4,
    }
}

/// Sets the checksum of a packet that was `before`, so that it is as right, or as wrong by as much, as that
/// one's was; of a packet that is quoted in part, or of a first fragment, a part is there to sum, and the same
/// holds. Both start at the header of IPv6, and the upper layer at `upper`. Gives where the checksum is, if it
/// may be zero either way.
pub(crate) fn settle(before: &[u8], after: &mut [u8], upper: usize, protocol: u8) -> Option<usize> {
    let at = upper
        + match protocol {
            TCP => 16,
            UDP => 6,
            _ => 2,
        };
    if after.len() < at + 2 || protocol == UDP && before[at..at + 2] == [0, 0] {
        return None;
    }
    let covered = |packet: &[u8]| sum(&[&packet[8..40], &packet[upper..]].concat());
    let wanted = covered(before);
    after[at..at + 2].fill(0);
    let without = covered(after);
    // One's-complement subtraction.
    let field = match sum(&[wanted.to_be_bytes(), (!without).to_be_bytes()].concat()) {
        // Zero says that there is none.
        0 if protocol == UDP => 0xffff,
        field => field,
    };
    after[at..at + 2].copy_from_slice(&field.to_be_bytes());
    (protocol != UDP).then_some(at)
}
