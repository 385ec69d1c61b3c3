//! What is no IPv6 packet, or more of one than is looked through.

use pointsman_ebpf::memory::site::{A, lan};
use pointsman_ebpf::memory::{Body6, PacketBuilder6};
use pointsman_ebpf::verdict::{DropReason, PassReason};
use pointsman_ebpf::wire::tcp_flags::SYN;

use super::harness::{
    HOST, HOST_A, SERVER, TRANSLATED, answer, gateway, is_slow, request, segment,
};

#[test]
fn another_version() {
    let gateway = gateway(TRANSLATED);
    for extensions in [&[][..], &[[0, 0]], &[[0, 200]]] {
        let mut frame = request().extensions(extensions).build();
        for version in [0, 4, 5, 7, 15] {
            frame[14] = version << 4;
            gateway.drops(lan::IFINDEX, &frame, DropReason::BadHeader);
        }
    }
}

/// Wherever the frame ends.
#[test]
fn a_frame_that_is_cut_short() {
    let gateway = gateway(TRANSLATED);
    for packet in [
        request(),
        segment(SYN),
        PacketBuilder6::new(HOST, SERVER, Body6::Echo { reply: false }),
        PacketBuilder6::new(HOST, SERVER, Body6::Other(47)),
        segment(SYN).extensions(&[[0, 1], [60, 0]]),
    ] {
        let frame = packet.build();
        for len in (14..frame.len()).step_by(if is_slow() { 7 } else { 1 }) {
            gateway.drops(lan::IFINDEX, &frame[..len], DropReason::Truncated);
        }
    }
    gateway.holds6([0; 3]);
}

/// The length of the payload ends it before the frame does: the rest is padding.
#[test]
fn a_payload_that_is_too_short() {
    let gateway = gateway(TRANSLATED);
    let protocols = [(request(), 8), (segment(SYN), 20)];
    for (packet, header) in protocols {
        let mut frame = packet.padding(40).build();
        for len in 0..header {
            frame[19] = len;
            gateway.drops(lan::IFINDEX, &frame, DropReason::Truncated);
        }
    }
    gateway.holds6([0; 3]);
    gateway.sends6(&request().payload(&[]).padding(12), &A, HOST_A);
}

/// Extension headers that end beyond the payload, though within the frame.
#[test]
fn extension_headers_that_are_too_long() {
    let gateway = gateway(TRANSLATED);
    let mut frame = request().extensions(&[[60, 0]]).padding(40).build();
    // 22 bytes are left, and a header of 24 is none.
    frame[55] = 2;
    gateway.drops(lan::IFINDEX, &frame, DropReason::Truncated);
}

/// Eight headers are walked through, and 200 bytes of them.
#[test]
fn more_extension_headers_than_are_walked_through() {
    let gateway = gateway(TRANSLATED);
    let reason = DropReason::ExtensionHeaders;
    for (extensions, is_good) in [
        (vec![[60, 0]; 8], true),
        (vec![[60, 0]; 9], false),
        (vec![[60, 24]], true),
        (vec![[60, 25]], false),
        (vec![[60, 11], [43, 12]], true),
        (vec![[60, 11], [43, 12], [0, 0]], false),
        (vec![[51, 48]], true),
        (vec![[51, 49]], false),
    ] {
        let packet = request().extensions(&extensions);
        if is_good {
            gateway.sends6(&packet, &A, HOST_A);
        } else {
            gateway.refuses6(lan::IFINDEX, &packet, reason);
        }
    }
}

/// What is in padding behind the packet is carried and says nothing.
#[test]
fn padding() {
    let gateway = gateway(TRANSLATED);
    gateway.sends6(&request().payload(b"").padding(18), &A, HOST_A);
    gateway.delivers6(&answer(HOST_A, &A).padding(1), &A, HOST.0);
}

/// Not to the interface's own MAC.
#[test]
fn for_another_station() {
    let gateway = gateway(TRANSLATED);
    for mac in [[0x33, 0x33, 0, 0, 0, 1], [0xff; 6], lan::OTHER_MAC] {
        let frame = request().macs(lan::HOST_MAC, mac).build();
        gateway.passes(lan::IFINDEX, &frame, PassReason::NotForUs);
    }
    gateway.passes(9, &request().build(), PassReason::UnknownPort);
}

/// No Next Header, and what nobody knows, is a flow without ports.
#[test]
fn an_unknown_upper_layer() {
    let gateway = gateway(TRANSLATED);
    for protocol in [1, 4, 50, 59, 132, 135, 255] {
        let packet = PacketBuilder6::new(HOST, SERVER, Body6::Other(protocol)).payload(b"");
        gateway.sends6(&packet, &A, HOST_A);
    }
    gateway.holds6([0, 7, 0]);
}
