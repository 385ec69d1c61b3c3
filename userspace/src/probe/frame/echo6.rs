//! ICMPv6 echo (RFC 4443 section 4), the IPv6 header included.

use std::net::Ipv6Addr;

use pointsman_ebpf::wire::icmpv6_type;

use super::echo::Echo;
use super::packet6::Packet6;

const HOP_LIMIT: u8 = 64;

impl Echo<Ipv6Addr> {
    /// The packet of a request.
    pub(super) fn request(&self) -> Vec<u8> {
        let message = self.message(icmpv6_type::ECHO_REQUEST);
        let Self { source, destination, .. } = *self;
        Packet6 { source, destination, hop_limit: HOP_LIMIT, message: &message }.to_bytes()
    }

    /// Reads a reply to a request of this module's; `None` for every other packet.
    pub(super) fn parse_reply(packet: &[u8]) -> Option<Self> {
        let Packet6 { source, destination, message, .. } = Packet6::parse(packet)?;
        Self::of(icmpv6_type::ECHO_REPLY, (source, destination), message)
    }
}

/// What the far end makes of a request.
#[cfg(test)]
pub(super) fn reply_to(request: &[u8]) -> Vec<u8> {
    let request = Packet6::parse(request).expect("a request");
    let mut message = request.message.to_vec();
    message[0] = icmpv6_type::ECHO_REPLY;
    let (source, destination) = (request.destination, request.source);
    Packet6 { source, destination, hop_limit: HOP_LIMIT, message: &message }.to_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ECHO: Echo<Ipv6Addr> = Echo {
        source: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2),
        destination: Ipv6Addr::new(0x2001, 0xdb8, 0x53, 0, 0, 0, 0, 0x53),
        identifier: 0x0102,
        sequence: 0xfffe,
        token: *b"pointman",
    };

    #[test]
    fn a_request_is_laid_out_as_the_rfcs_say() {
        let packet = ECHO.request();
        assert_eq!(packet[..8], [0x60, 0, 0, 0, 0, 16, 58, 64]);
        assert_eq!(packet[8..24], ECHO.source.octets());
        assert_eq!(packet[24..40], ECHO.destination.octets());
        assert_eq!(packet[40..42], [128, 0]);
        assert_eq!(packet[44..48], [1, 2, 0xff, 0xfe]);
        assert_eq!(&packet[48..], b"pointman");
        assert!(Packet6::parse(&packet).is_some(), "the checksum is right");
    }

    #[test]
    fn a_reply_reads_as_the_request_turned_round() {
        let mut packet = reply_to(&ECHO.request());
        let reply = Echo { source: ECHO.destination, destination: ECHO.source, ..ECHO };
        assert_eq!(Echo::<Ipv6Addr>::parse_reply(&packet), Some(reply));
        packet.extend([0xee; 10]);
        assert_eq!(Echo::<Ipv6Addr>::parse_reply(&packet), Some(reply), "padding does not matter");
        assert_eq!(Echo::<Ipv6Addr>::parse_reply(&ECHO.request()), None);
    }

    /// But for the traffic class, the flow label and the hop limit, which the checksum leaves out.
    #[test]
    fn every_flipped_bit_that_matters_is_noticed() {
        let packet = reply_to(&ECHO.request());
        for bit in (0..4).chain(32..56).chain(64..packet.len() * 8) {
            let mut packet = packet.clone();
            packet[bit / 8] ^= 0x80 >> (bit % 8);
            assert_eq!(Echo::<Ipv6Addr>::parse_reply(&packet), None, "bit {bit}");
        }
    }

    #[test]
    fn a_truncated_reply_is_none() {
        let packet = reply_to(&ECHO.request());
        for length in 0..packet.len() {
            assert_eq!(Echo::<Ipv6Addr>::parse_reply(&packet[..length]), None, "{length} bytes");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Echo::<Ipv6Addr>::parse_reply(&bytes);
            // Past the first look.
            if bytes.len() > 6 {
                (bytes[0], bytes[4], bytes[6]) = (0x60, 0, 58);
            }
            let _ = Echo::<Ipv6Addr>::parse_reply(&bytes);
        }
    }
}
