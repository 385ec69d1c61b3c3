//! Port forwards, and the uplink that their replies leave by.

use std::net::{Ipv4Addr, SocketAddrV4};

use pointsman_ebpf::abi::{Direction, Filtering, Forward, Ipv4Prefix, LanSide, Opener, PortRange};
use pointsman_ebpf::memory::PacketBuilder;
use pointsman_ebpf::memory::site::{A, B, Provider, lan};
use pointsman_ebpf::path::FlowTable;
use pointsman_ebpf::verdict::{DropReason, PassReason};
use pointsman_ebpf::wire::tcp_flags::{ACK, RST, SYN};

use super::harness::{
    Gateway, HOST, OTHER, SERVER, STRANGER, Sizes, coming, forward, from_other, public, reaching,
};

const TCP: u8 = 6;
const UDP: u8 = 17;

/// The other host's service.
const INSIDE: SocketAddrV4 = SocketAddrV4::new(lan::OTHER, 8443);

fn with_forwards(forwards: &[Forward]) -> Gateway {
    let mut gateway = Gateway::new();
    gateway.set_forwards(forwards);
    gateway
}

/// A segment to a public port of an uplink.
fn knock(by: &Provider, port: u16, flags: u8) -> PacketBuilder {
    coming(PacketBuilder::tcp(SERVER, public(by, port), flags), by)
}

/// The service's segment back.
fn reply(flags: u8) -> PacketBuilder {
    from_other(PacketBuilder::tcp(INSIDE, SERVER, flags))
}

#[track_caller]
fn is_local(gateway: &Gateway, by: &Provider, packet: &PacketBuilder) {
    gateway.passes(by.ifindex, &packet.build(), PassReason::Local);
}

#[test]
fn a_connection_comes_in_and_its_replies_leave_by_the_same_uplink() {
    for by in [A, B] {
        let gateway = with_forwards(&[forward(TCP, 443, 443, INSIDE)]);
        gateway.delivers(&knock(&by, 443, SYN), &by, INSIDE);
        gateway.holds(Sizes { invited: 1, ..Sizes::default() });
        // Though new flows would take A.
        gateway.sends(&reply(SYN | ACK), &by, 443);
        gateway.holds(Sizes { established: 2, ..Sizes::default() });
        gateway.delivers(&knock(&by, 443, ACK), &by, INSIDE);
        gateway.sends(&reply(ACK), &by, 443);
        for direction in [Direction::Out, Direction::In] {
            let (_, flow) = gateway.entry(FlowTable::Established, direction);
            assert_eq!(flow.opener, Opener::Remote as u8, "{}", gateway.tables);
        }
        // It takes no mapping of the host's.
        gateway.counts_of(lan::OTHER, 0, 0);
    }
}

#[test]
fn a_datagram() {
    let inside = SocketAddrV4::new(lan::OTHER, 53);
    let gateway = with_forwards(&[forward(UDP, 53, 53, inside)]);
    let query = coming(PacketBuilder::udp(SERVER, public(&B, 53)), &B);
    for _ in 0..2 {
        gateway.delivers(&query, &B, inside);
        gateway.sends(&from_other(PacketBuilder::udp(inside, SERVER)), &B, 53);
        gateway.holds(Sizes { established: 2, ..Sizes::default() });
    }
}

/// The same client by both uplinks: two flows that do not mix.
#[test]
fn by_both_uplinks_at_once() {
    let gateway = with_forwards(&[forward(TCP, 443, 443, INSIDE)]);
    let second = SocketAddrV4::new(*SERVER.ip(), 444);
    gateway.delivers(&knock(&A, 443, SYN), &A, INSIDE);
    gateway.delivers(&knock(&B, 443, SYN).from(second), &B, INSIDE);
    gateway.sends(&reply(SYN | ACK), &A, 443);
    gateway.sends(&reply(SYN | ACK).to(second), &B, 443);
    gateway.holds(Sizes { established: 4, ..Sizes::default() });
}

#[test]
fn other_uplinks_fail() {
    let gateway = with_forwards(&[forward(TCP, 443, 443, INSIDE)]);
    gateway.delivers(&knock(&B, 443, SYN), &B, INSIDE);
    gateway.tables.set_alive(B.bit());
    gateway.sends(&reply(SYN | ACK), &B, 443);
    gateway.tables.set_alive(A.bit() | B.bit());
    gateway.sends(&reply(ACK), &B, 443);
    gateway.tables.set_alive(B.bit());
    gateway.sends(&reply(ACK), &B, 443);
}

