//! LAN hosts that meet through a public address (RFC 4787 section 6, RFC 5382 section 7.2).

use std::net::{Ipv4Addr, SocketAddrV4};

use pointsman_ebpf::abi::{AddressOwner, Direction, Filtering, Forward, Ipv4, LanSide, Opener};
use pointsman_ebpf::memory::PacketBuilder;
use pointsman_ebpf::memory::site::{A, B, MTU, Provider, lan};
use pointsman_ebpf::path::FlowTable;
use pointsman_ebpf::verdict::{DropReason, PassReason};
use pointsman_ebpf::wire::tcp_flags::{ACK, RST, SYN};

use super::harness::{
    Gateway, HOST, SERVER, STRANGER, Sizes, forward, from_other, leaving, public, reaching, request,
};

/// The other host's end, which has the same port on an uplink.
const PEER: SocketAddrV4 = SocketAddrV4::new(lan::OTHER, 6000);

/// The other host has a mapping on the uplink.
fn with_peer(gateway: &Gateway, by: &Provider) {
    gateway.sends(&from_other(PacketBuilder::udp(PEER, SERVER)), by, PEER.port());
}

/// From the host to the other's public end.
fn call(of: &Provider) -> PacketBuilder {
    PacketBuilder::udp(HOST, public(of, PEER.port()))
}

/// From the other host back to the host's public end.
fn reply(of: &Provider) -> PacketBuilder {
    from_other(PacketBuilder::udp(PEER, public(of, HOST.port())))
}

/// RFC 4787 REQ-9, REQ-9a: by a mapping, both ways, each seeing the other's external address and
/// port.
#[test]
fn by_a_mapping_both_ways() {
    let gateway = Gateway::new();
    with_peer(&gateway, &A);
    gateway.hairpins(&call(&A), &A, public(&A, HOST.port()), PEER);
    // The host's own mapping, and both entries of the flow.
    gateway.holds(Sizes { unreplied: 3, bindings: 4, ..Sizes::default() });
    gateway.counts_of(lan::HOST, 1, 1);
    gateway.counts_of(lan::OTHER, 1, 1);
    gateway.hairpins(&reply(&A), &A, public(&A, PEER.port()), HOST);
    gateway.holds(Sizes { established: 2, unreplied: 1, bindings: 4, ..Sizes::default() });
    gateway.counts_of(lan::HOST, 1, 0);
    for _ in 0..2 {
        gateway.hairpins(&call(&A), &A, public(&A, HOST.port()), PEER);
        gateway.hairpins(&reply(&A), &A, public(&A, PEER.port()), HOST);
    }
    gateway.holds(Sizes { established: 2, unreplied: 1, bindings: 4, ..Sizes::default() });
}

/// Before the answer the packet may be sent again.
#[test]
fn an_unanswered_call_is_repeated() {
    let gateway = Gateway::new();
    with_peer(&gateway, &A);
    for _ in 0..3 {
        gateway.hairpins(&call(&A), &A, public(&A, HOST.port()), PEER);
        gateway.holds(Sizes { unreplied: 3, bindings: 4, ..Sizes::default() });
        gateway.counts_of(lan::HOST, 1, 1);
    }
}

/// What each entry says of the flow.
#[test]
fn the_entries_of_a_hairpin_flow_are_each_others_peer() {
    let gateway = Gateway::new();
    with_peer(&gateway, &A);
    gateway.hairpins(&call(&A), &A, public(&A, HOST.port()), PEER);
    gateway.hairpins(&reply(&A), &A, public(&A, PEER.port()), HOST);
    let entries = gateway.tables.flows(FlowTable::Established);
    let [(first_key, first), (second_key, second)] = entries[..] else {
        panic!("{}", gateway.tables);
    };
    assert_eq!(first_key.peer(&first), second_key);
    assert_eq!(second_key.peer(&second), first_key);
    for (key, flow) in entries {
        assert_eq!(flow.direction, Direction::Hairpin as u8, "{}", gateway.tables);
        let lan = key.source().octets() == lan::HOST.octets();
        let opener = if lan { Opener::Lan } else { Opener::Remote };
        assert_eq!(flow.opener, opener as u8, "{}", gateway.tables);
    }
}

