//! The UDP sockets of a session (RFC 5881 section 4, RFC 5883 section 5).

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use nix::sys::socket::SockaddrStorage;
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use crate::probe::packet_filter::{all, load_u8};
use crate::probe::{receive_from, stamp_arrivals};

/// The port that control packets are sent to over one hop (RFC 5881 section 4).
pub const SINGLE_HOP_PORT: u16 = 3784;

/// The same over several (RFC 5883 section 5).
pub const MULTIHOP_PORT: u16 = 4784;

/// The ports that they are sent from.
pub(super) const SOURCE_PORTS: std::ops::RangeInclusive<u16> = 49_152..=65_535;
/// How many of these are tried.
const TRIES: u32 = 64;

/// The TTL that they are sent with, and over one hop come with (RFC 5881 section 5, RFC 5082).
pub const TTL: u8 = 255;

/// Internetwork control, as routing protocols have it (RFC 2474 section 4.2.2.2: class selector 6).
const TRAFFIC_CLASS: u32 = 0xc0;

/// Between which addresses a session is, and by which interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// The interface's name, and its index.
    pub interface: (String, u32),
    /// The own address; none for that which the kernel would choose.
    pub local: Option<IpAddr>,
    /// The other system's.
    pub peer: IpAddr,
    /// Whether there may be routers between.
    pub multihop: bool,
}

impl Path {
    /// The port that packets are sent to.
    pub fn port(&self) -> u16 {
        if self.multihop { MULTIHOP_PORT } else { SINGLE_HOP_PORT }
    }

    /// The least TTL that packets come with.
    pub fn least_ttl(&self) -> u8 {
        if self.multihop { 0 } else { TTL }
    }

    fn address(&self, address: IpAddr, port: u16) -> SocketAddr {
        match address {
            IpAddr::V4(_) => SocketAddr::new(address, port),
            // Which link an address of one link is of.
            IpAddr::V6(address) => SocketAddrV6::new(address, port, 0, self.interface.1).into(),
        }
    }
}

/// What a session sends by, and receives by. Both are bound to its interface.
#[derive(Debug)]
pub(super) struct BfdSocket {
    receiver: Socket,
    sender: Socket,
    peer: SocketAddr,
}

impl BfdSocket {
    /// Opens the sockets in the calling thread's network namespace.
    ///
    /// # Errors
    /// Where the kernel has no way to the other system by the interface, or the port is taken.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let peer = path.address(path.peer, path.port());
        let local = match path.local {
            Some(local) => local,
            None => {
                let socket = bound(path)?;
                socket.connect(&peer.into())?;
                let local = socket.local_addr()?.as_socket();
                local.ok_or_else(|| io::Error::other("the kernel chose no address"))?.ip()
            }
        };
        let receiver = bound(path)?;
        stamp_arrivals(&receiver)?;
        if !path.multihop {
            receiver.attach_filter(&with_ttl(peer.is_ipv6()))?;
        }
        receiver.bind(&path.address(local, path.port()).into())?;
        Ok(Self { receiver, sender: sender(path, local)?, peer })
    }

    /// Sends a packet. One that gets lost here is as good as one that is lost on the way.
    pub(super) fn send(&self, packet: &[u8]) -> io::Result<()> {
        self.sender.send_to(packet, &self.peer.into()).map(drop)
    }

    /// The next packet of the other system that has arrived, its length in `buffer` and when the kernel got it.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<(usize, Instant)>> {
        while let Some((length, arrival, from)) =
            receive_from::<SockaddrStorage>(&self.receiver, buffer)?
        {
            if from.as_ref().and_then(ip) == Some(self.peer.ip()) {
                return Ok(Some((length, arrival)));
            }
        }
        Ok(None)
    }
}

impl AsFd for BfdSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.receiver.as_fd()
    }
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
}

/// A socket that is bound to the interface, and to no address yet.
fn bound(path: &Path) -> io::Result<Socket> {
    let domain = if path.peer.is_ipv6() { Domain::IPV6 } else { Domain::IPV4 };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    if path.peer.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind_device(Some(path.interface.0.as_bytes()))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// One on a source port that nobody else has.
fn sender(path: &Path, local: IpAddr) -> io::Result<Socket> {
    let socket = bound(path)?;
    if path.peer.is_ipv6() {
        socket.set_unicast_hops_v6(TTL.into())?;
        socket.set_tclass_v6(TRAFFIC_CLASS)?;
    } else {
        socket.set_ttl_v4(TTL.into())?;
        socket.set_tos_v4(TRAFFIC_CLASS)?;
    }
    let mut tries = 0;
    loop {
        let port = fastrand::u16(SOURCE_PORTS);
        match socket.bind(&path.address(local, port).into()) {
            Ok(()) => break,
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries < TRIES => tries += 1,
            Err(error) => return Err(error),
        }
    }
    Ok(socket)
}

/// Accepts packets whose TTL is [`TTL`] (RFC 5881 section 5).
fn with_ttl(ipv6: bool) -> Vec<SockFilter> {
    // Where the network header starts is a negative offset, and where in it the TTL stands.
    let ttl = libc::SKF_NET_OFF as u32 + if ipv6 { 7 } else { 8 };
    all(&[(load_u8, ttl, TTL.into())])
}
