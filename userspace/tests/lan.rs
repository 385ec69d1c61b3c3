//! Several LANs, and one behind a router: from one to the other, and each to the uplinks.

#[path = "support/mod.rs"]
mod support;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use pointsman_lab::plan::{self, LAN_GATEWAY, NEIGHBOUR};
use pointsman_lab::plan6::{self, UNIQUE_LOCAL};
use pointsman_lab::{Cable, CableOptions, LabError, Namespace, Pass, Site, wait_until};

use support::{BOUND, Gateway, configuration};

/// The second LAN, and the host in it.
const GATEWAY: &str = "10.2.0.1";
const HOST: &str = "10.2.0.2";
const GATEWAY6: &str = "fd00:1:0:2::1";
const HOST6: &str = "fd00:1:0:2::2";

const PORT: u16 = 7000;

/// A site with a second LAN, on an interface of its own.
struct TwoLans {
    gateway: Gateway,
    host: Namespace,
    cable: Cable,
}

impl TwoLans {
    fn start() -> Self {
        let site = Site::builder().neighbour(true).build().unwrap();
        site.enable_ipv6(&[UNIQUE_LOCAL]).unwrap();
        let host = Namespace::new("other").unwrap();
        let cable = attach(&site, &host, "lan1");
        site.gateway
            .ip(&format!(
                "address add {GATEWAY}/16 dev lan1\naddress add {GATEWAY6}/64 dev lan1 nodad"
            ))
            .unwrap();
        for interface in ["lan0", "lan1"] {
            site.gateway.sysctl(&format!("net.ipv4.conf.{interface}.forwarding"), "1").unwrap();
            site.gateway.sysctl(&format!("net.ipv6.conf.{interface}.forwarding"), "1").unwrap();
        }
        for setting in ["disable_ipv6", "accept_dad"] {
            host.sysctl(&format!("net.ipv6.conf.all.{setting}"), "0").unwrap();
            host.sysctl(&format!("net.ipv6.conf.eth0.{setting}"), "0").unwrap();
        }
        configure(&host);
        let gateway = Gateway::configured(site, |directory| {
            let prefix = plan6::provider(0);
            let uplink = "interface = \"wan0\"\n";
            let ipv6 = format!("ipv6 = {{ mode = \"nptv6\", prefix = \"{prefix}/48\" }}\n");
            configuration(directory)
                .replace("[\"lan0\"]", "[\"lan0\", \"lan1\"]")
                .replace(uplink, &(uplink.to_owned() + &ipv6))
        });
        Self { gateway, host, cable }
    }

    fn client(&self) -> &Namespace {
        &self.gateway.site.client
    }

    /// How many packets have crossed from LAN to LAN.
    fn crossed(&self) -> u64 {
        self.gateway.status().lan_to_lan.packets
    }
}

/// Lays a cable from the gateway to a host of a second LAN.
fn attach(site: &Site, host: &Namespace, interface: &str) -> Cable {
    let options = CableOptions { pass: Pass::Far, ..CableOptions::default() };
    Cable::new(&site.gateway, interface, host, "eth0", options).unwrap()
}

fn configure(host: &Namespace) {
    host.ip(&format!("address add {HOST}/16 dev eth0\nroute add default via {GATEWAY}")).unwrap();
    host.ip6(&format!("address add {HOST6}/64 dev eth0 nodad\nroute add default via {GATEWAY6}"))
        .unwrap();
}

fn udp(host: &Namespace, address: IpAddr, port: u16) -> UdpSocket {
    let socket = host.run(|| UdpSocket::bind((address, port))).unwrap();
    socket.set_read_timeout(Some(BOUND)).unwrap();
    socket
}

