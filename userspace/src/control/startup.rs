//! What keeps the daemon from starting. Later, while it runs, the same is a reason for an uplink
//! to be down: a mistake in the file is likelier at first, a cable that is pulled out is later.

use std::net::Ipv4Addr;

use pointsman_ebpf::abi::LAN_PREFIXES;

use super::Controller;
use crate::netlink::Link;

/// A configuration that does not fit this host.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unfit {
    /// An interface does not exist.
    #[error("{user} is to use the interface {interface}, which does not exist; see `ip link`")]
    NoInterface {
        /// The LAN, or the uplink with its name.
        user: String,
        /// The interface.
        interface: String,
    },
    /// An interface has no Ethernet below.
    #[error(
        "{user} is to use the interface {interface}, which has no MAC; give an Ethernet interface"
    )]
    NoMac {
        /// The LAN, or the uplink with its name.
        user: String,
        /// The interface.
        interface: String,
    },
    /// An uplink's interface has no IPv4 address.
    #[error(
        "uplink {uplink:?}: {interface} has no IPv4 address; give it one (`ip address add \
         ADDRESS/LENGTH dev {interface}`), or set ipv4.addresses"
    )]
    NoAddress {
        /// The uplink's name.
        uplink: String,
        /// Its interface.
        interface: String,
    },
    /// An uplink that follows the default route has none.
    #[error(
        "uplink {uplink:?}: no default route leaves by {interface}; add one (`ip route add default \
         via GATEWAY dev {interface} metric 100`), or set gateway to the provider's router"
    )]
    NoGateway {
        /// The uplink's name.
        uplink: String,
        /// Its interface.
        interface: String,
    },
    /// The gateway's address is the host's own.
    #[error(
        "uplink {uplink:?}: gateway {gateway} is an address of this host; give the \
         provider's router"
    )]
    OwnGateway {
        /// The uplink's name.
        uplink: String,
        /// The address.
        gateway: Ipv4Addr,
    },
    /// A forward's host is in no prefix of the LAN.
    #[error(
        "the forward of {forward}: no LAN interface has a prefix with {address}; give a host of \
         the LAN, or add an address of its prefix to the interface"
    )]
    TargetOutside {
        /// The forward.
        forward: String,
        /// The host's address.
        address: Ipv4Addr,
    },
    /// A forward's host is this one.
    #[error(
        "the forward of {forward}: {address} is an address of this host; give another host of the \
         LAN, or remove the forward to let the packets in"
    )]
    TargetIsGateway {
        /// The forward.
        forward: String,
        /// The address.
        address: Ipv4Addr,
    },
    /// The LAN has more prefixes than the data plane takes.
    #[error(
        "the interfaces of the LAN have {found} IPv4 prefixes, and the data plane takes \
         {LAN_PREFIXES}; remove addresses from them, or serve fewer interfaces"
    )]
    TooManyPrefixes {
        /// How many there are.
        found: usize,
    },
}

/// Whether the data plane takes all prefixes of the LAN. This may change while the daemon runs.
///
/// # Errors
/// Where there are more.
pub(super) fn check_lan_prefixes(controller: &Controller) -> Result<(), Unfit> {
    match controller.lan_prefixes().len() {
        0..=LAN_PREFIXES => Ok(()),
        found => Err(Unfit::TooManyPrefixes { found }),
    }
}

/// Whether the configuration fits the host, as the controller knows both.
///
/// # Errors
/// The first thing that does not.
pub fn check(controller: &Controller) -> Result<(), Unfit> {
    let link_of = |user: &str, interface: &str| -> Result<(), Unfit> {
        let (user, interface) = (user.to_owned(), interface.to_owned());
        match controller.facts().link_named(&interface) {
            None => Err(Unfit::NoInterface { user, interface }),
            Some((_, Link { mac: None, .. })) => Err(Unfit::NoMac { user, interface }),
            Some(_) => Ok(()),
        }
    };
    for interface in &controller.config().lan.interfaces {
        link_of("the LAN", interface)?;
    }
    check_lan_prefixes(controller)?;
    for uplink in controller.uplinks() {
        let (name, interface) = (&uplink.config().name, &uplink.config().interface);
        link_of(&format!("uplink {name:?}"), interface)?;
        let (uplink_name, interface) = (name.clone(), interface.clone());
        if uplink.address().is_none() {
            return Err(Unfit::NoAddress { uplink: uplink_name, interface });
        }
        let Some(gateway) = uplink.gateway() else {
            return Err(Unfit::NoGateway { uplink: uplink_name, interface });
        };
        if controller.facts().local_addresses().any(|own| own == gateway) {
            return Err(Unfit::OwnGateway { uplink: uplink_name, gateway });
        }
    }
    check_forwards(controller)
}

/// Whether every forward is to a host of the LAN.
fn check_forwards(controller: &Controller) -> Result<(), Unfit> {
    for forward in &controller.config().forwards {
        let (address, forward) = (forward.address, forward.to_string());
        if controller.facts().local_addresses().any(|own| own == address) {
            return Err(Unfit::TargetIsGateway { forward, address });
        }
        if !controller.lan_prefixes().iter().any(|prefix| prefix.contains(&address)) {
            return Err(Unfit::TargetOutside { forward, address });
        }
    }
    Ok(())
}
