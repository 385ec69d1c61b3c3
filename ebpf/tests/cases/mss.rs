//! The maximum segment size of TCP (RFC 9293 section 3.7.1): clamped to what both interfaces take.

use pointsman_ebpf::memory::PacketBuilder;
use pointsman_ebpf::memory::site::{A, B, lan};
use pointsman_ebpf::wire::tcp_flags::{ACK, FIN, RST, SYN};

use super::harness::{
    Gateway, HOST, SERVER, coming, forward, from_other, leaving, public, reaching, request,
    segment, segment_back,
};

/// Both interfaces take 1500, and A takes 1400.
fn gateway() -> Gateway {
    let mut gateway = Gateway::new();
    gateway.tables.uplinks[usize::from(A.id)].mtu = 1400;
    gateway
}

/// The option with this value: 05b4 is 1460, 0550 is 1360.
const fn mss(value: u16) -> [u8; 4] {
    let [high, low] = value.to_be_bytes();
    [2, 4, high, low]
}

const WINDOW_SCALE: [u8; 4] = [1, 3, 3, 7];
const SACK_PERMITTED: [u8; 4] = [1, 1, 4, 2];
const TIMESTAMPS: [u8; 12] = [1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8];

/// A SYN with these options leaves by A with those.
#[track_caller]
fn becomes(gateway: &Gateway, options: &[u8], wanted: &[u8]) {
    let packet = segment(SYN).tcp_options(options);
    let output = leaving(&packet, &A, HOST.port()).tcp_options(wanted);
    gateway.forwards_out(&packet.build(), &A, &output.build());
}

#[track_caller]
fn stays(gateway: &Gateway, options: &[u8]) {
    becomes(gateway, options, options);
}

/// To the egress interface's MTU less 40, and never up.
#[test]
fn a_syn_is_clamped() {
    let gateway = gateway();
    for value in [1361, 1400, 1460, 8960, 65_535] {
        becomes(&gateway, &mss(value), &mss(1360));
    }
    for value in [0, 1, 536, 1359, 1360] {
        stays(&gateway, &mss(value));
    }
}

/// The SYN-ACK of a flow that waits for it, and of one that is established.
#[test]
fn a_syn_ack_is_clamped() {
    let gateway = gateway();
    gateway.sends(&segment(SYN), &A, HOST.port());
    for _ in 0..2 {
        let packet = segment_back(SYN | ACK, &A).tcp_options(&mss(1460));
        let output = reaching(&packet, HOST).tcp_options(&mss(1360));
        gateway.forwards_in(&packet.build(), &A, &output.build());
    }
    gateway.sends(&segment(ACK), &A, HOST.port());
    // And that of the LAN.
    let packet = segment(SYN | ACK).tcp_options(&mss(1460));
    let output = leaving(&packet, &A, HOST.port()).tcp_options(&mss(1360));
    gateway.forwards_out(&packet.build(), &A, &output.build());
}

/// In an established flow that starts anew, and in one that has moved to another uplink.
#[test]
fn by_the_uplink_that_the_flow_takes() {
    let gateway = gateway();
    gateway.establish_tcp(&A);
    becomes(&gateway, &mss(1460), &mss(1360));
    gateway.tables.set_alive(B.bit());
    let packet = segment(SYN).tcp_options(&mss(1460));
    gateway.sends(&packet, &B, HOST.port());
    let packet = segment(SYN).tcp_options(&mss(9000));
    let output = leaving(&packet, &B, HOST.port()).tcp_options(&mss(1460));
    gateway.forwards_out(&packet.build(), &B, &output.build());
}

/// The LAN may be the narrower side: then neither may send larger ones.
#[test]
fn by_the_lan_s_mtu() {
    let mut gateway = Gateway::new();
    gateway.tables.ports.get_mut(&lan::IFINDEX).unwrap().mtu = 1300;
    becomes(&gateway, &mss(1460), &mss(1260));
    let packet = segment_back(SYN | ACK, &A).tcp_options(&mss(1460));
    let output = reaching(&packet, HOST).tcp_options(&mss(1260));
    gateway.forwards_in(&packet.build(), &A, &output.build());
}

