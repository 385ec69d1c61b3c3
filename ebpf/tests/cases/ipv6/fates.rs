//! What becomes of established flows whose uplink dies, or changes its prefix, as their group says.

use pointsman_ebpf::abi::{Mark, OnFailure};
use pointsman_ebpf::memory::site::{A, B, lan};
use pointsman_ebpf::memory::site6::Carriage;
use pointsman_ebpf::memory::{End6, PacketBuilder6, repair_checksums6};
use pointsman_ebpf::path::FlowTable;
use pointsman_ebpf::verdict::{DropReason, Verdict};
use pointsman_ebpf::wire::tcp_flags::{ACK, FIN, RST, SYN};

use super::harness::{
    Gateway, HOST, HOST_A, HOST_B, HOST_ROUTED, SERVER, TRANSLATED, gateway, open_gateway, request,
    segment, segment_back,
};

impl Gateway {
    /// Its group does this.
    pub(crate) fn on_failure(&mut self, on_failure: OnFailure) {
        if let Some(group) = &mut self.tables.group {
            group.on_failure = on_failure as u8;
        }
    }

    /// The segment from the LAN's first host is answered by a reset from `server`, which has these flags, this
    /// sequence number, and acknowledges this.
    #[track_caller]
    pub(crate) fn resets6(
        &self,
        segment: &[u8],
        (server, host): (End6, End6),
        (flags, sequence, acknowledgment): (u8, u32, u32),
    ) {
        let reset = PacketBuilder6::tcp(server, host, flags).sequence(sequence).payload(&[]);
        let mut reset = reset.macs(lan::MAC, lan::HOST_MAC).build();
        reset[62..66].copy_from_slice(&acknowledgment.to_be_bytes());
        // The window.
        reset[68..70].fill(0);
        repair_checksums6(&mut reset);
        let verdict = Verdict::Answer { egress: lan::EGRESS, reason: DropReason::Reset };
        self.expect(lan::IFINDEX, segment, verdict, &reset);
    }
}

/// A gateway with a connection by A, which is dead by now.
fn after_failure(on_failure: OnFailure) -> Gateway {
    let mut gateway = gateway(TRANSLATED);
    gateway.on_failure(on_failure);
    gateway.establish_tcp6();
    gateway.tables.set_alive(B.bit());
    gateway
}

/// What the host's segments acknowledge.
const ACKNOWLEDGED: u32 = 2;

const ENDS: (End6, End6) = (SERVER, HOST);

#[test]
fn a_segment_is_answered_by_a_reset() {
    let gateway = after_failure(OnFailure::Reset);
    let ack = segment(ACK).payload(&[]);
    for sent in [
        ack.clone(),
        segment(ACK | FIN).payload(&[7; 1400]),
        ack.clone().tcp_options(&[1; 40]),
        ack.clone().extensions(&[[0, 0], [60, 1]]),
        ack.clone().padding(6),
        ack.hop_limit(2),
    ] {
        gateway.resets6(&sent.build(), ENDS, (RST, ACKNOWLEDGED, 0));
    }
    gateway.holds6([1, 0, 0]);
    let pin = gateway.pin6(FlowTable::Established);
    assert_eq!(Mark(pin.out.mark).seen(), Mark::ANY | Mark::ACK | Mark::RST);
}

#[test]
fn a_segment_without_acknowledgment_is_acknowledged() {
    let gateway = after_failure(OnFailure::Reset);
    for (flags, payload, next) in [(0, 0, 9), (0, 6, 15), (FIN, 30, 40)] {
        let sent = segment(flags).sequence(9).payload(&vec![7; payload]);
        gateway.resets6(&sent.build(), ENDS, (RST | ACK, 0, next));
        let sent = sent.tcp_options(&[1; 8]).extensions(&[[60, 1]]);
        gateway.resets6(&sent.build(), ENDS, (RST | ACK, 0, next));
    }
}

#[test]
fn a_syn_opens_a_connection_at_once() {
    let gateway = after_failure(OnFailure::Reset);
    gateway.resets6(&segment(ACK).build(), ENDS, (RST, ACKNOWLEDGED, 0));
    gateway.sends6(&segment(SYN), &B, HOST_B);
    gateway.delivers6(&segment_back(SYN | ACK, HOST_B, &B), &B, HOST.0);
    gateway.sends6(&segment(ACK), &B, HOST_B);
}

#[test]
fn the_server_is_told_by_the_uplink_that_it_knows() {
    let gateway = after_failure(OnFailure::Reset);
    gateway.delivers6(&segment_back(ACK, HOST_A, &A), &A, HOST.0);
    gateway.sends6(&segment(RST), &A, HOST_A);
}

