//! The translation of prefixes, written from RFC 6296: what is measured shares no code with it.

use std::net::Ipv6Addr;

/// The external address of an internal one, for an external prefix of 48 bits: the word after the
/// prefix makes up for what the prefix changes in checksums (sections 3.1 and 3.4).
pub(crate) fn translate(internal: Ipv6Addr, external: Ipv6Addr) -> Ipv6Addr {
    let [a, b, c, subnet, interface @ ..] = internal.segments();
    let [d, e, f, ..] = external.segments();
    let [g, h, i, j] = interface;
    let adjusted = [a, b, c, subnet, !d, !e, !f].into_iter().fold(0, add);
    // Both are zero, and this one is what the word is to be.
    let adjusted = if adjusted == 0xffff { 0 } else { adjusted };
    Ipv6Addr::new(d, e, f, adjusted, g, h, i, j)
}

/// One's complement addition (RFC 1071).
fn add(a: u16, b: u16) -> u16 {
    let (sum, carry) = a.overflowing_add(b);
    sum + u16::from(carry)
}
