//! Uplinks that nobody beyond opens a flow by any more, as they are drained.

use std::net::SocketAddrV4;

use pointsman_ebpf::abi::{Filtering, Forward};
use pointsman_ebpf::memory::PacketBuilder;
use pointsman_ebpf::memory::site::{A, B, Provider, lan};
use pointsman_ebpf::verdict::DropReason;
use pointsman_ebpf::wire::tcp_flags::{ACK, SYN};

use super::harness::{
    Gateway, HOST, SERVER, STRANGER, Sizes, answer, coming, forward, from_other, public, request,
};

const TCP: u8 = 6;

/// The other host's service.
const INSIDE: SocketAddrV4 = SocketAddrV4::new(lan::OTHER, 8443);

fn with_forward(forward: Forward) -> Gateway {
    let mut gateway = Gateway::new();
    gateway.set_forwards(&[forward]);
    gateway
}

fn knock(from: SocketAddrV4, by: &Provider, flags: u8) -> PacketBuilder {
    coming(PacketBuilder::tcp(from, public(by, 443), flags), by)
}

fn reply(flags: u8) -> PacketBuilder {
    from_other(PacketBuilder::tcp(INSIDE, SERVER, flags))
}

#[track_caller]
fn is_filtered(gateway: &Gateway, by: &Provider, packet: &PacketBuilder) {
    let before = gateway.flows();
    gateway.drops(by.ifindex, &packet.build(), DropReason::Filtered);
    assert_eq!(gateway.flows(), before, "{}", gateway.tables);
}

#[test]
fn a_mapping_lets_in_answers_only() {
    for filtering in [Filtering::Endpoint, Filtering::Address] {
        let mut gateway = Gateway::with_filtering(filtering);
        gateway.sends(&request(), &A, HOST.port());
        let from = if filtering == Filtering::Endpoint {
            STRANGER
        } else {
            SocketAddrV4::new(*SERVER.ip(), 7)
        };
        let stranger = answer(&A, HOST.port()).from(from);
        gateway.settings().closed = A.bit();
        is_filtered(&gateway, &A, &stranger);
        gateway.delivers(&answer(&A, HOST.port()), &A, HOST);
        gateway.sends(&request(), &A, HOST.port());
        gateway.settings().closed = B.bit();
        gateway.delivers(&stranger, &A, HOST);
        // What has been let in goes on.
        gateway.settings().closed = A.bit() | B.bit();
        gateway.delivers(&stranger, &A, HOST);
        gateway.sends(&request().to(from), &A, HOST.port());
        gateway.delivers(&stranger, &A, HOST);
    }
}

#[test]
fn a_forward_is_left_to_the_open_uplinks() {
    let mut gateway = with_forward(forward(TCP, 443, 443, INSIDE));
    gateway.delivers(&knock(SERVER, &B, SYN), &B, INSIDE);
    gateway.settings().closed = B.bit();
    is_filtered(&gateway, &B, &knock(STRANGER, &B, SYN));
    gateway.delivers(&knock(STRANGER, &A, SYN), &A, INSIDE);
    // What has been let in goes on.
    gateway.delivers(&knock(SERVER, &B, SYN), &B, INSIDE);
    gateway.sends(&reply(SYN | ACK), &B, 443);
    gateway.delivers(&knock(SERVER, &B, ACK), &B, INSIDE);
    gateway.sends(&reply(ACK), &B, 443);
    gateway.holds(Sizes { established: 2, invited: 1, ..Sizes::default() });
}

#[test]
fn the_only_way_in_stays_open() {
    let only_b = Forward { uplinks: B.bit(), ..forward(TCP, 443, 443, INSIDE) };
    let mut gateway = with_forward(only_b);
    gateway.settings().closed = B.bit();
    gateway.delivers(&knock(SERVER, &B, SYN), &B, INSIDE);

    let mut gateway = with_forward(forward(TCP, 443, 443, INSIDE));
    gateway.settings().closed = B.bit();
    gateway.tables.set_alive(B.bit());
    gateway.delivers(&knock(SERVER, &B, SYN), &B, INSIDE);
    gateway.tables.set_alive(A.bit() | B.bit());
    is_filtered(&gateway, &B, &knock(STRANGER, &B, SYN));
}

/// It is not that uplink which carries it.
#[test]
fn hosts_of_the_lan_reach_a_forward_all_the_same() {
    let mut gateway = with_forward(forward(TCP, 443, 443, INSIDE));
    gateway.settings().closed = A.bit();
    let call = PacketBuilder::tcp(HOST, public(&A, 443), SYN);
    gateway.hairpins(&call, &A, public(&A, HOST.port()), INSIDE);
}