/// By another uplink the replies would be nobody's: the host is told, and the flow waits.
#[test]
fn its_own_uplink_fails() {
    let gateway = with_forwards(&[forward(TCP, 443, 443, INSIDE)]);
    let told = |packet: &PacketBuilder| {
        gateway.tells(packet, DropReason::NoUplink, [3, 0], [0; 4]);
    };
    gateway.delivers(&knock(&B, 443, SYN), &B, INSIDE);
    gateway.tables.set_alive(A.bit());
    told(&reply(SYN | ACK));
    gateway.tables.set_alive(A.bit() | B.bit());
    gateway.sends(&reply(SYN | ACK), &B, 443);
    gateway.tables.set_alive(A.bit());
    told(&reply(ACK));
    // What is still on its way in is good.
    gateway.delivers(&knock(&B, 443, ACK), &B, INSIDE);
    gateway.refuses(&reply(RST), DropReason::Unsolicited);
    gateway.tables.set_alive(A.bit() | B.bit());
    gateway.sends(&reply(ACK), &B, 443);
    gateway.counts_of(lan::OTHER, 0, 0);
}

/// Its address is gone: so is the connection.
#[test]
fn its_own_uplink_has_another_address() {
    let mut gateway = with_forwards(&[forward(TCP, 443, 443, INSIDE)]);
    gateway.delivers(&knock(&B, 443, SYN), &B, INSIDE);
    gateway.sends(&reply(SYN | ACK), &B, 443);
    let now = Provider { address: Ipv4Addr::new(198, 51, 100, 9), ..B };
    gateway.readdress(&B, now.address);
    gateway.tells(&reply(ACK), DropReason::NoUplink, [3, 0], [0; 4]);
    gateway.drops(B.ifindex, &knock(&B, 443, ACK).build(), DropReason::Unsolicited);
    let second = SocketAddrV4::new(*SERVER.ip(), 444);
    gateway.delivers(&knock(&now, 443, SYN).from(second), &now, INSIDE);
    gateway.sends(&reply(SYN | ACK).to(second), &now, 443);
}

/// The first and the last port of a range, and what is beside it.
#[test]
fn a_range_is_shifted() {
    let gateway = with_forwards(&[forward(TCP, 6000, 6009, INSIDE)]);
    for (port, inside) in [(6000, 8443), (6005, 8448), (6009, 8452)] {
        let end = SocketAddrV4::new(lan::OTHER, inside);
        gateway.delivers(&knock(&A, port, SYN), &A, end);
        gateway.sends(&from_other(PacketBuilder::tcp(end, SERVER, SYN | ACK)), &A, port);
    }
    for port in [5999, 6010] {
        let beside = knock(&A, port, SYN).build();
        gateway.drops(A.ifindex, &beside, DropReason::Unsolicited);
    }
    gateway.holds(Sizes { established: 6, ..Sizes::default() });
}

#[test]
fn the_last_port_of_all() {
    let gateway = with_forwards(&[forward(TCP, 65_535, 65_535, INSIDE)]);
    gateway.delivers(&knock(&A, 65_535, SYN), &A, INSIDE);
}

#[test]
fn of_one_protocol_only() {
    let gateway = with_forwards(&[forward(TCP, 443, 443, INSIDE)]);
    is_local(&gateway, &A, &coming(PacketBuilder::udp(SERVER, public(&A, 443)), &A));
    is_local(&gateway, &A, &coming(PacketBuilder::other(132, *SERVER.ip(), A.address), &A));
}

#[test]
fn by_chosen_uplinks_only() {
    let only_b = Forward { uplinks: B.bit(), ..forward(TCP, 443, 443, INSIDE) };
    let gateway = with_forwards(&[only_b]);
    is_local(&gateway, &A, &knock(&A, 443, SYN));
    gateway.delivers(&knock(&B, 443, SYN), &B, INSIDE);
}

