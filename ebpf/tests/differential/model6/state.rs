//! What the gateway remembers.

use std::collections::BTreeMap;

use pointsman_ebpf::memory::sequence6::Setup6;
use pointsman_ebpf::verdict::DropReason;

use super::mapping::Mappings;
use super::packet::{ACK, Address, FIN, Kind, Packet, RST, SYN, TCP};
use super::site::{Id, LanSide, Site};
use crate::model::state::Traffic;

/// An address and a port, or an echo's identifier.
pub(crate) type End = (Address, u16);

/// What flows are kept together by, as far as it counts.
pub(crate) type Together = (Address, Option<Address>, Option<(u16, u16, u8)>);

/// What tells a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) inside: End,
    pub(crate) outside: End,
    pub(crate) protocol: u8,
}

/// What of a flow whose LAN host shares an address a pin is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shared {
    /// Its host has an address of its own: both directions.
    No,
    /// From the LAN, where its port becomes this one.
    Out(u16),
    /// To this end of the LAN's. It is known by the public one.
    In(End),
}

/// A flow, both directions; or one of them, where the host shares an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pin {
    pub(crate) uplink: Id,
    pub(crate) generation: u32,
    /// Whether a LAN host opened it, or somebody outside.
    pub(crate) by_lan: bool,
    pub(crate) lan: LanSide,
    /// In periods of 2^30 ns.
    pub(crate) created: u32,
    pub(crate) shared: Shared,
    /// Of a flow by a shared address that nobody has answered: of who has opened it.
    pub(crate) out: Traffic,
    pub(crate) into: Traffic,
}

/// What the fragments of a packet have in common: which way it goes, its addresses, and its
/// identification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FragmentKey {
    pub(crate) from_lan: bool,
    pub(crate) inside: Address,
    pub(crate) outside: Address,
    pub(crate) identification: u32,
}

/// What the first fragment of a packet leaves for the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct First {
    /// How many bytes of what is fragmented it had.
    pub(crate) len: usize,
    pub(crate) uplink: Id,
    pub(crate) generation: u32,
    /// The LAN host.
    pub(crate) host: Address,
    pub(crate) lan: LanSide,
}

/// A table of flows, with room for so many.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// With the number of the writing that made it.
    entries: BTreeMap<Key, (u64, Pin)>,
    room: usize,
    evicts: bool,
    written: u64,
}

impl Table {
    fn new(room: u32, evicts: bool) -> Self {
        Self { entries: BTreeMap::new(), room: room as usize, evicts, written: 0 }
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Pin> {
        self.entries.get(key).map(|(_, pin)| *pin)
    }

    pub(crate) fn get_mut(&mut self, key: &Key) -> Option<&mut Pin> {
        self.entries.get_mut(key).map(|(_, pin)| pin)
    }

    /// Writes an entry. Where there is no room, the oldest goes, or nothing is written.
    pub(crate) fn write(&mut self, key: Key, pin: Pin) -> Result<(), DropReason> {
        if !self.entries.contains_key(&key) && self.entries.len() >= self.room {
            let oldest = self.entries.iter().min_by_key(|(_, (written, _))| *written);
            match oldest.map(|(oldest, _)| *oldest).filter(|_| self.evicts) {
                Some(oldest) => self.entries.remove(&oldest),
                None => return Err(DropReason::FlowTableFull),
            };
        }
        self.written += 1;
        self.entries.insert(key, (self.written, pin));
        Ok(())
    }

    pub(crate) fn remove(&mut self, key: &Key) {
        self.entries.remove(key);
    }

    /// Removes what is over, and says what that was.
    pub(crate) fn remove_if(&mut self, is_over: impl Fn(&Key, &Pin) -> bool) -> Vec<Key> {
        let over = self.entries.extract_if(.., |key, (_, pin)| is_over(key, pin));
        over.map(|(key, _)| key).collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Key, &Pin)> {
        self.entries.iter().map(|(key, (_, pin))| (key, pin))
    }

    pub(crate) fn all(&self) -> BTreeMap<Key, Pin> {
        self.entries.iter().map(|(key, (_, pin))| (*key, *pin)).collect()
    }
}

pub(crate) const ESTABLISHED: usize = 0;
pub(crate) const UNREPLIED: usize = 1;
pub(crate) const INVITED: usize = 2;

/// All of it.
#[derive(Clone, Debug)]
pub(crate) struct State {
    /// Established, unreplied, invited.
    pub(crate) pins: [Table; 3],
    pub(crate) fragments: BTreeMap<FragmentKey, First>,
    pub(crate) mappings: Mappings,
}

impl State {
    pub(crate) fn new(setup: &Setup6) -> Self {
        let [established, unreplied, invited] = setup.pins;
        let pins = [
            Table::new(established, false),
            Table::new(unreplied, true),
            Table::new(invited, true),
        ];
        Self { pins, fragments: BTreeMap::new(), mappings: Mappings::new(&setup.mappings) }
    }

