//! What the gateway remembers.

use std::collections::BTreeMap;

use pointsman_ebpf::memory::sequence::{End, Setup};

use super::site::Id;

/// What tells a flow's packets of one direction, as they come in: by the LAN or by an uplink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) uplink: Option<Id>,
    pub(crate) protocol: u8,
    pub(crate) from: End,
    pub(crate) to: End,
}

/// What a packet's source, and its destination, become; nothing where they stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Translation {
    pub(crate) source: Option<End>,
    pub(crate) destination: Option<End>,
}

/// One direction of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flow {
    pub(crate) translation: Translation,
    pub(crate) uplink: Id,
    /// Whether the LAN host's end is known outside as it is, by whichever uplink: the translation is to
    /// that end itself.
    pub(crate) routed: bool,
    pub(crate) generation: u32,
    /// Whether a LAN host opened it, or somebody beyond the uplink. Of a hairpin that nobody has
    /// answered: whether this is the opener's direction.
    pub(crate) by_lan: bool,
    /// The LAN host's that it goes to, or, to an uplink, comes from.
    pub(crate) mac: [u8; 6],
    pub(crate) traffic: Traffic,
}

/// What has passed of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// In periods of 2^30 ns.
    pub(crate) last: u32,
    /// Bits: 1 any packet, 2 ACK without SYN, 4 FIN, 8 RST.
    pub(crate) seen: u8,
    /// The sequence number that was noted last.
    pub(crate) sequence: Option<u32>,
}

/// The uplink in the key of what comes in for a prefix that is routed: any that routes it.
pub(crate) const ANY: Id = 64;

impl Flow {
    pub(crate) fn is_hairpin(&self) -> bool {
        self.translation.source.is_some() && self.translation.destination.is_some()
    }

    /// Whether it goes to an uplink.
    pub(crate) fn is_out(&self) -> bool {
        self.translation.destination.is_none()
    }

    /// What its packets look like to who receives them, turned round: the other direction's key.
    pub(crate) fn peer(&self, key: &Key) -> Key {
        Key {
            uplink: self.is_out().then_some(if self.routed { ANY } else { self.uplink }),
            protocol: key.protocol,
            from: self.translation.destination.unwrap_or(key.to),
            to: self.translation.source.unwrap_or(key.from),
        }
    }
}

/// Whose a mapping is: on an uplink, of a protocol, of a LAN host's end, and towards a remote
/// address where there are no ports to tell hosts apart by; elsewhere towards 0.0.0.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MappingKey {
    pub(crate) uplink: Id,
    pub(crate) protocol: u8,
    pub(crate) host: End,
    pub(crate) remote: [u8; 4],
}

/// A public end of an uplink, likewise; or what one remote address may send to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PublicKey {
    pub(crate) uplink: Id,
    pub(crate) protocol: u8,
    pub(crate) public: End,
    pub(crate) remote: [u8; 4],
}

/// The other end of a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mapped {
    pub(crate) end: End,
    pub(crate) generation: u32,
    pub(crate) mac: [u8; 6],
}

/// What a host takes of the tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) mappings: u64,
    pub(crate) unreplied: u64,
    /// By which uplink the flow leaves that it opened last.
    pub(crate) placement: Option<Id>,
}

/// A datagram whose first fragment has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Datagram {
    pub(crate) flow: Flow,
    /// How many bytes of it the first fragment had.
    pub(crate) first: usize,
}

/// All of it. What can be full refuses.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) established: BTreeMap<Key, Flow>,
    pub(crate) unreplied: BTreeMap<Key, Flow>,
    pub(crate) invited: BTreeMap<Key, Flow>,
    /// By the key of a later fragment, the identification in the place of the source's port.
    pub(crate) datagrams: BTreeMap<Key, Datagram>,
    /// To what a LAN host's end is translated.
    pub(crate) mappings: BTreeMap<MappingKey, Mapped>,
    /// Whose a public end is.
    pub(crate) publics: BTreeMap<PublicKey, Mapped>,
    /// Who may send to a public end, where that depends on the address.
    pub(crate) permissions: BTreeMap<PublicKey, Mapped>,
    pub(crate) hosts: BTreeMap<[u8; 4], Host>,
    flows_max: usize,
    mappings_max: usize,
}

impl State {
    pub(crate) fn new(setup: &Setup) -> Self {
        Self {
            flows_max: setup.flows as usize,
            mappings_max: setup.bindings as usize,
            ..Self::default()
        }
    }

    /// Whether there is room for one more direction of an established flow.
    pub(crate) fn has_flow_room(&self) -> bool {
        self.established.len() < self.flows_max
    }

    /// How many more entries of mappings, of both sides, and permissions there may be.
    pub(crate) fn mapping_room(&self) -> usize {
        let taken = self.mappings.len() + self.publics.len() + self.permissions.len();
        self.mappings_max.saturating_sub(taken)
    }

    pub(crate) fn host(&mut self, address: [u8; 4]) -> &mut Host {
        self.hosts.entry(address).or_default()
    }
}
