//! The gateway's configuration, as its operator would tell it.

use std::collections::BTreeMap;

use pointsman_ebpf::memory::sequence::Interface;
use pointsman_ebpf::memory::sequence6::{Setup6, Step6};
use pointsman_ebpf::memory::site::{A, B, Provider, lan};
use pointsman_ebpf::memory::site6::{self, Carriage, INTERNAL, ROUTED, provided, within};
use pointsman_ebpf::verdict::DropReason;

use super::nptv6::{Prefix, Untranslated, holds, translate};
use super::packet::Address;
use crate::model::Stop;

/// An uplink's identifier.
pub(crate) type Id = u8;

/// An uplink.
#[derive(Clone, Debug)]
pub(crate) struct Uplink {
    pub(crate) provider: Provider,
    pub(crate) interface: Interface,
    pub(crate) carriage: Carriage,
    pub(crate) generation: u32,
    pub(crate) mtu: u16,
    pub(crate) alive: bool,
    pub(crate) preferred: bool,
    pub(crate) usable: bool,
    pub(crate) inbound: bool,
}

/// A LAN host's side of the gateway: its MAC, and what the interface takes.
pub(crate) type LanSide = ([u8; 6], u16);

/// All that is configured, and what the daemon has found out.
pub(crate) struct Site {
    pub(crate) setup: Setup6,
    pub(crate) uplinks: BTreeMap<Id, Uplink>,
    /// In nanoseconds.
    pub(crate) now: u64,
}

/// What is known of a prefix.
pub(crate) struct Known {
    /// Of these bits.
    len: u8,
    /// The uplinks that its packets leave by.
    pub(crate) uplinks: Vec<Id>,
    /// The uplink that shows it outside, and the LAN by it.
    pub(crate) shown_by: Option<Id>,
    /// Whether it is a provider's own.
    pub(crate) is_bound: bool,
}

fn bits((address, len): site6::Prefix) -> Prefix {
    (address.to_bits(), len)
}

impl Site {
    pub(crate) fn new(setup: &Setup6) -> Self {
        let uplink = |place: usize, provider: Provider, interface| {
            let uplink = Uplink {
                provider,
                interface,
                carriage: setup.carriage[place],
                generation: 1,
                mtu: setup.mtu[place + 1],
                alive: true,
                preferred: true,
                usable: true,
                inbound: setup.inbound[place],
            };
            (provider.id, uplink)
        };
        Self {
            setup: setup.clone(),
            uplinks: [uplink(0, A, Interface::A), uplink(1, B, Interface::B)].into(),
            now: 1 << 40,
        }
    }

    /// Takes part in an event.
    pub(crate) fn apply(&mut self, step: &Step6) {
        let mut both = |set: &dyn Fn(&mut Uplink, bool), a: bool, b: bool| {
            for (id, value) in [(A.id, a), (B.id, b)] {
                set(self.uplinks.get_mut(&id).expect("both uplinks are there"), value);
            }
        };
        match *step {
            Step6::Wait(milliseconds) => self.now += u64::from(milliseconds) * 1_000_000,
            Step6::Alive(a, b) => both(&|uplink, alive| uplink.alive = alive, a, b),
            Step6::Prefer(a, b) => both(&|uplink, preferred| uplink.preferred = preferred, a, b),
            Step6::Use(a, b) => both(&|uplink, usable| uplink.usable = usable, a, b),
            Step6::Invite(a, b) => both(&|uplink, inbound| uplink.inbound = inbound, a, b),
            Step6::Renew(interface) => {
                let is_b = interface == Interface::B;
                both(&|uplink, renewed| uplink.generation += u32::from(renewed), !is_b, is_b);
            }
            _ => {}
        }
    }

    /// The uplink of an interface.
    pub(crate) fn uplink_of(&self, interface: Interface) -> Option<&Uplink> {
        self.uplinks.values().find(|uplink| uplink.interface == interface)
    }

    /// The interface's MAC.
    pub(crate) fn mac(&self, interface: Interface) -> Option<[u8; 6]> {
        match interface {
            Interface::Lan => Some(lan::MAC),
            _ => self.uplink_of(interface).map(|uplink| uplink.provider.mac),
        }
    }

    /// Whether the address is the gateway's own.
    pub(crate) fn is_own(&self, address: Address) -> bool {
        [site6::GATEWAY, site6::own(&A), site6::own(&B)].iter().any(|own| own.to_bits() == address)
    }

    /// Whether what is sent to the address stays on the link, or is for the gateway.
    pub(crate) fn is_kernels(&self, address: Address) -> bool {
        is_link_local(address) || is_multicast(address) || self.is_own(address)
    }

