//! Has LAN hosts speak on connections that their uplink has lost: whoever only waits for data would learn late
//! that the data plane resets them.
//!
//! Each gets a segment in the name of the other end, with a sequence number that is outside of any window. TCP
//! answers such a one with an ACK that says where the connection is (RFC 9293 section 3.10.7.4), and the data
//! plane answers that with a reset. So nobody needs to know the numbers, and what should not be reset goes on:
//! its other end gets an ACK that it has had before. Hosts may limit such answers to one in half a second (RFC
//! 5961 section 10), so one has to do.

mod segment;
mod sender;

use std::collections::BTreeMap;

use pointsman_ebpf::abi::{Direction, Flow, FlowKey, Mark, Opener, Vlan};
use pointsman_ebpf::wire::Protocol;

use super::TableError;
use super::sweep::SweptTable;
pub(super) use sender::Sender;

/// How many segments go out at once: with a rest of a millisecond after each of that many, fewer than 50,000 a
/// second do, which are 26 Mbit/s.
const AT_ONCE: usize = 48;

/// Whose connections are to be prompted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// The uplinks that have lost them, a bit each by identifier.
    pub uplinks: u64,
    /// How the interfaces of the LAN are reached, by egress slot.
    pub links: BTreeMap<u16, Link>,
}

/// An interface, and the tags that its frames have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The kernel's index.
    pub ifindex: u32,
    /// The tags.
    pub vlan: Vlan,
}

/// Sends every host of these connections a frame by `send`, and calls `rest` after each few of them.
///
/// # Errors
/// Where the kernel does not tell which there are.
pub(super) fn prompt(
    established: &mut dyn SweptTable<FlowKey, Flow>,
    prompt: &Prompt,
    send: &mut dyn FnMut(u32, &[u8]),
    rest: &mut dyn FnMut(),
) -> Result<(), TableError> {
    let mut sent = 0_usize;
    established.read(&mut |keys, flows| {
        for (key, flow) in keys.iter().zip(flows) {
            let link = prompt.links.get(&flow.lan.egress());
            let Some(link) = link.filter(|_| is_lost(prompt.uplinks, key, flow)) else { continue };
            send(link.ifindex, &segment::frame(key, flow, link.vlan));
            sent += 1;
            if sent.is_multiple_of(AT_ONCE) {
                rest();
            }
        }
    })
}

/// Whether the entry is what comes in of a connection of one of the uplinks, as far as the LAN has opened it and it
/// still stands.
fn is_lost(uplinks: u64, key: &FlowKey, flow: &Flow) -> bool {
    flow.direction == Direction::In as u8
        && key.protocol() == Protocol::TCP
        && flow.opener == Opener::Lan as u8
        && !flow.is_routed()
        && uplinks >> flow.uplink & 1 == 1
        && Mark(flow.mark).seen() & Mark::RST == 0
}

#[cfg(test)]
mod tests;
