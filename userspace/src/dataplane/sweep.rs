//! Which flows have been idle for too long, and their removal.
//!
//! A flow is a pair of entries, and is judged by both: it is in use as long as either direction is.
//! What is left of a flow that has moved to another uplink, or lost its other half, is judged by
//! itself.

use pointsman_ebpf::abi::{Direction, Flow, FlowKey, Mark, seconds_to_ticks};

use super::TableError;
use crate::config::Timers;

/// IP protocol numbers (IANA).
const ICMP: u8 = 1;
const TCP: u8 = 6;

/// How far a mark may be behind the packets, in ticks: the data plane writes it once in an epoch,
/// which is 256 ticks of the scheduler, 2.56 s where it has the fewest (`HZ=100`).
const MARK_LAG: u32 = 3;

/// A table of flow entries that the data plane works on meanwhile.
pub trait FlowTable {
    /// The keys of all entries. One that comes or goes meanwhile may be missed or come twice.
    fn keys(&self) -> impl Iterator<Item = Result<FlowKey, TableError>>;

    /// The entry of this key, as it is now.
    ///
    /// # Errors
    /// Where the kernel refuses.
    fn get(&self, key: &FlowKey) -> Result<Option<Flow>, TableError>;

    /// Removes the entry of this key, if there is one.
    ///
    /// # Errors
    /// Where the kernel refuses.
    fn remove(&mut self, key: &FlowKey) -> Result<(), TableError>;
}

/// How long a flow may be idle, in [`pointsman_ebpf::abi::ticks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdleTicks {
    udp: u32,
    tcp_established: u32,
    tcp_transitory: u32,
    icmp: u32,
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
    fn of(&self, protocol: u8, seen: [u32; 2]) -> u32 {
        match protocol {
            TCP if is_established(seen) => self.tcp_established,
            TCP => self.tcp_transitory,
            ICMP => self.icmp,
            _ => self.udp,
        }
    }

    /// The shortest time that any flow of this protocol may be idle.
    fn least(&self, protocol: u8) -> u32 {
        match protocol {
            TCP => self.tcp_established.min(self.tcp_transitory),
            ICMP => self.icmp,
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

/// Whether a flow with these marks may go. Without a mark for the other direction the entry stands
/// alone.
fn is_expired(protocol: u8, own: Mark, other: Option<Mark>, now: u32, idle: &IdleTicks) -> bool {
    let other = other.unwrap_or_default();
    let last_seen = own.last_seen().max(other.last_seen());
    // The data plane may be a tick ahead by now.
    now.saturating_sub(last_seen) > idle.of(protocol, [own.seen(), other.seen()])
}

/// What is to be removed, as it was when it was judged.
struct Victim {
    key: FlowKey,
    mark: u64,
    peer: Option<(FlowKey, u64)>,
}

/// Removes every flow that has been idle for longer than it may at `now`, in ticks. Calls `pause`
/// after each slice of the work. Returns how many entries there are.
///
/// # Errors
/// Where the kernel refuses; what was removed is removed.
pub fn sweep<T: FlowTable>(
    table: &mut T,
    now: u32,
    idle: &IdleTicks,
    mut pause: impl FnMut(),
) -> Result<usize, TableError> {
    /// Entries between two pauses: about a millisecond of work.
    const SLICE: usize = 1024;
    let mut entries = 0;
    let mut victims = Vec::new();
    for key in table.keys() {
        victims.extend(judge(table, &key?, now, idle)?);
        entries += 1;
        if entries % SLICE == 0 {
            pause();
        }
    }
    // Only now, for the kernel starts its list again where the key that it has reached is gone.
    for (count, victim) in victims.iter().enumerate() {
        entries = entries.saturating_sub(remove(table, victim)?);
        if count % SLICE == SLICE - 1 {
            pause();
        }
    }
    Ok(entries)
}

fn judge<T: FlowTable>(
    table: &T,
    key: &FlowKey,
    now: u32,
    idle: &IdleTicks,
) -> Result<Option<Victim>, TableError> {
    let Some(flow) = table.get(key)? else {
        return Ok(None);
    };
    let own = Mark(flow.mark);
    if now.saturating_sub(own.last_seen()) <= idle.least(key.protocol()) {
        return Ok(None);
    }
    let peer_key = key.peer(&flow);
    let peer = table
        .get(&peer_key)?
        .filter(|peer| peer.direction != flow.direction && peer_key.peer(peer) == *key);
    if peer.is_some() && flow.direction == Direction::In as u8 {
        // The pair is judged when its other entry is.
        return Ok(None);
    }
    let expired = is_expired(key.protocol(), own, peer.map(|peer| Mark(peer.mark)), now, idle);
    Ok(expired.then_some(Victim {
        key: *key,
        mark: flow.mark,
        peer: peer.map(|peer| (peer_key, peer.mark)),
    }))
}

/// Removes what has not been used since it was judged: the entry of the outward direction first, so
/// that no packet of the LAN leaves by a port that is free already. Returns how many entries went.
fn remove<T: FlowTable>(table: &mut T, victim: &Victim) -> Result<usize, TableError> {
    let mut removed = 0;
    for (key, mark) in [(victim.key, victim.mark)].into_iter().chain(victim.peer) {
        // In use again, and so is its pair; or gone.
        let Some(flow) = table.get(&key)?.filter(|flow| flow.mark == mark) else {
            break;
        };
        table.remove(&key)?;
        removed += 1;
        if flow.direction == Direction::In as u8 {
            remove_half_opened(table, &key, &flow)?;
        }
    }
    Ok(removed)
}

/// Removes the outward entry that a packet has made for this inward one just before it went. No
/// answer would find its way; so the next packet is to open the flow anew.
fn remove_half_opened<T: FlowTable>(
    table: &mut T,
    key: &FlowKey,
    flow: &Flow,
) -> Result<(), TableError> {
    let out_key = key.peer(flow);
    let is_its_own =
        |out: Flow| out.direction == Direction::Out as u8 && out_key.peer(&out) == *key;
    // In this order, for the data plane makes the inward entry first: a flow that is opened wholly
    // meanwhile is not taken for half of one.
    if table.get(&out_key)?.is_some_and(is_its_own) && table.get(key)?.is_none() {
        table.remove(&out_key)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
