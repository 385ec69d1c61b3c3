//! 4. A new flow: checks, uplink, public port, and the pair of entries.

use super::{InsertError, Tables, select};
use crate::abi::{
    Direction, Epoch, Flow, FlowKey, Ipv4, L4Port, Mac, MacPair, Mark, Port, Settings, Uplink,
    ticks,
};
use crate::verdict::DropReason;
use crate::wire::{ETHERNET_LEN, Protocol, checksum::Delta};

/// The only group there is without policy rules.
const DEFAULT_GROUP: u8 = 0;

/// How many random ports are tried before a flow is refused. With half of the ports towards one
/// destination taken, one flow in 65,536 is refused.
const PORT_ATTEMPTS: usize = 16;

impl From<InsertError> for DropReason {
    #[inline(always)]
    fn from(_: InsertError) -> Self {
        Self::FlowTableFull
    }
}

/// Makes the pair of entries for the flow that a packet of this key opens, or moves it to another
/// uplink. The packet, a frame of `len` bytes, came from `host`, in by `port`.
///
/// # Errors
/// Why the packet is dropped.
#[inline(always)]
pub fn flow<T: Tables>(
    tables: &T,
    key: &FlowKey,
    host: Mac,
    len: usize,
    port: &Port,
) -> Result<(), DropReason> {
    let settings = tables.settings().ok_or(DropReason::NotReady)?;
    check_addresses(key, settings)?;
    let id = select::uplink(tables, settings, DEFAULT_GROUP, key).ok_or(DropReason::NoUplink)?;
    let uplink = tables.uplink(id).ok_or(DropReason::NoUplink)?;
    if uplink.generation == 0 {
        return Err(DropReason::NoUplink);
    }
    if len > ETHERNET_LEN + usize::from(uplink.mtu) {
        return Err(DropReason::TooBig);
    }
    let opening = Opening { key, host, port, uplink, id, now: ticks(tables.now()) };
    let public = reserve(tables, settings, &opening)?;
    let flow = opening.out(public);
    let inserted = if tables.flow(key).is_some() {
        tables.replace_flow(key, &flow)
    } else {
        tables.insert_flow(key, &flow)
    };
    match inserted {
        Ok(()) => Ok(()),
        Err(error) => {
            let reply_key = opening.reply_key(public);
            // Another CPU has just opened the same flow: the packet goes by that entry, which may
            // stand on the same reservation.
            let shared = |other| key.peer(other) == reply_key;
            if !tables.flow(key).is_some_and(shared) {
                tables.retract_flow(&reply_key);
            }
            match error {
                InsertError::Exists => Ok(()),
                InsertError::Full => Err(DropReason::FlowTableFull),
            }
        }
    }
}

/// Addresses that must not cross a router, and those of the LAN itself.
#[inline(always)]
fn check_addresses(key: &FlowKey, settings: &Settings) -> Result<(), DropReason> {
    if is_martian(key.source()) || is_martian(key.destination()) {
        return Err(DropReason::Martian);
    }
    for prefix in &settings.lan_prefixes {
        if prefix.contains(key.destination()) {
            return Err(DropReason::LanToLan);
        }
    }
    Ok(())
}

/// This network, loopback, link-local, multicast, reserved and broadcast (RFC 6890 section 2.2.2).
#[inline(always)]
fn is_martian(address: Ipv4) -> bool {
    let [a, b, ..] = address.octets();
    a == 0 || a == 127 || a >= 224 || (a == 169 && b == 254)
}

