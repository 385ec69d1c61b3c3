//! What TAYGA does in another way.

use pointsman_ebpf::memory::site::{A, lan};
use pointsman_ebpf::memory::{MemoryTables, PacketBuilder};

use crate::errors::{error_in, error_out, received};
use crate::oracle::Tayga;
use crate::packets::{
    DONT_FRAGMENT, OWN, PUBLIC, SERVER, as_tayga_identifies, coming, gateway, incoming, ours,
    outgoing, payload, same_in, same_out, sent,
};

/// What comes in by this interface is translated here, and TAYGA drops it.
#[track_caller]
fn only_ours(tayga: &Tayga, tables: &MemoryTables, ifindex: u32, frame: &[u8]) -> Vec<u8> {
    let ours = ours(tables, ifindex, frame);
    assert!(tayga.translate(&frame[14..]).is_empty(), "TAYGA knows {:02x?}", &frame[14..]);
    ours.unwrap_or_else(|| panic!("not translated: {:02x?}", &frame[14..]))
}

/// RFC 7915 sections 4.2 and 5.2, figures 3 and 6, as RFC 6145 has them already.
#[test]
fn tayga_translates_no_pointer() {
    let (tayga, tables) = (Tayga::start(OWN), gateway(OWN));
    let quote = sent()[0].quoted(usize::MAX);
    let error = coming(error_in([12, 0], [8, 0, 0, 0], &quote)).build();
    let packet = only_ours(&tayga, &tables, A.ifindex, &error);
    assert_eq!((&packet[40..42], &packet[44..48]), (&[4, 0][..], &[0, 0, 0, 7][..]));
    let quote = received()[0].quoted(usize::MAX);
    let error = error_out([4, 0], 7_u32.to_be_bytes(), &quote).build();
    let packet = only_ours(&tayga, &tables, lan::IFINDEX, &error);
    assert_eq!((&packet[20..22], &packet[24..28]), (&[12, 0][..], &[8, 0, 0, 0][..]));
}

/// RFC 7915 section 5.2, figure 5: it is host unreachable.
#[test]
fn tayga_does_not_know_an_unreachable_address() {
    let (tayga, tables) = (Tayga::start(OWN), gateway(OWN));
    let quote = received()[0].quoted(usize::MAX);
    let error = error_out([1, 3], [0; 4], &quote).build();
    let packet = only_ours(&tayga, &tables, lan::IFINDEX, &error);
    assert_eq!(packet[20..22], [3, 1]);
}

/// RFC 7915 section 5.3 makes no difference between a request and a reply.
#[test]
fn tayga_translates_no_error_about_an_echo_reply() {
    let (tayga, tables) = (Tayga::start(OWN), gateway(OWN));
    let quote = received()[2].quoted(usize::MAX);
    let error = error_out([1, 4], [0; 4], &quote).build();
    let packet = only_ours(&tayga, &tables, lan::IFINDEX, &error);
    assert_eq!((packet[20], packet[48]), (3, 0));
}

/// Routers may quote as little as eight bytes (RFC 792), which name the ports.
#[test]
fn tayga_wants_a_whole_header_of_tcp() {
    let (tayga, tables) = (Tayga::start(OWN), gateway(OWN));
    let quote = sent()[1].quoted(28);
    let error = coming(error_in([11, 0], [0; 4], &quote)).build();
    assert_eq!(only_ours(&tayga, &tables, A.ifindex, &error).len(), 40 + 8 + 48);
    let error = error_out([1, 4], [0; 4], &received()[1].quoted(48)).build();
    assert_eq!(only_ours(&tayga, &tables, lan::IFINDEX, &error).len(), 20 + 8 + 28);
}

/// RFC 1812 section 4.3.2.3 has routers quote no more; RFC 7915 has translators keep what is there.
#[test]
fn tayga_cuts_errors_to_576_bytes() {
    let (tayga, tables) = (Tayga::start(OWN), gateway(OWN));
    for packet in received().iter().take(2) {
        let quote = packet.clone().payload(&payload(1400)).quoted(1232);
        let error = error_out([1, 4], [0; 4], &quote).build();
        let ours = ours(&tables, lan::IFINDEX, &error).unwrap();
        let theirs = tayga.translate(&error[14..]).remove(0);
        assert_eq!((ours.len(), theirs.len()), (1240, 576));
        // But for lengths and checksums, one is the beginning of the other.
        assert_eq!(ours[24..576], theirs[24..]);
    }
}

/// RFC 7915 section 4.5 has two ways to choose from; RFC 6145 section 4.5 too.
#[test]
fn tayga_drops_udp_without_a_checksum() {
    let (tayga, tables) = (Tayga::start(OWN), gateway(OWN));
    let packet = PacketBuilder::udp(SERVER, PUBLIC).fragment(DONT_FRAGMENT);
    let ours =
        only_ours(&tayga, &tables, A.ifindex, &coming(packet.clone().without_checksum()).build());
    let [theirs] = &tayga.translate(&packet.build()[14..])[..] else { panic!("it has a checksum") };
    assert_eq!(&ours, theirs);
}

/// RFC 7915 section 4.1: what is longer than 1280 bytes, or than the network takes, and may be fragmented.
/// Here that is the MTU of the LAN's interface, and nothing is fragmented.
#[test]
fn tayga_fragments_above_1280_bytes() {
    let (tayga, tables) = (Tayga::start(OWN), gateway(OWN));
    let packet = PacketBuilder::udp(SERVER, PUBLIC).payload(&payload(1400));
    let ours = ours(&tables, A.ifindex, &coming(packet.clone()).build()).unwrap();
    let theirs = tayga.translate(&packet.build()[14..]);
    let carried: Vec<u8> = theirs.iter().flat_map(|packet| packet[48..].to_vec()).collect();
    assert_eq!((theirs.len(), &carried[..]), (2, &ours[40..]));
}

/// Sums that are all zeros and all ones in one version or the other are among these.
///
/// A sum of UDP's that comes to zero is written as all ones, for zero says that there is none (RFC 768),
/// which IPv6 does not allow (RFC 8200 section 8.1). TAYGA writes zero.
#[test]
fn checksums_of_every_value() {
    let (tayga, tables) = (Tayga::start(OWN), gateway(OWN));
    let [request, others @ ..] = outgoing(OWN);
    let [answer, other_answers @ ..] = incoming().map(|packet| packet.fragment(DONT_FRAGMENT));
    let mut sums_of_zero = 0;
    for word in 0..=u16::MAX {
        let payload = word.to_be_bytes();
        for packet in others.clone() {
            same_out(&tayga, &tables, &packet.payload(&payload).build());
        }
        for packet in other_answers.clone() {
            same_in(&tayga, &tables, packet.payload(&payload));
        }
        let request = request.clone().payload(&payload).build();
        let answer = coming(answer.clone().payload(&payload)).build();
        for (frame, ifindex, at) in [(request, lan::IFINDEX, 26), (answer, A.ifindex, 46)] {
            let ours = ours(&tables, ifindex, &frame).unwrap();
            let mut ours = if ours[0] >> 4 == 4 { as_tayga_identifies(ours) } else { ours };
            let theirs = tayga.translate(&frame[14..]);
            if theirs[0][at..at + 2] == [0; 2] {
                assert_eq!(ours[at..at + 2], [0xff; 2]);
                ours[at..at + 2].fill(0);
                sums_of_zero += 1;
            }
            assert_eq!([ours], theirs[..], "of {frame:02x?}");
        }
    }
    assert_eq!(sums_of_zero, 2);
}
