use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use pointsman_ebpf::abi::Sticky;

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
    /// What translation hands out.
    pub nat: Nat,
    /// When idle flows end.
    pub timers: Timers,
    /// How many flow entries there can be; a flow takes two, one for each direction.
    pub flows_max: u32,
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
    /// The kernel's name of its interface, which nothing else uses.
    pub interface: String,
    /// The next hop.
    pub gateway: Gateway,
    /// Its share of the flows, relative to the other uplinks of its tier: 1 to 1000.
    pub weight: u32,
    /// The public address that flows are translated to; `None`: the interface's own.
    pub address: Option<Ipv4Addr>,
    /// How its health is watched; `None`: by carrier only.
    pub health: Option<Health>,
}

/// An uplink's next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gateway {
    /// Whatever the kernel's default route through the interface says.
    Auto,
    /// This address.
    Address(Ipv4Addr),
}

/// How probes find out whether an uplink works.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// Who is asked, by ICMP echo through the uplink itself; at least one, each once.
    pub targets: Vec<Ipv4Addr>,
    /// The time from one probe of a target to the next.
    pub interval: Duration,
    /// How long an answer may take, ten times the interval at most.
    pub timeout: Duration,
    /// How many probes in a row must fail until the uplink is down.
    pub down_after: u32,
    /// How many probes in a row must succeed until it is up again.
    pub up_after: u32,
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
}

/// What address translation hands out.
#[derive(Clone, Debug, PartialEq)]
pub struct Nat {
    /// Ports of TCP and UDP, and identifiers of ICMP echo.
    pub ports: RangeInclusive<u16>,
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

/// Where the daemon answers its command line.
#[derive(Clone, Debug, PartialEq)]
pub struct Api {
    /// The Unix socket, an absolute path.
    pub socket: PathBuf,
}
