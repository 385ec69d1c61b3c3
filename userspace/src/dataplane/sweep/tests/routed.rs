//! Flows that are routed as they are: by the same timers, and with no mapping.

use pointsman_ebpf::abi::ROUTED_SIDE;

use super::*;

/// Both entries of the host's flow, routed by this uplink, the outward one first.
fn routed(uplink: u8, ages: [u32; 2]) -> [(FlowKey, Flow); 2] {
    let [out, back] = ages.map(|age| mark(age, Mark::ANY));
    let (key, flow) = outward(UDP, SERVER, ROUTED_SIDE + uplink, out);
    let flow = Flow { address: HOST, ..flow };
    let reply = Flow { mark: back.0, direction: Direction::In as u8, ..flow };
    [(key, flow), (key.peer(&flow), reply)]
}

#[test]
fn one_goes_when_both_directions_are_idle() {
    for (out, back, left) in [(121, 121, 0), (121, 120, 2), (120, 121, 2), (0, 500, 2)] {
        let mut tables = Fake::of_established(routed(3, [out, back]));
        assert_eq!(tables.sweep().established, left, "{out} and {back}");
    }
    let entries = routed(3, [500; 2]);
    let mut tables = Fake::of_established(entries);
    tables.sweep();
    assert_eq!(tables.established.removed, entries.map(|(key, _)| key));
}

/// The entries of a flow that has gone over to another uplink are the same two.
#[test]
fn one_that_has_moved_leaves_nothing_behind() {
    let mut tables = Fake::of_established(routed(1, [500; 2]));
    tables.established.entries.extend(routed(2, [0; 2]));
    assert_eq!(tables.sweep().established, 2);
}

/// Nobody has answered it, and no mapping is the way of its answers: it stays, and counts for its host.
#[test]
fn one_that_waits_for_an_answer_needs_no_mapping() {
    for (age, left) in [(UDP_IDLE, 1), (UDP_IDLE + 1, 0)] {
        let mut tables = Fake::default();
        let [out, _] = routed(3, [age; 2]);
        tables.unreplied.entries.extend([out]);
        let census = tables.sweep();
        assert_eq!((census.unreplied, census.hosts), (left, left), "after {age}");
    }
}

/// From a routed host to the public address of another: that one's end alone is translated.
#[test]
fn a_hairpin_of_a_routed_host_needs_no_mapping_of_its_own() {
    let [(key, flow), (_, answer)] = hairpin(UDP, mark(0, 1), mark(0, 1));
    let flow = Flow { address: HOST, ..flow };
    let mut tables = Fake::default();
    tables.unreplied.entries.extend([(key, flow), (key.peer(&flow), answer)]);
    assert_eq!(tables.sweep().unreplied, 2);
}

/// What it is taken for a mapping of keeps none alive.
#[test]
fn it_keeps_no_mapping_alive() {
    let mut tables = Fake::of_established(routed(1, [0; 2]));
    tables.bindings.entries.extend(mapping(UDP, 1, 500));
    let census = tables.sweep();
    assert_eq!((census.established, census.bindings), (2, 0));
}
