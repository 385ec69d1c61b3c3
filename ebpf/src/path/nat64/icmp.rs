//! What an ICMP error of one version is in the other (RFC 7915 sections 4.2 and 5.2).

use crate::wire::{
    Echo, Ports, Protocol, icmp_type, icmpv6_type, unreachable_code, unreachable6_code,
};

/// An error's type and code, and the last word of its header, in host byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) icmp_type: u8,
    pub(super) code: u8,
    pub(super) word: u32,
}

/// By how much a header of IPv6 is longer than one of IPv4, in bytes.
const DIFFERENCE: u16 = 20;

/// The least MTU that IPv6 knows (RFC 8200 section 5).
const MTU_MIN: u16 = 1280;

/// What routers that state no MTU may mean, the largest first (RFC 1191 section 7.1).
const PLATEAUS: [u16; 8] = [32000, 17914, 8166, 4352, 2002, 1492, 1006, 508];

/// Codes of IPv6's parameter problem (RFC 4443 section 3.4).
const ERRONEOUS_FIELD: u8 = 0;
const UNKNOWN_NEXT_HEADER: u8 = 1;

/// Codes of IPv4's destination unreachable (RFC 792; RFC 1812 section 5.2.7.1).
const HOST: u8 = 1;
const PROTOCOL: u8 = 2;
const PORT: u8 = 3;
const HOST_PROHIBITED: u8 = 10;

/// The same of IPv6 (RFC 4443 section 3.1).
const BEYOND_SCOPE: u8 = 2;
const PORT6: u8 = 4;

/// Where the type of the next header stands in the header of IPv6.
const NEXT_HEADER: u32 = 6;

/// The length of what is quoted of a packet of this protocol, of either version, if it is enough to know the
/// packet's flow.
#[inline(always)]
pub(super) fn enough(protocol: u8, len: usize) -> Option<usize> {
    let least = match protocol {
        Protocol::TCP | Protocol::UDP => size_of::<Ports>(),
        _ => size_of::<Echo>(),
    };
    (len >= least).then_some(len)
}

/// The MTUs of the links that an error is between.
#[derive(Clone, Copy)]
pub(super) struct Mtus {
    /// Of the uplink.
    pub(super) ipv4: u16,
    /// Of the LAN.
    pub(super) ipv6: u16,
}

/// What an error of IPv4 about a packet of `quoted_len` bytes is in IPv6. Nothing where it is none.
#[inline(always)]
pub(super) fn to_v6(message: Message, quoted_len: u16, mtus: Mtus) -> Option<Message> {
    let Message { icmp_type, code, word } = message;
    let new = |icmp_type, code, word| Some(Message { icmp_type, code, word });
    match (icmp_type, code) {
        (icmp_type::UNREACHABLE, PROTOCOL) => {
            new(icmpv6_type::PARAMETER_PROBLEM, UNKNOWN_NEXT_HEADER, NEXT_HEADER)
        }
        (icmp_type::UNREACHABLE, PORT) => new(icmpv6_type::UNREACHABLE, PORT6, 0),
        (icmp_type::UNREACHABLE, unreachable_code::FRAGMENTATION_NEEDED) => {
            let mtu = mtu_of_v6(word as u16, quoted_len, mtus);
            new(icmpv6_type::PACKET_TOO_BIG, 0, u32::from(mtu))
        }
        (icmp_type::UNREACHABLE, 0 | 1 | 5..=8 | 11 | 12) => {
            new(icmpv6_type::UNREACHABLE, unreachable6_code::NO_ROUTE, 0)
        }
        (icmp_type::UNREACHABLE, 9 | HOST_PROHIBITED | 13 | 15) => {
            new(icmpv6_type::UNREACHABLE, unreachable6_code::PROHIBITED, 0)
        }
        (icmp_type::TIME_EXCEEDED, code) => new(icmpv6_type::TIME_EXCEEDED, code, 0),
        (icmp_type::PARAMETER_PROBLEM, 0 | 2) => {
            let pointer = u32::from(pointer_of_v6((word >> 24) as u8)?);
            new(icmpv6_type::PARAMETER_PROBLEM, ERRONEOUS_FIELD, pointer)
        }
        _ => None,
    }
}

/// What an error of IPv6 is in IPv4. Nothing where it is none.
#[inline(always)]
pub(super) fn to_v4(message: Message, mtus: Mtus) -> Option<Message> {
    let Message { icmp_type, code, word } = message;
    let new = |icmp_type, code, word| Some(Message { icmp_type, code, word });
    match (icmp_type, code) {
        (
            icmpv6_type::UNREACHABLE,
            unreachable6_code::NO_ROUTE | BEYOND_SCOPE | unreachable6_code::ADDRESS,
        ) => new(icmp_type::UNREACHABLE, HOST, 0),
        (icmpv6_type::UNREACHABLE, unreachable6_code::PROHIBITED) => {
            new(icmp_type::UNREACHABLE, HOST_PROHIBITED, 0)
        }
        (icmpv6_type::UNREACHABLE, PORT6) => new(icmp_type::UNREACHABLE, PORT, 0),
        (icmpv6_type::PACKET_TOO_BIG, _) => {
            let mtu = word.min(u32::from(mtus.ipv6)).saturating_sub(u32::from(DIFFERENCE));
            let mtu = mtu.min(u32::from(mtus.ipv4));
            new(icmp_type::UNREACHABLE, unreachable_code::FRAGMENTATION_NEEDED, mtu)
        }
        (icmpv6_type::TIME_EXCEEDED, code) => new(icmp_type::TIME_EXCEEDED, code, 0),
        (icmpv6_type::PARAMETER_PROBLEM, ERRONEOUS_FIELD) => {
            let pointer = u32::from(pointer_of_v4(word)?) << 24;
            new(icmp_type::PARAMETER_PROBLEM, 0, pointer)
        }
        (icmpv6_type::PARAMETER_PROBLEM, UNKNOWN_NEXT_HEADER) => {
            new(icmp_type::UNREACHABLE, PROTOCOL, 0)
        }
        _ => None,
    }
}

/// The MTU that a host of IPv6 is told. A router that states none does not know of RFC 1191: then the
/// largest plateau counts that the quoted packet is above.
#[inline(always)]
fn mtu_of_v6(stated: u16, quoted_len: u16, mtus: Mtus) -> u16 {
    let mut mtu = stated;
    if mtu == 0 {
        for plateau in PLATEAUS {
            if mtu == 0 && plateau < quoted_len {
                mtu = plateau;
            }
        }
    }
    let mtu = mtu.min(mtus.ipv4).saturating_add(DIFFERENCE);
    mtu.min(mtus.ipv6).max(MTU_MIN)
}

/// RFC 7915 section 4.2, figure 3.
#[inline(always)]
fn pointer_of_v6(pointer: u8) -> Option<u8> {
    match pointer {
        0 | 1 => Some(pointer),
        2 | 3 => Some(4),
        8 => Some(7),
        9 => Some(6),
        12..=15 => Some(8),
        16..=19 => Some(24),
        _ => None,
    }
}

/// RFC 7915 section 5.2, figure 6.
#[inline(always)]
fn pointer_of_v4(pointer: u32) -> Option<u8> {
    match pointer {
        0 | 1 => Some(pointer as u8),
        4 | 5 => Some(2),
        6 => Some(9),
        7 => Some(8),
        8..=23 => Some(12),
        24..=39 => Some(16),
        _ => None,
    }
}
