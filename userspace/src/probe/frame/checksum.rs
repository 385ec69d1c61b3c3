use std::net::Ipv6Addr;

use pointsman_ebpf::wire::checksum;

/// The number of ICMPv6 among protocols (RFC 4443).
pub(super) const ICMPV6: u8 = 58;

/// The Internet checksum (RFC 1071), as a number: of bytes that contain their own checksum it is
/// zero.
pub(super) fn checksum(bytes: &[u8]) -> u16 {
    folded(checksum::sum(bytes, 0))
}

/// That of an ICMPv6 message, which includes its addresses (RFC 8200 section 8.1).
pub(super) fn checksum6(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> u16 {
    let mut header = [0; 40];
    header[..16].copy_from_slice(&source.octets());
    header[16..32].copy_from_slice(&destination.octets());
    header[32..36].copy_from_slice(&(message.len() as u32).to_be_bytes());
    header[39] = ICMPV6;
    folded(checksum::sum(message, checksum::sum(&header, 0)))
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
