use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Address, DefaultRoute, Fact, Family, Link, Neighbour, NeighbourState, Rank, Route};

/// All facts that hold at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Interfaces by index.
    pub links: BTreeMap<u32, Link>,
    /// Addresses of all interfaces that can be used, and which of them are to be preferred.
    pub addresses: BTreeMap<Address, Rank>,
    /// Neighbours by interface and address.
    pub neighbours: BTreeMap<(u32, IpAddr), Neighbour>,
    /// Default routes of the main table, the preferred one of each family first.
    pub default_routes: BTreeSet<DefaultRoute>,
    /// IPv4 routes of the main table to prefixes, of the interfaces whose routes are followed.
    pub routes: BTreeSet<Route>,
}

/// Whether a neighbour's MAC is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// Not known, and not asked for.
    Unknown,
    /// Asked for, and not answered yet.
    Pending,
    /// The neighbour did not answer.
    Failed,
    /// Known from earlier, not confirmed of late: worth a call of [`super::Resolver::resolve`].
    Stale([u8; 6]),
    /// Known.
    Known([u8; 6]),
}

impl Resolution {
    /// The MAC, if one is known.
    pub fn mac(self) -> Option<[u8; 6]> {
        match self {
            Self::Stale(mac) | Self::Known(mac) => Some(mac),
            Self::Unknown | Self::Pending | Self::Failed => None,
        }
    }

    /// Whether a call of [`super::Resolver::resolve`] would make things better.
    pub fn wants_resolving(self) -> bool {
        matches!(self, Self::Unknown | Self::Failed | Self::Stale(_))
    }
}

impl Snapshot {
    /// Takes in a fact, and what follows from it that the kernel does not tell.
    pub fn apply(&mut self, fact: Fact) {
        match fact {
            Fact::Link { index, link } => {
                if !link.admin_up {
                    self.forget_ipv4_routes(index);
                }
                self.links.insert(index, link);
            }
            Fact::LinkGone { index } => {
                self.links.remove(&index);
                self.addresses.retain(|address, _| address.index != index);
                self.neighbours.retain(|(interface, _), _| *interface != index);
                self.default_routes.retain(|route| route.index != index);
            }
            Fact::Address { address, rank } => {
                self.addresses.insert(address, rank);
            }
            Fact::AddressGone(address) => {
                self.addresses.remove(&address);
                if address.address.is_ipv4() && self.ipv4_addresses(address.index).next().is_none()
                {
                    self.forget_ipv4_routes(address.index);
                }
            }
            Fact::Neighbour { index, address, neighbour } => {
                self.neighbours.insert((index, address), neighbour);
            }
            Fact::NeighbourGone { index, address } => {
                self.neighbours.remove(&(index, address));
            }
            Fact::DefaultRoute(route) => {
                self.default_routes.insert(route);
            }
            Fact::DefaultRouteGone(route) => {
                self.default_routes.remove(&route);
            }
            Fact::DefaultRouteReplaced { family, metric } => {
                self.default_routes
                    .retain(|route| (route.family, route.metric) != (family, metric));
            }
            Fact::Route(route) => {
                self.routes.insert(route);
            }
            Fact::RouteGone(route) => {
                self.routes.remove(&route);
            }
            Fact::RouteReplaced { prefix, metric } => {
                self.routes.retain(|route| (route.prefix, route.metric) != (prefix, metric));
            }
        }
    }

    /// The kernel drops the IPv4 routes of an interface that is set down or loses its last
    /// address, and sends no notification of it.
    ///
    /// Of IPv6 it tells each route that it drops. It keeps the routes of an interface without
    /// addresses, and of one that is set down the next hops that stand beside those of another
    /// interface: it marks them dead, which it does not tell, and they work again later.
    fn forget_ipv4_routes(&mut self, index: u32) {
        self.default_routes.retain(|route| (route.family, route.index) != (Family::Ipv4, index));
    }

    /// The interface with this name, and its index.
    pub fn link_named(&self, name: &str) -> Option<(u32, &Link)> {
        self.links.iter().find(|(_, link)| link.name == name).map(|(index, link)| (*index, link))
    }

