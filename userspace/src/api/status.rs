//! What `GET /v1/status` answers: the schema, and how it is filled in.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use ipnet::{Ipv4Net, Ipv6Net};
use pointsman_ebpf::abi::{Counter, CounterId, Direction, HandshakeCounts};
use pointsman_ebpf::verdict::{DropReason, PassReason};
use serde::{Deserialize, Serialize};

use super::bfd::BfdStatus;
use super::drain::DrainStatus;
pub use super::passive::{SilentStatus, TcpStatus};
use super::quality::quality;
pub use super::quality::{DampeningStatus, QualityStatus};
pub use super::rebalance::RebalanceStatus;
use crate::config::{Forward, Inbound, Ipv6, Ipv6Mode, Routed};
use crate::control::{ControlledUplink, Controller, Reach, Target};
use crate::dataplane::{Census, Progress};
use crate::probe::{Outcome, Probe};
use crate::uplink::State;

/// How a running daemon is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The daemon's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// How long it has been running, in seconds.
    pub uptime_s: f64,
    /// How often the file has been read again, whether it changed anything or not.
    pub reloads: u64,
    /// Why the last reload changed nothing; `None` if it did, or there was none.
    pub last_reload_error: Option<String>,
    /// The uplinks, in the order of the file.
    pub uplinks: Vec<UplinkStatus>,
    /// The LAN interfaces, in the order of the file.
    pub lan: Vec<LanStatus>,
    /// The flow table.
    pub flows: FlowsStatus,
    /// The latest rebalancing, if there was one.
    pub rebalance: Option<RebalanceStatus>,
    /// The port forwards, in the order of the file.
    pub forwards: Vec<ForwardStatus>,
    /// Dropped packets by [`DropReason::name`], of which the sender was not told.
    pub drops: BTreeMap<String, Traffic>,
    /// Dropped packets by [`DropReason::name`], of which an ICMP message, or a reset of TCP, told the sender.
    pub answered: BTreeMap<String, Traffic>,
    /// Packets handed to the kernel by [`PassReason::name`].
    pub passed: BTreeMap<String, Traffic>,
    /// Packets forwarded from the LAN to the LAN, with nothing translated.
    pub lan_to_lan: Traffic,
    /// Packets of BFD that the data plane has taken note of, and the daemon has not seen.
    pub bfd_heard: Traffic,
}

/// How one uplink is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UplinkStatus {
    /// Its name.
    pub name: String,
    /// Its identifier in the data plane.
    pub id: u8,
    /// Its interface.
    pub interface: String,
    /// `up`, `degraded`, `down` or `testing`.
    pub state: String,
    /// For how long, in seconds.
    pub since_s: f64,
    /// Why, in words.
    pub reason: String,
    /// In how many seconds it will be better if nothing happens meanwhile, where time alone counts.
    pub back_in_s: Option<f64>,
    /// Whether new flows are to take it before others that are up but not preferred.
    pub preferred: bool,
    /// Whether it carries traffic although it is down, because no other is up.
    pub last_resort: bool,
    /// How it is drained, if the operator wants no new flows on it.
    pub drained: Option<DrainStatus>,
    /// How many flows are on it, answered or not, as of the latest sweep.
    pub flows: usize,
    /// How good its path is, if it is probed.
    pub quality: Option<QualityStatus>,
    /// How often it has been lost lately, if that is to matter.
    pub dampening: Option<DampeningStatus>,
    /// The public address, or the first of several, where known; the interface's own, where nothing is
    /// translated.
    pub address: Option<Ipv4Addr>,
    /// All public addresses that flows are translated to, where known.
    pub addresses: Vec<Ipv4Addr>,
    /// What it carries of IPv4 as it is, if anything.
    pub routed: Option<RoutedStatus>,
    /// The next hop, where known.
    pub gateway: Option<Ipv4Addr>,
    /// The next hop's MAC, where known.
    pub gateway_mac: Option<String>,
    /// How it carries IPv6, if it is to.
    pub ipv6: Option<Ipv6Status>,
    /// The share of new flows, relative to the other uplinks.
    pub weight: u32,
    /// Its BFD session, if it is to have one.
    pub bfd: Option<BfdStatus>,
    /// What of its traffic makes it suspect to be dead, if something does.
    pub silent: Option<SilentStatus>,
    /// What the LAN's connections of TCP show of it, if there were any of late.
    pub tcp: Option<TcpStatus>,
    /// The probes, in the order of the file.
    pub probes: Vec<ProbeStatus>,
    /// What went from the LAN to the uplink.
    pub out: Traffic,
    /// What came back.
    #[serde(rename = "in")]
    pub back: Traffic,
    /// What went from the LAN to the LAN by its public addresses.
    pub hairpin: Traffic,
}

