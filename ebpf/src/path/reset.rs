//! Resets of TCP in the name of who is beyond an uplink, to a LAN host whose connection cannot go on: it learns
//! at once what it would learn by its timers.

use super::Stop;
use super::parse::Packet;
use crate::abi::{MacPair, Port};
use crate::verdict::{DropReason, Verdict};
use crate::wire::{ETHERNET_LEN, Frame, IPV4_LEN, Ipv4Header, Protocol, Tcp, checksum, offset};

/// Why the segment itself is dropped.
const REASON: DropReason = DropReason::Reset;

/// How long the packet is.
const LEN: usize = IPV4_LEN + size_of::<Tcp>();

/// The segment, which is as it came in by `port`, becomes the reset that answers it.
///
/// One goes out for one that came in, no longer than that, and the way that it came: no limit is needed.
#[inline(always)]
pub(super) fn answer<F: Frame>(
    frame: &mut F,
    port: &Port,
    packet: &Packet,
) -> Result<Verdict, Stop> {
    let ethernet = frame.ethernet().ok_or(REASON)?;
    let tcp: Tcp = frame.read(packet.transport()).ok_or(REASON)?;
    let body = packet.body(frame).ok_or(REASON)?;
    let len = usize::from(body).saturating_sub(tcp.header_len()) as u32;
    let ends = [packet.key.destination(), packet.key.source()];
    let whole = (0, Ipv4Header::DONT_FRAGMENT);
    let header = Ipv4Header::new(0, LEN as u16, whole, (64, Protocol::TCP), ends);
    let macs = MacPair::new(ethernet.source(), port.mac);
    write(frame, macs, header, tcp.reset(len)).ok_or(REASON)?;
    Ok(Verdict::Answer { egress: port.egress, reason: REASON })
}

#[inline(always)]
fn write<F: Frame>(frame: &mut F, macs: MacPair, header: Ipv4Header, tcp: Tcp) -> Option<()> {
    frame.truncate(ETHERNET_LEN + LEN)?;
    frame.write_macs(macs.words())?;
    frame.write(ETHERNET_LEN, header)?;
    let at = ETHERNET_LEN + IPV4_LEN;
    frame.write(at, tcp)?;
    let sum = checksum::sum_frame(frame, at, size_of::<Tcp>())? + header.pseudo_header();
    frame.write(at + offset::TCP_CHECKSUM, (!checksum::fold(sum)).to_ne_bytes())
}
