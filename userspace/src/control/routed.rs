//! The side of an uplink by which it routes prefixes of IPv4 as they are.

use ipnet::Ipv4Net;
use pointsman_ebpf::abi::{self, Ipv4Prefix, MacPair, Port, PortRole, ROUTED_SIDE};

use super::forward::to_prefix;
use crate::config;
use crate::dataplane::Contents;

/// What the data plane is to know of it: the last that was complete.
#[derive(Clone, Debug, Default)]
pub(super) struct RoutedSide(Option<Record>);

#[derive(Clone, Debug)]
struct Record {
    uplink: abi::Uplink,
    /// What it routes.
    prefixes: Vec<Ipv4Net>,
}

impl RoutedSide {
    /// What another has left in the data plane for the uplink of this identifier.
    pub(super) fn inherit(id: u8, contents: &Contents) -> Self {
        let record = || {
            let uplink = *contents.uplinks.get(&(ROUTED_SIDE + id))?;
            let mut ports = contents.ports.values();
            let port = ports.find(|port| {
                port.role == PortRole::Uplink as u8 && port.uplink == id && port.routed_count > 0
            })?;
            let prefixes = port.routed.iter().take(usize::from(port.routed_count));
            Some(Record { uplink, prefixes: prefixes.filter_map(of_prefix).collect() })
        };
        Self(record())
    }

    /// Takes in how the uplink is reached. Its flows are looked at anew where it routes something else
    /// than before.
    pub(super) fn refresh(
        &mut self,
        config: &config::Routed,
        (macs, mtu): (MacPair, u16),
        generation: &mut impl FnMut() -> u32,
    ) {
        let generation = match &self.0 {
            Some(old) if old.prefixes == config.prefixes => old.uplink.generation,
            _ => generation(),
        };
        let inbound = match config.inbound {
            config::Inbound::Answers => abi::Inbound::Answers,
            config::Inbound::All => abi::Inbound::All,
        };
        let inbound = inbound as u8;
        let uplink = abi::Uplink { generation, macs, mtu, inbound, ..abi::Uplink::default() };
        self.0 = Some(Record { uplink, prefixes: config.prefixes.clone() });
    }

    /// What the data plane is to know, with this egress slot, once all of it is known.
    pub(super) fn to_record(&self, egress: u16) -> Option<abi::Uplink> {
        self.0.as_ref().map(|record| abi::Uplink { egress, ..record.uplink })
    }
}

/// Has what comes in by an uplink's port for these prefixes be taken for routed.
pub(super) fn set_routed(port: &mut Port, config: &config::Routed) {
    for (to, prefix) in port.routed.iter_mut().zip(&config.prefixes) {
        *to = to_prefix(prefix);
    }
    // The configuration has no more than there is room for.
    port.routed_count = config.prefixes.len() as u8;
}

/// The prefix that the data plane has. Nothing where it is none.
fn of_prefix(prefix: &Ipv4Prefix) -> Option<Ipv4Net> {
    Ipv4Net::with_netmask(prefix.network.into(), prefix.mask.into()).ok()
}
