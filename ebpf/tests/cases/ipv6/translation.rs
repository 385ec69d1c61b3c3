//! What an uplink makes of addresses (RFC 6296), and that every checksum stays right.

use std::net::Ipv6Addr;

use pointsman_ebpf::memory::site::{A, B, lan};
use pointsman_ebpf::memory::site6::{Carriage, INTERNAL, provided, within};
use pointsman_ebpf::memory::{Body6, PacketBuilder6, answer_to6, verify6};
use pointsman_ebpf::verdict::DropReason;
use pointsman_ebpf::wire::tcp_flags::{ACK, SYN};

use super::harness::{
    Gateway, HOST, HOST_A, HOST_B, HOST_OF_A, HOST_OF_B, HOST_ROUTED, SERVER, TRANSLATED, gateway,
    leaving, reaching, request, segment, segment_back,
};

/// Packets of every kind of upper layer.
fn packets() -> [PacketBuilder6; 5] {
    let echo = Body6::Echo { reply: false };
    [
        request(),
        segment(SYN),
        segment(ACK),
        PacketBuilder6::new(HOST, SERVER, echo),
        PacketBuilder6::new(HOST, SERVER, Body6::Other(47)),
    ]
}

/// The packet leaves from this address, and what the server answers to that reaches the host.
#[track_caller]
fn crosses(gateway: &Gateway, packet: &PacketBuilder6, from: Ipv6Addr, host: Ipv6Addr) {
    gateway.sends6(packet, &A, from);
    let sent = leaving(packet, &A, from).build();
    let protocol = sent[20];
    let back = match protocol {
        47 => PacketBuilder6::new(SERVER, (from, 0), Body6::Other(47))
            .macs(A.gateway_mac, A.mac)
            .build(),
        _ => answer_to6(&sent),
    };
    let reached = match protocol {
        47 => PacketBuilder6::new(SERVER, (host, 0), Body6::Other(47))
            .macs(lan::MAC, lan::HOST_MAC)
            .hop_limit(63)
            .build(),
        _ => {
            let mut reached = answer_to6(&leaving(packet, &A, host).build());
            reached[..12].copy_from_slice(&[lan::HOST_MAC, lan::MAC].concat());
            reached[21] = 63;
            reached
        }
    };
    assert_eq!(verify6(&reached), Ok(()));
    gateway.forwards_in(&back, &A, &reached);
    gateway.holds6([1, 0, 0]);
    gateway.sends6(packet, &A, from);
}

#[test]
fn a_prefix_of_48_bits() {
    for packet in packets() {
        crosses(&gateway(TRANSLATED), &packet, HOST_A, HOST.0);
    }
}

/// 0xD03D is what the prefixes differ by; it goes into the identifier's first word.
#[test]
fn a_prefix_of_56_bits() {
    let carriage = [Carriage::Nptv6(56), Carriage::None];
    let shown = within(provided(&A, 56), [0xff01, 0xd03d, 0, 0, 2]);
    for packet in packets() {
        crosses(&gateway(carriage), &packet, shown, HOST.0);
    }
    // A word of all ones cannot be adjusted, and the next one is (RFC 6296 section 3.5).
    let host = within(INTERNAL, [1, 0xffff, 7, 0, 2]);
    let shown = within(provided(&A, 56), [0xff01, 0xffff, 0xd044, 0, 2]);
    for packet in packets() {
        crosses(&gateway(carriage), &packet.from_address(host), shown, host);
    }
}

/// A prefix of 32 bits: the LAN's is longer, and holds.
#[test]
fn a_prefix_of_40_bits() {
    let carriage = [Carriage::Nptv6(40), Carriage::None];
    // 2001:db8::/40 and fd00:1::/48 differ by 0xCF48.
    let shown = Ipv6Addr::new(0x2001, 0xdb8, 0, 0xcf49, 0, 0, 0, 2);
    crosses(&gateway(carriage), &request(), shown, HOST.0);
}

#[test]
fn a_routed_prefix() {
    let carriage = [Carriage::Routed; 2];
    for packet in packets() {
        crosses(&gateway(carriage), &packet.from_address(HOST_ROUTED), HOST_ROUTED, HOST_ROUTED);
    }
}

