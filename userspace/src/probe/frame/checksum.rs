use std::net::Ipv6Addr;

use pointsman_ebpf::abi::Ipv6;
use pointsman_ebpf::wire::{Ipv6Header, Protocol, checksum};

/// The Internet checksum (RFC 1071), as a number: of bytes that contain their own checksum it is
/// zero.
pub(super) fn checksum(bytes: &[u8]) -> u16 {
    folded(checksum::sum(bytes, 0))
}

/// That of an ICMPv6 message, which includes its addresses (RFC 8200 section 8.1).
pub(super) fn checksum6(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> u16 {
    let [from, to] = [source, destination].map(|address| Ipv6::new(address.octets()));
    let length = message.len() as u16;
    let header = Ipv6Header::pseudo_header(from, to, Protocol::ICMPV6, length);
    folded(checksum::sum(message, header))
}

fn folded(sum: u64) -> u16 {
    u16::from_be(!checksum::fold(sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_that_of_the_example_in_rfc_1071() {
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
        assert_eq!(checksum(&[0xff]), !0xff00);
    }

    #[test]
    fn that_of_icmpv6_includes_the_addresses() {
        let (near, far) = ("2001:db8::2".parse().unwrap(), "2001:db8::1".parse().unwrap());
        // 2001 + db8 twice, 2 and 1 at their ends, the length, 58, and the type.
        let sum = 2 * (0x2001 + 0x0db8) + 2 + 1 + 8 + 58 + 0x8000 + 0x0107;
        let expected = !(((sum & 0xffff) + (sum >> 16)) as u16);
        assert_eq!(checksum6(near, far, &[128, 0, 0, 0, 1, 7, 0, 0]), expected);
    }
}