/// What an uplink carries of IPv4 as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoutedStatus {
    /// The site's own prefixes.
    pub prefixes: Vec<Ipv4Net>,
    /// `all` or `answers`: what may come in.
    pub inbound: String,
    /// Whether the next hop has been known, so that they can be sent to.
    pub ready: bool,
}

/// How an uplink carries IPv6.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ipv6Status {
    /// `nptv6`, `nat66`, `routed` or `source`.
    pub mode: String,
    /// What the provider routes here; nothing where hosts share an address.
    pub prefixes: Vec<Ipv6Net>,
    /// The address that hosts share, where they do and it is known.
    pub address: Option<Ipv6Addr>,
    /// The next hop, where known.
    pub gateway: Option<Ipv6Addr>,
    /// The next hop's MAC, where known.
    pub gateway_mac: Option<String>,
    /// Why it carries none yet.
    pub missing: Option<String>,
}

/// How a probe went when it was sent last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbeStatus {
    /// All of it, in words.
    pub name: String,
    /// `icmp`, `tcp`, `http`, `https`, `dns`, `arp` or `nd`.
    pub kind: String,
    /// Who was asked: an address, one with a port, a URL, or `gateway`.
    pub target: String,
    /// `answered`, `wrong`, `lost`, `failed` or `none`.
    pub last: String,
    /// How long the answer took, in milliseconds.
    pub rtt_ms: Option<f64>,
    /// What was wrong with the answer, or why the probe could not be sent.
    pub error: Option<String>,
}

/// One interface of the LAN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LanStatus {
    /// Its name.
    pub interface: String,
    /// Whether it is there and has carrier.
    pub carrier: bool,
    /// Its first IPv4 address.
    pub address: Option<Ipv4Net>,
}

/// One port forward.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ForwardStatus {
    /// All of it, in words.
    pub name: String,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// The first public port.
    pub first_port: u16,
    /// The last public port.
    pub last_port: u16,
    /// The LAN host.
    pub address: Ipv4Addr,
    /// The host's port that the first public port stands for.
    pub port: u16,
    /// The uplinks that it holds for.
    pub uplinks: Vec<String>,
    /// The host's MAC. Without it the forward does not work.
    pub mac: Option<String>,
    /// Why there is none.
    pub unresolved: Option<String>,
}

/// How full the flow table is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlowsStatus {
    /// Entries, two for each flow, as of the latest sweep; with millions of entries that may be a
    /// minute ago.
    pub entries: usize,
    /// How many there can be.
    pub max: u32,
    /// How many sweeps there have been.
    pub passes: u64,
    /// Entries of flows of IPv6, likewise: one for each, or two where hosts share an address.
    pub ipv6_entries: usize,
    /// How many of those there can be.
    pub ipv6_max: u32,
}

/// Packets and bytes of one kind since the daemon started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Packets.
    pub packets: u64,
    /// Bytes of whole frames.
    pub bytes: u64,
}

/// What a status is made from.
pub(crate) struct Source<'a> {
    pub(crate) controller: &'a Controller,
    pub(crate) counters: &'a [Counter],
    pub(crate) handshakes: &'a dyn Fn(u8) -> HandshakeCounts,
    pub(crate) census: Census,
    pub(crate) passes: u64,
    pub(crate) rebalance: Option<Progress>,
    pub(crate) started: Instant,
    pub(crate) reloads: u64,
    pub(crate) last_reload_error: Option<&'a str>,
}

