use std::io;
use std::mem::size_of;
use std::net::IpAddr;
use std::time::Instant;

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::unix::AsyncFd;

use super::filter;
use super::session::{Frame, Question};
use crate::probe::receive::{receive, stamp_arrivals};

/// A socket that sends packets of one protocol out of one interface, and receives from it the answers
/// to one question.
pub(super) struct FrameSocket {
    socket: AsyncFd<Socket>,
    interface: u32,
    protocol: u16,
}

impl FrameSocket {
    /// Opens the socket in the calling thread's network namespace.
    pub(super) fn open(interface: u32, question: Question, identifier: u16) -> io::Result<Self> {
        // Without a protocol the socket receives nothing until it is bound: the filter comes first.
        let socket = Socket::new(Domain::PACKET, Type::DGRAM, None)?;
        socket.set_nonblocking(true)?;
        socket.attach_filter(&filter::answers(question, identifier))?;
        stamp_arrivals(&socket)?;
        let protocol = match question {
            Question::Echo(IpAddr::V4(_)) => libc::ETH_P_IP,
            Question::Echo(IpAddr::V6(_)) | Question::Nd => libc::ETH_P_IPV6,
            Question::Arp => libc::ETH_P_ARP,
        } as u16;
        socket.bind(&link_address(interface, protocol, [0; 6])?)?;
        // SAFETY: the socket is moved in; it owns its descriptor, and keeps it open and the same
        // until it is dropped.
        let socket = unsafe { AsyncFd::register(socket) }?;
        Ok(Self { socket, interface, protocol })
    }

    /// Sends a frame.
    pub(super) fn send(&self, Frame { mac, packet }: &Frame) -> io::Result<()> {
        let address = link_address(self.interface, self.protocol, *mac)?;
        self.socket.get_ref().send_to(packet, &address).map(drop)
    }

    /// Waits until there may be something to receive.
    pub(super) async fn readable(&self) -> io::Result<()> {
        // The caller reads until nothing is left, so the readiness is used up.
        self.socket.readable().await?.clear_ready();
        Ok(())
    }

    /// The next packet that has arrived, its length in `buffer` and when the kernel got it.
    pub(super) fn try_receive(&self, buffer: &mut [u8]) -> io::Result<Option<(usize, Instant)>> {
        receive(self.socket.get_ref(), buffer)
    }
}

/// An address for a socket of the family `AF_PACKET`.
fn link_address(interface: u32, protocol: u16, mac: [u8; 6]) -> io::Result<SockAddr> {
    let interface = i32::try_from(interface).map_err(io::Error::other)?;
    let mut octets = [0; 8];
    octets[..6].copy_from_slice(&mac);
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: protocol.to_be(),
        sll_ifindex: interface,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 6,
        sll_addr: octets,
    };
    // SAFETY: the storage is as large and as aligned as any socket address has to be, and after the
    // write it holds an initialised one of the length that is set.
    let ((), address) = unsafe {
        SockAddr::try_init(|storage, length| {
            storage.cast::<libc::sockaddr_ll>().write(address);
            length.write(size_of::<libc::sockaddr_ll>() as libc::socklen_t);
            Ok(())
        })
    }?;
    Ok(address)
}
