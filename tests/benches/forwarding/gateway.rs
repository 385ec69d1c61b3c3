//! The gateways that are compared.

use std::fmt;

use anyhow::Result;
use pointsman_lab::plan;

use crate::{
    chain::Hosts,
    daemon::Daemon,
    flows::{Flows, Lan},
    reference::{Bare, Masquerade, Minimal},
    service::Service,
    traffic::LAN_HOSTS,
    vlan,
};

/// What forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// XDP redirect of whatever comes, without a look-up: the limit for anything in XDP.
    Bare,
    /// The same, where all frames have a VLAN tag, which stays.
    BareTagged,
    /// One look-up in a hash map of the kernel, one change of the entry, redirect: the limit for any
    /// flow table on such a map.
    Minimal,
    /// The daemon and its data plane: established flows.
    Pointsman,
    /// The same, where all frames have a VLAN tag: those of the LAN one, and those of the uplink another.
    Tagged,
    /// The kernel's forwarding with nftables masquerade.
    Masquerade,
}

/// A gateway at work, until it is dropped.
pub(crate) trait Gateway: Send {
    /// Gets ready for this many flows; false where it cannot hold as many here.
    fn prepare(&mut self, _flows: Flows) -> Result<bool> {
        Ok(true)
    }

    /// Forgets what would be in the way of new flows.
    fn forget_flows(&mut self, _hosts: &Hosts) -> Result<()> {
        Ok(())
    }

    /// What it can say about itself when frames are not as they should be.
    fn state(&self) -> Option<String> {
        None
    }
}

impl Kind {
    pub(crate) const ALL: [Self; 6] = [
        Self::Bare,
        Self::BareTagged,
        Self::Minimal,
        Self::Pointsman,
        Self::Tagged,
        Self::Masquerade,
    ];

    /// Starts it, for what it is to do and what the LAN is like.
    pub(crate) fn start(
        self,
        hosts: &Hosts,
        service: Service,
        lan: Lan,
    ) -> Result<Box<dyn Gateway>> {
        Ok(match self {
            Self::Bare | Self::BareTagged => Box::new(Bare::start(hosts)?),
            Self::Minimal => Box::new(Minimal::start(hosts)?),
            Self::Pointsman => Box::new(Daemon::start(hosts, service, lan)?),
            Self::Tagged => {
                let daemon = Daemon::start(hosts, service, lan)?;
                vlan::serve(self.vlans())?;
                Box::new(daemon)
            }
            Self::Masquerade => Box::new(Masquerade::start(hosts)?),
        })
    }

    /// Whether it takes one off the TTL, and translates.
    pub(crate) fn routes(self) -> bool {
        matches!(self, Self::Pointsman | Self::Tagged | Self::Masquerade)
    }

    /// The VLANs of the frames in the LAN and at the uplink, or zero where frames have no tags.
    pub(crate) fn vlans(self) -> [u16; 2] {
        match self {
            Self::BareTagged => [10, 10],
            Self::Tagged => [10, 35],
            _ => [0, 0],
        }
    }

    /// The IPv4 source addresses that it sends from: a prefix and its mask, in host byte order.
    pub(crate) fn sources(self) -> [u32; 2] {
        let network = if self.routes() { plan::uplink_network(0).into() } else { LAN_HOSTS };
        [network, 0xffff_ff00]
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bare => "bare",
            Self::BareTagged => "bare tagged",
            Self::Minimal => "minimal",
            Self::Pointsman => "pointsman",
            Self::Tagged => "tagged",
            Self::Masquerade => "masquerade",
        })
    }
}
