//! NAT64 of the gateway that tests run ([`super::site6`]).

use core::net::{Ipv4Addr, Ipv6Addr};

use super::MemoryTables;
use super::site6::{self, Carriage, INTERNAL, Prefix, entry};
use crate::abi::{Bucket, Nat64, SitePrefix};

/// The well-known prefix (RFC 6052 section 2.1).
pub const WELL_KNOWN: Prefix = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// The address that stands for an IPv4 one in the well-known prefix.
pub const fn embedded(address: Ipv4Addr) -> Ipv6Addr {
    let [a, b, c, d] = address.octets();
    let (upper, lower) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, upper, lower)
}

/// [`site6::gateway`] whose LAN has addresses of [`INTERNAL`] and reaches IPv4 by this prefix.
///
/// # Panics
/// Where IPv4 addresses cannot stand in the prefix.
pub fn gateway(
    bucket: impl Fn(u32) -> Bucket + 'static,
    carriage: [Carriage; 2],
    (prefix, length): Prefix,
) -> MemoryTables {
    let mut tables = site6::gateway(bucket, carriage);
    translate(&mut tables, (prefix, length));
    tables
}

/// Has a gateway, whose LAN has addresses of [`INTERNAL`] beside those of IPv4, reach IPv4 by this prefix.
///
/// # Panics
/// Where IPv4 addresses cannot stand in the prefix.
pub fn translate(tables: &mut MemoryTables, (prefix, length): Prefix) {
    let nat64 = Nat64::new(entry(prefix), length);
    assert!(nat64.is_some(), "no IPv4 address stands in {prefix}/{length}");
    tables.ipv6.nat64 = nat64.unwrap_or_default();
    if let Some(settings) = &mut tables.settings {
        settings.ipv6 = 1;
    }
    let internal = (entry(INTERNAL.0), INTERNAL.1);
    let foreign = SitePrefix { is_foreign: 1, ..SitePrefix::default() };
    tables.ipv6.prefixes.entry(internal).or_insert(foreign);
}
