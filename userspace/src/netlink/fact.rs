use std::net::IpAddr;

use ipnet::Ipv4Net;

pub use netlink_packet_route::neighbour::NeighbourState;

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Its MAC, where it has one of six octets.
    pub mac: Option<[u8; 6]>,
    /// The largest IP packet that it takes, in bytes.
    pub mtu: u32,
    /// Whether the administrator has set it up.
    pub admin_up: bool,
    /// Whether it is set up and its lower layer has carrier (`LOWER_UP`).
    pub carrier: bool,
    /// Of a VLAN on another interface, which one.
    pub tag: Option<Tag>,
}

/// What a VLAN interface puts on another interface's frames, and takes off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag {
    /// The kernel's index of the other interface.
    pub parent: u32,
    /// The VLAN's identifier.
    pub id: u16,
    /// Whether it is a service tag (IEEE 802.1ad), or a customer tag (IEEE 802.1Q).
    pub service: bool,
}

/// An address of an interface. The kernel tells addresses apart by all three fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// The kernel's index of the interface.
    pub index: u32,
    /// The interface's own address, not that of a peer.
    pub address: IpAddr,
    /// The length of the prefix that is on the link.
    pub prefix_length: u8,
}

/// Which of an interface's addresses are to be preferred: the first of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// None of the others.
    Primary,
    /// Of IPv6: another one takes its place before long (RFC 8981).
    Temporary,
    /// Of IPv4: it is one more of a prefix that the interface has an address of already.
    Secondary,
    /// Of IPv6: it is not to be used for what is new (RFC 4862 section 5.5.4).
    Deprecated,
}

impl Rank {
    /// All, the preferred ones first.
    pub(super) const ALL: [Self; 4] =
        [Self::Primary, Self::Temporary, Self::Secondary, Self::Deprecated];
}

/// What the kernel knows of a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Its MAC, where known.
    pub mac: Option<[u8; 6]>,
    /// How far the MAC can be trusted.
    pub state: NeighbourState,
}

/// The version of IP that a route is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// One next hop of a default route of the main table. A route of several is several of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DefaultRoute {
    /// The packets that it is for.
    pub family: Family,
    /// The kernel prefers the route with the lowest.
    pub metric: u32,
    /// The kernel's index of the interface that it leaves by.
    pub index: u32,
    /// The next hop; `None` where the destination itself is on the link.
    pub gateway: Option<IpAddr>,
}

/// One next hop of an IPv4 route of the main table to a prefix. A route of several is several of
/// these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// Where it leads to.
    pub prefix: Ipv4Net,
    /// The kernel prefers the route with the lowest.
    pub metric: u32,
    /// The kernel's index of the interface that it leaves by.
    pub index: u32,
    /// The next hop; `None` where the destination itself is on the link, or the next hop has an
    /// address of IPv6.
    pub gateway: Option<IpAddr>,
}

/// One thing that has come to hold, or has ceased to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// An interface is there, or has changed.
    Link {
        /// The kernel's index of the interface.
        index: u32,
        /// The interface.
        link: Link,
    },
    /// An interface is gone.
    LinkGone {
        /// The kernel's index of what was the interface.
        index: u32,
    },
    /// An address is there, or has changed.
    Address {
        /// The address.
        address: Address,
        /// Whether others are to be preferred.
        rank: Rank,
    },
    /// An address is gone, or cannot be used any more.
    AddressGone(Address),
    /// A neighbour is there, or has changed.
    Neighbour {
        /// The kernel's index of the interface.
        index: u32,
        /// The neighbour's address.
        address: IpAddr,
        /// The neighbour.
        neighbour: Neighbour,
    },
    /// The kernel has forgotten a neighbour.
    NeighbourGone {
        /// The kernel's index of the interface.
        index: u32,
        /// The neighbour's address.
        address: IpAddr,
    },
    /// A default route is there.
    DefaultRoute(DefaultRoute),
    /// A default route is gone.
    DefaultRouteGone(DefaultRoute),
    /// The default route with this metric is about to be replaced, with all its next hops.
    DefaultRouteReplaced {
        /// The packets that it is for.
        family: Family,
        /// The metric.
        metric: u32,
    },
    /// A route to a prefix is there, by an interface whose routes are followed.
    Route(Route),
    /// A route to a prefix is gone.
    RouteGone(Route),
    /// The route to this prefix with this metric is about to be replaced, with all its next hops.
    RouteReplaced {
        /// The prefix.
        prefix: Ipv4Net,
        /// The metric.
        metric: u32,
    },
}
