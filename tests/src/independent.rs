use std::fmt::Write as _;
use std::net::Ipv4Addr;

use crate::plan::{
    self, INDEPENDENT, INDEPENDENT_CLIENTS, INDEPENDENT_GATEWAY, INDEPENDENT_PREFIX, SERVER,
};
use crate::{LabError, Site};

impl Site {
    /// Gives the LAN a prefix of its own besides, [`INDEPENDENT`]: the gateway has an address of it, the
    /// client [`INDEPENDENT_CLIENTS`]. Every provider routes it to the gateway, and the server sends what
    /// is for it by the first provider.
    ///
    /// The kernel of the gateway forwards nothing, but knows the LAN's interface as one that is forwarded
    /// from.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses.
    pub fn enable_independent(&self) -> Result<(), LabError> {
        let prefix = INDEPENDENT_PREFIX;
        self.gateway.ip(&format!("address add {INDEPENDENT_GATEWAY}/{prefix} dev lan0"))?;
        self.gateway.sysctl("net.ipv4.conf.lan0.forwarding", "1")?;
        let mut client = String::new();
        for address in self.independent_addresses() {
            // Writing to a string cannot fail.
            let _ = writeln!(client, "address add {address}/{prefix} dev eth0");
        }
        self.client.ip(&client)?;
        for uplink in &self.uplinks {
            let route = format!("route add {INDEPENDENT}/{prefix} via {}", uplink.gateway_address);
            uplink.isp.ip(&route)?;
        }
        self.prefer_provider(0)
    }

    /// The client's addresses of the prefix.
    pub fn independent_addresses(&self) -> impl Iterator<Item = Ipv4Addr> + use<> {
        (1..).map(|number| plan::host(INDEPENDENT_GATEWAY, number)).take(INDEPENDENT_CLIENTS)
    }

    /// Has the server send what is for the prefix by this provider, as if the others had withdrawn it.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses.
    pub fn prefer_provider(&self, index: usize) -> Result<(), LabError> {
        let isp = plan::host(plan::transit_network(index), 1);
        self.server
            .ip(&format!("route replace {INDEPENDENT}/{INDEPENDENT_PREFIX} via {isp} src {SERVER}"))
    }
}
