use std::collections::BTreeMap;

use pointsman_ebpf::abi::{HostDigest, Ipv6, LanSide, Masquerade, NAT66_SIDE, Track, to_ipv4};

use super::nat64::{INSIDE, mapping64, pair64};
use super::*;

const ICMPV6: u8 = 58;
const ACK: u32 = Mark::ANY | Mark::ACK;

const UPLINK: u8 = 3;
const PUBLIC_PORT: L4Port = L4Port::from_host(40_000);
const SERVER6: Ipv6 = address(2, 0x53);
const STRANGER6: Ipv6 = address(2, 0x66);
/// What the uplink's address is, and what it was. As marks they would be none of long ago.
const PUBLIC: Ipv6 = address(0xff, 1);
const FORMER: Ipv6 = address(0xfe, 1);

const fn address(network: u8, host: u8) -> Ipv6 {
    Ipv6::new([0x20, 1, 0xd, 0xb8, 0xff, 0xff, 0xff, network, 0, 0, 0, 0, 0, 0, 0, host])
}

fn digest() -> HostDigest {
    HostDigest::new(&DIGESTS, INSIDE)
}

fn track(mark: Mark) -> Track {
    Track { mark: mark.0, progress: 0 }
}

/// Both pins of the host's flow to a server as this port of an address of the uplink, the outward one
/// first.
fn pair_as(
    (public, public_port): (Ipv6, L4Port),
    server: Ipv6,
    protocol: u8,
    out: Mark,
    back: Mark,
) -> [(FlowKey, Pin); 2] {
    let outside = (server, SERVICE);
    let key = FlowKey::pinned(&DIGESTS, (INSIDE, PORT), outside, protocol);
    let pin = Pin {
        inside: INSIDE,
        outside: server,
        uplink: UPLINK,
        masquerade: Masquerade::Out as u8,
        port: public_port,
        out: track(out),
        into: Track::of_address(public),
        ..Pin::default()
    };
    let back = Pin {
        masquerade: Masquerade::In as u8,
        port: PORT,
        out: Track::default(),
        into: track(back),
        ..pin
    };
    let back_key = FlowKey::pinned(&DIGESTS, (public, public_port), outside, protocol);
    assert_eq!((pin.peer(&DIGESTS, &key), back.peer(&DIGESTS, &back_key)), (back_key, key));
    [(key, pin), (back_key, back)]
}

fn pair66(protocol: u8, out: Mark, back: Mark) -> [(FlowKey, Pin); 2] {
    pair_as((PUBLIC, PUBLIC_PORT), SERVER6, protocol, out, back)
}

/// The key of the public side of the host's mapping, and of this sender's permission.
fn outer_key(sender: Ipv4, protocol: u8) -> FlowKey {
    let public = (Ipv4::default(), PUBLIC_PORT);
    FlowKey::external(sender, public, to_ipv4(protocol), NAT66_SIDE | UPLINK)
}

/// A side of the mapping, that says this end.
fn side((address, port): (Ipv4, L4Port), age: u32) -> Binding {
    Binding {
        used: u64::from(NOW - age),
        address,
        port,
        rest: digest().rest(),
        lan: LanSide::of_ipv6(INSIDE),
        ..Binding::default()
    }
}

/// Both sides of the host's mapping, last used so many ticks ago, the LAN's first.
fn mapping66(protocol: u8, age: u32) -> [(FlowKey, Binding); 2] {
    let end = (digest().account(), PORT);
    let inner = FlowKey::internal(end, digest().rest(), to_ipv4(protocol), NAT66_SIDE | UPLINK);
    [
        (inner, side((Ipv4::default(), PUBLIC_PORT), age)),
        (outer_key(Ipv4::default(), protocol), side(end, age)),
    ]
}

/// What lets this server send to the mapping.
fn permission(server: Ipv6, protocol: u8, age: u32) -> (FlowKey, Binding) {
    let sender = HostDigest::new(&DIGESTS, server).sender();
    (outer_key(sender, protocol), side((digest().account(), PORT), age))
}

fn of_pins(table: PinTable, entries: impl IntoIterator<Item = (FlowKey, Pin)>) -> Fake {
    let mut tables = Fake::default();
    let (keys, pins): (Vec<_>, Vec<_>) = entries.into_iter().unzip();
    tables.pins(table).write(&keys, &pins).unwrap();
    tables
}

