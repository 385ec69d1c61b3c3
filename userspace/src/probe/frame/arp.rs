//! ARP for IPv4 on Ethernet (RFC 826).

use std::net::Ipv4Addr;

/// Ethernet, IPv4, and the lengths of their addresses.
const KINDS: [u8; 6] = [0, 1, 0x08, 0, 6, 4];
const REQUEST: u8 = 1;
const REPLY: u8 = 2;
const PACKET: usize = 28;

/// Who has an address, as one host tells another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arp {
    /// The sender.
    pub(super) source: Ipv4Addr,
    /// Its MAC.
    pub(super) source_mac: [u8; 6],
    /// Whom the sender asks for, or tells.
    pub(super) target: Ipv4Addr,
    /// The MAC of that: zeros where it is asked for.
    pub(super) target_mac: [u8; 6],
}

impl Arp {
    /// The packet that asks for the target's MAC.
    pub(super) fn request(&self) -> Vec<u8> {
        self.packet(REQUEST)
    }

    fn packet(&self, operation: u8) -> Vec<u8> {
        let mut packet = Vec::with_capacity(PACKET);
        packet.extend(KINDS);
        packet.extend([0, operation]);
        packet.extend(self.source_mac);
        packet.extend(self.source.octets());
        packet.extend(self.target_mac);
        packet.extend(self.target.octets());
        packet
    }

    /// Reads the answer to a request; `None` for every other packet. Bytes behind the packet, such as
    /// Ethernet's padding, do not matter.
    pub(super) fn parse_reply(packet: &[u8]) -> Option<Self> {
        let packet: &[u8; PACKET] = packet.first_chunk()?;
        if packet[..6] != KINDS || packet[6..8] != [0, REPLY] {
            return None;
        }
        let mac = |at: usize| <[u8; 6]>::try_from(&packet[at..at + 6]).ok();
        let address = |at: usize| <[u8; 4]>::try_from(&packet[at..at + 4]).ok().map(Ipv4Addr::from);
        Some(Self {
            source_mac: mac(8)?,
            source: address(14)?,
            target_mac: mac(18)?,
            target: address(24)?,
        })
    }
}

/// What the far end, with this MAC, makes of a request.
#[cfg(test)]
pub(super) fn reply_to(request: &[u8], mac: [u8; 6]) -> Vec<u8> {
    let mut request = request.to_vec();
    assert_eq!(request[6..8], [0, REQUEST]);
    request[7] = REPLY;
    let asked = Arp::parse_reply(&request).expect("a request");
    let reply = Arp {
        source: asked.target,
        source_mac: mac,
        target: asked.source,
        target_mac: asked.source_mac,
    };
    reply.packet(REPLY)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ARP: Arp = Arp {
        source: Ipv4Addr::new(203, 0, 113, 2),
        source_mac: [2, 0, 0, 0, 0, 1],
        target: Ipv4Addr::new(203, 0, 113, 1),
        target_mac: [0; 6],
    };

    #[test]
    fn a_request_is_laid_out_as_the_rfc_says() {
        let expected = [
            0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 203, 0, 113, 2, 0, 0, 0, 0, 0, 0, 203, 0,
            113, 1,
        ];
        assert_eq!(ARP.request(), expected);
    }

    #[test]
    fn a_reply_says_who_has_the_address_and_a_request_does_not() {
        let mac = [2, 0, 0, 0, 0, 2];
        let mut packet = reply_to(&ARP.request(), mac);
        let reply = Arp {
            source: ARP.target,
            source_mac: mac,
            target: ARP.source,
            target_mac: ARP.source_mac,
        };
        assert_eq!(Arp::parse_reply(&packet), Some(reply));
        packet.extend([0xee; 18]);
        assert_eq!(Arp::parse_reply(&packet), Some(reply), "padding does not matter");
        assert_eq!(Arp::parse_reply(&ARP.request()), None);
    }

    #[test]
    fn what_is_for_other_kinds_of_addresses_or_cut_off_is_none() {
        let packet = reply_to(&ARP.request(), [2; 6]);
        for at in 0..8 {
            let mut packet = packet.clone();
            packet[at] ^= 4;
            assert_eq!(Arp::parse_reply(&packet), None, "byte {at}");
        }
        for length in 0..packet.len() {
            assert_eq!(Arp::parse_reply(&packet[..length]), None, "{length} bytes");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Arp::parse_reply(&bytes);
        }
    }
}