/// RFC 5382 REQ-8: connections of TCP.
#[test]
fn a_connection() {
    let gateway = Gateway::new();
    gateway.sends(&from_other(PacketBuilder::tcp(PEER, SERVER, SYN)), &A, PEER.port());
    let call = |flags| PacketBuilder::tcp(HOST, public(&A, PEER.port()), flags);
    let reply = |flags| from_other(PacketBuilder::tcp(PEER, public(&A, HOST.port()), flags));
    gateway.hairpins(&call(SYN), &A, public(&A, HOST.port()), PEER);
    gateway.hairpins(&reply(SYN | ACK), &A, public(&A, PEER.port()), HOST);
    gateway.holds(Sizes { established: 2, unreplied: 1, bindings: 4, ..Sizes::default() });
    gateway.hairpins(&call(ACK), &A, public(&A, HOST.port()), PEER);
    gateway.hairpins(&reply(ACK), &A, public(&A, PEER.port()), HOST);
}

/// A refusal is delivered, and does not establish.
#[test]
fn a_refused_connection() {
    let gateway = Gateway::new();
    gateway.sends(&from_other(PacketBuilder::tcp(PEER, SERVER, SYN)), &A, PEER.port());
    let call = PacketBuilder::tcp(HOST, public(&A, PEER.port()), SYN);
    let refusal = from_other(PacketBuilder::tcp(PEER, public(&A, HOST.port()), RST | ACK));
    gateway.hairpins(&call, &A, public(&A, HOST.port()), PEER);
    gateway.hairpins(&refusal, &A, public(&A, PEER.port()), HOST);
    gateway.holds(Sizes { unreplied: 3, bindings: 4, ..Sizes::default() });
}

/// Both hosts call each other before either has the other's packet.
#[test]
fn both_call_at_once() {
    let gateway = Gateway::new();
    with_peer(&gateway, &A);
    gateway.sends(&request(), &A, HOST.port());
    gateway.hairpins(&call(&A), &A, public(&A, HOST.port()), PEER);
    gateway.hairpins(&reply(&A), &A, public(&A, PEER.port()), HOST);
    gateway.hairpins(&call(&A), &A, public(&A, HOST.port()), PEER);
    gateway.holds(Sizes { established: 2, unreplied: 2, bindings: 4, ..Sizes::default() });
}

/// By the address of an uplink that new flows do not take, and that cannot even send: nothing goes
/// out.
#[test]
fn by_any_uplink_dead_or_alive() {
    let gateway = Gateway::new();
    gateway.tables.set_alive(B.bit());
    with_peer(&gateway, &B);
    for alive in [A.bit() | B.bit(), A.bit(), 0] {
        gateway.tables.set_alive(alive);
        gateway.hairpins(&call(&B), &B, public(&B, HOST.port()), PEER);
        gateway.hairpins(&reply(&B), &B, public(&B, PEER.port()), HOST);
    }
}

/// The host did not get its own port: what the other sees is the port that it got.
#[test]
fn the_sender_has_another_port() {
    let gateway = Gateway::with_nat_ports(6000, 6001);
    with_peer(&gateway, &A);
    let host = SocketAddrV4::new(lan::HOST, 6000);
    let packet = PacketBuilder::udp(host, public(&A, 6000));
    gateway.hairpins(&packet, &A, public(&A, 6001), PEER);
    let back = from_other(PacketBuilder::udp(PEER, public(&A, 6001)));
    gateway.hairpins(&back, &A, public(&A, 6000), host);
}

/// A host that calls itself gets its packet from its own external address.
#[test]
fn a_host_calls_itself() {
    let gateway = Gateway::new();
    gateway.sends(&request(), &A, HOST.port());
    let packet = PacketBuilder::udp(HOST, public(&A, HOST.port()));
    for _ in 0..2 {
        gateway.hairpins(&packet, &A, public(&A, HOST.port()), HOST);
    }
    gateway.counts_of(lan::HOST, 1, 1);
}

/// By a forward, both ways: the port of the host is not the public one.
#[test]
fn by_a_forward_both_ways() {
    let mut gateway = Gateway::new();
    let inside = SocketAddrV4::new(lan::OTHER, 80);
    gateway.set_forwards(&[forward(6, 8080, 8080, inside)]);
    let call = |flags| PacketBuilder::tcp(HOST, public(&A, 8080), flags);
    let reply = |flags| from_other(PacketBuilder::tcp(inside, public(&A, HOST.port()), flags));
    gateway.hairpins(&call(SYN), &A, public(&A, HOST.port()), inside);
    gateway.hairpins(&reply(SYN | ACK), &A, public(&A, 8080), HOST);
    gateway.hairpins(&call(ACK), &A, public(&A, HOST.port()), inside);
    gateway.holds(Sizes { established: 2, bindings: 2, ..Sizes::default() });
    gateway.counts_of(lan::HOST, 1, 0);
    gateway.counts_of(lan::OTHER, 0, 0);
}

