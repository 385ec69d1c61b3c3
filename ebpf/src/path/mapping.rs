//! 4. Mappings: which public address and port a LAN host's address and port have on an uplink,
//!    whoever they send to (RFC 4787 section 4.1).

use super::entry::Inside;
use super::parse::Packet;
use super::{InsertError, Note, Stop, Tables, select};
use crate::abi::{
    Binding, Filtering, FlowKey, HostDigest, Ipv4, L4Port, NAT66_SIDE, OwnPorts, POOL_ADDRESSES,
    Port, Settings, SharedU64, Uplink, Uplink6, has_mapped_ports, mapping_remote, ticks,
};
use crate::verdict::{DropReason, Verdict};
use crate::wire::{Frame, Protocol};

/// How many random ports are tried before a mapping is refused. With half of the ports taken, one
/// in 65,536 is.
const PORT_ATTEMPTS: usize = 16;

/// How many of them keep the parity of the host's port (RFC 4787 section 4.2.2).
const PARITY_ATTEMPTS: usize = 8;

/// Whose mapping is asked for, and on which uplink.
pub(super) struct Wanted {
    /// The LAN host, and how it is reached.
    inside: Inside,
    /// The other end's address, where mappings are by pairs of addresses; of a host of IPv6, its
    /// [`HostDigest::rest`]; zero elsewhere.
    remote: Ipv4,
    /// The uplink's first public address.
    address: Ipv4,
    /// The uplink's generation.
    generation: u32,
    /// In ticks.
    now: u32,
    /// The IP protocol.
    protocol: u8,
    /// The uplink's identifier, or between IPv6 and IPv6 that and [`NAT66_SIDE`].
    uplink: u8,
    /// How many public addresses the uplink has.
    pool: u8,
}

/// Whether a port, or an identifier of echo, is one that mappings may have.
#[inline(always)]
pub(super) fn is_handed_out<T: Tables>(tables: &T, protocol: u8, port: L4Port) -> bool {
    let settings = tables.settings();
    has_mapped_ports(protocol)
        && settings.is_some_and(|settings| is_in_pool(tables, settings, protocol, port))
}

#[inline(always)]
fn is_in_pool<T: Tables>(tables: &T, settings: &Settings, protocol: u8, port: L4Port) -> bool {
    if !settings.nat_ports.contains(port) || protocol == Protocol::ICMP {
        return settings.nat_ports.contains(port);
    }
    let (word, bit) = OwnPorts::place(protocol == Protocol::UDP, port);
    tables.own_ports(word) >> bit & 1 == 0
}

/// The stage: makes the mapping that the packet's flow wants on an uplink, and goes back.
#[inline(always)]
pub(super) fn run<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    port: &Port,
    packet: &Packet,
    note: Note,
) -> Result<Verdict, Stop> {
    let (id, back) = note.wanted_mapping();
    let uplink = tables.uplink(id).ok_or(DropReason::NoUplink)?;
    let inside = Inside::sender(frame, packet, port)?;
    let wanted = Wanted::new(&inside, &packet.key, (id, uplink), ticks(tables.now()));
    make(tables, &wanted).map_err(|reason| Stop::Answer(reason, 0))?;
    Err(back)
}

/// Makes a mapping that there is not, or renews how its host is reached.
///
/// # Errors
/// Why there is none.
#[inline(always)]
pub(super) fn make<T: Tables>(tables: &T, wanted: &Wanted) -> Result<(), DropReason> {
    let settings = tables.settings().ok_or(DropReason::NotReady)?;
    if let Some(old) = tables.binding(&wanted.inner_key())
        && old.generation == wanted.generation
    {
        return wanted.renew(tables, (old.address, old.port));
    }
    let host = tables.host(wanted.inside.end().0).ok_or(DropReason::HostMappings)?;
    if host.mappings.load() >= u64::from(settings.host_mappings_max) {
        return Err(DropReason::HostMappings);
    }
    let address = wanted.pick_address(tables, settings);
    let port = wanted.reserve(tables, settings, address)?;
    let public = (address, port);
    let made = wanted.side(public);
    let inner = wanted.inner_key();
    let inserted = match tables.insert_binding(&inner, &made) {
        Ok(()) => {
            host.mappings.count_up();
            return Ok(());
        }
        Err(InsertError::Exists) => {
            if let Some(theirs) = wanted.find(tables) {
                wanted.give_back(tables, public, theirs);
                return Ok(());
            }
            match tables.binding(&inner) {
                // What is left of an older generation.
                Some(_) => tables.replace_binding(&inner, &made),
                None => Err(InsertError::Exists),
            }
        }
        full => full,
    };
    inserted.map_err(|error| {
        tables.retract_binding(&wanted.outer_key(public));
        match error {
            InsertError::Exists => DropReason::MappingRaced,
            InsertError::Full => DropReason::MappingTableFull,
        }
    })
}

