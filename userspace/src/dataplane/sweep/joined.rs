//! Flows to what was beyond an uplink and is the LAN's now, as behind a router there: the host goes on
//! sending, so they would never be idle, and all of it would leave by the uplink.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use pointsman_ebpf::abi::{Direction, Flow, FlowKey};

use super::{SweptTables, TableError};

/// Removes the flows within IPv4 whose remote end is in one of these networks, so that their next packets
/// are taken for what they are by now. Those of two hosts of the LAN have none. Calls `pause` after each
/// slice of the work, about a millisecond.
///
/// # Errors
/// Where the kernel refuses; what was removed is removed.
pub(crate) fn remove_flows_to<T: SweptTables>(
    tables: &mut T,
    networks: &[Ipv4Net],
    pause: &mut dyn FnMut(),
) -> Result<(), TableError> {
    // A flow may go from the first of these tables to the second meanwhile, and never back.
    for table in [T::unreplied, T::established] {
        let table = table(tables);
        let (mut outward, mut inward) = (Vec::new(), Vec::new());
        table.read(&mut |keys, flows| {
            for (key, flow) in keys.iter().zip(flows) {
                if is_to(networks, key, flow) {
                    let way = if is(flow, Direction::In) { &mut inward } else { &mut outward };
                    way.push(*key);
                }
            }
            pause();
        })?;
        // As everywhere, that of the outward direction first.
        outward.append(&mut inward);
        for keys in outward.chunks(super::REMOVED_TOGETHER) {
            table.remove(keys)?;
            pause();
        }
    }
    Ok(())
}

fn is(flow: &Flow, direction: Direction) -> bool {
    flow.direction == direction as u8
}

fn is_to(networks: &[Ipv4Net], key: &FlowKey, flow: &Flow) -> bool {
    let remote = match () {
        () if is(flow, Direction::Out) => key.destination(),
        () if is(flow, Direction::In) => key.source(),
        () => return false,
    };
    let remote = Ipv4Addr::from(remote.octets());
    networks.iter().any(|network| network.contains(&remote))
}
