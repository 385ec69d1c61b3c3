//! Mappings (RFC 4787 section 4; RFC 5382 section 4.1; RFC 5508 section 3.1): a LAN host's end has
//! one public end on an uplink, whoever it sends to; its own port, if nobody has that, and else one
//! at random, of the same parity if possible. Where there are no ports, there is one LAN host to a
//! protocol and a remote address.

use pointsman_ebpf::memory::sequence::End;
use pointsman_ebpf::verdict::DropReason;

use super::packet::{ICMP, Packet, TCP, UDP};
use super::site::Id;
use super::state::{Mapped, MappingKey, PublicKey};
use super::{Choices, Model};

/// What of a remote address a mapping depends on.
pub(crate) fn remote(protocol: u8, address: [u8; 4]) -> [u8; 4] {
    if has_ports(protocol) { [0; 4] } else { address }
}

fn has_ports(protocol: u8) -> bool {
    matches!(protocol, TCP | UDP | ICMP)
}

impl Model {
    /// The mapping of a packet's source on an uplink, made if need be.
    pub(crate) fn obtain(
        &mut self,
        packet: &Packet<'_>,
        uplink: Id,
        choices: &dyn Choices,
    ) -> Result<End, DropReason> {
        let generation = self.site.uplinks[&uplink].generation;
        let remote = remote(packet.protocol, packet.to.0);
        let key = MappingKey { uplink, protocol: packet.protocol, host: packet.from, remote };
        let old = self.state.mappings.get(&key).copied();
        if let Some(mapping) = old
            && mapping.generation == generation
        {
            self.reach(packet, &key, mapping.end);
            return Ok(mapping.end);
        }
        let taken = self.state.host(packet.from.0).mappings;
        if taken >= u64::from(self.site.setup.host_mappings) {
            return Err(DropReason::HostMappings);
        }
        let public = self.reserve(&key, choices)?;
        let outer = PublicKey { uplink, protocol: packet.protocol, public, remote };
        let mapped = |end| Mapped { end, generation, mac: packet.sender() };
        // One entry for each side, or none.
        let renewed = self.state.publics.contains_key(&outer);
        let needed = usize::from(!renewed) + usize::from(old.is_none());
        if self.state.mapping_room() < needed {
            self.state.publics.remove(&outer);
            return Err(DropReason::MappingTableFull);
        }
        self.state.publics.insert(outer, mapped(packet.from));
        self.state.mappings.insert(key, mapped(public));
        if old.is_none() {
            self.state.host(packet.from.0).mappings += 1;
        }
        Ok(public)
    }

    /// Notes the MAC that the host of a mapping has now.
    fn reach(&mut self, packet: &Packet<'_>, key: &MappingKey, public: End) {
        let MappingKey { uplink, protocol, remote, .. } = *key;
        let outer = PublicKey { uplink, protocol, public, remote };
        self.state.mappings.entry(*key).and_modify(|side| side.mac = packet.sender());
        self.state.publics.entry(outer).and_modify(|side| side.mac = packet.sender());
    }

    /// The public end that the gateway under test has reserved, if it may, or why there is none.
    fn reserve(&mut self, key: &MappingKey, choices: &dyn Choices) -> Result<End, DropReason> {
        let generation = self.site.uplinks[&key.uplink].generation;
        match choices.public(key, generation) {
            Some(public) => {
                if let Some(wrong) = self.wrong_choice(key, public) {
                    self.fault(format!("{public:?} {wrong}, for {key:?}"));
                }
                Ok(public)
            }
            None => {
                let reason = choices.reason();
                if !self.may_refuse(key, reason) {
                    self.fault(format!("{key:?} got no mapping: {reason:?}"));
                }
                Err(reason.unwrap_or(DropReason::NoPort))
            }
        }
    }

