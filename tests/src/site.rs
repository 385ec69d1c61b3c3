use std::{fmt::Write as _, net::Ipv4Addr, time::Instant};

use crate::{
    Cable, CableOptions, LabError, Namespace, Nic, Pass, Relay,
    plan::{self, LAN_GATEWAY, LAN_PREFIX, NEIGHBOUR, SERVER, UPLINK_PREFIX},
};

/// A site with its gateway, its providers, and a server beyond them.
///
/// ```text
///                            wan0 ---- isp-a ----.
/// client ---- lan0  gateway                       server
///                            wan1 ---- isp-b ----'
/// ```
///
/// With a second host in the LAN ([`Builder::neighbour`]) a switch stands between these two and the
/// gateway.
///
/// The gateway has addresses and a default route through every provider, the first provider
/// preferred, but forwards nothing: that is for the software under test. Every provider forwards
/// between its customer and the server, and knows nothing of the LAN. The server answers through
/// the provider whose address it is asked from. Addresses are in [`plan`].
#[derive(Debug)]
pub struct Site {
    /// The host in the LAN. Its interface is `eth0`.
    pub client: Namespace,
    /// The gateway. Its interfaces are `lan0` and, for each uplink, `wan0`, `wan1` and so on.
    pub gateway: Namespace,
    /// The second host in the LAN, if there is one. Its interface is `eth0`.
    pub neighbour: Option<Namespace>,
    /// The server. It has [`SERVER`] on its loopback interface.
    pub server: Namespace,
    /// The cable of the LAN, from the gateway to the client or the switch.
    pub lan: Cable,
    /// The client's interface.
    pub client_nic: Nic,
    /// The uplinks, in the order of the gateway's interfaces.
    pub uplinks: Vec<Uplink>,
    client_addresses: usize,
}

/// A provider, and the cables on both sides of it.
#[derive(Debug)]
pub struct Uplink {
    /// The provider's router. Its interfaces are `customer` and `core`.
    pub isp: Namespace,
    /// The cable from the gateway to the provider.
    pub access: Cable,
    /// What impairs that cable, if it can be: see [`Builder::impaired`].
    pub relay: Option<Relay>,
    /// The cable from the provider to the server.
    pub transit: Cable,
    /// The provider's address on the access cable.
    pub isp_address: Ipv4Addr,
    /// The gateway's address on the access cable.
    pub gateway_address: Ipv4Addr,
}

/// What a [`Site`] is to look like.
#[derive(Clone, Copy, Debug)]
pub struct Builder {
    uplinks: usize,
    client_addresses: usize,
    neighbour: bool,
    receive_offload: bool,
    seed: Option<u64>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            uplinks: 2,
            client_addresses: 1,
            neighbour: false,
            receive_offload: false,
            seed: None,
        }
    }
}

impl Builder {
    /// The number of uplinks: 2 unless set, at most [`plan::MAX_UPLINKS`].
    pub fn uplinks(mut self, number: usize) -> Self {
        self.uplinks = number;
        self
    }

    /// The number of addresses that the client has: 1 unless set, at most
    /// [`plan::MAX_CLIENT_ADDRESSES`].
    pub fn client_addresses(mut self, number: usize) -> Self {
        self.client_addresses = number;
        self
    }

    /// Whether the LAN has a second host, with the address [`NEIGHBOUR`]. Not unless set.
    pub fn neighbour(mut self, on: bool) -> Self {
        self.neighbour = on;
        self
    }

    /// Whether all interfaces merge the packets of a flow that they receive, which is faster for
    /// bulk TCP. Not unless set.
    pub fn receive_offload(mut self, on: bool) -> Self {
        self.receive_offload = on;
        self
    }

    /// Whether the cables between gateway and providers can lose, delay and mistreat frames, by
    /// [`Uplink::relay`], and by which seed. They cannot unless set.
    pub fn impaired(mut self, seed: impl Into<Option<u64>>) -> Self {
        self.seed = seed.into();
        self
    }

