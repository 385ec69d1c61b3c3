//! Of which interfaces the IPv4 routes to prefixes are told.
//!
//! A host that has the table of the Internet by its uplinks has a million routes that nobody here wants
//! to know. They are sorted out before a message is decoded, and what changes of them in the kernel, so
//! that it does not delay the loss of a carrier.

use std::collections::BTreeSet;

use ipnet::Ipv4Net;
use netlink_packet_core::{
    NLM_F_MULTIPART, NLM_F_REPLACE, NetlinkBuffer, NlasIterator, parse_ip, parse_u32,
};
use netlink_packet_route::route::RouteHeader;
use socket2::SockFilter;

use super::{Fact, Route, route};

/// The length of a message's header (`struct nlmsghdr`), and of a route's (`struct rtmsg`), in bytes.
const MESSAGE_HEADER: u32 = 16;
const ROUTE_HEADER: usize = 12;

/// The interfaces whose routes are followed, and the routes that are known.
#[derive(Debug, Default)]
pub(super) struct Followed {
    names: BTreeSet<String>,
    /// Those that are there and up, by the kernel's index.
    indices: BTreeSet<u32>,
    routes: BTreeSet<Route>,
}

impl Followed {
    /// Interfaces of these names, of which none is known to be there yet.
    pub(super) fn new(names: BTreeSet<String>) -> Self {
        Self { names, ..Self::default() }
    }

    /// Whether a message is worth decoding: it is not about a route, or one that is followed.
    pub(super) fn concerns(&self, message: &NetlinkBuffer<&[u8]>) -> bool {
        if !matches!(message.message_type(), libc::RTM_NEWROUTE | libc::RTM_DELROUTE) {
            return true;
        }
        // What makes no sense is for the decoder to complain of.
        let Ok(header) = RouteHeader::parse(message.payload()) else { return true };
        let length = header.destination_prefix_length;
        if length == 0 || !route::may_tell(&header) {
            return route::may_tell(&header);
        }
        let replaces = message.flags() & NLM_F_REPLACE != 0;
        let attributes = message.payload().get(ROUTE_HEADER..).unwrap_or_default();
        NlasIterator::new(attributes).map_while(Result::ok).any(|attribute| {
            let value = attribute.value();
            match attribute.kind() {
                libc::RTA_OIF => parse_u32(value).is_ok_and(|index| self.indices.contains(&index)),
                libc::RTA_MULTIPATH => next_hops(value).any(|index| self.indices.contains(&index)),
                // By whatever interface it leaves now.
                libc::RTA_DST => replaces && self.knows(value, length),
                _ => false,
            }
        })
    }

    /// Whether a route to this address, as it stands in a message, and prefix length is known.
    fn knows(&self, address: &[u8], length: u8) -> bool {
        let Ok(std::net::IpAddr::V4(address)) = parse_ip(address) else { return false };
        Ipv4Net::new(address, length).is_ok_and(|prefix| {
            let lowest = Route { prefix, metric: 0, index: 0, gateway: None };
            self.routes.range(lowest..).next().is_some_and(|route| route.prefix == prefix)
        })
    }