fn of_established(entries: impl IntoIterator<Item = (FlowKey, Pin)>) -> Fake {
    of_pins(PinTable::Established, entries)
}

/// A flow of each kind that there is, all in use.
fn of_any_kind(protocol: u8) -> [Fake; 4] {
    let [out, back] = pair66(protocol, mark(0, 1), mark(0, 1));
    [
        of_established([out, back]),
        of_established([back]),
        of_pins(PinTable::Unreplied, [out]),
        of_pins(PinTable::Invited, [out]),
    ]
}

#[test]
fn a_flow_stays_while_either_direction_is_in_use() {
    for (protocol, seen, timer) in [
        (UDP, Mark::ANY, UDP_IDLE),
        (TCP, ACK, TCP_ESTABLISHED),
        (TCP, Mark::ANY, TCP_TRANSITORY),
        (TCP, ACK | Mark::FIN, TCP_TRANSITORY),
        (ICMPV6, Mark::ANY, ICMP_IDLE),
    ] {
        for (out, back, left) in
            [(timer, timer + 1, 2), (timer + 1, timer, 2), (timer + 1, timer + 1, 0), (0, NOW, 2)]
        {
            let mut tables = of_established(pair66(protocol, mark(out, seen), mark(back, seen)));
            assert_eq!(tables.sweep().pins, left, "{protocol}: {out} and {back}");
        }
    }
}

#[test]
fn the_outward_pin_goes_first() {
    let entries = pair66(UDP, mark(500, 1), mark(500, 1));
    let mut tables = of_established(entries);
    tables.sweep();
    assert_eq!(tables.pins.removed, entries.map(|(key, _)| key));
}

/// Without its other half the one from the LAN leads nowhere; the one from the uplink may be of a flow
/// that has moved.
#[test]
fn half_a_flow() {
    for (seen, timer) in [(Mark::ANY, TCP_TRANSITORY), (ACK, TCP_TRANSITORY)] {
        let [out, back] = pair66(TCP, mark(0, seen), mark(timer, seen));
        assert_eq!(of_established([out]).sweep().pins, 0);
        assert_eq!(of_established([back]).sweep().pins, 1);
        let [_, back] = pair66(TCP, mark(0, seen), mark(timer + 1, seen));
        assert_eq!(of_established([back]).sweep().pins, 0);
    }
}

/// The other half is one of this flow only if it says so itself.
#[test]
fn half_a_flow_by_the_side_of_another() {
    let [out, (back_key, back)] = pair66(UDP, mark(0, 1), mark(0, 1));
    let of_neighbour = Pin { inside: address(1, 3), ..back };
    let mut tables = of_established([out, (back_key, of_neighbour)]);
    assert_eq!(tables.sweep().pins, 1);
    assert!(tables.pins.entries.contains_key(&back_key));
}

#[test]
fn a_pin_that_no_packet_has_taken_is_as_old_as_it_is() {
    for (created, left) in [(NOW - UDP_IDLE, 2), (NOW - UDP_IDLE - 1, 0)] {
        let entries = pair66(UDP, Mark(0), Mark(0));
        let made = entries.map(|(key, pin)| (key, Pin { created, ..pin }));
        assert_eq!(of_established(made).sweep().pins, left, "{created}");
    }
}

/// There is one pin, and what either side sends is noted in the same place.
#[test]
fn one_that_is_not_answered_has_the_shorter_timers() {
    for (protocol, timer) in [(UDP, UDP_IDLE), (TCP, TCP_TRANSITORY), (ICMPV6, ICMP_IDLE)] {
        for (age, left) in [(timer, 1), (timer + 1, 0)] {
            let [out, _] = pair66(protocol, mark(age, ACK), Mark(0));
            let mut unreplied = of_pins(PinTable::Unreplied, [out]);
            unreplied.bindings.entries.extend(mapping66(protocol, 0));
            assert_eq!(unreplied.sweep().unreplied_pins, left, "{protocol} after {age}");
            let mut invited = of_pins(PinTable::Invited, [out]);
            assert_eq!(invited.sweep().invited_pins, left, "{protocol} after {age}");
        }
    }
}

#[test]
fn one_that_is_used_meanwhile_stays_and_so_does_its_mapping() {
    for used in pair66(UDP, mark(0, 1), mark(0, 1)) {
        let mut tables = of_established(pair66(UDP, mark(500, 1), mark(500, 1)));
        tables.bindings.entries.extend(mapping66(UDP, 500));
        tables.pins.after_reading = Some(Box::new(move |entries| entries.extend([used])));
        let census = tables.sweep();
        assert_eq!((census.pins, census.bindings), (2, 2), "{used:?}");
    }
}

