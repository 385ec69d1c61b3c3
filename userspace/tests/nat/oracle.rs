//! The kernel's own masquerade as a second opinion: the same clients and servers, once behind each
//! gateway, must have seen the same.

use std::fmt::Debug;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};
use std::os::fd::AsRawFd as _;

use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrIn, getsockopt, recvmsg, setsockopt, sockopt,
};
use pointsman_lab::Site;
use pointsman_lab::plan::SERVER;

use crate::errors::{refused_by_client, refused_by_reset, refused_by_server};
use crate::hosts::{SERVICE, connect, exchange, quiet, talk, udp};
use crate::mtu::fragments;
use crate::protocols;
use crate::raw::RawIp;
use crate::support::Gateway;
use crate::traceroute::{hops_by_echo, hops_by_udp};

/// What is compared: what was done, and what was seen of it.
type Seen = Vec<(&'static str, String)>;

/// All that a client and a server can see of the way between them.
pub(crate) fn exchanges(site: &Site) -> Seen {
    let client = site.client_addresses().next().unwrap();
    let mut seen = Seen::new();
    let mut note = |what, value: &dyn Debug| seen.push((what, format!("{value:?}")));
    note("the way by UDP", &hops_by_udp(&site.client, client));
    note("the way by echo", &hops_by_echo(&site.client, client));
    note("fragments cross", &fragments(site, client).is_ok());
    note("UDP to a closed port", &refused_by_server(site, client));
    note("UDP to a closed client", &refused_by_client(site, client));
    note("TCP to a closed port", &refused_by_reset(site, client));
    note("a client's address by UDP", &public_by_udp(site, client));
    note("TTL and type of service out", &header_fields(site, client));
    note("a client's address and segment size by TCP", &public_by_tcp(site, client));
    let server = RawIp::new(&site.server, SERVER, 253);
    let host = RawIp::new(&site.client, client, 253);
    note("another protocol", &protocols::exchange(&host, &server, b"experiment"));
    note("GRE", &gre(site, client));
    seen
}

/// How a client with a port that a gateway may keep appears, and that a burst of any size is whole.
fn public_by_udp(site: &Site, client: Ipv4Addr) -> Vec<Ipv4Addr> {
    let server = udp(&site.server, SERVICE);
    let sizes = [0, 1, 2, 3, 511, 1471, 1472];
    let exchange = |(number, size): (u16, usize)| {
        let socket = udp(&site.client, (client, 20_000 + number));
        *exchange(&socket, &server, &vec![0xee; size]).ip()
    };
    (0..).zip(sizes).map(exchange).collect()
}

/// TTL and type of service of a packet as it arrives.
fn header_fields(site: &Site, client: Ipv4Addr) -> Vec<i32> {
    let server = udp(&site.server, SERVICE);
    setsockopt(&server, sockopt::Ipv4RecvTtl, &true).unwrap();
    setsockopt(&server, sockopt::IpRecvTos, &true).unwrap();
    let socket = udp(&site.client, (client, 0));
    setsockopt(&socket, sockopt::Ipv4Tos, &0xb8).unwrap();
    socket.set_ttl(33).unwrap();
    socket.send_to(b"marked", SERVICE).unwrap();
    receive_fields(&server).unwrap()
}

fn receive_fields(socket: &UdpSocket) -> io::Result<Vec<i32>> {
    let mut payload = [0; 64];
    let mut parts = [io::IoSliceMut::new(&mut payload)];
    let mut control = nix::cmsg_space!(i32, i32);
    let fd = socket.as_raw_fd();
    let message = recvmsg::<SockaddrIn>(fd, &mut parts, Some(&mut control), MsgFlags::empty())?;
    let field = |control| match control {
        ControlMessageOwned::Ipv4Ttl(ttl) => ttl,
        ControlMessageOwned::Ipv4Tos(tos) => i32::from(tos),
        other => panic!("{other:?}"),
    };
    Ok(message.cmsgs()?.map(field).collect())
}

/// How a client appears to a listener, and how large the segments of the two are.
fn public_by_tcp(site: &Site, client: Ipv4Addr) -> (std::net::IpAddr, [u32; 2]) {
    let listener = site.server.run(|| TcpListener::bind((SERVER, 80))).unwrap();
    let to = SocketAddrV4::new(SERVER, 80);
    let connection = connect(&site.client, client, to, &listener);
    for length in [1, 1447, 1448, 1449, 60_000] {
        talk(&connection, &vec![0x11; length]);
    }
    let sizes = [&connection.0, &connection.1];
    let sizes = sizes.map(|stream| getsockopt(stream, sockopt::TcpMaxSeg).unwrap());
    (connection.1.peer_addr().unwrap().ip(), sizes)
}

/// The same of GRE (RFC 2784).
fn gre(site: &Site, client: Ipv4Addr) -> Ipv4Addr {
    let server = RawIp::new(&site.server, SERVER, 47);
    let host = RawIp::new(&site.client, client, 47);
    protocols::exchange(&host, &server, b"\0\0\x08\0tunnelled")
}

#[test]
fn clients_and_servers_see_what_they_see_of_the_kernels_masquerade() {
    let site = || quiet(Site::builder().uplinks(1).build().unwrap());
    let kernel = {
        let site = site();
        site.masquerade().unwrap();
        exchanges(&site)
    };
    let gateway = Gateway::of(site(), "");
    let own = exchanges(&gateway.site);
    assert_eq!(own, kernel);
}
