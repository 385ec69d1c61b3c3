use std::net::IpAddr;

use netlink_packet_core::NetlinkHeader;
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::link::{
    InfoData, InfoVlan, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, VlanProtocol,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::{Address, Fact, Link, Neighbour, Rank, Tag, route};

/// What a message says that anyone here wants to know; often nothing.
pub(super) fn facts(header: NetlinkHeader, message: RouteNetlinkMessage) -> Vec<Fact> {
    match message {
        RouteNetlinkMessage::NewLink(message) => link(&message).into_iter().collect(),
        RouteNetlinkMessage::DelLink(message) => link_gone(&message).into_iter().collect(),
        RouteNetlinkMessage::NewAddress(message) => {
            address(&message).map(|address| address_fact(address, &message)).into_iter().collect()
        }
        RouteNetlinkMessage::DelAddress(message) => {
            address(&message).map(Fact::AddressGone).into_iter().collect()
        }
        RouteNetlinkMessage::NewNeighbour(message) => neighbour(&message)
            .map(|(index, address, neighbour)| Fact::Neighbour { index, address, neighbour })
            .into_iter()
            .collect(),
        RouteNetlinkMessage::DelNeighbour(message) => neighbour(&message)
            .map(|(index, address, _)| Fact::NeighbourGone { index, address })
            .into_iter()
            .collect(),
        RouteNetlinkMessage::NewRoute(message) => route::facts(header, &message),
        RouteNetlinkMessage::DelRoute(message) => route::facts_gone(&message),
        _ => Vec::new(),
    }
}

fn link(message: &LinkMessage) -> Option<Fact> {
    // A bridge tells of its ports under a family of its own, and a radio of its scans without a
    // name: neither says anything about the interface.
    if message.header.interface_family != AddressFamily::Unspec {
        return None;
    }
    let name = find(&message.attributes, |attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    })?;
    let mac = find(&message.attributes, |attribute| match attribute {
        LinkAttribute::Address(mac) => mac.as_slice().try_into().ok(),
        _ => None,
    });
    let mtu = find(&message.attributes, |attribute| match attribute {
        LinkAttribute::Mtu(mtu) => Some(*mtu),
        _ => None,
    })?;
    let flags = message.header.flags;
    let admin_up = flags.contains(LinkFlags::Up);
    let carrier = admin_up && flags.contains(LinkFlags::LowerUp);
    let index = message.header.index;
    let tag = tag(message);
    Some(Fact::Link { index, link: Link { name, mac, mtu, admin_up, carrier, tag } })
}

/// What the interface is on another one, if it is a VLAN on one.
fn tag(message: &LinkMessage) -> Option<Tag> {
    let parent = find(&message.attributes, |attribute| match attribute {
        LinkAttribute::Link(parent) => Some(*parent),
        _ => None,
    })?;
    let vlan = find(&message.attributes, |attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => find(infos, |info| match info {
            LinkInfo::Data(InfoData::Vlan(vlan)) => Some(vlan.clone()),
            _ => None,
        }),
        _ => None,
    })?;
    let id = find(&vlan, |info| match info {
        InfoVlan::Id(id) => Some(*id),
        _ => None,
    })?;
    let service = vlan.contains(&InfoVlan::Protocol(VlanProtocol::Ieee8021Ad));
    Some(Tag { parent, id, service })
}

fn link_gone(message: &LinkMessage) -> Option<Fact> {
    // Under its own family, a bridge only tells that a port has left it.
    (message.header.interface_family == AddressFamily::Unspec)
        .then_some(Fact::LinkGone { index: message.header.index })
}

fn address(message: &AddressMessage) -> Option<Address> {
    // On a point-to-point link IFA_ADDRESS is the peer's, and IFA_LOCAL one's own.
    let local = find(&message.attributes, |attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    let address = local.or_else(|| {
        find(&message.attributes, |attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    })?;
    let AddressMessage { header, .. } = message;
    Some(Address { index: header.index, address, prefix_length: header.prefix_len })
}

/// What it means that the kernel has this address.
fn address_fact(address: Address, message: &AddressMessage) -> Fact {
    let has = |flag| message.header.flags.contains(flag);
    if address.address.is_ipv4() {
        let is_secondary = has(AddressHeaderFlags::Secondary);
        let rank = if is_secondary { Rank::Secondary } else { Rank::Primary };
        return Fact::Address { address, rank };
    }
    // A tentative address may be somebody else's, and one that has failed the check is; the kernel
    // tells again when it has passed (RFC 4862 section 5.4). An optimistic one may be used
    // meanwhile (RFC 4429).
    let tentative = has(AddressHeaderFlags::Tentative) && !has(AddressHeaderFlags::Optimistic);
    if tentative || has(AddressHeaderFlags::Dadfailed) {
        return Fact::AddressGone(address);
    }
    // The flag that says "secondary" of an IPv4 address says "temporary" here (RFC 8981).
    let rank = match (has(AddressHeaderFlags::Deprecated), has(AddressHeaderFlags::Secondary)) {
        (true, _) => Rank::Deprecated,
        (false, true) => Rank::Temporary,
        (false, false) => Rank::Primary,
    };
    Fact::Address { address, rank }
}

fn neighbour(message: &NeighbourMessage) -> Option<(u32, IpAddr, Neighbour)> {
    if message.header.flags.contains(NeighbourFlags::Proxy) {
        return None;
    }
    let address = find(&message.attributes, |attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => {
            Some(IpAddr::V4(*address))
        }
        // The kernel tells that it forgets the MAC of a multicast group, but not that it has it.
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => {
            (!address.is_multicast()).then_some(IpAddr::V6(*address))
        }
        _ => None,
    })?;
    let mac = find(&message.attributes, |attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(mac) => mac.as_slice().try_into().ok(),
        _ => None,
    });
    let state = message.header.state;
    Some((message.header.ifindex, address, Neighbour { mac, state }))
}

