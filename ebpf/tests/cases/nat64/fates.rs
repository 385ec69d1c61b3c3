//! What becomes of established flows whose uplink dies, or changes its address, as their group says.

use pointsman_ebpf::abi::{Direction, Mark, OnFailure};
use pointsman_ebpf::memory::PacketBuilder;
use pointsman_ebpf::memory::site::{A, B, lan};
use pointsman_ebpf::path::FlowTable;
use pointsman_ebpf::verdict::DropReason;
use pointsman_ebpf::wire::tcp_flags::{ACK, FIN, RST, SYN};

use super::harness::{
    Gateway, HOST, SERVER, SERVER6, gateway, public, request, segment, segment_back, segment_in,
    segment_out,
};

/// A gateway with a connection by A, which is dead by now.
fn after_failure(on_failure: OnFailure) -> Gateway {
    let mut gateway = gateway();
    gateway.on_failure(on_failure);
    gateway.establish_tcp64();
    gateway.tables.set_alive(B.bit());
    gateway
}

#[test]
fn a_segment_is_answered_by_a_reset() {
    let gateway = after_failure(OnFailure::Reset);
    let ends = (SERVER6, HOST);
    gateway.resets6(&segment(ACK).extensions(&[[60, 1]]).build(), ends, (RST, 2, 0));
    let sent = segment(FIN).sequence(9).payload(&[7; 30]);
    gateway.resets6(&sent.build(), ends, (RST | ACK, 0, 40));
    gateway.holds64([2, 0, 0]);
    let (_, flow) = gateway.entry(FlowTable::Established, Direction::Out64);
    assert_ne!(Mark(flow.mark).seen() & Mark::RST, 0);
    // The server is told by the uplink that it knows.
    gateway.delivers64(&segment_back(ACK, &A), &A, segment_in(ACK));
    gateway.sends64(&segment(RST), &A, segment_out(RST));
    let syn = PacketBuilder::tcp(public(&B, HOST.1), SERVER, SYN);
    gateway.sends64(&segment(SYN), &B, syn);
}

#[test]
fn only_what_changes_its_address_is_reset() {
    let mut gateway = gateway();
    gateway.on_failure(OnFailure::Reset);
    gateway.establish_tcp64();
    gateway.uplink(&A).generation += 1;
    gateway.sends64(&segment(ACK), &A, segment_out(ACK));
    let gateway = after_failure(OnFailure::Reset);
    gateway.tables.set_alive(0);
    let sent = segment(ACK).build();
    gateway.tells6(lan::IFINDEX, &sent, DropReason::NoUplink, [1, 0], [0; 4]);
}

#[test]
fn what_is_not_tcp_goes_over_to_another_uplink() {
    let mut gateway = gateway();
    gateway.on_failure(OnFailure::Reset);
    gateway.establish64();
    gateway.tables.set_alive(B.bit());
    gateway.sends64(&request(), &B, PacketBuilder::udp(public(&B, HOST.1), SERVER));
}

#[test]
fn what_is_held_waits() {
    let gateway = after_failure(OnFailure::Hold);
    for flags in [ACK, SYN, RST] {
        gateway.refuses64(lan::IFINDEX, &segment(flags).build(), DropReason::Held);
    }
    gateway.tables.set_alive(A.bit() | B.bit());
    gateway.sends64(&segment(ACK), &A, segment_out(ACK));
    let mut gateway = after_failure(OnFailure::Hold);
    gateway.uplink(&A).generation += 1;
    let sent = PacketBuilder::tcp(public(&B, HOST.1), SERVER, ACK);
    gateway.sends64(&segment(ACK), &B, sent);
}
