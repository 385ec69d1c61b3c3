//! Floods: what they cannot do.

use std::net::{Ipv4Addr, SocketAddrV4};

use pointsman_ebpf::abi::Filtering;
use pointsman_ebpf::memory::site::{A, lan};
use pointsman_ebpf::memory::{PacketBuilder, Random};
use pointsman_ebpf::path::FlowTable;
use pointsman_ebpf::verdict::{DropReason, Verdict};
use pointsman_ebpf::wire::tcp_flags::{ACK, RST, SYN};

use super::harness::{
    Gateway, HOST, OTHER, SERVER, STRANGER, Sizes, answer, coming, forward, from_other,
    other_request, public, request, segment_back,
};

/// How many packets a flood has.
const FLOOD: usize = if cfg!(miri) { 50 } else { 5000 };

/// A host with room for few unanswered flows, and a table of few.
fn small(host_unreplied_max: u32, unreplied: usize) -> Gateway {
    let mut gateway = Gateway::on_host_only();
    gateway.settings().host_unreplied_max = host_unreplied_max;
    gateway.tables.set_flow_capacity(FlowTable::Unreplied, unreplied);
    gateway
}

fn any_end(random: &mut Random) -> SocketAddrV4 {
    let [a, b, c, d, port @ ..] = random.word().to_be_bytes();
    let port = u16::from_be_bytes([port[0], port[1]]).max(1);
    SocketAddrV4::new(Ipv4Addr::new(1 + a % 9, b, c, d), port)
}

/// Random tuples of UDP and TCP from one host of the LAN.
fn flood_from(gateway: &Gateway, host: Ipv4Addr) {
    let mut random = Random::new(9);
    for _ in 0..FLOOD {
        let from = SocketAddrV4::new(host, 1024 + random.below(64_000) as u16);
        let to = any_end(&mut random);
        let packet = if random.below(2) == 0 {
            PacketBuilder::udp(from, to)
        } else {
            PacketBuilder::tcp(from, to, SYN)
        };
        let _ = gateway.tables.run(&mut from_other(packet).build(), lan::IFINDEX);
    }
}

/// Established flows and their answers go on through it, and their entries are what they were.
#[test]
fn a_flood_of_the_lan_does_not_touch_established_flows() {
    let gateway = small(100, 1000);
    gateway.establish(&A);
    gateway.establish_tcp(&A);
    let before = gateway.tables.flows(FlowTable::Established);
    flood_from(&gateway, lan::OTHER);
    assert_eq!(gateway.tables.flows(FlowTable::Established), before, "{}", gateway.tables);
    gateway.sends(&request(), &A, HOST.port());
    gateway.delivers(&answer(&A, HOST.port()), &A, HOST);
    gateway.delivers(&segment_back(ACK, &A), &A, HOST);
}

/// The one who floods gets as much as he may, and others still open flows.
#[test]
fn a_flood_of_one_host_leaves_room_for_others() {
    let gateway = small(100, 1000);
    flood_from(&gateway, lan::OTHER);
    assert_eq!(gateway.tables.flow_count(FlowTable::Unreplied), 100, "{}", gateway.tables.counts());
    gateway.prohibits(&other_request(), DropReason::HostUnreplied);
    gateway.establish(&A);
    gateway.counts_of(lan::HOST, 1, 0);
}

/// Also of mappings: he cannot take all ports.
#[test]
fn a_flood_of_one_host_leaves_ports_for_others() {
    let mut gateway = Gateway::new();
    gateway.settings().host_mappings_max = 50;
    flood_from(&gateway, lan::OTHER);
    let used = gateway.tables.bindings().len();
    assert_eq!(used, 100, "{}", gateway.tables.counts());
    gateway.establish(&A);
}

/// Where many hosts flood, the oldest unanswered flows go, and the table does not grow.
#[test]
fn a_full_table_of_unanswered_flows_takes_new_ones() {
    let gateway = small(u32::MAX, 10);
    gateway.sends(&request(), &A, HOST.port());
    flood_from(&gateway, lan::OTHER);
    assert_eq!(gateway.tables.flow_count(FlowTable::Unreplied), 10, "{}", gateway.tables.counts());
    // Its mapping is there, so that its next packet is a flow again, and is answered.
    gateway.sends(&request(), &A, HOST.port());
    gateway.delivers(&answer(&A, HOST.port()), &A, HOST);
}

