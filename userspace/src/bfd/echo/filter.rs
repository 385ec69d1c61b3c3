use std::net::IpAddr;

use socket2::SockFilter;

use super::packet::{ECHO_PORT, Ends, RETURNED_TTL};

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

/// How a value is loaded, from where, and what it is to be.
type Condition = (Load, u32, u32);
type Load = fn(u32) -> SockFilter;

/// Lets in what has each of these values in its place. What ends before does not get in.
fn all(conditions: &[Condition]) -> Vec<SockFilter> {
    let if_equal = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    let mut filter = Vec::new();
    for (number, (load, offset, value)) in conditions.iter().enumerate() {
        // Beyond the conditions that are left, and the verdict that lets in.
        let to_reject = 2 * (conditions.len() - number - 1) + 1;
        filter.extend([load(*offset), SockFilter::new(if_equal, 0, to_reject as u8, *value)]);
    }
    filter.extend([verdict(u32::MAX), verdict(0)]);
    filter
}

/// Lets nothing in.
pub(super) fn nothing() -> [SockFilter; 1] {
    [verdict(0)]
}

fn load_u8(offset: u32) -> SockFilter {
    SockFilter::new((libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16, 0, 0, offset)
}

fn load_u32(offset: u32) -> SockFilter {
    SockFilter::new((libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16, 0, 0, offset)
}

fn load_u16(offset: u32) -> SockFilter {
    SockFilter::new((libc::BPF_LD | libc::BPF_H | libc::BPF_ABS) as u16, 0, 0, offset)
}

/// How many bytes of the packet are let in.
fn verdict(bytes: u32) -> SockFilter {
    SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, bytes)
}
