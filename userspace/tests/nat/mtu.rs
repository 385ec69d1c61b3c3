//! Packets that are larger than a link: path MTU discovery, fragments, and the maximum segment
//! size.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};

use nix::sys::socket::{getsockopt, sockopt};
use pointsman_lab::plan::SERVER;
use pointsman_lab::{Namespace, Site};

use crate::hosts::{SERVICE, connect, exchange, quiet, receive, site, talk, udp};
use crate::raw::{IcmpError, keep_errors, next_error, set_mtu_discovery};
use crate::support::Gateway;

/// The MTU of the small uplink: the least that IPv6 allows a link, and tunnels often have.
const SMALL: u16 = 1280;

/// IPv4 and UDP headers.
const HEADERS: usize = 28;

/// How much each TCP transfer is, in bytes.
const LENGTH: usize = 1_000_000;

/// A connected socket that sends no fragments.
fn unfragmented(client: &Namespace, from: Ipv4Addr) -> UdpSocket {
    let socket = udp(client, (from, 0));
    set_mtu_discovery(&socket);
    socket.connect(SERVICE).unwrap();
    socket
}

/// Sends a packet as large as the first link takes, is told that it is too large by `teller`, and
/// gets one through that is as large as was told.
fn discover(client: &UdpSocket, server: &UdpSocket, teller: Ipv4Addr) {
    keep_errors(client);
    client.send(&[1; 1500 - HEADERS]).unwrap();
    let told = IcmpError { icmp_type: 3, code: 4, info: SMALL.into(), from: teller };
    assert_eq!(next_error(client), told);
    // The kernel has learnt, too. The error is also the socket's own, and comes first.
    let refused = || client.send(&[2; 1500 - HEADERS]).map_err(|error| error.raw_os_error());
    assert_eq!(refused(), Err(Some(libc::EMSGSIZE)));
    assert_eq!(getsockopt(client, sockopt::IpMtu).unwrap(), i32::from(SMALL));
    client.send(&[3; SMALL as usize - HEADERS]).unwrap();
    assert_eq!(receive(server).0, [3; SMALL as usize - HEADERS]);
}

/// Moves content both ways over a connection of the client's, and returns the segment size that the
/// server is limited to.
fn transfer(site: &Site, from: Ipv4Addr) -> u32 {
    let listener = site.server.run(|| TcpListener::bind((SERVER, 80))).unwrap();
    let connection = connect(&site.client, from, SocketAddrV4::new(SERVER, 80), &listener);
    let limit = getsockopt(&connection.1, sockopt::TcpMaxSeg).unwrap();
    let content: Vec<u8> = (0..LENGTH).map(|at| (at % 251) as u8).collect();
    talk(&connection, &content);
    limit
}

/// A gateway with an MTU of 1280 on its second uplink.
fn with_small_uplink() -> Gateway {
    let site = site();
    site.gateway.ip(&format!("link set wan1 mtu {SMALL}")).unwrap();
    Gateway::of(site, "")
}

#[test]
fn the_gateway_tells_what_its_small_uplink_takes() {
    let gateway = with_small_uplink();
    let (large, small) = (gateway.address_by(0), gateway.address_by(1));
    let site = &gateway.site;
    let server = udp(&site.server, SERVICE);

    let client = unfragmented(&site.client, large);
    client.send(&[1; 1500 - HEADERS]).unwrap();
    assert_eq!(receive(&server).0, [1; 1500 - HEADERS]);
    assert_eq!(getsockopt(&client, sockopt::IpMtu).unwrap(), 1500);

    let gateway_address = pointsman_lab::plan::LAN_GATEWAY;
    discover(&unfragmented(&site.client, small), &server, gateway_address);
    gateway.assert_drops(&[("too_big", 1)]);
}

#[test]
fn a_router_beyond_the_uplink_tells_of_its_small_link() {
    let gateway = Gateway::of(site(), "");
    let from = gateway.address_by(1);
    let site = &gateway.site;
    let isp = &site.uplinks[1];
    let route = isp.isp.output("ip", &["route", "get", &SERVER.to_string()]).unwrap();
    let via = route.split_whitespace().skip_while(|word| *word != "via").nth(1).unwrap();
    isp.isp.ip(&format!("route replace {SERVER} via {via} mtu lock {SMALL}")).unwrap();

    let server = udp(&site.server, SERVICE);
    discover(&unfragmented(&site.client, from), &server, isp.isp_address);
    // By TCP as well, whose segments are as large as both ends' links take. The kernel is to
    // discover it anew.
    site.client.ip("route flush cache").unwrap();
    transfer(site, from);
    gateway.assert_drops(&[]);
}

