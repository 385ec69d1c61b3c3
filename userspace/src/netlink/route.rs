//! What messages about routes of the main table say.

use std::net::IpAddr;

use ipnet::Ipv4Net;
use netlink_packet_core::{NLM_F_REPLACE, NetlinkHeader};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteNextHop, RouteNextHopFlags,
    RouteProtocol, RouteType,
};

use super::decode::find;
use super::{DefaultRoute, Fact, Family, Route};

/// What a route that is there says.
pub(super) fn facts(header: NetlinkHeader, message: &RouteMessage) -> Vec<Fact> {
    let replaces = header.flags & NLM_F_REPLACE != 0;
    match target(message) {
        Some(Target::Default(family)) => {
            let routes = default_routes(family, message);
            let replaced =
                replaces.then(|| Fact::DefaultRouteReplaced { family, metric: metric(message) });
            replaced.into_iter().chain(routes.map(Fact::DefaultRoute)).collect()
        }
        Some(Target::Prefix(prefix)) => {
            let replaced =
                replaces.then(|| Fact::RouteReplaced { prefix, metric: metric(message) });
            replaced.into_iter().chain(routes(prefix, message).map(Fact::Route)).collect()
        }
        None => Vec::new(),
    }
}

/// What a route that is gone says.
pub(super) fn facts_gone(message: &RouteMessage) -> Vec<Fact> {
    match target(message) {
        Some(Target::Default(family)) => {
            default_routes(family, message).map(Fact::DefaultRouteGone).collect()
        }
        Some(Target::Prefix(prefix)) => routes(prefix, message).map(Fact::RouteGone).collect(),
        None => Vec::new(),
    }
}

/// Where a route leads that anyone here wants to know.
enum Target {
    /// Anywhere.
    Default(Family),
    /// To a prefix.
    Prefix(Ipv4Net),
}

fn target(message: &RouteMessage) -> Option<Target> {
    let header = &message.header;
    if !may_tell(header) {
        return None;
    }
    match (&header.address_family, header.destination_prefix_length) {
        (AddressFamily::Inet, 0) => Some(Target::Default(Family::Ipv4)),
        (AddressFamily::Inet, length) => {
            let address = find(&message.attributes, |attribute| match attribute {
                RouteAttribute::Destination(RouteAddress::Inet(address)) => Some(*address),
                _ => None,
            })?;
            Ipv4Net::new(address, length).ok().map(Target::Prefix)
        }
        _ => Some(Target::Default(Family::Ipv6)),
    }
}

/// Whether a message with this header may say anything: it is about a route of the main table that
/// any packet to its destination may take. Those of IPv4 that the kernel makes for addresses are
/// known by these.
pub(super) fn may_tell(header: &RouteHeader) -> bool {
    let is_wanted = match header.address_family {
        AddressFamily::Inet => {
            header.destination_prefix_length == 0 || header.protocol != RouteProtocol::Kernel
        }
        AddressFamily::Inet6 => header.destination_prefix_length == 0,
        _ => false,
    };
    is_wanted
        && header.source_prefix_length == 0
        && header.tos == 0
        && header.table == RouteHeader::RT_TABLE_MAIN
}

fn default_routes(family: Family, message: &RouteMessage) -> impl Iterator<Item = DefaultRoute> {
    let metric = metric(message);
    next_hops(message).map(move |NextHop { index, gateway, .. }| DefaultRoute {
        family,
        metric,
        index,
        gateway,
    })
}

fn routes(prefix: Ipv4Net, message: &RouteMessage) -> impl Iterator<Item = Route> {
    let metric = metric(message);
    let alive = next_hops(message).filter(|next_hop| !next_hop.is_dead);
    alive.map(move |NextHop { index, gateway, .. }| Route { prefix, metric, index, gateway })
}

fn metric(message: &RouteMessage) -> u32 {
    find(&message.attributes, |attribute| match attribute {
        RouteAttribute::Priority(metric) => Some(*metric),
        _ => None,
    })
    .unwrap_or(0)
}

/// One of a route's ways.
struct NextHop {
    index: u32,
    gateway: Option<IpAddr>,
    /// Beside those of other interfaces, the kernel keeps it while its own is down.
    is_dead: bool,
}

impl NextHop {
    fn of_several(next_hop: &RouteNextHop) -> Self {
        Self {
            index: next_hop.interface_index,
            gateway: gateway(&next_hop.attributes),
            is_dead: next_hop.flags.contains(RouteNextHopFlags::Dead),
        }
    }
}

/// The next hops of a route. One that drops packets has none.
fn next_hops(message: &RouteMessage) -> impl Iterator<Item = NextHop> {
    let forwards = message.header.kind == RouteType::Unicast;
    let attributes = if forwards { message.attributes.as_slice() } else { &[] };
    let several = find(attributes, |attribute| match attribute {
        RouteAttribute::MultiPath(next_hops) => Some(next_hops),
        _ => None,
    });
    let only = find(attributes, |attribute| match attribute {
        RouteAttribute::Oif(index) => {
            Some(NextHop { index: *index, gateway: gateway(attributes), is_dead: false })
        }
        _ => None,
    });
    let only = only.filter(|_| several.is_none());
    several.into_iter().flatten().map(NextHop::of_several).chain(only)
}

