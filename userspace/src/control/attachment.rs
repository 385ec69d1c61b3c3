use pointsman_ebpf::abi::Vlan;

use crate::netlink::{Link, Snapshot, Tag};

/// How deep VLANs are within each other at most.
const DEPTH: usize = 2;

/// Where frames come in, and which interface of the kernel they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attachment<'f> {
    /// The interface that the program is attached to.
    pub(crate) below: (u32, &'f Link),
    /// The tags of the frames there.
    pub(crate) vlan: Vlan,
    /// The kernel's own interface of those frames, which has the addresses: the same, or a VLAN on it.
    /// None where the kernel has none.
    pub(crate) own: Option<(u32, &'f Link)>,
}

impl<'f> Attachment<'f> {
    /// Of the interface of this name, and of `vlan` on it.
    pub(crate) fn find(facts: &'f Snapshot, interface: &str, vlan: Vlan) -> Option<Self> {
        let (index, link) = facts.link_named(interface)?;
        let (below, outer) = below(facts, index)?;
        let vlan = match (outer, vlan) {
            (outer, Vlan::NONE) => outer,
            (Vlan::NONE, inner) => inner,
            (outer, inner) => inner.within(outer)?,
        };
        let own = if vlan == outer { Some((index, link)) } else { of(facts, below, vlan) };
        Some(Self { below: (below, facts.links.get(&below)?), vlan, own })
    }

    /// Whether frames come through: of a VLAN, whether they do on both interfaces.
    pub(super) fn is(&self, does: impl Fn(&Link) -> bool) -> bool {
        does(self.below.1) && self.own.is_none_or(|(_, link)| does(link))
    }

    /// The MAC of the frames.
    pub(super) fn mac(&self) -> Option<[u8; 6]> {
        self.own.map_or(self.below.1, |(_, link)| link).mac
    }

    /// The largest packet that they carry, in bytes.
    pub(super) fn mtu(&self) -> u32 {
        self.own.map_or(self.below.1, |(_, link)| link).mtu
    }
}

/// Whether frames with tags come in by this interface: of a VLAN that the kernel has there.
pub(crate) fn is_tagged(facts: &Snapshot, interface: u32) -> bool {
    facts.links.values().any(|link| link.tag.is_some_and(|tag| tag.parent == interface))
}

/// The interface that this one's frames come in by in the end, and the tags that they have there.
fn below(facts: &Snapshot, index: u32) -> Option<(u32, Vlan)> {
    let (mut index, mut vlan) = (index, Vlan::NONE);
    for _ in 0..=DEPTH {
        let Some(Tag { parent, id, service }) = facts.links.get(&index)?.tag else {
            return Some((index, vlan));
        };
        let tag = if service { Vlan::service(id) } else { Vlan::customer(id) };
        vlan = match vlan {
            Vlan::NONE => tag?,
            inner => inner.within(tag?)?,
        };
        index = parent;
    }
    None
}

/// The kernel's interface of the frames with these tags.
fn of(facts: &Snapshot, interface: u32, vlan: Vlan) -> Option<(u32, &Link)> {
    let is = |index: &u32| below(facts, *index) == Some((interface, vlan));
    facts.links.iter().find(|(index, _)| is(index)).map(|(index, link)| (*index, link))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::Fact;

    fn facts() -> Snapshot {
        let mut facts = Snapshot::default();
        let tag = |parent, id, service| Some(Tag { parent, id, service });
        for (index, name, tag) in [
            (1, "eth0", None),
            (2, "eth0.35", tag(1, 35, false)),
            (3, "carrier", tag(1, 100, true)),
            (4, "customer", tag(3, 7, false)),
            (5, "deep", tag(4, 8, false)),
        ] {
            let link = Link {
                name: name.to_owned(),
                mac: Some([2, 0, 0, 0, 0, index as u8]),
                mtu: 1500 - index,
                admin_up: true,
                carrier: true,
                tag,
            };
            facts.apply(Fact::Link { index, link });
        }
        facts
    }

    fn found(interface: &str, vlan: Vlan) -> Option<(u32, Vlan, Option<u32>)> {
        let facts = facts();
        let attachment = Attachment::find(&facts, interface, vlan)?;
        Some((attachment.below.0, attachment.vlan, attachment.own.map(|(index, _)| index)))
    }

    #[test]
    fn an_interface_without_tags_is_its_own() {
        assert_eq!(found("eth0", Vlan::NONE), Some((1, Vlan::NONE, Some(1))));
        assert_eq!(found("eth1", Vlan::NONE), None);
    }

    #[test]
    fn a_vlan_is_known_by_its_own_name_or_by_its_number() {
        let vlan = Vlan::customer(35).unwrap();
        assert_eq!(found("eth0.35", Vlan::NONE), Some((1, vlan, Some(2))));
        assert_eq!(found("eth0", vlan), Some((1, vlan, Some(2))));
    }

    #[test]
    fn so_is_one_within_another() {
        let both = Vlan::customer(7).unwrap().within(Vlan::service(100).unwrap()).unwrap();
        assert_eq!(found("customer", Vlan::NONE), Some((1, both, Some(4))));
        assert_eq!(found("carrier", Vlan::customer(7).unwrap()), Some((1, both, Some(4))));
        assert_eq!(found("eth0", both), Some((1, both, Some(4))));
        // A third is more than frames are looked through for.
        assert_eq!(found("deep", Vlan::NONE), None);
        assert_eq!(found("customer", Vlan::customer(8).unwrap()), None);
    }

    #[test]
    fn the_kernel_need_not_have_one() {
        let vlan = Vlan::customer(36).unwrap();
        assert_eq!(found("eth0", vlan), Some((1, vlan, None)));
        // A service tag is another one than a customer tag of the same number.
        let vlan = Vlan::service(35).unwrap();
        assert_eq!(found("eth0", vlan), Some((1, vlan, None)));
    }

    #[test]
    fn mac_and_mtu_are_those_of_the_kernel_s_own() {
        let facts = facts();
        let vlan = Attachment::find(&facts, "eth0.35", Vlan::NONE).unwrap();
        assert_eq!((vlan.mac(), vlan.mtu()), (Some([2, 0, 0, 0, 0, 2]), 1498));
        let without = Attachment::find(&facts, "eth0", Vlan::customer(36).unwrap()).unwrap();
        assert_eq!((without.mac(), without.mtu()), (Some([2, 0, 0, 0, 0, 1]), 1499));
    }
}