/// Each uplink's own, of the same port.
#[test]
fn one_port_by_each_uplink_to_another_host() {
    let by_a = Forward { uplinks: A.bit(), ..forward(TCP, 443, 443, HOST) };
    let by_b = Forward { uplinks: B.bit(), ..forward(TCP, 443, 443, INSIDE) };
    let gateway = with_forwards(&[by_a, by_b]);
    gateway.delivers(&knock(&A, 443, SYN), &A, HOST);
    gateway.delivers(&knock(&B, 443, SYN), &B, INSIDE);
}

/// From every prefix that is named, its first address and its last, and from nobody else.
#[test]
fn from_chosen_senders_only() {
    let prefix = |network: [u8; 4], length: u32| Ipv4Prefix {
        network: u32::from_be_bytes(network),
        mask: u32::MAX << (32 - length),
    };
    let mut limited = forward(TCP, 443, 443, INSIDE);
    limited.source_count = 4;
    limited.sources = [
        prefix([192, 0, 2, 53], 32),
        prefix([192, 0, 2, 64], 26),
        prefix([8, 0, 0, 0], 8),
        prefix([9, 9, 9, 9], 32),
    ];
    let gateway = with_forwards(&[limited]);
    let from = |address: [u8; 4]| knock(&A, 443, SYN).from(SocketAddrV4::new(address.into(), 5555));
    for address in
        [[192, 0, 2, 53], [192, 0, 2, 64], [192, 0, 2, 127], [8, 255, 255, 255], [9, 9, 9, 9]]
    {
        gateway.delivers(&from(address), &A, INSIDE);
    }
    let before = gateway.flows();
    for address in [[192, 0, 2, 52], [192, 0, 2, 63], [192, 0, 2, 128], [7, 255, 255, 255]] {
        gateway.drops(A.ifindex, &from(address).build(), DropReason::Filtered);
    }
    assert_eq!(gateway.flows(), before, "{}", gateway.tables);
}

/// The first that holds decides, and the later one takes the senders that the first leaves.
#[test]
fn the_first_that_holds_decides() {
    let mut limited = forward(TCP, 443, 443, HOST);
    limited.source_count = 1;
    limited.sources[0] = Ipv4Prefix { network: u32::from(*STRANGER.ip()), mask: u32::MAX };
    let gateway = with_forwards(&[limited, forward(TCP, 443, 443, INSIDE)]);
    gateway.delivers(&knock(&A, 443, SYN).from(STRANGER), &A, HOST);
    gateway.delivers(&knock(&A, 443, SYN), &A, INSIDE);
}

/// Those behind the count do not hold.
#[test]
fn what_is_taken_out_does_not_hold() {
    let mut gateway = with_forwards(&[forward(TCP, 443, 443, INSIDE)]);
    gateway.delivers(&knock(&A, 443, SYN), &A, INSIDE);
    gateway.sends(&reply(SYN | ACK), &A, 443);
    gateway.settings().forwards = 0;
    is_local(&gateway, &A, &knock(&A, 443, SYN).from(STRANGER));
    // An established connection goes on.
    gateway.delivers(&knock(&A, 443, ACK), &A, INSIDE);
    gateway.sends(&reply(ACK), &A, 443);
}

#[test]
fn the_last_of_as_many_as_there_can_be() {
    let mut forwards: Vec<Forward> =
        (0..255).map(|number| forward(TCP, 1000 + number, 1000 + number, HOST)).collect();
    forwards.push(forward(TCP, 443, 443, INSIDE));
    let gateway = with_forwards(&forwards);
    gateway.delivers(&knock(&A, 443, SYN), &A, INSIDE);
    gateway.delivers(&knock(&A, 1254, SYN), &A, HOST);
}

#[test]
fn a_host_whose_mac_is_not_known() {
    let unknown = Forward { lan: LanSide::default(), ..forward(TCP, 443, 443, INSIDE) };
    let gateway = with_forwards(&[unknown]);
    gateway.drops(A.ifindex, &knock(&A, 443, SYN).build(), DropReason::ForwardUnresolved);
    gateway.holds_nothing();
}

/// A forward is the operator's word: the filtering of mappings is not asked.
#[test]
fn filtering_does_not_concern_forwards() {
    for filtering in [Filtering::Address, Filtering::AddressAndPort] {
        let mut gateway = Gateway::with_filtering(filtering);
        gateway.set_forwards(&[forward(TCP, 443, 443, INSIDE)]);
        gateway.delivers(&knock(&A, 443, SYN), &A, INSIDE);
        gateway.sends(&reply(SYN | ACK), &A, 443);
    }
}

