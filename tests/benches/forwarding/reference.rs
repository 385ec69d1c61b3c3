//! What Pointsman is compared with.

use std::fs;

use anyhow::{Context as _, Result};
use aya::{Ebpf, EbpfLoader, maps::HashMap, programs::xdp::XdpLink};
use pointsman_lab::xdp::OBJECT;

use crate::{
    TABLE_ENTRIES,
    chain::Hosts,
    conntrack,
    flows::{Flows, Lan},
    gateway::Gateway,
    object::{attach, macs, set_egress},
    traffic::{UDP, flow},
};

/// [`Kind::Bare`](crate::gateway::Kind::Bare).
pub(crate) struct Bare {
    _object: Ebpf,
    _link: XdpLink,
}

impl Bare {
    pub(crate) fn start(hosts: &Hosts) -> Result<Self> {
        let macs = next_hop(hosts);
        let mut object =
            EbpfLoader::new().override_global("BARE_MACS", &macs, true).load(OBJECT)?;
        set_egress(&mut object, "REFERENCE_EGRESS", hosts.wan.near())?;
        let link = attach(&mut object, "bare", hosts.lan.near())?;
        Ok(Self { _object: object, _link: link })
    }
}

impl Gateway for Bare {}

/// [`Kind::Minimal`](crate::gateway::Kind::Minimal).
pub(crate) struct Minimal {
    object: Ebpf,
    _link: XdpLink,
    macs: [u32; 3],
    flows: u32,
}

impl Minimal {
    pub(crate) fn start(hosts: &Hosts) -> Result<Self> {
        let mut object =
            EbpfLoader::new().map_max_entries("MINIMAL_TABLE", TABLE_ENTRIES).load(OBJECT)?;
        set_egress(&mut object, "REFERENCE_EGRESS", hosts.wan.near())?;
        let link = attach(&mut object, "minimal", hosts.lan.near())?;
        Ok(Self { object, _link: link, macs: next_hop(hosts), flows: 0 })
    }
}

impl Gateway for Minimal {
    /// Fills the table with an entry for each direction, as one that translates has.
    fn prepare(&mut self, flows: Flows) -> Result<bool> {
        let map = self.object.map_mut("MINIMAL_TABLE").context("the object lacks MINIMAL_TABLE")?;
        let mut table: HashMap<_, [u32; 4], [u32; 16]> = map.try_into()?;
        let [a, b, c] = self.macs;
        let value = [0, 0, a, b, c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        for number in self.flows..flows.count {
            let flow = flow(number, Lan::Ordinary.ends());
            let (source, destination) = (flow.source.to_be(), flow.destination.to_be());
            let ports = u32::from(flow.source_port) << 16 | u32::from(flow.destination_port);
            let (out, back) = (ports.to_be(), ports.rotate_left(16).to_be());
            table.insert([destination, source, back, UDP.into()], value, 0)?;
            table.insert([source, destination, out, UDP.into()], value, 0)?;
        }
        self.flows = flows.count;
        Ok(true)
    }
}

/// [`Kind::Masquerade`](crate::gateway::Kind::Masquerade).
pub(crate) struct Masquerade {
    _object: Ebpf,
    _links: [XdpLink; 2],
}

impl Masquerade {
    pub(crate) fn start(hosts: &Hosts) -> Result<Self> {
        let ruleset = "table ip reference {
            chain postrouting {
                type nat hook postrouting priority srcnat;
                oifname \"wan0\" masquerade
            }
        }";
        hosts.gateway.feed("nft", &["-f", "-"], ruleset)?;
        hosts.gateway.sysctl("net.ipv4.ip_forward", "1")?;
        // No flow is to end while others take their turn.
        for timeout in ["udp_timeout", "udp_timeout_stream"] {
            hosts.gateway.sysctl(&format!("net.netfilter.nf_conntrack_{timeout}"), "3600")?;
        }
        // A veth takes redirected frames only while it has a program.
        let mut object = Ebpf::load(OBJECT)?;
        let links = [
            attach(&mut object, "pass", hosts.lan.near())?,
            attach(&mut object, "pass", hosts.wan.near())?,
        ];
        Ok(Self { _object: object, _links: links })
    }
}

impl Gateway for Masquerade {
    /// The limit is one for all namespaces, and the machine's owner sets it.
    fn prepare(&mut self, flows: Flows) -> Result<bool> {
        const LIMIT: &str = "/proc/sys/net/netfilter/nf_conntrack_max";
        let limit = fs::read_to_string(LIMIT).with_context(|| format!("cannot read {LIMIT}"))?;
        let limit: u32 =
            limit.trim().parse().with_context(|| format!("{LIMIT} holds no number: {limit:?}"))?;
        // Zero is no limit.
        let enough = limit == 0 || limit >= flows.count;
        if !enough {
            eprintln!("masquerade is not measured at {} flows: {LIMIT} is {limit}", flows.count);
        }
        Ok(enough)
    }

    fn forget_flows(&mut self, hosts: &Hosts) -> Result<()> {
        conntrack::flush(&hosts.gateway)
    }
}

/// The MACs of a frame from the gateway to the sink.
fn next_hop(hosts: &Hosts) -> [u32; 3] {
    macs(hosts.wan.far().mac(), hosts.wan.near().mac())
}
