//! IPv4 addresses that stand in those of IPv6 (RFC 6052 section 2).

use pointsman_ebpf::memory::sequence6::address_of;

use crate::model6::packet::Address;

/// The prefix that they stand in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prefix {
    bits: Address,
    len: u8,
}

impl Prefix {
    pub(crate) fn new((address, len): ([u16; 8], u8)) -> Self {
        Self { bits: address_of(address).to_bits(), len }
    }

    pub(crate) fn holds(&self, address: Address) -> bool {
        address >> (128 - self.len) == self.bits >> (128 - self.len)
    }

    /// The octets follow the prefix, but for the ninth one of the address, which stays zero.
    pub(crate) fn embed(&self, address: [u8; 4]) -> Address {
        let mut octets = self.bits.to_be_bytes();
        let places = (usize::from(self.len / 8)..16).filter(|place| *place != 8);
        for (place, octet) in places.zip(address) {
            octets[place] = octet;
        }
        Address::from_be_bytes(octets)
    }

    /// Nothing where other bits are set, or the address may not stand in the prefix.
    pub(crate) fn extract(&self, address: Address) -> Option<[u8; 4]> {
        let octets = address.to_be_bytes();
        let places = (usize::from(self.len / 8)..16).filter(|place| *place != 8);
        let mut found = [0; 4];
        for (place, octet) in places.zip(&mut found) {
            *octet = octets[place];
        }
        // Section 3.1: the well-known prefix is for addresses that are everybody's.
        let is_well_known = self.bits == 0x64_ff9b << 96;
        let is_private = matches!(found, [10, ..] | [172, 16..=31, ..] | [192, 168, ..]);
        (self.embed(found) == address && !(is_well_known && is_private)).then_some(found)
    }
}
