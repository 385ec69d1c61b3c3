use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use pointsman_ebpf::abi::{self, Ipv4, Mac, MacPair};

use crate::config::{self, Gateway};
use crate::netlink::{Link, Resolution, Snapshot};
use crate::probe::{Outcome, ProbeEvent};
use crate::uplink::{Event, Health, Interface, NextHop, State, Thresholds, Verdict};

/// How often the kernel is asked for a MAC that it does not have.
const RESOLVE_INTERVAL: Duration = Duration::from_secs(1);

/// An uplink as it is configured, what is known of it, and what is made of that.
#[derive(Clone, Debug)]
pub struct ControlledUplink {
    pub(super) id: u8,
    pub(super) config: config::Uplink,
    health: Health,
    ifindex: Option<u32>,
    address: Option<Ipv4Addr>,
    gateway: Option<Ipv4Addr>,
    gateway_mac: Option<[u8; 6]>,
    /// The next hop did not answer when it was asked last.
    silent: bool,
    wants_resolving: bool,
    asked_at: Option<Instant>,
    /// What the data plane is to know: the last that was complete.
    record: Option<abi::Uplink>,
    outcomes: BTreeMap<Ipv4Addr, Outcome>,
}

impl ControlledUplink {
    pub(super) fn new(id: u8, config: config::Uplink, now: Instant) -> Self {
        let health = Health::new(&*config.interface, targets(&config), thresholds(&config), now);
        Self {
            id,
            config,
            health,
            ifindex: None,
            address: None,
            gateway: None,
            gateway_mac: None,
            silent: false,
            wants_resolving: false,
            asked_at: None,
            record: None,
            outcomes: BTreeMap::new(),
        }
    }

    /// Goes over to another configuration of the uplink of this name, on the same interface.
    pub(super) fn reconfigure(&mut self, config: config::Uplink, now: Instant) {
        self.health.reconfigure(targets(&config), thresholds(&config), now);
        let targets = targets(&config);
        self.outcomes.retain(|target, _| targets.contains(target));
        self.config = config;
    }

    /// Takes in what the kernel knows. The generator gives generations that no uplink has had.
    pub(super) fn refresh(
        &mut self,
        facts: &Snapshot,
        now: Instant,
        generation: &mut impl FnMut() -> u32,
    ) {
        let link = facts.link_named(&self.config.interface);
        let interface = interface_state(link.map(|(_, link)| link));
        self.ifindex = link.map(|(index, _)| index);
        self.gateway = match self.config.gateway {
            Gateway::Address(address) => Some(address),
            Gateway::Auto => self.ifindex.and_then(|index| facts.default_gateway(index)),
        };
        self.address = self.choose_address(facts);
        let next_hop = self.next_hop(facts, interface);
        // The interface comes last: what returns with a carrier must not be judged by what was
        // known of the next hop before.
        self.health.apply(Event::NextHop(next_hop), now);
        self.health.apply(Event::Address(self.address.is_some()), now);
        self.health.apply(Event::Interface(interface), now);
        if let Some((_, link)) = link {
            self.record(link, generation);
        }
    }

    /// The address that is configured; else the interface's: the one in use as long as it is there,
    /// for a change ends all flows, else one that shares a prefix with the gateway.
    fn choose_address(&self, facts: &Snapshot) -> Option<Ipv4Addr> {
        if self.config.address.is_some() {
            return self.config.address;
        }
        let all: Vec<_> = facts.ipv4_addresses(self.ifindex?).collect();
        let near_gateway = |&&(address, length): &&(Ipv4Addr, u8)| {
            let network = |address| ipnet::Ipv4Net::new(address, length).map(|net| net.trunc());
            self.gateway.is_some_and(|gateway| network(gateway) == network(address))
        };
        let in_use = self.address.filter(|old| all.iter().any(|(address, _)| address == old));
        in_use.or_else(|| {
            let best = all.iter().find(near_gateway).or(all.first());
            best.map(|(address, _)| *address)
        })
    }

    fn next_hop(&mut self, facts: &Snapshot, interface: Interface) -> NextHop {
        let running = interface == Interface::Running;
        if !running {
            self.silent = false;
            self.asked_at = None;
        }
        let (Some(ifindex), Some(gateway)) = (self.ifindex, self.gateway) else {
            self.wants_resolving = false;
            self.gateway_mac = None;
            return NextHop::Unknown;
        };
        let resolution = facts.resolution(ifindex, gateway);
        self.wants_resolving = running && resolution.wants_resolving();
        self.gateway_mac = resolution.mac();
        match resolution {
            Resolution::Known(_) | Resolution::Stale(_) => self.silent = false,
            Resolution::Failed => self.silent = running,
            // Silence lasts until there is an answer, not until the question is repeated.
            Resolution::Pending | Resolution::Unknown => {}
        }
        match (self.gateway_mac, self.silent) {
            (Some(_), _) => NextHop::Resolved(gateway),
            (None, true) => NextHop::Silent(gateway),
            (None, false) => NextHop::Resolving(gateway),
        }
    }