#[test]
fn a_connection_without_another_uplink_is_not_reset() {
    let gateway = after_failure(OnFailure::Reset);
    gateway.tables.set_alive(0);
    let sent = segment(ACK).build();
    gateway.tells6(lan::IFINDEX, &sent, DropReason::NoUplink, [1, 0], [0; 4]);
    gateway.tables.set_alive(A.bit());
    gateway.sends6(&segment(ACK), &A, HOST_A);
}

/// By the same uplink too.
#[test]
fn a_connection_whose_prefix_is_gone_is_reset() {
    let mut gateway = gateway(TRANSLATED);
    gateway.on_failure(OnFailure::Reset);
    gateway.establish_tcp6();
    gateway.uplink6(&A).generation += 1;
    gateway.resets6(&segment(ACK).build(), ENDS, (RST, ACKNOWLEDGED, 0));
}

#[test]
fn what_is_not_tcp_goes_over_to_another_uplink() {
    let mut gateway = gateway(TRANSLATED);
    gateway.on_failure(OnFailure::Reset);
    gateway.establish6();
    gateway.tables.set_alive(B.bit());
    gateway.sends6(&request(), &B, HOST_B);
}

#[test]
fn a_connection_from_outside_is_not_reset() {
    for (on_failure, reason) in
        [(OnFailure::Reset, DropReason::NoUplink), (OnFailure::Hold, DropReason::Held)]
    {
        let mut gateway = open_gateway(TRANSLATED);
        gateway.on_failure(on_failure);
        gateway.delivers6(&segment_back(SYN, HOST_A, &A), &A, HOST.0);
        gateway.sends6(&segment(SYN | ACK), &A, HOST_A);
        gateway.tables.set_alive(B.bit());
        let sent = segment(ACK);
        if on_failure == OnFailure::Hold {
            gateway.refuses6(lan::IFINDEX, &sent, reason);
        } else {
            gateway.tells6(lan::IFINDEX, &sent.build(), reason, [1, 0], [0; 4]);
        }
    }
}

#[test]
fn what_is_held_waits() {
    let gateway = after_failure(OnFailure::Hold);
    gateway.tables.set_now(1 << 45);
    for flags in [ACK, ACK | FIN, SYN, RST] {
        gateway.refuses6(lan::IFINDEX, &segment(flags), DropReason::Held);
    }
    gateway.tables.set_alive(0);
    gateway.refuses6(lan::IFINDEX, &segment(ACK), DropReason::Held);
    gateway.tables.set_alive(A.bit() | B.bit());
    gateway.sends6(&segment(ACK), &A, HOST_A);
}

#[test]
fn what_has_lost_its_prefix_is_not_held() {
    let mut gateway = after_failure(OnFailure::Hold);
    gateway.uplink6(&A).generation += 1;
    gateway.sends6(&segment(ACK), &B, HOST_B);
}

/// Whatever the group says: with the same address.
#[test]
fn what_is_routed_goes_on() {
    for on_failure in [OnFailure::Reset, OnFailure::Hold] {
        let mut gateway = gateway([Carriage::Routed; 2]);
        gateway.on_failure(on_failure);
        let from = |packet: PacketBuilder6| packet.from_address(HOST_ROUTED);
        gateway.sends6(&from(segment(SYN)), &A, HOST_ROUTED);
        gateway.delivers6(&segment_back(SYN | ACK, HOST_ROUTED, &A), &A, HOST_ROUTED);
        gateway.tables.set_alive(B.bit());
        // Also a reset, which of what is translated goes by the uplink that is dead.
        gateway.sends6(&from(segment(RST)), &B, HOST_ROUTED);
        gateway.tables.set_alive(A.bit());
        gateway.sends6(&from(segment(ACK)), &A, HOST_ROUTED);
        gateway.tables.set_alive(B.bit());
        gateway.sends6(&from(segment(ACK)), &B, HOST_ROUTED);
        gateway.uplink6(&B).generation += 1;
        gateway.sends6(&from(segment(ACK)), &B, HOST_ROUTED);
    }
}

/// Whoever has not answered yet has nothing to lose.
#[test]
fn a_connection_that_nobody_has_answered_goes_over() {
    for on_failure in [OnFailure::Reset, OnFailure::Hold] {
        let mut gateway = gateway(TRANSLATED);
        gateway.on_failure(on_failure);
        gateway.sends6(&segment(SYN), &A, HOST_A);
        gateway.tables.set_alive(B.bit());
        gateway.sends6(&segment(SYN), &B, HOST_B);
    }
}