impl Wanted {
    /// The mapping of `inside` on an uplink for a packet of this key.
    #[inline(always)]
    pub(super) fn new(
        inside: &Inside,
        key: &FlowKey,
        (id, uplink): (u8, &Uplink),
        now: u32,
    ) -> Self {
        Self {
            inside: *inside,
            remote: mapping_remote(key.protocol(), key.destination()),
            address: uplink.address,
            generation: uplink.generation,
            now,
            protocol: key.protocol(),
            uplink: id,
            pool: uplink.pool,
        }
    }

    /// The mapping of a host of IPv6, of which this is the digest, for its protocol of IPv4.
    #[inline(always)]
    pub(super) fn of_ipv6(
        inside: &Inside,
        digest: HostDigest,
        protocol: u8,
        (id, uplink): (u8, &Uplink),
        now: u32,
    ) -> Self {
        Self {
            inside: *inside,
            remote: digest.rest(),
            address: uplink.address,
            generation: uplink.generation,
            now,
            protocol,
            uplink: id,
            pool: uplink.pool,
        }
    }

    /// The mapping of a host of IPv6 to a port of the uplink's one address of that.
    #[inline(always)]
    pub(super) fn of_nat66(
        inside: &Inside,
        digest: HostDigest,
        protocol: u8,
        (id, uplink): (u8, &Uplink6),
        now: u32,
    ) -> Self {
        Self {
            inside: *inside,
            remote: digest.rest(),
            address: Ipv4::default(),
            generation: uplink.generation,
            now,
            protocol,
            uplink: NAT66_SIDE | id,
            pool: 1,
        }
    }

    /// [`Self::find`], and [`Self::permit`]s what `destination` sends.
    ///
    /// # Errors
    /// Where there is no room.
    #[inline(always)]
    pub(super) fn find_permitting<T: Tables>(
        &self,
        tables: &T,
        settings: &Settings,
        destination: Ipv4,
    ) -> Result<Option<(Ipv4, L4Port)>, DropReason> {
        let Some(public) = self.find(tables) else {
            return Ok(None);
        };
        if settings.filtering == Filtering::Address as u8 {
            self.permit(tables, public, destination)?;
        }
        Ok(Some(public))
    }

    /// Lets what `remote` sends to the mapping in, where that depends on the address (RFC 4787
    /// section 5).
    ///
    /// # Errors
    /// Where there is no room.
    #[inline(always)]
    fn permit<T: Tables>(
        &self,
        tables: &T,
        public: (Ipv4, L4Port),
        remote: Ipv4,
    ) -> Result<(), DropReason> {
        let key = FlowKey::external(remote, public, self.protocol, self.uplink);
        match tables.replace_binding(&key, &self.side(self.inside.end())) {
            Ok(()) => Ok(()),
            Err(_) => Err(DropReason::MappingTableFull),
        }
    }

    #[inline(always)]
    fn inner_key(&self) -> FlowKey {
        FlowKey::internal(self.inside.end(), self.remote, self.protocol, self.uplink)
    }

    #[inline(always)]
    fn outer_key(&self, public: (Ipv4, L4Port)) -> FlowKey {
        let remote = if self.is_ipv6() { Ipv4::default() } else { self.remote };
        FlowKey::external(remote, public, self.protocol, self.uplink)
    }

    /// Whether the LAN host is one of IPv6.
    #[inline(always)]
    fn is_ipv6(&self) -> bool {
        self.inside.end().0.is_account()
    }

    /// The mapping, if there is one of the uplink's present address, and of how the host is reached
    /// now.
    #[inline(always)]
    fn find<T: Tables>(&self, tables: &T) -> Option<(Ipv4, L4Port)> {
        let binding = tables.binding(&self.inner_key())?;
        if binding.generation != self.generation || binding.lan != self.inside.lan {
            return None;
        }
        if binding.used.load() != u64::from(self.now) {
            binding.used.store(u64::from(self.now));
        }
        Some((binding.address, binding.port))
    }

