use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use pointsman_ebpf::abi::{self, Ipv4, Mac, MacPair};

use super::attachment::Attachment;
use super::bfd::{Router, Session, configured};
use super::inquiry::Inquiry;
use super::outcomes::Outcomes;
use super::routed::RoutedSide;
use super::traffic::Traffic;
use super::uplink6::{Ipv6Side, Surroundings};
use crate::bfd::Mode;
use crate::config::{self, Gateway};
use crate::dataplane::Contents;
use crate::netlink::{Resolution, Snapshot};
use crate::probe::{Path, Probe, ProbeId, Side};
use crate::uplink::{
    Event, Interface, Monitor, NextHop, Quorum, Requirements, State, Thresholds, Verdict,
};

/// An uplink as it is configured, what is known of it, and what is made of that.
#[derive(Clone, Debug)]
pub struct ControlledUplink {
    pub(super) id: u8,
    pub(super) config: config::Uplink,
    pub(super) monitor: Monitor,
    /// It carries traffic although it is down: no other is up.
    pub(super) is_last_resort: bool,
    /// The operator wants no new flows on it.
    pub(super) is_drained: bool,
    /// Its state, and whether it was the last resort, as they were told last.
    pub(super) told: (State, bool),
    ifindex: Option<u32>,
    /// The MAC of its interface.
    mac: Option<[u8; 6]>,
    address: Option<Ipv4Addr>,
    /// Where the gateway's own packets come from.
    source: Option<Ipv4Addr>,
    gateway: Option<Ipv4Addr>,
    gateway_mac: Option<[u8; 6]>,
    /// The last of these that was known: packets go there also while the kernel asks for it anew.
    last_gateway_mac: Option<[u8; 6]>,
    /// The next hop did not answer when it was asked last.
    silent: bool,
    inquiry: Inquiry,
    /// What the data plane is to know: the last that was complete.
    record: Option<Record>,
    routed: RoutedSide,
    pub(super) outcomes: Outcomes,
    ipv6: Ipv6Side,
    pub(super) session: Session,
    pub(super) traffic: Traffic,
    pub(super) router: Router,
}

/// What the data plane is to know of an uplink.
#[derive(Clone, Debug)]
struct Record {
    uplink: abi::Uplink,
    /// The public addresses, that of `uplink` first.
    pool: Vec<Ipv4>,
}

impl ControlledUplink {
    pub(super) fn new(id: u8, config: config::Uplink, now: Instant) -> Self {
        let (probes, thresholds) = (probes(&config), thresholds(&config));
        let requirements = requirements(&config);
        let mut monitor = Monitor::new(&*config.interface, &probes, thresholds, requirements, now);
        let session = Session::new(&config);
        monitor.apply([Event::Bfd(session.evidence())], now);
        Self {
            id,
            config,
            monitor,
            is_last_resort: false,
            is_drained: false,
            told: (State::Down, false),
            ifindex: None,
            mac: None,
            address: None,
            source: None,
            gateway: None,
            gateway_mac: None,
            last_gateway_mac: None,
            silent: false,
            inquiry: Inquiry::default(),
            record: None,
            routed: RoutedSide::default(),
            outcomes: Outcomes::default(),
            ipv6: Ipv6Side::default(),
            session,
            traffic: Traffic::default(),
            router: Router::default(),
        }
    }

    /// Goes on with what another has left in the data plane for this uplink.
    pub(super) fn inherit(&mut self, contents: &Contents) {
        let first = u32::from(self.id) * abi::POOL_ADDRESSES as u32;
        if let Some(uplink) = contents.uplinks.get(&self.id).filter(|_| self.config.nat44) {
            let pool = (first..first + u32::from(uplink.pool))
                .map(|index| contents.pool.get(&index).copied().unwrap_or_default());
            self.record = Some(Record { uplink: *uplink, pool: pool.collect() });
            // Of several that the interface has, it stays.
            self.address = Some(uplink.address.octets().into());
        }
        if self.config.routed.is_some() {
            self.routed = RoutedSide::inherit(self.id, contents);
        }
        if self.config.ipv6.is_some() {
            self.ipv6.inherit(contents.uplinks6.get(&self.id).copied());
        }
    }

