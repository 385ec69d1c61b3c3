//! The gateway's configuration, as its operator would tell it.

use std::collections::BTreeMap;

use pointsman_ebpf::memory::routed::{self, Carriage};
use pointsman_ebpf::memory::sequence::{
    End, FORWARDS, ForwardRule, Interface, Setup, Step, public_addresses,
};
use pointsman_ebpf::memory::site::{A, B, Provider, lan};

use super::state::ANY;

/// An uplink's identifier.
pub(crate) type Id = u8;

/// An uplink.
#[derive(Clone, Debug)]
pub(crate) struct Uplink {
    pub(crate) provider: Provider,
    pub(crate) interface: Interface,
    pub(crate) generation: u32,
    /// The first one is the kernel's too.
    pub(crate) addresses: Vec<[u8; 4]>,
    pub(crate) mtu: u16,
    pub(crate) alive: bool,
    pub(crate) preferred: bool,
    /// Whether private sources leave by it, translated.
    pub(crate) translates: bool,
    /// Whether the site's own prefix does, as it is.
    pub(crate) routes: bool,
}

/// Whose an address of the gateway's own is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) uplink: Option<Id>,
    pub(crate) kernel: bool,
}

/// All that is configured, and what the daemon has found out.
pub(crate) struct Site {
    pub(crate) setup: Setup,
    pub(crate) uplinks: BTreeMap<Id, Uplink>,
    /// Ports that the gateway's own sockets or forwards have: of UDP, or of TCP.
    pub(crate) kept: Vec<(bool, u16)>,
    /// In nanoseconds.
    pub(crate) now: u64,
}

/// The network on the LAN's link, of 16 bits, and that behind a router of it.
const LINK: [u8; 2] = [10, 1];
const BEHIND_ROUTER: [u8; 2] = [10, 20];

/// The site's own prefix, of 24 bits.
const ROUTED: [u8; 3] = [198, 19, 4];

impl Site {
    pub(crate) fn new(setup: &Setup) -> Self {
        let [_, mtu_a, mtu_b] = setup.mtu;
        let uplink = |provider: Provider, interface, mtu| {
            let addresses = public_addresses(interface, 0, setup.pool).collect();
            // The first generation is made when the uplink's address is learned.
            let uplink = Uplink {
                provider,
                interface,
                generation: 2,
                addresses,
                mtu,
                alive: true,
                preferred: true,
                translates: setup.routing.of(&provider) != Carriage::Routed,
                routes: setup.routing.of(&provider) != Carriage::Nat44,
            };
            (provider.id, uplink)
        };
        let mut kept = Vec::new();
        for rule in FORWARDS.iter().take(usize::from(setup.forwards)) {
            kept.extend((rule.ports.0..=rule.ports.1).map(|port| (rule.protocol == 17, port)));
        }
        Self {
            setup: setup.clone(),
            uplinks: [uplink(A, Interface::A, mtu_a), uplink(B, Interface::B, mtu_b)].into(),
            kept,
            now: 1 << 40,
        }
    }

    /// Takes part in an event.
    pub(crate) fn apply(&mut self, step: &Step) {
        match *step {
            Step::Wait(milliseconds) => self.now += u64::from(milliseconds) * 1_000_000,
            Step::Alive(a, b) => {
                self.uplink(A.id).alive = a;
                self.uplink(B.id).alive = b;
            }
            Step::Prefer(a, b) => {
                self.uplink(A.id).preferred = a;
                self.uplink(B.id).preferred = b;
            }
            Step::Readdress(interface, index) => {
                let addresses = public_addresses(interface, index, self.setup.pool).collect();
                let uplink = self.uplink(if interface == Interface::B { B.id } else { A.id });
                uplink.generation += 1;
                uplink.addresses = addresses;
            }
            Step::Filter(filtering) => self.setup.filtering = filtering,
            Step::Limit(mappings, unreplied) => {
                (self.setup.host_mappings, self.setup.host_unreplied) = (mappings, unreplied);
            }
            Step::Keep(udp, port) => self.kept.push((udp, port)),
            _ => {}
        }
    }