fn gateway(attributes: &[RouteAttribute]) -> Option<IpAddr> {
    find(attributes, |attribute| match attribute {
        RouteAttribute::Gateway(RouteAddress::Inet(gateway)) => Some(IpAddr::V4(*gateway)),
        RouteAttribute::Gateway(RouteAddress::Inet6(gateway)) => Some(IpAddr::V6(*gateway)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use netlink_packet_route::RouteNetlinkMessage;

    use super::super::decode;
    use super::*;

    const GATEWAY: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
    const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

    fn told(message: RouteNetlinkMessage) -> Vec<Fact> {
        decode::facts(NetlinkHeader::default(), message)
    }

    fn replacing() -> NetlinkHeader {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REPLACE;
        header
    }

    fn default_route() -> RouteMessage {
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet;
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.kind = RouteType::Unicast;
        message.attributes = vec![
            RouteAttribute::Priority(7),
            RouteAttribute::Oif(4),
            RouteAttribute::Gateway(RouteAddress::Inet(GATEWAY)),
        ];
        message
    }

    /// To 10.20.0.0/16.
    fn route_to_prefix() -> RouteMessage {
        let mut message = default_route();
        message.header.destination_prefix_length = 16;
        let network = RouteAddress::Inet(Ipv4Addr::new(10, 20, 0, 0));
        message.attributes.push(RouteAttribute::Destination(network));
        message
    }

    fn route(index: u32) -> Route {
        let prefix = "10.20.0.0/16".parse().unwrap();
        Route { prefix, metric: 7, index, gateway: Some(GATEWAY.into()) }
    }

    /// In place of the only next hop of a message, these.
    fn spread(message: &mut RouteMessage, indices: [u32; 2]) {
        let next_hops = indices.map(|index| {
            let mut next_hop = RouteNextHop::default();
            next_hop.interface_index = index;
            next_hop.attributes = vec![RouteAttribute::Gateway(RouteAddress::Inet(GATEWAY))];
            next_hop
        });
        message.attributes.retain(|attribute| {
            !matches!(attribute, RouteAttribute::Oif(_) | RouteAttribute::Gateway(_))
        });
        message.attributes.push(RouteAttribute::MultiPath(next_hops.into()));
    }

    #[test]
    fn a_route_that_replaces_another_says_so_first() {
        let family = Family::Ipv4;
        let gateway = Some(GATEWAY.into());
        let default = DefaultRoute { family, metric: 7, index: 4, gateway };
        let told = |message| decode::facts(replacing(), RouteNetlinkMessage::NewRoute(message));
        let replaced = Fact::DefaultRouteReplaced { family, metric: 7 };
        assert_eq!(told(default_route()), [replaced, Fact::DefaultRoute(default)]);
        let replaced = Fact::RouteReplaced { prefix: route(4).prefix, metric: 7 };
        assert_eq!(told(route_to_prefix()), [replaced.clone(), Fact::Route(route(4))]);
        // What drops packets takes the place of what forwards them.
        let mut message = route_to_prefix();
        message.header.kind = RouteType::BlackHole;
        assert_eq!(told(message), [replaced]);
    }

    #[test]
    fn a_route_of_several_next_hops_is_several_routes() {
        let (family, gateway) = (Family::Ipv4, Some(GATEWAY.into()));
        let default = |index| DefaultRoute { family, metric: 7, index, gateway };
        let (mut to_all, mut to_prefix) = (default_route(), route_to_prefix());
        for message in [&mut to_all, &mut to_prefix] {
            spread(message, [4, 5]);
        }
        assert_eq!(
            told(RouteNetlinkMessage::DelRoute(to_all)),
            [4, 5].map(|index| Fact::DefaultRouteGone(default(index)))
        );
        assert_eq!(
            told(RouteNetlinkMessage::NewRoute(to_prefix.clone())),
            [4, 5].map(|index| Fact::Route(route(index)))
        );
        assert_eq!(
            told(RouteNetlinkMessage::DelRoute(to_prefix)),
            [4, 5].map(|index| Fact::RouteGone(route(index)))
        );
    }

    #[test]
    fn a_router_of_ipv6_is_told_from_one_of_ipv4() {
        let mut message = default_route();
        message.header.address_family = AddressFamily::Inet6;
        message.attributes[2] = RouteAttribute::Gateway(RouteAddress::Inet6(ROUTER));
        let route = DefaultRoute {
            family: Family::Ipv6,
            metric: 7,
            index: 4,
            gateway: Some(ROUTER.into()),
        };
        assert_eq!(
            told(RouteNetlinkMessage::NewRoute(message.clone())),
            [Fact::DefaultRoute(route)]
        );
        // Without a gateway, the family is all that tells them apart.
        message.attributes.truncate(2);
        let route = DefaultRoute { gateway: None, ..route };
        assert_eq!(told(RouteNetlinkMessage::DelRoute(message)), [Fact::DefaultRouteGone(route)]);
    }

    #[test]
    fn only_ordinary_routes_of_the_main_table_count() {
        let changes: [fn(&mut RouteHeader); 5] = [
            |header| header.table = 100,
            |header| header.kind = RouteType::BlackHole,
            |header| header.tos = 4,
            |header| header.source_prefix_length = 48,
            |header| header.address_family = AddressFamily::Mpls,
        ];
        for change in changes {
            for mut message in [default_route(), route_to_prefix()] {
                change(&mut message.header);
                assert_eq!(told(RouteNetlinkMessage::NewRoute(message)), []);
            }
        }
    }

    #[test]
    fn neither_do_those_to_prefixes_of_ipv6_or_of_addresses() {
        let changes: [fn(&mut RouteHeader); 3] = [
            |header| header.address_family = AddressFamily::Inet6,
            |header| header.protocol = RouteProtocol::Kernel,
            |header| header.destination_prefix_length = 33,
        ];
        for change in changes {
            let mut message = route_to_prefix();
            change(&mut message.header);
            assert_eq!(told(RouteNetlinkMessage::NewRoute(message)), []);
        }
    }
}
