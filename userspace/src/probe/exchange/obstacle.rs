use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;

use super::socket::Bound;
use crate::netlink::Lookup;
use crate::probe::path::{Missing, Path};

/// What keeps the kernel's sockets from an exchange by an uplink.
#[derive(Debug, thiserror::Error)]
pub(in crate::probe) enum Obstacle {
    /// Something is not known.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// There is no such address or interface any more.
    #[error("cannot send from {address} by {interface}: {source}")]
    Unbound { address: IpAddr, interface: String, source: io::Error },
    /// There is no route.
    #[error(
        "the kernel has no route to {target} by {interface} ({source}); add one: `ip{family} route add \
         default via {gateway} dev {interface} metric {metric}`",
        family = if target.is_ipv6() { " -6" } else { "" },
        // Behind what the kernel gives a route that router advertisements tell of, 1024.
        metric = if target.is_ipv6() { 2000 } else { 1000 },
    )]
    NoRoute {
        target: IpAddr,
        interface: String,
        /// The next hop, or a word for it.
        gateway: String,
        source: io::Error,
    },
    /// The reverse path filter is strict.
    #[error(
        "the kernel would drop the answers of {target} by {interface} ({source}), as it prefers another \
         way there and its reverse path filter is strict; loosen it: `sysctl -w \
         {key}=2`",
        key = reverse_path_filter(interface),
    )]
    Filtered { target: Ipv4Addr, interface: String, source: io::Error },
}

impl Obstacle {
    /// The address to ask `target` from by this interface and path; an error where that would be in
    /// vain.
    pub(in crate::probe) fn check(
        lookup: &mut Lookup,
        (index, interface): (NonZeroU32, &str),
        path: &Path,
        target: IpAddr,
    ) -> Result<IpAddr, Self> {
        let source = path.source_for(target)?;
        let interface = || interface.to_owned();
        let unbound =
            |error| Self::Unbound { address: source, interface: interface(), source: error };
        let socket = Bound { interface: index, source }.unconnected().map_err(unbound)?;
        let (routed, gateway) = match (source, target) {
            (IpAddr::V4(source), IpAddr::V4(target)) => {
                let gateway = path.ipv4.gateway.map(IpAddr::V4);
                (lookup.leaves(index.get(), source, target), gateway)
            }
            _ => (socket.find_route(target), path.ipv6.gateway.map(IpAddr::V6)),
        };
        routed.map_err(|source| Self::NoRoute {
            target,
            interface: interface(),
            gateway: gateway.map_or_else(|| "GATEWAY".to_owned(), |gateway| gateway.to_string()),
            source,
        })?;
        // IPv6 has no such filter.
        if let (IpAddr::V4(source), IpAddr::V4(target)) = (source, target) {
            let arrives = lookup.arrives(index.get(), target, source);
            arrives.map_err(|source| Self::Filtered { target, interface: interface(), source })?;
        }
        Ok(source)
    }
}

/// The kernel's setting for an interface, as sysctl(8) takes it where the name has dots, too.
fn reverse_path_filter(interface: &str) -> String {
    if interface.contains('.') {
        format!("net/ipv4/conf/{interface}/rp_filter")
    } else {
        format!("net.ipv4.conf.{interface}.rp_filter")
    }
}
