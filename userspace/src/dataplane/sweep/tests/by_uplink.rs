//! How many flows each uplink has.

use super::nat64::pair64;
use super::*;

fn on(census: Census) -> [usize; 4] {
    [0, 1, 2, 3].map(|uplink| census.flows_on(uplink))
}

#[test]
fn a_flow_counts_once_for_its_uplink() {
    let mut tables = Fake::of_established(pair(UDP, 1, mark(0, 1), mark(0, 1)));
    tables.established.entries.extend(hairpin(TCP, mark(0, 1), mark(0, 1)));
    tables.established.entries.extend(pair64(TCP, mark(0, 1), mark(0, 1)));
    let (key, waiting) = outward(UDP, STRANGER, 2, mark(0, 1));
    tables.unreplied.entries.insert(key, waiting);
    tables.bindings.entries.extend(mapping(UDP, 2, 0));
    tables.invited.entries.extend([outward(TCP, SERVER, 3, mark(0, 1))]);
    assert_eq!(on(tables.sweep()), [0, 3, 1, 1]);
}

#[test]
fn what_goes_counts_for_none() {
    let idle = mark(UDP_IDLE + 1, 1);
    let mut tables = Fake::of_established(pair(UDP, 1, idle, idle));
    assert_eq!(on(tables.sweep()), [0; 4]);
}

/// Its packets leave by another uplink.
#[test]
fn what_is_left_of_a_flow_that_has_moved_counts_for_none() {
    let [_, inward] = pair(UDP, 1, mark(0, 1), mark(0, 1));
    let mut tables = Fake::of_established(pair(UDP, 2, mark(0, 1), mark(0, 1)));
    tables.established.entries.extend([inward]);
    let census = tables.sweep();
    assert_eq!((census.established, on(census)), (3, [0, 0, 1, 0]));
}

#[test]
fn flows_of_ipv6_count_too() {
    let mut tables = Fake::default();
    let key = FlowKey::new((HOST, PORT), (SERVER, SERVICE), UDP, LAN_REALM);
    for (table, uplink) in
        [(PinTable::Established, 1), (PinTable::Unreplied, 2), (PinTable::Invited, 2)]
    {
        let pin = Pin { uplink, created: NOW, ..Pin::default() };
        tables.pins(table).write(&[key], &[pin]).unwrap();
    }
    assert_eq!(on(tables.sweep()), [0, 1, 2, 0]);
}

#[test]
fn there_are_no_flows_on_what_is_no_uplink() {
    assert_eq!(Census::default().flows_on(u8::MAX), 0);
}
