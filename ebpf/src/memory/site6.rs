//! IPv6 of the gateway that tests run ([`super::site`]): its prefixes, addresses and neighbours.

use core::net::Ipv6Addr;

use super::MemoryTables;
use super::site::{self, A, B, MTU, PROVIDERS, Provider, lan};
use crate::abi::{
    AddressOwner, Bucket, Inbound, Ipv6, Ipv6Mode, LanSide, Mac, MacPair, PrefixTranslation,
    SitePrefix, Uplink6,
};

/// A prefix: an address, and how many of its bits count.
pub type Prefix = (Ipv6Addr, u8);

/// The LAN's own prefix, which NPTv6 translates.
pub const INTERNAL: Prefix = (address([0xfd00, 1, 0, 0, 0, 0, 0, 0]), 48);

/// The site's own prefix that is routed to it by any provider.
pub const ROUTED: Prefix = (address([0x2001, 0xdb8, 0x100, 0, 0, 0, 0, 0]), 48);

/// The gateway's address in the LAN.
pub const GATEWAY: Ipv6Addr = address([0xfd00, 1, 0, 1, 0, 0, 0, 1]);

/// A server beyond both providers.
pub const SERVER: Ipv6Addr = address([0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 0x53]);

/// The part of a host's address behind the prefix, of the LAN's first host: a subnet and an
/// identifier.
pub const HOST: [u16; 5] = [1, 0, 0, 0, 2];

/// The same of the second host.
pub const OTHER: [u16; 5] = [1, 0, 0, 0, 3];

/// The same of a host whose MAC nobody knows.
pub const SILENT: [u16; 5] = [1, 0, 0, 0, 9];

/// How an uplink carries IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carriage {
    /// Not at all.
    None,
    /// With [`INTERNAL`] translated to a prefix of the provider's of so many bits: [`provided`].
    Nptv6(u8),
    /// [`ROUTED`] as it is.
    Routed,
    /// The provider's own prefix as it is: [`provided`], of 48 bits.
    Source,
    /// With the hosts of [`INTERNAL`] behind one address: [`own`].
    Nat66,
}

const fn address(words: [u16; 8]) -> Ipv6Addr {
    let [a, b, c, d, e, f, g, h] = words;
    Ipv6Addr::new(a, b, c, d, e, f, g, h)
}

/// The address of a prefix of 48 bits with these words behind it.
pub const fn within((prefix, _): Prefix, [d, e, f, g, h]: [u16; 5]) -> Ipv6Addr {
    let [a, b, c, ..] = prefix.segments();
    Ipv6Addr::new(a, b, c, d, e, f, g, h)
}

/// A provider's prefix of so many bits. Of more than 48, the upper half of the subnet's word is all
/// ones.
pub const fn provided(provider: &Provider, len: u8) -> Prefix {
    let word = if provider.id == A.id { 0xa } else { 0xb };
    let subnet = if len > 48 { 0xff00 } else { 0 };
    (address([0x2001, 0xdb8, word, subnet, 0, 0, 0, 0]), len)
}

/// The gateway's own address towards a provider, which is of no prefix of the site's.
pub const fn own(provider: &Provider) -> Ipv6Addr {
    let word = if provider.id == A.id { 0xfa } else { 0xfb };
    address([0x2001, 0xdb8, word, 0, 0, 0, 0, 2])
}

/// The address as the tables have it.
pub const fn entry(address: Ipv6Addr) -> Ipv6 {
    Ipv6::new(address.octets())
}

/// How a LAN host is reached by this MAC.
pub fn lan_side(mac: [u8; 6], mtu: u16) -> LanSide {
    LanSide::new(MacPair::new(Mac::new(mac), Mac::new(lan::MAC)), lan::EGRESS, mtu)
}

/// [`site::gateway`] with IPv6: A, and B, carry it like this, and nothing comes in unasked.
pub fn gateway(bucket: impl Fn(u32) -> Bucket + 'static, carriage: [Carriage; 2]) -> MemoryTables {
    let mut tables = site::gateway(bucket);
    if let Some(settings) = &mut tables.settings {
        settings.ipv6 = u8::from(carriage != [Carriage::None; 2]);
    }
    add_local(&mut tables, GATEWAY, lan::EGRESS);
    for (provider, carriage) in PROVIDERS.iter().zip(carriage) {
        add_local(&mut tables, own(provider), provider.egress);
        add_uplink(&mut tables, provider, carriage, 1);
    }
    for prefix in [INTERNAL, ROUTED, provided(&A, 48), provided(&B, 48)] {
        for (host, mac) in
            [(HOST, Some(lan::HOST_MAC)), (OTHER, Some(lan::OTHER_MAC)), (SILENT, None)]
        {
            let side = mac.map(|mac| lan_side(mac, MTU));
            tables.ipv6.neighbours.insert(entry(within(prefix, host)), side);
        }
    }
    tables
}

pub(super) fn add_local(tables: &mut MemoryTables, address: Ipv6Addr, egress: u16) {
    tables.local.insert(entry(address), AddressOwner::KERNEL);
    tables.ipv6.addresses.insert(egress, entry(address));
}

/// Has an uplink, which carries no IPv6 so far, carry it like this.
fn add_uplink(tables: &mut MemoryTables, provider: &Provider, carriage: Carriage, generation: u32) {
    let (mode, external) = match carriage {
        Carriage::None => return,
        Carriage::Nptv6(len) => (Ipv6Mode::Nptv6, Some(provided(provider, len))),
        Carriage::Routed => (Ipv6Mode::Routed, None),
        Carriage::Source => (Ipv6Mode::Source, None),
        Carriage::Nat66 => (Ipv6Mode::Nat66, None),
    };
    let public = (mode == Ipv6Mode::Nat66).then(|| entry(own(provider)));
    let translation =
        external.map(|external| PrefixTranslation::new(bits(INTERNAL), bits(external)));
    if let Some(uplink) = tables.ipv6.uplinks.get_mut(usize::from(provider.id)) {
        *uplink = Uplink6 {
            generation,
            egress: provider.egress,
            mtu: MTU,
            macs: MacPair::new(Mac::new(provider.gateway_mac), Mac::new(provider.mac)),
            mode: mode as u8,
            inbound: Inbound::Answers as u8,
            reserved: [0; 10],
            translation: translation.unwrap_or_default(),
            address: public.unwrap_or_default(),
        };
    }
    let (prefix, is_bound) = match carriage {
        Carriage::Nptv6(_) | Carriage::Nat66 => (INTERNAL, 0),
        Carriage::Source => (provided(provider, 48), 1),
        _ => (ROUTED, 0),
    };
    let known = tables.ipv6.prefixes.entry(bits(prefix)).or_default();
    known.uplinks |= provider.bit();
    known.is_bound = is_bound;
    if let Some(external) = external {
        let translated = SitePrefix { translated_by: provider.id + 1, ..SitePrefix::default() };
        tables.ipv6.prefixes.insert(bits(external), translated);
    }
}

fn bits((prefix, len): Prefix) -> (Ipv6, u8) {
    (entry(prefix), len)
}