impl Source<'_> {
    /// The status at `now`.
    pub(crate) fn status(&self, now: Instant) -> Status {
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_s: now.saturating_duration_since(self.started).as_secs_f64(),
            reloads: self.reloads,
            last_reload_error: self.last_reload_error.map(str::to_owned),
            uplinks: self
                .controller
                .uplinks()
                .iter()
                .map(|uplink| self.uplink(uplink, now))
                .collect(),
            lan: self.lan(),
            flows: FlowsStatus {
                entries: self.census.established,
                max: self.controller.config().tables.flows,
                passes: self.passes,
                ipv6_entries: self.census.pins,
                ipv6_max: self.controller.config().tables.pins,
            },
            rebalance: self.rebalance.map(RebalanceStatus::from),
            forwards: self.forwards(),
            drops: self.by_reason(CounterId::dropped),
            answered: self.by_reason(CounterId::answered),
            lan_to_lan: self.traffic(CounterId::across_lan()),
            bfd_heard: self.traffic(CounterId::heard()),
            passed: PassReason::ALL
                .iter()
                .map(|reason| (reason.name().to_owned(), self.traffic(CounterId::passed(*reason))))
                .collect(),
        }
    }

    fn uplink(&self, uplink: &ControlledUplink, now: Instant) -> UplinkStatus {
        let (config, verdict) = (uplink.config(), uplink.verdict());
        let probes = config.health.iter().flat_map(|health| &health.probes);
        UplinkStatus {
            name: config.name.clone(),
            id: uplink.id(),
            interface: config.interface.clone(),
            state: verdict.state.to_string(),
            since_s: now.saturating_duration_since(verdict.since).as_secs_f64(),
            reason: verdict.describe(now),
            back_in_s: verdict
                .until
                .map(|until| until.saturating_duration_since(now).as_secs_f64()),
            preferred: verdict.state == State::Up,
            last_resort: uplink.is_last_resort(),
            drained: DrainStatus::of(self.controller, &config.name, now),
            flows: self.census.flows_on(uplink.id()),
            quality: quality(uplink, now),
            dampening: uplink.monitor().instability(now).map(DampeningStatus::from),
            address: uplink.address(),
            addresses: uplink.public_addresses().to_vec(),
            gateway: uplink.gateway(),
            gateway_mac: uplink.gateway_mac().map(format_mac),
            routed: config.routed.as_ref().map(|config| routed(uplink, config)),
            ipv6: uplink.config().ipv6.as_ref().map(|config| ipv6(uplink, config)),
            weight: config.weight,
            bfd: BfdStatus::of(uplink),
            silent: uplink.suspicion(now).map(SilentStatus::from),
            tcp: TcpStatus::of(uplink, &(self.handshakes)(uplink.id())),
            probes: probes.map(|it| probe(it, uplink.last_outcome(&it.id()))).collect(),
            out: self.traffic(CounterId::forwarded(uplink.id(), Direction::Out)),
            back: self.traffic(CounterId::forwarded(uplink.id(), Direction::In)),
            hairpin: self.traffic(CounterId::forwarded(uplink.id(), Direction::Hairpin)),
        }
    }

    fn forwards(&self) -> Vec<ForwardStatus> {
        self.controller.config().forwards.iter().map(|forward| self.forward(forward)).collect()
    }

    fn forward(&self, forward: &Forward) -> ForwardStatus {
        let uplinks = &self.controller.config().uplinks;
        let named = |index: &usize| uplinks.get(*index).map(|uplink| uplink.name.clone());
        let reach = self.controller.target(forward.address).map(Target::reach);
        let (mac, unresolved) = match reach {
            Some(Reach::Resolved(mac)) => (Some(format_mac(mac)), None),
            other => (None, other.map(|reach| reach.to_string())),
        };
        ForwardStatus {
            name: forward.to_string(),
            protocol: forward.protocol.to_string(),
            first_port: *forward.ports.start(),
            last_port: *forward.ports.end(),
            address: forward.address,
            port: forward.port,
            uplinks: forward.uplinks.iter().filter_map(named).collect(),
            mac,
            unresolved,
        }
    }

    fn by_reason(&self, counter: fn(DropReason) -> CounterId) -> BTreeMap<String, Traffic> {
        let reasons = DropReason::ALL.iter();
        reasons.map(|reason| (reason.name().to_owned(), self.traffic(counter(*reason)))).collect()
    }

    fn lan(&self) -> Vec<LanStatus> {
        let facts = self.controller.facts();
        let interfaces = self.controller.config().lan.interfaces.iter();
        interfaces
            .map(|interface| {
                let link = facts.link_named(interface);
                let address = link.and_then(|(ifindex, _)| facts.ipv4_addresses(ifindex).next());
                LanStatus {
                    interface: interface.clone(),
                    carrier: link.is_some_and(|(_, link)| link.carrier),
                    address: address
                        .and_then(|(address, length)| Ipv4Net::new(address, length).ok()),
                }
            })
            .collect()
    }

    fn traffic(&self, id: CounterId) -> Traffic {
        let counter = self.counters.get(id.index() as usize).copied().unwrap_or_default();
        Traffic { packets: counter.packets, bytes: counter.bytes }
    }
}