/// Only SYN and SYN-ACK offer a size.
#[test]
fn other_segments_stay() {
    let gateway = gateway();
    gateway.establish_tcp(&A);
    for flags in [ACK, 0, FIN | ACK, RST] {
        gateway.sends(&segment(flags).tcp_options(&mss(1460)), &A, HOST.port());
        let back = segment_back(flags, &A).tcp_options(&mss(1460));
        gateway.delivers(&back, &A, HOST);
    }
}

/// Behind and before any other option.
#[test]
fn in_any_order() {
    let gateway = gateway();
    let others: [&[u8]; 3] = [&WINDOW_SCALE, &SACK_PERMITTED, &TIMESTAMPS];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        for place in 0..=3 {
            let with = |value| {
                let mut options: Vec<&[u8]> = order.iter().map(|at| others[*at]).collect();
                let own = mss(value);
                options.insert(place, &own);
                options.concat()
            };
            becomes(&gateway, &with(1460), &with(1360));
        }
    }
}

/// At an odd place its bytes are of two words of the checksum; with every number of bytes before it.
#[test]
fn at_every_place() {
    let gateway = gateway();
    for before in 0..=36 {
        let with = |value| {
            let mut options = vec![1; before];
            options.extend(mss(value));
            options.resize((before + 4).next_multiple_of(4), 0);
            options
        };
        if before + 4 <= 40 {
            becomes(&gateway, &with(1460), &with(1360));
        }
    }
}

/// What follows the end of the options is none.
#[test]
fn behind_the_end() {
    let gateway = gateway();
    stays(&gateway, &[&[0, 1, 1, 1][..], &mss(1460)].concat());
    stays(&gateway, &[0, 2, 4, 0x05, 0xb4, 0, 0, 0]);
}

/// Options that are cut short or say what is not so neither stop the packet nor are changed.
#[test]
fn malformed_options_survive() {
    let gateway = gateway();
    for options in [
        // Its length is not its own, too short for any, or nothing.
        [2, 3, 0x05, 0xb4],
        [2, 5, 0x05, 0xb4],
        [2, 2, 0x05, 0xb4],
        [2, 1, 0x05, 0xb4],
        [2, 0, 0x05, 0xb4],
        [2, 40, 0x05, 0xb4],
        // It starts too late.
        [1, 1, 1, 2],
        [1, 1, 2, 4],
        [1, 2, 4, 0x05],
        // One before it reaches to its middle, beyond the end, or nowhere.
        [3, 3, 7, 2],
        [8, 255, 2, 4],
        [3, 1, 2, 4],
        [3, 0, 2, 4],
        [0xff, 0xff, 0xff, 0xff],
    ] {
        stays(&gateway, &options);
    }
    stays(&gateway, &[5, 0, 2, 4, 0x05, 0xb4, 0, 0]);
    stays(&gateway, &[5, 1, 2, 4, 0x05, 0xb4, 0, 0]);
    stays(&gateway, &[5, 9, 2, 4, 0x05, 0xb4, 0, 0]);
}

/// The header's length is the options' end, whatever of the payload looks like one.
#[test]
fn the_payload_is_no_option() {
    let gateway = gateway();
    let packet = segment(SYN).payload(&mss(1460));
    gateway.sends(&packet, &A, HOST.port());
    let packet = segment(SYN).tcp_options(&[1, 1, 2, 4]).payload(&[0x05, 0xb4, 0, 0]);
    gateway.sends(&packet, &A, HOST.port());
}

/// The header says that it has more options than the packet: they end with the packet.
#[test]
fn options_end_with_the_packet() {
    let gateway = gateway();
    for (options, wanted) in [(mss(1460), mss(1360)), ([1, 1, 2, 4], [1, 1, 2, 4])] {
        let with_length = |packet: PacketBuilder, words: u8| {
            let mut frame = packet.payload(&[]).build();
            frame[14 + 20 + 12] = words << 4;
            pointsman_ebpf::memory::repair_checksums(&mut frame);
            frame
        };
        let packet = segment(SYN).tcp_options(&options);
        let output = leaving(&packet, &A, HOST.port()).tcp_options(&wanted);
        for words in [7, 15] {
            let output = with_length(output.clone(), words);
            gateway.forwards_out(&with_length(packet.clone(), words), &A, &output);
        }
    }
}

