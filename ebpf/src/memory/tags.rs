//! VLAN tags of frames.

use std::vec::Vec;

use crate::abi::Vlan;

/// A VLAN tag: its type, and its priority and VLAN.
pub type Tag = (u16, u16);

/// The type of a customer tag (IEEE 802.1Q).
pub const CUSTOMER_TAG: u16 = 0x8100;

/// The type of a service tag (IEEE 802.1ad).
pub const SERVICE_TAG: u16 = 0x88a8;

/// Where tags stand in a frame: behind the MACs.
pub(super) const TAGS: usize = 12;

/// The frame with these tags, the outer one first. It has an Ethernet header's MACs.
pub fn tagged(frame: &[u8], tags: &[Tag]) -> Vec<u8> {
    let mut tagged = frame.to_vec();
    tagged.splice(TAGS..TAGS, octets(tags));
    tagged
}

pub(super) fn octets(tags: &[Tag]) -> impl Iterator<Item = u8> {
    tags.iter().flat_map(|(kind, tag)| [*kind, *tag]).flat_map(u16::to_be_bytes)
}

/// What the tables have for frames with these tags. Nothing where they name no VLAN.
pub fn vlan_of(tags: &[Tag]) -> Option<Vlan> {
    let one = |(kind, tag): Tag| match kind {
        SERVICE_TAG => Vlan::service(tag & 0xfff),
        _ => Vlan::customer(tag & 0xfff),
    };
    match *tags {
        [] => Some(Vlan::NONE),
        [only] => one(only),
        [outer, inner] => one(inner)?.within(one(outer)?),
        _ => None,
    }
}
