//! Who may send through NAT64, and to whom.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};

use pointsman_ebpf::abi::{Inbound, Nat64};
use pointsman_ebpf::memory::site::{self, A, lan};
use pointsman_ebpf::memory::site6::{self, Carriage, GATEWAY, ROUTED, within};
use pointsman_ebpf::memory::site64::{self, WELL_KNOWN, embedded};
use pointsman_ebpf::memory::{Body6, PacketBuilder6};
use pointsman_ebpf::verdict::DropReason;
use pointsman_ebpf::wire::tcp_flags::RST;

use super::harness::{Gateway, HOST, SERVER6, answer, gateway, request, request_out, segment};

/// Address unreachable, which a host does not try again (RFC 4443 section 3.1).
const ADDRESS: [u8; 2] = [1, 3];

#[test]
fn addresses_that_nobody_beyond_the_uplinks_has() {
    let gateway = gateway();
    for address in [
        lan::GATEWAY,
        lan::HOST,
        A.address,
        Ipv4Addr::new(127, 0, 0, 1),
        Ipv4Addr::new(0, 0, 0, 1),
        Ipv4Addr::new(169, 254, 1, 1),
        Ipv4Addr::new(224, 0, 0, 1),
        Ipv4Addr::BROADCAST,
        // Of a private network, by the well-known prefix (RFC 6052 section 3.1).
        Ipv4Addr::new(192, 168, 7, 7),
    ] {
        let packet = PacketBuilder6::udp(HOST, (embedded(address), 443)).build();
        let reason = DropReason::Nat64Destination;
        gateway.tells6(lan::IFINDEX, &packet, reason, ADDRESS, [0; 4]);
    }
    gateway.holds_nothing();
}

/// A site's own prefix may stand for a provider's private network.
#[test]
fn a_private_network_by_an_own_prefix() {
    let prefix = (Ipv6Addr::new(0x2001, 0xdb8, 0x64, 0, 0, 0, 0, 0), 96);
    let gateway = Gateway::of(site64::gateway(site::prefer_a, [Carriage::None; 2], prefix));
    let server = Ipv4Addr::new(192, 168, 7, 7);
    let [a, b, c, d] = server.octets().map(u16::from);
    let server6 = Ipv6Addr::new(0x2001, 0xdb8, 0x64, 0, 0, 0, a << 8 | b, c << 8 | d);
    let output = request_out().to(SocketAddrV4::new(server, 443));
    gateway.sends64(&PacketBuilder6::udp(HOST, (server6, 443)), &A, output);
}

#[test]
fn senders_that_are_not_of_the_site() {
    let gateway = gateway();
    for (source, reason) in [
        (within(ROUTED, site6::HOST), DropReason::ForeignSource),
        (Ipv6Addr::new(0x2001, 0xdb8, 0xdead, 0, 0, 0, 0, 1), DropReason::ForeignSource),
        (embedded(Ipv4Addr::new(192, 0, 2, 1)), DropReason::ForeignSource),
        (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1), DropReason::Martian),
        (Ipv6Addr::UNSPECIFIED, DropReason::Martian),
        (GATEWAY, DropReason::Martian),
    ] {
        gateway.refuses64(lan::IFINDEX, &request().from_address(source).build(), reason);
    }
    gateway.holds_nothing();
}

#[test]
fn what_opens_no_flow() {
    let gateway = gateway();
    gateway.refuses64(lan::IFINDEX, &segment(RST).build(), DropReason::Unsolicited);
    let reply = PacketBuilder6::new(HOST, SERVER6, Body6::Echo { reply: true }).build();
    gateway.refuses64(lan::IFINDEX, &reply, DropReason::Unsolicited);
    // A router's solicitation is for the link, and of the other nobody knows what it is.
    for kind in [133, 200] {
        let message = PacketBuilder6::error(HOST.0, SERVER6.0, [kind, 0], [0; 4], b"what it says");
        gateway.refuses64(lan::IFINDEX, &message.build(), DropReason::Icmp);
    }
    gateway.holds_nothing();
}

/// Nobody beyond an uplink speaks for those whom NAT64 leads to.
#[test]
fn a_source_of_the_prefix_from_an_uplink() {
    let carriage = [Carriage::Nptv6(48), Carriage::None];
    let mut gateway = Gateway::of(site64::gateway(site::prefer_a, carriage, WELL_KNOWN));
    gateway.tables.ipv6.uplinks[usize::from(A.id)].inbound = Inbound::All as u8;
    let packet = PacketBuilder6::udp(SERVER6, (super::super::ipv6::HOST_A, HOST.1));
    let packet = packet.macs(A.gateway_mac, A.mac).build();
    gateway.refuses64(A.ifindex, &packet, DropReason::Martian);
}

#[test]
fn without_a_prefix_there_is_none() {
    let mut gateway = gateway();
    gateway.establish64();
    gateway.tables.ipv6.nat64 = Nat64::default();
    gateway.refuses64(lan::IFINDEX, &request().build(), DropReason::ForeignSource);
    gateway.refuses64(A.ifindex, &answer(&A).build(), DropReason::Unsolicited);
}
