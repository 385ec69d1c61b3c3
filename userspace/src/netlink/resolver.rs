use std::io;
use std::net::IpAddr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::Error;
use super::requests::Requests;

/// Makes the kernel find or confirm the MAC of a neighbour, although no packet of the kernel's own
/// goes there: forwarded ones pass below its neighbour table. Needs `CAP_NET_ADMIN`.
pub struct Resolver {
    requests: Requests,
}

impl Resolver {
    /// Opens a socket in the calling thread's network namespace.
    pub fn new() -> Result<Self, Error> {
        Ok(Self { requests: Requests::new()? })
    }

    /// Sends ARP or a Neighbor Solicitation (RFC 4861 section 7.2.2) for the neighbour now, and
    /// returns at once. A [`super::Watcher`] tells the outcome: a MAC, or after some three seconds
    /// `failed`. It does not tell that the search is under way.
    ///
    /// A known MAC stays in use while it is confirmed; where nobody has it any more, a second call
    /// after `failed` finds the new one. Where the kernel searches already, nothing changes. An entry
    /// that the administrator has made permanent becomes an ordinary one, so do not ask for one of
    /// those.
    ///
    /// # Errors
    /// [`Error::Unresolvable`] if there is no such interface, or permission lacks.
    pub fn resolve(&mut self, index: u32, address: impl Into<IpAddr>) -> Result<(), Error> {
        let address = address.into();
        let answer = match self.request(index, address, Kind::Confirm)? {
            // There is no entry, or one without a MAC.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINVAL)) => {
                self.request(index, address, Kind::Find)?
            }
            answer => answer,
        };
        answer.map_err(|source| Error::Unresolvable { index, address, source })
    }

    /// Sends a request and reads the kernel's answer to it.
    fn request(&mut self, index: u32, address: IpAddr, kind: Kind) -> io::Result<io::Result<()>> {
        let mut message = NeighbourMessage::default();
        let (family, destination) = match address {
            IpAddr::V4(address) => (AddressFamily::Inet, NeighbourAddress::Inet(address)),
            IpAddr::V6(address) => (AddressFamily::Inet6, NeighbourAddress::Inet6(address)),
        };
        message.header.family = family;
        message.header.ifindex = index;
        message.attributes = vec![NeighbourAttribute::Destination(destination)];
        let flags = match kind {
            // An entry that is used for sending stays in doubt for five seconds before it is
            // confirmed; in the state `probe` it is confirmed at once.
            Kind::Confirm => {
                message.header.state = NeighbourState::Probe;
                NLM_F_REPLACE
            }
            // As if a packet were waiting to be sent there.
            Kind::Find => {
                message.header.flags = NeighbourFlags::Use;
                NLM_F_CREATE | NLM_F_REPLACE
            }
        };
        self.requests.ask(flags, RouteNetlinkMessage::NewNeighbour(message))
    }
}

/// What is asked of the kernel.
#[derive(Clone, Copy)]
enum Kind {
    /// That a MAC which is known still holds.
    Confirm,
    /// A MAC which is not known.
    Find,
}
