//! What LAN hosts are counted to have.

use std::mem;

use pointsman_ebpf::abi::{Host, Ipv4};

use super::{Pass, SweptTable, TableError};

impl Pass<'_> {
    /// Sets what has been counted, and removes the hosts that have nothing. Returns how many stay.
    ///
    /// The data plane counts on meanwhile, from what it finds; what gets lost, the next pass mends.
    pub(super) fn count_hosts(
        &mut self,
        table: &mut dyn SweptTable<Ipv4, Host>,
    ) -> Result<usize, TableError> {
        let mut counted = mem::take(&mut self.hosts);
        counted.retain(|_, host| *host != Host::default());
        let hosts = counted.len();
        let mut empty = Vec::new();
        table.read(&mut |addresses, hosts| {
            for (address, host) in addresses.iter().zip(hosts) {
                match counted.get(address) {
                    Some(count) if count == host => {
                        counted.remove(address);
                    }
                    Some(_) => {}
                    None => empty.push(*address),
                }
            }
            (self.pause)();
        })?;
        table.remove(&empty)?;
        // What is left differs, or the table has not got it.
        let (addresses, counts): (Vec<_>, Vec<_>) = counted.into_iter().unzip();
        table.write(&addresses, &counts)?;
        Ok(hosts)
    }
}
