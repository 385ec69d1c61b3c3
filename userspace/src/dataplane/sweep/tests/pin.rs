use pointsman_ebpf::abi::{Ipv6, Track};

use super::*;

const ICMPV6: u8 = 58;
const ACK: u32 = Mark::ANY | Mark::ACK;

/// The pin of a flow of the host's port, with what passed from the LAN and to it.
fn pin(protocol: u8, port: u16, out: Mark, into: Mark) -> (FlowKey, Pin) {
    let end = |last: u8, port: u16| {
        let octets = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
        (Ipv6::new(octets), L4Port::from_host(port))
    };
    let (inside, outside) = (end(1, port), end(2, 443));
    let (out, into) = (Track { mark: out.0, progress: 0 }, Track { mark: into.0, progress: 0 });
    let pin = Pin { inside: inside.0, outside: outside.0, out, into, ..Pin::default() };
    (FlowKey::pinned(&DIGESTS, inside, outside, protocol), pin)
}

#[test]
fn a_flow_stays_while_either_direction_is_in_use() {
    for (protocol, seen, timer) in [
        (UDP, Mark::ANY, UDP_IDLE),
        (TCP, ACK, TCP_ESTABLISHED),
        (TCP, Mark::ANY, TCP_TRANSITORY),
        (ICMPV6, Mark::ANY, ICMP_IDLE),
    ] {
        for (out, into, stays) in [
            (timer, timer + 1, true),
            (timer + 1, timer, true),
            (timer + 1, timer + 1, false),
            (0, timer + 100, true),
        ] {
            let mut tables = Fake::default();
            tables.pins.entries.extend([pin(protocol, 1, mark(out, seen), mark(into, seen))]);
            assert_eq!(tables.sweep().pins, usize::from(stays), "{protocol}: {out} and {into}");
        }
    }
}

#[test]
fn each_table_is_swept() {
    let mut tables = Fake::default();
    let (old, new) = (pin(UDP, 1, mark(500, 1), Mark(0)), pin(UDP, 2, mark(0, 1), Mark(0)));
    for table in [PinTable::Established, PinTable::Unreplied, PinTable::Invited] {
        tables.pins(table).write(&[old.0, new.0], &[old.1, new.1]).unwrap();
    }
    let census = tables.sweep();
    assert_eq!([census.pins, census.unreplied_pins, census.invited_pins], [1; 3]);
    assert!(tables.pins.entries.contains_key(&new.0));
}

#[test]
fn one_that_no_packet_has_marked_is_as_old_as_it_is() {
    let mut tables = Fake::default();
    for (port, age) in [(1, UDP_IDLE), (2, UDP_IDLE + 1)] {
        let (key, unmarked) = pin(UDP, port, Mark(0), Mark(0));
        tables.pins.entries.insert(key, Pin { created: NOW - age, ..unmarked });
    }
    assert_eq!(tables.sweep().pins, 1);
}

#[test]
fn one_that_is_used_meanwhile_stays() {
    let mut tables = Fake::default();
    let (key, old) = pin(UDP, 1, mark(500, 1), Mark(0));
    tables.pins.entries.insert(key, old);
    tables.pins.after_reading =
        Some(Box::new(move |entries| _ = entries.insert(key, pin(UDP, 1, mark(0, 1), Mark(0)).1)));
    assert_eq!(tables.sweep().pins, 1);
    assert_eq!(tables.pins.removed, []);
}