/// Lets one have a datagram of the other, and answer it. Nobody is translated.
fn exchange(asking: &UdpSocket, answering: &UdpSocket, payload: &[u8]) {
    let mut buffer = vec![0; 65_535];
    asking.send_to(payload, answering.local_addr().unwrap()).unwrap();
    let (length, peer) = answering.recv_from(&mut buffer).unwrap();
    assert_eq!(peer, asking.local_addr().unwrap());
    assert!(buffer[..length] == *payload);
    answering.send_to(payload, peer).unwrap();
    let (length, from) = asking.recv_from(&mut buffer).unwrap();
    assert_eq!((length, from), (payload.len(), answering.local_addr().unwrap()));
}

/// Sends datagrams until one arrives.
fn knock(from: &UdpSocket, to: &UdpSocket) {
    to.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    wait_until("it arrives", BOUND, || {
        from.send_to(b"knock", to.local_addr().unwrap()).unwrap();
        Ok::<_, LabError>(to.recv_from(&mut [0; 64]).is_ok())
    })
    .unwrap();
    while to.recv_from(&mut [0; 64]).is_ok() {}
    to.set_read_timeout(Some(BOUND)).unwrap();
}

/// The ends of a conversation across the LANs: of IPv4, and of IPv6.
fn ends() -> [(IpAddr, IpAddr); 2] {
    let (own, own6) = (plan::client(0), plan6::client(UNIQUE_LOCAL, 0));
    [(own.into(), HOST.parse().unwrap()), (own6.into(), HOST6.parse().unwrap())]
}

#[test]
fn hosts_of_two_lans_reach_each_other() {
    let lans = TwoLans::start();
    for (own, other) in ends() {
        let asking = udp(lans.client(), own, 0);
        let answering = udp(&lans.host, other, PORT);
        // The kernel takes the first packets, for it has to find the MACs. Those of IPv6 it then
        // forwards only where it forwards from all interfaces.
        if own.is_ipv6() {
            knock(&asking, &answering);
            knock(&answering, &asking);
        } else {
            exchange(&asking, &answering, b"first");
        }
        wait_until("the data plane carries it", BOUND, || {
            let before = lans.crossed();
            exchange(&asking, &answering, b"again");
            Ok::<_, LabError>(lans.crossed() >= before + 2)
        })
        .unwrap();
        // In fragments too.
        exchange(&asking, &answering, &[0x5a; 8000]);
    }
    let status = lans.gateway.status();
    let dropped: u64 = status.drops.values().map(|drops| drops.packets).sum();
    assert_eq!(dropped, 0, "{status:#?}");
}

#[test]
fn each_lan_reaches_the_uplinks() {
    let lans = TwoLans::start();
    let server = udp(&lans.gateway.site.server, plan::SERVER.into(), PORT);
    let mut buffer = [0; 64];
    for (host, own) in
        [(lans.client(), plan::client(0).into()), (&lans.host, HOST.parse().unwrap())]
    {
        let asking = udp(host, own, 0);
        asking.send_to(b"hello", (plan::SERVER, PORT)).unwrap();
        let (_, peer) = server.recv_from(&mut buffer).unwrap();
        server.send_to(b"hello yourself", peer).unwrap();
        let (_, from) = asking.recv_from(&mut buffer).unwrap();
        assert_eq!(from, SocketAddr::new(plan::SERVER.into(), PORT));
    }
}

/// A network behind a router of the LAN, and the host in it.
const FAR_NETWORK: &str = "10.20.0.0/16";
const FAR_ROUTER: &str = "10.20.0.1";
const FAR_HOST: Ipv4Addr = Ipv4Addr::new(10, 20, 7, 9);