#[test]
fn tcp_fits_either_uplink_without_discovery() {
    let gateway = with_small_uplink();
    for (uplink, mtu) in [(0, 1500), (1, u32::from(SMALL))] {
        let limit = transfer(&gateway.site, gateway.address_by(uplink));
        // IPv4 and TCP headers, and the timestamps that each segment carries.
        assert_eq!(limit, mtu - 40 - 12, "by uplink {uplink}");
    }
    gateway.assert_drops(&[]);
}

/// The MTU of a link with jumbo frames, which take several pages.
const LARGE: u16 = 9000;

/// A site all of whose links take jumbo frames, but for the second uplink.
fn site_of_jumbo_frames() -> Site {
    let site = quiet(Site::builder().client_addresses(64).build().unwrap());
    for host in site.hosts() {
        let links = host.output("ip", &["-o", "link", "show", "type", "veth"]).unwrap();
        let names = links.lines().filter_map(|line| line.split([' ', '@']).nth(1));
        let set = |name: &str| format!("link set {name} mtu {LARGE}\n");
        host.ip(&names.filter(|name| *name != "wan1").map(set).collect::<String>()).unwrap();
    }
    site
}

#[test]
fn jumbo_frames_cross_natively_and_whole() {
    let gateway = Gateway::of(site_of_jumbo_frames(), "");
    let (large, small) = (gateway.address_by(0), gateway.address_by(1));
    let (site, log) = (&gateway.site, gateway.daemon.log());
    assert_eq!(log.matches("attached (native)").count(), 3, "{log}");
    let server = udp(&site.server, SERVICE);
    let client = unfragmented(&site.client, large);
    let payload: Vec<u8> = (0..usize::from(LARGE) - HEADERS).map(|at| (at % 251) as u8).collect();
    // The second time, of an established flow.
    for _ in 0..2 {
        let before = gateway.status().uplinks[0].out;
        client.send(&payload).unwrap();
        let (request, peer) = receive(&server);
        assert!(request == payload, "{} bytes came", request.len());
        server.send_to(&payload, peer).unwrap();
        assert!(receive(&client).0 == payload, "other bytes came back");
        let after = gateway.status().uplinks[0].out;
        let frame = u64::from(LARGE) + 14;
        assert_eq!((after.packets, after.bytes), (before.packets + 1, before.bytes + frame));
    }
    let limit = transfer(site, large);
    assert_eq!(limit, u32::from(LARGE) - 40 - 12);
    gateway.assert_drops(&[]);
    // The other uplink does not take them, and the gateway says so.
    let client = unfragmented(&site.client, small);
    keep_errors(&client);
    client.send(&payload).unwrap();
    let from = pointsman_lab::plan::LAN_GATEWAY;
    let told = IcmpError { icmp_type: 3, code: 4, info: 1500, from };
    assert_eq!(next_error(&client), told);
    gateway.assert_drops(&[("too_big", 1)]);
}

/// Sends packets in fragments both ways.
pub(crate) fn fragments(site: &Site, from: Ipv4Addr) -> io::Result<()> {
    let (from_text, to) = (from.to_string(), SERVER.to_string());
    let ping = ["-n", "-q", "-c", "3", "-i", "0.2", "-W", "5", "-s", "8000", "-I", &from_text, &to];
    site.client.output("ping", &ping).map_err(io::Error::other)?;
    let server = udp(&site.server, SERVICE);
    let client = udp(&site.client, (from, 0));
    exchange(&client, &server, &[0xa5; 8000]);
    exchange(&client, &server, &[0x5a; 40_000]);
    Ok(())
}

#[test]
fn large_packets_cross_in_fragments() {
    let gateway = Gateway::of(site(), "");
    for uplink in [0, 1] {
        fragments(&gateway.site, gateway.address_by(uplink)).unwrap();
    }
    gateway.assert_drops(&[]);
}
