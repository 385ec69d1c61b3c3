//! The side of an uplink by which it routes prefixes of IPv4 as they are.

use ipnet::Ipv4Net;
use pointsman_ebpf::abi::{self, MacPair, Port};

use super::forward::to_prefix;
use crate::config;

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
