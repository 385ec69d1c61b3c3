use pointsman_ebpf::abi::{HostDigest, Ipv6, LanSide, Nat64, to_ipv4};

use super::*;

const ICMPV6: u8 = 58;
const ACK: u32 = Mark::ANY | Mark::ACK;
pub(super) const INSIDE: Ipv6 = Ipv6::new([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);

fn digest() -> HostDigest {
    HostDigest::new(&DIGESTS, INSIDE)
}

/// Both entries of a host's flow to the server by uplink 1, the outward one first. `protocol` is that of
/// IPv6.
pub(super) fn pair64(protocol: u8, out: Mark, back: Mark) -> [(FlowKey, Flow); 2] {
    let prefix = Ipv6::new([0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let nat64 = Nat64::new(prefix, 96).unwrap();
    let outside = (nat64.embed(SERVER), SERVICE);
    let key = FlowKey::pinned(&DIGESTS, (INSIDE, PORT), outside, protocol).nat64();
    let [a, b, c, d] = digest().rest().octets();
    let flow = Flow {
        mark: out.0,
        address: public(1),
        port: PORT,
        header_delta: u16::from_ne_bytes([a, b]),
        other_port: L4Port::new([c, d]),
        other_address: SERVER,
        rest: digest().account(),
        uplink: 1,
        direction: Direction::Out64 as u8,
        ..Flow::default()
    };
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = INSIDE.octets();
    let back = Flow {
        mark: back.0,
        address: Ipv4::new([a, b, c, d]),
        port: PORT,
        header_delta: u16::from_ne_bytes([e, f]),
        other_port: L4Port::new([g, h]),
        other_address: Ipv4::new([i, j, k, l]),
        rest: Ipv4::new([m, n, o, p]),
        direction: Direction::In64 as u8,
        ..flow
    };
    [(key, flow), (key.inward64(&flow), back)]
}

/// Both sides of its mapping, last used so many ticks ago, the LAN's first.
pub(super) fn mapping64(protocol: u8, age: u32) -> [(FlowKey, Binding); 2] {
    let side = |(address, port)| Binding {
        used: u64::from(NOW - age),
        address,
        port,
        rest: digest().rest(),
        lan: LanSide::of_ipv6(INSIDE),
        ..Binding::default()
    };
    let (end, protocol) = ((digest().account(), PORT), to_ipv4(protocol));
    let public = (public(1), PORT);
    [
        (FlowKey::internal(end, digest().rest(), protocol, 1), side(public)),
        (FlowKey::external(Ipv4::default(), public, protocol, 1), side(end)),
    ]
}

#[test]
fn a_flow_stays_while_either_direction_is_in_use() {
    for (protocol, seen, timer) in [
        (UDP, Mark::ANY, UDP_IDLE),
        (TCP, ACK, TCP_ESTABLISHED),
        (TCP, Mark::ANY, TCP_TRANSITORY),
        (ICMPV6, Mark::ANY, ICMP_IDLE),
    ] {
        for (out, back, left) in
            [(timer, timer + 1, 2), (timer + 1, timer, 2), (timer + 1, timer + 1, 0)]
        {
            let entries = pair64(protocol, mark(out, seen), mark(back, seen));
            let mut tables = Fake::of_established(entries);
            assert_eq!(tables.sweep().established, left, "{protocol}: {out} and {back}");
        }
    }
}

/// Without its other half the one from the LAN leads nowhere; the one from the uplink may be of a flow
/// that has moved.
#[test]
fn half_a_flow() {
    let [out, back] = pair64(UDP, mark(0, 1), mark(0, 1));
    assert_eq!(Fake::of_established([out]).sweep().established, 0);
    assert_eq!(Fake::of_established([back]).sweep().established, 1);
    let [_, back] = pair64(UDP, mark(0, 1), mark(UDP_IDLE + 1, 1));
    assert_eq!(Fake::of_established([back]).sweep().established, 0);
}

#[test]
fn a_mapping_stays_with_a_flow_of_any_kind() {
    for protocol in [UDP, TCP, ICMPV6] {
        let [out, back] = pair64(protocol, mark(0, 1), mark(0, 1));
        for mut tables in [
            Fake::of_established([out, back]),
            Fake::of_established([back]),
            Fake::of_unreplied([out]),
            Fake::of_invited([out]),
        ] {
            tables.bindings.entries = mapping64(protocol, NOW).into();
            assert_eq!(tables.sweep().bindings, 2, "{protocol}");
        }
    }
}

#[test]
fn a_mapping_without_a_flow_goes_when_neither_side_was_used() {
    for (age, left) in [(UDP_IDLE, 2), (UDP_IDLE + 1, 0)] {
        let mut tables = Fake::of_bindings(mapping64(UDP, age));
        assert_eq!(tables.sweep().bindings, left);
    }
}

/// A host of IPv6 is counted under what stands for its address.
#[test]
fn hosts_have_what_is_counted() {
    let [out, _] = pair64(UDP, mark(0, 1), Mark(0));
    let mut tables = Fake::of_unreplied([out]);
    tables.bindings.entries = mapping64(UDP, 0).into();
    assert_eq!(tables.sweep().hosts, 1);
    assert_eq!(tables.counts(), [(digest().account(), 1, 1)]);
}

/// The public side of its mapping is gone, so the flow is to be opened anew.
#[test]
fn an_unanswered_flow_without_a_way_back_goes() {
    let [out, _] = pair64(UDP, mark(0, 1), Mark(0));
    let mut tables = Fake::of_unreplied([out]);
    let [inner, _] = mapping64(UDP, 0);
    tables.bindings.entries = [inner].into();
    assert_eq!(tables.sweep(), Census::default());
}
