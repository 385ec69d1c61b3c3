//! What generated packets hold.

use super::Address;

/// Servers beyond both providers.
pub(super) const SERVERS: [Address; 3] = [
    [0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 0x53],
    [0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 0x54],
    [0x2606, 1, 2, 3, 4, 5, 6, 7],
];
/// Their ports.
pub(super) const SERVER_PORTS: [u16; 3] = [53, 80, 4001];
/// The ports of LAN hosts.
pub(super) const HOST_PORTS: [u16; 3] = [4000, 4001, 4002];

/// Addresses that are treated apart.
pub(super) const ODD_ADDRESSES: [Address; 11] = [
    [0xfd00, 1, 0, 1, 0, 0, 0, 1],
    [0x2001, 0xdb8, 0xfa, 0, 0, 0, 0, 2],
    [0xfe80, 0, 0, 0, 0, 0, 0, 2],
    [0xfebf, 0, 0, 0, 0, 0, 0, 2],
    [0xff02, 0, 0, 0, 0, 0, 0, 1],
    [0; 8],
    [0, 0, 0, 0, 0, 0, 0, 1],
    [0, 0, 0, 0, 0, 0xffff, 0xcb00, 0x7102],
    [0xfd00, 2, 0, 1, 0, 0, 0, 2],
    [0x2001, 0xdb8, 0xa, 1, 0, 0, 0, 2],
    [0xfd00, 1, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff],
];

/// What may stand behind a prefix of 48 bits, besides hosts. With longer ones, the identifiers of
/// 0x2FC2 and 0x2FC3 would become zero.
pub(super) const ODD_SUFFIXES: [[u16; 5]; 8] = [
    [0xffff, 0, 0, 0, 2],
    [0x30c1, 0, 0, 0, 2],
    [0, 0xffff, 0, 0, 2],
    [1, 0xffff, 0xffff, 0xffff, 0xffff],
    [0, 0x2fc2, 0, 0, 0],
    [0, 0x2fc3, 0, 0, 0],
    [0x17, 0, 0, 0, 0],
    [0x100, 0, 0, 0, 3],
];

/// A number for hosts with this suffix: each has another.
pub(super) fn number_of(suffix: [u16; 5]) -> u16 {
    let odd = ODD_SUFFIXES.iter().position(|odd| *odd == suffix);
    odd.map_or_else(|| suffix[0] * 10 + suffix[4], |place| 20 + place as u16)
}

/// TCP options: segment sizes alone, behind others, at odd places, cut short, and malformed.
pub(super) const TCP_OPTIONS: [&[u8]; 8] = [
    &[],
    &[2, 4, 5, 180],
    &[1, 2, 4, 0xff, 0xff, 0, 0, 0],
    &[3, 3, 7, 2, 4, 5, 180, 0],
    &[0, 0, 0, 0, 2, 4, 5, 180],
    &[2, 3, 5, 180],
    &[1, 1, 2, 4],
    &[8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 4, 5, 200, 1],
];

/// Extension headers, of each the type and the length: some that are walked through, and some that
/// are too many or too long.
pub(super) const EXTENSIONS: [&[u8]; 12] = [
    &[0, 0],
    &[60, 1, 43, 0],
    &[51, 4],
    &[44, 0],
    &[0, 0, 44, 0, 60, 0],
    &[60, 0, 60, 0, 60, 0, 60, 0, 60, 0, 60, 0, 60, 0, 60, 0],
    &[60, 0, 60, 0, 60, 0, 60, 0, 60, 0, 60, 0, 60, 0, 60, 0, 60, 0],
    &[60, 0, 60, 0, 60, 0, 60, 0, 60, 0, 60, 0, 60, 0, 44, 0, 60, 0],
    &[60, 24],
    &[60, 25],
    &[60, 11, 43, 13],
    &[60, 24, 44, 0],
];
