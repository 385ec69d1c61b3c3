use super::*;

/// The permission of what this server sends to the host's mapping.
fn permission(server: Ipv4, age: u32) -> (FlowKey, Binding) {
    let [_, (key, side)] = mapping(UDP, 1, age);
    (FlowKey::external(server, key.to(), UDP, 1), side)
}

#[test]
fn a_mapping_without_a_flow_goes_when_neither_side_was_used() {
    for (protocol, timer) in
        [(UDP, UDP_IDLE), (TCP, TCP_TRANSITORY), (ICMP, ICMP_IDLE), (GRE, UDP_IDLE)]
    {
        for (inner, outer, left) in [
            (0, 0, 2),
            (timer, timer, 2),
            (timer + 1, timer, 2),
            (timer, timer + 1, 2),
            (0, NOW, 2),
            (NOW, 0, 2),
            (timer + 1, timer + 1, 0),
        ] {
            let remote = if protocol == GRE { SERVER } else { Ipv4::default() };
            let sides = mapping_of((HOST, PORT), remote, protocol, 1, [inner, outer]);
            let mut tables = Fake::of_bindings(sides);
            assert_eq!(tables.sweep().bindings, left, "{protocol}: {inner} and {outer}");
        }
    }
}

#[test]
fn the_side_of_the_lan_goes_first() {
    let sides = mapping(UDP, 1, 500);
    let mut tables = Fake::of_bindings(sides);
    tables.sweep();
    assert_eq!(tables.bindings.removed, sides.map(|(key, _)| key));
}

#[test]
fn a_mapping_stays_with_a_flow_of_any_kind() {
    let [out, back] = pair(UDP, 1, mark(0, 1), mark(0, 1));
    for mut tables in [
        Fake::of_established([out, back]),
        // What a flow that has moved left behind, and is still sent to.
        Fake::of_established([back]),
        Fake::of_unreplied([out]),
        Fake::of_invited([out]),
    ] {
        tables.bindings.entries.extend(mapping(UDP, 1, NOW));
        assert_eq!(tables.sweep().bindings, 2);
    }
}

#[test]
fn both_mappings_of_a_hairpin_stay_with_it() {
    let none = Ipv4::default();
    let own = mapping(UDP, 1, NOW);
    let neighbours = mapping_of((NEIGHBOUR, SERVICE), none, UDP, 1, [NOW; 2]);
    for mut tables in [
        Fake::of_established(hairpin(UDP, mark(0, 1), mark(0, 1))),
        Fake::of_unreplied(hairpin(UDP, mark(0, 1), mark(0, 1))),
    ] {
        tables.bindings.entries.extend(own.into_iter().chain(neighbours));
        assert_eq!(tables.sweep().bindings, 4);
    }
}

#[test]
fn other_flows_do_not_keep_a_mapping() {
    let [(key, flow), (back_key, back)] = pair(UDP, 1, mark(0, 1), mark(0, 1));
    let elsewhere = Flow { address: public(9), ..flow };
    let other_port = Flow { port: SERVICE, ..flow };
    let by = |flow: Flow| [(key, flow), (key.peer(&flow), back)];
    for (what, entries) in [
        ("another protocol", pair(TCP, 1, mark(0, 1), mark(0, 1))),
        ("another uplink", pair(UDP, 2, mark(0, 1), mark(0, 1))),
        ("another public address", by(elsewhere)),
        ("another public port", by(other_port)),
        ("another host", {
            let from_neighbour = FlowKey::new((NEIGHBOUR, PORT), key.to(), UDP, LAN_REALM);
            [(from_neighbour, flow), (back_key, Flow { address: NEIGHBOUR, ..back })]
        }),
        ("an idle one", pair(UDP, 1, mark(500, 1), mark(500, 1))),
    ] {
        let mut tables = Fake::of_established(entries);
        tables.bindings.entries.extend(mapping(UDP, 1, 500));
        assert_eq!(tables.sweep().bindings, 0, "by {what}");
    }
}

#[test]
fn mappings_by_pairs_of_addresses_stay_with_their_own_remote_only() {
    for (remote, left) in [(SERVER, 2), (STRANGER, 0)] {
        let mut tables = Fake::of_established(pair(GRE, 1, mark(0, 1), mark(0, 1)));
        let sides = mapping_of((HOST, PORT), remote, GRE, 1, [500; 2]);
        tables.bindings.entries.extend(sides);
        assert_eq!(tables.sweep().bindings, left, "towards {remote:?}");
    }
}

#[test]
fn one_side_goes_by_itself() {
    for side in mapping(UDP, 1, UDP_IDLE + 1) {
        assert_eq!(Fake::of_bindings([side]).sweep().bindings, 0);
    }
    for side in mapping(UDP, 1, UDP_IDLE) {
        assert_eq!(Fake::of_bindings([side]).sweep().bindings, 1);
    }
}