    /// Builds the site.
    ///
    /// # Errors
    ///
    /// Where a number is out of range, or the laboratory may not run: see [`crate::may_run`].
    pub fn build(self) -> Result<Site, LabError> {
        check("uplinks", self.uplinks, plan::MAX_UPLINKS)?;
        check("client addresses", self.client_addresses, plan::MAX_CLIENT_ADDRESSES)?;
        let client = Namespace::new("client")?;
        let gateway = Namespace::new("gateway")?;
        let server = Namespace::new("server")?;

        let (lan, client_nic, neighbour) = self.lan(&gateway, &client)?;
        gateway.ip(&format!("address add {LAN_GATEWAY}/{LAN_PREFIX} dev lan0"))?;
        client.ip(&self.client_batch())?;
        server.ip(&format!("address add {SERVER}/32 dev lo"))?;
        let uplinks = (0..self.uplinks)
            .map(|index| self.uplink(index, &gateway, &server))
            .collect::<Result<_, _>>()?;
        let client_addresses = self.client_addresses;
        Ok(Site { client, gateway, neighbour, server, lan, client_nic, uplinks, client_addresses })
    }

    /// The cable to the gateway, the client's interface, and the second host where there is one.
    fn lan(
        self,
        gateway: &Namespace,
        client: &Namespace,
    ) -> Result<(Cable, Nic, Option<Namespace>), LabError> {
        if !self.neighbour {
            let lan = Cable::new(gateway, "lan0", client, "eth0", self.gateway_cable())?;
            let nic = lan.far().clone();
            return Ok((lan, nic, None));
        }
        let switch = Namespace::new("switch")?;
        let neighbour = Namespace::new("neighbour")?;
        let lan = Cable::new(gateway, "lan0", &switch, "port0", self.gateway_cable())?;
        let options =
            CableOptions { receive_offload: self.receive_offload, ..CableOptions::default() };
        let nic = Cable::new(&switch, "port1", client, "eth0", options)?.far().clone();
        Cable::new(&switch, "port2", &neighbour, "eth0", options)?;
        switch.ip("link add name bridge0 type bridge\n\
             link set bridge0 up\n\
             link set port0 master bridge0\n\
             link set port1 master bridge0\n\
             link set port2 master bridge0")?;
        neighbour.ip(&format!(
            "address add {NEIGHBOUR}/{LAN_PREFIX} dev eth0\n\
             route add default via {LAN_GATEWAY}"
        ))?;
        Ok((lan, nic, Some(neighbour)))
    }

    /// A cable from the gateway: its far end receives what the gateway redirects.
    fn gateway_cable(self) -> CableOptions {
        CableOptions {
            pass: Pass::Far,
            receive_offload: self.receive_offload,
            ..CableOptions::default()
        }
    }

    fn client_batch(self) -> String {
        let mut batch = String::new();
        for number in 0..self.client_addresses {
            let address = plan::client(number);
            let _ = writeln!(batch, "address add {address}/{LAN_PREFIX} dev eth0");
        }
        let _ = writeln!(batch, "route add default via {LAN_GATEWAY}");
        batch
    }

    fn uplink(
        self,
        index: usize,
        gateway: &Namespace,
        server: &Namespace,
    ) -> Result<Uplink, LabError> {
        let isp = Namespace::new(&format!("isp-{}", plan::letter(index)))?;
        let (access, relay) = self.access(index, gateway, &isp)?;
        let port = format!("isp{index}");
        let options =
            CableOptions { receive_offload: self.receive_offload, ..CableOptions::default() };
        let transit = Cable::new(&isp, "core", server, &port, options)?;

        let network = plan::uplink_network(index);
        let isp_address = plan::isp(index);
        let gateway_address = plan::gateway(index);
        let isp_transit = plan::host(plan::transit_network(index), 1);
        let server_transit = plan::host(plan::transit_network(index), 2);
        gateway.ip(&format!(
            "address add {gateway_address}/{UPLINK_PREFIX} dev wan{index}\n\
             route add default via {isp_address} dev wan{index} metric {}",
            100 + index
        ))?;
        isp.ip(&format!(
            "address add {isp_address}/{UPLINK_PREFIX} dev customer\n\
             address add {isp_transit}/30 dev core\n\
             route add {SERVER} via {server_transit}"
        ))?;
        isp.sysctl("net.ipv4.ip_forward", "1")?;
        server.ip(&format!(
            "address add {server_transit}/30 dev {port}\n\
             route add {network}/{UPLINK_PREFIX} via {isp_transit} src {SERVER}"
        ))?;
        Ok(Uplink { isp, access, relay, transit, isp_address, gateway_address })
    }

