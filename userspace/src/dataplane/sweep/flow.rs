//! Flows. One is judged by both its entries: it is in use as long as either direction is. What is
//! left of a flow that has moved to another uplink is judged by itself.

use pointsman_ebpf::abi::{Direction, Flow, FlowKey, Host, Ipv4, Mark, Opener};

use super::mapping::Mapping;
use super::nat44::Entry44;
use super::nat64::Entry64;
use super::{Pass, REMOVED_TOGETHER, SweptTable, TableError};

/// A table of flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Established,
    Unreplied,
    Invited,
}

/// What a flow's entries are judged by.
pub(super) trait Judged: Copy {
    /// What the table has under a key.
    type Value: Copy;

    /// Whether that is an entry of this kind of flow: one of another kind may have the key by now.
    fn is_of_kind(value: &Self::Value) -> bool;

    /// The entry of this key.
    fn new(pass: &Pass<'_>, key: &FlowKey, value: &Self::Value) -> Self;

    /// The part that all kinds of flows have.
    fn entry(&self) -> &Entry;

    /// The mapping by which the LAN's host, or the sender of a hairpin, is known. Who is known as it is,
    /// because its address is routed, has none.
    fn mapping(&self) -> Option<Mapping>;

    /// Under which key the remote end is permitted to send.
    fn permission(&self) -> FlowKey;

    /// What the LAN's host is counted under, of an entry from the LAN; none where those do not count.
    fn host(&self) -> Option<Ipv4>;

    /// The key of the other entry of the flow of an entry, if that tells.
    fn peer_key(pass: &Pass<'_>, key: &FlowKey, value: &Self::Value) -> Option<FlowKey>;

    /// Whether `peer` is that other entry, and not another flow's by now.
    fn is_peer(
        pass: &Pass<'_>,
        own: (&FlowKey, &Self::Value),
        peer: (&FlowKey, &Self::Value),
    ) -> bool;
}

/// What counts of an entry of any kind of flow. A pass holds all of a table at once, so it is kept
/// small.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    /// A hash that both entries of a flow have in common.
    pub(super) flow: u64,
    pub(super) key: FlowKey,
    /// In ticks.
    pub(super) last_used: u32,
    /// The bits of a [`Mark`].
    pub(super) seen: u8,
    pub(super) uplink: u8,
    pub(super) opener: u8,
    pub(super) is_inward: bool,
}

const _: () = assert!(size_of::<Entry>() == 32);

impl Entry {
    /// The entry of this key, whose flow has what is hashed to `flow_hash` in common.
    pub(super) fn of(flow_hash: u64, key: &FlowKey, flow: &Flow) -> Self {
        let mark = Mark(flow.mark);
        Self {
            flow: flow_hash,
            key: *key,
            // One that no packet has taken yet has no mark.
            last_used: mark.last_seen().max(flow.created),
            seen: mark.seen() as u8,
            uplink: flow.uplink,
            opener: flow.opener,
            is_inward: flow.direction == Direction::In as u8
                || flow.direction == Direction::In64 as u8,
        }
    }
}

impl Entry {
    /// Whether it is that of the outward direction of a flow that a LAN host has opened.
    fn is_opened_by_lan(&self) -> bool {
        !self.is_inward && self.opener == Opener::Lan as u8
    }
}

/// An entry, and that of the other direction, if there is one.
type Pair<E> = (E, Option<E>);

impl Pass<'_> {
    /// Removes the idle flows of a table, and notes what the others need. Returns how many entries
    /// stay.
    pub(super) fn sweep_flows(
        &mut self,
        kind: Kind,
        table: &mut dyn SweptTable<FlowKey, Flow>,
    ) -> Result<usize, TableError> {
        let (entries, entries64) = self.read(table)?;
        Ok(self.judge(kind, table, entries)? + self.judge(kind, table, entries64)?)
    }

    /// All entries of a table: of flows within IPv4, and of those through NAT64.
    fn read(
        &mut self,
        table: &mut dyn SweptTable<FlowKey, Flow>,
    ) -> Result<(Vec<Entry44>, Vec<Entry64>), TableError> {
        let (mut entries, mut entries64) = (Vec::new(), Vec::new());
        table.read(&mut |keys, flows| {
            for (key, flow) in keys.iter().zip(flows) {
                if Entry64::is_of_kind(flow) {
                    entries64.push(Entry64::new(self, key, flow));
                } else {
                    entries.push(Entry44::new(self, key, flow));
                }
            }
            (self.pause)();
        })?;
        Ok((entries, entries64))
    }

