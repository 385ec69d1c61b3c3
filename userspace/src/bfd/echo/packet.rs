//! Datagrams from an address to itself (RFC 9747), with their IP header.

use std::net::IpAddr;

use pointsman_ebpf::wire::{IPV4_LEN, IPV6_LEN, Ipv4Header, Ipv6Header, Protocol, checksum};

/// The UDP port that echo packets are sent to (RFC 5881 section 4).
pub const ECHO_PORT: u16 = 3785;

/// The TTL or hop limit that they are sent with, and that they have when they have crossed the router and nothing else.
/// Others can send such packets too, from the link and from one hop beyond it; what they cannot is make one up.
const TTL: u8 = 255;
pub(super) const RETURNED_TTL: u8 = TTL - 1;

/// Internetwork control, as routing protocols have it (RFC 2474 section 4.2.2.2: class selector 6).
const TRAFFIC_CLASS: u8 = 0xc0;

const UDP_LEN: usize = 8;

/// Where the checksum of a UDP header stands.
const UDP_CHECKSUM: usize = 6;

/// Both ends of a session: an address, and the port that packets are sent from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) address: IpAddr,
    pub(super) source_port: u16,
}

impl Ends {
    /// The packet with this payload, which is no longer than 256 bytes.
    pub(super) fn packet(self, payload: &[u8]) -> Vec<u8> {
        let length = (UDP_LEN + payload.len()) as u16;
        let mut packet = self.header(length, TTL);
        let udp = packet.len();
        for field in [self.source_port, ECHO_PORT, length, 0] {
            packet.extend(field.to_be_bytes());
        }
        packet.extend(payload);
        let sum = checksum::sum(&packet[udp..], self.pseudo_header(length));
        // Zero would say that there is none (RFC 768), and is the same as all ones.
        let sum = match !checksum::fold(sum) {
            0 => u16::MAX,
            sum => sum,
        };
        packet[udp + UDP_CHECKSUM..][..2].copy_from_slice(&sum.to_ne_bytes());
        packet
    }

    /// The payload of a packet that was sent by [`Self::packet`] and has crossed one router since; `None` for every
    /// other one. Bytes behind the packet, such as Ethernet's padding, do not matter.
    pub(super) fn returned(self, packet: &[u8]) -> Option<&[u8]> {
        let (header, rest) = packet.split_at_checked(self.header_len())?;
        let (_, fields) = rest.split_first_chunk::<4>()?;
        let length = u16::from_be_bytes(*fields.first_chunk()?);
        let (udp, payload) = rest.get(..usize::from(length))?.split_at_checked(UDP_LEN)?;
        let [from, to] = [self.source_port, ECHO_PORT].map(u16::to_be_bytes);
        let sum = checksum::sum(payload, checksum::sum(udp, self.pseudo_header(length)));
        let is_whole = self.is_header(header, length) && checksum::is_right(sum);
        (is_whole && udp[..2] == from && udp[2..4] == to).then_some(payload)
    }

    /// Whether a header is that of a packet with so many bytes behind it, as it comes back. Routers change what class
    /// of traffic it is of.
    fn is_header(self, header: &[u8], length: u16) -> bool {
        let mut expected = self.header(length, RETURNED_TTL);
        match self.address {
            IpAddr::V4(_) => {
                const CHECKSUM: usize = Ipv4Header::CHECKSUM;
                for at in [1, CHECKSUM, CHECKSUM + 1] {
                    expected[at] = header[at];
                }
                expected == header && checksum::is_right(checksum::sum(header, 0))
            }
            IpAddr::V6(_) => {
                expected[0] = expected[0] & 0xf0 | header[0] & 0x0f;
                expected[1..4].copy_from_slice(&header[1..4]);
                expected == header
            }
        }
    }

    fn header_len(self) -> usize {
        if self.address.is_ipv4() { IPV4_LEN } else { IPV6_LEN }
    }

    /// The IP header of a packet with so many bytes behind it.
    fn header(self, length: u16, ttl: u8) -> Vec<u8> {
        let mut header = vec![0; self.header_len()];
        match self.address {
            IpAddr::V4(address) => {
                header[0] = 0x45;
                header[1] = TRAFFIC_CLASS;
                header[2..4].copy_from_slice(&(IPV4_LEN as u16 + length).to_be_bytes());
                header[6..8].copy_from_slice(&Ipv4Header::DONT_FRAGMENT.to_be_bytes());
                header[Ipv4Header::TTL] = ttl;
                header[9] = Protocol::UDP;
                header[Ipv4Header::SOURCE..][..4].copy_from_slice(&address.octets());
                header[Ipv4Header::DESTINATION..][..4].copy_from_slice(&address.octets());
                let sum = !checksum::fold(checksum::sum(&header, 0));
                header[Ipv4Header::CHECKSUM..][..2].copy_from_slice(&sum.to_ne_bytes());
            }
            IpAddr::V6(address) => {
                header[0] = 0x60 | TRAFFIC_CLASS >> 4;
                header[4..6].copy_from_slice(&length.to_be_bytes());
                header[6] = Protocol::UDP;
                header[Ipv6Header::HOP_LIMIT] = ttl;
                header[Ipv6Header::SOURCE..][..16].copy_from_slice(&address.octets());
                header[Ipv6Header::DESTINATION..][..16].copy_from_slice(&address.octets());
            }
        }
        header
    }

