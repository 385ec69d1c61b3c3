//! Whose a public port is, and what is written down of a flow by it.

use crate::abi::{
    FlowKey, Ipv4, Ipv6, L4Port, Masquerade, NAT66_SIDE, Pin, SharedU64, Track, Uplink6, to_ipv4,
};
use crate::path::{FlowTable, Packet6, Tables6, ipv6::pin};
use crate::wire::checksum::Delta;

/// The key of the public side of a mapping, and of the senders that it takes packets from.
#[inline(always)]
pub(super) fn outer_key(sender: Ipv4, port: L4Port, protocol: u8, uplink: u8) -> FlowKey {
    let public = (Ipv4::default(), port);
    FlowKey::external(sender, public, to_ipv4(protocol), NAT66_SIDE | uplink)
}

/// The LAN host's end of the mapping that a public port of the uplink is.
#[inline(always)]
pub(super) fn host_of<T: Tables6>(
    tables: &T,
    (protocol, port): (u8, L4Port),
    (id, uplink): (u8, &Uplink6),
) -> Option<(Ipv6, L4Port)> {
    let binding = tables.binding(&outer_key(Ipv4::default(), port, protocol, id))?;
    let is_current = binding.generation == uplink.generation;
    is_current.then(|| (binding.lan.to_ipv6(), binding.port))
}

/// The key of what the host sends to who has sent a packet of this key.
#[inline(always)]
pub(super) fn out_key<T: Tables6>(
    tables: &T,
    host: (Ipv6, L4Port),
    (outside, key): (Ipv6, &FlowKey),
) -> FlowKey {
    let outside = (outside, key.destination_port());
    FlowKey::pinned(tables.digest_key(), host, outside, key.protocol())
}

/// The pin of a flow that is not answered, by what the LAN sends, if it appears as this port of the uplink.
#[inline(always)]
pub(super) fn unanswered<'a, T: Tables6>(
    tables: &'a T,
    table: FlowTable,
    out_key: &FlowKey,
    ends: (Ipv6, Ipv6),
    port: L4Port,
    (id, uplink): (u8, &Uplink6),
) -> Option<&'a Pin<SharedU64>> {
    pin::of_key(tables, table, out_key, true, ends).filter(|pin| {
        pin.masquerade == Masquerade::Out as u8
            && pin.port == port
            && pin.uplink == id
            && pin.generation == uplink.generation
    })
}

/// Makes a new pin one of what a LAN host sends that appears as `public`.
#[inline(always)]
pub(super) fn make_outward(pin: &mut Pin, host: (Ipv6, L4Port), public: (Ipv6, L4Port)) {
    pin.inside = host.0;
    pin.masquerade = Masquerade::Out as u8;
    pin.port = public.1;
    let change = Delta::NONE.without(host.0).with(public.0).port(host.1, public.1);
    pin.transport_delta = change.fold();
    pin.into = Track::of_address(public.0);
}

/// Makes a copy of what [`make_outward`] has made the pin of what comes in, for the host's port. It has
/// noted this.
#[inline(always)]
pub(super) fn make_inward(pin: &mut Pin, port: L4Port, noted: Track) {
    pin.masquerade = Masquerade::In as u8;
    pin.port = port;
    pin.transport_delta = !pin.transport_delta;
    pin.out = Track::default();
    pin.into = noted;
}

/// The public end, by the key of what comes in.
#[inline(always)]
pub(super) fn public_port(packet: &Packet6) -> L4Port {
    packet.key.source_port()
}