pub(super) fn find<'a, Attribute, Value>(
    attributes: &'a [Attribute],
    wanted: impl Fn(&'a Attribute) -> Option<Value>,
) -> Option<Value> {
    attributes.iter().find_map(wanted)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use netlink_packet_route::neighbour::NeighbourState;

    use super::*;

    const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

    fn told(message: RouteNetlinkMessage) -> Vec<Fact> {
        facts(NetlinkHeader::default(), message)
    }

    fn link_message() -> LinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = 4;
        message.header.flags = LinkFlags::Up;
        message.attributes = vec![
            LinkAttribute::IfName("wan0".into()),
            LinkAttribute::Mtu(1500),
            LinkAttribute::Address(vec![2, 0, 0, 0, 0, 1]),
        ];
        message
    }

    #[test]
    fn carrier_is_that_of_the_lower_layer() {
        let mut message = link_message();
        let carrier = |message: &LinkMessage| match link(message) {
            Some(Fact::Link { link, .. }) => link.carrier,
            other => panic!("{other:?}"),
        };
        assert!(!carrier(&message));
        message.header.flags |= LinkFlags::LowerUp;
        assert!(carrier(&message));
    }

    #[test]
    fn an_address_that_is_no_mac_is_none() {
        let mut message = link_message();
        message.attributes[2] = LinkAttribute::Address(vec![10, 0, 0, 1]);
        assert!(matches!(link(&message), Some(Fact::Link { link: Link { mac: None, .. }, .. })));
    }

    #[test]
    fn a_port_that_leaves_its_bridge_is_not_gone() {
        let mut message = link_message();
        message.header.interface_family = AddressFamily::Bridge;
        assert_eq!(told(RouteNetlinkMessage::NewLink(message.clone())), []);
        assert_eq!(told(RouteNetlinkMessage::DelLink(message)), []);
    }

    #[test]
    fn a_message_without_a_name_is_none_of_an_interface() {
        let mut message = link_message();
        message.attributes.remove(0);
        assert_eq!(told(RouteNetlinkMessage::NewLink(message)), []);
    }

    #[test]
    fn an_ipv6_address_is_there_when_it_can_be_used() {
        let address = Address { index: 4, address: ROUTER.into(), prefix_length: 64 };
        let (there, gone) = (|rank| Fact::Address { address, rank }, Fact::AddressGone(address));
        let mut message = AddressMessage::default();
        message.header.family = AddressFamily::Inet6;
        message.header.index = 4;
        message.header.prefix_len = 64;
        message.attributes = vec![AddressAttribute::Address(ROUTER.into())];
        for (flags, fact) in [
            (AddressHeaderFlags::Permanent, there(Rank::Primary)),
            (AddressHeaderFlags::Secondary, there(Rank::Temporary)),
            (AddressHeaderFlags::Deprecated, there(Rank::Deprecated)),
            (
                AddressHeaderFlags::Secondary | AddressHeaderFlags::Deprecated,
                there(Rank::Deprecated),
            ),
            (AddressHeaderFlags::Tentative, gone.clone()),
            (AddressHeaderFlags::Tentative | AddressHeaderFlags::Optimistic, there(Rank::Primary)),
            (AddressHeaderFlags::Tentative | AddressHeaderFlags::Dadfailed, gone),
        ] {
            message.header.flags = flags;
            assert_eq!(told(RouteNetlinkMessage::NewAddress(message.clone())), [fact]);
        }
    }

    #[test]
    fn an_ipv4_address_beside_another_of_its_prefix_is_secondary() {
        let address = Address { index: 4, address: [203, 0, 113, 2].into(), prefix_length: 24 };
        let mut message = AddressMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.index = 4;
        message.header.prefix_len = 24;
        message.attributes = vec![AddressAttribute::Local(address.address)];
        for (flags, rank) in [
            (AddressHeaderFlags::Permanent, Rank::Primary),
            (AddressHeaderFlags::Secondary, Rank::Secondary),
        ] {
            message.header.flags = flags;
            let fact = Fact::Address { address, rank };
            assert_eq!(told(RouteNetlinkMessage::NewAddress(message.clone())), [fact]);
        }
    }

    #[test]
    fn a_multicast_group_is_no_neighbour() {
        let mut message = NeighbourMessage::default();
        message.header.ifindex = 4;
        message.header.state = NeighbourState::Stale;
        let mut after = |address: Ipv6Addr| {
            let address = NeighbourAddress::Inet6(address);
            message.attributes = vec![NeighbourAttribute::Destination(address)];
            told(RouteNetlinkMessage::NewNeighbour(message.clone()))
        };
        assert_eq!(after(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1)), []);
        let neighbour = Neighbour { mac: None, state: NeighbourState::Stale };
        let address = ROUTER.into();
        assert_eq!(after(ROUTER), [Fact::Neighbour { index: 4, address, neighbour }]);
    }
}
