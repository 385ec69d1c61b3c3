//! Flows. One is judged by both its entries: it is in use as long as either direction is. What is
//! left of a flow that has moved to another uplink is judged by itself.

use pointsman_ebpf::abi::{
    Direction, Flow, FlowKey, Host, Ipv4, L4Port, Mark, Opener, mapping_remote,
};

use super::in_use::InUse;
use super::mapping::Mapping;
use super::{Pass, REMOVED_TOGETHER, SweptTable, TableError};

/// A table of flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Established,
    Unreplied,
    Invited,
}

/// What counts of a flow entry. A pass holds all of a table at once, so it is kept small.
#[derive(Clone, Copy)]
struct Entry {
    /// A hash that both entries of a flow have in common.
    flow: u64,
    key: FlowKey,
    translated: (Ipv4, L4Port),
    /// In ticks.
    last_used: u32,
    /// The bits of a [`Mark`].
    seen: u8,
    uplink: u8,
    direction: u8,
    opener: u8,
}

const _: () = assert!(size_of::<Entry>() == 40);

impl Entry {
    fn new(in_use: &InUse, key: &FlowKey, flow: &Flow) -> Self {
        let peer = key.peer(flow);
        let mark = Mark(flow.mark);
        Self {
            flow: in_use.hash((peer.min(*key), peer.max(*key))),
            key: *key,
            translated: (flow.address, flow.port),
            // One that no packet has taken yet has no mark.
            last_used: mark.last_seen().max(flow.created),
            seen: mark.seen() as u8,
            uplink: flow.uplink,
            direction: flow.direction,
            opener: flow.opener,
        }
    }

    fn is_inward(&self) -> bool {
        self.direction == Direction::In as u8
    }

    /// The mapping by which the LAN's host, or the sender of a hairpin, is known. Who is known as it is,
    /// because its address is routed, has none.
    fn mapping(&self) -> Option<Mapping> {
        let (end, remote, public) = self.ends();
        let protocol = self.key.protocol();
        let remote = mapping_remote(protocol, remote);
        let inner = FlowKey::internal(end, remote, protocol, self.uplink);
        (end != public).then_some(Mapping { inner, public })
    }

    /// Under which key the remote end is permitted to send.
    fn permission(&self) -> FlowKey {
        let (_, remote, public) = self.ends();
        FlowKey::external(remote, public, self.key.protocol(), self.uplink)
    }

    /// The LAN host's end, the remote end's address, and the public end.
    fn ends(&self) -> ((Ipv4, L4Port), Ipv4, (Ipv4, L4Port)) {
        let key = &self.key;
        if self.is_inward() {
            (self.translated, key.source(), key.to())
        } else {
            (key.from(), key.destination(), self.translated)
        }
    }
}

/// An entry, and that of the other direction, if there is one.
type Pair = (Entry, Option<Entry>);

impl Pass<'_> {
    /// Removes the idle flows of a table, and notes what the others need. Returns how many entries
    /// stay.
    pub(super) fn sweep_flows(
        &mut self,
        kind: Kind,
        table: &mut dyn SweptTable<FlowKey, Flow>,
    ) -> Result<usize, TableError> {
        let mut entries = self.read(table)?;
        entries.sort_unstable_by_key(|entry| entry.flow);
        let mut kept = 0;
        let mut idle = Vec::new();
        for flow in entries.chunk_by(|entry, next| entry.flow == next.flow) {
            let (first, others) = (flow[0], &flow[1..]);
            let pair = match others {
                [] => (first, None),
                // The outward one is to go first, so it comes first.
                [other] if first.is_inward() => (*other, Some(first)),
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
                idle.push(pair.0.key);
            }
        }
        drop(entries);
        Ok(kept + self.remove_flows(kind, table, &idle)?)
    }

    fn read(
        &mut self,
        table: &mut dyn SweptTable<FlowKey, Flow>,
    ) -> Result<Vec<Entry>, TableError> {
        let mut entries = Vec::new();
        table.read(&mut |keys, flows| {
            let read = keys.iter().zip(flows);
            entries.extend(read.map(|(key, flow)| Entry::new(&self.in_use, key, flow)));
            (self.pause)();
        })?;
        Ok(entries)
    }

    fn stays(&self, kind: Kind, (own, other): &Pair) -> bool {
        // Both entries are made together, the inward one first. Without it no answer would find its
        // way, so the next packet is to open the flow anew.
        if kind == Kind::Established && other.is_none() && !own.is_inward() {
            return false;
        }
        let (last_used, seen) =
            other.as_ref().map_or((0, 0), |other| (other.last_used, other.seen));
        let timer = self.idle.of_flow(own.key.protocol(), [own.seen, seen].map(u32::from));
        // The data plane may be a tick ahead by now.
        self.now.saturating_sub(own.last_used.max(last_used)) <= timer
    }

    /// Notes what a flow that stays needs, and what it is counted as.
    fn note(&mut self, kind: Kind, (own, other): &Pair) {
        // The two of a hairpin are not known by the same mapping.
        let other_end = other.as_ref().filter(|other| !other.is_inward());
        for entry in [Some(own), other_end].into_iter().flatten() {
            if let Some(mapping) = entry.mapping() {
                self.in_use.note(&mapping, &entry.permission());
            }
        }
        if kind == Kind::Unreplied {
            let opened = |entry: &&Entry| entry.opener == Opener::Lan as u8;
            if let Some(opening) = [Some(own), other.as_ref()].into_iter().flatten().find(opened) {
                self.host(opening.key.source()).unreplied += 1;
                self.unreplied.extend(opening.mapping().map(|mapping| (opening.key, mapping)));
            }
        }
    }

    /// What a LAN host has, so far.
    pub(super) fn host(&mut self, address: Ipv4) -> &mut Host {
        self.hosts.entry(address).or_default()
    }

    /// Removes the flows of these entries that are still idle. Returns how many entries stay.
    fn remove_flows(
        &mut self,
        kind: Kind,
        table: &mut dyn SweptTable<FlowKey, Flow>,
        idle: &[FlowKey],
    ) -> Result<usize, TableError> {
        let mut kept = 0;
        for keys in idle.chunks(REMOVED_TOGETHER) {
            let (mut own, mut others) = (Vec::new(), Vec::new());
            for key in keys {
                let Some(pair) = self.find(table, key)? else { continue };
                if self.stays(kind, &pair) {
                    self.note(kind, &pair);
                    kept += 1 + usize::from(pair.1.is_some());
                } else {
                    own.push(*key);
                    others.extend(pair.1.map(|other| other.key));
                }
            }
            // Those of the outward direction first, so that no packet of the LAN leaves whose
            // answer would not get in.
            own.append(&mut others);
            table.remove(&own)?;
            (self.pause)();
        }
        Ok(kept)
    }

    /// The flow of this key as it is now.
    fn find(
        &self,
        table: &dyn SweptTable<FlowKey, Flow>,
        key: &FlowKey,
    ) -> Result<Option<Pair>, TableError> {
        let Some(flow) = table.get(key)? else { return Ok(None) };
        let peer_key = key.peer(&flow);
        let peer = table.get(&peer_key)?.filter(|peer| peer_key.peer(peer) == *key);
        Ok(Some((
            Entry::new(&self.in_use, key, &flow),
            peer.map(|peer| Entry::new(&self.in_use, &peer_key, &peer)),
        )))
    }
}
