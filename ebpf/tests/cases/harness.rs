//! A gateway under test, and what the cases share.

use std::net::{Ipv4Addr, SocketAddrV4};

use pointsman_ebpf::abi::{
    AddressOwner, Direction, Filtering, Flow, FlowKey, Forward, Host, Ipv4, L4Port, POOL_ADDRESSES,
    PortRange, Settings,
};
use pointsman_ebpf::memory::site::{self, Provider, lan};
use pointsman_ebpf::memory::{Counts, FLOW_TABLES, Liveness, MemoryTables, PacketBuilder, PutOff};
use pointsman_ebpf::path::FlowTable;
use pointsman_ebpf::verdict::{DropReason, PassReason, Verdict};

pub(crate) use super::packets::{
    HOST, OTHER, SERVER, STRANGER, answer, answer_to_sent, coming, forward, from_other, leaving,
    other_request, public, reaching, request, segment, segment_back,
};
use crate::loaded::Loaded;

/// How far apart the values are that a case goes through: all of them, or few where a packet takes
/// long.
pub(crate) const STRIDE: usize = if cfg!(miri) || Loaded::IS_SLOW { 13 } else { 1 };

/// How many entries each table of flows has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) established: usize,
    pub(crate) unreplied: usize,
    pub(crate) invited: usize,
    pub(crate) fragments: usize,
    /// Sides of mappings, and permissions.
    pub(crate) bindings: usize,
}

/// The gateway under test. Every packet that it is given is checked for its verdict, every byte of
/// what becomes of it, and the change of all counters.
pub(crate) struct Gateway {
    pub(crate) tables: MemoryTables,
    room: Room,
    on_host_only: bool,
}

/// For how many entries there is room in the tables that refuse what is beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) established: u32,
    pub(crate) bindings: u32,
}

impl Gateway {
    /// Both uplinks are alive, and A is preferred.
    pub(crate) fn new() -> Self {
        Self::of(site::gateway(site::prefer_a))
    }

    /// With these tables.
    pub(crate) fn of(tables: MemoryTables) -> Self {
        let room = Room { established: u32::MAX, bindings: u32::MAX };
        Self { tables, room, on_host_only: false }
    }

    /// As [`Self::new`], where what decides cannot be set elsewhere: the clock, or what a full table
    /// pushes out.
    pub(crate) fn on_host_only() -> Self {
        Self::new().only_on_host()
    }

    /// The same, where what decides cannot be set elsewhere.
    pub(crate) fn only_on_host(self) -> Self {
        Self { on_host_only: true, ..self }
    }

    /// As [`Self::new`], with these ports to hand out.
    pub(crate) fn with_nat_ports(first: u16, last: u16) -> Self {
        let mut gateway = Self::new();
        gateway.settings().nat_ports = PortRange { first, last };
        gateway
    }

    /// As [`Self::new`], with this filtering.
    pub(crate) fn with_filtering(filtering: Filtering) -> Self {
        let mut gateway = Self::new();
        gateway.settings().filtering = filtering as u8;
        gateway
    }

    /// Leaves room for so many entries of established flows.
    pub(crate) fn limit_established(&mut self, entries: u32) {
        self.room.established = entries;
        self.tables.set_flow_capacity(FlowTable::Established, entries as usize);
    }

    /// Leaves room for so many sides of mappings.
    pub(crate) fn limit_bindings(&mut self, entries: u32) {
        self.room.bindings = entries;
        self.tables.set_binding_capacity(entries as usize);
    }

    pub(crate) fn settings(&mut self) -> &mut Settings {
        self.tables.settings.as_mut().unwrap()
    }

    /// The frame becomes this one, and shows of nobody beyond an uplink that he is there.
    #[track_caller]
    pub(crate) fn expect(&self, ifindex: u32, input: &[u8], verdict: Verdict, output: &[u8]) {
        self.expect_hearing(ifindex, input, verdict, output, &PutOff::new());
    }

    /// The frame becomes this one, and puts off these uplinks' deadlines.
    #[track_caller]
    pub(crate) fn expect_hearing(
        &self,
        ifindex: u32,
        input: &[u8],
        verdict: Verdict,
        output: &[u8],
        put_off: &PutOff,
    ) {
        let before = (self.tables.counts(), Liveness::of(&self.tables));
        let loaded =
            (!self.on_host_only).then(|| Loaded::run(&self.tables, self.room, ifindex, input));
        let mut frame = input.to_vec();
        let got = self.tables.run(&mut frame, ifindex);
        let state = &self.tables;
        assert_eq!(got, verdict, "input {input:02x?}\n{state}");
        assert_eq!(frame, output, "\n  got {frame:02x?}\n want {output:02x?}\n{state}");
        let delta = self.tables.counts().since(&before.0);
        assert_eq!(delta, Counts::of(verdict, input.len()), "{state}");
        let heard = Liveness::of(state).put_off_since(&before.1);
        assert_eq!(heard, *put_off, "input {input:02x?}\n{state}");
        if let Some(loaded) = loaded {
            loaded.check(state, verdict, output);
        }
    }

