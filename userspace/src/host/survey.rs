use std::io;

use crate::dataplane::Occupant;
use crate::netlink::Snapshot;
use crate::nic::{Error, Ethtool, FeatureControl as _, Features, XdpSupport, driver, xdp_support};

/// What there is to know of an interface before the gateway has it.
#[derive(Debug)]
pub struct Survey {
    /// Its name.
    pub interface: String,
    /// The interface, if there is one of this name.
    pub presence: Option<Presence>,
}

/// What there is to know of an interface that exists.
#[derive(Debug)]
pub struct Presence {
    /// Whether it has a MAC.
    pub ethernet: bool,
    /// The largest IP packet that it takes, in bytes.
    pub mtu: u32,
    /// The name of its driver.
    pub driver: io::Result<String>,
    /// What its driver does for XDP.
    pub xdp: Result<XdpSupport, Error>,
    /// How the features are that matter to XDP.
    pub features: Result<Features, Error>,
    /// The XDP program that it has.
    pub occupant: Option<Occupant>,
}

/// Looks at the interface with this name, among those of `host`. It changes nothing, and needs no
/// privilege but for the name of a program.
pub fn survey(interface: &str, host: &Snapshot) -> Survey {
    let presence = host.link_named(interface).map(|(ifindex, link)| Presence {
        ethernet: link.mac.is_some(),
        mtu: link.mtu,
        driver: driver(interface),
        xdp: xdp_support(ifindex),
        features: Ethtool.read(ifindex),
        occupant: Occupant::of(ifindex),
    });
    Survey { interface: interface.to_owned(), presence }
}
