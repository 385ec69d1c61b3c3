//! A million random and mutated packets through the path, while uplinks die, return and change
//! their address. The same packets in every run.

mod model;
mod packets;

use std::collections::VecDeque;

use model::Model;
use packets::Packets;
use pointsman_ebpf::abi::{Direction, Flow, FlowKey};
use pointsman_ebpf::memory::site::{self, A, B, PROVIDERS, lan};
use pointsman_ebpf::memory::{
    Counts, MemoryTables, Random, verify, verify_header, verify_transport,
};
use pointsman_ebpf::path::Tables as _;
use pointsman_ebpf::verdict::{DropReason, PassReason, Verdict};

/// Few under Miri, which is slow; there they are for what only Miri sees.
const PACKETS: u64 = if cfg!(miri) { 400 } else { 1_000_000 };

/// Packets between two events.
const EVENT_EVERY: u64 = if cfg!(miri) { 50 } else { 1000 };

/// How many entries the table of flows takes: too few, so that it is full at times.
const FLOW_CAPACITY: usize = if cfg!(miri) { 20 } else { 500 };

/// How many of the frames that left are remembered, to be answered.
const REMEMBERED: usize = 256;

#[test]
fn random_packets_are_forwarded_right_or_not_at_all() {
    let mut tables = site::gateway(site::share_evenly);
    tables.set_flow_capacity(FLOW_CAPACITY);
    let mut packets = Packets::new(Random::new(2));
    let mut events = Random::new(3);
    let mut model = Model::default();
    let mut sent = VecDeque::new();
    for number in 0..PACKETS {
        if number % EVENT_EVERY == EVENT_EVERY - 1 {
            change(&mut tables, &mut events);
        }
        let (ifindex, frame) = packets.next(&sent);
        let output = check(&tables, &mut model, number, ifindex, &frame);
        if let Some(output) = output {
            sent.push_front(output);
            sent.truncate(REMEMBERED);
        }
    }
    assert_eq!(tables.counts().packets(), PACKETS, "{tables}");
    if !cfg!(miri) {
        assert_all_ways_were_taken(&tables.counts());
    }
}

/// Something happens to an uplink, the clock goes on, and the sweep removes flows.
fn change(tables: &mut MemoryTables, events: &mut Random) {
    let both = A.bit() | B.bit();
    tables.set_alive([both, both, A.bit(), B.bit(), 0][events.below(5)]);
    tables.set_now(events.word() >> 8);
    if events.below(8) == 0 {
        let provider = PROVIDERS[events.below(PROVIDERS.len())];
        tables.uplinks[usize::from(provider.id)].generation += 1;
    }
    for (key, flow) in tables.flows() {
        if events.below(4) == 0 {
            sweep(tables, &key, &flow);
        }
    }
}

/// Removes an entry as the sweep does: never the way back of a flow without the way out, or another
/// host gets the port while the first still sends from it.
fn sweep(tables: &MemoryTables, key: &FlowKey, flow: &Flow) {
    let peer = key.peer(flow);
    let is_pair = tables.flow(&peer).is_some_and(|other| peer.peer(other) == *key);
    if flow.direction == Direction::Out as u8 || is_pair {
        tables.remove_flow(&peer);
    }
    tables.remove_flow(key);
}

/// Runs one frame, checks all that can be said of it, and gives it back if it left by an uplink.
fn check(
    tables: &MemoryTables,
    model: &mut Model,
    number: u64,
    ifindex: u32,
    frame: &[u8],
) -> Option<Vec<u8>> {
    let was_right = verify(frame).is_ok();
    let mut output = frame.to_vec();
    let verdict = tables.run(&mut output, ifindex);
    let context =
        || format!("packet {number} on {ifindex}: {verdict:?}\n   {frame:02x?}\n-> {output:02x?}");
    let Verdict::Forward { uplink, direction, .. } = verdict else {
        assert_eq!(output, frame, "{}", context());
        return None;
    };
    assert_eq!(verify_header(&output), Ok(()), "{}", context());
    if was_right {
        assert_eq!(verify_transport(&output), Ok(()), "{}", context());
    }
    assert_eq!(masked(&output, direction), masked(frame, direction), "{}", context());
    assert_eq!(output[22], frame[22] - 1, "{}", context());
    if direction == Direction::In {
        let host = Some(model::destination(&output));
        assert_eq!(host, model.host(uplink, frame), "{}", context());
        return None;
    }
    assert_eq!(ifindex, lan::IFINDEX, "{}", context());
    let public = tables.uplinks[usize::from(uplink)].address.octets();
    assert_eq!(output[26..30], public, "{}", context());
    model.left(uplink, frame, &output);
    Some(output)
}

/// The frame without all that translation may change.
fn masked(frame: &[u8], direction: Direction) -> Vec<u8> {
    let transport = 14 + usize::from(frame[14] & 15) * 4;
    let (address, port) = match direction {
        Direction::Out => (26, transport),
        Direction::In => (30, transport + 2),
    };
    let (port, checksum) = match frame[23] {
        6 => (port, transport + 16),
        17 => (port, transport + 6),
        _ => (transport + 4, transport + 2),
    };
    let mut masked = frame.to_vec();
    for (at, len) in [(0, 12), (22, 1), (24, 2), (address, 4), (port, 2), (checksum, 2)] {
        masked[at..at + len].fill(0);
    }
    masked
}

/// A fuzzer that never gets to the interesting places proves nothing.
fn assert_all_ways_were_taken(counts: &Counts) {
    let never = [DropReason::NotReady, DropReason::Redirect, DropReason::NoPort];
    for reason in DropReason::ALL.iter().filter(|reason| !never.contains(reason)) {
        assert_taken(counts, Verdict::Drop(*reason));
    }
    for reason in PassReason::ALL {
        assert_taken(counts, Verdict::Pass(*reason));
    }
    for provider in PROVIDERS {
        for direction in [Direction::Out, Direction::In] {
            let verdict = Verdict::Forward { egress: 0, uplink: provider.id, direction };
            assert_taken(counts, verdict);
            let packets = counts.get(verdict.counter()).packets;
            assert!(packets > PACKETS / 50, "few for {verdict:?}\n{counts}");
        }
    }
}

fn assert_taken(counts: &Counts, verdict: Verdict) {
    let packets = counts.get(verdict.counter()).packets;
    assert_ne!(packets, 0, "none for {verdict:?}\n{counts}");
}
