//! What of a packet is changed, and what is not: segment sizes, sizes, extension headers, padding.

use pointsman_ebpf::memory::PacketBuilder6;
use pointsman_ebpf::memory::site::{A, lan};
use pointsman_ebpf::verdict::DropReason;
use pointsman_ebpf::wire::tcp_flags::{ACK, SYN};

use super::harness::{
    Gateway, HOST, answer, echo, gateway, leaving, public, reaching, reply, request, segment,
    segment_back,
};
use pointsman_ebpf::abi::PortRange;

/// A port that is no host's own is given, so that it is changed either way.
fn shifted() -> Gateway {
    let mut gateway = gateway();
    gateway.settings().nat_ports = PortRange { first: 40_000, last: 40_001 };
    gateway
}

/// All that is not translated stays as it was: traffic class, extension headers.
#[test]
fn extension_headers_are_carried() {
    for extensions in [
        &[[0, 0]][..],
        &[[60, 1], [43, 0], [60, 0]],
        &[[51, 4]],
        &[[44, 0]],
        &[[60, 24]],
        &[[60, 11], [43, 12]],
        &[[60, 0]; 8],
    ] {
        let gateway = shifted();
        for (sent, back) in [
            (segment(SYN), segment_back(SYN | ACK, &A)),
            (segment(ACK), segment_back(ACK, &A)),
            (request(), answer(&A)),
            (echo(), reply(&A)),
        ] {
            let with = |packet: PacketBuilder6| packet.traffic_class(0xb8).extensions(extensions);
            gateway.sends66(&with(sent), &A, 40_000);
            gateway.delivers66(&with(back.to(public(&A, 40_000))), &A, HOST);
        }
        gateway.holds66([6, 0, 0], 6);
    }
}

/// More than are looked through.
#[test]
fn more_extension_headers_than_are_walked_through() {
    let gateway = gateway();
    for extensions in [&[[60, 0]; 9][..], &[[60, 25]], &[[51, 49]]] {
        let packet = request().extensions(extensions);
        gateway.refuses66(lan::IFINDEX, &packet, DropReason::ExtensionHeaders);
    }
}

/// What is in padding behind the packet is carried and says nothing.
#[test]
fn padding() {
    let gateway = shifted();
    gateway.sends66(&request().payload(b"").padding(18), &A, 40_000);
    gateway.delivers66(&answer(&A).to(public(&A, 40_000)).padding(1), &A, HOST);
}

/// A frame that is cut short is no packet, wherever it ends.
#[test]
fn a_frame_that_is_cut_short() {
    let gateway = gateway();
    for packet in [request(), segment(SYN), echo(), segment(SYN).extensions(&[[0, 1], [60, 0]])] {
        let frame = packet.build();
        for len in (14..frame.len()).step_by(7) {
            gateway.drops(lan::IFINDEX, &frame[..len], DropReason::Truncated);
        }
    }
    gateway.holds66([0; 3], 0);
}

fn offering(packet: PacketBuilder6, size: u16) -> PacketBuilder6 {
    let [high, low] = size.to_be_bytes();
    packet.tcp_options(&[2, 4, high, low])
}

/// SYN and SYN-ACK offer what both interfaces take, less the headers (RFC 8200 section 8.3), whatever
/// else is changed of them.
#[test]
fn segment_sizes() {
    for (lan_mtu, uplink_mtu, clamped) in
        [(1500, 1500, 1440), (1500, 1400, 1340), (1300, 1500, 1240)]
    {
        let mut gateway = shifted();
        gateway.uplink6(&A).mtu = uplink_mtu;
        gateway.tables.ports.get_mut(&lan::IFINDEX).unwrap().mtu = lan_mtu;
        let sent = |size| offering(segment(SYN), size);
        gateway.forwards_out(&sent(1460).build(), &A, &leaving(&sent(clamped), &A, 40_000).build());
        let back = |size| offering(segment_back(SYN | ACK, &A).to(public(&A, 40_000)), size);
        gateway.forwards_in(&back(1460).build(), &A, &reaching(&back(clamped), HOST).build());
        // No more than is offered, and nothing of another segment.
        gateway.sends66(&sent(1220), &A, 40_000);
        gateway.sends66(&offering(segment(ACK), 9000), &A, 40_000);
        gateway.delivers66(&offering(segment_back(ACK, &A), 9000).to(public(&A, 40_000)), &A, HOST);
    }
}

/// Behind extension headers, and at an odd place.
#[test]
fn segment_sizes_wherever_they_are() {
    let gateway = shifted();
    let packet = segment(SYN).extensions(&[[0, 0], [60, 22]]);
    let input = packet.clone().tcp_options(&[1, 2, 4, 0xff, 0xff, 0, 0, 0]);
    let output = packet.tcp_options(&[1, 2, 4, 0x05, 0xa0, 0, 0, 0]);
    gateway.forwards_out(&input.build(), &A, &leaving(&output, &A, 40_000).build());
}

/// Too large for the uplink, of no flow and of one; and for the LAN.
#[test]
fn too_big() {
    let mut gateway = gateway();
    gateway.uplink6(&A).mtu = 1400;
    let (large, mtu) = (request().payload(&[1; 1400 - 47]), 1400_u32.to_be_bytes());
    let tells = |gateway: &Gateway| {
        let frame = large.build();
        gateway.tells6(lan::IFINDEX, &frame, DropReason::TooBig, [2, 0], mtu);
    };
    tells(&gateway);
    gateway.holds66([0; 3], 0);
    gateway.establish66();
    tells(&gateway);
    gateway.sends66(&request().payload(&[1; 1400 - 48]), &A, HOST.1);
    // The host's side as it was when the flow was opened.
    let mut gateway = super::harness::gateway();
    gateway.tables.ports.get_mut(&lan::IFINDEX).unwrap().mtu = 1280;
    gateway.establish66();
    let large = answer(&A).payload(&[1; 1280 - 47]).build();
    let mtu = 1280_u32.to_be_bytes();
    gateway.tells6(A.ifindex, &large, DropReason::TooBig, [2, 0], mtu);
    gateway.delivers66(&answer(&A).payload(&[1; 1280 - 48]), &A, HOST);
}

/// More than a page.
#[test]
fn jumbo() {
    let mut gateway = shifted();
    for port in gateway.tables.ports.values_mut() {
        port.mtu = 9000;
    }
    gateway.uplink6(&A).mtu = 9000;
    for _ in 0..2 {
        gateway.sends66(&request().payload(&[0x5a; 9000 - 48]), &A, 40_000);
        let back = answer(&A).to(public(&A, 40_000));
        gateway.delivers66(&back.payload(&[0xa5; 9000 - 48]), &A, HOST);
    }
}