/// Each provider's own prefix leaves by it alone (RFC 8678).
#[test]
fn a_providers_own_prefix() {
    let gateway = gateway([Carriage::Source; 2]);
    gateway.sends6(&request().from_address(HOST_OF_A), &A, HOST_OF_A);
    gateway.sends6(&request().from_address(HOST_OF_B), &B, HOST_OF_B);
}

/// Every word of a subnet but 0xFFFF is translated, comes back, and leaves every checksum right.
#[test]
fn every_subnet_is_translated_and_comes_back() {
    let stride = if cfg!(miri) || super::harness::is_slow() { 4099 } else { 17 };
    let gateway = gateway(TRANSLATED);
    for subnet in (0..0xffff_u16).step_by(stride).chain([0xfffe, 0x30c0, 0x30c1, 0x30c2]) {
        let sum = u32::from(subnet) + 0xcf3e;
        let word = match (sum & 0xffff) + (sum >> 16) {
            0xffff => 0,
            word => word as u16,
        };
        let host = within(INTERNAL, [subnet, 0, 0, 0, 2]);
        let shown = within(provided(&A, 48), [word, 0, 0, 0, 2]);
        gateway.sends6(&segment(SYN).from_address(host), &A, shown);
        let back = segment_back(SYN | ACK, shown, &A);
        gateway.forwards_in(&back.build(), &A, &reaching(&back, host).build());
    }
}

/// RFC 6296 section 3.4: there is no translation of a subnet of 0xFFFF. The sender is told; the last
/// word of that message is unused, and zero (RFC 4443 section 3.1).
#[test]
fn a_subnet_of_all_ones() {
    let gateway = gateway(TRANSLATED);
    let packet = request().from_address(within(INTERNAL, [0xffff, 0, 0, 0, 2]));
    let reason = DropReason::NoTranslation;
    gateway.tells6(lan::IFINDEX, &packet.build(), reason, [1, 3], [0; 4]);
    let back = segment_back(ACK, within(provided(&A, 48), [0xffff, 0, 0, 0, 2]), &A);
    gateway.refuses6(A.ifindex, &back, reason);
}

/// RFC 6296 section 3.5: an identifier of zero is that of a subnet's routers. The sender is told what
/// of its packet is wrong: the source.
#[test]
fn an_identifier_that_would_be_zero() {
    let gateway = gateway([Carriage::Nptv6(56), Carriage::None]);
    let packet = request().from_address(within(INTERNAL, [1, 0x2fc2, 0, 0, 0]));
    let reason = DropReason::AnycastTranslation;
    gateway.tells6(lan::IFINDEX, &packet.build(), reason, [4, 0], [0, 0, 0, 8]);
    let to = within(provided(&A, 56), [0xff01, 0xd03d, 0, 0, 0]);
    gateway.refuses6(A.ifindex, &segment_back(ACK, to, &A), reason);
}

/// The LAN's prefix is longer than the uplink's translation: what is beyond has none.
#[test]
fn an_address_beyond_the_providers_prefix() {
    let gateway = gateway([Carriage::Nptv6(56), Carriage::None]);
    let packet = request().from_address(within(INTERNAL, [0x101, 0, 0, 0, 2]));
    gateway.refuses6(lan::IFINDEX, &packet, DropReason::ForeignSource);
}

/// All that is not translated stays as it was: traffic class, flow label, extension headers.
#[test]
fn extension_headers_are_carried() {
    let gateway = gateway(TRANSLATED);
    for extensions in [&[[0, 0]][..], &[[60, 1], [43, 0], [60, 0]], &[[51, 4]], &[[44, 0]]] {
        let packet = segment(SYN).traffic_class(0xb8).extensions(extensions);
        gateway.sends6(&packet, &A, HOST_A);
        let back = segment_back(SYN | ACK, HOST_A, &A).extensions(extensions);
        gateway.delivers6(&back, &A, HOST.0);
    }
    gateway.holds6([1, 0, 0]);
}

/// Another uplink shows the same host by another prefix, with state of its own for neither.
#[test]
fn what_comes_by_the_other_uplink_is_the_same_flow() {
    let gateway = gateway(TRANSLATED);
    gateway.establish_tcp6();
    gateway.delivers6(&segment_back(ACK, HOST_B, &B), &B, HOST.0);
    gateway.sends6(&segment(ACK), &A, HOST_A);
    gateway.holds6([1, 0, 0]);
}