    /// The frame from the LAN leaves by an uplink as this one.
    #[track_caller]
    pub(crate) fn forwards_out(&self, input: &[u8], by: &Provider, output: &[u8]) {
        let verdict =
            Verdict::Forward { egress: by.egress, uplink: by.id, direction: Direction::Out };
        self.expect(lan::IFINDEX, input, verdict, output);
    }

    /// The frame from an uplink reaches the LAN as this one.
    #[track_caller]
    pub(crate) fn forwards_in(&self, input: &[u8], by: &Provider, output: &[u8]) {
        let verdict =
            Verdict::Forward { egress: lan::EGRESS, uplink: by.id, direction: Direction::In };
        self.expect(by.ifindex, input, verdict, output);
    }

    /// The frame from the LAN goes back to it as this one, by an uplink's address.
    #[track_caller]
    pub(crate) fn forwards_back(&self, input: &[u8], of: &Provider, output: &[u8]) {
        let verdict =
            Verdict::Forward { egress: lan::EGRESS, uplink: of.id, direction: Direction::Hairpin };
        self.expect(lan::IFINDEX, input, verdict, output);
    }

    /// The packet goes from the LAN out by an uplink, with this source port.
    #[track_caller]
    pub(crate) fn sends(&self, packet: &PacketBuilder, by: &Provider, port: u16) {
        self.forwards_out(&packet.build(), by, &leaving(packet, by, port).build());
    }

    /// The packet comes in by an uplink and reaches this host.
    #[track_caller]
    pub(crate) fn delivers(&self, packet: &PacketBuilder, by: &Provider, host: SocketAddrV4) {
        self.forwards_in(&packet.build(), by, &reaching(packet, host).build());
    }

    /// The packet from the LAN, to an address of an uplink, reaches this host, and is from this
    /// port of the address.
    #[track_caller]
    pub(crate) fn hairpins(
        &self,
        packet: &PacketBuilder,
        of: &Provider,
        source: SocketAddrV4,
        host: SocketAddrV4,
    ) {
        let output = reaching(packet, host).from(source).build();
        self.forwards_back(&packet.build(), of, &output);
    }

    /// A flow of the host's UDP port to the server, and back: an established one.
    #[track_caller]
    pub(crate) fn establish(&self, by: &Provider) {
        self.sends(&request(), by, HOST.port());
        self.delivers(&answer(by, HOST.port()), by, HOST);
    }

    /// The same of TCP.
    #[track_caller]
    pub(crate) fn establish_tcp(&self, by: &Provider) {
        use pointsman_ebpf::wire::tcp_flags::{ACK, SYN};
        self.sends(&segment(SYN), by, HOST.port());
        self.delivers(&segment_back(SYN | ACK, by), by, HOST);
        self.sends(&segment(ACK), by, HOST.port());
    }

    /// The frame is dropped, and not a byte of it is changed.
    #[track_caller]
    pub(crate) fn drops(&self, ifindex: u32, frame: &[u8], reason: DropReason) {
        self.expect(ifindex, frame, Verdict::Drop(reason), frame);
    }

    /// The frame goes to the kernel as it came in.
    #[track_caller]
    pub(crate) fn passes(&self, ifindex: u32, frame: &[u8], reason: PassReason) {
        self.expect(ifindex, frame, Verdict::Pass(reason), frame);
    }

    /// The packet from the LAN is dropped, and leaves no trace in any table of flows.
    #[track_caller]
    pub(crate) fn refuses(&self, packet: &PacketBuilder, reason: DropReason) {
        let before = self.flows();
        self.drops(lan::IFINDEX, &packet.build(), reason);
        assert_eq!(self.flows(), before, "{}", self.tables);
    }

    /// The packet from the LAN is dropped and leaves no trace, and its sender is told by an ICMP
    /// message of this type and code, whose last header word is `rest`.
    #[track_caller]
    pub(crate) fn tells(
        &self,
        packet: &PacketBuilder,
        reason: DropReason,
        type_and_code: [u8; 2],
        rest: [u8; 4],
    ) {
        let before = self.flows();
        self.answers(lan::IFINDEX, &packet.build(), reason, type_and_code, rest);
        assert_eq!(self.flows(), before, "{}", self.tables);
    }

    /// The packet from the LAN finds no room for its flow, and its sender is told that it is
    /// prohibited (RFC 5508 section 7.1, REQ-8).
    #[track_caller]
    pub(crate) fn prohibits(&self, packet: &PacketBuilder, reason: DropReason) {
        self.tells(packet, reason, [3, 13], [0; 4]);
    }

