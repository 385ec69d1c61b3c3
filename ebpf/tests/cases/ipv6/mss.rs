//! The maximum segment size of SYN and SYN-ACK: what both interfaces take, less the headers (RFC 8200
//! section 8.3).

use pointsman_ebpf::memory::PacketBuilder6;
use pointsman_ebpf::memory::site::{A, lan};
use pointsman_ebpf::wire::tcp_flags::{ACK, SYN};

use super::harness::{
    Gateway, HOST, HOST_A, TRANSLATED, gateway, leaving, reaching, segment, segment_back,
};

fn offering(packet: PacketBuilder6, size: u16) -> PacketBuilder6 {
    let [high, low] = size.to_be_bytes();
    packet.tcp_options(&[2, 4, high, low])
}

/// A SYN that offers `size` leaves offering `clamped`.
#[track_caller]
fn clamps_out(gateway: &Gateway, size: u16, clamped: u16) {
    let output = leaving(&offering(segment(SYN), clamped), &A, HOST_A);
    gateway.forwards_out(&offering(segment(SYN), size).build(), &A, &output.build());
}

#[test]
fn the_smaller_of_both_mtus() {
    let mut gateway = gateway(TRANSLATED);
    clamps_out(&gateway, 1460, 1440);
    clamps_out(&gateway, 1440, 1440);
    clamps_out(&gateway, 1220, 1220);
    gateway.uplink6(&A).mtu = 1400;
    clamps_out(&gateway, 1440, 1340);
    gateway.uplink6(&A).mtu = 1500;
    gateway.tables.ports.get_mut(&lan::IFINDEX).unwrap().mtu = 1300;
    gateway.tables.ipv6.remove_pin(
        pointsman_ebpf::path::FlowTable::Unreplied,
        &gateway.tables.ipv6.pins(pointsman_ebpf::path::FlowTable::Unreplied)[0].0,
    );
    clamps_out(&gateway, 1440, 1240);
    let back = segment_back(SYN | ACK, HOST_A, &A);
    let output = reaching(&offering(back.clone(), 1240), HOST.0);
    gateway.forwards_in(&offering(back, 1460).build(), &A, &output.build());
}

/// Behind extension headers, and at an odd place.
#[test]
fn wherever_it_is() {
    let gateway = gateway(TRANSLATED);
    let packet = segment(SYN).extensions(&[[0, 0], [60, 2]]);
    let input = packet.clone().tcp_options(&[1, 2, 4, 0xff, 0xff, 0, 0, 0]);
    let output = packet.tcp_options(&[1, 2, 4, 0x05, 0xa0, 0, 0, 0]);
    gateway.forwards_out(&input.build(), &A, &leaving(&output, &A, HOST_A).build());
}

/// Behind as many bytes of extension headers as are walked through.
#[test]
fn as_far_back_as_it_may_be() {
    let gateway = gateway(TRANSLATED);
    for len in [7, 8, 9, 15, 16, 24] {
        let packet = segment(SYN).extensions(&[[60, len]]);
        let output = leaving(&offering(packet.clone(), 1440), &A, HOST_A);
        gateway.forwards_out(&offering(packet, 1460).build(), &A, &output.build());
    }
}

/// Nothing else is changed: no segment without SYN, and no option that is cut short.
#[test]
fn nothing_else() {
    let gateway = gateway(TRANSLATED);
    gateway.sends6(&offering(segment(ACK), 9000), &A, HOST_A);
    gateway.sends6(&segment(SYN).tcp_options(&[1, 1, 2, 4]), &A, HOST_A);
    gateway.sends6(&segment(SYN).tcp_options(&[2, 3, 0xff, 0xff]), &A, HOST_A);
    gateway.sends6(&segment(SYN).tcp_options(&[0, 2, 4, 0xff, 0xff, 0, 0, 0]), &A, HOST_A);
}
