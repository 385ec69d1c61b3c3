use std::net::IpAddr;

use socket2::SockFilter;

use super::packet::{ECHO_PORT, Ends, RETURNED_TTL};
use crate::probe::packet_filter::{Condition, Load, all, load_u8, load_u16, load_u32, verdict};

/// Where the kernel says whom a packet is for, and that it is for this host: one that the host sends is for none.
const KIND: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE) as u32;
const HOST: u32 = libc::PACKET_HOST as u32;

/// The filter of a socket for packets that have come back to these ends, and that start with their IP header. It leaves
/// little to a thread that has priority over all else: who does not see the packets has the source port to guess.
pub(super) fn returned(ends: Ends) -> Vec<SockFilter> {
    let (udp, ttl, port) = (libc::IPPROTO_UDP as u32, RETURNED_TTL.into(), ECHO_PORT.into());
    let source_port = ends.source_port.into();
    match ends.address {
        // The version, and a header without options.
        IpAddr::V4(address) => {
            let address = address.to_bits();
            all(&[
                (load_u8, KIND, HOST),
                (load_u8, 0, 0x45),
                (load_u8, 9, udp),
                (load_u8, 8, ttl),
                (load_u32, 12, address),
                (load_u32, 16, address),
                (load_u16, 20, source_port),
                (load_u16, 22, port),
            ])
        }
        IpAddr::V6(address) => {
            let words = address.octets();
            let words = words.as_chunks::<4>().0.iter().map(|word| u32::from_be_bytes(*word));
            let twice = words.clone().chain(words);
            let addresses =
                (8..).step_by(4).zip(twice).map(|(at, word)| (load_u32 as Load, at, word));
            let mut conditions: Vec<Condition> = vec![
                (load_u8, KIND, HOST),
                (load_u8, 6, udp),
                (load_u8, 7, ttl),
                (load_u16, 40, source_port),
                (load_u16, 42, port),
            ];
            conditions.extend(addresses);
            all(&conditions)
        }
    }
}

/// Lets nothing in.
pub(super) fn nothing() -> [SockFilter; 1] {
    [verdict(0)]
}
