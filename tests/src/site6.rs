use std::fmt::Write as _;
use std::net::Ipv6Addr;

use crate::plan6::{self, LINK_PREFIX, ROUTER, SERVER, SITE_PREFIX};
use crate::{LabError, Namespace, Site};

impl Site {
    /// Gives all hosts IPv6 besides. The LAN gets addresses in each of these prefixes of /48, one for
    /// the gateway, one for each of the client's IPv4 addresses, one for the neighbour; every provider
    /// routes its own /48 and the site's independent one to the gateway, whose default routes lead to
    /// [`ROUTER`]. The server sends what is for the independent prefix by the first provider. Addresses
    /// are in [`plan6`].
    ///
    /// The kernel of the gateway forwards from no interface, but knows the LAN's as one that is
    /// forwarded from.
    ///
    /// # Errors
    ///
    /// Where the kernel has no IPv6.
    pub fn enable_ipv6(&self, prefixes: &[Ipv6Addr]) -> Result<(), LabError> {
        self.enable_ipv6_in_lan(prefixes)?;
        let mut gateway = String::new();
        let mut server = String::new();
        add(&mut server, SERVER, 128, "lo");
        enable(&self.server)?;
        for (index, uplink) in self.uplinks.iter().enumerate() {
            add(&mut gateway, plan6::gateway(index), LINK_PREFIX, &format!("wan{index}"));
            let metric = 100 + index;
            let _ =
                writeln!(gateway, "route add default via {ROUTER} dev wan{index} metric {metric}");
            enable(&uplink.isp)?;
            uplink.isp.ip6(&isp(index))?;
            uplink.isp.sysctl("net.ipv6.conf.all.forwarding", "1")?;
            server += &to_provider(index);
        }
        server += &to_independent(0);
        self.gateway.ip6(&gateway)?;
        self.server.ip6(&server)
    }

    /// Gives the hosts of the LAN IPv6 besides, and the gateway there, as [`Self::enable_ipv6`] does.
    /// Beyond, there is none.
    ///
    /// # Errors
    ///
    /// Where the kernel has no IPv6.
    pub fn enable_ipv6_in_lan(&self, prefixes: &[Ipv6Addr]) -> Result<(), LabError> {
        for host in [&self.client, &self.gateway].into_iter().chain(&self.neighbour) {
            enable(host)?;
        }
        let mut gateway = String::new();
        let mut client = String::new();
        let mut neighbour = String::new();
        for site in prefixes {
            let own = plan6::lan_gateway(*site);
            add(&mut gateway, own, LINK_PREFIX, "lan0");
            for number in 0..self.client_addresses().len() {
                add(&mut client, plan6::client(*site, number), LINK_PREFIX, "eth0");
            }
            add(&mut neighbour, plan6::neighbour(*site), LINK_PREFIX, "eth0");
        }
        if let Some(site) = prefixes.first() {
            let route = format!("route add default via {}\n", plan6::lan_gateway(*site));
            client += &route;
            neighbour += &route;
        }
        self.gateway.ip6(&gateway)?;
        self.gateway.sysctl("net.ipv6.conf.lan0.forwarding", "1")?;
        self.client.ip6(&client)?;
        if let Some(host) = &self.neighbour {
            host.ip6(&neighbour)?;
        }
        Ok(())
    }

    /// Has the server send what is for the site's independent prefix by this provider, as if the others
    /// had withdrawn it.
    ///
    /// # Errors
    ///
    /// Where the server has no IPv6.
    pub fn prefer_provider6(&self, index: usize) -> Result<(), LabError> {
        self.server.ip6(&to_independent(index))
    }
}

/// Switches IPv6 on, with addresses that can be used at once.
fn enable(host: &Namespace) -> Result<(), LabError> {
    host.sysctl("net.ipv6.icmp.ratelimit", "0")?;
    for scope in ["default", "all"] {
        host.sysctl(&format!("net.ipv6.conf.{scope}.accept_dad"), "0")?;
        host.sysctl(&format!("net.ipv6.conf.{scope}.disable_ipv6"), "0")?;
    }
    Ok(())
}

fn add(batch: &mut String, address: Ipv6Addr, length: u8, interface: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(batch, "address add {address}/{length} dev {interface} nodad");
}

/// The addresses and routes of a provider's router.
fn isp(index: usize) -> String {
    let mut batch = String::new();
    add(&mut batch, plan6::isp(index), LINK_PREFIX, "customer");
    add(&mut batch, ROUTER, LINK_PREFIX, "customer");
    let [own, server] = plan6::transit(index);
    add(&mut batch, own, LINK_PREFIX, "core");
    let _ = writeln!(batch, "route add {SERVER}/128 via {server}");
    for site in [plan6::provider(index), plan6::INDEPENDENT] {
        let _ = writeln!(batch, "route add {site}/{SITE_PREFIX} via {}", plan6::gateway(index));
    }
    batch
}

/// The server's address and routes towards a provider.
fn to_provider(index: usize) -> String {
    let mut batch = String::new();
    let [isp, own] = plan6::transit(index);
    add(&mut batch, own, LINK_PREFIX, &format!("isp{index}"));
    for (prefix, length) in [
        (plan6::provider(index), SITE_PREFIX),
        (plan6::gateway(index), 128),
        (plan6::isp(index), 128),
    ] {
        let _ = writeln!(batch, "route add {prefix}/{length} via {isp} src {SERVER}");
    }
    batch
}

fn to_independent(index: usize) -> String {
    let (site, [isp, _]) = (plan6::INDEPENDENT, plan6::transit(index));
    format!("route replace {site}/{SITE_PREFIX} via {isp} src {SERVER}\n")
}
