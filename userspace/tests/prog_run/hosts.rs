//! The LAN's hosts, as routes and neighbours of a kernel: packets run in a namespace of their own.

use std::net::Ipv6Addr;
use std::sync::LazyLock;

use pointsman_ebpf::abi::LanSide;
use pointsman_ebpf::memory::routed;
use pointsman_ebpf::memory::site;
use pointsman_ebpf::memory::site6::{self, Carriage};
use pointsman_lab::{LabError, Namespace};

/// The namespace whose loopback interface packets come in by.
pub(crate) static HOSTS: LazyLock<Hosts> =
    LazyLock::new(|| Hosts::new().expect("namespaces can be made as root"));

/// A namespace with a LAN interface that leads to the hosts of [`site6`] and of [`routed`].
pub(crate) struct Hosts {
    pub(crate) namespace: Namespace,
    /// The interface's index.
    pub(crate) interface: u32,
}

impl Hosts {
    fn new() -> Result<Self, LabError> {
        let namespace = Namespace::new("prog-run")?;
        for (setting, value) in [("disable_ipv6", "0"), ("accept_dad", "0"), ("forwarding", "1")] {
            for scope in ["all", "default"] {
                namespace.sysctl(&format!("net.ipv6.conf.{scope}.{setting}"), value)?;
            }
        }
        const INTERFACE: u32 = 7;
        namespace.ip(&format!("link add lan0 index {INTERFACE} type veth peer name lan1"))?;
        namespace.ip("link set lan1 up")?;
        namespace.ip("link set lan0 up")?;
        namespace.sysctl("net.ipv4.conf.lan0.forwarding", "1")?;
        for (address, mac) in routed::neighbours() {
            namespace.ip(&format!("route add {address}/32 dev lan0"))?;
            if let Some(mac) = mac {
                let mac = written(&mac);
                namespace.ip(&format!("neighbour add {address} lladdr {mac} dev lan0"))?;
            }
        }
        let tables = site6::gateway(site::prefer_a, [Carriage::None; 2]);
        for (address, side) in &tables.ipv6.neighbours {
            let address = Ipv6Addr::from(address.octets());
            namespace.ip(&format!("route add {address}/128 dev lan0"))?;
            if let Some(side) = side {
                let mac = mac(*side);
                namespace.ip(&format!("neighbour add {address} lladdr {mac} dev lan0"))?;
            }
        }
        Ok(Self { namespace, interface: INTERFACE })
    }
}

/// The host's MAC, as people write it.
fn mac(side: LanSide) -> String {
    let [head, [e, f, ..], _] = side.macs().words();
    written(&[&head[..], &[e, f]].concat())
}

fn written(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect::<Vec<_>>().join(":")
}
