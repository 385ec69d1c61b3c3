//! Which flows are to move, and in which order.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use foldhash::fast::RandomState;
use pointsman_ebpf::abi::{
    DigestKey, Direction, Flow, FlowKey, Ipv6, Mark, Masquerade, Pin, Sticky, to_ipv6,
};
use pointsman_ebpf::wire::Protocol;

use super::super::TableError;
use super::super::sweep::{MARK_LAG, PinTable, SweptTables};
use super::selection::{Move, Selection};

/// How long those flows that a host outside would see move are silent before they do, in ticks: a call, a
/// game or a tunnel in use is never silent for so long.
pub(super) const SILENT: u32 = pointsman_ebpf::abi::seconds_to_ticks(10) + MARK_LAG;

/// Which flows are to move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The uplinks that give back what moves without harm, a bit each by identifier.
    pub gently: u64,
    /// Those that give back all, also at once what a move breaks.
    pub entirely: u64,
}

impl Terms {
    /// What moves without harm, of all uplinks.
    pub const GENTLE: Self = Self { gently: u64::MAX, entirely: 0 };

    /// All of all uplinks.
    pub const ALL: Self = Self { gently: 0, entirely: u64::MAX };

    /// What either asks for.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { gently: self.gently | other.gently, entirely: self.entirely | other.entirely }
    }
}

fn has(uplinks: u64, uplink: u8) -> bool {
    uplinks >> (uplink & 63) & 1 == 1
}

/// A table of flows, of which there are entries to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Flow,
    Pin,
}

/// A flow that is to move, by its entry from the LAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) kind: Kind,
    pub(super) key: FlowKey,
    /// The uplink that it leaves, by identifier.
    pub(super) from: u8,
    /// In ticks.
    pub(super) last_used: u32,
    /// The LAN host's address, mapped where it is of IPv4.
    pub(super) host: Ipv6,
    outside: Ipv6,
    harm: Harm,
}

/// What a move does to a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Harm {
    /// Nothing: nobody outside sees it.
    None,
    /// Who is outside gets packets from another address: fine where that is silent.
    Address,
    /// The connection is gone.
    Broken,
}

impl Harm {
    fn of(is_seen: bool, protocol: u8) -> Self {
        match protocol {
            _ if !is_seen => Self::None,
            Protocol::TCP => Self::Broken,
            _ => Self::Address,
        }
    }
}

/// What is to be done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// The flows that move now, the last one first.
    pub(super) moves: Vec<Candidate>,
    /// The LAN hosts of which nothing else keeps what they open on these uplinks, though connections stay there.
    pub(super) leaving: BTreeSet<(Ipv6, u8)>,
    /// How many wait until they are silent, and those that belong to them.
    pub(super) waiting: usize,
    /// How many stay because a move would break them.
    pub(super) staying: usize,
}

/// What belongs together: all flows of a host, or those between two, or one.
type Unit = (Ipv6, Option<Ipv6>, Option<FlowKey>);

/// Plans a rebalancing at `now`, in ticks. Calls `pause` after each slice of the work.
///
/// # Errors
/// Where the kernel refuses.
pub(super) fn plan<T: SweptTables>(
    tables: &mut T,
    selection: &Selection,
    terms: Terms,
    now: u32,
    pause: &mut dyn FnMut(),
) -> Result<Plan, TableError> {
    let mut candidates = flows(tables, selection, pause)?;
    candidates.extend(pins(tables, selection, pause)?);
    candidates.retain(|flow| has(terms.gently | terms.entirely, flow.from));
    Ok(arrange(candidates, selection.group.sticky, terms, now))
}

/// The flows within IPv4, and through NAT64, that are not where a new one would go.
fn flows<T: SweptTables>(
    tables: &mut T,
    selection: &Selection,
    pause: &mut dyn FnMut(),
) -> Result<Vec<Candidate>, TableError> {
    let digest_key = tables.digest_key();
    let table = tables.established();
    let mut found = Vec::new();
    table.read(&mut |keys, flows| {
        for (key, flow) in keys.iter().zip(flows) {
            found.extend(of_entry(selection, &digest_key, key, flow));
        }
        pause();
    })?;
    let mut candidates = Vec::with_capacity(found.len());
    for (candidate, other) in found {
        // What comes in is use, too.
        let other = table.get(&other)?.map_or(0, |flow| Mark(flow.mark).last_seen());
        candidates.push(Candidate { last_used: candidate.last_used.max(other), ..candidate });
    }
    Ok(candidates)
}

