//! Sequences of IPv6 that path and model have differed over, as small as they could be made.

use pointsman_ebpf::memory::sequence::{Tagging, bytes};
use pointsman_ebpf::memory::sequence6::{Mappings6, Packet6, Sequence6, Setup6, Step6};
use pointsman_ebpf::memory::site6::Carriage;

use super::fuzz6::check;
use Step6::Send;

/// A gateway where nothing is scarce.
fn plain_setup() -> Setup6 {
    Setup6 {
        carriage: [Carriage::Nptv6(48), Carriage::Nptv6(56)],
        inbound: [false; 2],
        mtu: [1500; 3],
        icmp: (5, 3),
        pins: [1_000_000; 3],
        sticky: 0,
        on_failure: 0,
        one_first: true,
        neighbours: true,
        tagging: Tagging::default(),
        mappings: Mappings6::default(),
    }
}

/// The first bytes of a later fragment were taken for one extension header more than are walked
/// through.
#[test]
fn a_later_fragment_behind_as_many_headers_as_there_may_be() {
    let extensions = bytes(&[60, 0, 60, 0, 60, 0, 60, 0, 60, 0, 60, 0, 60, 0, 44, 0, 60, 0, 44, 0]);
    let later = Packet6 { extensions, fragment: 8, ..Packet6::default() };
    check(&Sequence6 { setup: plain_setup(), steps: vec![Send(later)] });
}

/// A flow whose host has moved is no longer the oldest.
#[test]
fn who_moves_is_pushed_out_later() {
    let from = |host: u16| ([0xfd00, 1, 0, 1, 0, 0, 0, host], 4000);
    let packet = |host| Packet6 { source: from(host), ..Packet6::default() };
    let moved = Packet6 { damage: [Some((11, 4)), None], ..packet(2) };
    let setup = Setup6 { pins: [1_000_000, 2, 1_000_000], ..plain_setup() };
    let steps = vec![Send(packet(2)), Send(packet(9)), Send(moved), Send(packet(3))];
    check(&Sequence6 { setup, steps });
}
