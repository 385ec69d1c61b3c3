mod by_uplink;
mod fake;
mod flow;
mod host;
mod joined;
mod mapping;
mod nat64;
mod nat66;
mod pin;
mod rebalance;
mod routed;
mod timer;

use std::time::Duration;

use pointsman_ebpf::abi::{
    Binding, Direction, Epoch, Flow, FlowKey, Ipv4, L4Port, LAN_REALM, Mark, Opener,
};

use super::*;
use crate::config::Timers;
use fake::Fake;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const GRE: u8 = 47;

const NOW: u32 = 100_000;
const UDP_IDLE: u32 = 120;
const TCP_ESTABLISHED: u32 = 7440;
const TCP_TRANSITORY: u32 = 240;
const ICMP_IDLE: u32 = 60;
const IDLE: IdleTicks = IdleTicks {
    udp: UDP_IDLE,
    tcp_established: TCP_ESTABLISHED,
    tcp_transitory: TCP_TRANSITORY,
    icmp: ICMP_IDLE,
};

/// What addresses of IPv6 are hashed by.
const DIGESTS: DigestKey = [
    0x243f_6a88_85a3_08d3,
    0x1319_8a2e_0370_7344,
    0xa409_3822_299f_31d0,
    0x082e_fa98_ec4e_6c89,
    0x4528_21e6_38d0_1377,
    0xbe54_66cf_34e9_0c6c,
    0xc0ac_29b7_c97c_50dd,
    0x3f84_d5b5_b547_0917,
    0x9216_d5d9_8979_fb1b,
    0xd131_0ba6_98df_b5ac,
    0x2ffd_72db_d01a_dfb7,
    0xb8e1_afed_6a26_7e96,
];

const HOST: Ipv4 = Ipv4::new([10, 1, 0, 2]);
const NEIGHBOUR: Ipv4 = Ipv4::new([10, 1, 0, 3]);
const SERVER: Ipv4 = Ipv4::new([192, 0, 2, 53]);
const STRANGER: Ipv4 = Ipv4::new([192, 0, 2, 66]);
const PORT: L4Port = L4Port::from_host(5000);
const SERVICE: L4Port = L4Port::from_host(80);

/// The public address of an uplink.
fn public(uplink: u8) -> Ipv4 {
    Ipv4::new([203, 0, 113, uplink])
}

/// A mark of so many ticks ago.
fn mark(age: u32, seen: u32) -> Mark {
    Mark::new(NOW - age, Epoch::default(), seen)
}

/// The outward entry of the host's flow to this server by this uplink.
fn outward(protocol: u8, server: Ipv4, uplink: u8, mark: Mark) -> (FlowKey, Flow) {
    let key = FlowKey::new((HOST, PORT), (server, SERVICE), protocol, LAN_REALM);
    let flow = Flow {
        mark: mark.0,
        address: public(uplink),
        port: PORT,
        uplink,
        direction: Direction::Out as u8,
        ..Flow::default()
    };
    (key, flow)
}

/// Both entries of the host's flow to the server by this uplink, the outward one first.
fn pair(protocol: u8, uplink: u8, out: Mark, back: Mark) -> [(FlowKey, Flow); 2] {
    let (key, flow) = outward(protocol, SERVER, uplink, out);
    let direction = Direction::In as u8;
    let reply = Flow { mark: back.0, address: HOST, port: PORT, direction, ..flow };
    [(key, flow), (key.peer(&flow), reply)]
}

/// Both entries of the host's flow to its neighbour's mapping by uplink 1, the opener's first.
fn hairpin(protocol: u8, opening: Mark, answer: Mark) -> [(FlowKey, Flow); 2] {
    let key = FlowKey::new((HOST, PORT), (public(1), SERVICE), protocol, LAN_REALM);
    let flow = Flow {
        mark: opening.0,
        address: public(1),
        port: PORT,
        uplink: 1,
        direction: Direction::Hairpin as u8,
        other_address: NEIGHBOUR,
        other_port: SERVICE,
        ..Flow::default()
    };
    let reply = Flow {
        mark: answer.0,
        port: SERVICE,
        other_address: HOST,
        other_port: PORT,
        opener: Opener::Remote as u8,
        ..flow
    };
    [(key, flow), (key.peer(&flow), reply)]
}

