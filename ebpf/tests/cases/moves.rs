//! A host of the LAN that is plugged in elsewhere, or has another MAC: what comes for it follows it.

use pointsman_ebpf::abi::{Ipv4, LanSide, Mac, MacPair, Port, PortRole};
use pointsman_ebpf::memory::PacketBuilder;
use pointsman_ebpf::memory::site::{A, MTU, lan};
use pointsman_ebpf::verdict::Verdict;

use super::harness::{Gateway, HOST, answer, leaving, reaching, request};
use pointsman_ebpf::abi::Direction;

pub(crate) const NEW_MAC: [u8; 6] = [2, 0, 0, 1, 0, 77];

/// Another LAN interface.
pub(crate) const IFINDEX: u32 = 5;
pub(crate) const EGRESS: u16 = 15;
pub(crate) const MAC: [u8; 6] = [2, 0, 0, 5, 0, 1];

fn gateway() -> Gateway {
    with_another_port(Gateway::new())
}

/// The gateway with the other interface.
pub(crate) fn with_another_port(mut gateway: Gateway) -> Gateway {
    let port = Port {
        ifindex: IFINDEX,
        egress: EGRESS,
        mtu: MTU,
        mac: Mac::new(MAC),
        role: PortRole::Lan as u8,
        address: Ipv4::new([10, 5, 0, 1]),
        ..Port::default()
    };
    gateway.tables.ports.insert(IFINDEX, port);
    gateway
}

/// The host's packet, from another MAC.
fn moved() -> PacketBuilder {
    request().macs(NEW_MAC, lan::MAC)
}

#[test]
fn an_answered_flow_follows_it() {
    let gateway = gateway();
    gateway.establish(&A);
    gateway.forwards_out(&moved().build(), &A, &leaving(&moved(), &A, HOST.port()).build());
    let answer = answer(&A, HOST.port());
    let output = reaching(&answer, HOST).macs(lan::MAC, NEW_MAC);
    gateway.forwards_in(&answer.build(), &A, &output.build());
    // And on.
    gateway.forwards_out(&moved().build(), &A, &leaving(&moved(), &A, HOST.port()).build());
    gateway.forwards_in(&answer.build(), &A, &output.build());
}

#[test]
fn one_that_nobody_has_answered_follows_it() {
    let gateway = gateway();
    gateway.sends(&request(), &A, HOST.port());
    gateway.forwards_out(&moved().build(), &A, &leaving(&moved(), &A, HOST.port()).build());
    let answer = answer(&A, HOST.port());
    let output = reaching(&answer, HOST).macs(lan::MAC, NEW_MAC);
    gateway.forwards_in(&answer.build(), &A, &output.build());
}

#[test]
fn it_follows_to_another_interface() {
    let gateway = gateway();
    gateway.establish(&A);
    let moved = request().macs(lan::HOST_MAC, MAC);
    let out = Verdict::Forward { egress: A.egress, uplink: A.id, direction: Direction::Out };
    let output = leaving(&moved, &A, HOST.port()).build();
    gateway.expect(IFINDEX, &moved.build(), out, &output);
    let answer = answer(&A, HOST.port());
    let back = Verdict::Forward { egress: EGRESS, uplink: A.id, direction: Direction::In };
    let output = reaching(&answer, HOST).macs(MAC, lan::HOST_MAC).build();
    gateway.expect(A.ifindex, &answer.build(), back, &output);
}

/// What the sides of flows are compared by.
#[test]
fn a_side_is_a_mac_and_an_interface() {
    let side = LanSide::new(MacPair::new(Mac::new(NEW_MAC), Mac::new(MAC)), EGRESS, MTU);
    let source = |mac: [u8; 6]| {
        let [a, b, c, d, e, f] = mac;
        [a, b, c, d, e, f, 0x08, 0x00]
    };
    assert!(side.is_of(source(NEW_MAC), EGRESS));
    assert!(!side.is_of(source(NEW_MAC), EGRESS + 1));
    for octet in 0..6 {
        let mut other = NEW_MAC;
        other[octet] ^= 1;
        assert!(!side.is_of(source(other), EGRESS), "{octet}");
    }
}
