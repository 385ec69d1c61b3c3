//! Who may send to a mapping (RFC 4787 section 5, RFC 5382 section 4.3).

use std::net::{Ipv4Addr, SocketAddrV4};

use pointsman_ebpf::abi::{Direction, Filtering, Ipv4, Opener};
use pointsman_ebpf::memory::PacketBuilder;
use pointsman_ebpf::memory::site::{A, B, lan};
use pointsman_ebpf::path::FlowTable;
use pointsman_ebpf::verdict::DropReason;
use pointsman_ebpf::wire::tcp_flags::{ACK, RST, SYN};

use super::harness::{
    Gateway, HOST, OTHER, SERVER, STRANGER, Sizes, answer, coming, forward, from_other, public,
    request, segment, segment_back,
};

/// Another port of the server's address.
const SAME_ADDRESS: SocketAddrV4 = SocketAddrV4::new(*SERVER.ip(), 7);

/// A datagram from someone to the host's public port.
fn knock(from: SocketAddrV4) -> PacketBuilder {
    answer(&A, HOST.port()).from(from)
}

#[track_caller]
fn is_filtered(gateway: &Gateway, packet: &PacketBuilder) {
    let before = gateway.flows();
    gateway.drops(A.ifindex, &packet.build(), DropReason::Filtered);
    assert_eq!(gateway.flows(), before, "{}", gateway.tables);
}

/// RFC 4787 REQ-8, RFC 5382 REQ-3: endpoint-independent.
#[test]
fn endpoint_takes_from_anyone() {
    let gateway = Gateway::new();
    gateway.sends(&request(), &A, HOST.port());
    gateway.delivers(&knock(STRANGER), &A, HOST);
    gateway.delivers(&knock(SAME_ADDRESS), &A, HOST);
    gateway.delivers(&knock(STRANGER), &A, HOST);
    let waiting = Sizes { unreplied: 1, invited: 2, bindings: 2, ..Sizes::default() };
    gateway.holds(waiting);
    // Nobody of the LAN has opened these.
    gateway.counts_of(lan::HOST, 1, 1);
    gateway.sends(&request().to(STRANGER), &A, HOST.port());
    gateway.holds(Sizes { established: 2, invited: 1, ..waiting });
    for direction in [Direction::Out, Direction::In] {
        let (_, flow) = gateway.entry(FlowTable::Established, direction);
        assert_eq!(flow.opener, Opener::Remote as u8, "{}", gateway.tables);
    }
    gateway.delivers(&knock(STRANGER), &A, HOST);
    gateway.counts_of(lan::HOST, 1, 1);
}

/// RFC 5382 REQ-2, REQ-3: also a connection that someone else opens.
#[test]
fn endpoint_takes_connections_from_anyone() {
    let gateway = Gateway::new();
    gateway.sends(&segment(SYN), &A, HOST.port());
    gateway.delivers(&segment_back(SYN, &A).from(STRANGER), &A, HOST);
    gateway.holds(Sizes { unreplied: 1, invited: 1, bindings: 2, ..Sizes::default() });
    gateway.sends(&segment(SYN | ACK).to(STRANGER), &A, HOST.port());
    gateway.holds(Sizes { established: 2, unreplied: 1, bindings: 2, ..Sizes::default() });
    gateway.delivers(&segment_back(ACK, &A).from(STRANGER), &A, HOST);
}

/// A reset opens nothing.
#[test]
fn endpoint_takes_no_reset_of_no_connection() {
    let gateway = Gateway::new();
    gateway.sends(&segment(SYN), &A, HOST.port());
    for flags in [RST, RST | ACK, RST | SYN] {
        is_filtered(&gateway, &segment_back(flags, &A).from(STRANGER));
    }
}

/// RFC 4787 section 5: address-dependent.
#[test]
fn address_takes_from_hosts_that_were_sent_to() {
    let gateway = Gateway::with_filtering(Filtering::Address);
    gateway.sends(&request(), &A, HOST.port());
    gateway.holds(Sizes { unreplied: 1, bindings: 3, ..Sizes::default() });
    is_filtered(&gateway, &knock(STRANGER));
    gateway.delivers(&knock(SAME_ADDRESS), &A, HOST);
    gateway.holds(Sizes { unreplied: 1, invited: 1, bindings: 3, ..Sizes::default() });
    gateway.delivers(&knock(SERVER), &A, HOST);
    gateway.sends(&request().to(STRANGER), &A, HOST.port());
    let elsewhere = SocketAddrV4::new(*STRANGER.ip(), 1);
    gateway.delivers(&knock(elsewhere), &A, HOST);
}

/// What one port has sent to does not open another.
#[test]
fn address_permits_for_one_mapping_only() {
    let gateway = Gateway::with_filtering(Filtering::Address);
    gateway.sends(&request(), &A, HOST.port());
    let second = SocketAddrV4::new(lan::HOST, 5001);
    gateway.sends(&request().from(second).to(STRANGER), &A, 5001);
    is_filtered(&gateway, &knock(STRANGER));
    gateway.drops(A.ifindex, &answer(&A, 5001).build(), DropReason::Filtered);
    // Nor for another protocol.
    gateway.sends(&segment(SYN).to(STRANGER), &A, HOST.port());
    is_filtered(&gateway, &segment_back(SYN, &A).from(SAME_ADDRESS));
}

