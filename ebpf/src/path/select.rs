//! 4. Which uplink a new flow takes.

use super::Tables;
use crate::abi::{
    BUCKETS_PER_GROUP, FlowKey, Group, Host, Ipv4, Ipv6, Placement, Settings, SharedU64, Sticky,
};

/// The uplink that the group prefers for the flow of `key`, which is the host's, among those of `uplinks`
/// that are alive.
#[inline(always)]
pub(super) fn uplink<T: Tables>(
    tables: &T,
    settings: &Settings,
    group: u8,
    (key, host): (&FlowKey, &Host<SharedU64>),
    uplinks: u64,
) -> Option<u8> {
    let record = tables.group(group)?;
    let bucket = bucket_of(settings.hash_key, record.sticky, key);
    choose(tables, (group, record), bucket, uplinks, Placement(host.placement.load()))
}

/// Notes by which uplink the host's new flow leaves, `now` in ticks.
#[inline(always)]
pub(super) fn place(host: &Host<SharedU64>, uplink: u8, now: u32) {
    let placement = Placement::new(uplink, now).0;
    if host.placement.load() != placement {
        host.placement.store(placement);
    }
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
    let bucket = bucket_of6(settings.hash_key, record.sticky, (inside, outside), key);
    choose(tables, (group, record), bucket, uplinks, Placement::NONE)
}

/// The uplink of the group's bucket of this index, or the one that the host is placed on, among those of
/// `uplinks` that are alive.
#[inline(always)]
fn choose<T: Tables>(
    tables: &T,
    (group, record): (u8, &Group),
    bucket: u32,
    uplinks: u64,
    placement: Placement,
) -> Option<u8> {
    let bucket = tables.bucket(u32::from(group) * BUCKETS_PER_GROUP as u32 + bucket)?;
    record.choose(bucket, record.usable & tables.alive() & uplinks, placement)
}

/// Which of a group's buckets a flow of IPv4 from the LAN falls on, by the key of
/// [`Settings::hash_key`] and the group's [`Sticky`].
#[inline(always)]
pub fn bucket_of(hash_key: [u64; 2], sticky: u8, flow: &FlowKey) -> u32 {
    to_bucket(hash(hash_key, sticky, flow))
}

/// As [`bucket_of`], of a flow of IPv6 from the LAN host's address to the other. Of the key, ports and
/// protocol count.
#[inline(always)]
pub fn bucket_of6(
    hash_key: [u64; 2],
    sticky: u8,
    (inside, outside): (Ipv6, Ipv6),
    flow: &FlowKey,
) -> u32 {
    let [a, b, c, d] = [inside.upper, inside.lower, outside.upper, outside.lower];
    to_bucket(if sticky == Sticky::Source as u8 {
        sip13(hash_key, [a, b])
    } else if sticky == Sticky::SourceDestination as u8 {
        sip13(hash_key, [a, b, c, d])
    } else {
        let [_, transport] = flow.words();
        sip13(hash_key, [a, b, c, d, transport])
    })
}

#[inline(always)]
fn to_bucket(hash: u64) -> u32 {
    hash as u32 & (BUCKETS_PER_GROUP as u32 - 1)
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
