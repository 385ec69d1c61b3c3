//! An uplink's address, and its next hop's MAC, change under flows that are there.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};

use pointsman::api::status::Status;
use pointsman_lab::Site;

use crate::stream::{Echo, connection, receive, round_trip, udp_client};
use crate::support::{Gateway, single_configuration};
use crate::whole::packets;

const OLD: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
const NEW: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);
const OTHER_MAC: &str = "02:00:5e:00:01:07";

/// A gateway with one uplink, to whose flows nothing else can happen.
fn gateway() -> Gateway {
    let site = Site::builder().uplinks(1).build().unwrap();
    Gateway::configured(site, |directory| single_configuration(directory, ""))
}

/// Packets that were dropped or answered by the gateway itself.
fn lost(status: &Status) -> u64 {
    packets(status.drops.values()) + packets(status.answered.values())
}

#[test]
fn mappings_to_an_address_that_is_gone_never_match_again() {
    let gateway = gateway();
    let site = &gateway.site;
    let from = site.client_addresses().next().unwrap();
    let (echo, client) = (Echo::new(&site.server), udp_client(site, from));
    let old = round_trip(&client, &echo, 1);
    assert_eq!(old.ip(), OLD);
    let (mut tcp, mut tcp_server) = connection(site, from);
    assert_eq!(tcp_server.peer_addr().unwrap().ip(), OLD);
    tcp.write_all(b"before").unwrap();
    let mut before = [0; 6];
    tcp_server.read_exact(&mut before).unwrap();
    assert_eq!(&before, b"before");

    let host = &site.gateway;
    host.ip("address del 203.0.113.2/24 dev wan0\naddress add 203.0.113.9/24 dev wan0").unwrap();
    gateway.wait_for("fiber is up with its new address", |status| {
        status.uplinks[0].address == Some(NEW) && status.uplinks[0].state == "up"
    });

    // The provider still sends what is for the old one. Nobody gets it: the first that the client hears
    // of after it is what was sent to the new mapping.
    let isp = &site.uplinks[0].isp;
    let link = host.output("ip", &["-j", "link", "show", "wan0"]).unwrap();
    let link: serde_json::Value = serde_json::from_str(&link).unwrap();
    let mac = link[0]["address"].as_str().unwrap();
    isp.ip(&format!("neigh replace 203.0.113.2 lladdr {mac} dev customer")).unwrap();
    let status = gateway.ask();
    let (back, out) = (status.uplinks[0].back.packets, status.uplinks[0].out.packets);
    echo.send(&7_u64.to_be_bytes(), old);
    client.send(&2_u64.to_be_bytes()).unwrap();
    let new = echo.answer();
    assert_eq!(new.ip(), NEW, "UDP goes on at its next packet");
    assert_eq!(receive(&client), 2_u64.to_be_bytes());
    assert_ne!(new, old);
    let status = gateway.ask();
    assert_eq!(status.uplinks[0].out.packets, out + 1, "{status:#?}");
    assert_eq!(status.uplinks[0].back.packets, back + 1, "{status:#?}");

    // A connection cannot have another address. Its end is told by the server, which knows none such.
    tcp.write_all(b"after").unwrap();
    let end = tcp.read(&mut [0]).unwrap_err();
    assert_eq!(end.kind(), ErrorKind::ConnectionReset, "{end}");
    tcp_server.set_nonblocking(true).unwrap();
    let silent = tcp_server.read(&mut [0]).unwrap_err();
    assert_eq!(silent.kind(), ErrorKind::WouldBlock, "{silent}");

    // Nor does one that comes later match again.
    echo.send(&8_u64.to_be_bytes(), old);
    assert_eq!(round_trip(&client, &echo, 3), new);
}

#[test]
fn a_flow_goes_on_when_the_next_hop_has_another_mac() {
    let gateway = gateway();
    let site = &gateway.site;
    let from = site.client_addresses().next().unwrap();
    let (echo, client) = (Echo::new(&site.server), udp_client(site, from));
    let seen: SocketAddr = round_trip(&client, &echo, 1);
    let (mut tcp, mut tcp_server) = connection(site, from);
    let before = gateway.ask();

    // As a router of VRRP does when it takes over: with a gratuitous ARP.
    let isp = &site.uplinks[0].isp;
    isp.sysctl("net.ipv4.conf.customer.arp_notify", "1").unwrap();
    isp.ip(&format!("link set dev customer address {OTHER_MAC}")).unwrap();
    gateway.wait_for("the new MAC is known", |status| {
        status.uplinks[0].gateway_mac.as_deref() == Some(OTHER_MAC)
    });
    assert_eq!(round_trip(&client, &echo, 2), seen);
    tcp.write_all(b"after").unwrap();
    let mut after = [0; 5];
    tcp_server.read_exact(&mut after).unwrap();
    assert_eq!(&after, b"after");
    let after = gateway.ask();
    assert_eq!(after.uplinks[0].state, "up");
    assert_eq!(lost(&after), lost(&before), "{after:#?}");
    assert!(after.uplinks[0].since_s > before.uplinks[0].since_s, "it was up all the time");
}
