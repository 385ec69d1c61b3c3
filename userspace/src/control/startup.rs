//! What keeps the daemon from starting. Later, while it runs, the same is a reason for an uplink
//! to be down: a mistake in the file is likelier at first, a cable that is pulled out is later.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use pointsman_ebpf::abi::{LAN_NETWORKS, Vlan};

use super::Controller;
use super::attachment::Attachment;
use crate::config::{self, Gateway};
use crate::netlink::{Link, Snapshot};

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
    /// The kernel has no interface of an uplink's VLAN, and it is needed.
    #[error(
        "uplink {uplink:?}: the kernel has no interface of {port}, to tell its address, routes and \
         neighbours and to probe by; make one (`{remedy}`), or set gateway, gateway_mac and \
         ipv4.addresses, and neither probes nor BFD"
    )]
    NoVlan {
        /// The uplink's name.
        uplink: String,
        /// Its interface and tags.
        port: String,
        /// The command that makes one.
        remedy: String,
    },
    /// An interface is a VLAN within more VLANs than the data plane looks through.
    #[error(
        "{user} is to use {port}, whose frames have more than two tags; give another interface"
    )]
    TooManyTags {
        /// The LAN, or the uplink with its name.
        user: String,
        /// The interface and tags.
        port: String,
    },
    /// Two are to have the same frames: a VLAN by its own name and by that of the interface below.
    #[error("{user} is to use {port}, which is that of {other}; give each VLAN once")]
    SameFrames {
        /// The LAN, or the uplink with its name.
        user: String,
        /// The interface and tags.
        port: String,
        /// Who has them already.
        other: String,
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
        "the LAN has more than {LAN_NETWORKS} IPv4 prefixes, on its interfaces, behind its routers \
         and routed by uplinks, and the data plane takes no more: what is for the others would leave by \
         an uplink; give routes to shorter prefixes instead, or serve fewer interfaces"
    )]
    TooManyPrefixes,
}

/// Whether the data plane takes all prefixes of the LAN. This may change while the daemon runs.
///
/// # Errors
/// Where there are more.
pub(super) fn check_lan_networks(controller: &Controller) -> Result<(), Unfit> {
    if controller.has_too_many_lan_networks() { Err(Unfit::TooManyPrefixes) } else { Ok(()) }
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
    for uplink in controller.uplinks() {
        link_of(&label(uplink.config()), &uplink.config().interface)?;
    }
    check_frames(controller)?;
    check_lan_networks(controller)?;
    for uplink in controller.uplinks() {
        let (name, interface) = (&uplink.config().name, &uplink.config().interface);
        let attachment = check_vlan(uplink.config(), controller.facts())?;
        // Of a VLAN, the address and the routes are those of the kernel's interface for it.
        let own = attachment.own.map_or(interface, |(_, link)| &link.name);
        let (uplink_name, interface) = (name.clone(), own.clone());
        if uplink.address().is_none() && uplink.config().routed.is_none() {
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

fn label(uplink: &config::Uplink) -> String {
    format!("uplink {:?}", uplink.name)
}

/// Whether no two are to have the same frames.
fn check_frames(controller: &Controller) -> Result<(), Unfit> {
    let config = controller.config();
    let lan = config.lan.interfaces.iter();
    let lan = lan.map(|name| ("the LAN".to_owned(), name.clone(), name, Vlan::NONE));
    let uplinks = config.uplinks.iter();
    let uplinks =
        uplinks.map(|uplink| (label(uplink), uplink.port_name(), &uplink.interface, uplink.vlan));
    let mut owners: BTreeMap<(u32, Vlan), String> = BTreeMap::new();
    for (user, port, interface, vlan) in lan.chain(uplinks) {
        let Some(attachment) = Attachment::find(controller.facts(), interface, vlan) else {
            return Err(Unfit::TooManyTags { user, port });
        };
        let frames = (attachment.below.0, attachment.vlan);
        if let Some(other) = owners.insert(frames, user.clone()) {
            return Err(Unfit::SameFrames { user, port, other });
        }
    }
    Ok(())
}

/// Whether the kernel has an interface of the uplink's VLAN, where one is needed: for addresses, routes,
/// neighbours and probes that the configuration does not spare it.
pub(crate) fn check_vlan<'f>(
    uplink: &config::Uplink,
    facts: &'f Snapshot,
) -> Result<Attachment<'f>, Unfit> {
    let is_spared = uplink.gateway_mac.is_some()
        && uplink.gateway != Gateway::Auto
        && !uplink.addresses.is_empty()
        && uplink
            .health
            .as_ref()
            .is_none_or(|health| health.probes.is_empty() && health.bfd.is_none());
    Attachment::find(facts, &uplink.interface, uplink.vlan)
        .filter(|attachment| is_spared || attachment.own.is_some())
        .ok_or_else(|| Unfit::NoVlan {
            uplink: uplink.name.clone(),
            port: uplink.port_name(),
            remedy: creation(&uplink.interface, uplink.vlan),
        })
}

/// The commands that make the kernel's interface of a VLAN.
fn creation(interface: &str, vlan: Vlan) -> String {
    let mut parent = interface.to_owned();
    let mut commands = Vec::new();
    for (id, is_service) in [vlan.outer(), vlan.inner()].into_iter().flatten() {
        let protocol = if is_service { "protocol 802.1ad " } else { "" };
        let name = format!("{parent}.{id}");
        commands.push(format!("ip link add link {parent} name {name} type vlan {protocol}id {id}"));
        parent = name;
    }
    commands.join(" && ")
}

/// Whether every forward is to a host of the LAN.
fn check_forwards(controller: &Controller) -> Result<(), Unfit> {
    for forward in &controller.config().forwards {
        let (address, forward) = (forward.address, forward.to_string());
        if controller.facts().local_addresses().any(|own| own == address) {
            return Err(Unfit::TargetIsGateway { forward, address });
        }
        if !controller.on_link_prefixes().any(|prefix| prefix.contains(&address)) {
            return Err(Unfit::TargetOutside { forward, address });
        }
    }
    Ok(())
}