/// The flow of an entry, if it is to move, and the key of its other entry.
fn of_entry(
    selection: &Selection,
    digest_key: &DigestKey,
    key: &FlowKey,
    flow: &Flow,
) -> Option<(Candidate, FlowKey)> {
    let candidate = |key, moves: Move, host, outside, protocol| Candidate {
        kind: Kind::Flow,
        key,
        from: moves.from,
        last_used: Mark(flow.mark).last_seen().max(flow.created),
        host,
        outside,
        harm: Harm::of(moves.is_seen, protocol),
    };
    if flow.direction == Direction::Out as u8 {
        let moves = selection.of_flow(key, flow)?;
        let (host, outside) = (key.source().into(), key.destination().into());
        return Some((candidate(*key, moves, host, outside, key.protocol()), key.peer(flow)));
    }
    if flow.direction != Direction::In64 as u8 {
        return None;
    }
    // Only the entry from the uplink tells the addresses.
    let ends = (flow.inside(), selection.nat64.embed(key.source()));
    let ports = (flow.port, key.source_port());
    let out_key =
        FlowKey::pinned(digest_key, (ends.0, ports.0), (ends.1, ports.1), to_ipv6(key.protocol()));
    let moves = selection.of_flow64(ends, &out_key, flow)?;
    let out_key = out_key.nat64();
    Some((candidate(out_key, moves, ends.0, ends.1, key.protocol()), out_key))
}

/// The flows of IPv6 that are not where a new one would go.
fn pins<T: SweptTables>(
    tables: &mut T,
    selection: &Selection,
    pause: &mut dyn FnMut(),
) -> Result<Vec<Candidate>, TableError> {
    let digest_key = tables.digest_key();
    let table = tables.pins(PinTable::Established);
    let mut found = Vec::new();
    table.read(&mut |keys, pins| {
        for (key, pin) in keys.iter().zip(pins) {
            found.extend(selection.of_pin(key, pin).map(|moves| (*key, *pin, moves)));
        }
        pause();
    })?;
    let mut candidates = Vec::with_capacity(found.len());
    for (key, pin, moves) in found {
        let came = if pin.masquerade == Masquerade::Out as u8 {
            let other = table.get(&pin.peer(&digest_key, &key))?;
            other.map_or(0, |other| Mark(other.into.mark).last_seen())
        } else {
            Mark(pin.into.mark).last_seen()
        };
        candidates.push(of_pin(key, &pin, moves, came));
    }
    Ok(candidates)
}

fn of_pin(key: FlowKey, pin: &Pin, moves: Move, came: u32) -> Candidate {
    Candidate {
        kind: Kind::Pin,
        key,
        from: moves.from,
        last_used: Mark(pin.out.mark).last_seen().max(came).max(pin.created),
        host: pin.inside,
        outside: pin.outside,
        harm: Harm::of(moves.is_seen, key.protocol()),
    }
}

/// Sorts out which of the flows move at `now`: those that are idle for longest first.
fn arrange(candidates: Vec<Candidate>, sticky: u8, terms: Terms, now: u32) -> Plan {
    let unit = |flow: &Candidate| -> Unit {
        if sticky == Sticky::Source as u8 {
            (flow.host, None, None)
        } else if sticky == Sticky::SourceDestination as u8 {
            (flow.host, Some(flow.outside), None)
        } else {
            (flow.host, Some(flow.outside), Some(flow.key))
        }
    };
    let mut used: HashMap<Unit, u32, RandomState> = HashMap::default();
    for flow in candidates.iter().filter(|flow| flow.harm == Harm::Address) {
        let last = used.entry(unit(flow)).or_default();
        *last = flow.last_used.max(*last);
    }
    let is_silent = |flow: &Candidate| {
        let last = used.get(&unit(flow)).copied().unwrap_or_default();
        now.saturating_sub(last) >= SILENT
    };
    let mut plan = Plan::default();
    for flow in candidates {
        match flow.harm {
            _ if has(terms.entirely, flow.from) => plan.moves.push(flow),
            Harm::Address if !is_silent(&flow) => plan.waiting += 1,
            Harm::Broken => {
                if is_silent(&flow) {
                    plan.leaving.insert((flow.host, flow.from));
                }
                plan.staying += 1;
            }
            _ => plan.moves.push(flow),
        }
    }
    plan.moves.sort_by_key(|flow| Reverse(flow.last_used));
    plan
}
