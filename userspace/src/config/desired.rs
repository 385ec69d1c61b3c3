use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU8;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::{Ipv4Net, Ipv6Net};
use pointsman_ebpf::abi::{Filtering, OnFailure, Sticky, Vlan};
use serde::{Deserialize, Serialize};

use crate::bfd::{Authentication, Mode};
use crate::probe::Probe;
use crate::uplink::{Listening, Quorum, Requirements};

/// What the operator wants: a whole configuration file, checked, with its defaults filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The site's own side.
    pub lan: Lan,
    /// The providers, in the order of the file; at least one, and at most
    /// [`pointsman_ebpf::abi::MAX_UPLINKS`].
    pub uplinks: Vec<Uplink>,
    /// How the uplinks share the flows.
    pub group: Group,
    /// How addresses are translated.
    pub nat: Nat,
    /// The prefix that IPv4 addresses stand in for hosts that have IPv6 only (RFC 6052), of a length of
    /// [`Nat64::LENGTHS`](pointsman_ebpf::abi::Nat64::LENGTHS). `None`: there is no NAT64.
    pub nat64: Option<Ipv6Net>,
    /// What is let in to LAN hosts, in the order of the file; at most
    /// [`pointsman_ebpf::abi::MAX_FORWARDS`], of which no two are for the same packet.
    pub forwards: Vec<Forward>,
    /// When idle flows end.
    pub timers: Timers,
    /// How large the data plane's tables are.
    pub tables: TableSizes,
    /// What the daemon may change on the host.
    pub host: Host,
    /// What the daemon keeps.
    pub state: State,
    /// Where the daemon answers.
    pub api: Api,
}

/// The site's own side of the gateway.
#[derive(Clone, Debug, PartialEq)]
pub struct Lan {
    /// The interfaces that hosts are behind; at least one, each once.
    pub interfaces: Vec<String>,
}

/// One way to the Internet.
#[derive(Clone, Debug, PartialEq)]
pub struct Uplink {
    /// What the operator calls it; no other uplink has this name.
    pub name: String,
    /// The kernel's name of its interface. No other uplink has the same with the same tags.
    pub interface: String,
    /// The tags of its frames on that interface, beside those that the interface has if it is a VLAN
    /// on another one.
    pub vlan: Vlan,
    /// The next hop of IPv4 packets.
    pub gateway: Gateway,
    /// The next hop's MAC, where the kernel is not to find it.
    pub gateway_mac: Option<[u8; 6]>,
    /// Whether it is paid for by what it carries, so that flows are given back as soon as another is there.
    pub metered: bool,
    /// Its share of the flows, relative to the other uplinks of its tier: 1 to 1000.
    pub weight: u32,
    /// Whether it translates what private sources send; else, that does not leave by it.
    pub nat44: bool,
    /// The public addresses that flows are translated to, each once, at most
    /// [`pointsman_ebpf::abi::POOL_ADDRESSES`]; none: the interface's own.
    pub addresses: Vec<Ipv4Addr>,
    /// What it carries as it is; without, it translates.
    pub routed: Option<Routed>,
    /// How it carries IPv6; `None`: not at all.
    pub ipv6: Option<Ipv6>,
    /// How its health is watched; `None`: by carrier only.
    pub health: Option<Health>,
}

/// IPv4 prefixes of the site's own that an uplink carries as they are. Other uplinks may have the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routed {
    /// At least one, and at most [`pointsman_ebpf::abi::ROUTED_PREFIXES`], none within another, and none
    /// that an address of the uplink is in.
    pub prefixes: Vec<Ipv4Net>,
    /// What may come in.
    pub inbound: Inbound,
}

impl Routed {
    /// Whether the address is in one of the prefixes.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        self.prefixes.iter().any(|prefix| prefix.contains(&address))
    }
}

/// How an uplink carries IPv6.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ipv6 {
    /// What becomes of the LAN's addresses.
    pub mode: Ipv6Mode,
    /// What the provider routes here: at least one and at most four, none within another; with
    /// [`Ipv6Mode::Nptv6`] one, of up to 64 bits; with [`Ipv6Mode::Nat66`] none. No other uplink has any
    /// of the same addresses, unless both are [`Ipv6Mode::Routed`].
    pub prefixes: Vec<Ipv6Net>,
    /// The address that the LAN's hosts share, with [`Ipv6Mode::Nat66`] only. It is no other uplink's, and
    /// in no prefix of one. `None`: one of the interface's own.
    pub address: Option<Ipv6Addr>,
    /// What is translated, with [`Ipv6Mode::Nptv6`] and [`Ipv6Mode::Nat66`] only: a prefix that has no
    /// address of what it is translated to; of up to 64 bits where that is a prefix. `None`: the /48 of
    /// the LAN's unique local addresses (RFC 4193).
    pub internal: Option<Ipv6Net>,
    /// What may come in.
    pub inbound: Inbound,
    /// The next hop of IPv6 packets.
    pub gateway: Gateway6,
}

