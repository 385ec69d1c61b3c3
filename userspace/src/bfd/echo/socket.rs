use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread;
use std::time::Instant;

use socket2::{Domain, Protocol, Socket, Type};

use super::super::Loop;
use super::super::running::BURST;
use super::super::socket::SOURCE_PORTS;
use super::filter;
use super::packet::{ECHO_PORT, Ends};
use crate::probe::PacketSocket;

/// Longer than any packet.
const LONGEST: usize = 512;

/// What a session sends by, and receives by.
#[derive(Debug)]
pub(super) struct EchoSocket {
    packets: PacketSocket,
    /// After that.
    _closer: Closer,
    ends: Ends,
    router: [u8; 6],
    /// What takes from the kernel what the packet socket has a copy of: otherwise it would say that the port is
    /// unreachable, to itself. What comes over IPv4 from its own address it drops, unless it is told to accept that.
    _drain: Option<Socket>,
}

/// A packet socket's last descriptor. To close it, the kernel waits for all CPUs, longer than a session may be silent:
/// so another thread does.
#[derive(Debug)]
struct Closer(Option<OwnedFd>);

impl Drop for Closer {
    fn drop(&mut self) {
        let last = self.0.take();
        let _ = thread::Builder::new().name("close".into()).spawn(move || drop(last));
    }
}

impl EchoSocket {
    /// Opens the sockets in the calling thread's network namespace.
    ///
    /// # Errors
    /// Where the kernel has no such interface.
    pub(super) fn open(way: &Loop) -> io::Result<Self> {
        let Loop { interface, address, router } = *way;
        let protocol = if address.is_ipv4() { libc::ETH_P_IP } else { libc::ETH_P_IPV6 } as u16;
        // Nothing comes to this port, so it may be another socket's.
        let ends = Ends { address, source_port: fastrand::u16(SOURCE_PORTS) };
        let packets = PacketSocket::open(interface, protocol, &filter::returned(ends))?;
        // If the port is another socket's, so is what comes.
        let drain = drain(interface, address);
        let drain = drain.inspect_err(|error| log::debug!("BFD echo: no drain: {error}")).ok();
        let closer = Closer(Some(packets.as_fd().try_clone_to_owned()?));
        Ok(Self { packets, _closer: closer, ends, router, _drain: drain })
    }

    /// Sends by another router from now on.
    pub(super) fn set_router(&mut self, router: [u8; 6]) {
        self.router = router;
    }

    /// Sends a payload. One that gets lost here is as good as one that is lost on the way.
    pub(super) fn send(&self, payload: &[u8]) -> io::Result<()> {
        self.packets.send(self.router, &self.ends.packet(payload))
    }

    /// Hands over the payloads that have come back, none where it is something else, and when the kernel got each. Says
    /// whether those are all.
    pub(super) fn receive(&self, mut take: impl FnMut(Option<&[u8]>, Instant)) -> io::Result<bool> {
        let mut buffer = [0; LONGEST];
        for _ in 0..BURST {
            let Some((length, arrival)) = self.packets.receive(&mut buffer)? else {
                return Ok(true);
            };
            take(self.ends.returned(&buffer[..length]), arrival);
        }
        Ok(false)
    }
}

impl AsFd for EchoSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.packets.as_fd()
    }
}

fn drain(interface: u32, address: IpAddr) -> io::Result<Socket> {
    let (domain, address) = match address {
        IpAddr::V4(_) => (Domain::IPV4, SocketAddr::new(address, ECHO_PORT)),
        IpAddr::V6(address) => {
            (Domain::IPV6, SocketAddrV6::new(address, ECHO_PORT, 0, interface).into())
        }
    };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.attach_filter(&filter::nothing())?;
    socket.bind(&address.into())?;
    Ok(socket)
}
