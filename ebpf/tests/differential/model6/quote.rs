//! What an ICMPv6 error quotes (RFC 4443 section 3): as much of a packet as there is.

use super::packet::{ICMPV6, Packet, TCP, UDP, address, walk, word};
use super::state::{End, Key};

/// The packet that is quoted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quote {
    pub(crate) from: End,
    pub(crate) to: End,
    pub(crate) protocol: u8,
    /// Where, behind the quoted header, the upper layer starts.
    pub(crate) upper: usize,
}

impl Quote {
    /// Nothing where it is no packet of a flow, or too little of one to tell.
    pub(crate) fn read(error: &Packet<'_>) -> Option<Self> {
        let quote = error.frame[..error.end].get(error.transport + 8..)?;
        if quote.len() < 40 || quote[0] >> 4 != 6 {
            return None;
        }
        let (protocol, upper, fragment) = walk(quote[6], &quote[40..]).ok()?;
        if fragment.offset != 0 {
            return None;
        }
        let upper = 40 + upper;
        let body = &quote[upper..];
        let (from, to) = match protocol {
            TCP | UDP if body.len() >= 4 => (word(body, 0), word(body, 2)),
            ICMPV6 if body.len() >= 8 => match body[0] {
                128 => (word(body, 4), 0),
                129 => (0, word(body, 4)),
                _ => return None,
            },
            TCP | UDP | ICMPV6 => return None,
            _ => (0, 0),
        };
        let (from, to) = ((address(quote, 8), from), (address(quote, 24), to));
        Some(Self { from, to, protocol, upper })
    }

    /// The flow of a packet that has left from this end of the LAN.
    pub(crate) fn left(&self, inside: u128) -> Key {
        let inside = (inside, self.from.1);
        Key { inside, outside: self.to, protocol: self.protocol }
    }

    /// The flow of a packet that has come in.
    pub(crate) fn came(&self) -> Key {
        Key { inside: self.to, outside: self.from, protocol: self.protocol }
    }
}