    /// The sum of what a checksum includes besides the datagram, of so many bytes: both addresses, the protocol, the
    /// length (RFC 768, RFC 8200 section 8.1).
    fn pseudo_header(self, length: u16) -> u64 {
        let [a, b] = length.to_be_bytes();
        let sum = checksum::sum(&[0, Protocol::UDP, a, b], 0);
        let twice = |address: &[u8]| checksum::sum(address, checksum::sum(address, sum));
        match self.address {
            IpAddr::V4(address) => twice(&address.octets()),
            IpAddr::V6(address) => twice(&address.octets()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    const V4: Ends =
        Ends { address: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 2)), source_port: 0xc123 };
    const V6: Ends = Ends {
        address: IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2)),
        source_port: 0xc123,
    };
    const PAYLOAD: &[u8] = b"payload";

    /// What a router makes of a packet.
    fn forwarded(packet: &[u8]) -> Vec<u8> {
        let mut packet = packet.to_vec();
        if packet[0] >> 4 == 4 {
            packet[8] -= 1;
            packet[10..12].fill(0);
            let sum = !checksum::fold(checksum::sum(&packet[..20], 0));
            packet[10..12].copy_from_slice(&sum.to_ne_bytes());
        } else {
            packet[7] -= 1;
        }
        packet
    }

    #[test]
    fn a_packet_is_laid_out_as_the_rfcs_say() {
        let packet = V4.packet(PAYLOAD);
        assert_eq!(packet[..10], [0x45, 0xc0, 0, 35, 0, 0, 0x40, 0, 255, 17]);
        assert_eq!(packet[12..20], [203, 0, 113, 2, 203, 0, 113, 2]);
        assert_eq!(packet[20..26], [0xc1, 0x23, 0x0e, 0xc9, 0, 15]);
        assert_eq!(packet[28..], *PAYLOAD);
        let packet = V6.packet(PAYLOAD);
        assert_eq!(packet[..8], [0x6c, 0, 0, 0, 0, 15, 17, 255]);
        assert_eq!(packet[8..24], packet[24..40]);
        assert_eq!(packet[40..46], [0xc1, 0x23, 0x0e, 0xc9, 0, 15]);
        assert_eq!(packet[48..], *PAYLOAD);
    }

    /// Each sum by hand: of the pseudo-header, the header, and the payload, in words.
    #[test]
    fn checksums_are_those_of_the_rfcs() {
        let payload = [0x7061, 0x796c, 0x6f61, 0x6400].iter().sum::<u32>();
        let udp = 17 + 15 + 0xc123 + 0x0ec9 + 15 + payload;
        let folded = |sum: u32| !(((sum & 0xffff) + (sum >> 16)) as u16);
        let v4 = folded(udp + 2 * (0xcb00 + 0x7102));
        assert_eq!(V4.packet(PAYLOAD)[26..28], v4.to_be_bytes());
        let v6 = folded(udp + 2 * (0x2001 + 0x0db8 + 2));
        assert_eq!(V6.packet(PAYLOAD)[46..48], v6.to_be_bytes());
    }

    #[test]
    fn what_has_crossed_one_router_has_returned() {
        for ends in [V4, V6] {
            let sent = ends.packet(PAYLOAD);
            let mut packet = forwarded(&sent);
            assert_eq!(ends.returned(&packet), Some(PAYLOAD));
            packet.extend([0xee; 9]);
            assert_eq!(ends.returned(&packet), Some(PAYLOAD), "padding does not matter");
            assert_eq!(ends.returned(&sent), None, "from a neighbour that has not forwarded it");
            assert_eq!(ends.returned(&forwarded(&forwarded(&sent))), None, "from further away");
        }
        assert_eq!(V4.returned(&forwarded(&V6.packet(PAYLOAD))), None);
        assert_eq!(V6.returned(&forwarded(&V4.packet(PAYLOAD))), None);
    }

    /// The traffic class is the router's to change, and in IPv6 no checksum includes that or the flow label.
    #[test]
    fn every_other_flipped_bit_is_noticed() {
        for (ends, free) in [(V4, 0..0), (V6, 4..32)] {
            let whole = forwarded(&ends.packet(PAYLOAD));
            for bit in 0..8 * whole.len() {
                let mut packet = whole.clone();
                packet[bit / 8] ^= 0x80 >> (bit % 8);
                assert_eq!(ends.returned(&packet).is_some(), free.contains(&bit), "bit {bit}");
            }
        }
    }

    #[test]
    fn another_traffic_class_is_none_of_its_business() {
        let mut packet = forwarded(&V4.packet(PAYLOAD));
        packet[1] = 0;
        packet[8] += 1;
        assert_eq!(V4.returned(&forwarded(&packet)), Some(PAYLOAD));
    }

    #[test]
    fn what_is_cut_short_has_not_returned() {
        for ends in [V4, V6] {
            let whole = forwarded(&ends.packet(PAYLOAD));
            for length in 0..whole.len() {
                assert_eq!(ends.returned(&whole[..length]), None, "{length} bytes");
            }
            let other = Ends { source_port: ends.source_port + 1, ..ends };
            assert_eq!(other.returned(&whole), None, "from another port");
        }
    }
}
