use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::num::NonZeroU32;
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::{TcpSocket, TcpStream};

use super::Failure;
use crate::probe::receive::stamp_arrivals;

/// What the sockets of an exchange are bound to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    /// The kernel's index of the interface.
    pub(super) interface: NonZeroU32,
    /// The address.
    pub(super) source: IpAddr,
}

impl Bound {
    /// A connection to the target. It is reset when it is dropped, so that nothing of it stays: at
    /// twenty a second, the ports of those that wait for stray segments would add up to many.
    pub(super) async fn connect(self, target: SocketAddr) -> Result<TcpStream, Failure> {
        let socket = self.open(Type::STREAM, Protocol::TCP).and_then(|socket| {
            socket.set_linger(Some(Duration::ZERO))?;
            socket.set_tcp_nodelay(true)?;
            Ok(TcpSocket::from_std_stream(socket.into()))
        });
        let socket = socket.map_err(unsent)?;
        let connected = socket.connect(self.scoped(target)).await;
        connected.map_err(|error| Failure::Wrong(format!("no connection: {error}")))
    }

    /// A socket for datagrams from and to the target only.
    pub(super) fn datagrams(self, target: SocketAddr) -> Result<AsyncFd<Socket>, Failure> {
        let socket = self.open(Type::DGRAM, Protocol::UDP).and_then(|socket| {
            stamp_arrivals(&socket)?;
            socket.connect(&SockAddr::from(self.scoped(target)))?;
            let events = Interest::READABLE | Interest::ERROR;
            // SAFETY: the socket is moved in; it owns its descriptor, and keeps it open and the same
            // until it is dropped.
            Ok(unsafe { AsyncFd::register_with_interest(socket, events) }?)
        });
        socket.map_err(unsent)
    }

    /// A socket that nothing is sent by.
    pub(super) fn unconnected(self) -> io::Result<Unconnected> {
        Ok(Unconnected { socket: self.open(Type::DGRAM, Protocol::UDP)?, bound: self })
    }

    fn open(self, kind: Type, protocol: Protocol) -> io::Result<Socket> {
        let local = self.scoped(SocketAddr::new(self.source, 0));
        let socket = Socket::new(Domain::for_address(local), kind, Some(protocol))?;
        socket.set_nonblocking(true)?;
        match self.source {
            IpAddr::V4(_) => socket.bind_device_by_index_v4(Some(self.interface))?,
            IpAddr::V6(_) => socket.bind_device_by_index_v6(Some(self.interface))?,
        }
        socket.bind(&local.into())?;
        Ok(socket)
    }

    /// A link-local address is one of an interface's link.
    fn scoped(self, address: SocketAddr) -> SocketAddr {
        match address {
            SocketAddr::V6(address) if address.ip().is_unicast_link_local() => {
                let scope = self.interface.get();
                SocketAddrV6::new(*address.ip(), address.port(), 0, scope).into()
            }
            _ => address,
        }
    }
}

/// A socket that is bound, and nothing is sent by.
pub(super) struct Unconnected {
    socket: Socket,
    bound: Bound,
}

impl Unconnected {
    /// Whether the kernel finds a route to the target for such a socket: it looks for one when a socket
    /// for datagrams is told whom to send to. This tells of IPv6 only.
    pub(super) fn find_route(&self, target: IpAddr) -> io::Result<()> {
        // Any port will do.
        self.socket.connect(&self.bound.scoped(SocketAddr::new(target, 9)).into())
    }
}

fn unsent(error: io::Error) -> Failure {
    Failure::Unsent(error.to_string())
}
