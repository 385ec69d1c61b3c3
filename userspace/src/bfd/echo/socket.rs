use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use socket2::{Domain, Protocol, Socket, Type};

use super::super::Loop;
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
    ends: Ends,
    router: [u8; 6],
    /// What takes from the kernel what the packet socket has a copy of: otherwise it would say that the port is
    /// unreachable, to itself. It drops what comes over IPv4 from its own address anyway.
    _drain: Option<Socket>,
}

impl EchoSocket {
    /// Opens the sockets in the calling thread's network namespace.
    ///
    /// # Errors
    /// Where the kernel has no such interface.
    pub(super) fn open(way: &Loop) -> io::Result<Self> {
        let Loop { interface, address, router } = *way;
        let protocol = if address.is_ipv4() { libc::ETH_P_IP } else { libc::ETH_P_IPV6 } as u16;
        let packets = PacketSocket::open(interface, protocol, &filter::returned(address))?;
        // Nothing comes to this port, so it may be another socket's.
        let ends = Ends { address, source_port: fastrand::u16(SOURCE_PORTS) };
        // If the port is another socket's, so is what comes.
        let drain = drain(interface, address).ok();
        Ok(Self { packets, ends, router, _drain: drain })
    }

    /// Sends by another router from now on.
    pub(super) fn set_router(&mut self, router: [u8; 6]) {
        self.router = router;
    }

    /// Sends a payload. One that gets lost here is as good as one that is lost on the way.
    pub(super) fn send(&self, payload: &[u8]) -> io::Result<()> {
        self.packets.send(self.router, &self.ends.packet(payload))
    }

    /// Hands over each payload that has come back, and when the kernel got it.
    pub(super) fn receive(&self, mut take: impl FnMut(&[u8], Instant)) -> io::Result<()> {
        let mut buffer = [0; LONGEST];
        while let Some((length, arrival)) = self.packets.receive(&mut buffer)? {
            if let Some(payload) = self.ends.returned(&buffer[..length]) {
                take(payload, arrival);
            }
        }
        Ok(())
    }
}

impl AsFd for EchoSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.packets.as_fd()
    }
}

fn drain(interface: u32, address: IpAddr) -> io::Result<Socket> {
    let IpAddr::V6(address) = address else { return Err(io::ErrorKind::Unsupported.into()) };
    let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_only_v6(true)?;
    socket.attach_filter(&filter::nothing())?;
    socket.bind(&SocketAddr::from(SocketAddrV6::new(address, ECHO_PORT, 0, interface)).into())?;
    Ok(socket)
}
