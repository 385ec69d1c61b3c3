use pointsman_ebpf::abi::Placement;

use super::*;

const PEER: Ipv4 = Ipv4::new([10, 1, 0, 4]);

fn host(mappings: u64, unreplied: u64) -> Host {
    Host { mappings, unreplied, placement: 0 }
}

/// A host with nothing, placed on an uplink so many ticks ago.
fn placed(uplink: u8, age: u32) -> Host {
    Host { placement: Placement::new(uplink, NOW - age).0, ..Host::default() }
}

#[test]
fn hosts_have_what_is_counted() {
    let mut tables = Fake::of_unreplied([
        outward(UDP, SERVER, 1, mark(0, 1)),
        outward(UDP, STRANGER, 1, mark(0, 1)),
        outward(TCP, SERVER, 2, mark(0, 1)),
    ]);
    let none = Ipv4::default();
    tables.bindings.entries.extend(mapping_of((NEIGHBOUR, PORT), none, UDP, 2, [0; 2]));
    tables.hosts.entries.extend([(HOST, host(90, 0)), (NEIGHBOUR, host(1, 0))]);
    tables.hosts.entries.extend([(PEER, host(3, 4))]);
    assert_eq!(tables.sweep().hosts, 2);
    assert_eq!(tables.counts(), [(HOST, 2, 3), (NEIGHBOUR, 1, 0)]);
    assert_eq!((tables.hosts.written, tables.hosts.removed), (vec![HOST], vec![PEER]));
}

#[test]
fn a_host_that_others_have_pushed_out_comes_back() {
    let mut tables = Fake::of_bindings(mapping(UDP, 1, 0));
    tables.sweep();
    assert_eq!(tables.counts(), [(HOST, 1, 0)]);
}

#[test]
fn what_goes_is_not_counted() {
    let mut tables = Fake::of_unreplied([outward(UDP, SERVER, 1, mark(500, 1))]);
    for binding in tables.bindings.entries.values_mut() {
        binding.used = u64::from(NOW - 500);
    }
    tables.hosts.entries.extend([(HOST, host(1, 1))]);
    assert_eq!(tables.sweep(), Census::default());
}

#[test]
fn established_and_invited_flows_are_not_counted() {
    let mut tables = Fake::of_established(pair(UDP, 1, mark(0, 1), mark(0, 1)));
    tables.invited.entries.extend([outward(UDP, STRANGER, 1, mark(0, 1))]);
    tables.hosts.entries.extend([(HOST, host(0, 1))]);
    assert_eq!(tables.sweep().hosts, 0);
}

#[test]
fn an_unanswered_hairpin_counts_for_its_opener_only() {
    let created = |(key, flow)| (key, Flow { created: NOW, ..flow });
    let entries = hairpin(UDP, mark(0, 1), Mark::default()).map(created);
    let mut tables = Fake::of_unreplied(entries);
    tables.sweep();
    // Both have a mapping.
    assert_eq!(tables.counts(), [(HOST, 1, 1), (NEIGHBOUR, 1, 0)]);
    let mut tables = Fake::of_unreplied([entries[1]]);
    tables.sweep();
    assert_eq!(tables.counts(), [(NEIGHBOUR, 1, 0)]);
}

#[test]
fn a_mapping_that_is_used_after_it_was_read_is_counted() {
    let sides = mapping(UDP, 1, 500);
    let mut tables = Fake::of_bindings(sides);
    tables.bindings.after_reading = Some(Box::new(move |table| {
        table.get_mut(&sides[0].0).unwrap().used = u64::from(NOW);
    }));
    tables.sweep();
    assert_eq!(tables.counts(), [(HOST, 1, 0)]);
}

#[test]
fn permissions_and_public_sides_are_not_counted() {
    let [_, (key, side)] = mapping(UDP, 1, 0);
    let permission = FlowKey::external(SERVER, key.to(), UDP, 1);
    let mut tables = Fake::of_bindings([(key, side), (permission, side)]);
    assert_eq!(tables.sweep(), Census { bindings: 2, ..Census::default() });
}

/// Who has opened a flow of late, or has one that is in use, keeps the uplink.
#[test]
fn a_host_keeps_its_uplink_while_it_has_flows_there() {
    for (uplink, age, silent, is_kept) in [
        (1, 600, 10, true),
        // On another uplink.
        (2, 600, 10, false),
        // Silent for longer than two minutes.
        (1, 600, 125, false),
        (1, 100, 125, true),
    ] {
        let mut tables = Fake::of_established(pair(TCP, 1, mark(silent, 2), mark(silent, 2)));
        tables.hosts.entries.extend([(HOST, placed(uplink, age))]);
        let kept = if is_kept { placed(uplink, age) } else { Host::default() };
        assert_eq!(tables.sweep().hosts, usize::from(is_kept), "{uplink} {age} {silent}");
        let left = tables.hosts.entries.get(&HOST).copied().unwrap_or_default();
        assert_eq!(left, kept, "{uplink} {age} {silent}");
        assert!(tables.hosts.written.is_empty());
    }
}

/// Either direction is use; what others have opened is none.
#[test]
fn whose_flows_keep_a_host() {
    for (opener, is_kept) in [(Opener::Lan, true), (Opener::Remote, false)] {
        let entries = pair(TCP, 1, mark(600, 2), mark(1, 2));
        let opened = entries.map(|(key, flow)| (key, Flow { opener: opener as u8, ..flow }));
        let mut tables = Fake::of_established(opened);
        tables.hosts.entries.extend([(HOST, placed(1, 600))]);
        assert_eq!(tables.sweep().hosts, usize::from(is_kept), "{opener:?}");
    }
}

#[test]
fn what_is_counted_anew_leaves_a_host_where_it_is() {
    let mut tables = Fake::of_bindings(mapping(UDP, 1, 0));
    tables.hosts.entries.extend([(HOST, placed(1, 0))]);
    tables.sweep();
    assert_eq!(tables.hosts.entries[&HOST], Host { mappings: 1, ..placed(1, 0) });
}