    /// Writes both sides of a mapping that there is anew.
    #[inline(always)]
    fn renew<T: Tables>(&self, tables: &T, public: (Ipv4, L4Port)) -> Result<(), DropReason> {
        if !self.claim(tables, public)? {
            return Err(DropReason::MappingRaced);
        }
        match tables.replace_binding(&self.inner_key(), &self.side(public)) {
            Ok(()) => Ok(()),
            Err(_) => Err(DropReason::MappingTableFull),
        }
    }

    /// The same public address for all that a host sends by the uplink (RFC 4787 section 4.1,
    /// "paired").
    #[inline(always)]
    fn pick_address<T: Tables>(&self, tables: &T, settings: &Settings) -> Ipv4 {
        if self.pool <= 1 {
            return self.address;
        }
        let hash = select::hash_host(settings.hash_key, self.inside.end().0);
        // Scales instead of dividing: BPF programs that divide by a variable may not load.
        let place = (u64::from(hash) * u64::from(self.pool)) >> 32;
        let place = place as u32 & (POOL_ADDRESSES as u32 - 1);
        tables.pool(u32::from(self.uplink) * POOL_ADDRESSES as u32 + place).unwrap_or(self.address)
    }

    /// Reserves a port of a public address: the insertion of the public side is the reservation.
    /// The host's own port first (RFC 4787 section 4.2.1), then random ones.
    #[inline(always)]
    fn reserve<T: Tables>(
        &self,
        tables: &T,
        settings: &Settings,
        address: Ipv4,
    ) -> Result<L4Port, DropReason> {
        let own = self.inside.end().1;
        if !has_mapped_ports(self.protocol) {
            return if self.claim(tables, (address, own))? {
                Ok(own)
            } else {
                Err(DropReason::AddressPairTaken)
            };
        }
        let mut port = own;
        for attempt in 0..=PORT_ATTEMPTS {
            if is_in_pool(tables, settings, self.protocol, port)
                && self.claim(tables, (address, port))?
            {
                return Ok(port);
            }
            port = settings.nat_ports.pick(tables.random());
            if attempt < PARITY_ATTEMPTS {
                port = port.with_parity_of(own);
            }
        }
        Err(DropReason::NoPort)
    }

    /// Inserts the public side. False where another host has it, be it of another generation: to
    /// take that over would be no reservation. What is left of the same host's is renewed.
    #[inline(always)]
    fn claim<T: Tables>(&self, tables: &T, public: (Ipv4, L4Port)) -> Result<bool, DropReason> {
        let (key, side) = (self.outer_key(public), self.side(self.inside.end()));
        match tables.insert_binding(&key, &side) {
            Ok(()) => Ok(true),
            Err(InsertError::Full) => Err(DropReason::MappingTableFull),
            Err(InsertError::Exists) => match tables.binding(&key) {
                Some(old) if self.is_of(old) => match tables.replace_binding(&key, &side) {
                    Ok(()) => Ok(true),
                    Err(_) => Err(DropReason::MappingTableFull),
                },
                _ => Ok(false),
            },
        }
    }

    /// Whether the public side is the host's. Of one of IPv6, what stands for the address may stand for
    /// another's too.
    #[inline(always)]
    fn is_of(&self, side: &Binding<SharedU64>) -> bool {
        (side.address, side.port) == self.inside.end()
            && (!self.is_ipv6() || side.lan == self.inside.lan)
    }

    /// Takes back a reservation that another CPU's, for the same host's port, has made superfluous.
    #[inline(always)]
    fn give_back<T: Tables>(&self, tables: &T, public: (Ipv4, L4Port), theirs: (Ipv4, L4Port)) {
        if public != theirs {
            tables.retract_binding(&self.outer_key(public));
        }
    }

    /// The side of the mapping that says this end.
    #[inline(always)]
    fn side(&self, (address, port): (Ipv4, L4Port)) -> Binding {
        Binding {
            used: u64::from(self.now),
            generation: self.generation,
            address,
            port,
            reserved: 0,
            rest: if self.is_ipv6() { self.remote } else { Ipv4::default() },
            lan: self.inside.lan,
        }
    }
}