    /// Removes those of these entries whose flows are idle, and notes what the others need. Returns how
    /// many stay.
    pub(super) fn judge<E: Judged>(
        &mut self,
        kind: Kind,
        table: &mut dyn SweptTable<FlowKey, E::Value>,
        mut entries: Vec<E>,
    ) -> Result<usize, TableError> {
        entries.sort_unstable_by_key(|entry| entry.entry().flow);
        let mut kept = 0;
        let mut idle = Vec::new();
        for flow in entries.chunk_by(|entry, next| entry.entry().flow == next.entry().flow) {
            let (first, others) = (flow[0], &flow[1..]);
            let pair = match others {
                [] => (first, None),
                // The outward one is to go first, so it comes first.
                [other] if first.entry().is_inward => (*other, Some(first)),
                [other] => (first, Some(*other)),
                // Flows that have the hash in common by chance: the next pass tells them apart.
                _ => {
                    flow.iter().for_each(|entry| self.note(kind, &(*entry, None)));
                    kept += flow.len();
                    continue;
                }
            };
            if self.stays(kind, &pair) {
                self.note(kind, &pair);
                kept += flow.len();
            } else {
                idle.push(pair.0.entry().key);
            }
        }
        drop(entries);
        Ok(kept + self.remove_flows::<E>(kind, table, &idle)?)
    }

    fn stays<E: Judged>(&self, kind: Kind, (own, other): &Pair<E>) -> bool {
        let own = own.entry();
        // Both entries are made together, the inward one first. Without it no answer would find its
        // way, so the next packet is to open the flow anew.
        if kind == Kind::Established && other.is_none() && !own.is_inward {
            return false;
        }
        let of_other = |other: &E| (other.entry().last_used, other.entry().seen);
        let (last_used, seen) = other.as_ref().map_or((0, 0), of_other);
        let timer = self.idle.of_flow(own.key.protocol(), [own.seen, seen].map(u32::from));
        // The data plane may be a tick ahead by now.
        self.now.saturating_sub(own.last_used.max(last_used)) <= timer
    }

    /// Notes what a flow that stays needs, and what it is counted as.
    fn note<E: Judged>(&mut self, kind: Kind, (own, other): &Pair<E>) {
        // Of a flow that has moved to another uplink, an inward entry is left.
        if kind != Kind::Established || other.is_some() {
            self.flows.add(own.entry().uplink);
        }
        // The two of a hairpin are not known by the same mapping.
        let other_end = other.as_ref().filter(|other| !other.entry().is_inward);
        for entry in [Some(own), other_end].into_iter().flatten() {
            if let Some(mapping) = entry.mapping() {
                self.in_use.note(&mapping, &entry.permission());
            }
        }
        if let Some(host) = own.host().filter(|_| own.entry().is_opened_by_lan()) {
            let of_other = other.as_ref().map_or(0, |other| other.entry().last_used);
            self.note_use(host, own.entry(), own.entry().last_used.max(of_other));
        }
        if kind == Kind::Unreplied {
            let opened = |entry: &&E| entry.entry().opener == Opener::Lan as u8;
            if let Some(opening) = [Some(own), other.as_ref()].into_iter().flatten().find(opened) {
                if let Some(host) = opening.host() {
                    self.host(host).unreplied += 1;
                }
                let key = opening.entry().key;
                self.unreplied.extend(opening.mapping().map(|mapping| (key, mapping)));
            }
        }
    }

    /// What a LAN host has, so far.
    pub(super) fn host(&mut self, address: Ipv4) -> &mut Host {
        self.hosts.entry(address).or_default()
    }

    /// Removes the flows of these entries that are still idle. Returns how many entries stay.
    fn remove_flows<E: Judged>(
        &mut self,
        kind: Kind,
        table: &mut dyn SweptTable<FlowKey, E::Value>,
        idle: &[FlowKey],
    ) -> Result<usize, TableError> {
        let mut kept = 0;
        for keys in idle.chunks(REMOVED_TOGETHER) {
            let (mut outward, mut inward) = (Vec::new(), Vec::new());
            for key in keys {
                let Some(pair) = self.find::<E>(table, key)? else { continue };
                if self.stays(kind, &pair) {
                    self.note(kind, &pair);
                    kept += 1 + usize::from(pair.1.is_some());
                } else {
                    for entry in [Some(pair.0), pair.1].iter().flatten().map(E::entry) {
                        let way = if entry.is_inward { &mut inward } else { &mut outward };
                        way.push(entry.key);
                    }
                }
            }
            // Those of the outward direction first, so that no packet of the LAN leaves whose
            // answer would not get in.
            outward.append(&mut inward);
            table.remove(&outward)?;
            (self.pause)();
        }
        Ok(kept)
    }

    /// The flow of this key as it is now.
    fn find<E: Judged>(
        &self,
        table: &dyn SweptTable<FlowKey, E::Value>,
        key: &FlowKey,
    ) -> Result<Option<Pair<E>>, TableError> {
        let Some(value) = table.get(key)?.filter(E::is_of_kind) else { return Ok(None) };
        let own = E::new(self, key, &value);
        let Some(peer_key) = E::peer_key(self, key, &value) else { return Ok(Some((own, None))) };
        let peer = table
            .get(&peer_key)?
            .filter(|peer| E::is_peer(self, (key, &value), (&peer_key, peer)))
            .map(|peer| E::new(self, &peer_key, &peer));
        Ok(Some((own, peer)))
    }
}