    /// Takes in the facts of one message, but for those of other interfaces, which it takes out. Of an
    /// interface that is down or not followed any more, it adds that the routes are gone, which the
    /// kernel does not tell. Returns why the notifications do not tell what holds now, where they do
    /// not.
    pub(super) fn settle(&mut self, facts: &mut Vec<Fact>) -> Option<&'static str> {
        facts.retain(|fact| match fact {
            Fact::Route(route) | Fact::RouteGone(route) => self.indices.contains(&route.index),
            _ => true,
        });
        let (mut doubt, mut gone) = (None, Vec::new());
        for fact in facts.iter() {
            match fact {
                Fact::Link { index, link } if link.admin_up && self.names.contains(&link.name) => {
                    let is_new = self.indices.insert(*index);
                    // Next hops beside those of other interfaces work again.
                    doubt = is_new.then_some("an interface of the LAN is up").or(doubt);
                }
                Fact::Link { index, .. } | Fact::LinkGone { index } => {
                    self.indices.remove(index);
                    gone.extend(self.routes.extract_if(.., |route| route.index == *index));
                }
                Fact::AddressGone(address)
                    if address.address.is_ipv4()
                        && self.routes.iter().any(|route| route.index == address.index) =>
                {
                    // With the last one, routes are gone whose next hop is no object, and with any,
                    // those whose source it is.
                    doubt = Some("an interface of the LAN has lost an address");
                }
                Fact::Route(route) => {
                    self.routes.insert(*route);
                }
                Fact::RouteGone(route) => {
                    self.routes.remove(route);
                }
                Fact::RouteReplaced { prefix, metric } => {
                    self.routes.retain(|route| (route.prefix, route.metric) != (*prefix, *metric));
                }
                _ => {}
            }
        }
        facts.extend(gone.into_iter().map(Fact::RouteGone));
        doubt
    }

    /// The filter of a socket that lets in all but notifications of routes that [`Self::concerns`] would
    /// leave out. It does not look into next hops of which there are several, and lets in all that
    /// replace others.
    pub(super) fn filter(&self) -> Vec<SockFilter> {
        // Offsets in `struct nlmsghdr` and, behind it, `struct rtmsg`.
        const TYPE: u32 = 4;
        const FLAGS: u32 = 6;
        const FAMILY: u32 = MESSAGE_HEADER;
        const PREFIX_LENGTH: u32 = MESSAGE_HEADER + 1;
        const TABLE: u32 = MESSAGE_HEADER + 4;
        // The filter loads in network byte order what the kernel has written in the machine's.
        let native = |value: u16| u32::from(value.to_be());
        let mut filter = vec![
            load(libc::BPF_H, TYPE),
            jump(libc::BPF_JEQ, native(libc::RTM_NEWROUTE), 2, 0),
            jump(libc::BPF_JEQ, native(libc::RTM_DELROUTE), 1, 0),
            ACCEPT,
            load(libc::BPF_H, FLAGS),
            // Of a list, the filter sees only the first of the routes in a datagram.
            jump(libc::BPF_JSET, native(NLM_F_MULTIPART), 0, 1),
            ACCEPT,
            load(libc::BPF_B, PREFIX_LENGTH),
            jump(libc::BPF_JEQ, 0, 0, 1),
            ACCEPT,
            load(libc::BPF_B, FAMILY),
            jump(libc::BPF_JEQ, libc::AF_INET as u32, 1, 0),
            DROP,
            load(libc::BPF_B, TABLE),
            jump(libc::BPF_JEQ, u32::from(RouteHeader::RT_TABLE_MAIN), 1, 0),
            DROP,
            load(libc::BPF_H, FLAGS),
            jump(libc::BPF_JSET, native(NLM_F_REPLACE), 0, 1),
            ACCEPT,
        ];
        filter.extend(find(libc::RTA_MULTIPATH));
        filter.extend([jump(libc::BPF_JEQ, 0, 1, 0), ACCEPT]);
        filter.extend(find(libc::RTA_OIF));
        filter.extend([jump(libc::BPF_JEQ, 0, 0, 1), DROP, TO_INDEX, LOAD_VALUE]);
        for index in &self.indices {
            filter.extend([jump(libc::BPF_JEQ, index.to_be(), 0, 1), ACCEPT]);
        }
        filter.push(DROP);
        filter
    }
}

const ACCEPT: SockFilter = SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, u32::MAX);
const DROP: SockFilter = SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, 0);

/// Keeps the offset of an attribute, and loads the word behind its header (`struct nlattr`).
const TO_INDEX: SockFilter = SockFilter::new((libc::BPF_MISC | libc::BPF_TAX) as u16, 0, 0, 0);
const LOAD_VALUE: SockFilter =
    SockFilter::new((libc::BPF_LD | libc::BPF_W | libc::BPF_IND) as u16, 0, 0, 4);

/// Loads what is at an offset, of this size.
const fn load(size: u32, offset: u32) -> SockFilter {
    SockFilter::new((libc::BPF_LD | size | libc::BPF_ABS) as u16, 0, 0, offset)
}

