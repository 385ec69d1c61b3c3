//! Frames that end too soon or say what is not so.

use pointsman_ebpf::memory::PacketBuilder;
use pointsman_ebpf::memory::repair_checksums;
use pointsman_ebpf::memory::site::{A, B, SERVER as SERVER_ADDRESS, lan};
use pointsman_ebpf::verdict::DropReason;
use pointsman_ebpf::wire::tcp_flags;

use super::harness::{Gateway, HOST, SERVER, STRIDE, answer, request};

/// Every frame that is cut short is dropped, wherever the cut is.
#[test]
fn truncated_frames_are_dropped() {
    for packet in [
        request(),
        request().options(&[1; 40]),
        PacketBuilder::tcp(HOST, SERVER, tcp_flags::SYN),
        PacketBuilder::echo_request(HOST, SERVER_ADDRESS),
    ] {
        let whole = packet.build();
        for len in (0..whole.len()).step_by(STRIDE) {
            let gateway = Gateway::new();
            gateway.drops(lan::IFINDEX, &whole[..len], DropReason::Truncated);
            gateway.drops(
                A.ifindex,
                &answer(&A, 5000).build()[..len.min(40)],
                DropReason::Truncated,
            );
            gateway.holds_nothing();
        }
    }
}

/// The IP packet ends within the transport header, though the frame goes on.
#[test]
fn padding_is_not_taken_for_a_transport_header() {
    let gateway = Gateway::new();
    for (packet, header_len) in [
        (request(), 8),
        (PacketBuilder::tcp(HOST, SERVER, tcp_flags::SYN), 20),
        (PacketBuilder::echo_request(HOST, SERVER_ADDRESS), 8),
    ] {
        for len in (0..header_len).step_by(STRIDE) {
            let mut frame = packet.build();
            set_total_len(&mut frame, 20 + len);
            gateway.drops(lan::IFINDEX, &frame, DropReason::Truncated);
        }
    }
}

#[test]
fn a_total_length_beyond_the_frame_is_dropped() {
    let gateway = Gateway::new();
    let whole = request().build();
    for len in [whole.len() - 14 + 1, 1500, 65535] {
        let mut frame = whole.clone();
        set_total_len(&mut frame, len as u16);
        gateway.drops(lan::IFINDEX, &frame, DropReason::Truncated);
    }
}

#[test]
fn a_total_length_below_the_header_is_dropped() {
    let gateway = Gateway::new();
    for len in 0..20 {
        let mut frame = request().build();
        set_total_len(&mut frame, len);
        gateway.drops(lan::IFINDEX, &frame, DropReason::BadHeader);
    }
    let mut frame = request().options(&[1; 8]).build();
    set_total_len(&mut frame, 27);
    gateway.drops(lan::IFINDEX, &frame, DropReason::BadHeader);
}

#[test]
fn a_header_shorter_than_twenty_bytes_is_dropped() {
    let gateway = Gateway::new();
    for words in 0..5 {
        let mut frame = request().build();
        frame[14] = 0x40 | words;
        gateway.drops(lan::IFINDEX, &frame, DropReason::BadHeader);
    }
}

#[test]
fn a_version_other_than_four_is_dropped() {
    let gateway = Gateway::new();
    for version in (0..16).filter(|version| *version != 4) {
        let mut frame = request().build();
        frame[14] = version << 4 | 5;
        gateway.drops(lan::IFINDEX, &frame, DropReason::BadHeader);
    }
}

/// Also on the way in, where the packet would find its flow.
#[test]
fn a_wrong_header_checksum_is_dropped() {
    let gateway = Gateway::new();
    gateway.sends(&request(), &A, HOST.port());
    for at in 15..34 {
        // The length is judged before the checksum.
        if at == 16 || at == 17 {
            continue;
        }
        for (ifindex, packet) in [(lan::IFINDEX, request()), (A.ifindex, answer(&A, 5000))] {
            let mut frame = packet.build();
            frame[at] ^= 0x10;
            gateway.drops(ifindex, &frame, DropReason::BadChecksum);
        }
    }
}

#[test]
fn an_ipv6_frame_without_a_destination_is_dropped() {
    let gateway = Gateway::new();
    for ifindex in [lan::IFINDEX, A.ifindex, B.ifindex] {
        let mut frame = gateway.tables.ports[&ifindex].mac.octets().to_vec();
        frame.extend(lan::HOST_MAC);
        frame.extend([0x86, 0xdd]);
        frame.extend([0; 39]);
        gateway.drops(ifindex, &frame, DropReason::Truncated);
    }
}

fn set_total_len(frame: &mut [u8], len: u16) {
    frame[16..18].copy_from_slice(&len.to_be_bytes());
    repair_checksums(frame);
    // Where the length is beyond the frame, the checksum was not repaired, and need not be.
}