    /// Goes over to another configuration of the uplink of this name, on the same interface.
    pub(super) fn reconfigure(&mut self, config: config::Uplink, now: Instant) {
        let has_session = configured(&config).is_some();
        if has_session != configured(&self.config).is_some() {
            self.session = Session::new(&config);
        }
        let session = Event::Bfd(self.session.evidence());
        // What is new is known before what goes: between session and probes, nothing is taken for fit.
        if has_session {
            self.monitor.apply([session.clone()], now);
        }
        let probes = probes(&config);
        self.monitor.reconfigure(&probes, thresholds(&config), requirements(&config), now);
        if !has_session {
            self.monitor.apply([session], now);
        }
        self.outcomes.retain(&probes);
        if config.ipv6.is_none() {
            self.ipv6 = Ipv6Side::default();
        }
        if config.routed.is_none() {
            self.routed = RoutedSide::default();
        }
        if !config.nat44 {
            self.record = None;
        }
        self.config = config;
    }

    /// Takes in what the kernel knows. The generator gives generations that no uplink has had.
    /// `internal` is the prefix of the LAN's unique local addresses.
    pub(super) fn refresh(
        &mut self,
        facts: &Snapshot,
        around: Surroundings<'_>,
        now: Instant,
        generation: &mut impl FnMut() -> u32,
    ) {
        let attachment = Attachment::find(facts, &self.config.interface, self.config.vlan);
        let interface = interface_state(attachment.as_ref());
        let own = attachment.and_then(|attachment| attachment.own);
        self.ifindex = own.map(|(index, _)| index);
        self.mac = own.and_then(|(_, link)| link.mac);
        self.gateway = match self.config.gateway {
            Gateway::Address(address) => Some(address),
            Gateway::Auto => self.ifindex.and_then(|index| facts.default_gateway(index)),
        };
        self.address = self.choose_address(facts);
        self.source = self.choose_source(facts);
        let next_hop = self.next_hop(facts, interface);
        // What is routed needs none.
        let has_address = self.address.is_some() || self.config.routed.is_some();
        // The interface comes last: what returns with a carrier must not be judged by what was
        // known of the next hop before.
        let known =
            [Event::NextHop(next_hop), Event::Address(has_address), Event::Interface(interface)];
        self.monitor.apply(known, now);
        let Some(attachment) = attachment else { return };
        self.record(&attachment, generation);
        if let Some(config) = &self.config.ipv6 {
            let mac = self.config.gateway_mac;
            self.ipv6.refresh(config, around, facts, &attachment, mac, generation);
        }
        self.refresh_router(facts, interface);
    }

    /// Who sends echo packets back, if a session is of such.
    fn refresh_router(&mut self, facts: &Snapshot, interface: Interface) {
        let address = self.bfd_peer().filter(|_| self.bfd_mode() == Some(Mode::Echo));
        let Some(address) = address else {
            self.router = Router::default();
            return;
        };
        let gateways = [
            (self.gateway.map(IpAddr::from), self.gateway_mac),
            (self.gateway6().map(IpAddr::from), self.gateway6_mac()),
        ];
        let next_hop = gateways.into_iter().find(|(gateway, _)| *gateway == Some(address));
        let gateway_mac = next_hop.and_then(|(_, mac)| mac);
        // The kernel is asked for that of a next hop already.
        let asks = interface == Interface::Running && next_hop.is_none();
        self.router.refresh(address, gateway_mac, facts, self.ifindex.filter(|_| asks));
    }