/// Leaves out so many instructions where a condition holds, or does not.
const fn jump(condition: u32, value: u32, if_true: u8, if_false: u8) -> SockFilter {
    SockFilter::new((libc::BPF_JMP | condition | libc::BPF_K) as u16, if_true, if_false, value)
}

/// Loads the offset of a route's attribute of this type, or zero, where it has none: an extension of
/// Linux, to be had at an offset where no packet is.
const fn find(attribute: u16) -> [SockFilter; 3] {
    let attributes = MESSAGE_HEADER + ROUTE_HEADER as u32;
    [
        SockFilter::new((libc::BPF_LD | libc::BPF_IMM) as u16, 0, 0, attributes),
        SockFilter::new((libc::BPF_LDX | libc::BPF_IMM) as u16, 0, 0, attribute as u32),
        load(libc::BPF_W, (libc::SKF_AD_OFF + libc::SKF_AD_NLATTR) as u32),
    ]
}

/// The interface of each of several next hops (`struct rtnexthop`).
fn next_hops(mut bytes: &[u8]) -> impl Iterator<Item = u32> {
    const HEADER: usize = 8;
    std::iter::from_fn(move || {
        let (header, _) = bytes.split_first_chunk::<HEADER>()?;
        let [low, high, _, _, index @ ..] = *header;
        let length = usize::from(u16::from_ne_bytes([low, high])).max(HEADER);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(u32::from_ne_bytes(index))
    })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use netlink_packet_core::{NetlinkHeader, NetlinkMessage, NetlinkPayload};
    use netlink_packet_route::link::LinkMessage;
    use netlink_packet_route::route::{
        RouteAddress, RouteAttribute, RouteMessage, RouteNextHop, RouteProtocol,
    };
    use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
    use proptest::prelude::*;

    use super::super::{Address, Link};
    use super::*;

    const LAN: u32 = 2;
    const WAN: u32 = 3;

    fn link(index: u32, name: &str, admin_up: bool) -> Fact {
        let (name, carrier) = (name.to_owned(), admin_up);
        Fact::Link {
            index,
            link: Link { name, mac: None, mtu: 1500, admin_up, carrier, tag: None },
        }
    }

    fn route(index: u32) -> Route {
        Route { prefix: "10.20.0.0/16".parse().unwrap(), metric: 0, index, gateway: None }
    }

    /// The LAN's interface is there, and up.
    fn followed() -> Followed {
        let mut followed = Followed::new(["lan0".to_owned()].into());
        assert!(followed.settle(&mut vec![link(LAN, "lan0", true)]).is_some());
        assert_eq!(followed.settle(&mut vec![link(WAN, "wan0", true)]), None);
        followed
    }

    fn encode(flags: u16, message: RouteNetlinkMessage) -> Vec<u8> {
        let mut header = NetlinkHeader::default();
        header.flags = flags;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        bytes
    }

    /// To 10.20.0.0/16 by this interface.
    fn message(index: u32) -> RouteMessage {
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet;
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.destination_prefix_length = 16;
        let network = RouteAddress::Inet(Ipv4Addr::new(10, 20, 0, 0));
        message.attributes = vec![RouteAttribute::Destination(network), RouteAttribute::Oif(index)];
        message
    }

    fn concerns(followed: &Followed, flags: u16, message: RouteMessage) -> bool {
        let bytes = encode(flags, RouteNetlinkMessage::NewRoute(message.clone()));
        let new = followed.concerns(&NetlinkBuffer::new_checked(&bytes[..]).unwrap());
        let bytes = encode(flags, RouteNetlinkMessage::DelRoute(message));
        let gone = followed.concerns(&NetlinkBuffer::new_checked(&bytes[..]).unwrap());
        assert_eq!(new, gone);
        new
    }

    #[test]
    fn routes_by_other_interfaces_are_left_out() {
        let followed = followed();
        assert!(concerns(&followed, 0, message(LAN)));
        assert!(!concerns(&followed, 0, message(WAN)));
        let mut default = message(WAN);
        default.header.destination_prefix_length = 0;
        assert!(concerns(&followed, 0, default));
        for change in [
            (|header| header.address_family = AddressFamily::Inet6) as fn(&mut RouteHeader),
            |header| header.table = 100,
            |header| header.protocol = RouteProtocol::Kernel,
        ] {
            let mut message = message(LAN);
            change(&mut message.header);
            assert!(!concerns(&followed, 0, message));
        }
        let bytes = encode(0, RouteNetlinkMessage::NewLink(LinkMessage::default()));
        assert!(followed.concerns(&NetlinkBuffer::new_checked(&bytes[..]).unwrap()));
    }

    #[test]
    fn any_of_several_next_hops_will_do() {
        for (indices, wanted) in [([WAN, LAN], true), ([LAN, WAN], true), ([WAN, 9], false)] {
            let next_hops = indices.map(|index| {
                let mut next_hop = RouteNextHop::default();
                next_hop.interface_index = index;
                let gateway = RouteAddress::Inet(Ipv4Addr::new(192, 0, 2, 1));
                next_hop.attributes = vec![RouteAttribute::Gateway(gateway)];
                next_hop
            });
            let mut message = message(LAN);
            message.attributes[1] = RouteAttribute::MultiPath(next_hops.into());
            assert_eq!(concerns(&followed(), 0, message), wanted, "{indices:?}");
        }
    }

    #[test]
    fn what_replaces_a_known_route_counts_by_whatever_interface() {
        let mut followed = followed();
        assert!(!concerns(&followed, NLM_F_REPLACE, message(WAN)));
        followed.settle(&mut vec![Fact::Route(Route { metric: 9, ..route(LAN) })]);
        assert!(concerns(&followed, NLM_F_REPLACE, message(WAN)));
        let mut longer = message(WAN);
        longer.header.destination_prefix_length = 17;
        assert!(!concerns(&followed, NLM_F_REPLACE, longer));
    }

    #[test]
    fn only_routes_of_interfaces_that_are_up_are_told() {
        let mut followed = followed();
        let both = vec![Fact::Route(route(WAN)), Fact::Route(route(LAN))];
        let mut facts = both.clone();
        assert_eq!(followed.settle(&mut facts), None);
        assert_eq!(facts, [Fact::Route(route(LAN))]);
        for gone in
            [link(LAN, "lan0", false), link(LAN, "lan7", true), Fact::LinkGone { index: LAN }]
        {
            let mut facts = vec![gone.clone()];
            assert_eq!(followed.settle(&mut facts), None);
            assert_eq!(facts, [gone, Fact::RouteGone(route(LAN))]);
            let mut facts = both.clone();
            assert_eq!(followed.settle(&mut facts), None);
            assert_eq!(facts, []);
            assert!(followed.settle(&mut vec![link(LAN, "lan0", true)]).is_some());
            assert_eq!(followed.settle(&mut both.clone()), None);
        }
    }

    #[test]
    fn a_lost_address_calls_for_a_new_list_where_there_are_routes() {
        let mut followed = followed();
        let gone = |index, address: std::net::IpAddr| {
            vec![Fact::AddressGone(Address { index, address, prefix_length: 16 })]
        };
        let (own, own6) = (Ipv4Addr::new(10, 1, 0, 1), std::net::Ipv6Addr::LOCALHOST);
        assert_eq!(followed.settle(&mut gone(LAN, own.into())), None);
        followed.settle(&mut vec![Fact::Route(route(LAN))]);
        assert!(followed.settle(&mut gone(LAN, own.into())).is_some());
        assert_eq!(followed.settle(&mut gone(WAN, own.into())), None);
        assert_eq!(followed.settle(&mut gone(LAN, own6.into())), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_go_on_for_ever(
            rest in proptest::collection::vec(any::<u8>(), 0..80),
            attribute in prop_oneof![Just(libc::RTA_MULTIPATH), Just(libc::RTA_DST), any::<u16>()],
        ) {
            let mut bytes = encode(NLM_F_REPLACE, RouteNetlinkMessage::NewRoute(message(WAN)));
            bytes.extend(((rest.len() + 4) as u16).to_ne_bytes());
            bytes.extend(attribute.to_ne_bytes());
            bytes.extend(rest);
            let length = bytes.len() as u32;
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            let _ = followed().concerns(&NetlinkBuffer::new_checked(&bytes[..]).unwrap());
        }
    }
}
