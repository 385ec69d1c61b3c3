//! Neighbor Solicitations and Advertisements (RFC 4861 sections 4.3 and 4.4), the IPv6 header included.

use std::net::Ipv6Addr;

use super::packet6::{Packet6, address_at};

const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
/// What no router has forwarded has this hop limit (section 7.1).
const HOP_LIMIT: u8 = 255;
const HEADER: usize = 24;
const SOURCE_LINK_LAYER_ADDRESS: u8 = 1;
/// In a byte, of an advertisement: it is an answer.
const SOLICITED: u8 = 0x40;

/// The packet that asks who has `target`, from the host with this address and MAC. It goes to the target
/// itself, or to those that may have its address.
pub(super) fn solicitation(
    (source, mac): (Ipv6Addr, [u8; 6]),
    destination: Ipv6Addr,
    target: Ipv6Addr,
) -> Vec<u8> {
    let mut message = [0; HEADER + 8];
    message[0] = SOLICITATION;
    message[8..24].copy_from_slice(&target.octets());
    message[24..26].copy_from_slice(&[SOURCE_LINK_LAYER_ADDRESS, 1]);
    message[26..].copy_from_slice(&mac);
    Packet6 { source, destination, hop_limit: HOP_LIMIT, message: &message }.to_bytes()
}

/// The group of the hosts that may have this address (RFC 4291 section 2.7.1), and its MAC (RFC 2464
/// section 7).
pub(super) fn solicited_node(target: Ipv6Addr) -> (Ipv6Addr, [u8; 6]) {
    let [.., a, b, c] = target.octets();
    let group = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c];
    (group.into(), [0x33, 0x33, 0xff, a, b, c])
}

/// The answer to a solicitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Advertisement {
    /// Whose MAC it tells.
    pub(super) target: Ipv6Addr,
    /// To whom.
    pub(super) destination: Ipv6Addr,
}

impl Advertisement {
    /// Reads one that was asked for and is valid (RFC 4861 section 7.1.2); `None` for every other packet.
    pub(super) fn parse(packet: &[u8]) -> Option<Self> {
        let Packet6 { destination, hop_limit, message, .. } = Packet6::parse(packet)?;
        let (header, options) = message.split_at_checked(HEADER)?;
        let is_valid = hop_limit == HOP_LIMIT
            && header[..2] == [ADVERTISEMENT, 0]
            && header[4] & SOLICITED != 0
            && are_whole(options);
        let target = address_at(header, 8)?;
        is_valid.then_some(Self { target, destination })
    }
}

/// Whether every option has the length that it says, in units of eight bytes, which is not zero.
fn are_whole(mut options: &[u8]) -> bool {
    while !options.is_empty() {
        let length = options.get(1).map_or(0, |units| usize::from(*units) * 8);
        let Some((_, rest)) = options.split_at_checked(length).filter(|_| length > 0) else {
            return false;
        };
        options = rest;
    }
    true
}

/// What the far end, with this MAC, makes of a solicitation.
#[cfg(test)]
pub(super) fn advertisement_to(solicitation: &[u8], mac: [u8; 6]) -> Vec<u8> {
    let asked = Packet6::parse(solicitation).expect("a solicitation");
    let mut message = asked.message.to_vec();
    message[0] = ADVERTISEMENT;
    message[4] = SOLICITED;
    message[24] = 2;
    message[26..].copy_from_slice(&mac);
    let source = address_at(&message, 8).expect("a target");
    let destination = asked.source;
    Packet6 { source, destination, hop_limit: HOP_LIMIT, message: &message }.to_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NEAR: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
    const FAR: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0x1234, 0x5678);
    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

    fn answer() -> Vec<u8> {
        advertisement_to(&solicitation((NEAR, MAC), FAR, FAR), [2; 6])
    }

    /// An answer with a change to its message, of which the checksum is right.
    fn changed(hop_limit: u8, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let answer = answer();
        let packet = Packet6::parse(&answer).expect("an answer");
        let mut message = packet.message.to_vec();
        change(&mut message);
        Packet6 { hop_limit, message: &message, ..packet }.to_bytes()
    }

    #[test]
    fn a_solicitation_is_laid_out_as_the_rfcs_say() {
        let (group, mac) = solicited_node(FAR);
        assert_eq!(group, "ff02::1:ff34:5678".parse::<Ipv6Addr>().unwrap());
        assert_eq!(mac, [0x33, 0x33, 0xff, 0x34, 0x56, 0x78]);
        let packet = solicitation((NEAR, MAC), group, FAR);
        assert_eq!(packet[..8], [0x60, 0, 0, 0, 0, 32, 58, 255]);
        assert_eq!(packet[24..40], group.octets());
        assert_eq!(packet[40..42], [135, 0]);
        assert_eq!(packet[44..48], [0; 4]);
        assert_eq!(packet[48..64], FAR.octets());
        assert_eq!(packet[64..], [1, 1, 2, 0, 0, 0, 0, 1]);
        assert!(Packet6::parse(&packet).is_some(), "the checksum is right");
        assert_eq!(Advertisement::parse(&packet), None);
    }

    #[test]
    fn an_advertisement_says_whose_mac_it_has() {
        let advertisement = Advertisement { target: FAR, destination: NEAR };
        assert_eq!(Advertisement::parse(&answer()), Some(advertisement));
        let bare = changed(255, |message| message.truncate(24));
        assert_eq!(Advertisement::parse(&bare), Some(advertisement), "its options may be missing");
    }

    #[test]
    fn what_is_not_valid_is_none() {
        type Change = fn(&mut Vec<u8>);
        let invalid: [(&str, u8, Change); 6] = [
            ("it was forwarded", 254, |_| ()),
            ("it has another code", 255, |message| message[1] = 1),
            ("nobody asked", 255, |message| message[4] = 0x80),
            ("it is too short", 255, |message| message.truncate(23)),
            ("an option has no length", 255, |message| message[25] = 0),
            ("an option is cut off", 255, |message| message[25] = 2),
        ];
        for (what, hop_limit, change) in invalid {
            assert_eq!(Advertisement::parse(&changed(hop_limit, change)), None, "{what}");
        }
        for length in 0..answer().len() {
            assert_eq!(Advertisement::parse(&answer()[..length]), None, "{length} bytes");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..80),
            message in proptest::collection::vec(any::<u8>(), 4..80),
        ) {
            let _ = Advertisement::parse(&bytes);
            let packet = Packet6 { source: FAR, destination: NEAR, hop_limit: 255, message: &message };
            let _ = Advertisement::parse(&packet.to_bytes());
            prop_assert!(!are_whole(&message) || message.len() % 8 == 0);
        }
    }
}