/// Reserves a public port: the insertion of the reply's entry is the reservation. The host's own
/// port first (RFC 4787 section 4.2.1), then random ones.
#[inline(always)]
fn reserve<T: Tables>(
    tables: &T,
    settings: &Settings,
    opening: &Opening<'_>,
) -> Result<L4Port, DropReason> {
    let own = opening.own_port();
    if settings.nat_ports.contains(own) && opening.insert_own(tables, own)? {
        return Ok(own);
    }
    for _ in 0..PORT_ATTEMPTS {
        let public = settings.nat_ports.pick(tables.random());
        match opening.insert_in(tables, public) {
            Ok(()) => return Ok(public),
            Err(InsertError::Exists) => {}
            Err(InsertError::Full) => return Err(DropReason::FlowTableFull),
        }
    }
    Err(DropReason::NoPort)
}

/// A flow on its way into the table.
struct Opening<'a> {
    key: &'a FlowKey,
    host: Mac,
    port: &'a Port,
    uplink: &'a Uplink,
    id: u8,
    now: u32,
}

impl Opening<'_> {
    /// The LAN host's port or echo identifier.
    #[inline(always)]
    fn own_port(&self) -> L4Port {
        self.key.source_port()
    }

    /// Inserts the entry for the replies to `public`.
    #[inline(always)]
    fn insert_in<T: Tables>(&self, tables: &T, public: L4Port) -> Result<(), InsertError> {
        tables.insert_flow(&self.reply_key(public), &self.reply(public))
    }

    /// As [`Self::insert_in`], but the entry that stands in the way may be this flow's own, from
    /// before it left the uplink: then it is renewed, and the flow comes back to the port that it
    /// had. False where another flow has the port.
    #[inline(always)]
    fn insert_own<T: Tables>(&self, tables: &T, public: L4Port) -> Result<bool, InsertError> {
        let (key, entry) = (self.reply_key(public), self.reply(public));
        match tables.insert_flow(&key, &entry) {
            Ok(()) => Ok(true),
            Err(InsertError::Full) => Err(InsertError::Full),
            Err(InsertError::Exists) => match tables.flow(&key) {
                Some(old) if old.address == entry.address && old.port == entry.port => {
                    tables.replace_flow(&key, &entry).map(|()| true)
                }
                _ => Ok(false),
            },
        }
    }

    /// The key of the replies to `public`.
    #[inline(always)]
    fn reply_key(&self, public: L4Port) -> FlowKey {
        let key = self.key;
        FlowKey::new(
            (key.destination(), key.destination_port()),
            (self.uplink.address, public),
            key.protocol(),
            self.id + 1,
        )
    }

    /// The entry from the LAN to the uplink.
    #[inline(always)]
    fn out(&self, public: L4Port) -> Flow {
        let key = self.key;
        self.entry(
            Direction::Out,
            (key.source(), self.own_port()),
            (self.uplink.address, public),
            (self.uplink.egress, self.uplink.mtu),
        )
    }

    /// The entry from the uplink to the LAN.
    #[inline(always)]
    fn reply(&self, public: L4Port) -> Flow {
        let key = self.key;
        self.entry(
            Direction::In,
            (self.uplink.address, public),
            (key.source(), self.own_port()),
            (self.port.egress, self.port.mtu),
        )
    }

    #[inline(always)]
    fn entry(
        &self,
        direction: Direction,
        old: (Ipv4, L4Port),
        new: (Ipv4, L4Port),
        (egress, mtu): (u16, u16),
    ) -> Flow {
        let address = Delta::NONE.address(old.0, new.0);
        // The checksum of ICMP has no pseudo-header (RFC 792).
        let transport = if self.key.protocol() == Protocol::ICMP { Delta::NONE } else { address };
        Flow {
            mark: Mark::new(self.now, Epoch::default(), 0).0,
            generation: self.uplink.generation,
            address: new.0,
            port: new.1,
            header_delta: address.ttl_decrement().fold(),
            transport_delta: transport.port(old.1, new.1).fold(),
            egress,
            mtu,
            uplink: self.id,
            direction: direction as u8,
            macs: MacPair::new(self.host, self.port.mac),
            created: self.now,
            group: u32::from(DEFAULT_GROUP),
            reserved: [0; 2],
        }
    }
}