    /// What is known of the longest prefix that the address is in.
    pub(crate) fn prefix(&self, address: Address) -> Option<Known> {
        let mut found: Option<Known> = None;
        let mut add = |prefix: Prefix, uplink: Option<Id>, shown_by: Option<Id>, is_bound: bool| {
            if !holds(prefix, address) || found.as_ref().is_some_and(|known| known.len > prefix.1) {
                return;
            }
            let known = found.take().filter(|known| known.len == prefix.1);
            let mut known =
                known.unwrap_or(Known { len: prefix.1, uplinks: Vec::new(), shown_by, is_bound });
            known.uplinks.extend(uplink);
            found = Some(known);
        };
        for (id, uplink) in &self.uplinks {
            let own = provided(&uplink.provider, 48);
            match uplink.carriage {
                Carriage::None => {}
                Carriage::Routed => add(bits(ROUTED), Some(*id), None, false),
                Carriage::Source => add(bits(own), Some(*id), None, true),
                Carriage::Nat66 => add(bits(INTERNAL), Some(*id), None, false),
                Carriage::Nptv6(len) => {
                    add(bits(INTERNAL), Some(*id), None, false);
                    add(bits(provided(&uplink.provider, len)), None, Some(*id), false);
                }
            }
        }
        found
    }

    /// How the LAN host with this address is reached.
    pub(crate) fn neighbour(&self, address: Address) -> Result<LanSide, DropReason> {
        let hosts = [
            (site6::HOST, Some(lan::HOST_MAC)),
            (site6::OTHER, Some(lan::OTHER_MAC)),
            (site6::SILENT, None),
        ];
        for prefix in [INTERNAL, ROUTED, provided(&A, 48), provided(&B, 48)] {
            for (host, mac) in hosts {
                if self.setup.neighbours && within(prefix, host).to_bits() == address {
                    let mac = mac.ok_or(DropReason::NeighbourUnknown)?;
                    return Ok((mac, self.setup.mtu[0]));
                }
            }
        }
        Err(DropReason::NoLanRoute)
    }
}

impl Uplink {
    /// What it shows for an address of the LAN.
    pub(crate) fn show(&self, address: Address) -> Result<Address, DropReason> {
        match self.carriage {
            Carriage::None => Err(DropReason::Ipv6),
            Carriage::Nptv6(len) => {
                let external = bits(provided(&self.provider, len));
                translate(address, bits(INTERNAL), external)
                    .map_err(|why| untranslated(why, DropReason::ForeignSource))
            }
            Carriage::Nat66 => Ok(self.public()),
            _ => Ok(address),
        }
    }

    /// The gateway's address at the uplink, which hosts may share.
    pub(crate) fn public(&self) -> Address {
        site6::own(&self.provider).to_bits()
    }

    /// Which address of the LAN it stands for; where that is shared, the uplink's own.
    pub(crate) fn inside(&self, address: Address) -> Result<Address, DropReason> {
        match self.carriage {
            Carriage::None => Err(DropReason::Ipv6),
            Carriage::Nptv6(len) => {
                let external = bits(provided(&self.provider, len));
                translate(address, external, bits(INTERNAL))
                    .map_err(|why| untranslated(why, DropReason::Unsolicited))
            }
            Carriage::Nat66 if address != self.public() => Err(DropReason::Unsolicited),
            _ => Ok(address),
        }
    }
}

fn untranslated(why: Untranslated, foreign: DropReason) -> DropReason {
    match why {
        Untranslated::Foreign => foreign,
        Untranslated::NoWord => DropReason::NoTranslation,
        Untranslated::Anycast => DropReason::AnycastTranslation,
    }
}

/// Whether a packet may go on, by its hop limit and its length.
pub(crate) fn may_leave(hop_limit: u8, frame: &[u8], mtu: u16) -> Result<(), Stop> {
    if hop_limit <= 1 {
        return Err(Stop::Answer(DropReason::TtlExceeded, 0));
    }
    if frame.len() > 14 + usize::from(mtu) {
        return Err(Stop::Answer(DropReason::TooBig, mtu));
    }
    Ok(())
}

pub(crate) fn is_link_local(address: Address) -> bool {
    address >> 118 == 0xfe80 >> 6
}

pub(crate) fn is_multicast(address: Address) -> bool {
    address >> 120 == 0xff
}

/// Whether no router may pass on a packet from or to the address.
pub(crate) fn is_martian(address: Address) -> bool {
    address >> 64 == 0 || is_link_local(address) || is_multicast(address)
}
