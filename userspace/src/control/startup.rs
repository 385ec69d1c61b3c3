//! What keeps the daemon from starting, or a file that is read again from being taken if it is different
//! in that. Else, while it runs, the same is a reason for an uplink to be down: a mistake is likelier in what
//! has just been written, a cable that is pulled out is later.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use pointsman_ebpf::abi::{LAN_NETWORKS, Vlan};

use super::attachment::Attachment;
use super::{ControlledUplink, Controller};
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
    unfit(controller).into_iter().next().map_or(Ok(()), Err)
}

/// What of the configuration does not fit the host: of each interface, uplink and forward, the first thing.
pub(super) fn unfit(controller: &Controller) -> Vec<Unfit> {
    let lan = controller.config().lan.interfaces.iter();
    let lan = lan.filter_map(|interface| check_link(controller, "the LAN", interface).err());
    let uplinks = controller.uplinks().iter();
    let links = uplinks.clone().filter_map(|uplink| check_uplink_link(controller, uplink).err());
    let frames = unfit_frames(controller);
    let networks = check_lan_networks(controller).err();
    let uplinks = uplinks
        .filter(|uplink| check_uplink_link(controller, uplink).is_ok())
        .filter_map(|uplink| check_uplink(controller, uplink).err());
    let forwards = controller.config().forwards.iter();
    let forwards = forwards.filter_map(|forward| check_forward(controller, forward).err());
    lan.chain(links).chain(frames).chain(networks).chain(uplinks).chain(forwards).collect()
}

fn check_link(controller: &Controller, user: &str, interface: &str) -> Result<(), Unfit> {
    let (user, interface) = (user.to_owned(), interface.to_owned());
    match controller.facts().link_named(&interface) {
        None => Err(Unfit::NoInterface { user, interface }),
        Some((_, Link { mac: None, .. })) => Err(Unfit::NoMac { user, interface }),
        Some(_) => Ok(()),
    }
}

fn check_uplink_link(controller: &Controller, uplink: &ControlledUplink) -> Result<(), Unfit> {
    check_link(controller, &label(uplink.config()), &uplink.config().interface)
}

/// Whether an uplink whose interface is there has an address and a gateway.
fn check_uplink(controller: &Controller, uplink: &ControlledUplink) -> Result<(), Unfit> {
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
    Ok(())
}

fn label(uplink: &config::Uplink) -> String {
    format!("uplink {:?}", uplink.name)
}

/// Those that are to have frames that another has, of interfaces that are there.
fn unfit_frames(controller: &Controller) -> Vec<Unfit> {
    let config = controller.config();
    let lan = config.lan.interfaces.iter();
    let lan = lan.map(|name| ("the LAN".to_owned(), name.clone(), name, Vlan::NONE));
    let uplinks = config.uplinks.iter();
    let uplinks =
        uplinks.map(|uplink| (label(uplink), uplink.port_name(), &uplink.interface, uplink.vlan));
    let mut owners: BTreeMap<(u32, Vlan), String> = BTreeMap::new();
    let mut found = Vec::new();
    for (user, port, interface, vlan) in lan.chain(uplinks) {
        if controller.facts().link_named(interface).is_none() {
            continue;
        }
        let Some(attachment) = Attachment::find(controller.facts(), interface, vlan) else {
            found.push(Unfit::TooManyTags { user, port });
            continue;
        };
        let frames = (attachment.below.0, attachment.vlan);
        if let Some(other) = owners.insert(frames, user.clone()) {
            found.push(Unfit::SameFrames { user, port, other });
        }
    }
    found
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

/// Whether a forward is to a host of the LAN.
fn check_forward(controller: &Controller, forward: &config::Forward) -> Result<(), Unfit> {
    let (address, forward) = (forward.address, forward.to_string());
    if controller.facts().local_addresses().any(|own| own == address) {
        return Err(Unfit::TargetIsGateway { forward, address });
    }
    if !controller.on_link_prefixes().any(|prefix| prefix.contains(&address)) {
        return Err(Unfit::TargetOutside { forward, address });
    }
    Ok(())
}
