//! Two CPUs at once: one handles a packet whole, just before the other writes to a table.

use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddrV4};

use pointsman_ebpf::abi::{
    AddressOwner, Attempt, Binding, Bucket, DigestKey, Direction, Epoch, Flow, FlowKey, Forward,
    Group, Host, Ipv4, Ipv6, LanNetwork, LocalAddress, Monitor, Nat64, Pin, Port, PortKey,
    PortRange, Settings, SharedU64, SitePrefix, Uplink, Uplink6,
};
use pointsman_ebpf::memory::site::{self, A, B, SERVER, lan};
use pointsman_ebpf::memory::{MemoryTables, PacketBuilder};
use pointsman_ebpf::path::{FlowTable, InsertError, NextHop, Tables, Tables6, process};
use pointsman_ebpf::verdict::{DropReason, Verdict};
use pointsman_ebpf::wire::{MemoryFrame, Tags};

/// How many writes a packet makes at most that is no collision of ports.
const WRITES: u32 = 6;

/// A frame, and the interface that it comes in by.
type Arrival<'a> = (u32, &'a [u8]);

/// Tables that run `other` through the path before the write with number `at`.
struct Racing<'a> {
    tables: &'a MemoryTables,
    other: Arrival<'a>,
    at: u32,
    writes: Cell<u32>,
}

