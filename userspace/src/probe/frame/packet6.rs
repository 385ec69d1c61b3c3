//! An ICMPv6 message with its IPv6 header and no other (RFC 8200, RFC 4443).

use std::net::Ipv6Addr;

use pointsman_ebpf::wire::{IPV6_LEN, Protocol};

use super::checksum::checksum6;
use super::echo::u16_at;

/// A message, and what its packet says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet6<'p> {
    pub(super) source: Ipv6Addr,
    pub(super) destination: Ipv6Addr,
    pub(super) hop_limit: u8,
    /// From the type on, at least four bytes.
    pub(super) message: &'p [u8],
}

impl<'p> Packet6<'p> {
    /// The bytes, with the checksum in the message's place for it.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = vec![0; IPV6_LEN];
        bytes[0] = 0x60;
        bytes[4..6].copy_from_slice(&(self.message.len() as u16).to_be_bytes());
        bytes[6] = Protocol::ICMPV6;
        bytes[7] = self.hop_limit;
        bytes[8..24].copy_from_slice(&self.source.octets());
        bytes[24..40].copy_from_slice(&self.destination.octets());
        bytes.extend_from_slice(self.message);
        let message = &mut bytes[IPV6_LEN..];
        message[2..4].fill(0);
        let sum = checksum6(self.source, self.destination, message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    /// Reads what is no fragment, has no extension headers, and has a right checksum; `None` for all
    /// else. Bytes behind the packet, such as Ethernet's padding, do not matter.
    pub(super) fn parse(bytes: &'p [u8]) -> Option<Self> {
        let (header, rest) = bytes.split_at_checked(IPV6_LEN)?;
        if header[0] >> 4 != 6 || header[6] != Protocol::ICMPV6 {
            return None;
        }
        let message = rest.get(..usize::from(u16_at(header, 4)?))?;
        let (source, destination) = (address_at(header, 8)?, address_at(header, 24)?);
        if message.len() < 4 || checksum6(source, destination, message) != 0 {
            return None;
        }
        Some(Self { source, destination, hop_limit: header[7], message })
    }
}

pub(super) fn address_at(bytes: &[u8], at: usize) -> Option<Ipv6Addr> {
    let octets: [u8; 16] = bytes.get(at..at + 16)?.try_into().ok()?;
    Some(octets.into())
}