    /// The cable between gateway and provider, and what impairs it where it is to be.
    fn access(
        self,
        index: usize,
        gateway: &Namespace,
        isp: &Namespace,
    ) -> Result<(Cable, Option<Relay>), LabError> {
        let (wan, options) = (format!("wan{index}"), self.gateway_cable());
        let Some(seed) = self.seed else {
            return Ok((Cable::new(gateway, &wan, isp, "customer", options)?, None));
        };
        let seed = seed.wrapping_add(index as u64);
        let (cable, relay) = Cable::impaired(gateway, &wan, isp, "customer", options, seed)?;
        Ok((cable, Some(relay)))
    }
}

impl Site {
    /// A site with two uplinks and one address for the client, unless the builder is told
    /// otherwise.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The client's addresses.
    pub fn client_addresses(&self) -> impl ExactSizeIterator<Item = Ipv4Addr> + use<> {
        (0..self.client_addresses).map(plan::client)
    }

    /// All hosts, the client first and the server last.
    pub fn hosts(&self) -> impl Iterator<Item = &Namespace> {
        let isps = self.uplinks.iter().map(|uplink| &uplink.isp);
        let lan = [&self.client].into_iter().chain(&self.neighbour);
        lan.chain([&self.gateway]).chain(isps).chain([&self.server])
    }

    /// Makes the kernel of the gateway forward, and translate by nftables what leaves by an
    /// uplink: what the gateway is compared with.
    ///
    /// # Errors
    ///
    /// Where `nft` is missing, or the kernel has no NAT.
    pub fn masquerade(&self) -> Result<(), LabError> {
        let ruleset = "table ip reference {
            chain postrouting {
                type nat hook postrouting priority srcnat;
                oifname \"wan*\" masquerade
            }
        }";
        self.gateway.feed("nft", &["-f", "-"], ruleset)?;
        self.gateway.sysctl("net.ipv4.ip_forward", "1")
    }
}

impl Uplink {
    /// Makes the provider lose everything it should forward, in both directions and without a
    /// word, or stop doing so. Carrier stays, and the provider's own addresses go on answering.
    /// Returns the moment before the change.
    ///
    /// # Errors
    ///
    /// Where the setting cannot be written.
    pub fn blackhole(&self, on: bool) -> Result<Instant, LabError> {
        let before = Instant::now();
        self.isp.sysctl("net.ipv4.ip_forward", if on { "0" } else { "1" })?;
        Ok(before)
    }

    /// Cuts the cable between gateway and provider: see [`Cable::cut`].
    ///
    /// # Errors
    ///
    /// As [`Cable::cut`].
    pub fn cut(&self) -> Result<Instant, LabError> {
        self.access.cut()
    }

    /// Mends the cable between gateway and provider: see [`Cable::restore`].
    ///
    /// # Errors
    ///
    /// As [`Cable::restore`].
    pub fn restore(&self) -> Result<(), LabError> {
        self.access.restore()
    }
}

fn check(what: &'static str, value: usize, max: usize) -> Result<(), LabError> {
    if (1..=max).contains(&value) {
        return Ok(());
    }
    Err(LabError::Plan { what, min: 1, max, value })
}
