//! A prefix of the site's own, which both providers route to it, beside translation and without.

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};

use pointsman_lab::Namespace;
use pointsman_lab::plan::SERVER;

use crate::hosts::{SERVICE, bound_stream, connect, exchange, site, talk, udp};
use crate::support::{Gateway, configuration};

/// Beside translation.
const BESIDE: &str = "ipv4 = { mode = \"nat44\", routed = \"198.19.4.0/24\" }\n";
/// Without any.
const ALONE: &str = "ipv4 = { mode = \"routed\", prefix = \"198.19.4.0/24\" }\n";

/// A running gateway whose uplinks carry IPv4 like this.
fn gateway(ipv4: [&str; 2]) -> Gateway {
    let site = site();
    site.enable_independent().unwrap();
    Gateway::configured(site, |directory| {
        let mut text = configuration(directory);
        for (uplink, ipv4) in ipv4.iter().enumerate() {
            let interface = format!("interface = \"wan{uplink}\"\n");
            text = text.replace(&interface, &(interface.clone() + ipv4));
        }
        text
    })
}

impl Gateway {
    fn sent_by(&self, uplink: usize) -> u64 {
        self.status().uplinks[uplink].out.packets
    }

    /// An address of the prefix whose flows take the uplink.
    fn routed_by(&self, uplink: usize) -> Ipv4Addr {
        let server = udp(&self.site.server, SERVICE);
        let takes = |address: &Ipv4Addr| {
            let before = self.sent_by(uplink);
            let client = udp(&self.site.client, (*address, 0));
            assert_eq!(exchange(&client, &server, b"which?").ip(), address);
            self.sent_by(uplink) > before
        };
        self.site.independent_addresses().find(takes).expect("one takes the uplink")
    }

    /// Cuts an uplink, and waits until the daemon knows.
    fn cut(&self, uplink: usize) {
        self.site.uplinks[uplink].cut().unwrap();
        self.wait_for("the uplink is down", |status| status.uplinks[uplink].state != "up");
    }
}

fn listen(host: &Namespace, address: SocketAddrV4) -> TcpListener {
    host.run(|| TcpListener::bind(address)).unwrap()
}

/// A connection goes on by the other uplink, from the address that it has, and nobody resets it. What the
/// server sends comes by whichever provider.
#[test]
fn a_connection_survives_its_uplink() {
    let gateway = gateway([BESIDE, ALONE]);
    let from = gateway.routed_by(0);
    let listener = listen(&gateway.site.server, SERVICE);
    let connection = connect(&gateway.site.client, from, SERVICE, &listener);
    assert_eq!(connection.1.peer_addr().unwrap().ip(), from);
    talk(&connection, b"by the first");
    gateway.site.prefer_provider(1).unwrap();
    let before = gateway.sent_by(1);
    talk(&connection, b"there by the first, back by the second");
    assert_eq!(gateway.sent_by(1), before);
    gateway.cut(0);
    talk(&connection, b"by the second");
    assert!(gateway.sent_by(1) > before);
    gateway.site.uplinks[0].restore().unwrap();
    gateway.wait_for("the uplink is up", |status| status.uplinks[0].state == "up");
    talk(&connection, b"wherever it is");
}

/// Who is outside reaches a host of the prefix, which answers by the uplink that was taken, and goes on by
/// the other one when that is cut.
#[test]
fn a_connection_from_outside() {
    let gateway = gateway([BESIDE, BESIDE]);
    let host = gateway.routed_by(0);
    gateway.site.prefer_provider(1).unwrap();
    let service = SocketAddrV4::new(host, 8080);
    let listener = listen(&gateway.site.client, service);
    let before = gateway.sent_by(0);
    let connection = connect(&gateway.site.server, SERVER, service, &listener);
    assert_eq!(connection.1.peer_addr().unwrap(), connection.0.local_addr().unwrap());
    talk(&connection, b"come in");
    assert_eq!(gateway.sent_by(0), before);
    gateway.cut(1);
    gateway.site.prefer_provider(0).unwrap();
    talk(&connection, b"and stay");
    assert!(gateway.sent_by(0) > before);
}

/// One uplink does both, and what is private appears as its address.
#[test]
fn beside_translation() {
    let gateway = gateway([BESIDE, BESIDE]);
    let server = udp(&gateway.site.server, SERVICE);
    let private = udp(&gateway.site.client, (gateway.site.client_addresses().next().unwrap(), 0));
    let own = udp(&gateway.site.client, (gateway.site.independent_addresses().next().unwrap(), 0));
    let public: Vec<_> = gateway.site.uplinks.iter().map(|uplink| uplink.gateway_address).collect();
    assert!(public.contains(exchange(&private, &server, b"translated").ip()));
    let peer = exchange(&own, &server, b"as it is");
    assert_eq!(std::net::SocketAddr::V4(peer), own.local_addr().unwrap());
    gateway.assert_drops(&[]);
}

/// By uplinks that only route, nothing private leaves, and the sender is told.
#[test]
fn nothing_private_leaves_untranslated() {
    let gateway = gateway([ALONE, ALONE]);
    let private = gateway.site.client_addresses().next().unwrap();
    let error = gateway.site.client.run(|| bound_stream(private, SERVICE)).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NetworkUnreachable, "{error}");
    gateway.assert_drops(&[("no_uplink", 1)]);
}