/// A forward that takes from some senders only takes none of the LAN, unless it names them.
#[test]
fn a_forward_of_others_only() {
    let mut gateway = Gateway::new();
    let inside = SocketAddrV4::new(lan::OTHER, 80);
    let mut limited = forward(6, 8080, 8080, inside);
    limited.source_count = 1;
    limited.sources[0].network = u32::from(*SERVER.ip());
    limited.sources[0].mask = u32::MAX;
    gateway.set_forwards(&[limited]);
    let packet = PacketBuilder::tcp(HOST, public(&A, 8080), SYN);
    gateway.drops(lan::IFINDEX, &packet.build(), DropReason::Filtered);
    gateway.holds_nothing();
}

#[test]
fn a_forward_s_host_that_is_not_known() {
    let mut gateway = Gateway::new();
    let inside = SocketAddrV4::new(lan::OTHER, 80);
    let unknown = LanSide::default();
    gateway.set_forwards(&[Forward { lan: unknown, ..forward(6, 8080, 8080, inside) }]);
    let packet = PacketBuilder::tcp(HOST, public(&A, 8080), SYN);
    gateway.refuses(&packet, DropReason::ForwardUnresolved);
    gateway.holds_nothing();
}

/// Of an echo to a public address nothing says which host is meant: it is the gateway's to answer.
#[test]
fn an_echo_to_a_public_address_is_the_kernel_s() {
    let gateway = Gateway::new();
    gateway.sends(&from_other(PacketBuilder::echo_request(PEER, *SERVER.ip())), &A, PEER.port());
    for of in [A, B] {
        let packet = PacketBuilder::echo_request(HOST, of.address).build();
        gateway.passes(lan::IFINDEX, &packet, PassReason::Local);
    }
    gateway.holds(Sizes { unreplied: 1, bindings: 2, ..Sizes::default() });
}

/// A public address that the kernel does not have, and nobody behind the port.
#[test]
fn to_nobody() {
    let mut gateway = Gateway::new();
    let address = Ipv4Addr::new(203, 0, 113, 9);
    let owner = AddressOwner::translated(A.id);
    gateway.tables.local.insert(Ipv4::new(address.octets()).into(), owner);
    let packet = PacketBuilder::udp(HOST, SocketAddrV4::new(address, 7));
    gateway.refuses(&packet, DropReason::Unsolicited);
    gateway.holds_nothing();
}

/// What opens no flow opens none here.
#[test]
fn a_reset_of_no_connection() {
    let gateway = Gateway::new();
    gateway.sends(&from_other(PacketBuilder::tcp(PEER, SERVER, SYN)), &A, PEER.port());
    let packet = PacketBuilder::tcp(HOST, public(&A, PEER.port()), RST);
    gateway.refuses(&packet, DropReason::Unsolicited);
    gateway.counts_of(lan::HOST, 0, 0);
}

#[test]
fn martians_and_the_gateway_s_own_addresses_as_source() {
    let gateway = Gateway::new();
    with_peer(&gateway, &A);
    for address in [[127, 0, 0, 1], [224, 0, 0, 1], A.address.octets(), lan::GATEWAY.octets()] {
        let packet = call(&A).from(SocketAddrV4::new(address.into(), 5000));
        gateway.refuses(&packet, DropReason::Martian);
    }
}

/// RFC 4787 section 6 with filtering: what the other host has not sent to, is not let in, however
/// often it is tried; once it has, it is.
#[test]
fn filtering_holds_between_lan_hosts() {
    for filtering in [Filtering::Address, Filtering::AddressAndPort] {
        let gateway = Gateway::with_filtering(filtering);
        with_peer(&gateway, &A);
        gateway.sends(&request(), &A, HOST.port());
        for _ in 0..3 {
            gateway.drops(lan::IFINDEX, &call(&A).build(), DropReason::Filtered);
        }
        // The host has sent to the other, so the other's packet is let in: and then, so is its own.
        gateway.hairpins(&reply(&A), &A, public(&A, PEER.port()), HOST);
        gateway.hairpins(&call(&A), &A, public(&A, HOST.port()), PEER);
    }
}

