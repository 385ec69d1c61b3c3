//! The addresses of a [`Site`](crate::Site). All are from blocks that no real network uses
//! (RFC 1918, RFC 2544, RFC 5737, RFC 6598).

use std::net::Ipv4Addr;

/// The LAN.
pub const LAN_NETWORK: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 0);

/// The length of the LAN's prefix.
pub const LAN_PREFIX: u8 = 16;

/// The gateway's address in the LAN.
pub const LAN_GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);

/// The second host in the LAN: the last address of all.
pub const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(10, 1, 255, 254);

/// The site's own prefix, which every provider routes to it.
pub const INDEPENDENT: Ipv4Addr = Ipv4Addr::new(198, 19, 4, 0);

/// How many of its bits count.
pub const INDEPENDENT_PREFIX: u8 = 24;

/// The gateway's address of it.
pub const INDEPENDENT_GATEWAY: Ipv4Addr = Ipv4Addr::new(198, 19, 4, 1);

/// How many addresses the client has of it, the first ones after the gateway's.
pub const INDEPENDENT_CLIENTS: usize = 32;

/// The server beyond all providers.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 53);

/// The length of the prefix of every uplink.
pub const UPLINK_PREFIX: u8 = 24;

/// How many addresses a client can have: all that the LAN has beside the gateway's and its
/// neighbour's.
pub const MAX_CLIENT_ADDRESSES: usize = (1 << (32 - LAN_PREFIX)) - 4;

/// How many uplinks a site can have: one for each letter that names a provider.
pub const MAX_UPLINKS: usize = 26;

/// The address of the client with this number. Number 0 has the first address after the gateway's.
///
/// # Panics
///
/// If the number is not below [`MAX_CLIENT_ADDRESSES`].
pub fn client(number: usize) -> Ipv4Addr {
    assert!(number < MAX_CLIENT_ADDRESSES, "the LAN has no client {number}");
    host(LAN_GATEWAY, 1 + number as u32)
}

/// The network of an uplink: 203.0.113.0, 198.51.100.0, then 198.18.2.0, 198.18.3.0 and so on.
///
/// # Panics
///
/// If the index is not below [`MAX_UPLINKS`].
pub fn uplink_network(index: usize) -> Ipv4Addr {
    assert!(index < MAX_UPLINKS, "the plan has no uplink {index}");
    match index {
        0 => Ipv4Addr::new(203, 0, 113, 0),
        1 => Ipv4Addr::new(198, 51, 100, 0),
        _ => Ipv4Addr::new(198, 18, index as u8, 0),
    }
}

/// The provider's address on an uplink: the gateway's next hop.
///
/// # Panics
///
/// As [`uplink_network`].
pub fn isp(index: usize) -> Ipv4Addr {
    host(uplink_network(index), 1)
}

/// The gateway's own, public, address on an uplink.
///
/// # Panics
///
/// As [`uplink_network`].
pub fn gateway(index: usize) -> Ipv4Addr {
    host(uplink_network(index), 2)
}

/// The network, of prefix length 30, between a provider and the server.
pub(crate) fn transit_network(index: usize) -> Ipv4Addr {
    Ipv4Addr::new(100, 64, index as u8, 0)
}

/// The provider's letter.
pub(crate) fn letter(index: usize) -> char {
    char::from(b'a' + index as u8)
}

/// The address this far after another one.
pub(crate) fn host(network: Ipv4Addr, offset: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(network) + offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_client_is_beside_the_neighbour() {
        assert_eq!(client(0), Ipv4Addr::new(10, 1, 0, 2));
        assert_eq!(host(client(MAX_CLIENT_ADDRESSES - 1), 1), NEIGHBOUR);
    }

    #[test]
    fn no_two_uplinks_share_a_network() {
        let mut networks: Vec<_> = (0..MAX_UPLINKS).map(uplink_network).collect();
        networks.sort();
        networks.dedup();
        assert_eq!(networks.len(), MAX_UPLINKS);
        assert_eq!(letter(MAX_UPLINKS - 1), 'z');
    }
}
