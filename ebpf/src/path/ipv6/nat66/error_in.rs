//! ICMPv6 errors from an uplink about what has left by the address that LAN hosts share: they go to the host
//! that has sent what they quote (RFC 5508 section 4.2).

use super::mapped;
use super::quoted::{self, End};
use crate::abi::{FlowKey, Ipv6, L4Port, LanSide, Port, Uplink6, to_ipv4};
use crate::path::ipv6::error::Quote;
use crate::path::ipv6::{admission, pin, send};
use crate::path::{FlowTable, Note, Packet6, Stop, Tables6, mapping};
use crate::verdict::{DropReason, Verdict};
use crate::wire::Frame;
use crate::wire::checksum::Delta;

/// The stage.
#[inline(always)]
pub(super) fn run<F: Frame, T: Tables6>(
    frame: &mut F,
    tables: &T,
    port: &Port,
    packet: &Packet6,
    _note: Note,
) -> Result<Verdict, Stop> {
    let uplink = tables.uplink6(port.uplink).ok_or(DropReason::NotReady)?;
    let by = (port.uplink, uplink);
    let quote = Quote::read(frame, packet);
    let sent = quote.as_ref().ok().filter(|quote| quote.source.0 == uplink.address);
    let Some((quote, host)) = sent.and_then(|quote| Some((quote, find(tables, quote, by)?))) else {
        let is_lans =
            |quote: &Quote| mapping::is_handed_out(tables, to_ipv4(quote.protocol), quote.source.1);
        // From any other port, the gateway itself may have sent it.
        if !sent.is_some_and(is_lans) {
            admission::of_no_flow(frame, tables, packet)?;
        }
        return Err(DropReason::IcmpMismatch.into());
    };
    quoted::check_sum(frame, packet)?;
    admission::check_outside(tables, &packet.outside)?;
    send::check_inward(frame, packet, host.lan)?;
    let outer = Delta::NONE.without(packet.inside).with(host.end.0);
    let end = End { is_source: true, old: quote.source, new: host.end, delta: host.delta };
    quoted::rewrite(frame, packet, quote, end, outer).ok_or(DropReason::Truncated)?;
    send::write_inward(frame, packet, (host.end.0, host.lan), port.uplink)
}

/// The LAN host that has sent what is quoted.
#[derive(Clone, Copy)]
struct Host {
    end: (Ipv6, L4Port),
    lan: LanSide,
    /// What a checksum changes by on the way to it.
    delta: u16,
}

/// Whoever has sent the quoted packet.
#[inline(always)]
fn find<T: Tables6>(tables: &T, quote: &Quote, by: (u8, &Uplink6)) -> Option<Host> {
    let (public, outside) = (quote.source, quote.destination);
    let key = FlowKey::pinned(tables.digest_key(), public, outside, quote.protocol);
    let ends = (public.0, outside.0);
    let established = pin::of_key(tables, FlowTable::Established, &key, false, ends);
    if let Some(pin) = established.filter(|pin| pin::may_come_by(pin, by.0)) {
        return Some(Host {
            end: (pin.inside, pin.port),
            lan: pin.lan,
            delta: pin.transport_delta,
        });
    }
    let host = mapped::host_of(tables, (quote.protocol, public.1), by)?;
    let out_key = mapped::out_key(tables, host, (outside.0, &key));
    let ends = (host.0, outside.0);
    let of = |table| mapped::unanswered(tables, table, &out_key, ends, public.1, by);
    let pin = of(FlowTable::Unreplied).or_else(|| of(FlowTable::Invited))?;
    Some(Host { end: host, lan: pin.lan, delta: !pin.transport_delta })
}