/// An answer comes between the readings: the flow is in another table than it was.
#[test]
fn one_that_is_answered_meanwhile_keeps_its_mapping() {
    let [out, back] = pair66(UDP, mark(0, 1), mark(0, 1));
    for table in [PinTable::Unreplied, PinTable::Invited] {
        let mut tables = of_pins(table, [out]);
        tables.bindings.entries.extend(mapping66(UDP, 500));
        let reading = match table {
            PinTable::Unreplied => &mut tables.unreplied_pins,
            _ => &mut tables.invited_pins,
        };
        reading.after_reading = Some(Box::new(BTreeMap::clear));
        tables.pins.entries.extend([out, back]);
        assert_eq!(tables.sweep_amid_changes().bindings, 2, "{table:?}");
    }
}

#[test]
fn a_mapping_stays_with_a_flow_of_any_kind() {
    for protocol in [UDP, TCP, ICMPV6] {
        for mut tables in of_any_kind(protocol) {
            tables.bindings.entries = mapping66(protocol, NOW).into();
            assert_eq!(tables.sweep().bindings, 2, "{protocol}");
        }
    }
}

#[test]
fn other_flows_do_not_keep_a_mapping() {
    let entries = pair66(UDP, mark(0, 1), mark(0, 1));
    let with = |change: fn(Pin) -> Pin| entries.map(|(key, pin)| (key, change(pin)))[1..].to_vec();
    for (what, entries) in [
        ("another protocol", pair66(TCP, mark(0, 1), mark(0, 1)).to_vec()),
        ("another uplink", with(|pin| Pin { uplink: 1, ..pin })),
        ("another host", with(|pin| Pin { inside: address(1, 3), ..pin })),
        ("another port of the host", with(|pin| Pin { port: SERVICE, ..pin })),
        (
            "another public port",
            pair_as((PUBLIC, SERVICE), SERVER6, UDP, mark(0, 1), mark(0, 1)).to_vec(),
        ),
        ("an idle one", pair66(UDP, mark(500, 1), mark(500, 1)).to_vec()),
    ] {
        let mut tables = of_established(entries);
        tables.bindings.entries = mapping66(UDP, 500).into();
        assert_eq!(tables.sweep().bindings, 0, "by {what}");
    }
}

#[test]
fn a_mapping_without_a_flow_goes_when_neither_side_was_used() {
    for (protocol, timer) in [(UDP, UDP_IDLE), (TCP, TCP_TRANSITORY), (ICMPV6, ICMP_IDLE)] {
        for (inner, outer, left) in
            [(timer + 1, timer, 2), (timer, timer + 1, 2), (timer + 1, timer + 1, 0)]
        {
            let sides = [mapping66(protocol, inner)[0], mapping66(protocol, outer)[1]];
            let mut tables = Fake::of_bindings(sides);
            assert_eq!(tables.sweep().bindings, left, "{protocol}: {inner} and {outer}");
            if left == 0 {
                assert_eq!(tables.bindings.removed, sides.map(|(key, _)| key), "the LAN's first");
            }
        }
    }
}

#[test]
fn a_permission_stays_with_a_flow_to_its_server() {
    for protocol in [UDP, TCP, ICMPV6] {
        for mut tables in of_any_kind(protocol) {
            let own = permission(SERVER6, protocol, NOW);
            tables.bindings.entries.extend([own, permission(STRANGER6, protocol, NOW)]);
            tables.bindings.entries.extend(mapping66(protocol, NOW));
            assert_eq!(tables.sweep().bindings, 3, "{protocol}");
            assert!(tables.bindings.entries.contains_key(&own.0));
        }
    }
}

#[test]
fn a_permission_without_a_flow_goes_when_it_was_not_used() {
    for (age, left) in [(UDP_IDLE, 1), (UDP_IDLE + 1, 0)] {
        assert_eq!(Fake::of_bindings([permission(SERVER6, UDP, age)]).sweep().bindings, left);
    }
}