/// Another port of the same host has not sent to the other: with filtering by address it may, for
/// both are the same address.
#[test]
fn filtering_by_address_takes_all_behind_the_address() {
    let gateway = Gateway::with_filtering(Filtering::Address);
    with_peer(&gateway, &A);
    let towards_us = from_other(PacketBuilder::udp(PEER, public(&A, 5999)));
    let third = SocketAddrV4::new(lan::HOST, 5999);
    gateway.sends(&request().from(third), &A, 5999);
    gateway.drops(lan::IFINDEX, &towards_us.build(), DropReason::Filtered);
    gateway.hairpins(&call(&A), &A, public(&A, HOST.port()), PEER);
}

/// The limits of a host hold here, too.
#[test]
fn a_host_at_its_limits() {
    let mut gateway = Gateway::new();
    with_peer(&gateway, &A);
    gateway.settings().host_mappings_max = 0;
    gateway.prohibits(&call(&A), DropReason::HostMappings);
    gateway.settings().host_mappings_max = 1;
    gateway.settings().host_unreplied_max = 0;
    gateway.prohibits(&call(&A), DropReason::HostUnreplied);
    gateway.counts_of(lan::HOST, 0, 0);
}

#[test]
fn a_ttl_that_is_used_up() {
    let gateway = Gateway::new();
    with_peer(&gateway, &A);
    let reason = DropReason::TtlExceeded;
    gateway.tells(&call(&A).ttl(1), reason, [11, 0], [0; 4]);
    gateway.hairpins(&call(&A), &A, public(&A, HOST.port()), PEER);
    gateway.tells(&call(&A).ttl(1), reason, [11, 0], [0; 4]);
    gateway.hairpins(&reply(&A), &A, public(&A, PEER.port()), HOST);
    gateway.tells(&call(&A).ttl(1), reason, [11, 0], [0; 4]);
}

#[test]
fn larger_than_the_lan_takes() {
    let gateway = Gateway::new();
    with_peer(&gateway, &A);
    let packet = call(&A).payload(&[7; MTU as usize - 27]);
    gateway.tells(&packet, DropReason::TooBig, [3, 4], [0, 0, 0x05, 0xdc]);
    gateway.hairpins(&call(&A).payload(&[7; MTU as usize - 28]), &A, public(&A, 5000), PEER);
}

/// Fragments follow the first, by both addresses' translation.
#[test]
fn in_fragments() {
    let gateway = Gateway::new();
    with_peer(&gateway, &A);
    let packet = call(&A).payload(&[0x5a; 100]);
    let output = reaching(&packet, PEER).from(public(&A, HOST.port()));
    for (input, want) in packet.fragments(3).iter().zip(output.fragments(3)) {
        gateway.forwards_back(input, &A, &want);
    }
    let back = reply(&A).payload(&[0xa5; 100]);
    let output = reaching(&back, HOST).from(public(&A, PEER.port()));
    for (input, want) in back.fragments(3).iter().zip(output.fragments(3)) {
        gateway.forwards_back(input, &A, &want);
    }
}

/// UDP without a checksum stays without, and options stay.
#[test]
fn without_a_checksum_and_with_options() {
    let gateway = Gateway::new();
    with_peer(&gateway, &A);
    let plain = call(&A).without_checksum();
    gateway.hairpins(&plain, &A, public(&A, HOST.port()), PEER);
    gateway.hairpins(&call(&A).options(&[1; 12]), &A, public(&A, HOST.port()), PEER);
}

/// The address is gone: so is the flow.
#[test]
fn an_address_that_is_gone() {
    let mut gateway = Gateway::new();
    with_peer(&gateway, &A);
    gateway.hairpins(&call(&A), &A, public(&A, HOST.port()), PEER);
    gateway.hairpins(&reply(&A), &A, public(&A, PEER.port()), HOST);
    let now = Provider { address: Ipv4Addr::new(203, 0, 113, 9), ..A };
    gateway.readdress(&A, now.address);
    // To an address of somebody else now: it leaves as any other packet.
    let output = leaving(&call(&A), &now, HOST.port()).build();
    gateway.forwards_out(&call(&A).build(), &now, &output);
}

/// Someone beyond the uplink sees nothing of it, and takes no part.
#[test]
fn beyond_the_uplink_nothing_changes() {
    let gateway = Gateway::new();
    with_peer(&gateway, &A);
    gateway.hairpins(&call(&A), &A, public(&A, HOST.port()), PEER);
    gateway.hairpins(&reply(&A), &A, public(&A, PEER.port()), HOST);
    let knock = super::harness::answer(&A, PEER.port()).from(STRANGER);
    gateway.delivers(&knock, &A, PEER);
}
