//! The IPv6 addresses of a [`Site`](crate::Site) that has some: from blocks that no real network uses
//! (RFC 3849, RFC 4193).

use std::net::Ipv6Addr;

/// The server beyond all providers.
pub const SERVER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x53, 0, 0, 0, 0, 0x53);

/// The /48 of the LAN's unique local addresses.
pub const UNIQUE_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 0);

/// The /48 that is the site's own: every provider routes it to the gateway.
pub const INDEPENDENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 0, 0, 0, 0, 0);

/// The length of the prefixes of sites.
pub const SITE_PREFIX: u8 = 48;

/// The length of the prefixes of links.
pub const LINK_PREFIX: u8 = 64;

/// The address of each provider's router on the link to the gateway.
pub const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// The /48 that the provider of this index routes to the gateway.
pub const fn provider(index: usize) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0xa + index as u16, 0, 0, 0, 0, 0)
}

/// The provider's address on an uplink.
pub const fn isp(index: usize) -> Ipv6Addr {
    host(link(index, 0xf000), 1)
}

/// The gateway's own address on an uplink.
pub const fn gateway(index: usize) -> Ipv6Addr {
    host(link(index, 0xf000), 2)
}

/// The LAN's link within a site's /48.
pub const fn lan(site: Ipv6Addr) -> Ipv6Addr {
    let [a, b, c, ..] = site.segments();
    Ipv6Addr::new(a, b, c, 1, 0, 0, 0, 0)
}

/// The gateway's address in the LAN, within a site's /48.
pub const fn lan_gateway(site: Ipv6Addr) -> Ipv6Addr {
    host(lan(site), 1)
}

/// The address of the client with this number, within a site's /48.
pub const fn client(site: Ipv6Addr, number: usize) -> Ipv6Addr {
    host(lan(site), 2 + number as u16)
}

/// The address of the second host in the LAN, within a site's /48.
pub const fn neighbour(site: Ipv6Addr) -> Ipv6Addr {
    host(lan(site), 0xfffe)
}

/// The provider's end of the link to the server, and the server's.
pub(crate) const fn transit(index: usize) -> [Ipv6Addr; 2] {
    let link = link(index, 0xe000);
    [host(link, 1), host(link, 2)]
}

const fn link(index: usize, kind: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0xffff, kind + index as u16, 0, 0, 0, 0)
}

const fn host(link: Ipv6Addr, number: u16) -> Ipv6Addr {
    let [a, b, c, d, ..] = link.segments();
    Ipv6Addr::new(a, b, c, d, 0, 0, 0, number)
}
