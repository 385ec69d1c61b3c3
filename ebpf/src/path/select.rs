//! 4. Which uplink a new flow takes.

use super::Tables;
use crate::abi::{BUCKETS_PER_GROUP, FlowKey, Group, Ipv4, Ipv6, Settings, Sticky};

/// The uplink that the group prefers for the flow of `key` among those of `uplinks` that are alive.
#[inline(always)]
pub(super) fn uplink<T: Tables>(
    tables: &T,
    settings: &Settings,
    group: u8,
    key: &FlowKey,
    uplinks: u64,
) -> Option<u8> {
    let record = tables.group(group)?;
    let hash = hash(settings.hash_key, record.sticky, key);
    choose(tables, group, record, hash, uplinks)
}

/// As [`uplink`], for a flow of IPv6 between these addresses.
#[inline(always)]
pub(super) fn uplink6<T: Tables>(
    tables: &T,
    settings: &Settings,
    group: u8,
    (inside, outside): (Ipv6, Ipv6),
    key: &FlowKey,
    uplinks: u64,
) -> Option<u8> {
    let record = tables.group(group)?;
    let [a, b, c, d] = [inside.upper, inside.lower, outside.upper, outside.lower];
    let hash = if record.sticky == Sticky::Source as u8 {
        sip13(settings.hash_key, [a, b])
    } else if record.sticky == Sticky::SourceDestination as u8 {
        sip13(settings.hash_key, [a, b, c, d])
    } else {
        let [_, transport] = key.words();
        sip13(settings.hash_key, [a, b, c, d, transport])
    };
    choose(tables, group, record, hash, uplinks)
}

/// The uplink of the bucket that the hash falls on, among those of `uplinks` that are alive.
#[inline(always)]
fn choose<T: Tables>(tables: &T, group: u8, record: &Group, hash: u64, uplinks: u64) -> Option<u8> {
    let index = hash as u32 & (BUCKETS_PER_GROUP as u32 - 1);
    let bucket = tables.bucket(u32::from(group) * BUCKETS_PER_GROUP as u32 + index)?;
    let usable = record.usable & tables.alive() & uplinks;
    bucket.choose(record.preferred, usable)
}

/// What of the key the group's flows keep together by, hashed.
#[inline(always)]
fn hash(key: [u64; 2], sticky: u8, flow: &FlowKey) -> u64 {
    let word = |high: [u8; 4], low: [u8; 4]| {
        u64::from(u32::from_ne_bytes(high)) << 32 | u64::from(u32::from_ne_bytes(low))
    };
    let source = flow.source().octets();
    let destination = flow.destination().octets();
    if sticky == Sticky::Source as u8 {
        sip13(key, [word(source, [0; 4]), 0])
    } else if sticky == Sticky::SourceDestination as u8 {
        sip13(key, [word(source, destination), 0])
    } else {
        let [a, b] = flow.source_port().octets();
        let [c, d] = flow.destination_port().octets();
        sip13(key, [word(source, destination), word([a, b, c, d], [flow.protocol(), 0, 0, 0])])
    }
}

/// A LAN host's address, hashed.
#[inline(always)]
pub(super) fn hash_host(key: [u64; 2], address: Ipv4) -> u32 {
    sip13(key, [u64::from(u32::from_ne_bytes(address.octets())), 1]) as u32
}

/// SipHash-1-3 (Aumasson and Bernstein, 2012) of some words: keyed, so that nobody outside can aim
/// flows at a bucket.
#[inline(always)]
fn sip13<const N: usize>(key: [u64; 2], words: [u64; N]) -> u64 {
    let mut v = [
        key[0] ^ 0x736f_6d65_7073_6575,
        key[1] ^ 0x646f_7261_6e64_6f6d,
        key[0] ^ 0x6c79_6765_6e65_7261,
        key[1] ^ 0x7465_6462_7974_6573,
    ];
    for word in words {
        compress(&mut v, word);
    }
    // The last word states the length in bytes, as for any message.
    compress(&mut v, (size_of_val(&words) as u64) << 56);
    v[2] ^= 0xff;
    for _ in 0..3 {
        round(&mut v);
    }
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

#[inline(always)]
fn compress(v: &mut [u64; 4], word: u64) {
    v[3] ^= word;
    round(v);
    v[0] ^= word;
}

#[inline(always)]
fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[2] = v[2].rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sip13_is_siphash_1_3() {
        // The key 00 01 .. 0f over the message 00 01 .. 0f, by another implementation, which as
        // SipHash-2-4 gives the test vector of the paper's appendix A.
        let word = |first: u8| u64::from_le_bytes(core::array::from_fn(|i| first + i as u8));
        let key = [word(0), word(8)];
        assert_eq!(sip13(key, [word(0), word(8)]), SIP13_OF_16_BYTES);
    }

    const SIP13_OF_16_BYTES: u64 = 0xcc4f_dd1a_7d90_8b66;
}