    /// The IPv4 addresses of an interface with their prefix lengths, primary ones first.
    pub fn ipv4_addresses(&self, index: u32) -> impl Iterator<Item = (Ipv4Addr, u8)> {
        self.addresses_of(index).filter_map(|(address, length, _)| match address {
            IpAddr::V4(address) => Some((address, length)),
            IpAddr::V6(_) => None,
        })
    }

    /// The IPv6 addresses of an interface with their prefix lengths, link-local ones among them, and
    /// the preferred ones first.
    pub fn ipv6_addresses(&self, index: u32) -> impl Iterator<Item = (Ipv6Addr, u8)> {
        self.addresses_of(index).filter_map(|(address, length, _)| match address {
            IpAddr::V6(address) => Some((address, length)),
            IpAddr::V4(_) => None,
        })
    }

    /// The same with their ranks.
    pub fn ranked_ipv6_addresses(&self, index: u32) -> impl Iterator<Item = (Ipv6Addr, Rank)> {
        self.addresses_of(index).filter_map(|(address, _, rank)| match address {
            IpAddr::V6(address) => Some((address, rank)),
            IpAddr::V4(_) => None,
        })
    }

    /// The addresses of an interface with their prefix lengths, the preferred ones first.
    fn addresses_of(&self, index: u32) -> impl Iterator<Item = (IpAddr, u8, Rank)> {
        Rank::ALL.into_iter().flat_map(move |wanted| {
            self.addresses
                .iter()
                .filter(move |(address, rank)| address.index == index && **rank == wanted)
                .map(|(address, rank)| (address.address, address.prefix_length, *rank))
        })
    }

