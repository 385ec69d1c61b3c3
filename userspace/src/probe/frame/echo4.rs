//! ICMP echo over IPv4 (RFC 791, RFC 792), the IPv4 header included.

use std::net::Ipv4Addr;

use pointsman_ebpf::wire::{IPV4_LEN, Ipv4Header, Protocol, icmp_type};

use super::checksum::checksum;
use super::echo::{Echo, MESSAGE, u16_at};

const REQUEST: usize = IPV4_LEN + MESSAGE;

const FRAGMENT: u16 = 0x3fff;
const TTL: u8 = 64;

impl Echo<Ipv4Addr> {
    /// The packet of a request.
    pub(super) fn request(&self) -> Vec<u8> {
        let mut packet = vec![0; REQUEST];
        let (header, icmp) = packet.split_at_mut(IPV4_LEN);
        header[0] = 0x45;
        header[2..4].copy_from_slice(&(REQUEST as u16).to_be_bytes());
        header[6..8].copy_from_slice(&Ipv4Header::DONT_FRAGMENT.to_be_bytes());
        header[8] = TTL;
        header[9] = Protocol::ICMP;
        header[12..16].copy_from_slice(&self.source.octets());
        header[16..20].copy_from_slice(&self.destination.octets());
        let sum = checksum(header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        icmp.copy_from_slice(&self.message(icmp_type::ECHO_REQUEST));
        let sum = checksum(icmp);
        icmp[2..4].copy_from_slice(&sum.to_be_bytes());
        packet
    }

    /// Reads a reply to a request of this module's; `None` for every other packet. Bytes behind the
    /// packet, such as Ethernet's padding, do not matter.
    pub(super) fn parse_reply(packet: &[u8]) -> Option<Self> {
        let header_length = usize::from(packet.first()? & 0x0f) * 4;
        if packet[0] >> 4 != 4 || header_length < IPV4_LEN {
            return None;
        }
        let total_length = usize::from(u16_at(packet, 2)?);
        let (header, icmp) = packet.get(..total_length)?.split_at_checked(header_length)?;
        if header[9] != Protocol::ICMP || u16_at(header, 6)? & FRAGMENT != 0 {
            return None;
        }
        if checksum(header) != 0 || checksum(icmp) != 0 {
            return None;
        }
        let addresses = (address_at(header, 12)?, address_at(header, 16)?);
        Self::of(icmp_type::ECHO_REPLY, addresses, icmp)
    }
}

fn address_at(bytes: &[u8], at: usize) -> Option<Ipv4Addr> {
    let octets: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(octets.into())
}

/// What the far end makes of a request.
#[cfg(test)]
pub(super) fn reply_to(request: &[u8]) -> Vec<u8> {
    let mut reply = request.to_vec();
    reply[12..16].copy_from_slice(&request[16..20]);
    reply[16..20].copy_from_slice(&request[12..16]);
    reply[20] = icmp_type::ECHO_REPLY;
    reply[22..24].fill(0);
    let sum = checksum(&reply[IPV4_LEN..]);
    reply[22..24].copy_from_slice(&sum.to_be_bytes());
    reply
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ECHO: Echo<Ipv4Addr> = Echo {
        source: Ipv4Addr::new(203, 0, 113, 2),
        destination: Ipv4Addr::new(192, 0, 2, 53),
        identifier: 0x0102,
        sequence: 0xfffe,
        token: *b"pointman",
    };

    #[test]
    fn a_request_is_laid_out_as_the_rfcs_say() {
        let packet = ECHO.request();
        assert_eq!(packet[..10], [0x45, 0, 0, 36, 0, 0, 0x40, 0, 64, 1]);
        assert_eq!(packet[12..20], [203, 0, 113, 2, 192, 0, 2, 53]);
        assert_eq!(packet[20..22], [8, 0]);
        assert_eq!(packet[24..28], [1, 2, 0xff, 0xfe]);
        assert_eq!(&packet[28..], b"pointman");
        assert_eq!(checksum(&packet[..20]), 0);
        assert_eq!(checksum(&packet[20..]), 0);
    }

    #[test]
    fn a_reply_reads_as_the_request_turned_round() {
        let mut packet = reply_to(&ECHO.request());
        let reply = Echo { source: ECHO.destination, destination: ECHO.source, ..ECHO };
        assert_eq!(Echo::<Ipv4Addr>::parse_reply(&packet), Some(reply));
        packet.extend([0xee; 10]);
        assert_eq!(Echo::<Ipv4Addr>::parse_reply(&packet), Some(reply), "padding does not matter");
    }

    #[test]
    fn a_request_is_no_reply() {
        assert_eq!(Echo::<Ipv4Addr>::parse_reply(&ECHO.request()), None);
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let packet = reply_to(&ECHO.request());
        for bit in 0..packet.len() * 8 {
            let mut packet = packet.clone();
            packet[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Echo::<Ipv4Addr>::parse_reply(&packet), None, "bit {bit}");
        }
    }

    #[test]
    fn a_truncated_reply_is_none() {
        let packet = reply_to(&ECHO.request());
        for length in 0..packet.len() {
            assert_eq!(Echo::<Ipv4Addr>::parse_reply(&packet[..length]), None, "{length} bytes");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Echo::<Ipv4Addr>::parse_reply(&bytes);
        }
    }
}
