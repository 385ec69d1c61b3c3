use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Instant;

use socket2::{Domain, SockAddr, SockFilter, Socket, Type};

use super::receive::{receive, stamp_arrivals};

/// A socket that sends packets of one protocol out of one interface, and receives from it those that a
/// filter lets in. Both start with the header of the protocol, for the one of the link, VLAN tags
/// included, is the kernel's to make and to take off. What the host itself sends does not come in.
#[derive(Debug)]
pub(crate) struct PacketSocket {
    socket: Socket,
    interface: u32,
    protocol: u16,
}

impl PacketSocket {
    /// Opens the socket in the calling thread's network namespace. The protocol is an EtherType, a number.
    pub(crate) fn open(interface: u32, protocol: u16, filter: &[SockFilter]) -> io::Result<Self> {
        // Without a protocol the socket receives nothing until it is bound: the filter comes first.
        let socket = Socket::new(Domain::PACKET, Type::DGRAM, None)?;
        socket.set_nonblocking(true)?;
        socket.attach_filter(filter)?;
        stamp_arrivals(&socket)?;
        socket.bind(&link_address(interface, protocol, [0; 6])?)?;
        Ok(Self { socket, interface, protocol })
    }

    /// Sends a packet to the station with this MAC.
    pub(crate) fn send(&self, mac: [u8; 6], packet: &[u8]) -> io::Result<()> {
        let address = link_address(self.interface, self.protocol, mac)?;
        self.socket.send_to(packet, &address).map(drop)
    }

    /// The next packet that has arrived, its length in `buffer` and when the kernel got it.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<(usize, Instant)>> {
        receive(&self.socket, buffer)
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for PacketSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// A socket that sends whole frames, by any interface, and receives nothing.
#[derive(Debug)]
pub(crate) struct FrameSender(Socket);

impl FrameSender {
    /// Opens the socket in the calling thread's network namespace.
    pub(crate) fn open() -> io::Result<Self> {
        // Without a protocol nothing comes in.
        let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
        socket.set_nonblocking(true)?;
        Ok(Self(socket))
    }

    /// Sends a frame, which starts with the receiver's MAC, by the interface with this index.
    pub(crate) fn send(&self, interface: u32, frame: &[u8]) -> io::Result<()> {
        // The MAC that is sent to is in the frame.
        self.0.send_to(frame, &link_address(interface, 0, [0; 6])?).map(drop)
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
