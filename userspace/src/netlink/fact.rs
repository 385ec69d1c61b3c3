use std::net::{IpAddr, Ipv4Addr};

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

/// What the kernel knows of an IPv4 neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Its MAC, where known.
    pub mac: Option<[u8; 6]>,
    /// How far the MAC can be trusted.
    pub state: NeighbourState,
}

/// One next hop of an IPv4 default route of the main table. A route of several is several of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DefaultRoute {
    /// The kernel prefers the route with the lowest.
    pub metric: u32,
    /// The kernel's index of the interface that it leaves by.
    pub index: u32,
    /// The next hop; `None` where the destination itself is on the link.
    pub gateway: Option<Ipv4Addr>,
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
        /// Whether it is one more of a prefix that the interface has an address of already.
        secondary: bool,
    },
    /// An address is gone.
    AddressGone(Address),
    /// A neighbour is there, or has changed.
    Neighbour {
        /// The kernel's index of the interface.
        index: u32,
        /// The neighbour's address.
        address: Ipv4Addr,
        /// The neighbour.
        neighbour: Neighbour,
    },
    /// The kernel has forgotten a neighbour.
    NeighbourGone {
        /// The kernel's index of the interface.
        index: u32,
        /// The neighbour's address.
        address: Ipv4Addr,
    },
    /// A default route is there.
    DefaultRoute(DefaultRoute),
    /// A default route is gone.
    DefaultRouteGone(DefaultRoute),
    /// The default route with this metric is about to be replaced.
    DefaultRouteReplaced {
        /// The metric.
        metric: u32,
    },
}
