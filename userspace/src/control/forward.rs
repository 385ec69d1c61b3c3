use std::fmt;
use std::net::Ipv4Addr;
use std::time::Instant;

use ipnet::Ipv4Net;
use pointsman_ebpf::abi::{self, Ipv4, Ipv4Prefix, LanSide, PortRange};
use pointsman_ebpf::wire::Protocol;

use super::inquiry::Inquiry;
use crate::config::{self, PortProtocol};
use crate::netlink::{Link, Resolution, Snapshot};

/// A LAN host that port forwards go to, and what is known of it.
#[derive(Clone, Debug)]
pub struct Target {
    address: Ipv4Addr,
    /// The LAN interface that it is behind, by its prefix: index and name.
    interface: Option<(u32, String)>,
    mac: Option<[u8; 6]>,
    /// It did not answer when it was asked last.
    silent: bool,
    inquiry: Inquiry,
}

/// How far a forward's host can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// By this MAC.
    Resolved([u8; 6]),
    /// Its MAC is being asked for on this interface.
    Resolving(String),
    /// Nobody answers for it on this interface.
    Silent(String),
    /// No LAN interface has it in a prefix.
    NoInterface,
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolved(_) => f.write_str("its MAC is known"),
            Self::Resolving(interface) => write!(f, "its MAC is being asked for on {interface}"),
            Self::Silent(interface) => write!(f, "it does not answer ARP on {interface}"),
            Self::NoInterface => f.write_str("no LAN interface has a prefix with it"),
        }
    }
}

impl Target {
    pub(super) fn new(address: Ipv4Addr) -> Self {
        Self { address, interface: None, mac: None, silent: false, inquiry: Inquiry::default() }
    }

    /// Takes in what the kernel knows; `lan` are the LAN interfaces that are there.
    pub(super) fn refresh<'l>(
        &mut self,
        facts: &Snapshot,
        lan: impl Iterator<Item = (&'l str, u32, &'l Link)>,
    ) {
        let closest = lan
            .filter_map(|(name, index, link)| {
                Some((prefix_length(facts, index, self.address)?, name, index, link))
            })
            .max_by_key(|(length, ..)| *length);
        let Some((_, name, index, link)) = closest else {
            *self = Self::new(self.address);
            return;
        };
        if self.interface.as_ref().is_none_or(|(old, _)| *old != index) {
            *self = Self::new(self.address);
        }
        self.interface = Some((index, name.to_owned()));
        let running = link.admin_up && link.carrier;
        if !running {
            self.inquiry.forget();
        }
        let resolution = facts.resolution(index, self.address);
        self.inquiry.want(running && resolution.wants_resolving());
        match resolution {
            Resolution::Known(mac) | Resolution::Stale(mac) => {
                (self.mac, self.silent) = (Some(mac), false);
            }
            Resolution::Failed => (self.mac, self.silent) = (None, true),
            // What the kernel forgets for want of use stays known until it is contradicted.
            Resolution::Pending | Resolution::Unknown => {}
        }
    }

    /// The interface and the address of which the kernel is to find the MAC now, if any.
    pub(super) fn resolution_due(&mut self, now: Instant) -> Option<(u32, Ipv4Addr)> {
        let (index, _) = self.interface.as_ref()?;
        self.inquiry.is_due(now).then_some((*index, self.address))
    }

    /// How far it can be reached.
    pub fn reach(&self) -> Reach {
        match (&self.interface, self.mac) {
            (None, _) => Reach::NoInterface,
            (Some(_), Some(mac)) => Reach::Resolved(mac),
            (Some((_, name)), None) if self.silent => Reach::Silent(name.clone()),
            (Some((_, name)), None) => Reach::Resolving(name.clone()),
        }
    }

    /// The interface that it is behind, by index and name, and its MAC, where both are known.
    pub(super) fn way(&self) -> Option<(u32, &str, [u8; 6])> {
        let (index, name) = self.interface.as_ref()?;
        Some((*index, name, self.mac?))
    }
}

/// The length of the longest prefix of an interface that has the address.
fn prefix_length(facts: &Snapshot, index: u32, address: Ipv4Addr) -> Option<u8> {
    facts
        .ipv4_addresses(index)
        .filter_map(|(own, length)| Ipv4Net::new(own, length).ok())
        .filter(|prefix| prefix.contains(&address))
        .map(|prefix| prefix.prefix_len())
        .max()
}

/// What the data plane is to know of a forward: for these uplinks, a bit each, and with the host
/// reached like that, which is the default as long as its MAC is not known.
pub(super) fn to_record(forward: &config::Forward, uplinks: u64, lan: LanSide) -> abi::Forward {
    let mut record = abi::Forward {
        uplinks,
        address: Ipv4::new(forward.address.octets()),
        ports: PortRange { first: *forward.ports.start(), last: *forward.ports.end() },
        port: forward.port,
        protocol: match forward.protocol {
            PortProtocol::Tcp => Protocol::TCP,
            PortProtocol::Udp => Protocol::UDP,
        },
        // The configuration has no more than there is room for.
        source_count: forward.sources.len() as u8,
        lan,
        ..abi::Forward::default()
    };
    for (to, source) in record.sources.iter_mut().zip(&forward.sources) {
        *to = to_prefix(source);
    }
    record
}

/// A prefix as the data plane has it.
pub(super) fn to_prefix(prefix: &Ipv4Net) -> Ipv4Prefix {
    Ipv4Prefix { network: prefix.network().into(), mask: prefix.netmask().into() }
}