/// A site with one LAN, whose second host is a router, and a host behind that.
fn with_router() -> (Gateway, Namespace) {
    let site = Site::builder().neighbour(true).build().unwrap();
    site.gateway.sysctl("net.ipv4.conf.lan0.forwarding", "1").unwrap();
    // The kernel tells hosts of the shorter way, which leaves the gateway out.
    for scope in ["all", "eth0"] {
        site.client.sysctl(&format!("net.ipv4.conf.{scope}.accept_redirects"), "0").unwrap();
    }
    let (router, host) = (site.neighbour.as_ref().unwrap(), Namespace::new("far").unwrap());
    Cable::new(router, "far0", &host, "eth0", CableOptions::default()).unwrap();
    router.ip(&format!("address add {FAR_ROUTER}/16 dev far0")).unwrap();
    router.sysctl("net.ipv4.ip_forward", "1").unwrap();
    host.ip(&format!("address add {FAR_HOST}/16 dev eth0\nroute add default via {FAR_ROUTER}"))
        .unwrap();
    (Gateway::configured(site, configuration), host)
}

/// The route comes while the daemon runs, and to a flow that goes by an uplink until then.
#[test]
fn a_host_behind_a_router_of_the_lan_is_of_the_lan() {
    let (gateway, host) = with_router();
    let site = &gateway.site;
    let asking = udp(&site.client, plan::client(0).into(), 0);
    let left = || gateway.status().uplinks.iter().map(|uplink| uplink.out.packets).sum::<u64>();
    let before = left();
    asking.send_to(b"too early", (FAR_HOST, PORT)).unwrap();
    wait_until("it leaves by an uplink", BOUND, || Ok::<_, LabError>(left() > before)).unwrap();
    site.gateway.ip(&format!("route add {FAR_NETWORK} via {NEIGHBOUR}")).unwrap();
    let answering = udp(&host, FAR_HOST.into(), PORT);
    // The router has the answers take the shorter way.
    let crossed = || gateway.status().lan_to_lan.packets;
    knock(&asking, &answering);
    wait_until("the data plane carries it", BOUND, || {
        let before = crossed();
        exchange(&asking, &answering, b"again");
        Ok::<_, LabError>(crossed() > before)
    })
    .unwrap();

    let server = udp(&site.server, plan::SERVER.into(), PORT);
    let asking = udp(&host, FAR_HOST.into(), 0);
    let mut buffer = [0; 64];
    // The second time, of an established flow.
    for _ in 0..2 {
        asking.send_to(b"hello", (plan::SERVER, PORT)).unwrap();
        let (_, peer) = server.recv_from(&mut buffer).unwrap();
        assert!([plan::gateway(0), plan::gateway(1)].map(IpAddr::from).contains(&peer.ip()));
        server.send_to(b"hello yourself", peer).unwrap();
        let (_, from) = asking.recv_from(&mut buffer).unwrap();
        assert_eq!(from, SocketAddr::new(plan::SERVER.into(), PORT));
    }
}

/// A host is plugged in elsewhere: its flows follow it with its next packet.
#[test]
fn a_host_that_moves_is_followed() {
    let lans = TwoLans::start();
    let server = udp(&lans.gateway.site.server, plan::SERVER.into(), PORT);
    let mut buffer = [0; 64];
    let neighbour = lans.gateway.site.neighbour.as_ref().unwrap();
    let mut peers = Vec::new();
    for host in [lans.client(), neighbour] {
        // The neighbour takes over the client's address, and with it the flow.
        if host.label() == neighbour.label() {
            lans.client().ip(&format!("address del {}/16 dev eth0", plan::client(0))).unwrap();
            host.ip(&format!("address add {}/16 dev eth0", plan::client(0))).unwrap();
            host.ip(&format!("route replace default via {LAN_GATEWAY} src {}", plan::client(0)))
                .unwrap();
        }
        let asking = udp(host, plan::client(0).into(), 5555);
        for _ in 0..2 {
            asking.send_to(b"where am I?", (plan::SERVER, PORT)).unwrap();
            let (_, peer) = server.recv_from(&mut buffer).unwrap();
            server.send_to(b"there", peer).unwrap();
            asking.recv_from(&mut buffer).unwrap();
            peers.push(peer);
        }
    }
    peers.dedup();
    assert_eq!(peers.len(), 1, "{peers:?}");
    drop(lans.cable);
}
