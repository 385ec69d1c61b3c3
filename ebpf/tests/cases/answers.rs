//! ICMP messages of the gateway's own (RFC 1812 section 4.3, RFC 5508 section 7).

use std::net::{Ipv4Addr, SocketAddrV4};

use pointsman_ebpf::abi::{Filtering, Ipv4};
use pointsman_ebpf::memory::PacketBuilder;
use pointsman_ebpf::memory::site::{A, B, ICMP_BURST, ICMP_RATE, Provider, lan};
use pointsman_ebpf::verdict::DropReason;
use pointsman_ebpf::wire::tcp_flags::SYN;

use super::harness::{
    Gateway, HOST, SERVER, STRANGER, Sizes, answer, coming, forward, other_request, public,
    request, segment,
};

const LATE: DropReason = DropReason::TtlExceeded;
const IN_TRANSIT: [u8; 2] = [11, 0];
const NO_ROUTE: [u8; 2] = [3, 0];
const TOO_BIG: [u8; 2] = [3, 4];

fn late(gateway: &Gateway, packet: PacketBuilder) {
    gateway.tells(&packet.ttl(1), LATE, IN_TRANSIT, [0; 4]);
}

/// Traceroute sees the gateway, by any protocol, before and after the flow is there; no probe opens
/// a flow.
#[test]
fn a_ttl_that_ends_here_from_the_lan() {
    let gateway = Gateway::new();
    for packet in [
        request(),
        request().without_checksum(),
        segment(SYN),
        PacketBuilder::echo_request(HOST, *SERVER.ip()),
        PacketBuilder::other(47, lan::HOST, *SERVER.ip()),
        request().options(&[1; 40]),
        request().payload(&[]),
        // What trails the packet is no part of it.
        request().payload(&[]).padding(18),
    ] {
        late(&gateway, packet);
        gateway.holds_nothing();
    }
    gateway.establish(&A);
    late(&gateway, request());
    gateway.holds(Sizes { established: 2, bindings: 2, ..Sizes::default() });
}

/// The same from beyond: from the uplink's public address, by the way that it came.
#[test]
fn a_ttl_that_ends_here_by_an_uplink() {
    let gateway = Gateway::new();
    gateway.sends(&request(), &A, HOST.port());
    for _ in 0..2 {
        let packet = answer(&A, HOST.port());
        gateway.answers(A.ifindex, &packet.clone().ttl(1).build(), LATE, IN_TRANSIT, [0; 4]);
        gateway.delivers(&packet, &A, HOST);
    }
    gateway.tables.set_alive(B.bit());
    gateway.sends(&request(), &B, HOST.port());
    let packet = answer(&B, HOST.port()).ttl(1).build();
    gateway.answers(B.ifindex, &packet, LATE, IN_TRANSIT, [0; 4]);
}

/// Nor what is for somebody, but is not let in: the answer would tell that the port is mapped.
#[test]
fn what_is_filtered_has_no_answer() {
    let gateway = Gateway::with_filtering(Filtering::AddressAndPort);
    gateway.sends(&request(), &A, HOST.port());
    let knock = answer(&A, HOST.port()).from(STRANGER);
    gateway.drops(A.ifindex, &knock.clone().ttl(1).build(), DropReason::Filtered);
    gateway.drops(A.ifindex, &knock.payload(&[0; 1473]).build(), DropReason::Filtered);
}

/// What ends here, and is for nobody, has no answer: it would tell whoever asks.
#[test]
fn a_ttl_that_ends_here_for_nobody() {
    let mut gateway = Gateway::new();
    let nobody = Provider { address: Ipv4Addr::new(203, 0, 113, 9), ..A };
    gateway.add_public_address(&A, nobody.address);
    let packet = answer(&nobody, HOST.port()).ttl(1).build();
    gateway.drops(A.ifindex, &packet, DropReason::Unsolicited);
}

/// RFC 4787 REQ-13, RFC 1191: with the MTU of the uplink that it would take, by name 1280; the other
/// uplink still takes 1500.
#[test]
fn fragmentation_needed_with_the_uplink_s_mtu() {
    let mut gateway = Gateway::new();
    gateway.tables.uplinks[usize::from(A.id)].mtu = 1280;
    let packet = |len: usize| request().payload(&vec![0x5a; len - 28]).fragment(0x4000);
    for _ in 0..2 {
        gateway.tells(&packet(1281), DropReason::TooBig, TOO_BIG, [0, 0, 0x05, 0x00]);
        gateway.sends(&packet(1280), &A, HOST.port());
        gateway.delivers(&answer(&A, HOST.port()), &A, HOST);
    }
    gateway.tables.set_alive(B.bit());
    gateway.sends(&packet(1500), &B, HOST.port());
    gateway.tells(&packet(1501), DropReason::TooBig, TOO_BIG, [0, 0, 0x05, 0xdc]);
}

