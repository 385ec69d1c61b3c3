//! Mappings, where hosts share an address (RFC 4787 sections 4 and 5; RFC 5382 section 4.1; RFC 5508 section
//! 3.1): a LAN host's end has one public port on an uplink, whoever it sends to; its own, if nobody has that,
//! and else one at random, of the same parity if possible.

use std::collections::BTreeMap;

use pointsman_ebpf::memory::sequence6::Mappings6;
use pointsman_ebpf::verdict::DropReason;

use super::Model6;
use super::packet::{Address, Packet};
use super::site::Id;
use super::state::{End, Key, Pin, Shared};

/// What a public port is of: an uplink, and a protocol.
pub(crate) type Realm = (Id, u8);

/// The LAN host's end that a public port is, or that may hear from somebody, as of the uplink's generation.
pub(crate) type Owner = (End, u32);

/// All mappings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mappings {
    /// The public port of a LAN host's end, and the uplink's generation.
    pub(crate) ports: BTreeMap<(Realm, End), (u16, u32)>,
    /// Whose a public port is.
    pub(crate) owners: BTreeMap<(Realm, u16), Owner>,
    /// Who may send to a public port, where that depends on the address.
    pub(crate) permissions: BTreeMap<(Realm, u16, Address), Owner>,
    /// How many mappings a host is held to have.
    pub(crate) counts: BTreeMap<Address, u32>,
    room: usize,
}

/// What the gateway under test has done with a packet that may have got a mapping.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observed {
    /// The ports that the packet's source has now, by uplink, with the generation that they are of.
    pub(crate) ports: BTreeMap<Id, (u16, u32)>,
    pub(crate) reason: Option<DropReason>,
}

impl Mappings {
    pub(crate) fn new(setup: &Mappings6) -> Self {
        Self { room: setup.entries as usize, ..Self::default() }
    }

    /// How many more entries there may be.
    fn left(&self) -> usize {
        let taken = self.ports.len() + self.owners.len() + self.permissions.len();
        self.room.saturating_sub(taken)
    }

    /// Whether nobody else has the port, be it from before the uplink's address changed.
    fn is_free(&self, realm: Realm, port: u16, host: End) -> bool {
        self.owners.get(&(realm, port)).is_none_or(|(owner, _)| *owner == host)
    }

    /// Removes what no flow has, and what is of an older generation; and counts anew.
    pub(crate) fn sweep<'a>(
        &mut self,
        flows: impl Iterator<Item = (&'a Key, &'a Pin)>,
        is_current: impl Fn(Id, u32) -> bool,
    ) {
        let used: Vec<(Realm, u16)> = flows
            .filter_map(|(key, pin)| {
                let port = match pin.shared {
                    Shared::No => return None,
                    Shared::Out(port) => port,
                    Shared::In(_) => key.inside.1,
                };
                Some(((pin.uplink, key.protocol), port))
            })
            .collect();
        let stays = |realm: Realm, port: u16, generation: u32| {
            is_current(realm.0, generation) && used.contains(&(realm, port))
        };
        let is_over =
            |(realm, port): &(Realm, u16), owner: &mut Owner| !stays(*realm, *port, owner.1);
        let gone: Vec<_> = self.owners.extract_if(.., is_over).collect();
        for ((realm, port), (host, _)) in gone {
            if self.ports.get(&(realm, host)).is_some_and(|mapped| mapped.0 == port) {
                self.ports.remove(&(realm, host));
            }
        }
        self.permissions.retain(|(realm, port, _), owner| stays(*realm, *port, owner.1));
        self.counts.clear();
        for (_, (host, _)) in self.ports.keys() {
            *self.counts.entry(*host).or_default() += 1;
        }
    }
}

impl Model6 {
    /// The host behind a public port of the uplink.
    pub(crate) fn owner(&self, realm: Realm, port: u16) -> Option<End> {
        let owner = self.state.mappings.owners.get(&(realm, port));
        let generation = self.site.uplinks[&realm.0].generation;
        owner.filter(|(_, of)| *of == generation).map(|(host, _)| *host)
    }

    /// Whether the port is one that mappings may have.
    pub(crate) fn may_hand_out(&self, port: u16) -> bool {
        let (first, last) = self.site.setup.mappings.nat_ports;
        (first..=last).contains(&port)
    }

    /// The public port of a packet's source on an uplink, made if need be; who is sent to may answer.
    pub(crate) fn obtain(&mut self, packet: &Packet<'_>, id: Id) -> Result<u16, DropReason> {
        let realm = (id, packet.protocol);
        let generation = self.site.uplinks[&id].generation;
        let known = self.state.mappings.ports.get(&(realm, packet.from)).copied();
        let port = match known.filter(|(_, of)| *of == generation) {
            Some((port, _)) => port,
            None => self.map(packet.from, realm, generation)?,
        };
        self.permit(packet, (realm, port), generation)?;
        Ok(port)
    }

