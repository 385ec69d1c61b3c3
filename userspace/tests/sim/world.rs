//! The kernel of a simulated host: what is true of its interfaces, and how it tells.

use std::net::{IpAddr, Ipv4Addr};

use pointsman::netlink::{
    Address, DefaultRoute, Fact, Family, Link, Neighbour, NeighbourState, Rank, Snapshot,
};

use super::event::{Event, Known};

/// The number of the LAN's interface; those below are uplinks'.
pub(crate) const LAN: u8 = 5;

/// How many addresses an interface can have.
const ADDRESSES: u8 = 3;

/// What is true, whoever has been told.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) truth: Snapshot,
    interfaces: Vec<Interface>,
    next_index: u32,
}

#[derive(Clone, Debug)]
struct Interface {
    /// The kernel's index; none while it is away.
    index: Option<u32>,
    is_own_name: bool,
    is_up: bool,
    has_carrier: bool,
    mac: u8,
    mtu: u16,
}

const WHOLE: Interface =
    Interface { index: None, is_own_name: true, is_up: true, has_carrier: true, mac: 0, mtu: 1500 };

impl World {
    /// A host all of whose interfaces work.
    pub(crate) fn new() -> Self {
        let interfaces = (0..=LAN).map(|_| WHOLE).collect();
        let mut world = Self { truth: Snapshot::default(), interfaces, next_index: 2 };
        for interface in 0..=LAN {
            world.apply(Event::Heal { interface });
        }
        world
    }

    /// Lets something happen, if it is of the kernel. Returns what the kernel tells of it.
    pub(crate) fn apply(&mut self, event: Event) -> Vec<Fact> {
        let facts = self.facts(event);
        for fact in &facts {
            self.truth.apply(fact.clone());
        }
        facts
    }

    fn facts(&mut self, event: Event) -> Vec<Fact> {
        match event {
            Event::Carrier { interface, is_there } => {
                self.change(interface, |it| it.has_carrier = is_there)
            }
            Event::Admin { interface, is_up } => self.change(interface, |it| it.is_up = is_up),
            Event::Rename { interface, is_own } => {
                self.change(interface, |it| it.is_own_name = is_own)
            }
            Event::Mac { interface, last } => self.change(interface, |it| it.mac = last),
            Event::Mtu { interface, bytes } => self.change(interface, |it| it.mtu = bytes),
            Event::Remove { interface } => {
                let index = self.interfaces[usize::from(interface)].index.take();
                index.map(|index| Fact::LinkGone { index }).into_iter().collect()
            }
            Event::Heal { interface } => self.heal(interface),
            Event::AddAddress { interface, number } => {
                let has_other = self.addresses(interface).next().is_some();
                let rank = if has_other { Rank::Secondary } else { Rank::Primary };
                let address = self.address(interface, number);
                // The kernel tells nothing of what is there already.
                let is_new = |address: &Address| !self.truth.addresses.contains_key(address);
                let new = address.filter(is_new);
                new.map(|address| Fact::Address { address, rank }).into_iter().collect()
            }
            Event::DropAddress { interface, number } => {
                let address = self.address(interface, number);
                let known = address.filter(|it| self.truth.addresses.contains_key(it));
                known.map(Fact::AddressGone).into_iter().collect()
            }
            Event::Route { interface, gateway } => self.route(interface, gateway),
            Event::Neighbour { interface, gateway, known } => {
                self.neighbour(interface, gateway, known)
            }
            _ => Vec::new(),
        }
    }

    fn change(&mut self, interface: u8, change: impl FnOnce(&mut Interface)) -> Vec<Fact> {
        let it = &mut self.interfaces[usize::from(interface)];
        change(it);
        let Some(index) = it.index else { return Vec::new() };
        let name = if it.is_own_name { name(interface) } else { format!("other{interface}") };
        let link = Link {
            name,
            mac: Some([2, 0, 0, interface, it.mac, 2]),
            mtu: it.mtu.into(),
            admin_up: it.is_up,
            carrier: it.is_up && it.has_carrier,
            tag: None,
        };
        vec![Fact::Link { index, link }]
    }