    /// Every address that is the host's own, of every interface.
    pub fn local_addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.keys().map(|address| address.address)
    }

    /// The next hop of the preferred IPv4 default route that leaves by this interface.
    pub fn default_gateway(&self, index: u32) -> Option<Ipv4Addr> {
        self.gateways(Family::Ipv4, index).find_map(|gateway| match gateway {
            IpAddr::V4(gateway) => Some(gateway),
            IpAddr::V6(_) => None,
        })
    }

    /// The next hop of the preferred IPv6 default route that leaves by this interface; most often
    /// the link-local address of a router that sends Router Advertisements. Of several with the
    /// same metric it is the lowest, whatever their preference (RFC 4191).
    pub fn default_gateway6(&self, index: u32) -> Option<Ipv6Addr> {
        self.gateways(Family::Ipv6, index).find_map(|gateway| match gateway {
            IpAddr::V6(gateway) => Some(gateway),
            IpAddr::V4(_) => None,
        })
    }

    fn gateways(&self, family: Family, index: u32) -> impl Iterator<Item = IpAddr> {
        let routes = self.default_routes.iter();
        routes
            .filter(move |route| (route.family, route.index) == (family, index))
            .filter_map(|route| route.gateway)
    }

    /// Whether the MAC of this neighbour is known.
    pub fn resolution(&self, index: u32, address: impl Into<IpAddr>) -> Resolution {
        let Some(neighbour) = self.neighbours.get(&(index, address.into())) else {
            return Resolution::Unknown;
        };
        match (neighbour.state, neighbour.mac) {
            (NeighbourState::Failed, _) => Resolution::Failed,
            (NeighbourState::Incomplete, _) => Resolution::Pending,
            (NeighbourState::None, _) | (_, None) => Resolution::Unknown,
            (NeighbourState::Stale, Some(mac)) => Resolution::Stale(mac),
            (_, Some(mac)) => Resolution::Known(mac),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAN: u32 = 4;
    const GATEWAY: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

    fn link(admin_up: bool) -> Fact {
        let link = Link {
            name: "wan0".into(),
            mac: Some(MAC),
            mtu: 1500,
            admin_up,
            carrier: admin_up,
            tag: None,
        };
        Fact::Link { index: WAN, link }
    }

    fn address(index: u32, ip: [u8; 4]) -> Address {
        Address { index, address: IpAddr::from(ip), prefix_length: 24 }
    }

    fn route(metric: u32, index: u32, gateway: Ipv4Addr) -> DefaultRoute {
        DefaultRoute { family: Family::Ipv4, metric, index, gateway: Some(gateway.into()) }
    }

    fn neighbour(state: NeighbourState, mac: Option<[u8; 6]>) -> Fact {
        let address = GATEWAY.into();
        Fact::Neighbour { index: WAN, address, neighbour: Neighbour { mac, state } }
    }

    fn snapshot(facts: impl IntoIterator<Item = Fact>) -> Snapshot {
        let mut snapshot = Snapshot::default();
        facts.into_iter().for_each(|fact| snapshot.apply(fact));
        snapshot
    }

    fn full() -> Snapshot {
        snapshot([
            link(true),
            Fact::Address { address: address(WAN, [203, 0, 113, 2]), rank: Rank::Primary },
            Fact::Address { address: address(WAN + 1, [198, 51, 100, 2]), rank: Rank::Primary },
            neighbour(NeighbourState::Reachable, Some(MAC)),
            Fact::DefaultRoute(route(0, WAN, GATEWAY)),
            Fact::DefaultRoute(route(0, WAN + 1, GATEWAY)),
        ])
    }

    #[test]
    fn a_link_is_found_by_its_name() {
        let snapshot = full();
        assert_eq!(
            snapshot.link_named("wan0").map(|(index, link)| (index, link.mtu)),
            Some((WAN, 1500))
        );
        assert_eq!(snapshot.link_named("wan1"), None);
    }

    #[test]
    fn a_link_takes_all_that_hangs_on_it_along() {
        let mut snapshot = full();
        snapshot.apply(Fact::LinkGone { index: WAN });
        assert!(snapshot.links.is_empty());
        assert_eq!(snapshot.addresses.len(), 1);
        assert!(snapshot.neighbours.is_empty());
        assert_eq!(snapshot.default_routes, [route(0, WAN + 1, GATEWAY)].into());
    }

    #[test]
    fn a_link_that_is_set_down_loses_its_routes_only() {
        let mut snapshot = full();
        snapshot.apply(link(false));
        assert_eq!(snapshot.addresses.len(), 2);
        assert_eq!(snapshot.default_gateway(WAN), None);
        assert_eq!(snapshot.default_gateway(WAN + 1), Some(GATEWAY));
    }

    #[test]
    fn the_last_address_takes_the_routes_along_and_an_earlier_one_does_not() {
        let mut snapshot = full();
        let second = address(WAN, [203, 0, 113, 9]);
        snapshot.apply(Fact::Address { address: second, rank: Rank::Secondary });
        snapshot.apply(Fact::AddressGone(address(WAN, [203, 0, 113, 2])));
        assert_eq!(snapshot.default_gateway(WAN), Some(GATEWAY));
        snapshot.apply(Fact::AddressGone(second));
        assert_eq!(snapshot.default_gateway(WAN), None);
    }

    #[test]
    fn primary_addresses_come_first() {
        let snapshot = snapshot([
            Fact::Address { address: address(WAN, [192, 0, 2, 1]), rank: Rank::Secondary },
            Fact::Address { address: address(WAN, [192, 0, 2, 200]), rank: Rank::Primary },
        ]);
        let addresses: Vec<_> =
            snapshot.ipv4_addresses(WAN).map(|(ip, _)| ip.octets()[3]).collect();
        assert_eq!(addresses, [200, 1]);
    }

    #[test]
    fn the_default_gateway_is_that_of_the_lowest_metric() {
        let other = Ipv4Addr::new(203, 0, 113, 254);
        let mut snapshot = snapshot([
            Fact::DefaultRoute(route(100, WAN, GATEWAY)),
            Fact::DefaultRoute(route(50, WAN, other)),
            Fact::DefaultRoute(DefaultRoute { gateway: None, ..route(10, WAN, GATEWAY) }),
        ]);
        assert_eq!(snapshot.default_gateway(WAN), Some(other));
        snapshot.apply(Fact::DefaultRouteGone(route(50, WAN, other)));
        assert_eq!(snapshot.default_gateway(WAN), Some(GATEWAY));
    }

    #[test]
    fn a_replaced_route_makes_room_for_the_new_one() {
        let other = Ipv4Addr::new(203, 0, 113, 254);
        let snapshot = snapshot([
            Fact::DefaultRoute(route(100, WAN, GATEWAY)),
            Fact::DefaultRouteReplaced { family: Family::Ipv4, metric: 100 },
            Fact::DefaultRoute(route(100, WAN, other)),
        ]);
        assert_eq!(snapshot.default_routes, [route(100, WAN, other)].into());
    }

    #[test]
    fn ipv6_routes_outlast_what_ends_those_of_ipv4() {
        let router = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
        let route6 = DefaultRoute {
            family: Family::Ipv6,
            metric: 100,
            index: WAN,
            gateway: Some(router.into()),
        };
        let mut snapshot = full();
        snapshot.apply(Fact::DefaultRoute(route6));
        assert_eq!(snapshot.default_gateway(WAN), Some(GATEWAY));
        assert_eq!(snapshot.default_gateway6(WAN), Some(router));
        assert_eq!(snapshot.default_gateway6(WAN + 1), None);
        for fact in [
            Fact::DefaultRouteReplaced { family: Family::Ipv4, metric: 100 },
            Fact::AddressGone(address(WAN, [203, 0, 113, 2])),
            link(false),
        ] {
            snapshot.apply(fact);
            assert_eq!(snapshot.default_gateway6(WAN), Some(router));
        }
        assert_eq!(snapshot.default_gateway(WAN), None);
        snapshot.apply(Fact::DefaultRouteReplaced { family: Family::Ipv6, metric: 100 });
        assert_eq!(snapshot.default_gateway6(WAN), None);
        snapshot.apply(Fact::DefaultRoute(route6));
        snapshot.apply(Fact::LinkGone { index: WAN });
        assert_eq!(snapshot.default_gateway6(WAN), None);
    }

    #[test]
    fn ipv6_addresses_come_in_the_order_of_their_ranks() {
        let address = |last| {
            let ip = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last);
            Address { index: WAN, address: ip.into(), prefix_length: 64 }
        };
        let mut snapshot = full();
        snapshot.apply(Fact::Address { address: address(1), rank: Rank::Deprecated });
        snapshot.apply(Fact::Address { address: address(3), rank: Rank::Temporary });
        snapshot.apply(Fact::Address { address: address(2), rank: Rank::Primary });
        // The kernel tells again when it changes.
        snapshot.apply(Fact::Address { address: address(4), rank: Rank::Temporary });
        snapshot.apply(Fact::Address { address: address(4), rank: Rank::Deprecated });
        let last = |(ip, length): (Ipv6Addr, u8)| (ip.segments()[7], length);
        let all: Vec<_> = snapshot.ipv6_addresses(WAN).map(last).collect();
        assert_eq!(all, [(2, 64), (3, 64), (1, 64), (4, 64)]);
        let ranks: Vec<_> = snapshot.ranked_ipv6_addresses(WAN).map(|(_, rank)| rank).collect();
        let expected = [Rank::Primary, Rank::Temporary, Rank::Deprecated, Rank::Deprecated];
        assert_eq!(ranks, expected);
        assert_eq!(snapshot.ipv4_addresses(WAN).count(), 1);
    }

    #[test]
    fn a_neighbour_is_resolved_while_its_mac_can_be_used() {
        let after = |fact| snapshot([fact]).resolution(WAN, GATEWAY);
        assert_eq!(Snapshot::default().resolution(WAN, GATEWAY), Resolution::Unknown);
        assert_eq!(after(neighbour(NeighbourState::Incomplete, None)), Resolution::Pending);
        assert_eq!(after(neighbour(NeighbourState::Failed, Some(MAC))), Resolution::Failed);
        assert_eq!(after(neighbour(NeighbourState::Stale, Some(MAC))), Resolution::Stale(MAC));
        for state in [NeighbourState::Reachable, NeighbourState::Probe, NeighbourState::Permanent] {
            let resolution = after(neighbour(state, Some(MAC)));
            assert_eq!(resolution, Resolution::Known(MAC));
            assert_eq!(resolution.mac(), Some(MAC));
            assert!(!resolution.wants_resolving());
        }
    }
}