    /// Makes a mapping: an entry for each side, or none.
    fn map(&mut self, host: End, realm: Realm, generation: u32) -> Result<u16, DropReason> {
        let setup = self.site.setup.mappings.clone();
        let count = self.state.mappings.counts.get(&host.0).copied().unwrap_or_default();
        if count >= setup.of_host {
            return Err(DropReason::HostMappings);
        }
        let port = self.reserve(host, realm, generation)?;
        let mappings = &mut self.state.mappings;
        // What is left of the host's own from before is written anew.
        let is_new = !mappings.ports.contains_key(&(realm, host));
        let is_new_port = !mappings.owners.contains_key(&(realm, port));
        if mappings.left() < usize::from(is_new) + usize::from(is_new_port) {
            mappings.owners.remove(&(realm, port));
            return Err(DropReason::MappingTableFull);
        }
        mappings.owners.insert((realm, port), (host, generation));
        mappings.ports.insert((realm, host), (port, generation));
        *mappings.counts.entry(host.0).or_default() += u32::from(is_new);
        Ok(port)
    }

    /// The port that the gateway under test has reserved, if it may, or why there is none.
    fn reserve(&mut self, host: End, realm: Realm, generation: u32) -> Result<u16, DropReason> {
        let observed = self.observed.ports.get(&realm.0).filter(|(_, of)| *of == generation);
        if let Some((port, _)) = observed.copied() {
            if let Some(wrong) = self.wrong_choice(realm, port, host) {
                self.faults.push(format!("{port} {wrong}, for {host:?}"));
            }
            return Ok(port);
        }
        let reason = self.observed.reason;
        let mappings = &self.state.mappings;
        let own_is_free = self.may_hand_out(host.1) && mappings.is_free(realm, host.1, host);
        let may_refuse = match reason {
            Some(DropReason::MappingTableFull) => mappings.left() < 2,
            Some(DropReason::NoPort) => !own_is_free && !self.mostly_free(realm),
            _ => false,
        };
        if !may_refuse {
            self.faults.push(format!("{host:?} got no mapping: {reason:?}"));
        }
        Err(reason.unwrap_or(DropReason::NoPort))
    }

    /// What is wrong with a public port for a host's end.
    fn wrong_choice(&self, realm: Realm, port: u16, host: End) -> Option<&'static str> {
        let own = host.1;
        let is_free = |port| self.state.mappings.is_free(realm, port, host);
        match port {
            port if !is_free(port) => Some("is somebody's"),
            port if !self.may_hand_out(port) => Some("must not be handed out"),
            port if port != own && self.may_hand_out(own) && is_free(own) => {
                Some("is not its own port")
            }
            port if port % 2 != own % 2 && self.mostly_free(realm) => {
                Some("is of the wrong parity")
            }
            _ => None,
        }
    }

    /// Whether so many ports are free that a number at random hits one.
    fn mostly_free(&self, realm: Realm) -> bool {
        let (first, last) = self.site.setup.mappings.nat_ports;
        let owners = self.state.mappings.owners.keys();
        owners.filter(|(of, _)| *of == realm).count() * 100 < usize::from(last - first)
    }

    /// Lets the packet's destination send to the port, where that depends on the address.
    fn permit(
        &mut self,
        packet: &Packet<'_>,
        (realm, port): (Realm, u16),
        generation: u32,
    ) -> Result<(), DropReason> {
        if self.site.setup.mappings.filtering != 1 {
            return Ok(());
        }
        let mappings = &mut self.state.mappings;
        let key = (realm, port, packet.to.0);
        if !mappings.permissions.contains_key(&key) && mappings.left() == 0 {
            return Err(DropReason::MappingTableFull);
        }
        mappings.permissions.insert(key, (packet.from, generation));
        Ok(())
    }

    /// Whether the port's host takes a packet that nobody has asked for.
    pub(crate) fn lets_in(&self, packet: &Packet<'_>, id: Id, host: End) -> bool {
        let generation = self.site.uplinks[&id].generation;
        let key = ((id, packet.protocol), packet.to.1, packet.from.0);
        let permission = self.state.mappings.permissions.get(&key);
        let is_let_in = match self.site.setup.mappings.filtering {
            0 => true,
            1 => permission == Some(&(host, generation)),
            _ => false,
        };
        is_let_in && !packet.is_reset()
    }
}