    /// The first address that is configured; else the interface's: the one in use as long as it is there,
    /// for a change ends all flows, else one that shares a prefix with the gateway. Nothing is translated
    /// to an address that the uplink routes as it is.
    fn choose_address(&self, facts: &Snapshot) -> Option<Ipv4Addr> {
        if let Some(address) = self.config.addresses.first() {
            return Some(*address);
        }
        let routed = self.config.routed.as_ref().filter(|_| self.config.nat44);
        let all: Vec<_> = { facts.ipv4_addresses(self.ifindex?) }
            .filter(|(address, _)| !routed.is_some_and(|routed| routed.contains(*address)))
            .collect();
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

    /// A public address that the kernel has, for only then the answers are the kernel's; else the
    /// interface's own.
    fn choose_source(&self, facts: &Snapshot) -> Option<Ipv4Addr> {
        let is_local =
            |address: &&Ipv4Addr| facts.local_addresses().any(|local| local == **address);
        let public = self.public_addresses().iter().find(is_local).copied();
        let own = || facts.ipv4_addresses(self.ifindex?).next().map(|(address, _)| address);
        public.or_else(own)
    }

    fn next_hop(&mut self, facts: &Snapshot, interface: Interface) -> NextHop {
        let running = interface == Interface::Running;
        if !running {
            self.silent = false;
            self.inquiry.forget();
        }
        if let (Some(mac), Some(gateway)) = (self.config.gateway_mac, self.gateway) {
            self.inquiry.want(false);
            self.gateway_mac = Some(mac);
            return NextHop::Resolved(gateway);
        }
        let (Some(ifindex), Some(gateway)) = (self.ifindex, self.gateway) else {
            self.inquiry.want(false);
            self.gateway_mac = None;
            return NextHop::Unknown;
        };
        let resolution = facts.resolution(ifindex, gateway);
        self.inquiry.want(running && resolution.wants_resolving());
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

    /// Renews the record of the data plane where all of it is known, or has been of the next hop. What is
    /// lost for a while stays as it was: the uplink is not alive then, but its flows are not to become stale
    /// by that.
    ///
    /// Other public addresses are another generation, so that no mapping to the old ones matches any
    /// more. Another MAC of the next hop is none: no flow has it, so all go on by the new one from the
    /// next packet on, as where one router takes over from another (RFC 9568).
    fn record(&mut self, attachment: &Attachment<'_>, generation: &mut impl FnMut() -> u32) {
        self.last_gateway_mac = self.gateway_mac.or(self.last_gateway_mac);
        let (Some(own_mac), Some(gateway_mac)) = (attachment.mac(), self.last_gateway_mac) else {
            return;
        };
        let macs = MacPair::new(Mac::new(gateway_mac), Mac::new(own_mac));
        let mtu = packet_size(attachment.mtu());
        if let Some(config) = &self.config.routed {
            self.routed.refresh(config, (macs, mtu), generation);
        }
        let pool: Vec<Ipv4> =
            self.public_addresses().iter().map(|address| Ipv4::new(address.octets())).collect();
        let Some(address) = pool.first().copied() else {
            return;
        };
        let generation = match &self.record {
            Some(record) if record.pool == pool => record.uplink.generation,
            _ => generation(),
        };
        let uplink = abi::Uplink {
            generation,
            address,
            macs,
            egress: 0,
            mtu,
            // The configuration has no more than there is room for.
            pool: pool.len() as u8,
            inbound: 0,
            reserved: [0; 6],
        };
        self.record = Some(Record { uplink, pool });
    }

    /// Takes in what else is known of its health.
    pub(super) fn health_event(&mut self, event: Event, now: Instant) {
        self.monitor.apply([event], now);
    }

    /// What is known of its BFD session.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The interface and the address of which the kernel is to find the MAC now, if any.
    pub(super) fn resolution_due(&mut self, now: Instant) -> Option<(u32, Ipv4Addr)> {
        let (ifindex, gateway) = self.ifindex.zip(self.gateway)?;
        self.inquiry.is_due(now).then_some((ifindex, gateway))
    }

    /// The same of the router of a BFD echo, where that is not the next hop.
    pub(super) fn router_due(&mut self, now: Instant) -> Option<(u32, IpAddr)> {
        Some((self.ifindex?, self.router.resolution_due(now)?))
    }

    /// The same for IPv6.
    pub(super) fn resolution_due6(&mut self, now: Instant) -> Option<(u32, Ipv6Addr)> {
        self.ipv6.resolution_due(now)
    }

    /// Whether all is known that IPv6 packets need.
    pub fn carries_ipv6(&self) -> bool {
        self.ipv6.to_record(0).is_some()
    }

    /// The IPv6 address that the LAN's hosts share, where they do and it is known.
    pub fn address6(&self) -> Option<Ipv6Addr> {
        self.ipv6.address()
    }

    /// The next hop of IPv6 packets, where known.
    pub fn gateway6(&self) -> Option<Ipv6Addr> {
        self.ipv6.gateway()
    }

    /// The MAC of that, where known.
    pub fn gateway6_mac(&self) -> Option<[u8; 6]> {
        self.ipv6.gateway_mac()
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
        self.monitor.verdict()
    }

    /// What watches it.
    pub fn monitor(&self) -> &Monitor {
        &self.monitor
    }

    /// Whether it is fit for traffic.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.verdict().state, State::Up | State::Degraded)
    }

    /// Whether it is down, and carries traffic all the same because no other is up.
    pub fn is_last_resort(&self) -> bool {
        self.is_last_resort
    }

    /// The kernel's index of the interface, while there is one.
    pub fn ifindex(&self) -> Option<u32> {
        self.ifindex
    }

    /// The public address, or the first of several, where known; the interface's own, where nothing is
    /// translated.
    pub fn address(&self) -> Option<Ipv4Addr> {
        self.address
    }

    /// The address that the gateway's own packets come from, such as probes, where there is one.
    pub fn source(&self) -> Option<Ipv4Addr> {
        self.source
    }

    /// What its probes need to know.
    pub fn path(&self) -> Path {
        let Self { mac, source, gateway, gateway_mac, .. } = *self;
        let ipv4 = Side { source, gateway, gateway_mac };
        Path {
            mac,
            ipv4,
            ipv6: self.ipv6.path(),
            link_local: self.ipv6.link_local(),
            is_suspect: self.traffic.is_suspect,
        }
    }

    /// All public addresses that flows are translated to, where known.
    pub fn public_addresses(&self) -> &[Ipv4Addr] {
        if !self.config.nat44 {
            &[]
        } else if self.config.addresses.is_empty() {
            self.address.as_slice()
        } else {
            &self.config.addresses
        }
    }

    /// The next hop, where known.
    pub fn gateway(&self) -> Option<Ipv4Addr> {
        self.gateway
    }

    /// The next hop's MAC, where known.
    pub fn gateway_mac(&self) -> Option<[u8; 6]> {
        self.gateway_mac
    }

    /// Whether private sources may leave by it while it is up: without an address, what it routes keeps
    /// it up.
    pub(super) fn translates(&self) -> bool {
        self.config.nat44 && (self.address.is_some() || self.config.routed.is_none())
    }

    /// Whether all is known that what is routed needs.
    pub fn routes(&self) -> bool {
        self.routed.to_record(0).is_some()
    }

    /// What the data plane is to know of both its sides, with this egress slot.
    pub(super) fn to_records(
        &self,
        egress: u16,
    ) -> impl Iterator<Item = (u8, abi::Uplink)> + use<> {
        let translating = self.record.as_ref().map(|it| abi::Uplink { egress, ..it.uplink });
        let routing = self.routed.to_record(egress);
        let sides = [(self.id, translating), (abi::ROUTED_SIDE + self.id, routing)];
        sides.into_iter().filter_map(|(side, record)| Some((side, record?)))
    }

    /// The same for IPv6.
    pub(super) fn to_record6(&self, egress: u16) -> Option<abi::Uplink6> {
        self.ipv6.to_record(egress)
    }

    /// The public addresses of that record.
    pub(super) fn pool(&self) -> &[Ipv4] {
        self.record.as_ref().map_or(&[], |record| &record.pool)
    }
}

/// The largest packet that an interface takes, as the data plane keeps it.
pub(super) fn packet_size(mtu: u32) -> u16 {
    u16::try_from(mtu).unwrap_or(u16::MAX)
}

fn interface_state(attachment: Option<&Attachment<'_>>) -> Interface {
    match attachment {
        None => Interface::Missing,
        Some(attachment) if !attachment.is(|link| link.admin_up) => Interface::Down,
        Some(attachment) if !attachment.is(|link| link.carrier) => Interface::NoCarrier,
        Some(_) => Interface::Running,
    }
}

fn probes(config: &config::Uplink) -> Vec<ProbeId> {
    config.health.iter().flat_map(|health| &health.probes).map(Probe::id).collect()
}

/// Without probes the thresholds do not matter.
fn thresholds(config: &config::Uplink) -> Thresholds {
    config.health.as_ref().map_or(
        Thresholds { down_after: 1, up_after: 1, quorum: Quorum::Any },
        |health| Thresholds {
            down_after: health.down_after,
            up_after: health.up_after,
            quorum: health.quorum,
        },
    )
}

fn requirements(config: &config::Uplink) -> Requirements {
    config.health.as_ref().map(|health| health.requirements.clone()).unwrap_or_default()
}