/// Random packets from beyond leave no state where no mapping is: not a flow, mapping or host.
#[test]
fn a_flood_from_beyond_makes_no_state() {
    let gateway = Gateway::new();
    let mut random = Random::new(5);
    for _ in 0..FLOOD {
        let from = any_end(&mut random);
        let to = public(&A, random.word() as u16);
        let packet = match random.below(5) {
            0 => PacketBuilder::udp(from, to),
            1 => PacketBuilder::tcp(from, to, SYN),
            2 => PacketBuilder::tcp(from, to, random.word() as u8),
            3 => PacketBuilder::echo_reply(*from.ip(), to),
            _ => PacketBuilder::other(random.word() as u8 | 64, *from.ip(), *to.ip()),
        };
        let mut frame = coming(packet, &A).build();
        let before = frame.clone();
        let verdict = gateway.tables.run(&mut frame, A.ifindex);
        let through = matches!(verdict, Verdict::Forward { .. } | Verdict::Answer { .. });
        assert!(!through && frame == before, "{verdict:?}\n{}", gateway.tables);
    }
    gateway.holds_nothing();
    assert_eq!(gateway.tables.hosts(), [], "{}", gateway.tables);
}

/// Nor behind a mapping that takes answers only.
#[test]
fn a_flood_of_a_filtered_mapping_makes_no_state() {
    for filtering in [Filtering::Address, Filtering::AddressAndPort] {
        let gateway = Gateway::with_filtering(filtering);
        gateway.establish(&A);
        let (flows, bindings) = (gateway.flows(), gateway.tables.bindings());
        let mut random = Random::new(6);
        for _ in 0..FLOOD {
            let packet = answer(&A, HOST.port()).from(any_end(&mut random));
            let verdict = gateway.tables.run(&mut packet.build(), A.ifindex);
            assert_eq!(verdict, Verdict::Drop(DropReason::Filtered));
        }
        assert_eq!((gateway.flows(), gateway.tables.bindings()), (flows, bindings));
    }
}

/// Where the mapping takes from anyone, or a port is forwarded, the flood has a table of its own: it
/// grows no further, and neither what is established nor what the LAN waits for is touched.
#[test]
fn a_flood_of_an_open_port_stays_in_its_table() {
    let inside = SocketAddrV4::new(lan::OTHER, 80);
    let mut gateway = Gateway::on_host_only();
    gateway.set_forwards(&[forward(6, 8080, 8080, inside)]);
    gateway.tables.set_flow_capacity(FlowTable::Invited, 10);
    gateway.establish(&A);
    gateway.sends(&request().to(STRANGER), &A, HOST.port());
    let mut random = Random::new(7);
    for _ in 0..FLOOD {
        let from = any_end(&mut random);
        let packet = if random.below(2) == 0 {
            answer(&A, HOST.port()).from(from)
        } else {
            coming(PacketBuilder::tcp(from, public(&A, 8080), SYN), &A)
        };
        let _ = gateway.tables.run(&mut packet.build(), A.ifindex);
    }
    gateway.holds(Sizes {
        established: 2,
        unreplied: 1,
        invited: 10,
        bindings: 2,
        ..Sizes::default()
    });
    gateway.counts_of(lan::HOST, 1, 1);
    gateway.counts_of(lan::OTHER, 0, 0);
    // A new client is still served.
    let syn = coming(PacketBuilder::tcp(SERVER, public(&A, 8080), SYN), &A);
    gateway.delivers(&syn, &A, inside);
    gateway.sends(&from_other(PacketBuilder::tcp(inside, SERVER, SYN | ACK)), &A, 8080);
}

/// Resets that somebody makes up end nothing and open nothing.
#[test]
fn a_flood_of_resets() {
    let gateway = Gateway::new();
    gateway.establish_tcp(&A);
    gateway.tables.set_now(9 << 30);
    gateway.sends(&super::harness::segment(ACK).sequence(1_000_000), &A, HOST.port());
    gateway.delivers(&segment_back(ACK, &A).sequence(1_000_000), &A, HOST);
    let before = gateway.flows();
    let mut random = Random::new(8);
    for _ in 0..FLOOD {
        // Of the upper three quarters of the sequence numbers, none is in reach.
        let sequence = 0x4000_0000 + random.below(0xb000_0000) as u32;
        let packet = segment_back(RST, &A).sequence(sequence);
        let _ = gateway.tables.run(&mut packet.build(), A.ifindex);
        let other = segment_back(RST, &A).from(any_end(&mut random));
        let _ = gateway.tables.run(&mut other.build(), A.ifindex);
    }
    assert_eq!(gateway.flows(), before, "{}", gateway.tables);
}

/// A host cannot speak for another: the answers go to the address, and its own mapping stands.
#[test]
fn a_flood_in_another_host_s_name_is_that_host_s() {
    let gateway = small(10, 1000);
    gateway.sends(&other_request(), &A, OTHER.port());
    flood_from(&gateway, lan::OTHER);
    gateway.delivers(&answer(&A, OTHER.port()), &A, OTHER);
}
