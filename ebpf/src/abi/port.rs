use super::{Ipv4, Ipv4Prefix, LAN_REALM, Mac, ROUTED_REALM, Vlan, assert_layout};

/// Slots of the table of ports, a power of two. A port is in one of the [`PORT_PROBES`] slots that
/// [`PortKey::slots`] names.
pub const PORT_SLOTS: usize = 256;

/// How many slots a look-up tries.
pub const PORT_PROBES: usize = 4;

/// How many IPv4 prefixes an uplink can route as they are.
pub const ROUTED_PREFIXES: usize = 4;

/// What an interface is to the gateway, as [`Port::role`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PortRole {
    /// Hosts of the site.
    Lan = 1,
    /// A provider.
    Uplink = 2,
}

/// An interface that the program is attached to, or one VLAN of it. 64 bytes.
///
/// The kernel's own interface of a VLAN has an index of its own, by which it stands in the kernel's
/// routes. Where the LAN is such a VLAN, it has a second port, of that index and without tags, that is
/// the same otherwise: no frame comes in by it, but routes of IPv6 lead to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Port {
    /// The kernel's index of the interface; zero in a free slot.
    pub ifindex: u32,
    /// The tags of the frames that come in.
    pub vlan: Vlan,
    /// The interface's own MAC.
    pub mac: Mac,
    /// Its index in the device map, and that of the tags that frames leave it with. Two VLANs of an
    /// interface have two.
    pub egress: u16,
    /// The largest IPv4 packet that the interface takes, in bytes.
    pub mtu: u16,
    /// The interface's own IPv4 address: the source of ICMP messages sent back by it.
    pub address: Ipv4,
    /// A [`PortRole`].
    pub role: u8,
    /// The uplink's identifier, or zero on a LAN interface.
    pub uplink: u8,
    /// How many of `routed` hold.
    pub routed_count: u8,
    /// Always zero.
    pub reserved: [u8; 5],
    /// The site's own prefixes that the uplink routes as they are. Unused ones hold the default.
    pub routed: [Ipv4Prefix; ROUTED_PREFIXES],
}

assert_layout!(Port, size 64, align 8,
    ifindex: 4, vlan: 4, mac: 8, egress: 2, mtu: 2, address: 4, role: 1, uplink: 1, routed_count: 1,
    reserved: 5, routed: 32);

impl Port {
    /// What it is looked up by.
    #[inline(always)]
    pub const fn key(&self) -> PortKey {
        PortKey::new(self.ifindex, self.vlan)
    }

    /// The realm, in a [`FlowKey`](super::FlowKey), of a packet that comes in for this address.
    #[inline(always)]
    pub fn realm(&self, destination: Ipv4) -> u8 {
        if self.role == PortRole::Lan as u8 {
            LAN_REALM
        } else if self.routed_count != 0 && self.routes(destination) {
            ROUTED_REALM
        } else {
            self.uplink + 1
        }
    }

    /// Whether the address is in a prefix that the uplink routes as it is.
    #[inline(always)]
    fn routes(&self, address: Ipv4) -> bool {
        // Without a branch for each: the path goes on alike, and the verifier walks it once.
        let misses = |prefix: &Ipv4Prefix| {
            let other = u64::from(address.to_host() & prefix.mask ^ prefix.network);
            other.wrapping_neg() >> 63
        };
        self.routed.iter().fold(1, |missed, prefix| missed & misses(prefix)) == 0
    }
}

/// What a port is looked up by: the kernel's index of the interface, and the tags. 8 bytes, compared as
/// one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct PortKey(u64);

/// Spreads the VLANs of one interface over the whole table, whatever steps their identifiers go in, and
/// whichever of two tags they differ in: as the factors that are near the golden ratio do, but below 2^31, as
/// far as an instruction has room for.
const SPREAD: u64 = 0x1e37_79b1;

impl PortKey {
    /// Of the frames that come in by this interface with these tags.
    #[inline(always)]
    pub const fn new(ifindex: u32, vlan: Vlan) -> Self {
        Self(ifindex as u64 | (vlan.to_bits() as u64) << 32)
    }

    /// Of those without tags.
    #[inline(always)]
    pub const fn untagged(ifindex: u32) -> Self {
        Self::new(ifindex, Vlan::NONE)
    }

    /// The slots that the port may be in, in the order that a look-up tries them. They are the same
    /// whoever asks, so a port is put into the first that is free.
    #[inline(always)]
    pub fn slots(self) -> impl Iterator<Item = usize> {
        // Both factors are below 2^32.
        let first = (self.0 as u32 as u64 + (((self.0 >> 32) * SPREAD) >> 24)) as usize;
        (0..PORT_PROBES).map(move |probe| (first + probe) & (PORT_SLOTS - 1))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::vec::Vec;

    use super::*;

    #[test]
    fn a_port_without_tags_is_at_its_index() {
        let slots = |ifindex| PortKey::untagged(ifindex).slots().collect::<Vec<_>>();
        assert_eq!(slots(7), [7, 8, 9, 10]);
        assert_eq!(slots(254 + 256), [254, 255, 0, 1]);
    }

    /// What an access node has: a VLAN a subscriber, one after the other, within one of the node's.
    #[test]
    fn neighbouring_vlans_find_room() {
        let node = Vlan::service(100).unwrap();
        let ids = || (2000..2128).map(|id| Vlan::customer(id).unwrap());
        for vlans in [ids().collect::<Vec<_>>(), ids().map(|id| id.within(node).unwrap()).collect()]
        {
            find_room(vlans.into_iter().map(|vlan| PortKey::new(3, vlan)));
        }
    }

    fn find_room(keys: impl Iterator<Item = PortKey>) {
        let mut taken = BTreeMap::new();
        for key in keys {
            let free = key.slots().find(|slot| !taken.contains_key(slot));
            taken.insert(free.unwrap_or_else(|| panic!("no slot is free for {key:x?}")), key);
        }
    }

    #[test]
    fn the_same_vlans_of_several_interfaces_find_room() {
        let pairs = (2..5).flat_map(|ifindex| (10..60).map(move |id| (ifindex, id)));
        find_room(pairs.map(|(ifindex, id)| PortKey::new(ifindex, Vlan::customer(id).unwrap())));
    }

    #[test]
    fn vlans_in_steps_find_room() {
        for step in [8, 10, 16, 32, 50, 64, 100, 128, 256] {
            let ids = (step..4095).step_by(usize::from(step)).take(64);
            find_room(ids.map(|id| PortKey::new(3, Vlan::customer(id).unwrap())));
        }
    }

    #[test]
    fn vlans_within_several_others_find_room() {
        for (outers, inners) in [(8, 8), (4, 16), (16, 4), (64, 1), (2, 32)] {
            let outer = (0..outers).map(|number| Vlan::service(100 + 10 * number).unwrap());
            find_room(outer.flat_map(|outer| {
                let inner = (0..inners).map(|number| Vlan::customer(10 + 10 * number).unwrap());
                inner.map(move |inner| PortKey::new(3, inner.within(outer).unwrap()))
            }));
        }
    }
}