    /// The frame, whatever it is, is answered by an ICMP message about it to its sender.
    #[track_caller]
    pub(crate) fn answers(
        &self,
        ifindex: u32,
        frame: &[u8],
        reason: DropReason,
        type_and_code: [u8; 2],
        rest: [u8; 4],
    ) {
        let port = self.tables.ports[&ifindex];
        let address =
            |at: usize| Ipv4Addr::new(frame[at], frame[at + 1], frame[at + 2], frame[at + 3]);
        let total_len = usize::from(u16::from_be_bytes([frame[16], frame[17]]));
        // The message is of 576 bytes at most (RFC 1812 section 4.3.2.3).
        let quote = &frame[14..14 + total_len.min(576 - 28)];
        let own = Ipv4Addr::from(port.address.octets());
        let message = PacketBuilder::icmp_error(own, address(26), type_and_code, rest, quote)
            .macs(frame[0..6].try_into().unwrap(), frame[6..12].try_into().unwrap())
            .type_of_service(0xc0)
            .identification(0)
            .fragment(0x4000);
        let verdict = Verdict::Answer { egress: port.egress, reason };
        self.expect(ifindex, frame, verdict, &message.build());
    }

    /// All entries of all tables of flows.
    pub(crate) fn flows(&self) -> [Vec<(FlowKey, Flow)>; FLOW_TABLES.len()] {
        FLOW_TABLES.map(|table| self.tables.flows(table))
    }

    /// How full the tables are.
    #[track_caller]
    pub(crate) fn holds(&self, sizes: Sizes) {
        let got = Sizes {
            established: self.tables.flow_count(FlowTable::Established),
            unreplied: self.tables.flow_count(FlowTable::Unreplied),
            invited: self.tables.flow_count(FlowTable::Invited),
            fragments: self.tables.flow_count(FlowTable::Fragments),
            bindings: self.tables.bindings().len(),
        };
        assert_eq!(got, sizes, "{}", self.tables);
    }

    /// No packet has left any state.
    #[track_caller]
    pub(crate) fn holds_nothing(&self) {
        self.holds(Sizes::default());
        let idle = |host: &Host| *host == Host::default();
        assert!(self.tables.hosts().iter().all(|(_, host)| idle(host)), "{}", self.tables);
    }

    /// What a LAN host is held to have of mappings and unanswered flows.
    #[track_caller]
    pub(crate) fn counts_of(&self, host: Ipv4Addr, mappings: u64, unreplied: u64) {
        let hosts = self.tables.hosts();
        let found = hosts.iter().find(|(address, _)| address.octets() == host.octets());
        let got = found.map(|(_, host)| *host).unwrap_or_default();
        assert_eq!((got.mappings, got.unreplied), (mappings, unreplied), "{}", self.tables);
    }

    /// The only entry of a table of this direction.
    #[track_caller]
    pub(crate) fn entry(&self, table: FlowTable, direction: Direction) -> (FlowKey, Flow) {
        let flows = self.tables.flows(table);
        let mut found = flows.iter().filter(|(_, flow)| flow.direction == direction as u8);
        let entry = found.next().expect("no entry of this direction");
        assert_eq!(found.next(), None, "{}", self.tables);
        *entry
    }

    /// Takes the generation out of the only established entry from the LAN, as the daemon does to have the
    /// flow choose anew.
    pub(crate) fn give_back(&self) {
        let (key, flow) = self.entry(FlowTable::Established, Direction::Out);
        self.tables.set_flow(FlowTable::Established, &key, &Flow { generation: 0, ..flow });
    }

    /// Gives an uplink another public address, as the daemon does.
    pub(crate) fn readdress(&mut self, provider: &Provider, address: Ipv4Addr) {
        let uplink = &mut self.tables.uplinks[usize::from(provider.id)];
        uplink.address = Ipv4::new(address.octets());
        uplink.generation += 1;
        let local = &mut self.tables.local;
        local.remove(&Ipv4::new(provider.address.octets()).into());
        let owner = AddressOwner::shared(provider.id);
        local.entry(Ipv4::new(address.octets()).into()).or_insert(owner);
    }

    /// Gives an uplink one more public address, which the kernel does not have.
    pub(crate) fn add_public_address(&mut self, provider: &Provider, address: Ipv4Addr) {
        let first = u32::from(provider.id) * POOL_ADDRESSES as u32;
        let uplink = &mut self.tables.uplinks[usize::from(provider.id)];
        self.tables.pool.insert(first, uplink.address);
        let address = Ipv4::new(address.octets());
        self.tables.pool.insert(first + u32::from(uplink.pool), address);
        uplink.pool += 1;
        self.tables.local.insert(address.into(), AddressOwner::translated(provider.id));
    }

    /// Makes forwards hold, as the daemon does: their ports are not handed out.
    pub(crate) fn set_forwards(&mut self, forwards: &[Forward]) {
        self.tables.forwards = forwards.to_vec();
        self.settings().forwards = forwards.len() as u32;
        for forward in forwards {
            for port in forward.ports.first..=forward.ports.last {
                self.tables.keep_port(forward.protocol == 17, L4Port::from_host(port));
            }
        }
    }
}