/// A header that says that it is shorter than any has no options.
#[test]
fn a_header_length_below_the_least() {
    let gateway = gateway();
    for words in 0..5 {
        let shortened = |packet: PacketBuilder| {
            let mut frame = packet.build();
            frame[14 + 20 + 12] = words << 4;
            pointsman_ebpf::memory::repair_checksums(&mut frame);
            frame
        };
        let packet = segment(SYN).tcp_options(&mss(1460));
        let output = shortened(leaving(&packet, &A, HOST.port()));
        gateway.forwards_out(&shortened(packet), &A, &output);
    }
}

/// Options of IPv4 stand before the header, and are not TCP's.
#[test]
fn behind_options_of_ipv4() {
    let gateway = gateway();
    let with = |packet: PacketBuilder, value| packet.options(&[1; 12]).tcp_options(&mss(value));
    let packet = with(segment(SYN), 1460);
    let output = with(leaving(&segment(SYN), &A, HOST.port()), 1360);
    gateway.forwards_out(&packet.build(), &A, &output.build());
}

/// A SYN in fragments: only the first has options.
#[test]
fn in_fragments() {
    let gateway = gateway();
    let packet = segment(SYN).tcp_options(&mss(1460)).payload(&[0; 64]);
    let clamped = leaving(&packet, &A, HOST.port()).tcp_options(&mss(1360));
    gateway.forwards_out(&packet.fragment_of(0..40), &A, &clamped.fragment_of(0..40));
    gateway.forwards_out(&packet.fragment_of(40..88), &A, &clamped.fragment_of(40..88));
}

/// No other protocol has it.
#[test]
fn a_datagram_that_looks_like_it() {
    let gateway = gateway();
    let mut payload = vec![0; 12];
    payload[5] = SYN;
    payload.extend(mss(1460));
    gateway.sends(&request().payload(&payload), &A, HOST.port());
    let sctp = PacketBuilder::other(132, lan::HOST, *SERVER.ip())
        .payload(&[&payload, &payload[..]].concat());
    gateway.sends(&sctp, &A, 0);
}

/// By a forward, both ways.
#[test]
fn by_a_forward() {
    let inside = std::net::SocketAddrV4::new(lan::OTHER, 80);
    let mut gateway = gateway();
    gateway.set_forwards(&[forward(6, 8080, 8080, inside)]);
    let syn = coming(PacketBuilder::tcp(SERVER, public(&A, 8080), SYN), &A).tcp_options(&mss(1460));
    let output = reaching(&syn, inside).tcp_options(&mss(1360));
    gateway.forwards_in(&syn.build(), &A, &output.build());
    let back = from_other(PacketBuilder::tcp(inside, SERVER, SYN | ACK)).tcp_options(&mss(1460));
    let output = leaving(&back, &A, 8080).tcp_options(&mss(1360));
    gateway.forwards_out(&back.build(), &A, &output.build());
}

/// Between two LAN hosts, by the LAN's MTU alone: no uplink is crossed.
#[test]
fn between_lan_hosts() {
    let inside = std::net::SocketAddrV4::new(lan::OTHER, 80);
    let mut gateway = gateway();
    gateway.set_forwards(&[forward(6, 8080, 8080, inside)]);
    let syn = PacketBuilder::tcp(HOST, public(&A, 8080), SYN);
    gateway.hairpins(&syn.clone().tcp_options(&mss(1460)), &A, public(&A, HOST.port()), inside);
    let large = syn.tcp_options(&mss(9000));
    let output = reaching(&large, inside).from(public(&A, HOST.port())).tcp_options(&mss(1460));
    gateway.forwards_back(&large.build(), &A, &output.build());
}