    fn uplink(&mut self, id: Id) -> &mut Uplink {
        self.uplinks.get_mut(&id).expect("both uplinks are there")
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

    /// The gateway's own address on an interface.
    pub(crate) fn address(&self, interface: Interface) -> [u8; 4] {
        self.uplink_of(interface).map_or(lan::GATEWAY.octets(), |uplink| uplink.addresses[0])
    }

    /// Whose the address is, if it is the gateway's.
    pub(crate) fn owner(&self, address: [u8; 4]) -> Option<Owner> {
        let is_own = address == lan::GATEWAY.octets();
        if is_own || self.routes_any() && address == routed::GATEWAY.octets() {
            return Some(Owner { uplink: None, kernel: true });
        }
        self.uplinks.iter().find_map(|(id, uplink)| {
            let place = uplink.addresses.iter().position(|own| *own == address)?;
            if !uplink.translates {
                return (place == 0).then_some(Owner { uplink: None, kernel: true });
            }
            Some(Owner { uplink: Some(*id), kernel: place == 0 })
        })
    }

    /// Whether an uplink routes the site's own prefix.
    fn routes_any(&self) -> bool {
        self.uplinks.values().any(|uplink| uplink.routes)
    }

    /// Whether the address is of the site's own prefix, if there is one.
    pub(crate) fn is_routed(&self, address: [u8; 4]) -> bool {
        self.routes_any() && address[..3] == ROUTED
    }

    /// Whether the address is of the LAN.
    pub(crate) fn is_of_lan(&self, address: [u8; 4]) -> bool {
        let is_near = address[..2] == LINK || address[..2] == BEHIND_ROUTER;
        is_near || self.is_routed(address)
    }

    /// Whether the address is a broadcast address of the LAN, of the new kind or the old.
    pub(crate) fn is_broadcast(&self, address: [u8; 4]) -> bool {
        match address {
            [10, 1, 0, 0] | [10, 1, 255, 255] => true,
            [.., 0 | 255] => self.is_routed(address),
            _ => false,
        }
    }

    /// The uplink in the key of a packet.
    pub(crate) fn realm(&self, came: Interface, to: [u8; 4]) -> Option<Id> {
        let uplink = self.uplink_of(came)?;
        Some(if uplink.routes && self.is_routed(to) { ANY } else { uplink.provider.id })
    }

    /// Whether mappings may have the port, or the echo identifier.
    pub(crate) fn may_hand_out(&self, protocol: u8, port: u16) -> bool {
        let (first, last) = self.setup.nat_ports;
        let kept = match protocol {
            6 => self.kept.contains(&(false, port)),
            17 => self.kept.contains(&(true, port)),
            _ => false,
        };
        (first..=last).contains(&port) && !kept
    }

    /// The forward that takes a packet, and the host's end that it goes to.
    pub(crate) fn forward(
        &self,
        protocol: u8,
        from: [u8; 4],
        to: End,
        uplink: Id,
    ) -> Result<(&'static ForwardRule, End), NoTarget> {
        if self.owner(to.0).and_then(|owner| owner.uplink) != Some(uplink) {
            return Err(NoTarget::Nobody);
        }
        let rules = FORWARDS.iter().take(usize::from(self.setup.forwards));
        let holding = rules.filter(|rule| {
            rule.protocol == protocol
                && (rule.ports.0..=rule.ports.1).contains(&to.1)
                && if uplink == A.id { rule.uplinks.0 } else { rule.uplinks.1 }
        });
        let mut refusal = NoTarget::Nobody;
        for rule in holding {
            if rule.source.is_none_or(|source| source == from) {
                return Ok((rule, (rule.host.0, rule.host.1 + (to.1 - rule.ports.0))));
            }
            refusal = NoTarget::Refused;
        }
        Err(refusal)
    }
}

/// Why a public end stands for no LAN host.
#[derive(Clone, Copy, Debug)]
pub(crate) enum NoTarget {
    /// There is neither a mapping nor a forward.
    Nobody,
    /// There is a mapping, of a host of IPv6.
    Ipv6,
    /// There is a forward, but not for this sender.
    Refused,
}

/// Whether no router may pass on a packet from or to the address (RFC 1812 section 5.3.7).
pub(crate) fn is_martian(address: [u8; 4]) -> bool {
    matches!(address, [0 | 127 | 224.., ..] | [169, 254, ..])
}