/// Nor for another uplink.
#[test]
fn address_permits_for_one_uplink_only() {
    let gateway = Gateway::with_filtering(Filtering::Address);
    gateway.sends(&request(), &A, HOST.port());
    gateway.tables.set_alive(B.bit());
    gateway.sends(&request().to(STRANGER), &B, HOST.port());
    is_filtered(&gateway, &knock(STRANGER));
    let by_b = coming(PacketBuilder::udp(SAME_ADDRESS, public(&B, HOST.port())), &B);
    gateway.drops(B.ifindex, &by_b.build(), DropReason::Filtered);
    // A flow that moves there takes its permission along.
    gateway.sends(&request(), &B, HOST.port());
    gateway.delivers(&by_b, &B, HOST);
}

/// A permission of the port's earlier owner, that the sweep has not come to yet, is not the new
/// owner's; nor is one of an older generation.
#[test]
fn a_permission_ends_with_its_mapping() {
    for generation in [false, true] {
        let mut gateway = Gateway::with_filtering(Filtering::Address);
        gateway.sends(&request(), &A, HOST.port());
        if generation {
            gateway.readdress(&A, A.address);
        }
        for (key, _) in gateway.tables.bindings() {
            if key.is_internal() || key.source() == Ipv4::default() {
                gateway.tables.remove_binding(&key);
            }
        }
        let owner = if generation { HOST } else { OTHER };
        let other = from_other(PacketBuilder::udp(owner, STRANGER));
        gateway.sends(&other, &A, HOST.port());
        is_filtered(&gateway, &knock(SAME_ADDRESS));
    }
}

/// RFC 4787 section 5: address- and port-dependent.
#[test]
fn address_and_port_takes_answers_only() {
    let gateway = Gateway::with_filtering(Filtering::AddressAndPort);
    gateway.sends(&request(), &A, HOST.port());
    for from in [STRANGER, SAME_ADDRESS] {
        is_filtered(&gateway, &knock(from));
    }
    gateway.delivers(&knock(SERVER), &A, HOST);
    is_filtered(&gateway, &knock(SAME_ADDRESS));
    gateway.holds(Sizes { established: 2, bindings: 2, ..Sizes::default() });
}

/// The answer comes from where the flow went, by the uplink that it went by.
#[test]
fn an_answer_by_another_uplink_is_none() {
    for filtering in [Filtering::Endpoint, Filtering::Address, Filtering::AddressAndPort] {
        let gateway = Gateway::with_filtering(filtering);
        gateway.sends(&request(), &A, HOST.port());
        let by_b = coming(PacketBuilder::udp(SERVER, public(&A, HOST.port())), &B);
        gateway.drops(B.ifindex, &by_b.build(), DropReason::Unsolicited);
        gateway.delivers(&answer(&A, HOST.port()), &A, HOST);
    }
}

/// RFC 4787 REQ-11: the behaviour is the same where the host did not get its own port.
#[test]
fn filtering_does_not_depend_on_the_port() {
    for (filtering, takes) in [
        (Filtering::Endpoint, [true, true]),
        (Filtering::Address, [true, false]),
        (Filtering::AddressAndPort, [false, false]),
    ] {
        for port in [5000, 5001] {
            let mut gateway = Gateway::with_nat_ports(port, port);
            gateway.settings().filtering = filtering as u8;
            gateway.sends(&request(), &A, port);
            for (from, takes) in [SAME_ADDRESS, STRANGER].into_iter().zip(takes) {
                let packet = answer(&A, port).from(from);
                if takes {
                    gateway.delivers(&packet, &A, HOST);
                } else {
                    is_filtered(&gateway, &packet);
                }
            }
        }
    }
}

/// RFC 1812 sections 5.3.7 and 5.3.8: nobody beyond an uplink has an address that must not cross a
/// router, one of the gateway's, or one of the LAN's, whatever the filtering, to a mapping or a
/// forward.
#[test]
fn sources_that_cannot_be_there() {
    for filtering in [Filtering::Endpoint, Filtering::Address, Filtering::AddressAndPort] {
        let mut gateway = Gateway::with_filtering(filtering);
        gateway.set_forwards(&[forward(17, 53, 53, OTHER)]);
        gateway.sends(&request(), &A, HOST.port());
        let before = gateway.flows();
        for address in [
            Ipv4Addr::UNSPECIFIED,
            Ipv4Addr::LOCALHOST,
            Ipv4Addr::BROADCAST,
            Ipv4Addr::new(224, 0, 0, 1),
            Ipv4Addr::new(169, 254, 0, 1),
            lan::GATEWAY,
            lan::OTHER,
            A.address,
            B.address,
        ] {
            let from = SocketAddrV4::new(address, 443);
            for to in [HOST.port(), 53] {
                let packet = answer(&A, to).from(from).build();
                gateway.drops(A.ifindex, &packet, DropReason::Martian);
            }
        }
        assert_eq!(gateway.flows(), before, "{}", gateway.tables);
    }
}

/// RFC 4787 REQ-8: what nobody of the LAN has sent from is open to nobody, in any mode.
#[test]
fn a_port_without_a_mapping_takes_nothing() {
    for filtering in [Filtering::Endpoint, Filtering::Address, Filtering::AddressAndPort] {
        let mut gateway = Gateway::with_filtering(filtering);
        gateway.add_public_address(&A, Ipv4Addr::new(203, 0, 113, 9));
        let to = SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 9), 5000);
        for packet in [
            PacketBuilder::udp(SERVER, to),
            PacketBuilder::tcp(SERVER, to, SYN),
            PacketBuilder::echo_reply(*SERVER.ip(), to),
            PacketBuilder::echo_request(SERVER, *to.ip()),
            PacketBuilder::other(47, *SERVER.ip(), *to.ip()),
        ] {
            let frame = coming(packet, &A).build();
            gateway.drops(A.ifindex, &frame, DropReason::Unsolicited);
        }
        gateway.holds_nothing();
    }
}
