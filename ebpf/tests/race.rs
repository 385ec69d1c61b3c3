//! Two CPUs at once: one handles a packet whole, just before the other writes to the table of
//! flows.

use std::cell::Cell;
use std::net::SocketAddrV4;

use pointsman_ebpf::abi::{
    Bucket, Direction, Epoch, Flow, FlowKey, Group, LocalAddress, Port, PortRange, Settings,
    SharedU64, Uplink,
};
use pointsman_ebpf::memory::site::{self, A, B, SERVER, lan};
use pointsman_ebpf::memory::{MemoryTables, PacketBuilder};
use pointsman_ebpf::path::{InsertError, Tables, process};
use pointsman_ebpf::verdict::Verdict;
use pointsman_ebpf::wire::SliceFrame;

/// How many writes a packet makes at most that is no collision of ports.
const WRITES: u32 = 4;

/// Tables that run `other` through the path before the write with number `at`.
struct Racing<'a> {
    tables: &'a MemoryTables,
    other: &'a [u8],
    at: u32,
    writes: Cell<u32>,
}

impl Racing<'_> {
    fn before_write(&self) {
        let write = self.writes.get();
        self.writes.set(write + 1);
        if write == self.at {
            let _ = self.tables.run(&mut self.other.to_vec(), lan::IFINDEX);
        }
    }
}

impl Tables for Racing<'_> {
    fn now(&self) -> u64 {
        self.tables.now()
    }

    fn epoch(&self) -> Epoch {
        self.tables.epoch()
    }

    fn random(&self) -> u32 {
        self.tables.random()
    }

    fn port(&self, ifindex: u32) -> Option<&Port> {
        self.tables.port(ifindex)
    }

    fn alive(&self) -> u64 {
        self.tables.alive()
    }

    fn uplink(&self, uplink: u8) -> Option<&Uplink> {
        self.tables.uplink(uplink)
    }

    fn flow(&self, key: &FlowKey) -> Option<&Flow<SharedU64>> {
        self.tables.flow(key)
    }

    fn insert_flow(&self, key: &FlowKey, flow: &Flow) -> Result<(), InsertError> {
        self.before_write();
        self.tables.insert_flow(key, flow)
    }

    fn replace_flow(&self, key: &FlowKey, flow: &Flow) -> Result<(), InsertError> {
        self.before_write();
        self.tables.replace_flow(key, flow)
    }

    fn retract_flow(&self, key: &FlowKey) {
        self.before_write();
        self.tables.retract_flow(key);
    }

    fn is_local(&self, address: &LocalAddress) -> bool {
        self.tables.is_local(address)
    }

    fn settings(&self) -> Option<&Settings> {
        self.tables.settings()
    }

    fn group(&self, group: u8) -> Option<&Group> {
        self.tables.group(group)
    }

    fn bucket(&self, index: u32) -> Option<Bucket> {
        self.tables.bucket(index)
    }
}

/// A packet from one of the LAN's hosts.
fn packet(host: std::net::Ipv4Addr) -> Vec<u8> {
    let end = SocketAddrV4::new(host, 5000);
    PacketBuilder::udp(end, SocketAddrV4::new(SERVER, 443)).build()
}

/// Handles `mine`, and `other` on another CPU before write `at`, or after the last. Then both flows
/// must be whole.
fn race(tables: &MemoryTables, mine: &[u8], other: &[u8], at: u32) {
    let racing = Racing { tables, other, at, writes: Cell::new(0) };
    let mut frame = mine.to_vec();
    let verdict = process(&mut SliceFrame(&mut frame), &racing, lan::IFINDEX);
    assert!(matches!(verdict, Verdict::Forward { .. }), "{verdict:?} at write {at}\n{tables}");
    if racing.writes.get() <= at {
        let _ = tables.run(&mut other.to_vec(), lan::IFINDEX);
    }
    assert_whole(tables, at);
}

/// Every way out has its way back, to the same host.
fn assert_whole(tables: &MemoryTables, at: u32) {
    let mut out = 0;
    for (key, flow) in tables.flows() {
        if flow.direction == Direction::Out as u8 {
            let reply = key.peer(&flow);
            let back = tables.flow(&reply);
            let back = back.map(|back| (back.address, back.port));
            let host = Some((key.source(), key.source_port()));
            assert_eq!(back, host, "no way back, at write {at}\n{tables}");
            out += 1;
        }
    }
    assert_ne!(out, 0, "{tables}");
}

#[test]
fn two_packets_open_the_same_flow() {
    for at in 0..WRITES {
        let tables = site::gateway(site::prefer_a);
        race(&tables, &packet(lan::HOST), &packet(lan::HOST), at);
    }
}

#[test]
fn two_packets_open_the_same_flow_by_random_ports() {
    for at in 0..WRITES {
        let mut tables = site::gateway(site::prefer_a);
        if let Some(settings) = &mut tables.settings {
            settings.nat_ports = PortRange { first: 40_000, last: 40_100 };
        }
        race(&tables, &packet(lan::HOST), &packet(lan::HOST), at);
    }
}

#[test]
fn two_packets_move_the_same_flow() {
    for at in 0..WRITES {
        let tables = site::gateway(site::prefer_a);
        let _ = tables.run(&mut packet(lan::HOST), lan::IFINDEX);
        tables.set_alive(B.bit());
        race(&tables, &packet(lan::HOST), &packet(lan::HOST), at);
        tables.set_alive(A.bit());
        race(&tables, &packet(lan::HOST), &packet(lan::HOST), at);
    }
}

#[test]
fn two_hosts_want_the_same_port() {
    for at in 0..WRITES {
        let tables = site::gateway(site::prefer_a);
        race(&tables, &packet(lan::HOST), &packet(lan::OTHER), at);
        assert_eq!(tables.flow_count(), 4, "at write {at}\n{tables}");
    }
}
