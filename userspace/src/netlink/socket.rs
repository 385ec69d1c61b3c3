use std::io;

use netlink_packet_core::{
    NLM_F_REQUEST, NLMSG_ALIGNTO, NetlinkBuffer, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// What can go wrong between the daemon and the kernel's routing socket.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The socket could not be made.
    #[error("the kernel gave no routing socket (NETLINK_ROUTE): {0}")]
    Open(#[source] io::Error),
    /// The socket could not be read or written.
    #[error("the routing socket failed: {0}")]
    Io(#[from] io::Error),
    /// The kernel refused to tell what it knows.
    #[error("the kernel refused to list its {what}: {source}")]
    Refused {
        /// What was asked for.
        what: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The kernel refused to look for a neighbour.
    #[error("the kernel refused to resolve {address} on interface {index}: {source}")]
    Unresolvable {
        /// The kernel's index of the interface.
        index: u32,
        /// The neighbour's address.
        address: std::net::IpAddr,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// The longest datagram that is read. The kernel fills at most 32 KiB when it lists things.
pub(super) const DATAGRAM: usize = 64 * 1024;

/// Opens a routing socket that does not block.
pub(super) fn open() -> Result<Socket, Error> {
    let mut socket = Socket::new(NETLINK_ROUTE).map_err(Error::Open)?;
    socket.bind(&SocketAddr::new(0, 0)).map_err(Error::Open)?;
    socket.set_non_blocking(true).map_err(Error::Open)?;
    Ok(socket)
}

/// Sends a request to the kernel, which handles it before this returns.
pub(super) fn send(
    socket: &Socket,
    sequence: u32,
    flags: u16,
    message: RouteNetlinkMessage,
) -> io::Result<()> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | flags;
    header.sequence_number = sequence;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send_to(&bytes, &SocketAddr::new(0, 0), 0).map(drop)
}

/// The messages of one datagram. One that makes no sense is left out.
pub(super) fn messages(
    datagram: &[u8],
) -> impl Iterator<Item = NetlinkMessage<RouteNetlinkMessage>> {
    encoded(datagram).filter_map(decode)
}

/// The bytes of each message of one datagram, which are as many as its header says.
pub(super) fn encoded(datagram: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let length = NetlinkBuffer::new_checked(rest).ok()?.length() as usize;
        let (message, _) = rest.split_at_checked(length)?;
        let aligned = length.next_multiple_of(NLMSG_ALIGNTO as usize);
        rest = rest.get(aligned..).unwrap_or_default();
        Some(message)
    })
}

/// The message in these bytes. One that makes no sense is logged.
pub(super) fn decode(message: &[u8]) -> Option<NetlinkMessage<RouteNetlinkMessage>> {
    NetlinkMessage::deserialize(message)
        .inspect_err(|error| log::warn!("a message of the kernel's makes no sense: {error}"))
        .ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A message of the kind "done", which has this length in its header and 20 bytes.
    fn done(length: u32) -> Vec<u8> {
        let mut bytes = vec![0; 20];
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        bytes[4..6].copy_from_slice(&3u16.to_ne_bytes());
        bytes
    }

    #[test]
    fn a_datagram_of_two_messages_is_two() {
        assert_eq!(messages(&[done(20), done(20)].concat()).count(), 2);
    }

    #[test]
    fn a_message_that_is_cut_off_ends_the_datagram() {
        assert_eq!(messages(&[done(20), done(21)].concat()).count(), 1);
        assert_eq!(messages(&done(0)).count(), 0);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_go_on_for_ever(
            length in 0u32..80,
            kind in 0u16..120,
            rest in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            let mut bytes = [done(length), rest].concat();
            bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
            let _ = messages(&bytes).count();
        }
    }
}