fn routed(uplink: &ControlledUplink, config: &Routed) -> RoutedStatus {
    let inbound = match config.inbound {
        Inbound::Answers => "answers",
        Inbound::All => "all",
    };
    RoutedStatus {
        prefixes: config.prefixes.clone(),
        inbound: inbound.to_owned(),
        ready: uplink.routes(),
    }
}

fn ipv6(uplink: &ControlledUplink, config: &Ipv6) -> Ipv6Status {
    let mode = match config.mode {
        Ipv6Mode::Nptv6 => "nptv6",
        Ipv6Mode::Routed => "routed",
        Ipv6Mode::Source => "source",
        Ipv6Mode::Nat66 => "nat66",
    };
    Ipv6Status {
        mode: mode.to_owned(),
        prefixes: config.prefixes.clone(),
        address: uplink.address6(),
        gateway: uplink.gateway6(),
        gateway_mac: uplink.gateway6_mac().map(format_mac),
        missing: (!uplink.carries_ipv6()).then(|| missing6(uplink, config)),
    }
}

/// Why an uplink carries no IPv6 yet.
fn missing6(uplink: &ControlledUplink, config: &Ipv6) -> String {
    let interface = &uplink.config().interface;
    match (uplink.gateway6(), uplink.gateway6_mac()) {
        (None, _) => format!(
            "no IPv6 default route leaves by {interface}; have its router's advertisements accepted \
             (`sysctl -w net.ipv6.conf.{interface}.accept_ra=2`), or set ipv6.gateway"
        ),
        (Some(gateway), None) => format!("the router {gateway} does not answer"),
        _ if config.mode == Ipv6Mode::Nat66 && uplink.address6().is_none() => format!(
            "{interface} has no IPv6 address for hosts to share, other than link-local, tentative and \
             deprecated ones, and those of other uplinks; give it one (`ip address add ADDRESS/LENGTH dev {interface}`), or set \
             ipv6.address"
        ),
        _ => "no LAN interface has a unique local address, whose prefix would be translated; add one, \
              or set ipv6.internal"
            .to_owned(),
    }
}

fn format_mac([a, b, c, d, e, f]: [u8; 6]) -> String {
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}

fn probe(probe: &Probe, outcome: Option<&Outcome>) -> ProbeStatus {
    let (last, rtt_ms, error) = match outcome {
        None => ("none", None, None),
        Some(Outcome::Answered { rtt }) => ("answered", Some(rtt.as_secs_f64() * 1e3), None),
        Some(Outcome::Lost) => ("lost", None, None),
        Some(Outcome::Wrong(reason)) => ("wrong", None, Some(reason.clone())),
        Some(Outcome::Failed(reason)) => ("failed", None, Some(reason.clone())),
    };
    ProbeStatus {
        name: probe.id().to_string(),
        kind: probe.kind.name().to_owned(),
        target: probe.kind.target(),
        last: last.to_owned(),
        rtt_ms,
        error,
    }
}
