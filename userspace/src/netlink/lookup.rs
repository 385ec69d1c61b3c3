use std::io;
use std::net::Ipv4Addr;

use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::Error;
use super::requests::Requests;

/// Asks the kernel what it would do with an IPv4 packet, by all its routes, rules and settings.
pub struct Lookup {
    requests: Requests,
}

impl Lookup {
    /// Opens a socket in the calling thread's network namespace. Needs no privilege.
    ///
    /// # Errors
    /// [`Error::Open`] if the kernel gives no such socket.
    pub fn new() -> Result<Self, Error> {
        Ok(Self { requests: Requests::new()? })
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

    fn ask(&mut self, message: RouteMessage) -> io::Result<()> {
        self.requests.ask(0, RouteNetlinkMessage::GetRoute(message)).flatten()
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