impl Racing<'_> {
    fn before_write(&self) {
        let write = self.writes.get();
        self.writes.set(write + 1);
        if write == self.at {
            run(self.tables, self.other);
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

    fn port(&self, key: PortKey) -> Option<&Port> {
        self.tables.port(key)
    }

    fn tags(&self, egress: u16) -> Tags {
        self.tables.tags(egress)
    }

    fn exact_now(&self) -> u64 {
        self.tables.exact_now()
    }

    fn alive(&self) -> u64 {
        self.tables.alive()
    }

    fn monitor(&self, uplink: u8) -> Option<&Monitor<SharedU64>> {
        self.tables.monitor(uplink)
    }

    fn deadline(&self, uplink: u8) -> Option<&SharedU64> {
        self.tables.deadline(uplink)
    }

    fn attempt(&self, place: u32) -> Option<&Attempt<SharedU64>> {
        self.tables.attempt(place)
    }

    fn handshakes(&self, word: u32) -> Option<&SharedU64> {
        self.tables.handshakes(word)
    }

    fn uplink(&self, uplink: u8) -> Option<&Uplink> {
        self.tables.uplink(uplink)
    }

    fn flow(&self, table: FlowTable, key: &FlowKey) -> Option<&Flow<SharedU64>> {
        self.tables.flow(table, key)
    }

    fn insert_flow(&self, table: FlowTable, key: &FlowKey, flow: &Flow) -> Result<(), InsertError> {
        self.before_write();
        self.tables.insert_flow(table, key, flow)
    }

    fn replace_flow(
        &self,
        table: FlowTable,
        key: &FlowKey,
        flow: &Flow,
    ) -> Result<(), InsertError> {
        self.before_write();
        self.tables.replace_flow(table, key, flow)
    }

    fn retract_flow(&self, table: FlowTable, key: &FlowKey) {
        self.before_write();
        self.tables.retract_flow(table, key);
    }

    fn binding(&self, key: &FlowKey) -> Option<&Binding<SharedU64>> {
        self.tables.binding(key)
    }

    fn insert_binding(&self, key: &FlowKey, binding: &Binding) -> Result<(), InsertError> {
        self.before_write();
        self.tables.insert_binding(key, binding)
    }

    fn replace_binding(&self, key: &FlowKey, binding: &Binding) -> Result<(), InsertError> {
        self.before_write();
        self.tables.replace_binding(key, binding)
    }

    fn retract_binding(&self, key: &FlowKey) {
        self.before_write();
        self.tables.retract_binding(key);
    }

    fn host(&self, address: Ipv4) -> Option<&Host<SharedU64>> {
        self.tables.host(address)
    }

    fn pool(&self, index: u32) -> Option<Ipv4> {
        self.tables.pool(index)
    }

    fn own_ports(&self, word: u32) -> u64 {
        self.tables.own_ports(word)
    }

    fn forward(&self, index: u32) -> Option<&Forward> {
        self.tables.forward(index)
    }

    fn take_token(&self, now: u64, rate: u32, burst: u32) -> bool {
        self.tables.take_token(now, rate, burst)
    }

    fn local(&self, address: &LocalAddress) -> Option<AddressOwner> {
        self.tables.local(address)
    }

    fn lan_network(&self, address: Ipv4) -> Option<&LanNetwork> {
        self.tables.lan_network(address)
    }

    fn site_prefix(&self, address: &Ipv6) -> Option<&SitePrefix> {
        self.tables.site_prefix(address)
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

impl Tables6 for Racing<'_> {
    fn digest_key(&self) -> &DigestKey {
        self.tables.digest_key()
    }

    fn uplink6(&self, uplink: u8) -> Option<&Uplink6> {
        self.tables.uplink6(uplink)
    }

    fn nat64(&self) -> &Nat64 {
        self.tables.nat64()
    }

    fn address6(&self, egress: u16) -> Option<Ipv6> {
        self.tables.address6(egress)
    }

    fn lan_next_hop(&self, address: &Ipv6) -> NextHop {
        self.tables.lan_next_hop(address)
    }

    fn pin(&self, table: FlowTable, key: &FlowKey) -> Option<&Pin<SharedU64>> {
        self.tables.pin(table, key)
    }

    fn replace_pin(&self, table: FlowTable, key: &FlowKey, pin: &Pin) -> Result<(), InsertError> {
        self.before_write();
        self.tables.replace_pin(table, key, pin)
    }

    fn retract_pin(&self, table: FlowTable, key: &FlowKey) {
        self.before_write();
        self.tables.retract_pin(table, key);
    }
}

/// Handles a frame that comes in; whatever becomes of it.
fn run(tables: &MemoryTables, (ifindex, frame): Arrival<'_>) {
    let _ = tables.run(&mut frame.to_vec(), ifindex);
}

/// A packet from one of the LAN's hosts.
fn packet(host: Ipv4Addr) -> Vec<u8> {
    let end = SocketAddrV4::new(host, 5000);
    PacketBuilder::udp(end, SocketAddrV4::new(SERVER, 443)).build()
}

/// What the server sends to the port that the host's packets have.
fn answer() -> Vec<u8> {
    let end = SocketAddrV4::new(A.address, 5000);
    PacketBuilder::udp(SocketAddrV4::new(SERVER, 443), end).macs(A.gateway_mac, A.mac).build()
}

/// Handles `mine`, and `other` on another CPU before write `at`, or after the last. Then all that
/// is in the tables must be whole.
fn race(tables: &MemoryTables, mine: Arrival<'_>, other: Arrival<'_>, at: u32) -> Verdict {
    let racing = Racing { tables, other, at, writes: Cell::new(0) };
    let mut frame = mine.1.to_vec();
    let verdict = process(&mut MemoryFrame::new(&mut frame), &racing, mine.0);
    assert!(racing.writes.get() <= WRITES, "{} writes\n{tables}", racing.writes.get());
    if racing.writes.get() <= at {
        run(tables, other);
    }
    assert_whole(tables, at);
    verdict
}

/// As [`race`], of two frames from the LAN, of which mine is forwarded.
fn race_out(tables: &MemoryTables, mine: &[u8], other: &[u8], at: u32) {
    let verdict = race(tables, (lan::IFINDEX, mine), (lan::IFINDEX, other), at);
    assert!(matches!(verdict, Verdict::Forward { .. }), "{verdict:?} at write {at}\n{tables}");
}

/// Every way out that is established has its way back, to the same host; every flow and every
/// mapping has the public side of its mapping, which is that host's.
fn assert_whole(tables: &MemoryTables, at: u32) {
    for (key, flow) in tables.flows(FlowTable::Established) {
        if flow.direction == Direction::Out as u8 {
            let back = tables.flow(FlowTable::Established, &key.peer(&flow));
            let back = back.map(|back| (back.address, back.port));
            assert_eq!(back, Some(key.from()), "no way back, at write {at}\n{tables}");
        }
    }
    let (mut inside, mut outside) = (0, 0);
    for (key, binding) in tables.bindings() {
        let uplink = &tables.uplinks[usize::from(key.realm() - 1)];
        // What is left of an older generation is the sweep's.
        if binding.generation != uplink.generation {
            continue;
        }
        if key.is_internal() {
            assert_owner(tables, (binding.address, binding.port), &key, key.realm() - 1, at);
            inside += 1;
        } else {
            outside += 1;
        }
    }
    assert_eq!(inside, outside, "half a mapping, at write {at}\n{tables}");
    for table in [FlowTable::Established, FlowTable::Unreplied] {
        for (key, flow) in tables.flows(table) {
            if flow.direction == Direction::Out as u8 {
                assert_owner(tables, (flow.address, flow.port), &key, flow.uplink, at);
            }
        }
    }
}

/// The public end is that of the source of `key`.
fn assert_owner(
    tables: &MemoryTables,
    public: (Ipv4, pointsman_ebpf::abi::L4Port),
    key: &FlowKey,
    uplink: u8,
    at: u32,
) {
    let outer = FlowKey::external(Ipv4::default(), public, key.protocol(), uplink);
    let owner = tables.binding(&outer).map(|binding| (binding.address, binding.port));
    assert_eq!(owner, Some(key.from()), "no public side, at write {at}\n{tables}");
}

/// What a host is held to have of mappings and unanswered flows.
fn host(tables: &MemoryTables, address: Ipv4Addr) -> Host {
    let hosts = tables.hosts();
    let found = hosts.iter().find(|(host, _)| host.octets() == address.octets());
    found.map(|(_, host)| *host).unwrap_or_default()
}

#[test]
fn two_packets_open_the_same_flow() {
    for at in 0..=WRITES {
        let tables = site::gateway(site::prefer_a);
        race_out(&tables, &packet(lan::HOST), &packet(lan::HOST), at);
        assert_eq!(tables.bindings().len(), 2, "at write {at}\n{tables}");
        assert_eq!(host(&tables, lan::HOST).mappings, 1, "at write {at}\n{tables}");
        assert_eq!(tables.flow_count(FlowTable::Unreplied), 1, "at write {at}\n{tables}");
    }
}

#[test]
fn two_packets_open_the_same_flow_by_random_ports() {
    for at in 0..=WRITES {
        let mut tables = site::gateway(site::prefer_a);
        if let Some(settings) = &mut tables.settings {
            settings.nat_ports = PortRange { first: 40_000, last: 40_100 };
        }
        race_out(&tables, &packet(lan::HOST), &packet(lan::HOST), at);
        assert_eq!(tables.bindings().len(), 2, "at write {at}\n{tables}");
        assert_eq!(host(&tables, lan::HOST).mappings, 1, "at write {at}\n{tables}");
    }
}

#[test]
fn two_packets_move_the_same_flow() {
    for at in 0..=WRITES {
        for answered in [false, true] {
            let tables = site::gateway(site::prefer_a);
            run(&tables, (lan::IFINDEX, &packet(lan::HOST)));
            if answered {
                run(&tables, (A.ifindex, &answer()));
            }
            tables.set_alive(B.bit());
            race_out(&tables, &packet(lan::HOST), &packet(lan::HOST), at);
            tables.set_alive(A.bit());
            race_out(&tables, &packet(lan::HOST), &packet(lan::HOST), at);
        }
    }
}

#[test]
fn two_hosts_want_the_same_port() {
    for at in 0..=WRITES {
        let tables = site::gateway(site::prefer_a);
        race_out(&tables, &packet(lan::HOST), &packet(lan::OTHER), at);
        assert_eq!(tables.flow_count(FlowTable::Unreplied), 2, "at write {at}\n{tables}");
        assert_eq!(tables.bindings().len(), 4, "at write {at}\n{tables}");
    }
}

/// Both count the flow as answered, and neither below nothing.
#[test]
fn two_answers_establish_the_same_flow() {
    for at in 0..=WRITES {
        let tables = site::gateway(site::prefer_a);
        run(&tables, (lan::IFINDEX, &packet(lan::HOST)));
        let back = (A.ifindex, &answer()[..]);
        let verdict = race(&tables, back, back, at);
        assert!(matches!(verdict, Verdict::Forward { .. }), "{verdict:?} at write {at}\n{tables}");
        assert_eq!(tables.flow_count(FlowTable::Established), 2, "at write {at}\n{tables}");
        assert_eq!(tables.flow_count(FlowTable::Unreplied), 0, "at write {at}\n{tables}");
        assert_eq!(host(&tables, lan::HOST).unreplied, 0, "at write {at}\n{tables}");
    }
}

/// The answer comes in while the host sends its packet again.
#[test]
fn an_answer_meets_the_next_packet() {
    for at in 0..=WRITES {
        let tables = site::gateway(site::prefer_a);
        run(&tables, (lan::IFINDEX, &packet(lan::HOST)));
        let (out, back) = (packet(lan::HOST), answer());
        let _ = race(&tables, (A.ifindex, &back), (lan::IFINDEX, &out), at);
        assert_eq!(tables.flow_count(FlowTable::Established), 2, "at write {at}\n{tables}");
        assert_eq!(tables.flow_count(FlowTable::Unreplied), 0, "at write {at}\n{tables}");
        assert_eq!(host(&tables, lan::HOST).unreplied, 0, "at write {at}\n{tables}");
    }
}

/// The port is another host's of an older generation of the address.
#[test]
fn two_hosts_want_the_same_stale_port() {
    for at in 0..=WRITES {
        let mut tables = site::gateway(site::prefer_a);
        run(&tables, (lan::IFINDEX, &packet(Ipv4Addr::new(10, 1, 0, 9))));
        tables.uplinks[usize::from(A.id)].generation += 1;
        for (key, _) in tables.bindings() {
            if key.is_internal() {
                tables.remove_binding(&key);
            }
        }
        for (key, _) in tables.flows(FlowTable::Unreplied) {
            tables.remove_flow(FlowTable::Unreplied, &key);
        }
        race_out(&tables, &packet(lan::HOST), &packet(lan::OTHER), at);
    }
}

/// One CPU takes the last room while the other fills in its mapping's second side: the loser says
/// so, and leaves nothing behind.
#[test]
fn two_mappings_race_for_the_last_room() {
    for at in 0..=WRITES {
        let tables = site::gateway(site::prefer_a);
        tables.set_binding_capacity(3);
        let (mine, other) = (packet(lan::HOST), packet(lan::OTHER));
        let verdict = race(&tables, (lan::IFINDEX, &mine), (lan::IFINDEX, &other), at);
        let full = Verdict::Answer { egress: lan::EGRESS, reason: DropReason::MappingTableFull };
        let forwarded = matches!(verdict, Verdict::Forward { .. });
        assert!(forwarded || verdict == full, "{verdict:?} at write {at}\n{tables}");
    }
}
