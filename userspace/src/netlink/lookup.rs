use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd as _;

use netlink_packet_core::{NLM_F_ACK, NetlinkPayload};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::Socket;

use super::Error;
use super::socket::{self, DATAGRAM};

/// Asks the kernel what it would do with an IPv4 packet, by all its routes, rules and settings.
pub struct Lookup {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Lookup {
    /// Opens a socket in the calling thread's network namespace. Needs no privilege.
    ///
    /// # Errors
    /// [`Error::Open`] if the kernel gives no such socket.
    pub fn new() -> Result<Self, Error> {
        Ok(Self { socket: socket::open()?, sequence: 0, buffer: vec![0; DATAGRAM] })
    }

    /// Whether a route leads from `source` to `destination` by this interface. Without one, the kernel
    /// takes the destination to be on the link of a socket's interface, and asks for its MAC there.
    ///
    /// # Errors
    /// What the kernel says where there is no route.
    pub fn leaves(
        &mut self,
        interface: u32,
        source: Ipv4Addr,
        destination: Ipv4Addr,
    ) -> io::Result<()> {
        let mut message = request(source, destination);
        message.header.flags = RouteFlags::FibMatch;
        message.attributes.push(RouteAttribute::Oif(interface));
        self.ask(message)
    }

    /// Whether the kernel takes what comes from `source` for its own address `destination` by this
    /// interface: the reverse path filter (RFC 3704) may be against it.
    ///
    /// # Errors
    /// What the kernel says where it does not.
    pub fn arrives(
        &mut self,
        interface: u32,
        source: Ipv4Addr,
        destination: Ipv4Addr,
    ) -> io::Result<()> {
        let mut message = request(source, destination);
        message.attributes.push(RouteAttribute::Iif(interface));
        self.ask(message)
    }

    /// Sends a request and reads the kernel's answer: it answers while the request is being sent.
    fn ask(&mut self, message: RouteMessage) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let message = RouteNetlinkMessage::GetRoute(message);
        socket::send(&self.socket, self.sequence, NLM_F_ACK, message)?;
        loop {
            let length = nix::sys::socket::recv(
                self.socket.as_raw_fd(),
                &mut self.buffer,
                nix::sys::socket::MsgFlags::MSG_DONTWAIT,
            )?;
            for message in socket::messages(&self.buffer[..length]) {
                // The route comes before the acknowledgement.
                if let NetlinkPayload::Error(error) = message.payload
                    && message.header.sequence_number == self.sequence
                {
                    return error.code.map_or(Ok(()), |_| Err(error.to_io()));
                }
            }
        }
    }
}

fn request(source: Ipv4Addr, destination: Ipv4Addr) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header = RouteHeader {
        address_family: AddressFamily::Inet,
        destination_prefix_length: 32,
        source_prefix_length: 32,
        ..RouteHeader::default()
    };
    message.attributes = vec![
        RouteAttribute::Source(RouteAddress::Inet(source)),
        RouteAttribute::Destination(RouteAddress::Inet(destination)),
    ];
    message
}
