use std::net::IpAddr;

use socket2::SockFilter;

use super::session::Question;
use crate::probe::packet_filter::{all, if_equal, load_u8, load_u16, verdict};

/// The filter of a socket that is to receive answers to this question, in packets that start with their
/// IP header or that of ARP. What is more to check is cheaper to check once it has passed here.
pub(super) fn answers(question: Question, identifier: u16) -> Vec<SockFilter> {
    match question {
        Question::Echo(IpAddr::V4(_)) => echo_replies(identifier).into(),
        Question::Echo(IpAddr::V6(_)) => echo_replies6(identifier),
        Question::Arp => arp_replies(),
        Question::Nd => advertisements(),
    }
}

/// Unfragmented ICMP echo replies with this identifier.
fn echo_replies(identifier: u16) -> [SockFilter; 11] {
    const PROTOCOL: u32 = 9;
    const FRAGMENT: u32 = 6;
    const FRAGMENT_MASK: u32 = 0x3fff;
    const TYPE: u32 = 0;
    const IDENTIFIER: u32 = 4;
    let load_header_length = (libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH) as u16;
    let load_icmp_u8 = (libc::BPF_LD | libc::BPF_B | libc::BPF_IND) as u16;
    let load_icmp_u16 = (libc::BPF_LD | libc::BPF_H | libc::BPF_IND) as u16;
    let if_set = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
    [
        load_u8(PROTOCOL),
        if_equal(libc::IPPROTO_ICMP as u32, 0, 8),
        load_u16(FRAGMENT),
        SockFilter::new(if_set, 6, 0, FRAGMENT_MASK),
        SockFilter::new(load_header_length, 0, 0, 0),
        SockFilter::new(load_icmp_u8, 0, 0, TYPE),
        if_equal(0, 0, 3),
        SockFilter::new(load_icmp_u16, 0, 0, IDENTIFIER),
        if_equal(u32::from(identifier), 0, 1),
        verdict(u32::MAX),
        verdict(0),
    ]
}

/// ICMPv6 echo replies with this identifier, without extension headers.
fn echo_replies6(identifier: u16) -> Vec<SockFilter> {
    const REPLY: u32 = 129;
    const IDENTIFIER: u32 = 44;
    all(&[
        (load_u8, NEXT_HEADER, libc::IPPROTO_ICMPV6 as u32),
        (load_u8, TYPE6, REPLY),
        (load_u16, IDENTIFIER, identifier.into()),
    ])
}

/// Neighbor Advertisements.
fn advertisements() -> Vec<SockFilter> {
    const ADVERTISEMENT: u32 = 136;
    all(&[(load_u8, NEXT_HEADER, libc::IPPROTO_ICMPV6 as u32), (load_u8, TYPE6, ADVERTISEMENT)])
}

fn arp_replies() -> Vec<SockFilter> {
    const OPERATION: u32 = 6;
    const REPLY: u32 = 2;
    all(&[(load_u16, OPERATION, REPLY)])
}

/// In an IPv6 packet, what follows its header.
const NEXT_HEADER: u32 = 6;
/// In an IPv6 packet without extension headers, the type of an ICMPv6 message.
const TYPE6: u32 = 40;