    /// What is wrong with a public end for a host's.
    fn wrong_choice(&self, key: &MappingKey, (address, port): End) -> Option<&'static str> {
        let has_ports = has_ports(key.protocol);
        let is_free = |port| self.is_free(key, (address, port));
        let may_be = |port| !has_ports || self.site.may_hand_out(key.protocol, port);
        let own = key.host.1;
        if !self.site.uplinks[&key.uplink].addresses.contains(&address) {
            return Some("is no address of the uplink");
        }
        if self.paired_address(key).is_some_and(|paired| paired != address) {
            return Some("is not the address that the host has");
        }
        match port {
            port if !is_free(port) => Some("is somebody's"),
            port if !may_be(port) => Some("must not be handed out"),
            port if port != own && may_be(own) && is_free(own) => Some("is not its own port"),
            port if port % 2 != own % 2 && self.mostly_free(key, address) => {
                Some("is of the wrong parity")
            }
            _ => None,
        }
    }

    /// Whether there may be no public end for a host's, for this reason.
    fn may_refuse(&self, key: &MappingKey, reason: Option<DropReason>) -> bool {
        let has_ports = has_ports(key.protocol);
        // Which of several addresses was tried does not show.
        let addresses = &self.site.uplinks[&key.uplink].addresses;
        let only = if addresses.len() == 1 { addresses.first().copied() } else { None };
        let tried = self.paired_address(key).or(only);
        let own_is_free = tried.is_some_and(|address| {
            (!has_ports || self.site.may_hand_out(key.protocol, key.host.1))
                && self.is_free(key, (address, key.host.1))
        });
        match reason {
            Some(DropReason::MappingTableFull) => self.state.mapping_room() < 2,
            Some(DropReason::NoPort) => {
                let many = tried.is_some_and(|address| self.mostly_free(key, address));
                has_ports && !own_is_free && !many
            }
            Some(DropReason::AddressPairTaken) => !has_ports && !own_is_free,
            _ => false,
        }
    }

    /// Whether nobody else has the public end, be it from before the uplink's address changed.
    fn is_free(&self, key: &MappingKey, public: End) -> bool {
        let MappingKey { uplink, protocol, remote, .. } = *key;
        let outer = PublicKey { uplink, protocol, public, remote };
        self.state.publics.get(&outer).is_none_or(|owner| owner.end == key.host)
    }

    /// Whether so many ports are free that a number at random hits one.
    fn mostly_free(&self, key: &MappingKey, address: [u8; 4]) -> bool {
        let (first, last) = self.site.setup.nat_ports;
        let taken = self.state.publics.keys().filter(|outer| {
            (outer.uplink, outer.protocol, outer.public.0) == (key.uplink, key.protocol, address)
        });
        let taken = taken.count() + self.site.kept.len();
        taken * 100 < usize::from(last - first)
    }

    /// The address that the host has on the uplink already (RFC 4787 section 4.1, "paired").
    fn paired_address(&self, key: &MappingKey) -> Option<[u8; 4]> {
        let generation = self.site.uplinks[&key.uplink].generation;
        let mut others = self.state.mappings.iter().filter(|(other, mapped)| {
            (other.uplink, other.host.0) == (key.uplink, key.host.0)
                && mapped.generation == generation
        });
        others.next().map(|(_, mapped)| mapped.end.0)
    }

    /// Lets the packet's destination send to the mapping (RFC 4787 section 5), where that depends
    /// on the address.
    pub(crate) fn permit(
        &mut self,
        packet: &Packet<'_>,
        uplink: Id,
        public: End,
    ) -> Result<(), DropReason> {
        if self.site.setup.filtering != 1 {
            return Ok(());
        }
        let generation = self.site.uplinks[&uplink].generation;
        let protocol = packet.protocol;
        let key = PublicKey { uplink, protocol, public, remote: packet.to.0 };
        let entry = Mapped { end: packet.from, generation, mac: packet.sender() };
        // Where there are no ports, the mapping itself says so.
        if remote(protocol, packet.to.0) != [0; 4] {
            self.state.publics.insert(key, entry);
            return Ok(());
        }
        if !self.state.permissions.contains_key(&key) && self.state.mapping_room() == 0 {
            return Err(DropReason::MappingTableFull);
        }
        self.state.permissions.insert(key, entry);
        Ok(())
    }

    /// Whether the LAN host that has a public end has let a remote address send to it.
    pub(crate) fn is_permitted(
        &self,
        uplink: Id,
        protocol: u8,
        public: End,
        remote: [u8; 4],
        host: End,
    ) -> bool {
        let key = PublicKey { uplink, protocol, public, remote };
        let generation = self.site.uplinks[&uplink].generation;
        self.state
            .permissions
            .get(&key)
            .is_some_and(|entry| (entry.end, entry.generation) == (host, generation))
    }
}
