//! How long what may be idle.

use pointsman_ebpf::abi::{Mark, seconds_to_ticks};
use pointsman_ebpf::wire::Protocol;

use crate::config::Timers;

/// How far a mark may be behind the packets, in ticks: the data plane writes it once in an epoch,
/// which is 256 ticks of the scheduler, 2.56 s where it has the fewest (`HZ=100`).
pub(in crate::dataplane) const MARK_LAG: u32 = 3;

/// How long a flow may be idle, in [`pointsman_ebpf::abi::ticks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdleTicks {
    pub(super) udp: u32,
    pub(super) tcp_established: u32,
    pub(super) tcp_transitory: u32,
    pub(super) icmp: u32,
}

impl From<&Timers> for IdleTicks {
    /// No flow goes before its time: parts of a tick count as whole ones, and what a mark may be
    /// behind is added.
    fn from(timers: &Timers) -> Self {
        let ticks = |timer: std::time::Duration| {
            seconds_to_ticks(timer.as_secs() + u64::from(timer.subsec_nanos() > 0)) + MARK_LAG
        };
        Self {
            udp: ticks(timers.udp),
            tcp_established: ticks(timers.tcp_established),
            tcp_transitory: ticks(timers.tcp_transitory),
            icmp: ticks(timers.icmp),
        }
    }
}

impl IdleTicks {
    /// How long a flow of this protocol may be idle, by what has passed in either direction.
    pub(super) fn of_flow(&self, protocol: u8, seen: [u32; 2]) -> u32 {
        match protocol {
            Protocol::TCP if is_established(seen) => self.tcp_established,
            _ => self.of_mapping(protocol),
        }
    }

    /// How long a mapping of this protocol stays without a flow: as long as one that is being
    /// opened.
    pub(super) fn of_mapping(&self, protocol: u8) -> u32 {
        match protocol {
            Protocol::TCP => self.tcp_transitory,
            Protocol::ICMP | Protocol::ICMPV6 => self.icmp,
            _ => self.udp,
        }
    }
}

/// Whether both sides have acknowledged, and neither has ended the connection (RFC 5382 section 2
/// and REQ-5): a FIN of one side leaves it half open, for as long as the other sends.
fn is_established([out, back]: [u32; 2]) -> bool {
    let both = out & back;
    both & Mark::ACK != 0 && both & Mark::FIN == 0 && (out | back) & Mark::RST == 0
}