    /// The flow of a table, by a host's own end.
    pub(crate) fn of_host(&self, table: usize, key: &Key) -> Option<Pin> {
        self.pins[table].get(key).filter(|pin| !matches!(pin.shared, Shared::In(_)))
    }

    /// The flow of a table that comes in for an address of the host's own.
    pub(crate) fn plain(&self, table: usize, key: &Key) -> Option<Pin> {
        self.pins[table].get(key).filter(|pin| pin.shared == Shared::No)
    }

    /// What an answered flow's packets to the public end of this uplink become.
    pub(crate) fn back(&self, key: &Key, by: (Id, u32)) -> Option<(Pin, End)> {
        let pin = self.pins[ESTABLISHED].get(key)?;
        match pin.shared {
            Shared::In(host) if (pin.uplink, pin.generation) == by => Some((pin, host)),
            _ => None,
        }
    }

    /// Makes the flow of a table, which this packet answers, an established one.
    pub(crate) fn establish(
        &mut self,
        from: usize,
        key: Key,
        packet: &Packet<'_>,
        (from_lan, now): (bool, u64),
    ) -> Result<(), DropReason> {
        let Some(mut pin) = self.pins[from].get(&key) else { return Ok(()) };
        let track = if from_lan { &mut pin.out } else { &mut pin.into };
        let first = first_traffic(packet, now);
        (track.last, track.seen) = (first.last, first.seen);
        self.pins[ESTABLISHED].write(key, pin)?;
        self.pins[from].remove(&key);
        Ok(())
    }
}

/// The bits of [`Traffic::seen`].
fn seen(packet: &Packet<'_>) -> u8 {
    let flags = if packet.protocol == TCP { packet.flags } else { 0 };
    let bit = |is: bool, bit: u8| if is { bit } else { 0 };
    1 | bit(flags & (ACK | SYN) == ACK, 2) | bit(flags & FIN != 0, 4) | bit(flags & RST != 0, 8)
}

/// The traffic of a direction that this is the first packet of.
pub(crate) fn first_traffic(packet: &Packet<'_>, now: u64) -> Traffic {
    Traffic { last: (now >> 30) as u32, seen: seen(packet), sequence: None }
}

/// Notes a packet. A reset out of nowhere leaves no trace, and nor does a SYN in the middle of a
/// connection (RFC 5382 section 5; RFC 5961).
pub(crate) fn note(traffic: &mut Traffic, packet: &Packet<'_>, now: u64) {
    let last = (now >> 30) as u32;
    let over = traffic.seen & 2 == 0 || traffic.seen & (4 | 8) != 0;
    let begins = packet.protocol == TCP && packet.flags & SYN != 0 && over;
    let seen = if begins { 0 } else { traffic.seen } | seen(packet);
    if (last, seen) == (traffic.last, traffic.seen) {
        return;
    }
    if packet.is_reset() {
        let plausible = traffic.sequence.is_none_or(|noted| {
            // 64 KiB before what was noted, and 256 MiB after.
            let ahead = packet.sequence.wrapping_sub(noted.wrapping_sub(1 << 16));
            ahead <= (1 << 16) + (1 << 28)
        });
        if !plausible {
            return;
        }
    } else if packet.protocol == TCP {
        traffic.sequence = Some(packet.sequence);
    }
    (traffic.last, traffic.seen) = (last, seen);
}

impl Site {
    /// Whether a flow can be sent by the uplink that it is pinned to.
    pub(crate) fn sends(&self, pin: &Pin) -> bool {
        let uplink = &self.uplinks[&pin.uplink];
        uplink.alive && uplink.generation == pin.generation
    }
}

/// Whether the packet may be of a flow.
pub(crate) fn may_be_of_flow(packet: &Packet<'_>) -> bool {
    matches!(packet.kind, Kind::Opens | Kind::Belongs)
}
