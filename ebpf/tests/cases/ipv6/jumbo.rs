//! Packets of more than a page.

use pointsman_ebpf::memory::site::{A, lan};
use pointsman_ebpf::verdict::DropReason;

use super::harness::{Gateway, HOST, HOST_A, TRANSLATED, answer, gateway, request};

const MTU: u16 = 9000;

/// As much as an IPv6 packet of that size has room for behind a header of UDP.
const LARGEST: [u8; MTU as usize - 48] = [0x5a; MTU as usize - 48];

fn large() -> Gateway {
    let mut gateway = gateway(TRANSLATED);
    for port in gateway.tables.ports.values_mut() {
        port.mtu = MTU;
    }
    gateway.tables.ipv6.uplinks[usize::from(A.id)].mtu = MTU;
    gateway
}

#[test]
fn of_a_flow() {
    let gateway = large();
    for _ in 0..2 {
        gateway.sends6(&request().payload(&LARGEST), &A, HOST_A);
        gateway.delivers6(&answer(HOST_A, &A).payload(&LARGEST), &A, HOST.0);
    }
}

#[test]
fn too_large_for_the_uplink() {
    let mut gateway = large();
    gateway.tables.ipv6.uplinks[usize::from(A.id)].mtu = 8000;
    let mtu = 8000_u32.to_be_bytes();
    let packet = request().payload(&LARGEST[..8000 - 47]).build();
    gateway.tells6(lan::IFINDEX, &packet, DropReason::TooBig, [2, 0], mtu);
    gateway.sends6(&request().payload(&LARGEST[..8000 - 48]), &A, HOST_A);
}
