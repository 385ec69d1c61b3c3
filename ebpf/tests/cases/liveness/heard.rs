//! Packets of IPv4 that put off the deadline of their uplink.

use pointsman_ebpf::abi::{Sequence, Watch};
use pointsman_ebpf::memory::site::A;
use pointsman_ebpf::memory::{PacketBuilder, tagged};

use super::super::harness::{STRIDE, coming, public};
use super::super::vlan::{KINDS, serve};
use super::harness::{
    CONTROL, DETECTION, Gateway, MULTIHOP, NOW, PEER, PLAIN, gateway, monitor, packet, watching,
    with,
};

/// Each puts it off anew, whatever it was, and none leaves a trace of a flow.
#[test]
fn each_time_it_comes() {
    let gateway = gateway(PLAIN);
    for deadline in [1, NOW, u64::MAX >> 2] {
        gateway.tables.put_off(A.id, deadline);
        monitor(&gateway.tables, &A).heard.store(0);
        gateway.hears(&packet(&CONTROL).build());
        let host = gateway.tables.switch();
        assert_eq!(host.deadline(A.id), Some(&(NOW + DETECTION)));
    }
    gateway.holds_nothing();
}

/// Whatever else is in its headers, and in the frame behind it.
#[test]
fn whatever_its_headers_are() {
    let gateway = gateway(PLAIN);
    for packet in [
        packet(&CONTROL).options(&[1; 8]),
        packet(&CONTROL).options(&[1; 40]),
        packet(&CONTROL).without_checksum(),
        packet(&CONTROL).type_of_service(0xc0),
        packet(&CONTROL).fragment(0x4000),
        packet(&CONTROL).padding(1),
        packet(&CONTROL).padding(60),
    ] {
        monitor(&gateway.tables, &A).heard.store(0);
        gateway.tables.put_off(A.id, 1);
        gateway.hears(&packet.build());
    }
}

/// Those of a Poll Sequence (RFC 5880 section 6.5), which the daemon has to answer.
#[test]
fn poll_and_final() {
    for bits in [0x20, 0x10, 0x30] {
        let frame = packet(&with(1, 0xc0 | bits)).build();
        gateway(PLAIN).hears_and_passes(&frame, DETECTION);
    }
}

/// Every other bit counts.
#[test]
fn not_with_any_other_bit() {
    let gateway = gateway(PLAIN);
    let is_of_poll = |bit: usize| matches!(bit, 12 | 13);
    for bit in (0..CONTROL.len() * 8).filter(|bit| !is_of_poll(*bit)).step_by(STRIDE) {
        let (at, flip) = (bit / 8, 1 << (bit % 8));
        gateway.ignores(&packet(&with(at, CONTROL[at] ^ flip)).build());
    }
}

/// Nobody who is not on the link sends what comes with 255 (RFC 5082).
#[test]
fn the_time_to_live() {
    for (least, heard, ignored) in [(255, 255, 254), (254, 255, 253), (254, 254, 1), (3, 3, 2)] {
        let gateway = gateway(Watch::new(3784, least, 0, Sequence::None));
        gateway.ignores(&packet(&CONTROL).ttl(ignored).build());
        gateway.hears(&packet(&CONTROL).ttl(heard).build());
    }
}

#[test]
fn over_several_hops() {
    let gateway = gateway(Watch::new(MULTIHOP, 0, 0, Sequence::None));
    let far = coming(PacketBuilder::udp(PEER, public(&A, MULTIHOP)), &A).payload(&CONTROL);
    gateway.hears(&far.clone().ttl(1).build());
    gateway.ignores(&packet(&CONTROL).build());
}

/// One tag, and two.
#[test]
fn with_vlan_tags() {
    for tags in KINDS {
        let mut gateway = Gateway::new();
        serve(&mut gateway, A.ifindex, tags);
        let gateway = watching(gateway, PLAIN);
        gateway.ignores(&tagged(&packet(&with(7, 0)).build(), tags));
        gateway.ignores(&tagged(&packet(&CONTROL).ttl(254).build(), tags));
        gateway.hears(&tagged(&packet(&CONTROL).build(), tags));
        let frame = tagged(&packet(&with(1, 0xe0)).build(), tags);
        monitor(&gateway.tables, &A).heard.store(0);
        gateway.tables.put_off(A.id, 1);
        gateway.hears_and_passes(&frame, DETECTION);
    }
}