    /// Renews the record of the data plane where all of it is known. What is lost for a while
    /// stays as it was: the uplink is not alive then, but its flows are not to become stale by
    /// that.
    fn record(&mut self, link: &Link, generation: &mut impl FnMut() -> u32) {
        let (Some(address), Some(own_mac)) = (self.address, link.mac) else {
            return;
        };
        let Some(gateway_mac) = self.gateway_mac else {
            return;
        };
        let address = Ipv4::new(address.octets());
        let generation = match &self.record {
            Some(record) if record.address == address => record.generation,
            _ => generation(),
        };
        self.record = Some(abi::Uplink {
            generation,
            address,
            macs: MacPair::new(Mac::new(gateway_mac), Mac::new(own_mac)),
            egress: 0,
            mtu: packet_size(link),
            reserved: [0; 8],
        });
    }

    /// Takes in the outcome of a probe.
    pub(super) fn probed(&mut self, event: ProbeEvent, now: Instant) {
        self.health.apply(
            Event::Probe {
                target: event.target,
                sent_at: event.sent_at,
                answered: matches!(event.outcome, Outcome::Answered { .. }),
            },
            now,
        );
        if targets(&self.config).contains(&event.target) {
            self.outcomes.insert(event.target, event.outcome);
        }
    }

    /// The interface and the address of which the kernel is to find the MAC now, if any.
    pub(super) fn resolution_due(&mut self, now: Instant) -> Option<(u32, Ipv4Addr)> {
        let asked_lately = self
            .asked_at
            .is_some_and(|asked| now.saturating_duration_since(asked) < RESOLVE_INTERVAL);
        if !self.wants_resolving || asked_lately {
            return None;
        }
        self.asked_at = Some(now);
        self.ifindex.zip(self.gateway)
    }

    /// The identifier, below [`abi::MAX_UPLINKS`].
    pub fn id(&self) -> u8 {
        self.id
    }

    /// The configuration.
    pub fn config(&self) -> &config::Uplink {
        &self.config
    }

    /// The state, since when, and why.
    pub fn verdict(&self) -> &Verdict {
        self.health.verdict()
    }

    /// Whether new flows may take it.
    pub fn is_up(&self) -> bool {
        self.verdict().state == State::Up
    }

    /// The kernel's index of the interface, while there is one.
    pub fn ifindex(&self) -> Option<u32> {
        self.ifindex
    }

    /// The public address, where known.
    pub fn address(&self) -> Option<Ipv4Addr> {
        self.address
    }

    /// The next hop, where known.
    pub fn gateway(&self) -> Option<Ipv4Addr> {
        self.gateway
    }

    /// The next hop's MAC, where known.
    pub fn gateway_mac(&self) -> Option<[u8; 6]> {
        self.gateway_mac
    }

    /// What became of the latest probe of this target.
    pub fn last_outcome(&self, target: Ipv4Addr) -> Option<&Outcome> {
        self.outcomes.get(&target)
    }

    /// What the data plane is to know of it, with this egress slot.
    pub(super) fn to_record(&self, egress: u16) -> Option<abi::Uplink> {
        self.record.map(|record| abi::Uplink { egress, ..record })
    }
}

/// The largest packet that an interface takes, as the data plane keeps it.
pub(super) fn packet_size(link: &Link) -> u16 {
    u16::try_from(link.mtu).unwrap_or(u16::MAX)
}

fn interface_state(link: Option<&Link>) -> Interface {
    match link {
        None => Interface::Missing,
        Some(link) if !link.admin_up => Interface::Down,
        Some(link) if !link.carrier => Interface::NoCarrier,
        Some(_) => Interface::Running,
    }
}

fn targets(config: &config::Uplink) -> &[Ipv4Addr] {
    config.health.as_ref().map_or(&[], |health| health.targets.as_slice())
}

/// Without probes the thresholds do not matter.
fn thresholds(config: &config::Uplink) -> Thresholds {
    config.health.as_ref().map_or(Thresholds { down_after: 1, up_after: 1 }, |health| Thresholds {
        down_after: health.down_after,
        up_after: health.up_after,
    })
}