/// What becomes of the LAN's IPv6 addresses on an uplink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ipv6Mode {
    /// Their prefix is translated to the uplink's (RFC 6296).
    Nptv6,
    /// Nothing: the prefixes are the site's own, and reach it through several uplinks.
    Routed,
    /// Nothing: hosts have an address of each uplink, and it decides which one a packet takes
    /// (RFC 8678).
    Source,
    /// They become one address of the uplink's, and ports tell hosts apart.
    Nat66,
}

/// What may come in by an uplink to addresses of the LAN that it does not translate, or only by prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inbound {
    /// Answers to what the LAN has opened (RFC 6092).
    Answers,
    /// Everything.
    All,
}

/// An uplink's next hop of IPv6 packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gateway6 {
    /// Whatever the kernel's IPv6 default route through the interface says.
    Auto,
    /// This address; most often a link-local one.
    Address(Ipv6Addr),
}

impl Uplink {
    /// What its frames come in by, for people: no two uplinks have the same.
    pub fn port_name(&self) -> String {
        let tag = |(id, is_service): (u16, bool)| {
            if is_service { format!("{id}ad") } else { id.to_string() }
        };
        let tags = [self.vlan.outer(), self.vlan.inner()].map(|half| half.map(tag));
        match tags {
            [Some(outer), Some(inner)] => format!("{} vlan {outer}.{inner}", self.interface),
            [Some(tag), None] => format!("{} vlan {tag}", self.interface),
            _ => self.interface.clone(),
        }
    }

    /// The uplink of `old` that this one of `new` goes on for: that of its name; else that on its port, if it
    /// has been given another name.
    pub fn predecessor<'o>(&self, old: &'o [Self], new: &[Self]) -> Option<&'o Self> {
        let is_renamed = |old: &&Self| {
            old.port_name() == self.port_name() && new.iter().all(|new| new.name != old.name)
        };
        let namesake = old.iter().find(|old| old.name == self.name);
        namesake.or_else(|| old.iter().find(is_renamed))
    }
}

/// An uplink's next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gateway {
    /// Whatever the kernel's default route through the interface says.
    Auto,
    /// This address.
    Address(Ipv4Addr),
}

/// A BFD session (RFC 5880) with a system that an uplink leads to.
#[derive(Clone, Debug, PartialEq)]
pub struct Bfd {
    /// How often packets are sent and expected.
    pub interval: Duration,
    /// How many packets lost in a row tell the other system that this one is gone.
    pub multiplier: NonZeroU8,
    /// The other system, or the router of an echo, if it is not the gateway.
    pub peer: Option<IpAddr>,
    /// Whose packets it goes by.
    pub mode: Mode,
    /// How packets are authenticated, if they are.
    pub authentication: Option<Authentication>,
}

/// How it is found out whether an uplink works, and when that is believed.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// The BFD session, if there is one.
    pub bfd: Option<Bfd>,
    /// What is asked through the uplink itself, each once. None, without a session: the carrier alone
    /// counts. Those of IPv6 are of an uplink that carries it. A timeout is ten times the interval at most.
    pub probes: Vec<Probe>,
    /// How many of them have to be answering; no more than there are.
    pub quorum: Quorum,
    /// How often in a row a probe has to fail until it is taken for failing.
    pub down_after: u32,
    /// How often in a row it has to be answered until it is taken for answering again.
    pub up_after: u32,
    /// What its traffic shows by itself.
    pub listening: Listening,
    /// What is asked for beside that.
    pub requirements: Requirements,
}

/// A set of uplinks that share flows.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// What the operator calls it.
    pub name: String,
    /// Indices into [`Config::uplinks`], each once. Flows are shared within the first tier, and
    /// take a later one only when nothing before it works.
    pub tiers: Vec<Vec<usize>>,
    /// What keeps flows together on one uplink.
    pub sticky: Sticky,
    /// What becomes of the flows of an uplink that dies.
    pub on_failure: OnFailure,
    /// What becomes of them while none of the uplinks is up.
    pub last_resort: LastResort,
    /// How long an uplink has to be back before the flows that it has lost are given back to it; `None`: only
    /// new flows take it.
    pub failback: Option<Duration>,
}

