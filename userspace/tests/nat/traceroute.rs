//! Every router on the way shows itself, whichever protocol asks.

use std::net::{Ipv4Addr, SocketAddrV4};

use pointsman_lab::Namespace;
use pointsman_lab::plan::{LAN_GATEWAY, SERVER};

use crate::hosts::{site, udp};
use crate::raw::{IcmpError, keep_errors, next_error};
use crate::support::Gateway;

/// The first port that traceroute(8) sends to.
const FIRST_PORT: u16 = 33_434;

/// Who says that a datagram's time is over, from the first router on; the last is the destination,
/// which says that nobody listens.
pub(crate) fn hops_by_udp(client: &Namespace, from: Ipv4Addr) -> Vec<Ipv4Addr> {
    let socket = udp(client, (from, 0));
    keep_errors(&socket);
    let mut hops = Vec::new();
    for ttl in 1..=8 {
        socket.set_ttl(ttl).unwrap();
        let port = FIRST_PORT + ttl as u16;
        socket.send_to(b"traceroute", SocketAddrV4::new(SERVER, port)).unwrap();
        let IcmpError { icmp_type, code, from, .. } = next_error(&socket);
        hops.push(from);
        match (icmp_type, code) {
            (11, 0) => {}
            (3, 3) => return hops,
            other => panic!("{from} says {other:?}; so far {hops:?}"),
        }
    }
    panic!("no end after {hops:?}");
}

/// The same by echo requests, as ping(8) tells of it.
pub(crate) fn hops_by_echo(client: &Namespace, from: Ipv4Addr) -> Vec<Ipv4Addr> {
    let (from, to) = (from.to_string(), SERVER.to_string());
    let hop = |ttl: u8| {
        let ttl = ttl.to_string();
        let arguments = ["-n", "-c", "1", "-W", "5", "-t", &ttl, "-I", &from, &to];
        // It fails where the answer is an error.
        let output = client.command("ping").args(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text
            .lines()
            .find(|line| line.starts_with("From ") || line.contains(" bytes from "))
            .unwrap_or_else(|| panic!("no answer in {text}"));
        let mut words =
            line.split_whitespace().skip_while(|word| !word.eq_ignore_ascii_case("from"));
        words.nth(1).unwrap().trim_end_matches(':').parse::<Ipv4Addr>().unwrap()
    };
    let mut hops = Vec::new();
    for ttl in 1..=8 {
        hops.push(hop(ttl));
        if hops.last() == Some(&SERVER) {
            return hops;
        }
    }
    panic!("no end after {hops:?}");
}

#[test]
fn every_hop_shows_itself_by_both_uplinks() {
    let gateway = Gateway::of(site(), "");
    for (index, uplink) in gateway.site.uplinks.iter().enumerate() {
        let from = gateway.address_by(index);
        let expected = [LAN_GATEWAY, uplink.isp_address, SERVER];
        assert_eq!(hops_by_udp(&gateway.site.client, from), expected);
        assert_eq!(hops_by_echo(&gateway.site.client, from), expected);
    }
    // One of each kind by each uplink.
    gateway.assert_drops(&[("ttl_exceeded", 4)]);
}
