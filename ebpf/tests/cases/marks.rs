//! What the daemon's sweep reads: when a direction was last seen, and what passed.

use pointsman_ebpf::abi::{Direction, Epoch, Mark, ticks};
use pointsman_ebpf::memory::site::{A, lan};
use pointsman_ebpf::path::FlowTable;
use pointsman_ebpf::wire::tcp_flags::{ACK, FIN, RST, SYN};

use super::harness::{Gateway, HOST, answer, request, segment, segment_back};

/// Nanoseconds of one tick.
const TICK: u64 = 1 << 30;

/// The mark of a packet in this tick, which is an epoch too.
fn seen_at(tick: u32, seen: u32) -> Mark {
    Mark::new(tick, Epoch::of_jiffies(u64::from(tick) << 8), seen)
}

fn mark(gateway: &Gateway, direction: Direction) -> Mark {
    Mark(gateway.entry(FlowTable::Established, direction).1.mark)
}

#[test]
fn an_entry_is_marked_by_its_own_direction() {
    let gateway = Gateway::new();
    gateway.tables.set_now(5 * TICK);
    gateway.sends(&request(), &A, HOST.port());
    let (_, opened) = gateway.entry(FlowTable::Unreplied, Direction::Out);
    assert_eq!((Mark(opened.mark), opened.created), (seen_at(5, Mark::ANY), 5));
    gateway.tables.set_now(7 * TICK + 1);
    gateway.delivers(&answer(&A, HOST.port()), &A, HOST);
    assert_eq!(mark(&gateway, Direction::Out), seen_at(5, Mark::ANY));
    assert_eq!(mark(&gateway, Direction::In), seen_at(7, Mark::ANY));
    gateway.tables.set_now(9 * TICK);
    gateway.sends(&request(), &A, HOST.port());
    assert_eq!(mark(&gateway, Direction::Out), seen_at(9, Mark::ANY));
    assert_eq!(mark(&gateway, Direction::In), seen_at(7, Mark::ANY));
    let created = |direction| gateway.entry(FlowTable::Established, direction).1.created;
    assert_eq!((created(Direction::Out), created(Direction::In)), (5, 7), "{}", gateway.tables);
}

/// The time counts in ticks, so an entry is written at most once a tick.
#[test]
fn within_a_tick_nothing_changes() {
    let gateway = Gateway::new();
    gateway.tables.set_now(5 * TICK);
    gateway.establish(&A);
    let before = gateway.flows();
    for now in [5 * TICK + 1, 6 * TICK - 1] {
        gateway.tables.set_now(now);
        gateway.sends(&request(), &A, HOST.port());
        gateway.delivers(&answer(&A, HOST.port()), &A, HOST);
        assert_eq!(gateway.flows(), before, "{}", gateway.tables);
    }
    gateway.tables.set_now(6 * TICK);
    gateway.sends(&request(), &A, HOST.port());
    assert_eq!(mark(&gateway, Direction::Out).last_seen(), ticks(6 * TICK));
}

#[test]
fn tcp_flags_are_remembered() {
    let gateway = Gateway::new();
    gateway.establish_tcp(&A);
    let back = mark(&gateway, Direction::In);
    for (flags, seen) in [
        (ACK, Mark::ANY | Mark::ACK),
        (0, Mark::ANY | Mark::ACK),
        (FIN | ACK, Mark::ANY | Mark::ACK | Mark::FIN),
        (RST, Mark::ANY | Mark::ACK | Mark::FIN | Mark::RST),
        (ACK, Mark::ANY | Mark::ACK | Mark::FIN | Mark::RST),
        // Another connection on the same ports.
        (SYN, Mark::ANY),
        (SYN | ACK, Mark::ANY),
        (ACK, Mark::ANY | Mark::ACK),
    ] {
        gateway.sends(&segment(flags), &A, HOST.port());
        assert_eq!(mark(&gateway, Direction::Out).seen(), seen, "{flags:#b}");
        assert_eq!(mark(&gateway, Direction::In), back, "{flags:#b}");
    }
    gateway.delivers(&segment_back(RST, &A), &A, HOST);
    let seen = mark(&gateway, Direction::In).seen();
    assert_eq!(seen, Mark::ANY | Mark::RST, "{}", gateway.tables);
}

/// A connection that takes the ports of an earlier one has seen nothing of it.
#[test]
fn a_syn_starts_the_marks_anew() {
    let gateway = Gateway::new();
    gateway.establish_tcp(&A);
    gateway.sends(&segment(FIN | ACK), &A, HOST.port());
    gateway.delivers(&segment_back(FIN | ACK, &A), &A, HOST);
    gateway.sends(&segment(SYN), &A, HOST.port());
    assert_eq!(mark(&gateway, Direction::Out).seen(), Mark::ANY, "{}", gateway.tables);
    gateway.delivers(&segment_back(SYN | ACK, &A), &A, HOST);
    assert_eq!(mark(&gateway, Direction::In).seen(), Mark::ANY, "{}", gateway.tables);
}

/// Dropped packets keep no flow alive.
#[test]
fn what_is_dropped_leaves_no_mark() {
    let gateway = Gateway::new();
    gateway.establish(&A);
    gateway.tables.set_now(9 * TICK);
    for packet in [request().ttl(1), request().payload(&[0; 2000]), request().fragment(1)] {
        let before = gateway.flows();
        let _ = gateway.tables.run(&mut packet.build(), lan::IFINDEX);
        assert_eq!(gateway.flows(), before, "{}", gateway.tables);
    }
}