/// What becomes of a group's flows while none of its uplinks is up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LastResort {
    /// They take the uplink that is the least bad of those that packets can be sent by.
    #[default]
    LeastBad,
    /// Their senders are told that nobody can be reached.
    Unreachable,
}

/// How addresses are translated.
#[derive(Clone, Debug, PartialEq)]
pub struct Nat {
    /// The ports of TCP and UDP, and the identifiers of ICMP echo, that are handed out.
    pub ports: RangeInclusive<u16>,
    /// Ports among them that are not.
    pub reserved_ports: Vec<(PortProtocol, RangeInclusive<u16>)>,
    /// Whom a mapping lets in (RFC 4787 section 5).
    pub filtering: Filtering,
    /// How many mappings a LAN host may have.
    pub mappings_per_host: u32,
    /// How many flows that nobody has answered a LAN host may have.
    pub unreplied_per_host: u32,
    /// How many ICMP messages of the gateway's own a CPU may send in a second.
    pub icmp_rate: u32,
    /// How many of them at once.
    pub icmp_burst: u32,
}

/// A protocol with ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortProtocol {
    /// RFC 9293.
    Tcp,
    /// RFC 768.
    Udp,
}

impl fmt::Display for PortProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// Public ports of uplinks that stand for ports of a LAN host.
#[derive(Clone, Debug, PartialEq)]
pub struct Forward {
    /// Of which protocol the ports are.
    pub protocol: PortProtocol,
    /// The public ports.
    pub ports: RangeInclusive<u16>,
    /// The LAN host.
    pub address: Ipv4Addr,
    /// The host's port that the first public port stands for; the others follow.
    pub port: u16,
    /// Indices into [`Config::uplinks`], at least one, each once.
    pub uplinks: Vec<usize>,
    /// Who may send, at most [`pointsman_ebpf::abi::FORWARD_SOURCES`]; none: anyone.
    pub sources: Vec<Ipv4Net>,
}

impl fmt::Display for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { protocol, ports, address, port, .. } = self;
        let (first, last) = (ports.start(), ports.end());
        if first == last {
            write!(f, "{protocol} {first} to {address}:{port}")
        } else {
            let last_port = port + (last - first);
            write!(f, "{protocol} {first}-{last} to {address}:{port}-{last_port}")
        }
    }
}

/// How large the data plane's tables are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSizes {
    /// Entries of answered flows; a flow takes two, one for each direction.
    pub flows: u32,
    /// Flows from the LAN that nobody has answered.
    pub unreplied: u32,
    /// Flows from beyond an uplink that the LAN has not answered.
    pub invited: u32,
    /// Mappings of all LAN hosts together.
    pub mappings: u32,
    /// LAN hosts whose share of the tables is known.
    pub hosts: u32,
    /// Datagrams in fragments.
    pub fragments: u32,
    /// Answered flows of IPv6; a flow takes one entry, or two where hosts share an address.
    pub pins: u32,
    /// Flows of IPv6 from the LAN that nobody has answered.
    pub unreplied_pins: u32,
    /// Flows of IPv6 from beyond an uplink that the LAN has not answered.
    pub invited_pins: u32,
}

/// How long a flow may be idle before its entries go. All are at least one second.
#[derive(Clone, Debug, PartialEq)]
pub struct Timers {
    /// A UDP flow (RFC 4787 section 4.3).
    pub udp: Duration,
    /// A TCP connection whose handshake is done (RFC 5382 section 5).
    pub tcp_established: Duration,
    /// A TCP connection that is being opened or closed (RFC 5382 section 5).
    pub tcp_transitory: Duration,
    /// An ICMP echo session (RFC 5508 section 3.2).
    pub icmp: Duration,
}

/// What the daemon may change on the host, beside its own data plane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// What is done about offloads of a NIC that XDP does not work with.
    pub offloads: Offloads,
}

/// What is done about offloads of a NIC that XDP does not work with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Offloads {
    /// They are warned of.
    #[default]
    Warn,
    /// They are switched off while the gateway has the interface.
    Set,
}

/// What the daemon keeps beyond its end, and some of it beyond the machine's.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// The directory on a BPF file system that keeps programs and tables, an absolute path. `None`: they end
    /// with the daemon.
    pub pins: Option<PathBuf>,
    /// Where all else is kept, an absolute path. It is made where there is none.
    pub directory: PathBuf,
}

/// Where the daemon answers its command line.
#[derive(Clone, Debug, PartialEq)]
pub struct Api {
    /// The Unix socket, an absolute path.
    pub socket: PathBuf,
}