/// Towards the LAN, of what comes from beyond.
#[test]
fn fragmentation_needed_with_the_lan_s_mtu() {
    let mut gateway = Gateway::new();
    gateway.tables.ports.get_mut(&lan::IFINDEX).unwrap().mtu = 1280;
    gateway.sends(&request(), &A, HOST.port());
    let packet = answer(&A, HOST.port()).payload(&[0; 1253]);
    for _ in 0..2 {
        gateway.answers(
            A.ifindex,
            &packet.build(),
            DropReason::TooBig,
            TOO_BIG,
            [0, 0, 0x05, 0x00],
        );
        gateway.delivers(&answer(&A, HOST.port()), &A, HOST);
    }
}

/// A flow that would open on no uplink, and one that has lost all.
#[test]
fn no_uplink_is_left() {
    let gateway = Gateway::new();
    let told = |packet: &PacketBuilder| {
        gateway.tells(packet, DropReason::NoUplink, NO_ROUTE, [0; 4]);
    };
    gateway.tables.set_alive(0);
    told(&request());
    told(&segment(SYN));
    told(&PacketBuilder::echo_request(HOST, *SERVER.ip()));
    gateway.holds_nothing();
    gateway.tables.set_alive(A.bit());
    gateway.sends(&request(), &A, HOST.port());
    gateway.tables.set_alive(0);
    told(&request());
    gateway.tables.set_alive(A.bit());
    gateway.delivers(&answer(&A, HOST.port()), &A, HOST);
    gateway.tables.set_alive(0);
    told(&request());
}

/// RFC 1812 section 4.3.2.3: as much as makes a message of 576 bytes, to the byte.
#[test]
fn as_much_is_quoted_as_fits() {
    let gateway = Gateway::new();
    for payload in [0, 1, 100, 519, 520, 521, 1472] {
        late(&gateway, request().payload(&vec![0x69; payload]));
        late(&gateway, request().options(&[1; 20]).payload(&vec![0x69; payload.min(1400)]));
    }
}

/// RFC 5508 REQ-8: each lack of room says that it is prohibited; what there is no room for is in
/// `mapping.rs` and `ports.rs`.
#[test]
fn prohibited() {
    let mut gateway = Gateway::with_nat_ports(5000, 5000);
    gateway.sends(&request(), &A, 5000);
    gateway.prohibits(&other_request(), DropReason::NoPort);
    gateway.settings().host_mappings_max = 0;
    gateway.prohibits(&other_request(), DropReason::HostMappings);
    gateway.settings().host_unreplied_max = 0;
    gateway.prohibits(&other_request(), DropReason::HostUnreplied);
}

/// RFC 1812 section 4.3.2.8: so many at once, then so many in a second. The rest is dropped, and
/// counted apart.
#[test]
fn messages_are_rate_limited() {
    let gateway = Gateway::on_host_only();
    let silent = || gateway.refuses(&request().ttl(1), LATE);
    gateway.tables.set_now(1 << 40);
    for _ in 0..ICMP_BURST {
        late(&gateway, request());
    }
    silent();
    // A token is there after its time and not before, and is spent.
    let token = 1_000_000_000 / u64::from(ICMP_RATE);
    gateway.tables.set_now((1 << 40) + token - 1);
    silent();
    gateway.tables.set_now((1 << 40) + token);
    late(&gateway, request());
    silent();
    // However long nothing was sent, no more are saved up than so many.
    gateway.tables.set_now(1 << 50);
    for _ in 0..ICMP_BURST {
        late(&gateway, request());
    }
    silent();
}

/// All reasons share the tokens; what is dropped without a message takes none.
#[test]
fn the_limit_is_one_for_all() {
    let mut gateway = Gateway::on_host_only();
    gateway.settings().icmp_burst = 2;
    gateway.tables.set_now(1 << 40);
    let martian = request().from(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1));
    gateway.refuses(&martian.ttl(1), LATE);
    late(&gateway, request());
    gateway.tables.set_alive(0);
    gateway.tells(&request(), DropReason::NoUplink, NO_ROUTE, [0; 4]);
    gateway.refuses(&request(), DropReason::NoUplink);
    gateway.refuses(&request().ttl(1), LATE);
}