/// A reset of no connection leaves no state: it could open none.
#[test]
fn a_reset_of_no_connection() {
    let gateway = with_forwards(&[forward(TCP, 443, 443, INSIDE)]);
    gateway.drops(A.ifindex, &knock(&A, 443, RST).build(), DropReason::Filtered);
    gateway.holds_nothing();
}

/// Only what is sent to the uplink's own public addresses is forwarded, not what passes by.
#[test]
fn to_another_address() {
    let gateway = with_forwards(&[forward(TCP, 443, 443, INSIDE)]);
    for address in [lan::HOST, Ipv4Addr::new(203, 0, 113, 77), Ipv4Addr::new(8, 8, 8, 8)] {
        let to = SocketAddrV4::new(address, 443);
        let packet = coming(PacketBuilder::tcp(SERVER, to, SYN), &A).build();
        gateway.drops(A.ifindex, &packet, DropReason::Unsolicited);
    }
    // The kernel's, if the kernel routes it here at all.
    for address in [lan::GATEWAY, B.address] {
        let to = SocketAddrV4::new(address, 443);
        is_local(&gateway, &A, &coming(PacketBuilder::tcp(SERVER, to, SYN), &A));
    }
    gateway.holds_nothing();
}

/// All addresses of the pool are the uplink's, and the reply is from the one that was asked.
#[test]
fn to_an_address_of_the_pool() {
    let mut gateway = with_forwards(&[forward(TCP, 443, 443, INSIDE)]);
    let by = Provider { address: Ipv4Addr::new(203, 0, 113, 9), ..A };
    gateway.add_public_address(&A, by.address);
    gateway.delivers(&knock(&by, 443, SYN), &by, INSIDE);
    gateway.sends(&reply(SYN | ACK), &by, 443);
}

/// The host's own flows are not the forward's: they have mappings, and never its port.
#[test]
fn the_host_s_own_flows() {
    let mut gateway =
        with_forwards(&[forward(TCP, 6000, 6000, SocketAddrV4::new(lan::OTHER, 6000))]);
    gateway.settings().nat_ports = PortRange { first: 6000, last: 6001 };
    let end = SocketAddrV4::new(lan::OTHER, 6000);
    gateway.sends(&from_other(PacketBuilder::tcp(end, SERVER, SYN)), &A, 6001);
    gateway.delivers(&knock(&A, 6000, SYN).from(STRANGER), &A, end);
    gateway.sends(&from_other(PacketBuilder::tcp(end, STRANGER, SYN | ACK)), &A, 6000);
}

/// Of whoever forwards, the mapping of another host on the port does not come first: there is none.
#[test]
fn a_forwarded_port_is_never_handed_out() {
    let mut gateway = with_forwards(&[forward(UDP, 5000, 5000, INSIDE)]);
    gateway.settings().nat_ports = PortRange { first: 5000, last: 5001 };
    gateway.sends(&from_other(PacketBuilder::udp(OTHER, SERVER)), &A, 5001);
}

#[test]
fn a_ttl_that_is_used_up_and_a_packet_too_big() {
    let gateway = with_forwards(&[forward(TCP, 443, 443, INSIDE)]);
    let late = knock(&A, 443, SYN).ttl(1).build();
    gateway.answers(A.ifindex, &late, DropReason::TtlExceeded, [11, 0], [0; 4]);
    let large = knock(&A, 443, SYN).payload(&[0; 1461]).build();
    gateway.answers(A.ifindex, &large, DropReason::TooBig, [3, 4], [0, 0, 0x05, 0xdc]);
    gateway.holds_nothing();
}

#[test]
fn in_fragments() {
    let inside = SocketAddrV4::new(lan::OTHER, 53);
    let gateway = with_forwards(&[forward(UDP, 53, 53, inside)]);
    let query = coming(PacketBuilder::udp(SERVER, public(&A, 53)), &A).payload(&[7; 100]);
    let output = reaching(&query, inside);
    for (input, want) in query.fragments(3).iter().zip(output.fragments(3)) {
        gateway.forwards_in(input, &A, &want);
    }
    gateway.holds(Sizes { invited: 1, fragments: 1, ..Sizes::default() });
}
