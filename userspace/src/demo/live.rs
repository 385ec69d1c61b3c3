//! What the traffic does at the moment, for the screen.

use std::{
    net::Ipv4Addr,
    sync::atomic::{AtomicU8, AtomicU64, Ordering},
};

/// No uplink yet.
const NONE: u8 = u8::MAX;

/// Counted by the thread of the traffic, read by the one that draws. The counters are independent
/// of each other, so a reader may see one before the other.
#[derive(Debug)]
pub(super) struct Live {
    /// The public address of each uplink.
    addresses: Vec<Ipv4Addr>,
    /// By uplink: how many packets were answered.
    answered: Vec<AtomicU64>,
    /// By flow: the uplink of the last answer.
    uplinks: Vec<AtomicU8>,
}

impl Live {
    /// For so many flows, by the uplinks that have these public addresses.
    pub(super) fn new(addresses: Vec<Ipv4Addr>, flows: usize) -> Self {
        Self {
            answered: addresses.iter().map(|_| AtomicU64::new(0)).collect(),
            uplinks: (0..flows).map(|_| AtomicU8::new(NONE)).collect(),
            addresses,
        }
    }

    /// The index of the uplink that has this public address.
    pub(super) fn uplink_of(&self, address: Ipv4Addr) -> Option<u8> {
        let index = self.addresses.iter().position(|&own| own == address)?;
        u8::try_from(index).ok()
    }

    /// Counts an answer to a flow by an uplink, both by index.
    pub(super) fn answered(&self, flow: usize, uplink: u8) {
        self.answered[usize::from(uplink)].fetch_add(1, Ordering::Relaxed);
        self.uplinks[flow].store(uplink, Ordering::Relaxed);
    }

    /// How many packets were answered by an uplink.
    pub(super) fn packets(&self, uplink: u8) -> u64 {
        self.answered[usize::from(uplink)].load(Ordering::Relaxed)
    }

    /// How many flows were last seen on an uplink.
    pub(super) fn flows(&self, uplink: u8) -> usize {
        let on_it = |last: &&AtomicU8| last.load(Ordering::Relaxed) == uplink;
        self.uplinks.iter().filter(on_it).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_packets_and_where_flows_are() {
        let [a, b] = [[203, 0, 113, 2], [198, 51, 100, 2]].map(Ipv4Addr::from);
        let live = Live::new(vec![a, b], 3);
        assert_eq!(live.uplink_of(b), Some(1));
        assert_eq!(live.uplink_of(Ipv4Addr::LOCALHOST), None);
        for (flow, uplink) in [(0, 0), (1, 0), (1, 1)] {
            live.answered(flow, uplink);
        }
        assert_eq!([live.packets(0), live.packets(1)], [2, 1]);
        assert_eq!([live.flows(0), live.flows(1)], [1, 1]);
    }
}
