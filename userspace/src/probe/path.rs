use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What probes need to know of their uplink at the moment, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Path {
    /// The MAC of the uplink's own interface.
    pub mac: Option<[u8; 6]>,
    /// Of IPv4.
    pub ipv4: Side<Ipv4Addr>,
    /// Of IPv6.
    pub ipv6: Side<Ipv6Addr>,
    /// The link-local address of the uplink's own interface (RFC 4291 section 2.5.6).
    pub link_local: Option<Ipv6Addr>,
    /// Whether the uplink is suspected to be dead, so that probes are to be sent more often.
    pub is_suspect: bool,
}

/// What of a [`Path`] is another one for each version of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Side<A> {
    /// The host's own address that answers come back to by the uplink.
    pub source: Option<A>,
    /// The next hop.
    pub gateway: Option<A>,
    /// The next hop's MAC.
    pub gateway_mac: Option<[u8; 6]>,
}

impl<A> Default for Side<A> {
    fn default() -> Self {
        Self { source: None, gateway: None, gateway_mac: None }
    }
}

impl Path {
    /// The address that is sent from to this one.
    pub(super) fn source_for(&self, target: IpAddr) -> Result<IpAddr, Missing> {
        match target {
            IpAddr::V4(_) => self.ipv4.source.map(IpAddr::V4).ok_or(Missing::Source(4)),
            IpAddr::V6(target) if target.is_unicast_link_local() => {
                self.link_local.map(IpAddr::V6).ok_or(Missing::LinkLocal)
            }
            IpAddr::V6(_) => self.ipv6.source.map(IpAddr::V6).ok_or(Missing::Source(6)),
        }
    }
}

/// What has to be known of the uplink before a probe can be sent. The number is the version of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Missing {
    #[error("the interface's MAC is not known")]
    Mac,
    #[error("there is no IPv{0} address to send from")]
    Source(u8),
    #[error("the interface has no link-local address")]
    LinkLocal,
    #[error("the IPv{0} next hop is not known")]
    Gateway(u8),
    #[error("the MAC of the IPv{0} next hop is not known")]
    GatewayMac(u8),
}
