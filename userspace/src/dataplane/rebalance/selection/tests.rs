//! Against the data plane itself, in ordinary memory.

use std::net::{Ipv4Addr, SocketAddrV4};

use pointsman_ebpf::abi::{BUCKETS_PER_GROUP, Direction, Sticky};
use pointsman_ebpf::memory::site::{self, A, B, lan};
use pointsman_ebpf::memory::{MemoryTables, PacketBuilder, Random};
use pointsman_ebpf::path::FlowTable;
use pointsman_ebpf::verdict::Verdict;

use super::*;

/// What the daemon knows of this gateway.
fn selection(tables: &MemoryTables) -> Selection {
    let settings = tables.settings.unwrap();
    let generations = [A, B].map(|by| (by.id, tables.uplinks[usize::from(by.id)].generation));
    Selection {
        hash_key: settings.hash_key,
        group: tables.group.unwrap(),
        buckets: (0..BUCKETS_PER_GROUP as u32).map(&tables.bucket).collect(),
        alive: A.bit() | B.bit(),
        nat44: settings.nat44,
        generations: generations.into(),
        ..Selection::default()
    }
}

/// Sends a datagram, and returns the uplink that it leaves by.
fn send(tables: &MemoryTables, from: SocketAddrV4, to: SocketAddrV4) -> u8 {
    let mut frame = PacketBuilder::udp(from, to).build();
    match tables.run(&mut frame, lan::IFINDEX) {
        Verdict::Forward { uplink, .. } => uplink,
        other => panic!("{other:?}\n{tables}"),
    }
}

/// Of many flows that were opened while one uplink was dead, those are to move that the data plane puts
/// elsewhere when they choose anew, and to where it puts them.
#[test]
fn flows_are_to_move_to_where_the_data_plane_puts_them() {
    let mut random = Random::new(1);
    let mut moved = 0;
    for sticky in [Sticky::Flow, Sticky::Source, Sticky::SourceDestination] {
        let mut tables = site::gateway(site::share_evenly);
        tables.group.as_mut().unwrap().sticky = sticky as u8;
        let flows: Vec<_> = (0..200)
            .map(|_| {
                let word = random.word();
                let host = Ipv4Addr::new(10, 1, 1, word as u8);
                let server = Ipv4Addr::new(192, 0, 2, (word >> 8) as u8);
                let end = |address, port: u64| SocketAddrV4::new(address, port as u16 | 0x8000);
                (end(host, word >> 16), end(server, word >> 32))
            })
            .collect();
        tables.set_alive(B.bit());
        for (from, to) in &flows {
            assert_eq!(send(&tables, *from, *to), B.id);
        }
        tables.set_alive(A.bit() | B.bit());
        let selection = selection(&tables);
        let entries = tables.flows(FlowTable::Unreplied);
        assert!(entries.iter().all(|(_, flow)| flow.direction == Direction::Out as u8));
        for (key, flow) in entries {
            // Nothing is to keep the host, and the flow is to choose anew.
            for (address, host) in tables.hosts() {
                let host = pointsman_ebpf::abi::Host { placement: Placement::NONE.0, ..host };
                tables.set_host(address, &host);
            }
            tables.set_flow(FlowTable::Unreplied, &key, &Flow { generation: 0, ..flow });
            let end =
                |(address, port): (pointsman_ebpf::abi::Ipv4, pointsman_ebpf::abi::L4Port)| {
                    SocketAddrV4::new(address.octets().into(), port.to_host())
                };
            let by = send(&tables, end(key.from()), end(key.to()));
            let expected = (by != B.id).then_some(Move { from: B.id, to: by, is_seen: true });
            assert_eq!(selection.of_flow(&key, &flow), expected, "{sticky:?} {key:?}");
            moved += usize::from(expected.is_some());
        }
    }
    assert!(moved > 100, "{moved}");
}