/// None at all where none may be sent.
#[test]
fn a_limit_of_nothing() {
    let mut gateway = Gateway::new();
    gateway.settings().icmp_burst = 0;
    gateway.refuses(&request().ttl(1), LATE);
}

/// RFC 1812 section 4.3.2.7: never about an ICMP error, on either side.
#[test]
fn never_about_an_error() {
    let gateway = Gateway::new();
    gateway.establish(&A);
    let received = answer(&A, HOST.port()).to(HOST).quoted(usize::MAX);
    let error = PacketBuilder::icmp_error(lan::HOST, *SERVER.ip(), [3, 3], [0; 4], &received);
    gateway.refuses(&error.ttl(1), LATE);
    let sent = super::harness::leaving(&request(), &A, HOST.port()).quoted(usize::MAX);
    let error =
        PacketBuilder::icmp_error(STRANGER.ip().to_owned(), A.address, [11, 0], [0; 4], &sent);
    gateway.drops(A.ifindex, &coming(error, &A).ttl(1).build(), LATE);
}

/// Never about a fragment but the first.
#[test]
fn never_about_a_later_fragment() {
    let gateway = Gateway::new();
    let packet = request().payload(&[0; 100]);
    let [first, later] = &packet.fragments(2)[..] else { panic!() };
    let output = super::harness::leaving(&packet, &A, HOST.port()).fragments(2);
    gateway.forwards_out(first, &A, &output[0]);
    let late = packet.clone().ttl(1).fragments(2);
    gateway.answers(lan::IFINDEX, &late[0], LATE, IN_TRANSIT, [0; 4]);
    gateway.drops(lan::IFINDEX, &late[1], LATE);
    gateway.forwards_out(later, &A, &output[1]);
}

/// Never to whoever is not one host: martians, the network and the broadcast address of the LAN.
#[test]
fn never_to_a_source_that_is_no_host() {
    let gateway = Gateway::new();
    for source in [
        [0, 0, 0, 0],
        [127, 0, 0, 1],
        [224, 0, 0, 1],
        [255, 255, 255, 255],
        [169, 254, 1, 1],
        [10, 1, 0, 0],
        [10, 1, 255, 255],
    ] {
        let packet = request().from(SocketAddrV4::new(source.into(), 5000));
        gateway.refuses(&packet.ttl(1), LATE);
    }
    gateway.holds_nothing();
    // By an uplink, too: there, they are not even let in.
    gateway.sends(&request(), &A, HOST.port());
    for source in [[127, 0, 0, 1], [224, 0, 0, 1], [255, 255, 255, 255], [0, 0, 0, 0]] {
        let packet = answer(&A, HOST.port()).from(SocketAddrV4::new(source.into(), 1)).ttl(1);
        gateway.drops(A.ifindex, &packet.build(), DropReason::Martian);
    }
}

/// Never about what was sent to more than one host.
#[test]
fn never_about_a_multicast_or_broadcast() {
    let gateway = Gateway::new();
    for destination in [[224, 0, 0, 251], [239, 255, 255, 250], [255, 255, 255, 255]] {
        let packet = request().to(SocketAddrV4::new(destination.into(), 5000));
        gateway.refuses(&packet.clone().ttl(1), LATE);
        gateway.refuses(&packet, DropReason::Martian);
    }
}

/// Nor where the interface has no address to send it from.
#[test]
fn never_without_an_address() {
    let mut gateway = Gateway::new();
    gateway.tables.ports.get_mut(&lan::IFINDEX).unwrap().address = Ipv4::default();
    gateway.refuses(&request().ttl(1), LATE);
}

/// What is a mistake or an attack has no answer.
#[test]
fn never_about_what_is_refused_for_itself() {
    let mut gateway = Gateway::new();
    gateway.set_forwards(&[forward(6, 443, 443, HOST)]);
    gateway.refuses(&request().to(SocketAddrV4::new(lan::OTHER, 7)), DropReason::LanToLan);
    gateway.refuses(&segment(4), DropReason::Unsolicited);
    let redirect = PacketBuilder::other(1, lan::HOST, *SERVER.ip()).payload(&[5; 8]);
    gateway.refuses(&redirect, DropReason::Icmp);
    let beside = coming(PacketBuilder::udp(SERVER, public(&A, 443)).to(STRANGER), &A);
    gateway.drops(A.ifindex, &beside.build(), DropReason::Unsolicited);
}