    fn heal(&mut self, interface: u8) -> Vec<Fact> {
        let it = &mut self.interfaces[usize::from(interface)];
        let index = it.index.unwrap_or(self.next_index);
        if it.index.is_none() {
            self.next_index += 1;
        }
        let (mac, mtu) = (it.mac, it.mtu);
        let mut facts =
            self.change(interface, |it| *it = Interface { index: Some(index), mac, mtu, ..WHOLE });
        if self.addresses(interface).next().is_none() {
            facts.extend(self.facts(Event::AddAddress { interface, number: 0 }));
        }
        if interface != LAN {
            facts.extend(self.route(interface, Some(0)));
            facts.extend(self.neighbour(interface, 0, Known::Reachable { last: 0 }));
        }
        facts
    }

    fn route(&self, interface: u8, gateway: Option<u8>) -> Vec<Fact> {
        let it = &self.interfaces[usize::from(interface)];
        let Some(index) = it.index.filter(|_| it.is_up) else { return Vec::new() };
        let (family, metric) = (Family::Ipv4, 100 + u32::from(interface));
        let mut facts = vec![Fact::DefaultRouteReplaced { family, metric }];
        if let Some(number) = gateway {
            let gateway = Some(self::gateway(interface, number).into());
            facts.push(Fact::DefaultRoute(DefaultRoute { family, metric, index, gateway }));
        }
        facts
    }

    fn neighbour(&self, interface: u8, gateway: u8, known: Known) -> Vec<Fact> {
        let Some(index) = self.interfaces[usize::from(interface)].index else {
            return Vec::new();
        };
        let address = IpAddr::from(self::gateway(interface, gateway));
        let mac = |last| Some([2, 0, 0, interface, last, 1]);
        let neighbour = |mac, state| {
            vec![Fact::Neighbour { index, address, neighbour: Neighbour { mac, state } }]
        };
        match known {
            Known::Reachable { last } => neighbour(mac(last), NeighbourState::Reachable),
            Known::Stale { last } => neighbour(mac(last), NeighbourState::Stale),
            Known::Incomplete => neighbour(None, NeighbourState::Incomplete),
            Known::Failed => neighbour(None, NeighbourState::Failed),
            Known::Gone => vec![Fact::NeighbourGone { index, address }],
        }
    }

    /// The kernel's index of an interface that is there.
    pub(crate) fn index(&self, interface: u8) -> Option<u32> {
        self.interfaces.get(usize::from(interface))?.index
    }

    fn address(&self, interface: u8, number: u8) -> Option<Address> {
        let index = self.index(interface)?;
        let (address, prefix_length) = if interface == LAN {
            (Ipv4Addr::new(10, 1, 0, 1 + number % ADDRESSES), 16)
        } else {
            (Ipv4Addr::new(198, 51, 100 + interface, 2 + number % ADDRESSES), 24)
        };
        Some(Address { index, address: address.into(), prefix_length })
    }

    fn addresses(&self, interface: u8) -> impl Iterator<Item = Address> {
        let all = (0..ADDRESSES).filter_map(move |number| self.address(interface, number));
        all.filter(|address| self.truth.addresses.contains_key(address))
    }

    /// What makes of the host one of which all is certain: the kernel has found its neighbours or given them up,
    /// and an interface has one address at most.
    pub(crate) fn settling(&self) -> Vec<Event> {
        let mut events = Vec::new();
        for interface in 0..=LAN {
            let surplus = self.addresses(interface).count().saturating_sub(1) as u8;
            let numbers = (0..ADDRESSES).rev().filter(|number| {
                let address = self.address(interface, *number);
                address.is_some_and(|address| self.truth.addresses.contains_key(&address))
            });
            let drop = |number| Event::DropAddress { interface, number };
            events.extend(numbers.take(surplus.into()).map(drop));
            let Some(index) = self.index(interface).filter(|_| interface != LAN) else { continue };
            for gateway in 0..2 {
                let address = self::gateway(interface, gateway);
                if self.truth.resolution(index, address).mac().is_none() {
                    events.push(Event::Neighbour { interface, gateway, known: Known::Failed });
                }
            }
        }
        events
    }
}

/// What an interface is called.
pub(crate) fn name(interface: u8) -> String {
    if interface == LAN { "lan0".to_owned() } else { format!("wan{interface}") }
}

/// One of the two next hops that an interface may have.
pub(crate) fn gateway(interface: u8, number: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 51, 100 + interface, if number == 0 { 1 } else { 254 })
}