/// Both sides of the mapping of a LAN host's port, the LAN's first. `remote` is none for protocols
/// with ports.
fn mapping_of(
    end: (Ipv4, L4Port),
    remote: Ipv4,
    protocol: u8,
    uplink: u8,
    used: [u32; 2],
) -> [(FlowKey, Binding); 2] {
    let public = (public(uplink), end.1);
    let side = |age: u32, (address, port)| Binding {
        used: u64::from(NOW - age),
        address,
        port,
        ..Binding::default()
    };
    [
        (FlowKey::internal(end, remote, protocol, uplink), side(used[0], public)),
        (FlowKey::external(remote, public, protocol, uplink), side(used[1], end)),
    ]
}

/// Both sides of the host's mapping, last used so many ticks ago.
fn mapping(protocol: u8, uplink: u8, age: u32) -> [(FlowKey, Binding); 2] {
    mapping_of((HOST, PORT), Ipv4::default(), protocol, uplink, [age; 2])
}

#[test]
fn empty_tables_stay_empty() {
    let mut tables = Fake::default();
    assert_eq!(tables.sweep(), Census::default());
}

#[test]
fn the_work_is_done_in_slices() {
    let mut tables = Fake::default();
    for port in 0..3 * REMOVED_TOGETHER as u16 {
        let [(_, out), (_, back)] = pair(UDP, 1, mark(500, 1), mark(500, 1));
        let (from, to) = ((HOST, L4Port::from_host(port)), (SERVER, SERVICE));
        let key = FlowKey::new(from, to, UDP, LAN_REALM);
        let back = Flow { port: L4Port::from_host(port), ..back };
        tables.established.entries.extend([(key, out), (key.peer(&out), back)]);
    }
    let mut pauses = 0;
    sweep(&mut tables, NOW, &IDLE, &mut || pauses += 1).unwrap();
    // One for what each table is read in, and three for what was removed.
    assert_eq!((pauses, tables.established.entries.len()), (8 + 3, 0));
}

/// A flow is promoted while the tables are read.
struct Promoting(Fake);

impl SweptTables for Promoting {
    fn established(&mut self) -> &mut dyn SweptTable<FlowKey, Flow> {
        &mut self.0.established
    }

    fn unreplied(&mut self) -> &mut dyn SweptTable<FlowKey, Flow> {
        &mut self.0.unreplied
    }

    fn invited(&mut self) -> &mut dyn SweptTable<FlowKey, Flow> {
        self.0.unreplied.entries.clear();
        self.0.established.entries.extend(pair(UDP, 1, mark(0, 1), mark(0, 1)));
        &mut self.0.invited
    }

    fn bindings(&mut self) -> &mut dyn SweptTable<FlowKey, Binding> {
        &mut self.0.bindings
    }

    fn hosts(&mut self) -> &mut dyn SweptTable<Ipv4, Host> {
        &mut self.0.hosts
    }

    fn digest_key(&self) -> DigestKey {
        self.0.digest_key()
    }

    fn pins(&mut self, table: PinTable) -> &mut dyn SweptTable<FlowKey, Pin> {
        self.0.pins(table)
    }
}

#[test]
fn a_flow_that_goes_to_another_table_meanwhile_is_not_missed() {
    let mut tables = Promoting(Fake::default());
    tables.0.unreplied.entries.extend([outward(UDP, SERVER, 1, mark(0, 1))]);
    tables.0.bindings.entries.extend(mapping(UDP, 1, 500));
    let census = sweep(&mut tables, NOW, &IDLE, &mut || ()).unwrap();
    assert_eq!((census.established, census.bindings), (2, 2));
}