/// The uplink has another address now, or the flow is by another port: its outward pin is the new one's.
#[test]
fn what_a_moved_flow_left_behind_goes_by_itself() {
    let moved = pair66(UDP, mark(0, 1), mark(0, 1));
    for (age, left) in [(UDP_IDLE, 3), (UDP_IDLE + 1, 2)] {
        for before in [(FORMER, PUBLIC_PORT), (PUBLIC, SERVICE)] {
            let [_, left_behind] = pair_as(before, SERVER6, UDP, mark(0, 1), mark(age, 1));
            let mut tables = of_established(moved.into_iter().chain([left_behind]));
            assert_eq!(tables.sweep().pins, left, "{before:?} after {age}");
            assert!(moved.iter().all(|(key, _)| tables.pins.entries.contains_key(key)));
        }
    }
}

/// The host has another port of the uplink's new address, so the side that says the old one is all that is
/// left of that mapping.
#[test]
fn what_an_older_generation_left_goes_by_itself() {
    let [(inner_key, inner), (old_key, old)] = mapping66(UDP, 500);
    let public = (Ipv4::default(), SERVICE);
    let new_key = FlowKey::external(public.0, public, UDP, NAT66_SIDE | UPLINK);
    let renewed = |side| Binding { generation: 2, used: u64::from(NOW), ..side };
    let inner = Binding { port: SERVICE, ..renewed(inner) };
    let entries = pair_as((PUBLIC, SERVICE), SERVER6, UDP, mark(0, 1), mark(0, 1));
    let mut tables = of_established(entries);
    tables.bindings.entries = [(inner_key, inner), (new_key, renewed(old)), (old_key, old)].into();
    assert_eq!(tables.sweep().bindings, 2);
    assert!(!tables.bindings.entries.contains_key(&old_key));
}

/// The flow's pin is both directions' there.
#[test]
fn one_that_has_gone_over_to_an_uplink_that_translates_no_ports() {
    let [(key, out), back] = pair66(UDP, mark(0, 1), mark(UDP_IDLE + 1, 1));
    let masquerade = Masquerade::None as u8;
    let pinned = Pin { masquerade, port: L4Port::default(), into: Track::default(), ..out };
    let mut tables = of_established([(key, pinned), back]);
    assert_eq!(tables.sweep().pins, 1);
    assert!(tables.pins.entries.contains_key(&key));
}

/// It was idle when it was read, and then took an uplink that translates ports, of which its pin has an
/// address that is no mark of lately.
#[test]
fn one_whose_ports_are_translated_meanwhile_stays() {
    let public = (Ipv6::default(), PUBLIC_PORT);
    let [(key, out), back] = pair_as(public, SERVER6, UDP, mark(500, 1), mark(0, 1));
    let before = Pin { masquerade: Masquerade::None as u8, ..out };
    let mut tables = of_established([(key, before)]);
    tables.pins.after_reading = Some(Box::new(move |entries| entries.extend([(key, out), back])));
    tables.sweep_amid_changes();
    assert_eq!(tables.pins.removed, []);
}

/// It is known by its mapping's public side, and that is gone or another's.
#[test]
fn an_unanswered_flow_without_a_way_back_goes() {
    let [out, _] = pair66(UDP, mark(0, 1), Mark(0));
    let [inner, (outer_key, outer)] = mapping66(UDP, 0);
    let taken = (outer_key, Binding { port: SERVICE, ..outer });
    for (bindings, flows, left) in [
        (vec![inner, (outer_key, outer)], 1, 2),
        (vec![inner], 0, 0),
        (vec![], 0, 0),
        (vec![inner, taken], 0, 1),
    ] {
        let mut tables = of_pins(PinTable::Unreplied, [out]);
        tables.bindings.entries.extend(bindings);
        let census = tables.sweep();
        assert_eq!((census.unreplied_pins, census.bindings), (flows, left));
    }
}

/// Mappings count, unanswered flows do not: neither while they stay nor when they go. What the host has by
/// NAT64 counts under the same number.
#[test]
fn hosts_have_what_is_counted() {
    let [out, _] = pair66(UDP, mark(0, 1), Mark(0));
    let [out64, _] = pair64(UDP, mark(0, 1), Mark(0));
    for (bindings, mappings) in [(mapping66(UDP, 0).to_vec(), 2), (vec![], 1)] {
        let mut tables = of_pins(PinTable::Unreplied, [out]);
        tables.unreplied.entries = [out64].into();
        tables.bindings.entries = mapping64(UDP, 0).into();
        tables.bindings.entries.extend(bindings);
        assert_eq!(tables.sweep().hosts, 1);
        assert_eq!(tables.counts(), [(digest().account(), mappings, 1)]);
    }
}
