//! Resets of TCP in the name of who is beyond an uplink, as `path/reset.rs` has them of IPv4.

use super::parse::Packet6;
use crate::abi::{MacPair, Port};
use crate::path::Stop;
use crate::verdict::{DropReason, Verdict};
use crate::wire::{
    ETHERNET_LEN, Frame, IPV6_LEN, Ipv6Header, Protocol, Tcp, checksum, offset::TCP_CHECKSUM,
};

/// Why the segment itself is dropped.
const REASON: DropReason = DropReason::Reset;

/// How long the reset is.
const LEN: usize = size_of::<Tcp>();

/// The segment, which is as it came in by `port`, becomes the reset that answers it.
#[inline(always)]
pub(in crate::path) fn answer<F: Frame>(
    frame: &mut F,
    port: &Port,
    packet: &Packet6,
) -> Result<Verdict, Stop> {
    let ethernet = frame.ethernet().ok_or(REASON)?;
    let tcp: Tcp = frame.read(packet.transport()).ok_or(REASON)?;
    let body = packet.body(frame).ok_or(REASON)?;
    let reset = tcp.reset(body.saturating_sub(tcp.header_len()) as u32);
    let header =
        Ipv6Header::translated(0, LEN as u16, Protocol::TCP, 64, [packet.outside, packet.inside]);
    let macs = MacPair::new(ethernet.source(), port.mac);
    write(frame, macs, header, reset).ok_or(REASON)?;
    Ok(Verdict::Answer { egress: port.egress, reason: REASON })
}

#[inline(always)]
fn write<F: Frame>(frame: &mut F, macs: MacPair, header: Ipv6Header, tcp: Tcp) -> Option<()> {
    frame.truncate(ETHERNET_LEN + IPV6_LEN + LEN)?;
    frame.write_macs(macs.words())?;
    frame.write(ETHERNET_LEN, header)?;
    let at = ETHERNET_LEN + IPV6_LEN;
    frame.write(at, tcp)?;
    let (source, destination) = (header.source(), header.destination());
    let sum = checksum::sum_frame(frame, at, LEN)?
        + Ipv6Header::pseudo_header(source, destination, Protocol::TCP, LEN as u16);
    frame.write(at + TCP_CHECKSUM, (!checksum::fold(sum)).to_ne_bytes())
}
