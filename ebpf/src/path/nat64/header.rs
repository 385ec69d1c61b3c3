//! 5. The IP header of one version in the place of the other's (RFC 7915 sections 4.1 and 5.1).

use crate::abi::{Ipv4, Ipv6, MacPair, to_ipv4, to_ipv6};
use crate::path::{Packet, Packet6};
use crate::wire::{
    ETHERNET_LEN, EtherType, Frame, IPV4_LEN, IPV6_LEN, Ipv4Header, Ipv6Header, Protocol, offset,
};

/// The length of a fragment header, in bytes (RFC 8200 section 4.5).
pub(super) const FRAGMENT_LEN: usize = 8;

/// The largest packet that may be fragmented by a router, in bytes: what was sent as IPv6 of 1280 bytes
/// at most was sent without asking for the path's MTU (RFC 7915 section 5.1).
const FRAGMENTABLE_MAX: usize = 1260;

/// Puts an IPv4 header, and MACs, before what the packet of IPv6 carries. Nothing where the frame is
/// shorter than it was parsed to be.
///
/// What may be fragmented and has no identification gets its transport checksum for one: two packets that
/// have it in common and are under way at a time are no more likely than with numbers drawn at random, and
/// of a packet that is sent again the fragments fit either (RFC 6864 section 4.3).
#[inline(always)]
pub(super) fn to_v4<F: Frame>(
    frame: &mut F,
    packet: &Packet6,
    macs: MacPair,
    addresses: [Ipv4; 2],
) -> Option<()> {
    let header: Ipv6Header = frame.read(ETHERNET_LEN)?;
    let total_len = IPV4_LEN + packet.body(frame)?;
    let word = if packet.has_fragment_header() {
        let [_, identification] = packet.identification(frame)?;
        let more = if packet.fragment & 1 != 0 { Ipv4Header::MORE_FRAGMENTS } else { 0 };
        (identification.to_host(), packet.fragment >> 3 | more)
    } else if total_len <= FRAGMENTABLE_MAX {
        (
            u16::from_be_bytes(
                frame.read(packet.transport() + offset::checksum(packet.key.protocol()))?,
            ),
            0,
        )
    } else {
        (0, Ipv4Header::DONT_FRAGMENT)
    };
    let translated = Ipv4Header::new(
        header.traffic_class(),
        total_len as u16,
        word,
        (packet.hop_limit - 1, to_ipv4(packet.key.protocol())),
        addresses,
    );
    frame.replace_front(packet.transport(), ETHERNET_LEN + IPV4_LEN)?;
    // So the compiler asks once where the frame ends.
    if !frame.holds(ETHERNET_LEN + IPV4_LEN) {
        return None;
    }
    frame.write_macs(macs.words())?;
    frame.write(ETHERNET_LEN - size_of_val(&EtherType::IPV4), EtherType::IPV4)?;
    frame.write(ETHERNET_LEN, translated)
}

/// Puts an IPv6 header, a fragment header where it is a fragment, and MACs, before what the packet of
/// IPv4 carries. Says where that starts in the frame then.
#[inline(always)]
pub(super) fn to_v6<F: Frame>(
    frame: &mut F,
    packet: &Packet,
    macs: MacPair,
    addresses: [Ipv6; 2],
) -> Option<usize> {
    let header: Ipv4Header = frame.read(ETHERNET_LEN)?;
    let body = packet.body(frame)?;
    let protocol = to_ipv6(header.protocol);
    let (next, extension) =
        if header.is_fragment() { (Protocol::FRAGMENT, FRAGMENT_LEN) } else { (protocol, 0) };
    let translated = Ipv6Header::translated(
        header.traffic_class,
        body.wrapping_add(extension as u16),
        next,
        packet.ttl - 1,
        addresses,
    );
    let transport = ETHERNET_LEN + IPV6_LEN + extension;
    frame.replace_front(packet.transport(), transport)?;
    frame.write_macs(macs.words())?;
    frame.write(ETHERNET_LEN - size_of_val(&EtherType::IPV6), EtherType::IPV6)?;
    frame.write(ETHERNET_LEN, translated)?;
    if extension != 0 {
        let more = u16::from(header.more_fragments());
        let [a, b] = (header.fragment_offset() as u16 | more).to_be_bytes();
        let [c, d] = header.identification;
        frame.write(ETHERNET_LEN + IPV6_LEN, [protocol, 0, a, b, 0, 0, c, d])?;
    }
    Some(transport)
}