#[test]
fn what_an_older_generation_left_goes_by_itself() {
    let [(inner_key, inner), (outer_key, outer)] = mapping(UDP, 1, 500);
    let inner = Binding { used: u64::from(NOW), address: public(9), ..inner };
    let new_key = FlowKey::external(Ipv4::default(), (public(9), PORT), UDP, 1);
    let new = Binding { used: u64::from(NOW), ..outer };
    let mut tables = Fake::of_bindings([(inner_key, inner), (outer_key, outer), (new_key, new)]);
    assert_eq!(tables.sweep().bindings, 2);
    assert!(!tables.bindings.entries.contains_key(&outer_key));
}

#[test]
fn a_public_side_that_another_host_has_taken_over_stays() {
    let [inner, (outer_key, outer)] = mapping(UDP, 1, 500);
    let taken = Binding { used: u64::from(NOW), address: NEIGHBOUR, ..outer };
    let mut tables = Fake::of_bindings([inner, (outer_key, taken)]);
    assert_eq!(tables.sweep().bindings, 1);
    assert!(tables.bindings.entries.contains_key(&outer_key));
}

#[test]
fn a_mapping_that_is_used_after_it_was_read_stays() {
    for used in [0, 1] {
        let sides = mapping(UDP, 1, 500);
        let mut tables = Fake::of_bindings(sides);
        tables.bindings.after_reading = Some(Box::new(move |table| {
            table.get_mut(&sides[used].0).unwrap().used = u64::from(NOW);
        }));
        assert_eq!(tables.sweep().bindings, 2, "side {used}");
    }
}

#[test]
fn a_flow_that_is_opened_at_the_moment_its_mapping_goes_is_opened_anew() {
    let mut tables = Fake::of_bindings(mapping(UDP, 1, 500));
    tables.sweep();
    tables.unreplied.entries.extend([outward(UDP, SERVER, 1, mark(0, 1))]);
    assert_eq!(tables.sweep(), Census::default());
}

#[test]
fn a_mapping_goes_with_its_last_flow() {
    let entries = pair(UDP, 1, mark(UDP_IDLE + 1, 1), mark(UDP_IDLE + 1, 1));
    let mut tables = Fake::of_established(entries);
    tables.bindings.entries.extend(mapping(UDP, 1, 500));
    tables.bindings.entries.extend([permission(SERVER, 500)]);
    assert_eq!(tables.sweep(), Census::default());
}

#[test]
fn a_mapping_that_was_used_a_tick_ahead_stays() {
    let ahead =
        mapping(UDP, 1, 0).map(|(key, side)| (key, Binding { used: side.used + 1, ..side }));
    assert_eq!(Fake::of_bindings(ahead).sweep().bindings, 2);
}

#[test]
fn a_permission_goes_when_it_was_not_used() {
    for (age, left) in [(0, 1), (UDP_IDLE, 1), (UDP_IDLE + 1, 0)] {
        let mut tables = Fake::of_bindings([permission(SERVER, age)]);
        assert_eq!(tables.sweep().bindings, left, "after {age}");
    }
}

#[test]
fn a_permission_stays_with_a_flow_to_its_remote() {
    let [out, back] = pair(UDP, 1, mark(0, 1), mark(0, 1));
    for mut tables in [
        Fake::of_established([out, back]),
        Fake::of_established([back]),
        Fake::of_unreplied([out]),
        Fake::of_invited([out]),
    ] {
        let (key, side) = permission(SERVER, 500);
        tables.bindings.entries.extend([permission(STRANGER, 500), (key, side)]);
        tables.bindings.entries.extend(mapping(UDP, 1, 500));
        assert_eq!(tables.sweep().bindings, 3);
        assert!(tables.bindings.entries.contains_key(&key));
    }
}

#[test]
fn both_permissions_of_a_hairpin_stay_with_it() {
    let none = Ipv4::default();
    let [_, (key, side)] = mapping_of((NEIGHBOUR, SERVICE), none, UDP, 1, [500; 2]);
    let neighbours = (FlowKey::external(public(1), key.to(), UDP, 1), side);
    let mut tables = Fake::of_established(hairpin(UDP, mark(0, 1), mark(0, 1)));
    tables.bindings.entries.extend([permission(public(1), 500), neighbours]);
    assert_eq!(tables.sweep().bindings, 2);
}

#[test]
fn a_permission_that_is_used_after_it_was_read_stays() {
    let (key, side) = permission(SERVER, 500);
    let mut tables = Fake::of_bindings([(key, side)]);
    tables.bindings.after_reading = Some(Box::new(move |table| {
        table.get_mut(&key).unwrap().used = u64::from(NOW);
    }));
    assert_eq!(tables.sweep().bindings, 1);
}
