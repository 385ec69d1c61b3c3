//! The Internet checksum (RFC 1071) and its incremental update (RFC 1624).
//!
//! The sum does not depend on byte order (RFC 1071 section 2(B)): everything here works on words as
//! the machine loads them, and what it gives is stored the same way.

use super::{Frame, Protocol};
use crate::abi::{Ipv4, Ipv6, L4Port};

/// Folds a sum of words to 16 bits, carries added back in.
#[inline(always)]
pub const fn fold(sum: u64) -> u16 {
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    ((sum >> 16) + (sum & 0xffff)) as u16
}

/// Whether words of this sum, their checksum among them, hold a right one: whether the sum folds to
/// all ones, which a multiple of that does. The words are not all zero.
///
/// The multiples of an odd number are those that its inverse modulo 2^64 takes to no more than the
/// largest quotient there is (Granlund and Montgomery, "Division by Invariant Integers using
/// Multiplication", 1994, section 9): a division is dear.
#[inline(always)]
pub const fn is_right(sum: u64) -> bool {
    const ONES: u64 = 0xffff;
    // (2^16 - 1) * (2^48 + 2^32 + 2^16 + 1) = 2^64 - 1.
    const INVERSE: u64 = (u64::MAX / ONES).wrapping_neg();
    const _: () = assert!(ONES.wrapping_mul(INVERSE) == 1);
    sum.wrapping_mul(INVERSE) <= u64::MAX / ONES
}

/// What a checksum changes by when fields of the packet change: a one's-complement sum of ~m + m'
/// for each (RFC 1624 section 3, equation 3).
#[derive(Clone, Copy, Debug, Default)]
pub struct Delta(u64);

impl Delta {
    /// Nothing changes.
    pub const NONE: Self = Self(0);

    /// An address is replaced.
    #[inline(always)]
    #[must_use]
    pub const fn address(self, old: Ipv4, new: Ipv4) -> Self {
        let old = !u32::from_ne_bytes(old.octets());
        Self(self.0 + old as u64 + u32::from_ne_bytes(new.octets()) as u64)
    }

    /// A port or an echo identifier is replaced.
    #[inline(always)]
    #[must_use]
    pub const fn port(self, old: L4Port, new: L4Port) -> Self {
        let old = !u16::from_ne_bytes(old.octets());
        Self(self.0 + old as u64 + u16::from_ne_bytes(new.octets()) as u64)
    }

    /// A word of 16 bits is replaced, as loaded.
    #[inline(always)]
    #[must_use]
    pub const fn word(self, old: u16, new: u16) -> Self {
        Self(self.0 + !old as u64 + new as u64)
    }

    /// An IPv6 address goes.
    #[inline(always)]
    #[must_use]
    pub const fn without(self, address: Ipv6) -> Self {
        Self(self.0 + Ipv6 { upper: !address.upper, lower: !address.lower }.sum())
    }

    /// An IPv6 address comes.
    #[inline(always)]
    #[must_use]
    pub const fn with(self, address: Ipv6) -> Self {
        Self(self.0 + address.sum())
    }

    /// The TTL, the first byte of its word, is one less.
    #[inline(always)]
    #[must_use]
    pub const fn ttl_decrement(self) -> Self {
        Self(self.0 + !u16::from_ne_bytes([1, 0]) as u64)
    }

    /// This change and another.
    #[inline(always)]
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// The change as one word.
    #[inline(always)]
    pub const fn fold(self) -> u16 {
        fold(self.0)
    }
}

/// The checksum field, as loaded, after a change by `delta` (RFC 1624 section 3, equation 3).
#[inline(always)]
pub const fn update(field: u16, delta: u16) -> u16 {
    let sum = !field as u32 + delta as u32;
    !((sum >> 16) + sum) as u16
}

/// The checksum field of TCP, UDP, or ICMP of either version, after a change by `delta`.
#[inline(always)]
pub const fn update_of(protocol: u8, field: u16, delta: u16) -> u16 {
    match protocol {
        Protocol::UDP => update_udp(field, delta),
        _ => update(field, delta),
    }
}

/// As [`update`], for UDP over IPv4: zero says that there is no checksum, which stays so, and a
/// checksum that computes to zero is sent as all ones (RFC 768).
#[inline(always)]
pub const fn update_udp(field: u16, delta: u16) -> u16 {
    if field == 0 {
        return 0;
    }
    match update(field, delta) {
        0 => u16::MAX,
        updated => updated,
    }
}

/// The sum over `len` bytes of a frame from `offset` on, an odd last one padded with zero, not
/// folded. Nothing where the frame ends before, or where it is more than [`SUMMED_MAX`].
///
/// The verifier walks through every turn of a loop, so a turn takes eight bytes, and there is one
/// loop.
#[inline(always)]
pub fn sum_frame<F: Frame>(frame: &F, offset: usize, len: usize) -> Option<u64> {
    if len > SUMMED_MAX {
        return None;
    }
    let mut sum = 0;
    for at in (0..SUMMED_MAX).step_by(8) {
        let rest = len.saturating_sub(at);
        if rest >= 8 {
            let [a, b] = frame.read::<[[u8; 4]; 2]>(offset + at)?;
            sum += u64::from(u32::from_ne_bytes(a)) + u64::from(u32::from_ne_bytes(b));
        } else {
            return Some(sum + sum_rest(frame, offset + at, rest)?);
        }
    }
    Some(sum)
}

/// The most bytes that [`sum_frame`] adds up, a multiple of eight: an Ethernet frame's.
pub const SUMMED_MAX: usize = 1504;

/// The sum over fewer than eight bytes.
#[inline(always)]
fn sum_rest<F: Frame>(frame: &F, mut offset: usize, len: usize) -> Option<u64> {
    let mut sum = 0;
    if len & 4 != 0 {
        sum += u64::from(u32::from_ne_bytes(frame.read(offset)?));
        offset += 4;
    }
    if len & 2 != 0 {
        sum += u64::from(u16::from_ne_bytes(frame.read(offset)?));
        offset += 2;
    }
    if len & 1 != 0 {
        sum += u64::from(u16::from_ne_bytes([frame.read(offset)?, 0]));
    }
    Some(sum)
}

/// The sum over bytes, an odd last one padded with zero (RFC 1071): all ones, complemented zero,
/// where the bytes hold a right checksum. For packets that the daemon makes; the path, which the
/// verifier bounds, has [`sum_frame`].
pub fn sum(bytes: &[u8], initial: u64) -> u64 {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let sum = pairs.iter().fold(initial, |sum, pair| sum + u64::from(u16::from_ne_bytes(*pair)));
    match rest {
        [last] => sum + u64::from(u16::from_ne_bytes([*last, 0])),
        _ => sum,
    }
}
