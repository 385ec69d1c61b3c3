//! What LAN hosts are counted to have, and where they are placed.

use std::mem;

use pointsman_ebpf::abi::{Host, Ipv4, Placement, seconds_to_ticks};

use super::flow::Entry;
use super::timer::MARK_LAG;
use super::{Pass, SweptTable, TableError};

/// How long an uplink keeps a host after the last packet of the host's flows there, in ticks: longer than
/// phones and tunnels are silent between two packets that keep their mapping (RFC 5626 section 4.4.1: at
/// most two minutes).
const KEPT: u32 = seconds_to_ticks(120) + MARK_LAG;

impl Pass<'_> {
    /// Notes where a host has a flow that was used at `last_used`.
    pub(super) fn note_use(&mut self, host: Ipv4, entry: &Entry, last_used: u32) {
        if self.is_late(last_used) {
            *self.placed.entry(host).or_default() |= 1 << (entry.uplink & 63);
        }
    }

    /// Whether it is so short a while ago that it keeps a host where it is.
    fn is_late(&self, ticks: u32) -> bool {
        self.now.saturating_sub(ticks) <= KEPT
    }

    /// The placement of a host, unless nothing keeps it there any more. One that is newer than what has been
    /// read of flows stays.
    fn still_placed(&self, host: Ipv4, placement: u64) -> u64 {
        let has_flow = |uplink: u8| {
            self.placed.get(&host).is_some_and(|uplinks| uplinks >> (uplink & 63) & 1 == 1)
        };
        let placed = Placement(placement);
        let stays =
            placed.uplink().is_some_and(|uplink| self.is_late(placed.since()) || has_flow(uplink));
        if stays { placement } else { Placement::NONE.0 }
    }

    /// Sets what has been counted, and removes the hosts that have nothing. Returns how many stay.
    ///
    /// The data plane counts on meanwhile, from what it finds; what gets lost, the next pass mends.
    pub(super) fn count_hosts(
        &mut self,
        table: &mut dyn SweptTable<Ipv4, Host>,
    ) -> Result<usize, TableError> {
        let mut counted = mem::take(&mut self.hosts);
        counted.retain(|_, host| *host != Host::default());
        let mut kept = counted.len();
        let mut empty = Vec::new();
        table.read(&mut |addresses, hosts| {
            for (address, host) in addresses.iter().zip(hosts) {
                let placement = self.still_placed(*address, host.placement);
                let count = counted.get(address).copied();
                let wanted = Host { placement, ..count.unwrap_or_default() };
                kept += usize::from(count.is_none() && placement != 0);
                if wanted == *host {
                    counted.remove(address);
                } else if wanted == Host::default() {
                    empty.push(*address);
                } else {
                    counted.insert(*address, wanted);
                }
            }
            (self.pause)();
        })?;
        table.remove(&empty)?;
        // What is left differs, or the table has not got it.
        let (addresses, counts): (Vec<_>, Vec<_>) = counted.into_iter().unzip();
        table.write(&addresses, &counts)?;
        Ok(kept)
    }
}
