//! Moves flows to where new ones would go: when an uplink is back, and the flows that it has lost are to come
//! back too.
//!
//! A flow moves at its next packet, as it does when its uplink dies: the daemon takes the generation out of
//! its entry from the LAN, and the data plane then chooses anew. What still comes in by the uplink that it
//! leaves is let in.
//!
//! Nobody outside sees it where the flow is routed as it is. Where it is translated, its packets come from
//! another address from then on. For a connection of TCP that is the end; a call, or a game, may end too.
//! So, if not asked to move all:
//! - what is routed moves at once;
//! - what is translated, and no TCP, moves when it has been silent for ten seconds, and the others of what is
//!   kept together with it too: SIP waits for its RTP;
//! - TCP that is translated stays until it ends. What the host opens next does not.
//!
//! Those that are idle for longest go first, and never more than [`RATE`] a second.

mod plan;
mod selection;

use pointsman_ebpf::abi::{Host, Ipv4, Ipv6, Placement};

use super::TableError;
use super::sweep::{PinTable, SweptTables};
pub use plan::Terms;
use plan::{Candidate, Kind, Plan, plan};
pub use selection::{Move, Selection};

/// How many flows move in a second. Each is set up anew, here and perhaps at who is beyond the uplink.
pub const RATE: usize = 500;

/// How many steps of moves there are in a second.
pub(super) const STEPS: usize = 10;

/// A rebalancing that goes on.
#[derive(Debug)]
pub(super) struct Rebalancing {
    terms: Terms,
    plan: Plan,
    moved: usize,
}

/// How far a rebalancing has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// How many flows were moved.
    pub moved: usize,
    /// How many are to move yet, as fast as they may.
    pub to_move: usize,
    /// How many wait until they, and what belongs to them, are silent.
    pub waiting: usize,
    /// How many stay where they are, because a move would break them.
    pub staying: usize,
}

impl Progress {
    /// Whether nothing is left to do.
    pub fn is_done(&self) -> bool {
        self.to_move + self.waiting == 0
    }
}

impl Rebalancing {
    /// Begins one at `now`, in ticks. Calls `pause` after each slice of the work, about a millisecond.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub(super) fn begin<T: SweptTables>(
        tables: &mut T,
        selection: &Selection,
        terms: Terms,
        now: u32,
        pause: &mut dyn FnMut(),
    ) -> Result<Self, TableError> {
        let plan = plan(tables, selection, terms, now, pause)?;
        Ok(Self { terms, plan, moved: 0 })
    }

    /// Looks once more for what is to move.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub(super) fn look_again<T: SweptTables>(
        &mut self,
        tables: &mut T,
        selection: &Selection,
        now: u32,
        pause: &mut dyn FnMut(),
    ) -> Result<(), TableError> {
        self.plan = plan(tables, selection, self.terms, now, pause)?;
        Ok(())
    }

    /// The terms of one that does what this one would, and one of these terms.
    pub(super) fn with(&self, terms: Terms) -> Terms {
        self.terms.and(terms)
    }

    pub(super) fn progress(&self) -> Progress {
        Progress {
            moved: self.moved,
            to_move: self.plan.moves.len(),
            waiting: self.plan.waiting,
            staying: self.plan.staying,
        }
    }

    /// Moves the next flows, at most `count`.
    ///
    /// # Errors
    /// Where the kernel refuses; what was moved is moved.
    pub(super) fn step<T: SweptTables>(
        &mut self,
        tables: &mut T,
        selection: &Selection,
        count: usize,
    ) -> Result<(), TableError> {
        while let Some((host, uplink)) = self.plan.leaving.pop_first() {
            forget_placement(tables, host, uplink)?;
        }
        for _ in 0..count {
            let Some(flow) = self.plan.moves.pop() else { break };
            self.moved += usize::from(release(tables, selection, &flow)?);
        }
        Ok(())
    }
}

/// Has a flow choose its uplink anew, if it is still to. Its host first: what the host opens meanwhile goes
/// where the flow is to go.
fn release<T: SweptTables>(
    tables: &mut T,
    selection: &Selection,
    flow: &Candidate,
) -> Result<bool, TableError> {
    let is_there = match flow.kind {
        Kind::Flow => tables.established().get(&flow.key)?.is_some_and(|entry| {
            uplink_and_generation(selection, entry.uplink, entry.generation) == Some(flow.from)
        }),
        Kind::Pin => tables.pins(PinTable::Established).get(&flow.key)?.is_some_and(|pin| {
            let known = selection.uplinks6.get(&pin.uplink);
            pin.uplink == flow.from && known.is_some_and(|it| it.generation == pin.generation)
        }),
    };
    if !is_there {
        return Ok(false);
    }
    forget_placement(tables, flow.host, flow.from)?;
    // Read once more right before it is written: the data plane writes what has passed.
    match flow.kind {
        Kind::Flow => {
            let table = tables.established();
            let Some(mut entry) = table.get(&flow.key)? else { return Ok(false) };
            entry.generation = 0;
            table.write(&[flow.key], &[entry])?;
        }
        Kind::Pin => {
            let table = tables.pins(PinTable::Established);
            let Some(mut pin) = table.get(&flow.key)? else { return Ok(false) };
            pin.generation = 0;
            table.write(&[flow.key], &[pin])?;
        }
    }
    Ok(true)
}

/// The uplink of an entry, by identifier, if the entry is of its present generation.
fn uplink_and_generation(selection: &Selection, side: u8, generation: u32) -> Option<u8> {
    let is_current = selection.generations.get(&side) == Some(&generation);
    is_current.then(|| pointsman_ebpf::abi::uplink_of(side))
}

/// Nothing keeps the host on this uplink any more.
fn forget_placement<T: SweptTables>(
    tables: &mut T,
    host: Ipv6,
    uplink: u8,
) -> Result<(), TableError> {
    let Some(address) = to_ipv4(host) else { return Ok(()) };
    let hosts = tables.hosts();
    let Some(known) = hosts.get(&address)? else { return Ok(()) };
    if Placement(known.placement).uplink() != Some(uplink) {
        return Ok(());
    }
    hosts.write(&[address], &[Host { placement: Placement::NONE.0, ..known }])
}

/// The address of IPv4 that is mapped.
fn to_ipv4(address: Ipv6) -> Option<Ipv4> {
    let [.., a, b, c, d] = address.octets();
    let ipv4 = Ipv4::new([a, b, c, d]);
    (Ipv6::from(ipv4) == address).then_some(ipv4)
}
