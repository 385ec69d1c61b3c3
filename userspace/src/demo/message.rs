//! What the client and the server of the demonstration say to each other.

use std::net::Ipv4Addr;

/// The server's port: the echo service's (RFC 862).
pub(super) const PORT: u16 = 7;

/// A message's length in bytes.
pub(super) const LEN: usize = 8;

/// A request has the packet's number and an address of zeroes. The answer repeats the number, and
/// has the address that the request came from, as the server saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// The packet's number in its flow.
    pub(super) number: u32,
    /// The public address.
    pub(super) address: Ipv4Addr,
}

impl Message {
    /// The message as it is on the wire, in network byte order.
    pub(super) fn to_bytes(self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[..4].copy_from_slice(&self.number.to_be_bytes());
        bytes[4..].copy_from_slice(&self.address.octets());
        bytes
    }

    /// Reads a message. `None` if it has another length.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let &[a, b, c, d, e, f, g, h] = bytes else {
            return None;
        };
        Some(Self { number: u32::from_be_bytes([a, b, c, d]), address: Ipv4Addr::new(e, f, g, h) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_nothing_shorter_or_longer() {
        let message = Message { number: 0x0102_0304, address: Ipv4Addr::new(203, 0, 113, 2) };
        let bytes = message.to_bytes();
        assert_eq!(bytes, [1, 2, 3, 4, 203, 0, 113, 2]);
        assert_eq!(Message::from_bytes(&bytes), Some(message));
        assert_eq!(Message::from_bytes(&bytes[..7]), None);
        assert_eq!(Message::from_bytes(&[0; 9]), None);
    }
}
