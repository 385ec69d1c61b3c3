//! What the gateways are to do, and the traffic that this takes.
//!
//! A row of the table is of one service: all gateways of the row get the same frames, and the bare
//! one among them is what the others are to be compared with.

use std::net::Ipv6Addr;

use anyhow::Result;
use pointsman_lab::{LabError, Namespace, plan6};
use serde::Serialize;

use crate::{SERVICE_FLOWS, VERIFIED_FLOWS, nptv6, traffic::Prefix};

/// What is done to packets from the LAN on their way to an uplink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Service {
    /// IPv4, with addresses and ports translated.
    Nat44,
    /// IPv6 from a prefix of the site's own, which stays.
    RoutedIpv6,
    /// IPv6 from unique local addresses, whose prefix is translated.
    Nptv6,
    /// IPv6 from unique local addresses, which share one of the uplink's.
    Nat66,
    /// IPv6 to addresses that stand for those of IPv4, which it leaves as.
    Nat64,
}

/// A version of IP, which the benchmark has programs for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Ipv4,
    Ipv6,
}

impl Family {
    /// The program that does for this family what the one of this name does for IPv4.
    pub(crate) fn program(self, name: &str) -> String {
        match self {
            Self::Ipv4 => name.to_owned(),
            Self::Ipv6 => format!("{name}_ipv6"),
        }
    }
}

/// The destinations of IPv6, in the block for benchmarks (RFC 5180 section 8).
const DESTINATIONS: Ipv6Addr = Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0);

/// The well-known prefix of NAT64 (RFC 6052 section 2.1).
const NAT64: Ipv6Addr = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0);

impl Service {
    /// Those that are measured beside NAT44.
    pub(crate) const OTHERS: [Self; 4] = [Self::RoutedIpv6, Self::Nptv6, Self::Nat66, Self::Nat64];

    /// Its name for people.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Nat44 => "NAT44",
            Self::RoutedIpv6 => "routed IPv6",
            Self::Nptv6 => "NPTv6",
            Self::Nat66 => "NAT66",
            Self::Nat64 => "NAT64",
        }
    }

    /// What its packets are in the LAN.
    pub(crate) const fn family(self) -> Family {
        match self {
            Self::Nat44 => Family::Ipv4,
            Self::RoutedIpv6 | Self::Nptv6 | Self::Nat66 | Self::Nat64 => Family::Ipv6,
        }
    }

    /// What they are beyond a gateway that does the service.
    pub(crate) const fn family_beyond(self) -> Family {
        match self {
            Self::Nat64 => Family::Ipv4,
            other => other.family(),
        }
    }

    /// How many flows of it may be checked in full.
    pub(crate) const fn verified_flows(self) -> u32 {
        match self {
            Self::Nat44 => VERIFIED_FLOWS,
            _ => SERVICE_FLOWS[SERVICE_FLOWS.len() - 1],
        }
    }

    /// The /48 of the LAN, where it has IPv6.
    const fn site(self) -> Option<Ipv6Addr> {
        match self {
            Self::Nat44 => None,
            Self::RoutedIpv6 => Some(plan6::INDEPENDENT),
            Self::Nptv6 | Self::Nat66 | Self::Nat64 => Some(plan6::UNIQUE_LOCAL),
        }
    }

    /// What IPv6 packets are from and to, as the LAN hosts send them. Zeros where there are none.
    pub(crate) fn sent(self) -> [Prefix; 2] {
        let destinations = if self == Self::Nat64 { NAT64 } else { DESTINATIONS };
        self.site()
            .map_or_else(Default::default, |site| [prefix(plan6::lan(site)), prefix(destinations)])
    }

    /// What the same packets, where they are of IPv6 still, are from and to beyond a gateway that does the service.
    pub(crate) fn translated(self) -> [Prefix; 2] {
        match self {
            Self::Nat44 | Self::RoutedIpv6 | Self::Nat64 => self.sent(),
            Self::Nptv6 => {
                let external =
                    nptv6::translate(plan6::lan(plan6::UNIQUE_LOCAL), plan6::provider(0));
                [prefix(external), prefix(DESTINATIONS)]
            }
            Self::Nat66 => [prefix(plan6::gateway(0)), prefix(DESTINATIONS)],
        }
    }

    /// The last 32 bits of the address that all hosts share there. Zero where they keep theirs.
    pub(crate) const fn shared(self) -> u32 {
        match self {
            Self::Nat66 => plan6::gateway(0).to_bits() as u32,
            _ => 0,
        }
    }

    /// What an uplink's configuration says of it.
    pub(crate) fn uplink_setting(self) -> String {
        let setting = |mode, key, prefix| {
            let (length, gateway) = (plan6::SITE_PREFIX, plan6::ROUTER);
            format!(
                "ipv6 = {{ mode = \"{mode}\", {key} = \"{prefix}/{length}\", \
                 gateway = \"{gateway}\" }}\n"
            )
        };
        match self {
            Self::Nat44 | Self::Nat64 => String::new(),
            Self::RoutedIpv6 => setting("routed", "prefix", plan6::INDEPENDENT),
            Self::Nptv6 => setting("nptv6", "prefix", plan6::provider(0)),
            Self::Nat66 => setting("nat66", "internal", plan6::UNIQUE_LOCAL),
        }
    }

    /// What the rest of the configuration says of it.
    pub(crate) const fn section(self) -> &'static str {
        match self {
            Self::Nat64 => "[nat64]\n",
            _ => "",
        }
    }

    /// Gives the gateway's host what it needs for it besides IPv4, with a next hop of this MAC.
    pub(crate) fn equip(self, gateway: &Namespace, next_hop: &str) -> Result<(), LabError> {
        let Some(site) = self.site() else {
            return Ok(());
        };
        for interface in ["lan0", "wan0"] {
            // Addresses are to be usable at once, the kernel's own too.
            gateway.sysctl(&format!("net.ipv6.conf.{interface}.accept_dad"), "0")?;
            gateway.sysctl(&format!("net.ipv6.conf.{interface}.disable_ipv6"), "0")?;
        }
        gateway.ip6(&format!(
            "address add {}/{length} dev lan0 nodad\n\
             address add {}/{length} dev wan0 nodad\n\
             neighbour add {} lladdr {next_hop} dev wan0 nud permanent\n",
            plan6::lan_gateway(site),
            plan6::gateway(0),
            plan6::ROUTER,
            length = plan6::LINK_PREFIX,
        ))
    }
}

/// The first 96 bits of an address.
fn prefix(address: Ipv6Addr) -> Prefix {
    let bits = address.to_bits();
    [96, 64, 32].map(|shift| (bits >> shift) as u32)
}
